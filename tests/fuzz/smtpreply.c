/*
 * smtpreply - what a server says: replies, EHLO words; and the stuffer, whose
 * output content_feed() must read as what went in.
 */
#include <stdlib.h>

#include "esmtp/esmtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
collect(void *ctx, struct str span)
{
	buf_str(ctx, span);
}

static void
replies(struct str in)
{
	struct esmtp_reply r = { 0 };
	struct esmtp_offer o;
	size_t left;

	buf_init(&r.text, ESMTP_REPLY_TEXT_MAX);
	for (;;) {
		left = in.n;
		if (esmtp_reply_feed(&r, &in) != REPLY_OK)
			break;
		if (in.n >= left || r.code < 200 || r.code > 599 ||
		    r.text.full || (r.dsn.n > 0 &&
		    (unsigned)(r.dsn.p[0] - '0') != r.code / 100))
			abort();
		esmtp_offer_read(buf_view(&r.text), 0, &o);
		if (o.features >> 14 != 0)
			abort();
	}
	buf_free(&r.text);
}

/* Without folds, DATA gives back what was sent, line ends made whole. */
static void
stuff(struct str in, size_t cut)
{
	struct stuffer s;
	struct content c;
	struct buf wire, back;

	buf_init(&wire, 1 << 24);
	buf_init(&back, 1 << 24);
	stuffer_init(&s, true, 0);
	stuffer_feed(&s, str_first(in, cut), &wire);
	stuffer_feed(&s, str_from(in, cut), &wire);
	stuffer_end(&s, &wire);
	buf_puts(&wire, ".\r\n");
	content_init(&c, true);
	if (content_feed(&c, buf_view(&wire), collect, &back) != wire.n ||
	    !c.done)
		abort();
	if (str_chr(in, '\r') == in.n && str_chr(in, '\n') == in.n && in.n > 0 &&
	    (back.n != in.n + 2 || memcmp(back.p, in.p, in.n) != 0))
		abort();
	buf_clear(&wire);
	stuffer_init(&s, true, 1 + cut % 50);
	stuffer_feed(&s, in, &wire);
	stuffer_end(&s, &wire);
	for (struct str w = buf_view(&wire), line;
	    str_token(&w, "\n", &line);)
		if (line.n > 2 + cut % 50 + 2)	/* a stuffed dot, CR */
			abort();
	buf_free(&wire);
	buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };

	replies(in);
	stuff(in, size > 0 ? data[0] % (size + 1) : 0);
	return 0;
}
