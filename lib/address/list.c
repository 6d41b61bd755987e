/*
 * list - addresses of header fields and of sendmail's command line.
 *
 * RFC 5322 3.4 with the obsolete forms of 4.4:
 *   address-list = (address *("," address))
 *   address      = mailbox / group
 *   mailbox      = name-addr / addr-spec
 *   name-addr    = [display-name] [CFWS] "<" [obs-route] addr-spec ">" [CFWS]
 *   group        = display-name ":" [group-list] ";" [CFWS]
 *   addr-spec    = local-part "@" domain
 *   comment      = "(" *([FWS] (ctext / quoted-pair / comment)) [FWS] ")"
 * What is not closed ends at the end of the text. Blanks between words stay
 * as one space, so "To: alice bob" is one odd name, as with Postfix.
 */
#include "address/internal.h"

#define COMMENT_DEPTH_MAX 100

struct element {
	struct draft addr;	/* internal form */
	struct draft phrase;	/* words before "<" */
	struct draft comment;	/* text of the last comment */
	bool	 angle, closed;	/* "<" was seen, ">" was seen */
	bool	 gap;		/* blanks stood before what comes now */
	bool	 word;		/* the last byte of addr belongs to a word */
	unsigned ats;		/* '@' that split */
	bool	 quoted_in_domain;
};

static void
put_phrase(struct element *e, char c, bool gap)
{
	if (e->angle)
		return;
	if (gap && e->phrase.n > 0)
		draft_putc(&e->phrase, ' ');
	draft_putc(&e->phrase, c);
}

/* A byte of a word: an atom, or the inside of quotes or brackets. */
static void
put_word(struct element *e, char c)
{
	put_phrase(e, c, e->gap);
	if (e->gap && e->word)
		draft_putc(&e->addr, ' ');
	draft_putc(&e->addr, c);
	e->gap = false;
	e->word = true;
}

/* '.' and '@' bind what stands on both sides; blanks around them go. */
static void
put_joint(struct element *e, char c)
{
	put_phrase(e, c, e->gap);
	draft_putc(&e->addr, c);
	e->gap = false;
	e->word = false;
	e->ats += c == '@';
}

/* Next byte inside quotes, with folding undone; false at the end. */
static bool
inner_byte(struct str *in, char closing, char *c, bool *escaped)
{
	for (; in->n > 0; *in = str_from(*in, 1)) {
		*escaped = false;
		*c = in->p[0];
		if (*c == '\r' || *c == '\n')
			continue;
		if (*c == closing) {
			*in = str_from(*in, 1);
			return false;
		}
		if (*c == '\\' && in->n > 1) {
			*escaped = true;
			*in = str_from(*in, 1);
			*c = in->p[0];
		}
		if (*c == '\t')
			*c = ' ';
		*in = str_from(*in, 1);
		return true;
	}
	return false;
}

static void
read_quoted(struct str *in, struct element *e)
{
	bool escaped;
	char c;

	while (inner_byte(in, '"', &c, &escaped)) {
		if (c == '@')
			e->addr.hidden_at = true;
		if (e->ats > 0)
			e->quoted_in_domain = true;
		put_word(e, c);
	}
}

static void
read_literal(struct str *in, struct element *e)
{
	bool escaped;
	char c;

	put_word(e, '[');
	while (inner_byte(in, ']', &c, &escaped)) {
		if (escaped || c == '@' || c == '[' || c == '\\')
			e->addr.bad = true;
		if (c != ' ')
			put_word(e, c);
	}
	put_word(e, ']');
}

static void
read_comment(struct str *in, struct element *e)
{
	unsigned depth = 1;
	bool escaped;
	char c;

	e->comment = (struct draft){ .n = 0 };
	/* ")" is counted below; a NUL, which has no place here, ends it. */
	while (depth > 0 && inner_byte(in, '\0', &c, &escaped)) {
		if (!escaped && c == '(' && depth < COMMENT_DEPTH_MAX)
			depth++;
		if (!escaped && c == ')')
			depth--;
		if (depth > 0)
			draft_putc(&e->comment, c);
	}
	e->gap = true;
}

static void
restart(struct element *e)
{
	bool angle = e->angle;
	struct draft phrase = e->phrase, comment = e->comment;

	*e = (struct element){ .angle = angle, .comment = comment };
	if (angle)
		e->phrase = phrase;
}

