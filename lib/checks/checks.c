/*
 * checks - asks tables for actions and reads their answers.
 *
 *   answer = word [1*blank text]
 *
 * Words are rows of actions.def. What a caller does not allow is warned
 * about, like anything else that is wrong in a table, and the line stays.
 */
#include "checks/checks.h"
#include "sys/sys.h"
#include "table/table.h"

#define LINE_MAX_BYTES	(1 << 20)	/* the longest text that is looked up */

enum needs { NOTHING, TEXT_FIELD, TEXT_ROUTE, TEXT_AT };

struct checks {
	struct { const char *name; struct tables *tables; }
			 place[MIME_BODY + 1];
	unsigned	 allowed;
	const char	*error;
	struct buf	 line, value;
};

static const struct action {
	const char *word, *log;
	enum needs  needs;
} actions[] = {
#define ACTION(id, word, log, needs) { word, log, needs },
#include "checks/actions.def"
#undef ACTION
};

const struct checks_names checks_names = { { "header_checks",
	"mime_header_checks", "nested_header_checks", "body_checks" } };

static enum found read_answer(struct checks *, enum mime_place,
		    struct check_verdict *);
static bool	  has_needs(enum needs, enum mime_place, const char *name,
		    struct check_verdict *);
static struct str with_lf(struct checks *, struct str text);

struct checks *
checks_open(struct conf *conf, const struct checks_names *names,
    unsigned allowed, struct problems *problems)
{
	struct checks *c = mem_new(sizeof(*c));
	struct buf why;

	c->allowed = allowed;
	c->error = "";
	buf_init(&c->line, LINE_MAX_BYTES);
	buf_init(&c->value, TABLE_VALUE_MAX);
	buf_init(&why, 4096);
	for (size_t i = 0; i < nitems(c->place); i++) {
		const char *name = names->list[i], *file;
		int line = 0;

		buf_clear(&why);
		c->place[i].name = name;
		c->place[i].tables = tables_open(conf_get(conf, name),
		    conf_dir(conf), allowed & CHECKS_FIXED ? TABLE_FIXED : 0,
		    &why);
		file = conf_where(conf, str_of(name), &line);
		if (why.n > 0)
			problem_add(problems, true, file, line, "%s: %s",
			    name, buf_cstr(&why));
	}
	buf_free(&why);
	return c;
}

void
checks_free(struct checks **cp)
{
	struct checks *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	for (size_t i = 0; i < nitems(c->place); i++)
		tables_free(&c->place[i].tables);
	buf_free(&c->line);
	buf_free(&c->value);
	mem_free(c);
}

bool
checks_wanted(const struct checks *c, enum mime_place place)
{
	return !tables_empty(c->place[place].tables);
}

enum found
checks_ask(struct checks *c, enum mime_place place, struct str text,
    struct check_verdict *v)
{
	enum found found;
	size_t name;

	if (place == MIME_PRIMARY || place == MIME_NESTED) {
		enum mime_header id;

		name = mime_field_name(text);
		id = mime_header_find(str_first(text, name));
		if (id != MH__OTHER && mime_headers[id].flags & HF_MIME)
			place = MIME_PART;
	}
	/* An empty line never matches. */
	if (!checks_wanted(c, place) || text.n == 0)
		return NONE;
	found = tables_get(c->place[place].tables, with_lf(c, text),
	    &c->value);
	if (found == RETRY)
		c->error = tables_error(c->place[place].tables);
	return found == FOUND ? read_answer(c, place, v) : found;
}

const char *
checks_error(const struct checks *c)
{
	return c->error;
}

void
checks_print(enum mime_place place, struct str text, size_t max,
    struct buf *out)
{
	buf_puts(out, place == MIME_BODY ? "body " : "header ");
	text = str_first(text, max);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '\r')	/* the log shows an LF as '?' */
			buf_putc(out, text.p[i]);
}

static enum found
read_answer(struct checks *c, enum mime_place place, struct check_verdict *v)
{
	const char *name = c->place[place].name;
	struct str rest = buf_view(&c->value), word;
	size_t i;

	if (!str_token(&rest, " \t", &word))
		return NONE;
	v->text = str_trim(rest);
	for (i = 0; i < nitems(actions); i++)
		if (str_eq_nocase(word, str_of(actions[i].word)))
			break;
	if (i == nitems(actions) || (c->allowed & CHECK_BIT(i)) == 0) {
		log_warn("%s command in %s map: " STRF,
		    i == nitems(actions) ? "unknown" : "unsupported", name,
		    STRV(buf_view(&c->value)));
		return NONE;
	}
	v->action = (enum check_action)i;
	v->log = actions[i].log;
	if (i == CHECK_DUNNO || i == CHECK_OK ||
	    !has_needs(actions[i].needs, place, name, v))
		return NONE;
	return FOUND;
}

/* False with a warning, in Postfix's words. */
static bool
has_needs(enum needs needs, enum mime_place place, const char *name,
    struct check_verdict *v)
{
	const char *word = actions[v->action].word;

	if (needs == TEXT_FIELD && v->text.n == 0)
		log_warn("%s action without text in %s map", word, name);
	else if (needs == TEXT_FIELD && place != MIME_BODY &&
	    mime_field_name(v->text) == 0)
		log_warn("bad %s header text \"" STRF "\" in %s map -- "
		    "need \"headername: headervalue\"", word, STRV(v->text),
		    name);
	else if (needs == TEXT_ROUTE && v->text.n == 0)
		log_warn("missing %s command argument in %s map", word, name);
	else if (needs == TEXT_ROUTE && str_chr(v->text, ':') == v->text.n)
		log_warn("bad %s command " STRF " in %s -- need "
		    "transport:destination", word, STRV(v->text), name);
	else if (needs == TEXT_AT && str_chr(v->text, '@') == v->text.n)
		log_warn("bad %s %s " STRF " in %s map -- need user@domain",
		    word, v->action == CHECK_BCC ? "address" : "target",
		    STRV(v->text), name);
	else
		return true;
	return false;
}

/* Tables see line ends of folds as LF. */
static struct str
with_lf(struct checks *c, struct str text)
{
	size_t cr;

	if (str_chr(text, '\n') == text.n)
		return text;
	buf_clear(&c->line);
	while (text.n > 0) {
		cr = str_chr(text, '\r');
		buf_str(&c->line, str_first(text, cr));
		if (cr + 1 < text.n && text.p[cr + 1] != '\n')
			buf_putc(&c->line, '\r');
		text = str_from(text, cr + 1);
	}
	c->line.full = false;
	return buf_view(&c->line);
}
