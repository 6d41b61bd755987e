/*
 * pattern - tables of rules: pcre_table(5), regexp_table(5), cidr_table(5).
 *
 *   rule  = ["!"] pattern blank result
 *         / "if" ["!"] pattern / "endif"
 *
 * The first rule whose pattern matches answers. A table in the parameter
 * itself is pcre:{ {rule}, {rule} }. What is wrong with a rule is warned
 * about, in Postfix's words, and the rule is left out.
 */
#include <stdarg.h>
#include <stdio.h>

#include "conf/conf.h"
#include "sys/sys.h"
#include "table/pattern.h"

#define LINE_MAX_BYTES	(TABLE_VALUE_MAX + 65536)

enum op { OP_MATCH, OP_IF, OP_ENDIF };
struct rule {
	enum op		op;
	bool		negated;
	int		line;
	size_t		end;		/* IF: its ENDIF, or 0 */
	void	       *pattern;
	struct result  *result;
};
struct rules {
	const struct pattern_kind *kind;
	struct rule	*v;
	size_t		 n, cap;
	size_t		*open;		/* IFs while they are read */
	size_t		 nopen;
	void		*state;		/* of the kind */
	struct prefilter *filter;
};

static void	load(struct rules *, struct table *, struct str text);
static void	load_inline(struct rules *, struct table *, struct str list);
static void	take(struct rules *, struct table *,
		    struct pattern_source *, struct str line);
static bool	starts_word(struct str line, const char *word);
static bool	take_pattern(struct rules *, struct pattern_source *,
		    struct str *rest, struct rule *);
static void	take_match(struct rules *, struct table *,
		    struct pattern_source *, struct str line);
static void	take_if(struct rules *, struct pattern_source *,
		    struct str rest);
static void	take_endif(struct rules *, struct pattern_source *,
		    struct str rest);
static void	add(struct rules *, const struct rule *);
static void	drop(struct rules *, struct rule *);
static void	build_filter(struct rules *);

static const struct pattern_kind *
kind_of(const struct table *t)
{
	if (t->type->ops == &pcre_ops)
		return &pcre_kind;
	return t->type->ops == &regexp_ops ? &regexp_kind : &cidr_kind;
}

bool
pattern_open(struct table *t, struct buf *why)
{
	struct rules *r;
	struct buf text;
	bool is_inline = (t->traits & HAS_FILE) == 0, ok = true;

	if (is_inline && t->name.p[t->name.n - 1] != '}') {
		buf_printf(why, "bad syntax: \"%.200s\"; need "
		    "\"%s:{{rule}...}\"", t->spec, t->type->name);
		return false;
	}
	buf_init(&text, TABLE_TEXT_MAX);
	if (!is_inline)
		ok = table_file_read(t, &text, why);
	if (ok) {
		r = mem_new(sizeof(*r));
		r->kind = kind_of(t);
		t->state = r;
		if (is_inline)
			load_inline(r, t, (struct str){ t->name.p + 1,
			    t->name.n - 2 });
		else
			load(r, t, buf_view(&text));
		r->state = r->kind->begin != NULL ? r->kind->begin() : NULL;
		build_filter(r);
	}
	buf_free(&text);
	return ok;
}

void
pattern_close(struct table *t)
{
	struct rules *r = t->state;

	for (size_t i = 0; i < r->n; i++)
		drop(r, &r->v[i]);
	if (r->kind->end != NULL)
		r->kind->end(r->state);
	prefilter_free(&r->filter);
	mem_free(r->v);
	mem_free(r->open);
	mem_free(r);
}

/* Does the rule's pattern match, or not match where it is negated? */
static enum pattern_match
try(struct table *t, const struct rules *r, size_t i, struct str subject,
    struct pattern_groups *groups)
{
	const struct rule *rule = &r->v[i];
	enum pattern_match m = PATTERN_MISS;

	if (r->filter == NULL || prefilter_has(r->filter, i))
		m = r->kind->match(t, r->state, rule->pattern, subject,
		    groups);
	if (rule->negated && m == PATTERN_HIT)
		return PATTERN_MISS;
	return rule->negated && m == PATTERN_MISS ? PATTERN_HIT : m;
}

