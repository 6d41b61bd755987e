/*
 * content - the framing of DATA: however the bytes are cut, the same content,
 * the same end; and no content ever holds a bare LF.
 */
#include <stdlib.h>

#include "esmtp/esmtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct sink { uint32_t crc; size_t n; char last; bool bare; };

static void
take(void *ctx, struct str span)
{
	struct sink *s = ctx;

	for (size_t i = 0; i < span.n; i++) {
		if (span.p[i] == '\n' && s->last != '\r')
			s->bare = true;
		s->last = span.p[i];
	}
	s->crc = crc32c(s->crc, span.p, span.n);
	s->n += span.n;
}

static size_t
feed(struct str in, bool dots, size_t step, struct sink *s, bool *done)
{
	struct content c;
	size_t used = 0;

	content_init(&c, dots);
	while (used < in.n && !c.done)
		used += content_feed(&c, str_first(str_from(in, used), step),
		    take, s);
	*done = c.done;
	if (c.size != s->n || (!dots && c.done))
		abort();
	return used;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };

	for (int dots = 0; dots < 2; dots++) {
		struct sink whole = { 0 }, cut = { 0 };
		bool end_whole, end_cut;
		size_t a = feed(in, dots, size > 0 ? size : 1, &whole,
		    &end_whole);
		size_t b = feed(in, dots, 1 + size % 7, &cut, &end_cut);

		if (a != b || end_whole != end_cut || whole.n != cut.n ||
		    whole.crc != cut.crc || whole.bare || cut.bare)
			abort();
		if (end_whole && (a < 3 || memcmp(in.p + a - 3, ".\r\n", 3)))
			abort();
	}
	return 0;
}
