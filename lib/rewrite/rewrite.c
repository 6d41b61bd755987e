/*
 * rewrite - complete addresses: site!user, user%site, user, user@host.
 *
 * The rules of trivial-rewrite(8), on internal form for the envelope and in
 * place for header fields: there an address is found by its tokens (RFC 5322
 * 3.2, 3.4) and edited where it stands, all else stays byte for byte.
 */
#include "address/address.h"
#include "mime/mime.h"
#include "rewrite/rewrite.h"

static struct str
join(struct arena *a, struct str left, char c, struct str right)
{
	char *p = arena_alloc(a, left.n + right.n + 2);

	if (left.n > 0)
		memcpy(p, left.p, left.n);
	p[left.n] = c;
	if (right.n > 0)
		memcpy(p + left.n + 1, right.p, right.n);
	return (struct str){ p, left.n + 1 + right.n };
}

/* Bytes that make no quotes needed: then '!' and '%' are routes. */
static bool
is_bare(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 32 ||
		    memchr("()<>[]:;,\\\"\x7f", s.p[i], 12) != NULL)
			return false;
	return s.n > 0;
}

struct str
rewrite_address(const struct rewrite *r, struct arena *a, struct str s)
{
	size_t at = str_rchr(s, '@'), bang = str_chr(s, '!');
	size_t percent = str_rchr(s, '%');
	struct str domain;

	if (s.n == 0 || str_eq(s, STR("@")))
		return str_first(s, 0);
	if (at == s.n && r->swap_bangpath && bang < s.n && is_bare(s))
		s = join(a, str_from(s, bang + 1), '@', str_first(s, bang));
	else if (at == s.n && r->percent_hack && percent < s.n && is_bare(s))
		s = join(a, str_first(s, percent), '@',
		    str_from(s, percent + 1));
	else if (at == s.n && r->append_origin && r->origin.n > 0)
		s = join(a, s, '@', r->origin);
	at = str_rchr(s, '@');
	domain = str_from(s, at + 1);
	if (domain.n == 0 || domain.p[0] == '[')
		return s;
	if (r->append_domain && r->domain.n > 0 &&
	    str_chr(domain, '.') == domain.n)
		return join(a, s, '.', r->domain);
	if (domain.n > 1 && s.p[s.n - 1] == '.' && s.p[s.n - 2] != '.')
		s.n--;
	return s;
}

/* --- header fields --- */

enum token { T_END, T_WORD, T_QUOTED, T_LITERAL, T_SPECIAL };

#define NOWHERE	SIZE_MAX
struct span {			/* one address, by offsets into the body */
	size_t start, end;
	size_t at, bang, percent;
	size_t tokens;
	char   last, before_last;	/* 'w' or the special */
	bool   gap;		/* two words side by side: no address */
	bool   literal, dot;	/* behind the last '@' */
	size_t route;		/* where a source route begins */
};

struct edit {
	const struct rewrite *rules;
	struct str	 body;
	size_t		 pos;	/* scanner */
	size_t		 copied; /* of body, into out */
	struct buf	*out;
	struct span	 span;
	const struct header_map *map;
	bool		 angle, done;	/* in < >; element is complete */
	bool		 changed;
};

static void
span_clear(struct span *s)
{
	*s = (struct span){ .start = NOWHERE, .at = NOWHERE, .bang = NOWHERE,
		.percent = NOWHERE, .route = NOWHERE };
}

static void
skip_until(struct edit *e, char close)
{
	for (e->pos++; e->pos < e->body.n; e->pos++) {
		char c = e->body.p[e->pos];

		if (c == '\\' && e->pos + 1 < e->body.n)
			e->pos++;
		else if (c == close)
			break;
	}
	if (e->pos < e->body.n)
		e->pos++;
}

static bool
is_special(char c)
{
	return memchr("()<>[]:;@,.\" \t\r\n", c, 16) != NULL && c != '\0';
}

static enum token
next_token(struct edit *e, size_t *start)
{
	struct str rest = str_from(e->body, e->pos);

	mime_skip_cfws(&rest);
	e->pos = e->body.n - rest.n;
	*start = e->pos;
	if (e->pos >= e->body.n)
		return T_END;
	switch (e->body.p[e->pos]) {
	case '"':
		skip_until(e, '"');
		return T_QUOTED;
	case '[':
		skip_until(e, ']');
		return T_LITERAL;
	case '<': case '>': case ',': case ';': case ':': case '@': case '.':
		e->pos++;
		return T_SPECIAL;
	}
	/* A stray ) or ] is a word of its own. */
	do
		e->pos++;
	while (e->pos < e->body.n && !is_special(e->body.p[e->pos]));
	return T_WORD;
}

static void
span_add(struct edit *e, enum token t, size_t start)
{
	struct span *s = &e->span;
	char kind = t == T_SPECIAL ? e->body.p[start] : 'w';
	struct str text = { e->body.p + start, e->pos - start };

	if (s->start == NOWHERE)
		s->start = start;
	s->end = e->pos;
	s->gap = s->gap || (kind == 'w' && s->last == 'w');
	s->before_last = s->last;
	s->last = kind;
	s->tokens++;
	if (kind == '@') {
		s->at = start;
		s->dot = s->literal = false;
	}
	s->dot = s->dot || kind == '.';
	s->literal = s->literal || t == T_LITERAL;
	if (t != T_WORD || s->at != NOWHERE)
		return;
	if (s->bang == NOWHERE && str_chr(text, '!') < text.n)
		s->bang = start + str_chr(text, '!');
	if (str_rchr(text, '%') < text.n)
		s->percent = start + str_rchr(text, '%');
}

