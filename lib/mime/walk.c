/*
 * walk - the structure of a message as it passes: RFC 2045, RFC 2046 5.
 *
 * A part is a header and a body; a multipart holds parts between lines of
 * "--" boundary, a message/rfc822 begins with one more header. Whoever wrote
 * the message may be hostile: what doesn't fit a limit is text, and a line
 * that is no field ends a header. As lenient as Postfix's parser, so that
 * both see the same headers:
 *
 *   delimiter := "--" boundary *any CRLF      close := "--" boundary "--"
 */
#include "mime/mime.h"

enum state { PRIMARY, HEADER, TEXT };

struct level {
	struct buf     boundary;
	enum mime_kind within;		/* of its parts that do not say */
};

struct mime_walk {
	struct mime_walk_conf conf;
	const struct mime_walk_ops *ops;
	void		*ctx;
	enum state	 state;
	enum mime_place	 place;		/* of the header under way */
	enum mime_kind	 kind;
	enum mime_coding coding, domain;
	struct level	*levels;
	size_t		 nlevels, cap;
	struct buf	 field, line;
	uint64_t	 at;		/* bytes of this body */
	unsigned	 told;		/* faults */
	bool		 in_line;	/* behind a piece of a long one */
	bool		 field_open;	/* the field's line goes on */
};

static const struct { const char *word; enum mime_coding coding, domain; }
codings[] = {
	{ "7bit", MIME_7BIT, MIME_7BIT }, { "8bit", MIME_8BIT, MIME_8BIT },
	{ "binary", MIME_BINARY, MIME_BINARY },
	{ "base64", MIME_BASE64, MIME_7BIT },
	{ "quoted-printable", MIME_QP, MIME_7BIT },
};

struct mime_walk *
mime_walk_new(const struct mime_walk_conf *conf,
    const struct mime_walk_ops *ops, void *ctx)
{
	struct mime_walk *w = mem_new(sizeof(*w));

	w->conf = *conf;
	w->ops = ops;
	w->ctx = ctx;
	buf_init(&w->field, conf->header_max + conf->line_max + 4);
	buf_init(&w->line, conf->line_max + 4);
	return w;
}

static void
pop(struct mime_walk *w)
{
	buf_free(&w->levels[--w->nlevels].boundary);
}

void
mime_walk_free(struct mime_walk **wp)
{
	struct mime_walk *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	while (w->nlevels > 0)
		pop(w);
	mem_free(w->levels);
	buf_free(&w->field);
	buf_free(&w->line);
	mem_free(w);
}

enum mime_kind
mime_walk_kind(const struct mime_walk *w)
{
	return w->kind;
}

enum mime_coding
mime_walk_coding(const struct mime_walk *w)
{
	return w->coding;
}

enum mime_coding
mime_walk_domain(const struct mime_walk *w)
{
	return w->domain;
}

static void
tell(struct mime_walk *w, enum mime_fault fault, struct str text)
{
	if ((w->conf.faults & fault) == 0 || (w->told & fault) != 0)
		return;
	w->told |= fault;
	if (w->ops->fault != NULL)
		w->ops->fault(w->ctx, fault, text);
}

static bool
has_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] & 0x80)
			return true;
	return false;
}

/* --- what a header says --- */

/*
 * RFC 2045 5.1: the next token, quoted string or special of a field body.
 * Comments go; *out is what the string stands for.
 */