static void
skip_trailer(struct str *in, struct element *e)
{
	while (in->n > 0 && in->p[0] != ',' && in->p[0] != ';') {
		char c = in->p[0];

		*in = str_from(*in, 1);
		if (c == '(')
			read_comment(in, e);
	}
}

/* Bytes with a meaning; the rest are parts of words. */
static void
read_byte(struct str *in, struct element *e, char c)
{
	switch (c) {
	case ' ': case '\t': case '\r': case '\n':
		e->gap = true;
		break;
	case '(':
		read_comment(in, e);
		break;
	case '"':
		read_quoted(in, e);
		break;
	case '[':
		read_literal(in, e);
		break;
	case ':':			/* a group's name, or a route */
		restart(e);
		break;
	case '<':
		e->angle = true;
		restart(e);
		break;
	case '>':
		e->closed = true;
		skip_trailer(in, e);
		break;
	case '.': case '@':
		put_joint(e, c);
		break;
	case '\\':
		if (in->n > 0) {
			if (in->p[0] == '@')
				e->addr.hidden_at = true;
			if (e->ats > 0)
				e->quoted_in_domain = true;
			put_word(e, in->p[0]);
			*in = str_from(*in, 1);
		}
		break;
	default:
		put_word(e, c);
	}
}

/* Up to and with the separator. */
static void
read_element(struct str *in, struct element *e)
{
	*e = (struct element){ .ats = 0 };
	while (in->n > 0) {
		char c = in->p[0];

		*in = str_from(*in, 1);
		if (c == ',' && e->angle && !e->closed && e->addr.n > 0 &&
		    e->addr.p[0] == '@')
			continue;		/* between a route's hosts */
		if (c == ',' || c == ';')
			return;
		read_byte(in, e, c);
	}
}

/* What may stand behind '@': no DNS rules here, it may be a local name. */
static bool
is_domain(struct str s)
{
	bool dot = true;

	if (s.n > 2 && s.p[0] == '[')
		return str_chr(s, ']') == s.n - 1;
	for (size_t i = 0; i < s.n; i++) {
		if (byte_is_special(s.p[i]) || (dot && s.p[i] == '.'))
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

static bool
element_address(struct element *e, struct str *addr)
{
	struct draft *d = &e->addr;
	size_t at;

	if (e->ats == 1 && d->n > 1 && d->p[d->n - 1] == '@') {
		d->n--;				/* "user@" */
		e->ats = 0;
	}
	*addr = (struct str){ d->p, d->n };
	at = str_rchr(*addr, '@');
	if (e->ats == 1 && d->n > at + 2 && d->p[d->n - 1] == '.')
		addr->n = --d->n;		/* the DNS root's dot */
	if (d->full || d->bad || d->n == 0 || e->ats > 1 || at == 0)
		return false;
	if (d->hidden_at && e->ats == 0)
		return false;
	if (e->quoted_in_domain ||
	    (e->ats == 1 && !is_domain(str_from(*addr, at + 1))))
		return false;
	return utf8_valid(*addr);
}

bool
address_list_next(struct str *rest, struct arena *a, struct str *addr)
{
	struct element e;
	struct str got;

	while (rest->n > 0) {
		read_element(rest, &e);
		if (element_address(&e, &got)) {
			*addr = arena_str(a, got);
			return true;
		}
	}
	*addr = STR("");
	return false;
}

bool
address_read_mailbox(struct str s, struct arena *a, struct str *phrase,
    struct str *addr)
{
	struct element e;
	struct str got, name;
	bool empty;

	read_element(&s, &e);
	empty = e.angle && e.addr.n == 0 && !e.addr.full;	/* "<>" */
	*phrase = *addr = STR("");
	if ((!element_address(&e, &got) && !empty) || str_trim(s).n > 0)
		return false;
	name = e.angle ? (struct str){ e.phrase.p, e.phrase.n } : STR("");
	if (name.n == 0)
		name = str_trim((struct str){ e.comment.p, e.comment.n });
	*addr = arena_str(a, got);
	*phrase = utf8_valid(name) && !e.phrase.bad && !e.comment.bad ?
	    arena_str(a, name) : STR("");
	return true;
}
