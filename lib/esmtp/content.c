/*
 * content - from the wire's form of a message to its content.
 *
 * A state for each thing that can come last. In DATA, a dot at the start of a
 * line is taken off (RFC 5321 4.5.2), and CRLF "." CRLF is the end. A line
 * that ended in a bare LF does not count as ended by CRLF: what follows it
 * can be no end of data (SMTP smuggling, CVE-2023-51764), unless the caller
 * knows the client, and no line of the message ended in CRLF.
 */
#include "esmtp/esmtp.h"

enum {
	CRLF_BEFORE,	/* at the start of a line, after CRLF or at first */
	LF_BEFORE,	/* at the start of a line, after a bare LF */
	IN_LINE,
	AFTER_CR,	/* in a line, a CR is held back */
	AFTER_DOT,	/* CRLF "." was seen: the dot is held back */
	AFTER_DOT_CR,	/* CRLF "." CR: both are held back */
	AFTER_LF_DOT,	/* bare LF "." was seen: the dot is held back */
};

struct emitter {
	struct content *c;
	void	      (*fn)(void *, struct str);
	void	       *ctx;
};

static bool   lf_may_end(const struct content *);
static void   emit(struct emitter *, struct str);
static size_t feed_line(struct content *, struct str, struct emitter *);
static size_t feed_start(struct content *, struct str, struct emitter *);
static size_t feed_dot(struct content *, struct str, struct emitter *);
static size_t feed_cr(struct content *, struct str, struct emitter *);

void
content_init(struct content *c, bool dots)
{
	*c = (struct content){ .dots = dots, .state = CRLF_BEFORE };
}

size_t
content_feed(struct content *c, struct str in,
    void (*fn)(void *ctx, struct str span), void *ctx)
{
	struct emitter e = { c, fn, ctx };
	struct str rest = in;

	while (rest.n > 0 && !c->done) {
		size_t n = 0;

		switch (c->state) {
		case CRLF_BEFORE:
		case LF_BEFORE:
			n = feed_start(c, rest, &e);
			break;
		case IN_LINE:
			n = feed_line(c, rest, &e);
			break;
		case AFTER_CR:
			n = feed_cr(c, rest, &e);
			break;
		case AFTER_DOT:
		case AFTER_DOT_CR:
			n = feed_dot(c, rest, &e);
			break;
		case AFTER_LF_DOT:
			if (rest.p[0] == '\n' && lf_may_end(c)) {
				c->done = true;
				n = 1;
				break;
			}
			/* No end can be here: a lone dot is content. */
			if (rest.p[0] == '\n' || rest.p[0] == '\r')
				emit(&e, STR("."));
			c->state = IN_LINE;
			break;
		}
		rest = str_from(rest, n);
	}
	return in.n - rest.n;
}

static bool
lf_may_end(const struct content *c)
{
	return c->lf_ends && !c->crlf;
}

static void
emit(struct emitter *e, struct str s)
{
	if (s.n == 0)
		return;
	e->c->size += s.n;
	e->fn(e->ctx, s);
}

/*
 * Whole lines that need no change go out as one span: from here to the last
 * CRLF before a dot, a bare CR or LF, or the end of what there is.
 */
static size_t
feed_line(struct content *c, struct str in, struct emitter *e)
{
	size_t at = 0;

	for (;;) {
		size_t lf = at + str_chr(str_from(in, at), '\n');
		size_t end = lf;

		if (lf == in.n) {		/* no line end yet */
			if (in.p[in.n - 1] == '\r') {
				emit(e, str_first(in, in.n - 1));
				c->state = AFTER_CR;
			} else
				emit(e, in);
			return in.n;
		}
		if (lf == 0 || in.p[lf - 1] != '\r') {
			emit(e, str_first(in, end));
			emit(e, STR("\r\n"));
			c->bare_lf = true;
			c->state = LF_BEFORE;
			return lf + 1;
		}
		c->crlf = true;
		at = lf + 1;
		if (at == in.n || (c->dots && in.p[at] == '.') ||
		    in.p[at] == '\r' || in.p[at] == '\n') {
			emit(e, str_first(in, at));
			c->state = CRLF_BEFORE;
			return at;
		}
	}
}

static size_t
feed_start(struct content *c, struct str in, struct emitter *e)
{
	if (in.p[0] == '.' && c->dots) {
		c->state = c->state == CRLF_BEFORE ? AFTER_DOT : AFTER_LF_DOT;
		return 1;
	}
	if (in.p[0] == '\r') {
		c->state = AFTER_CR;
		return 1;
	}
	if (in.p[0] == '\n') {
		emit(e, STR("\r\n"));
		c->bare_lf = true;
		c->state = LF_BEFORE;
		return 1;
	}
	c->state = IN_LINE;
	return 0;
}

static size_t
feed_dot(struct content *c, struct str in, struct emitter *e)
{
	if (c->state == AFTER_DOT && in.p[0] == '\r') {
		c->state = AFTER_DOT_CR;
		return 1;
	}
	if (c->state == AFTER_DOT && in.p[0] == '\n' && lf_may_end(c)) {
		c->done = true;			/* no other line came */
		return 1;
	}
	if (c->state == AFTER_DOT && in.p[0] == '\n') {
		/* CRLF "." LF is no end: the dot is content. */
		emit(e, STR(".\r\n"));
		c->bare_lf = true;
		c->state = LF_BEFORE;
		return 1;
	}
	if (c->state == AFTER_DOT) {
		c->state = IN_LINE;		/* the stuffed dot is gone */
		return 0;
	}
	if (in.p[0] == '\n') {
		c->done = true;
		return 1;
	}
	emit(e, STR("\r"));
	c->state = in.p[0] == '\r' ? AFTER_CR : IN_LINE;
	return in.p[0] == '\r' ? 1 : 0;
}

static size_t
feed_cr(struct content *c, struct str in, struct emitter *e)
{
	if (in.p[0] == '\n') {
		emit(e, STR("\r\n"));
		c->crlf = true;
		c->state = CRLF_BEFORE;
		return 1;
	}
	emit(e, STR("\r"));
	if (in.p[0] == '\r')
		return 1;
	c->state = IN_LINE;
	return 0;
}