enum found
pattern_get(struct table *t, struct str key, struct buf *value)
{
	const struct rules *r = t->state;
	struct pattern_groups groups = { .n = 0 };

	if (r->kind->look != NULL && !r->kind->look(r->state, key))
		return NONE;
	if (r->filter != NULL)
		prefilter_look(r->filter, key);
	for (size_t i = 0; i < r->n; i++) {
		const struct rule *rule = &r->v[i];

		if (rule->op == OP_ENDIF)
			continue;
		switch (try(t, r, i, key, &groups)) {
		case PATTERN_HIT:
			if (rule->op == OP_IF)
				break;
			result_print(rule->result, key, &groups, value);
			return FOUND;
		case PATTERN_MISS: case PATTERN_NEVER:
			if (rule->op != OP_IF)
				break;
			if (rule->end == 0)	/* it has no ENDIF */
				return NONE;
			i = rule->end;
			break;
		case PATTERN_FAULT:
			log_warn("%s map %s, line %d: %s", r->kind->name,
			    t->spec, rule->line, buf_cstr(&t->error));
			return RETRY;
		}
	}
	return NONE;
}

void
pattern_warn(const struct pattern_source *at, const char *fmt, ...)
{
	struct buf text;
	va_list ap;
	char *p;
	int n;

	buf_init(&text, 4096);
	p = buf_space(&text, 2048);
	va_start(ap, fmt);
	n = vsnprintf(p, 2048, fmt, ap);
	va_end(ap);
	text.n = n < 0 ? 0 : n < 2048 ? (size_t)n : 2047;
	log_warn("%s map %s, line %d: " STRF, at->kind, at->file, at->line,
	    STRV(buf_view(&text)));
	buf_free(&text);
}

bool
pattern_split(const struct pattern_source *at, struct str *rest,
    struct str *text)
{
	char delimiter;
	size_t i;

	if (rest->n == 0) {
		pattern_warn(at, "no regexp: skipping this rule");
		return false;
	}
	delimiter = rest->p[0];
	for (i = 1; i < rest->n && rest->p[i] != delimiter; i++)
		if (rest->p[i] == '\\')
			i++;
	if (i >= rest->n) {
		pattern_warn(at, "no closing regexp delimiter \"%c\": "
		    "skipping this rule", delimiter);
		return false;
	}
	*text = (struct str){ rest->p + 1, i - 1 };
	*rest = str_from(*rest, i + 1);
	return true;
}

bool
pattern_flags(const struct pattern_source *at, struct str *rest,
    const char *ends, const struct pattern_flag *flags, size_t n,
    uint32_t *bits)
{
	while (rest->n > 0 && (unsigned char)rest->p[0] > ' ' &&
	    strchr(ends, rest->p[0]) == NULL) {
		size_t i = 0;

		while (i < n && flags[i].letter != rest->p[0])
			i++;
		if (i == n) {
			pattern_warn(at, "unknown regexp option \"%c\": "
			    "skipping this rule", rest->p[0]);
			return false;
		}
		*bits ^= flags[i].bit;
		*rest = str_from(*rest, 1);
	}
	return true;
}

/* --- reading rules --- */

static void
warn_open(struct rules *r, struct table *t, const char *file)
{
	struct pattern_source at = { .kind = t->type->name, .file = file };

	while (r->nopen > 0) {
		at.line = r->v[r->open[--r->nopen]].line;
		pattern_warn(&at, "IF has no matching ENDIF");
	}
}

static void
load(struct rules *r, struct table *t, struct str text)
{
	struct pattern_source at = { .kind = t->type->name,
	    .file = t->file.path };
	struct buf line;
	int next = 1;

	buf_init(&line, LINE_MAX_BYTES);
	while (table_next_line(&text, &next, &at.line, &line)) {
		if (line.full) {
			pattern_warn(&at, "line too long: skipping this rule");
			line.full = false;
			continue;
		}
		take(r, t, &at, buf_view(&line));
	}
	buf_free(&line);
	warn_open(r, t, at.file);
}

