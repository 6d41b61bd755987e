/*
 * esmtp - command lines, parameters, and the framing of content.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "esmtp/esmtp.h"

static void
collect(void *ctx, struct str span)
{
	buf_str(ctx, span);
}

static const struct {
	const char *in;		/* after DATA */
	const char *out;	/* content; NULL: as in */
	const char *rest;	/* what follows the end; NULL: no end seen */
	bool	    bare_lf;
} data_cases[] = {
	{ "hello\r\n.\r\nQUIT\r\n", "hello\r\n", "QUIT\r\n", false },
	{ ".\r\n", "", "", false },
	{ "..a\r\n.b\r\n...\r\n.\r\n", ".a\r\nb\r\n..\r\n", "", false },
	{ "a\r\n\r\n.\r\n", "a\r\n\r\n", "", false },
	/* What looks like an end and is none: every form of smuggling. */
	{ "a\n.\nMAIL\r\n.\r\n", "a\r\n.\r\nMAIL\r\n", "", true },
	{ "a\n.\r\nMAIL\r\n.\r\n", "a\r\n.\r\nMAIL\r\n", "", true },
	{ "a\r\n.\nMAIL\r\n.\r\n", "a\r\n.\r\nMAIL\r\n", "", true },
	{ "a\r.\rMAIL\r\n.\r\n", "a\r.\rMAIL\r\n", "", false },
	{ "a\r.\r\nMAIL\r\n.\r\n", "a\r.\r\nMAIL\r\n", "", false },
	{ "a\r\n.\rMAIL\r\n.\r\n", "a\r\n\rMAIL\r\n", "", false },
	{ "a\r\n.\r\r\nMAIL\r\n.\r\n", "a\r\n\r\r\nMAIL\r\n", "", false },
	{ "a\n..\r\n.\r\n", "a\r\n.\r\n", "", true },
	{ "\n\r\n.\r\n", "\r\n\r\n", "", true },
	{ "no end\r\n.", "no end\r\n", NULL, false },
	{ "no end\r\n.\r", "no end\r\n", NULL, false },
	{ "cr at the end\r", "cr at the end", NULL, false },
};

/* Each case whole, and cut in two at every byte, and byte by byte. */
static void
feed_cut(size_t i, size_t cut, size_t step)
{
	struct str in = str_of(data_cases[i].in), part;
	struct content c;
	struct buf out;
	size_t taken = 0;

	buf_init(&out, 1024);
	content_init(&c, true);
	while (taken < in.n && !c.done) {
		part = str_from(in, taken);
		part = str_first(part, taken < cut ? cut - taken :
		    step > 0 ? step : part.n);
		taken += content_feed(&c, part, collect, &out);
	}
	assert_string_equal(buf_cstr(&out), data_cases[i].out);
	assert_int_equal(c.size, out.n);
	assert_int_equal(c.done, data_cases[i].rest != NULL);
	assert_int_equal(c.bare_lf, data_cases[i].bare_lf);
	if (data_cases[i].rest != NULL)
		assert_string_equal(data_cases[i].in + taken,
		    data_cases[i].rest);
	buf_free(&out);
}

static void
test_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(data_cases); i++) {
		for (size_t cut = 0; cut <= strlen(data_cases[i].in); cut++)
			feed_cut(i, cut, 0);
		feed_cut(i, 0, 1);
	}
}

static void
test_bdat(void **state)
{
	struct content c;
	struct buf out;

	(void)state;
	buf_init(&out, 1024);
	content_init(&c, false);
	content_feed(&c, STR(".a\r\n.\r\n..b\nc"), collect, &out);
	assert_string_equal(buf_cstr(&out), ".a\r\n.\r\n..b\r\nc");
	assert_false(c.done);
	assert_true(c.bare_lf);
	buf_free(&out);
}

static void
test_line(void **state)
{
	static const struct {
		const char *in; enum line_end end; const char *line, *rest;
	} t[] = {
		{ "NOOP\r\nQUIT\r\n", LINE_OK, "NOOP", "QUIT\r\n" },
		{ "\r\n", LINE_OK, "", "" },
		{ "NOOP", LINE_MORE, NULL, "NOOP" },
		{ "NOOP\r", LINE_MORE, NULL, "NOOP\r" },
		{ "NOOP\nQUIT\r\n", LINE_BARE_LF, "NOOP", "QUIT\r\n" },
		{ "\n", LINE_BARE_LF, "", "" },
		{ "12345678\r\n", LINE_OK, "12345678", "" },
		{ "123456789\r\n", LINE_LONG, NULL, "123456789\r\n" },
		{ "1234567890", LINE_LONG, NULL, "1234567890" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct str in = str_of(t[i].in), line = STR("");

		assert_int_equal(esmtp_line(&in, 8, &line), t[i].end);
		assert_true(str_eq(in, str_of(t[i].rest)));
		if (t[i].line != NULL)
			assert_true(str_eq(line, str_of(t[i].line)));
	}
}

static void
test_params(void **state)
{
	struct str p = STR(" SIZE=10  BODY=8BITMIME SMTPUTF8 X=\x01 _=1"), k, v;
	bool bad;

	(void)state;
	assert_true(esmtp_param(&p, &k, &v, &bad) && !bad);
	assert_true(str_eq(k, STR("SIZE")) && str_eq(v, STR("10")));
	assert_true(esmtp_param(&p, &k, &v, &bad) && !bad);
	assert_true(esmtp_param(&p, &k, &v, &bad) && !bad);
	assert_true(str_eq(k, STR("SMTPUTF8")) && v.n == 0);
	assert_true(esmtp_param(&p, &k, &v, &bad) && bad);
	assert_true(esmtp_param(&p, &k, &v, &bad) && bad);
	assert_false(esmtp_param(&p, &k, &v, &bad));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data), cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_line), cmocka_unit_test(test_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
