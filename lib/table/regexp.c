/*
 * regexp - tables of POSIX regular expressions: regexp_table(5), regcomp(3).
 *
 * The C library has no limits of steps for these: an expression that is slow
 * for some subject stays slow. pcre tables have them.
 */
#include <regex.h>

#include "sys/sys.h"
#include "table/pattern.h"

const struct table_ops regexp_ops = {
	.suffix = "", .open = pattern_open, .close = pattern_close,
	.get = pattern_get,
};

struct regexp {
	regex_t		code;
	bool		extended, negated;
	char	       *text;
	struct regexp  *and;	/* "/a/!/b/": not this one */
};

static const struct pattern_flag flags[] = {
	{ 'i', REG_ICASE }, { 'm', REG_NEWLINE }, { 'x', REG_EXTENDED },
};

static void
regexp_free(void *pattern)
{
	struct regexp *r = pattern;

	if (r->and != NULL)
		regexp_free(r->and);
	regfree(&r->code);
	mem_free(r->text);
	mem_free(r);
}

/* One "/text/flags". */
static struct regexp *
parse_one(const struct pattern_source *at, struct str *rest)
{
	struct regexp *r;
	struct str text;
	char why[200];
	uint32_t bits = REG_EXTENDED | REG_ICASE;
	int err;

	if (!pattern_split(at, rest, &text) ||
	    !pattern_flags(at, rest, "!", flags, nitems(flags), &bits))
		return NULL;
	r = mem_new(sizeof(*r));
	r->text = mem_copy(text);
	r->extended = (bits & REG_EXTENDED) != 0;
	err = regcomp(&r->code, r->text, (int)bits);
	if (err == 0)
		return r;
	regerror(err, &r->code, why, sizeof(why));
	pattern_warn(at, "%s", why);
	mem_free(r->text);
	mem_free(r);
	return NULL;
}

/*
 * Postfix's older "/pattern1/!/pattern2/": the first and not the second.
 */
static void *
regexp_parse(const struct pattern_source *at, struct str *rest)
{
	struct regexp *r = parse_one(at, rest);

	if (r == NULL || at->in_if || rest->n == 0 || rest->p[0] != '!')
		return r;
	while (rest->n > 0 && rest->p[0] == '!') {
		r->negated = !r->negated;
		*rest = str_trim(str_from(*rest, 1));
	}
	r->and = parse_one(at, rest);
	if (r->and != NULL)
		return r;
	regexp_free(r);
	return NULL;
}

static size_t
regexp_groups(const void *pattern)
{
	const struct regexp *r = pattern;

	return r->code.re_nsub;
}

static void
regexp_literal(const void *pattern, struct buf *out)
{
	const struct regexp *r = pattern;

	if (r->extended)
		pattern_literal(str_of(r->text), true, out);
}

/* The subject with a NUL behind it, once for all patterns of a table. */
static void *
regexp_begin(void)
{
	struct buf *copy = mem_new(sizeof(*copy));

	buf_init(copy, TABLE_TEXT_MAX);
	return copy;
}

static void
regexp_end(void *state)
{
	if (state != NULL)
		buf_free(state);
	mem_free(state);
}

static bool
regexp_look(void *state, struct str subject)
{
	struct buf *copy = state;

	buf_clear(copy);
	buf_str(copy, subject);
	(void)buf_cstr(copy);
	return subject.n > 0 && !copy->full;
}

static int
execute(const struct regexp *r, const struct buf *subject, regmatch_t *v,
    size_t n)
{
	v[0].rm_so = 0;
	v[0].rm_eo = (regoff_t)subject->n;
	return regexec(&r->code, subject->p, n, v, REG_STARTEND);
}

static enum pattern_match
regexp_match(struct table *t, void *state, void *pattern, struct str subject,
    struct pattern_groups *g)
{
	const struct regexp *r = pattern;
	regmatch_t v[PATTERN_GROUPS_MAX], second[1];
	char why[200];
	int err;

	(void)subject;
	err = execute(r, state, v, PATTERN_GROUPS_MAX);
	if (err == 0 && r->and != NULL) {
		err = execute(r->and, state, second, 1);
		if (r->negated && (err == 0 || err == REG_NOMATCH))
			err = err == 0 ? REG_NOMATCH : 0;
	}
	if (err == REG_NOMATCH)
		return PATTERN_MISS;
	if (err != 0) {
		regerror(err, &r->code, why, sizeof(why));
		buf_printf(&t->error, "%s", why);
		return PATTERN_FAULT;
	}
	g->n = r->code.re_nsub + 1 < PATTERN_GROUPS_MAX ?
	    r->code.re_nsub + 1 : PATTERN_GROUPS_MAX;
	for (size_t i = 0; i < g->n; i++) {
		bool part = v[i].rm_so >= 0 && v[i].rm_eo >= 0;

		g->v[i].from = part ? (size_t)v[i].rm_so : SIZE_MAX;
		g->v[i].to = part ? (size_t)v[i].rm_eo : 0;
	}
	return PATTERN_HIT;
}

const struct pattern_kind regexp_kind = {
	.name = "regexp", .has_groups = true, .parse = regexp_parse,
	.drop = regexp_free, .groups = regexp_groups,
	.literal = regexp_literal, .begin = regexp_begin,
	.end = regexp_end, .look = regexp_look, .match = regexp_match,
};