/* Each { } is a line. */
static void
load_inline(struct rules *r, struct table *t, struct str list)
{
	struct pattern_source at = { .kind = t->type->name, .file = t->spec };
	struct str item;

	while (conf_list_next(&list, &item)) {
		at.line++;
		if (item.n < 2 || item.p[0] != '{' ||
		    item.p[item.n - 1] != '}') {
			pattern_warn(&at, "bad syntax: \"" STRF "\"; need "
			    "\"{rule}\"", STRV(item));
			continue;
		}
		take(r, t, &at, str_trim((struct str){ item.p + 1,
		    item.n - 2 }));
	}
	warn_open(r, t, at.file);
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

static void
take(struct rules *r, struct table *t, struct pattern_source *at,
    struct str line)
{
	at->in_if = false;
	if (starts_word(line, "if")) {
		at->in_if = true;
		take_if(r, at, str_from(line, 2));
	} else if (starts_word(line, "endif")) {
		take_endif(r, at, str_from(line, 5));
	} else if (r->kind->has_groups && line.n > 0 && is_alnum(line.p[0])) {
		pattern_warn(at, "ignoring unrecognized request");
	} else {
		take_match(r, t, at, line);
	}
}

static bool
starts_word(struct str line, const char *word)
{
	struct str w = str_of(word);

	return str_starts_nocase(line, w) &&
	    (line.n == w.n || !is_alnum(line.p[w.n]));
}

static bool
take_pattern(struct rules *r, struct pattern_source *at, struct str *rest,
    struct rule *rule)
{
	rule->line = at->line;
	*rest = str_trim(*rest);
	while (rest->n > 0 && rest->p[0] == '!') {
		rule->negated = !rule->negated;
		*rest = str_trim(str_from(*rest, 1));
	}
	rule->pattern = r->kind->parse(at, rest);
	*rest = str_trim(*rest);
	return rule->pattern != NULL;
}

/* False with a warning: that result is not for this rule. */
static bool
check_result(const struct rules *r, const struct table *t,
    const struct pattern_source *at, const struct rule *rule, size_t most)
{
	size_t groups = r->kind->groups == NULL ? 0 :
	    r->kind->groups(rule->pattern);

	if (most > 0 && rule->negated)
		pattern_warn(at, "$number found in negative match replacement "
		    "text: skipping this rule");
	else if (most > 0 && (t->flags & TABLE_NO_REGSUB) != 0)
		pattern_warn(at, "regular expression substitution is not "
		    "allowed: skipping this rule");
	else if (most > groups)
		pattern_warn(at, "out of range replacement index \"%zu\": "
		    "skipping this rule", most);
	else
		return true;
	return false;
}

static void
take_match(struct rules *r, struct table *t, struct pattern_source *at,
    struct str line)
{
	struct rule rule = { .op = OP_MATCH };
	struct buf decoded;
	size_t most = 0;
	bool ok;

	if (!take_pattern(r, at, &line, &rule))
		return;
	if (line.n == 0 && !r->kind->has_groups) {
		pattern_warn(at, "no lookup result: skipping this rule");
		drop(r, &rule);
		return;
	}
	if (line.n == 0)
		pattern_warn(at, "no replacement text: using empty string");
	buf_init(&decoded, TABLE_VALUE_MAX);
	ok = table_value(t, at->file, at->line, &line, &decoded);
	if (ok)
		rule.result = result_parse(at, line,
		    r->kind->has_groups ? &most : NULL);
	if (ok && rule.result != NULL && check_result(r, t, at, &rule, most))
		add(r, &rule);
	else
		drop(r, &rule);
	buf_free(&decoded);
}

static void
take_if(struct rules *r, struct pattern_source *at, struct str rest)
{
	struct rule rule = { .op = OP_IF };

	if (!take_pattern(r, at, &rest, &rule))
		return;
	if (rest.n > 0) {
		pattern_warn(at, "ignoring extra text after IF statement: \""
		    STRF "\"", STRV(rest));
		pattern_warn(at, "do not prepend whitespace to statements "
		    "between IF and ENDIF");
	}
	r->open = mem_grow(r->open, r->nopen + 1, sizeof(*r->open));
	r->open[r->nopen++] = r->n;
	add(r, &rule);
}

static void
take_endif(struct rules *r, struct pattern_source *at, struct str rest)
{
	struct rule rule = { .op = OP_ENDIF, .line = at->line };

	rest = str_trim(rest);
	if (!r->kind->has_groups && rest.n > 0) {
		pattern_warn(at, "garbage after ENDIF: skipping this rule");
		return;
	}
	if (r->nopen == 0) {
		pattern_warn(at, r->kind->has_groups ?
		    "ignoring ENDIF without matching IF" :
		    "ENDIF without IF: skipping this rule");
		return;
	}
	if (rest.n > 0)
		pattern_warn(at, "ignoring extra text after ENDIF");
	r->v[r->open[--r->nopen]].end = r->n;
	add(r, &rule);
}

static void
add(struct rules *r, const struct rule *rule)
{
	if (r->n == r->cap) {
		r->cap = r->cap > 0 ? 2 * r->cap : 16;
		r->v = mem_grow(r->v, r->cap, sizeof(*r->v));
	}
	r->v[r->n++] = *rule;
}

static void
drop(struct rules *r, struct rule *rule)
{
	if (rule->pattern != NULL)
		r->kind->drop(rule->pattern);
	result_free(&rule->result);
}

static void
build_filter(struct rules *r)
{
	struct buf literal;

	if (r->kind->literal == NULL || r->n == 0)
		return;
	r->filter = prefilter_new(r->n);
	buf_init(&literal, 1024);
	for (size_t i = 0; i < r->n; i++) {
		buf_clear(&literal);
		if (r->v[i].op != OP_ENDIF)
			r->kind->literal(r->v[i].pattern, &literal);
		prefilter_add(r->filter, i, buf_view(&literal));
	}
	buf_free(&literal);
}
