/*
 * parse - a template file, bounce(5).
 *
 *   file     = *( blank / "#" text / template )
 *   template = name "_template" "=" "<<" word  *line  word
 *   lines    = *( header ":" value ) 1*blank text
 *
 * Lines between << and its word are taken as they stand. A template that
 * can't be used leaves the one before in place. Words of problems are
 * Postfix's.
 */
#include "conf/syntax.h"
#include "template/template.h"

struct parser {
	struct templates *t;
	struct str	  rest;
	int		  line;
	const char	 *file;
	struct problems	 *problems;
};

static bool
next_line(struct parser *p, struct str *line)
{
	size_t n;

	if (p->rest.n == 0)
		return false;
	n = str_chr(p->rest, '\n');
	*line = str_first(p->rest, n);
	p->rest = str_from(p->rest, n + 1);
	p->line++;
	return true;
}

static bool
is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80 || s.p[i] == '\0')
			return false;
	return true;
}

/* What the word behind << begins with. */
static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z');
}

/* RFC 5322 2.2: printable characters, then a colon. 0: no header line. */
static size_t
label_length(struct str line)
{
	size_t n = str_chr(line, ':');

	for (size_t i = 0; i < n; i++)
		if (line.p[i] <= ' ' || line.p[i] > '~')
			return 0;
	return n < line.n ? n : 0;
}

enum wrong { NOTHING, EMPTY, NOT_ASCII, UNUSED, UNKNOWN };

static enum wrong
set_header(struct template *t, struct str label, struct str value)
{
	const struct { const char *name; struct str *to; } headers[] = {
		{ "charset", &t->charset }, { "from", &t->from },
		{ "subject", &t->subject },
		{ "postmaster-subject", &t->postmaster_subject },
	};

	if (value.n == 0)
		return EMPTY;
	if (!is_ascii(value))
		return NOT_ASCII;
	for (size_t i = 0; i < nitems(headers); i++) {
		if (!str_eq_nocase(label, str_of(headers[i].name)))
			continue;
		if (headers[i].to->n == 0)
			return UNUSED;
		*headers[i].to = value;
		return NOTHING;
	}
	return UNKNOWN;
}

/* Headers go into t, *text is what is behind them and empty lines. */
static bool
take_headers(struct parser *p, struct template *t, struct str *text)
{
	static const char *const words[][2] = {
		[EMPTY] = { "empty", "value" },
		[NOT_ASCII] = { "non-ASCII", "value" },
		[UNUSED] = { "inapplicable", "label" },
		[UNKNOWN] = { "unknown", "label" },
	};

	for (;;) {
		size_t eol = str_chr(*text, '\n');
		struct str line = str_first(*text, eol);
		size_t n = label_length(line);
		struct str label = str_first(line, n);
		enum wrong wrong;

		if (n == 0)
			break;
		wrong = set_header(t, label, blank_trim(str_from(line, n + 1)));
		if (wrong != NOTHING) {
			problem_add(p->problems, false, p->file, p->line,
			    "%s \"" STRF "\" header %s in %s template -- "
			    "ignoring this template", words[wrong][0],
			    STRV(str_first(label, 100)), words[wrong][1],
			    t->name);
			return false;
		}
		*text = str_from(*text, eol + 1);
	}
	while (text->n > 0 &&
	    blank_trim(str_first(*text, str_chr(*text, '\n'))).n == 0)
		*text = str_from(*text, str_chr(*text, '\n') + 1);
	return true;
}

static void
set_template(struct parser *p, struct template *to, struct str text)
{
	struct template t = *to;

	if (!take_headers(p, &t, &text))
		return;
	if (text.n == 0) {
		problem_add(p->problems, false, p->file, p->line, "missing "
		    "message text in %s template -- ignoring this template",
		    t.name);
		return;
	}
	t.is_8bit = !is_ascii(text);
	if (t.is_8bit && str_eq_nocase(t.charset, STR("us-ascii"))) {
		problem_add(p->problems, false, p->file, p->line, "8-bit "
		    "message text in %s template: please specify a charset "
		    "value other than us-ascii -- ignoring this template",
		    t.name);
		return;
	}
	t.text = text;
	*to = t;
}

/* The lines before the one that is the word alone, without its LF. */
static struct str
take_lines(struct parser *p, struct str word)
{
	struct str text = { p->rest.p, 0 }, line;

	while (next_line(p, &line)) {
		if (str_eq(line, word))
			return text;
		text.n = (size_t)(line.p + line.n - text.p);
	}
	problem_add(p->problems, false, p->file, p->line,
	    "missing \"" STRF "\" end marker", STRV(str_first(word, 100)));
	return text;
}

static void
take_template(struct parser *p, struct str name, struct str value)
{
	static const char suffix[] = "_template";

	if (str_starts(value, STR("<<"))) {
		struct str word = blank_trim(str_from(value, 2));
		const char *wrong = word.n == 0 ? "missing" :
		    !is_word(word.p[0]) ? "malformed" : NULL;

		if (wrong != NULL) {
			problem_add(p->problems, true, p->file, p->line,
			    "%s end marker after <<", wrong);
			return;
		}
		value = take_lines(p, word);
	}
	for (size_t i = 0; i < TEMPLATE__MAX; i++) {
		struct template *t = &p->t->v[i];

		if (str_starts(name, str_of(t->name)) &&
		    str_eq(str_from(name, strlen(t->name)), STR(suffix))) {
			set_template(p, t, value);
			return;
		}
	}
	problem_add(p->problems, false, p->file, p->line, "unknown template "
	    "name: " STRF " -- ignoring this template",
	    STRV(str_first(name, 100)));
}

void
templates_parse(struct templates *t, struct str text, const char *file,
    struct problems *problems)
{
	struct parser p = { t, text, 0, file, problems };
	struct str line, name, value;
	const char *wrong;

	t->file = file;
	while (next_line(&p, &line)) {
		if (blank_trim(line).n == 0 || blank_trim(line).p[0] == '#')
			continue;
		wrong = split_name_value(line, &name, &value);
		if (wrong != NULL) {
			problem_add(problems, true, file, p.line,
			    "%s: \"" STRF "\"", wrong,
			    STRV(str_first(line, 100)));
			return;
		}
		take_template(&p, name, value);
	}
}
