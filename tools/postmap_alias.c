/*
 * postmap_alias - the lines of aliases(5), as postalias stores them.
 *
 *   alias   = name *LWSP ":" *LWSP value
 *   name    = 1*word		; no @ % , outside quotes
 *   value   = 1*(word / special)
 *   word    = atom / quoted-string / comment / domain-literal   (RFC 822 3.3)
 *   special = one of | % ! ( ) < > @ , ; : \ " . [ ]
 *
 * Both are stored in external form: blanks between words become one space,
 * ", " stands behind a comma, an atom that needs quotes gets them.
 */
#include "tools/postmap.h"

#define SPECIALS "|%!()<>@,;:\\\".[]"

enum kind { WORD, SPECIAL };

struct scan {
	struct str	 rest;
	struct buf	*key, *out;	/* out: key, and then value */
	bool		 any;		/* a token stands in out */
	enum kind	 last_kind;
	char		 last;
	bool		 has_colon, has_comma, has_domain;
};

static void	token(struct scan *, struct buf *value);
static void	comment(struct scan *);
static void	quoted(struct scan *, char end, const char *escape);
static void	atom(struct scan *);
static void	special(struct scan *, char c, struct buf *value);
static void	space_before(struct scan *, enum kind, char c);
static char	take(struct scan *);
static bool	is_blank(char c);
static bool	is_special(char c);

const char *
alias_split(struct str line, struct buf *key, struct buf *value)
{
	struct scan s = { .rest = line, .key = key, .out = key };

	buf_clear(key);
	buf_clear(value);
	if (memchr(line.p, '\0', line.n) != NULL)
		return "null byte in text";
	while (s.rest.n > 0) {
		if (is_blank(s.rest.p[0]))
			(void)take(&s);
		else
			token(&s, value);
	}
	if (key->n == 0 && !s.has_colon)
		return NULL;
	if (!s.has_colon || key->n == 0 || value->n == 0 || s.has_comma)
		return "need name:value pair";
	if (s.has_domain)
		return "name must be local and have no domain";
	if (str_eq(buf_view(key), STR("\"\"")))
		return "need name:value pair";
	if (key->full || value->full)
		return "line too long";
	while (value->n > 0 && value->p[value->n - 1] == ' ')
		value->n--;
	return NULL;
}

static void
token(struct scan *s, struct buf *value)
{
	char c = s->rest.p[0];

	if (c == '(')
		comment(s);
	else if (c == '"')
		quoted(s, '"', "\"\\\r\n");
	else if (c == '[')
		quoted(s, ']', "[]\\\r\n");
	else if (c != '\\' && is_special(c))
		special(s, take(s), value);
	else
		atom(s);
}

/* In external form; comments nest. */
static void
comment(struct scan *s)
{
	unsigned level = 0;

	space_before(s, WORD, '(');
	do {
		char c = take(s);

		buf_putc(s->out, c);
		if (c == '(')
			level++;
		else if (c == ')')
			level--;
		else if (c == '\\' && s->rest.n > 0)
			buf_putc(s->out, take(s));
	} while (level > 0 && s->rest.n > 0);
}

/* "..." or [...]; what is not closed ends with the line. */
static void
quoted(struct scan *s, char end, const char *escape)
{
	char c = take(s);

	space_before(s, WORD, c);
	buf_putc(s->out, c);
	while (s->rest.n > 0) {
		c = take(s);
		if (c == end)
			break;
		if (c == '\\' && s->rest.n > 0)
			c = take(s);
		else if (c == '\\')
			break;
		if (is_blank(c))
			c = ' ';
		if (strchr(escape, c) != NULL)
			buf_putc(s->out, '\\');
		buf_putc(s->out, c);
	}
	buf_putc(s->out, end);
}

/* \x stands for x; with a special or blank in it the atom gets quotes. */
static void
atom(struct scan *s)
{
	bool needs_quotes = false;
	struct scan ahead = *s;

	while (ahead.rest.n > 0 && !is_blank(ahead.rest.p[0]) &&
	    (ahead.rest.p[0] == '\\' || !is_special(ahead.rest.p[0]))) {
		char c = take(&ahead);

		if (c == '\\' && ahead.rest.n > 0)
			c = take(&ahead);
		else if (c == '\\')
			break;
		if (is_blank(c) || is_special(c) || (uint8_t)c < ' ' ||
		    c == 0x7f)
			needs_quotes = true;
	}
	space_before(s, WORD, 'a');
	if (needs_quotes)
		buf_putc(s->out, '"');
	while (s->rest.n > ahead.rest.n) {
		char c = take(s);

		if (c == '\\' && s->rest.n == 0)
			break;
		if (c == '\\')
			c = take(s);
		if (is_blank(c))
			c = ' ';
		if (needs_quotes && (c == '"' || c == '\\'))
			buf_putc(s->out, '\\');
		buf_putc(s->out, c);
	}
	if (needs_quotes)
		buf_putc(s->out, '"');
}

static void
special(struct scan *s, char c, struct buf *value)
{
	if (c == ':' && !s->has_colon) {
		s->has_colon = true;
		s->out = value;
		s->any = false;
		return;
	}
	if (!s->has_colon) {
		s->has_comma |= c == ',';
		s->has_domain |= c == '@' || c == '%';
	}
	space_before(s, SPECIAL, c);
	buf_putc(s->out, c);
	if (c == ',')
		buf_putc(s->out, ' ');
}

/* A blank between two words, and before <address>. */
static void
space_before(struct scan *s, enum kind kind, char c)
{
	if (s->any && s->last != ',' &&
	    ((kind == WORD && s->last_kind == WORD) || c == '<'))
		buf_putc(s->out, ' ');
	s->any = true;
	s->last_kind = kind;
	s->last = kind == SPECIAL ? c : 'a';
}

static char
take(struct scan *s)
{
	char c = s->rest.p[0];

	s->rest = str_from(s->rest, 1);
	return c;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_special(char c)
{
	return c != '\0' && strchr(SPECIALS, c) != NULL;
}