static bool
next_token(struct str *rest, struct buf *out, bool *is_special)
{
	static const char specials[] = "()<>@,;:\\\"/[]?=";
	size_t i = 0;

	buf_clear(out);
	mime_skip_cfws(rest);
	*is_special = false;
	if (rest->n == 0)
		return false;
	if (rest->p[0] == '"') {
		for (i = 1; i < rest->n && rest->p[i] != '"'; i++) {
			if (rest->p[i] == '\\' && i + 1 < rest->n)
				i++;
			/* A fold, with blanks on both sides, is one. */
			while (rest->p[i] == '\n' && out->n > 0 &&
			    (out->p[out->n - 1] == ' ' ||
			    out->p[out->n - 1] == '\t'))
				out->n--;
			if (rest->p[i] != '\r' && rest->p[i] != '\n')
				buf_putc(out, rest->p[i]);
		}
		*rest = str_from(*rest, i + 1);
		return true;
	}
	while (i < rest->n && (unsigned char)rest->p[i] > ' ' &&
	    strchr(specials, rest->p[i]) == NULL)
		i++;
	*is_special = i == 0;
	i = i > 0 ? i : 1;
	buf_str(out, str_first(*rest, i));
	*rest = str_from(*rest, i);
	return true;
}

static bool
is_word(const struct buf *b, const char *word)
{
	return str_eq_nocase(buf_view(b), str_of(word));
}

static void
push(struct mime_walk *w, struct str boundary, enum mime_kind within,
    struct str field)
{
	struct level *l;

	/* Postfix counts from the second. */
	if (w->nlevels > w->conf.nesting_max + 1) {
		tell(w, MIME_TOO_DEEP, field);
		return;
	}
	if (w->nlevels == w->cap) {
		w->cap = w->cap > 0 ? 2 * w->cap : 4;
		w->levels = mem_grow(w->levels, w->cap, sizeof(*l));
	}
	l = &w->levels[w->nlevels++];
	l->within = within;
	buf_init(&l->boundary, w->conf.boundary_max);
	buf_str(&l->boundary, str_first(boundary, w->conf.boundary_max));
}

/*
 * Each boundary counts, also a second one, and whatever way it is written:
 * readers differ, and no header shall hide from us.
 */
static void
take_boundaries(struct mime_walk *w, struct str rest, enum mime_kind within,
    struct str field)
{
	enum { BEGIN, NAME, EQUALS, ELSE } at = ELSE;
	struct buf token;
	bool special;

	buf_init(&token, w->conf.header_max);
	while (next_token(&rest, &token, &special)) {
		if (special && is_word(&token, ";"))
			at = BEGIN;
		else if (at == BEGIN && !special && is_word(&token, "boundary"))
			at = NAME;
		else if (at == NAME && special && is_word(&token, "="))
			at = EQUALS;
		else if (at == EQUALS) {
			push(w, buf_view(&token), within, field);
			at = ELSE;
		} else
			at = ELSE;
	}
	buf_free(&token);
}

static enum mime_kind
message_kind(const struct buf *subtype)
{
	if (is_word(subtype, "rfc822"))
		return MIME_MESSAGE;
	if (is_word(subtype, "external-body"))
		return MIME_EXTERNAL;
	if (is_word(subtype, "partial"))
		return MIME_PARTIAL;
	return is_word(subtype, "global") ? MIME_GLOBAL : MIME_OTHER;
}

static void
take_type(struct mime_walk *w, struct str body, struct str field)
{
	struct buf type, subtype;
	bool special, slash;

	buf_init(&type, 256);
	buf_init(&subtype, 256);
	if (!next_token(&body, &type, &special) || special)
		goto out;
	slash = next_token(&body, &subtype, &special) &&
	    is_word(&subtype, "/") && next_token(&body, &subtype, &special);
	if (!slash)
		buf_clear(&subtype);
	if (is_word(&type, "text"))
		w->kind = MIME_TEXT;
	else if (is_word(&type, "message"))
		w->kind = message_kind(&subtype);
	else if (is_word(&type, "multipart"))
		w->kind = MIME_MULTIPART;
	else
		w->kind = MIME_OTHER;
	if (w->kind == MIME_MULTIPART)
		take_boundaries(w, body, is_word(&subtype, "digest") ?
		    MIME_MESSAGE : MIME_TEXT, field);
out:
	buf_free(&type);
	buf_free(&subtype);
}

/* What we do not know is as if it was not there. */
static void
take_coding(struct mime_walk *w, struct str body)
{
	struct buf word;
	bool special;

	buf_init(&word, 256);
	if (next_token(&body, &word, &special))
		for (size_t i = 0; i < nitems(codings); i++)
			if (is_word(&word, codings[i].word)) {
				w->coding = codings[i].coding;
				w->domain = codings[i].domain;
			}
	buf_free(&word);
}