static void
put(struct edit *e, size_t from, size_t to)
{
	buf_add(e->out, e->body.p + from, to - from);
	e->copied = to;
}

/* local "@" domain of a route, by offsets into the body. */
static struct str
put_swapped(struct edit *e, struct str local, struct str domain, size_t end)
{
	if (local.n == 0)
		buf_puts(e->out, "\"\"");
	buf_str(e->out, local);
	buf_putc(e->out, '@');
	buf_str(e->out, domain);
	e->copied = end;
	e->changed = true;
	return domain;
}

/* Puts the address at span, with a domain where it has none. */
static struct str
put_qualified(struct edit *e, const struct span *s)
{
	const struct rewrite *r = e->rules;
	struct str text = str_first(e->body, s->end);

	if (r->swap_bangpath && s->bang != NOWHERE)
		return put_swapped(e, str_from(text, s->bang + 1),
		    str_from(str_first(text, s->bang), s->start), s->end);
	if (r->percent_hack && s->percent != NOWHERE)
		return put_swapped(e, str_from(str_first(text, s->percent),
		    s->start), str_from(text, s->percent + 1), s->end);
	put(e, s->start, s->end);
	if (!r->append_origin || r->origin.n == 0)
		return STR("");
	buf_putc(e->out, '@');
	buf_str(e->out, r->origin);
	return r->origin;
}

static bool
is_address(const struct edit *e)
{
	const struct span *s = &e->span;

	if (s->tokens == 1 && s->last == '@')
		return false;
	if (s->tokens == 1 && e->body.p[s->start] == '"' &&
	    s->end - s->start == 2)
		return false;
	return s->tokens > 0 && !s->gap;
}

/* The address at out->p[n], complete: what tables make of it. */
static void
map_address(struct edit *e, size_t n)
{
	struct str text = { e->out->p + n, e->out->n - n }, was, now;
	struct buf quoted;

	if (!address_list_next(&text, e->map->arena, &was))
		return;
	now = was;
	e->map->map(e->map->ctx, &now);
	if (str_eq(was, now))
		return;
	buf_init(&quoted, 2 * ADDRESS_MAX + 3);
	address_quote_822(now, &quoted);
	e->out->n = n;
	buf_str(e->out, buf_view(&quoted));
	buf_free(&quoted);
	e->changed = true;
}

static void
span_edit(struct edit *e)
{
	const struct rewrite *r = e->rules;
	struct span *s = &e->span;
	struct str domain = STR("");
	bool no_dot;
	size_t n;

	if (!is_address(e))
		return;
	put(e, e->copied, s->route != NOWHERE ? s->route : s->start);
	n = e->out->n;
	if (s->at == NOWHERE) {
		domain = put_qualified(e, s);
		no_dot = domain.n > 0 && str_chr(domain, '.') == domain.n;
	} else {
		put(e, s->start, s->end);
		no_dot = s->last == 'w' && !s->dot && !s->literal;
	}
	if (no_dot && r->append_domain && r->domain.n > 0) {
		buf_putc(e->out, '.');
		buf_str(e->out, r->domain);
	} else if (s->at != NOWHERE && s->last == '.' &&
	    s->before_last == 'w') {
		e->out->n--;
	}
	e->copied = s->end;
	e->changed = e->changed || s->route != NOWHERE ||
	    e->out->n - n != s->end - s->start;
	if (e->map != NULL)
		map_address(e, n);
}

/* "@a,@b:user@dom": what stood before the ':' is a route. */
static void
take_colon(struct edit *e)
{
	size_t route = NOWHERE;

	if (e->span.tokens > 0 && e->body.p[e->span.start] == '@')
		route = e->span.start;
	span_clear(&e->span);		/* or the name of a group */
	e->span.route = route;
}

static void
take_special(struct edit *e, char c, size_t start)
{
	switch (c) {
	case '<':
		span_clear(&e->span);
		e->angle = true;
		return;
	case ',':
		if (e->angle && e->span.tokens > 0 &&
		    e->body.p[e->span.start] == '@') {
			e->span.last = ',';
			return;		/* inside a route */
		}
		break;
	case ':':
		take_colon(e);
		return;
	case '@': case '.':
		if (!e->done)
			span_add(e, T_SPECIAL, start);
		return;
	}
	/* > , ; end an address; behind > only noise may stand. */
	if (!e->done)
		span_edit(e);
	span_clear(&e->span);
	e->angle = false;
	e->done = c == '>';
}

bool
rewrite_header(const struct rewrite *r, struct str body, size_t tokens_max,
    const struct header_map *map, struct buf *out)
{
	struct edit e = { .rules = r, .body = body, .map = map, .out = out };
	size_t was = out->n, tokens = 0, start;
	enum token t;

	span_clear(&e.span);
	while (tokens++ < tokens_max && (t = next_token(&e, &start)) != T_END) {
		if (t == T_SPECIAL)
			take_special(&e, body.p[start], start);
		else if (!e.done)
			span_add(&e, t, start);
	}
	if (tokens <= tokens_max && !e.done)
		span_edit(&e);
	put(&e, e.copied, body.n);
	if (!e.changed)
		out->n = was;
	return e.changed;
}
