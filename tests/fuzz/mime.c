/*
 * The walk through a header, unfolding, dates and phrases on any bytes.
 * Fields and body together must be the input, byte for byte.
 */
#include "mime/mime.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_text(struct str s)
{
	struct buf out;
	int64_t when;

	buf_init(&out, 1 << 20);
	mime_unfold(s, &out);
	assert(out.n <= s.n);
	if (mime_date_parse(s, &when))
		assert(when > -3000000000 && when < 300000000000);
	buf_clear(&out);
	mime_phrase_print(s, STR("utf-8"), &out);
	assert(memchr(out.p ? out.p : "", '\n', out.n) == NULL);
	assert(memchr(out.p ? out.p : "", '\r', out.n) == NULL);
	buf_clear(&out);
	mime_comment_print(s, STR("iso-8859-1"), &out);
	assert(out.n >= 2 && out.p[out.n - 1] == ')');
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = { (const char *)data, n }, before = rest;
	struct mime_field f;

	if (n > 1 << 14)
		return 0;
	check_text(rest);
	while (mime_field_next(&rest, &f)) {
		assert(f.whole.p == before.p);
		assert(rest.p == f.whole.p + f.whole.n);
		assert(f.name.n > 0 && f.name.p == f.whole.p);
		assert(f.body.p > f.name.p &&
		    f.body.p + f.body.n <= f.whole.p + f.whole.n);
		assert(mime_header_find(f.name) == f.id);
		check_text(f.body);
		before = rest;
	}
	assert(rest.n <= before.n && before.n - rest.n <= 2);
	return 0;
}