static void
look_at(struct mime_walk *w, struct str field)
{
	size_t n = mime_field_name(field);
	enum mime_header id = mime_header_find(str_first(field, n));
	struct str body = str_from(field, str_chr(field, ':') + 1);

	if (!w->conf.flat && id == MH_CONTENT_TYPE)
		take_type(w, body, field);
	if (!w->conf.flat && id == MH_CONTENT_TRANSFER_ENCODING)
		take_coding(w, body);
	if ((w->conf.faults & MIME_8BIT_HEADER) != 0 && has_8bit(field))
		tell(w, MIME_8BIT_HEADER, field);
}

/* RFC 2045 6.4, RFC 2046 5.2: what may not be encoded. */
static void
check_domain(struct mime_walk *w)
{
	bool bad = false;

	switch (w->kind) {
	case MIME_PARTIAL: case MIME_EXTERNAL:
		bad = w->domain != MIME_7BIT;
		break;
	case MIME_MESSAGE: case MIME_MULTIPART:
		bad = w->coding != w->domain;
		break;
	case MIME_TEXT: case MIME_OTHER: case MIME_GLOBAL:
		break;
	}
	for (size_t i = 0; bad && i < nitems(codings); i++)
		if (codings[i].coding == w->coding)
			tell(w, MIME_BAD_DOMAIN, str_of(codings[i].word));
}

static void
become(struct mime_walk *w, enum state state, enum mime_kind kind)
{
	w->state = state;
	w->kind = kind;
	w->coding = w->domain = MIME_7BIT;
}

static void
flush_field(struct mime_walk *w)
{
	struct str field = buf_view(&w->field);

	if (field.n >= 2 && field.p[field.n - 1] == '\n' &&
	    field.p[field.n - 2] == '\r')
		field.n -= 2;
	if (field.n > 0) {
		look_at(w, field);
		if (w->ops->field != NULL)
			w->ops->field(w->ctx, w->place, field);
	}
	buf_clear(&w->field);
	w->field_open = false;
}

/* Behind a header. empty: by an empty line; else by what is no field. */
static void
end_header(struct mime_walk *w, bool empty)
{
	flush_field(w);
	check_domain(w);
	if (w->state != PRIMARY && w->ops->header_end != NULL)
		w->ops->header_end(w->ctx, empty);
	w->at = 0;
	w->state = TEXT;
	if (w->conf.flat || !empty)
		return;
	if (w->kind == MIME_MESSAGE || w->kind == MIME_GLOBAL) {
		become(w, HEADER, MIME_TEXT);
		w->place = MIME_NESTED;
	} else if (w->kind == MIME_MULTIPART) {
		become(w, TEXT, MIME_OTHER);
	}
}

void
mime_walk_field(struct mime_walk *w, struct str field)
{
	look_at(w, field);
}

void
mime_walk_header_end(struct mime_walk *w)
{
	end_header(w, true);
}

/* --- lines --- */

/* Bytes of the field; what is far beyond the limit is let go. */
static void
add_to_field(struct mime_walk *w, struct str s)
{
	bool ends = s.n > 0 && s.p[s.n - 1] == '\n';

	if (w->field.n < w->conf.header_max)
		buf_str(&w->field, s);
	else {
		tell(w, MIME_LONG_HEADER, buf_view(&w->field));
		if (ends && w->field.p[w->field.n - 1] != '\n')
			buf_puts(&w->field, "\r\n");
	}
	w->field_open = !ends;
}

