/*
 * showq's listing, which set-gid postqueue reads: nothing but a whole one
 * ends well.
 */
#include "showq/showq.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static bool
more(void *ctx, struct buf *in)
{
	struct str *rest = ctx, piece = str_first(*rest, 13);

	if (piece.n == 0)
		return false;
	buf_str(in, piece);
	*rest = str_from(*rest, piece.n);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct arena *a = arena_new((size_t)1 << 26);
	enum showq_item item = SHOWQ_BAD;
	struct showq_message m;
	struct showq_reader r;
	struct showq_rcpt p;
	size_t n = 0;

	showq_reader_init(&r, more, &rest);
	if (size < 1 << 20 && showq_read_start(&r))
		while ((item = showq_read_message(&r, a, &m)) == SHOWQ_ITEM) {
			assert(m.size >= 0 && m.time_s >= 0);
			while ((item = showq_read_rcpt(&r, a, &p)) ==
			    SHOWQ_ITEM)
				n++;
			if (item == SHOWQ_BAD)
				break;
		}
	assert(n <= size);
	/* A whole listing ends with an empty name, and is at least that. */
	assert(item != SHOWQ_END || (size > rest.n && r.at > 0 &&
	    r.in.p[r.at - 1] == '\0'));
	showq_reader_free(&r);
	arena_free(&a);
	return 0;
}
