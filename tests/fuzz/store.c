/*
 * store_text over any bytes: however they are cut, the result is the same;
 * no CRLF and (quoted) no "From " line is left; what was taken off is CRs
 * alone, what was put in is '>' alone.
 */
#include "local/local.h"
#include "store/store.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* All of it, `step` bytes shown at a time. */
static void
convert(struct str in, bool quote, size_t step, struct buf *out)
{
	struct store_text t = { .quote_from = quote };
	uint64_t lines = 0;

	buf_clear(out);
	while (in.n > 0) {
		struct str show = str_first(in, step);
		size_t got, taken;
		char *room = buf_space(out, STORE_TEXT_MAX(show.n));

		assert(room != NULL);
		taken = store_text(&t, show, show.n == in.n, room, &got);
		assert(got <= STORE_TEXT_MAX(show.n));
		assert(taken <= show.n && show.n - taken <= 5);
		assert(show.n < in.n || taken == show.n);
		out->n += got;
		in = str_from(in, taken);
	}
	for (size_t i = 0; i < out->n; i++)
		lines += out->p[i] == '\n';
	assert(lines == t.lines);
	assert(t.in_line == (out->n > 0 && out->p[out->n - 1] != '\n'));
}

/* Read beside each other, in and out differ as they should. */
static void
compare(struct str in, bool quote, struct str out)
{
	bool start = true;
	size_t o = 0;

	for (size_t i = 0; i < in.n; i++) {
		if (start && quote && str_starts(str_from(in, i),
		    STR("From "))) {
			assert(o < out.n && out.p[o] == '>');
			o++;
		}
		start = in.p[i] == '\n';
		if (in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n')
			continue;
		assert(o < out.n && out.p[o] == in.p[i]);
		o++;
	}
	assert(o == out.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct buf whole, cut;

	if (size > 65536)
		return 0;
	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	for (int quote = 0; quote < 2; quote++) {
		convert(in, quote != 0, size + 1, &whole);
		compare(in, quote != 0, buf_view(&whole));
		for (size_t step = 6; step < 12; step++) {
			convert(in, quote != 0, step, &cut);
			assert(str_eq(buf_view(&whole), buf_view(&cut)));
		}
	}
	buf_free(&whole);
	buf_free(&cut);
	(void)loop_in_header(in, STR("a@b"));
	return 0;
}