/* A line of a part's header; false: it is none, and text begins. */
static bool
header_line(struct mime_walk *w, struct str line, bool whole)
{
	struct str text = whole ? str_first(line, line.n - 2) : line;
	size_t name;

	if (w->field.n > 0 && text.n > 0 &&
	    (text.p[0] == ' ' || text.p[0] == '\t')) {
		add_to_field(w, line);
		return true;
	}
	flush_field(w);
	name = mime_field_name(text);
	if (name > 0) {
		buf_str(&w->field, str_first(line, name));
		add_to_field(w, str_from(line, str_chr(line, ':')));
		return true;
	}
	end_header(w, whole && text.n == 0);
	return whole && text.n == 0;
}

static void
look_for_boundary(struct mime_walk *w, struct str line)
{
	struct str text = str_from(line, 2);

	if (w->nlevels == 0 || line.n < 2 || line.p[0] != '-' ||
	    line.p[1] != '-')
		return;
	for (size_t i = w->nlevels; i > 0; i--) {
		struct str boundary = buf_view(&w->levels[i - 1].boundary);
		enum mime_kind within = w->levels[i - 1].within;

		if (boundary.n == 0 || !str_starts(text, boundary))
			continue;
		while (w->nlevels > i)
			pop(w);
		if (str_starts(str_from(text, boundary.n), STR("--"))) {
			pop(w);
			become(w, TEXT, MIME_OTHER);
		} else {
			become(w, HEADER, within);
			w->place = MIME_PART;
		}
		return;
	}
}

/* A line with its CRLF, or a piece of a long one. */
static void
take_line(struct mime_walk *w, struct str line, bool whole)
{
	bool begins = !w->in_line;

	w->in_line = !whole;
	if (w->field_open) {
		add_to_field(w, line);
		return;
	}
	if (w->state == HEADER && begins && header_line(w, line, whole))
		return;
	if ((w->conf.faults & MIME_8BIT_IN_7BIT) != 0 &&
	    w->coding == MIME_7BIT && has_8bit(line))
		tell(w, MIME_8BIT_IN_7BIT, line);
	if (begins)
		look_for_boundary(w, line);
	if (w->ops->line != NULL)
		w->ops->line(w->ctx, line, begins, w->at);
	w->at += line.n;
}

/* Bytes of s up to behind its first CRLF; 0: there is none. */
static size_t
line_end(const struct mime_walk *w, struct str s)
{
	for (size_t at = 0; at < s.n; at++) {
		at += str_chr(str_from(s, at), '\n');
		if (at < s.n && (at > 0 ? s.p[at - 1] == '\r' : w->line.n > 0 &&
		    w->line.p[w->line.n - 1] == '\r'))
			return at + 1;
	}
	return 0;
}

void
mime_walk_body(struct mime_walk *w, struct str s)
{
	while (s.n > 0) {
		size_t max = w->conf.line_max;
		size_t room = max > w->line.n ? max - w->line.n : 0;
		/* One more: a CRLF is not cut in two. */
		size_t n = line_end(w, str_first(s, room + 1));
		bool whole = n > 0;
		struct str piece = str_first(s, whole ? n : room);

		if (!whole && (s.n < room || (s.n == room &&
		    s.p[s.n - 1] == '\r'))) {
			buf_str(&w->line, s);
			return;
		}
		s = str_from(s, piece.n);
		if (w->line.n > 0) {
			buf_str(&w->line, piece);
			piece = buf_view(&w->line);
		}
		take_line(w, piece, whole);
		buf_clear(&w->line);
	}
}

void
mime_walk_end(struct mime_walk *w)
{
	if (w->line.n > 0)
		take_line(w, buf_view(&w->line), false);
	buf_clear(&w->line);
	if (w->state == HEADER)
		end_header(w, false);
}

const char *
mime_fault_text(enum mime_fault fault)
{
	switch (fault) {
	case MIME_TOO_DEEP:
		return "MIME nesting exceeds safety limit";
	case MIME_LONG_HEADER:
		return "message header length exceeds safety limit";
	case MIME_8BIT_HEADER:
		return "improper use of 8-bit data in message header";
	case MIME_8BIT_IN_7BIT:
		return "improper use of 8-bit data in message body";
	case MIME_BAD_DOMAIN:
		return "invalid message/* or multipart/* encoding domain";
	}
	return "";
}
