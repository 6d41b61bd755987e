/*
 * Address headers on any bytes. What rewrite_header changes it may only
 * complete: a second pass finds nothing more to do, and no line end or
 * comma is added.
 */
#include "cleanup/cleanup.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static size_t
count(struct str s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct rewrite rules = { STR("example.org"), STR("example.org"),
		true, true, true, true };
	struct str in = { (const char *)data, n }, once;
	struct arena *arena = arena_new(1 << 24);
	struct buf out;

	buf_init(&out, 1 << 20);
	if (n < 1 << 14 && rewrite_header(&rules, in, 10000, NULL, &out)) {
		once = arena_str(arena, buf_view(&out));
		assert(count(once, '\n') <= count(in, '\n'));
		assert(count(once, ',') <= count(in, ','));
		/* An empty name of a route, "user%" or "%host", is quoted. */
		assert(count(once, '"') <= count(in, '"') +
		    2 * (count(in, '%') + count(in, '!')));
		buf_clear(&out);
		(void)rewrite_header(&rules, once, 10000, NULL, &out);
	}
	if (n < ADDRESS_MAX) {
		once = rewrite_address(&rules, arena, in);
		assert(str_eq(once, in) || str_eq(in, STR("@")) ||
		    str_chr(once, '@') < once.n);
		assert(once.n <= in.n + 25);
	}
	buf_free(&out);
	arena_free(&arena);
	return 0;
}
