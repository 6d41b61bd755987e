/* store_text, store_prefix, store_path_valid: wire form to mailbox form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "store/store.h"

static const struct {
	const char *in;
	bool	    quote;
	const char *out;
	unsigned    lines;
} texts[] = {
	{ "", true, "", 0 },
	{ "a\r\nb\r\n", false, "a\nb\n", 2 },
	{ "a\nb\r", false, "a\nb\r", 1 },
	{ "a\rb\r\n", false, "a\rb\n", 1 },
	{ "\r\r\n", false, "\r\n", 1 },
	{ "\r\n\r\n", false, "\n\n", 2 },
	{ "no end", false, "no end", 0 },
	{ "From x\r\n", false, "From x\n", 1 },
	{ "From x\r\n", true, ">From x\n", 1 },
	{ "From \r\nFrom \r\n", true, ">From \n>From \n", 2 },
	{ "From\r\n", true, "From\n", 1 },
	{ "From", true, "From", 0 },
	{ ">From x\r\n", true, ">From x\n", 1 },
	{ " From x\r\n", true, " From x\n", 1 },
	{ "from x\r\n", true, "from x\n", 1 },
	{ "xFrom \r\nF\r\nFro\r\n", true, "xFrom \nF\nFro\n", 3 },
};

/* All of in through store_text, `step` bytes shown at a time. */
static size_t
convert(struct store_text *t, const char *in, size_t n, size_t step,
    char *out)
{
	size_t at = 0, total = 0, got;

	while (at < n) {
		size_t show = n - at < step ? n - at : step;
		size_t taken = store_text(t, (struct str){ in + at, show },
		    at + show == n, out + total, &got);

		assert_true(got <= STORE_TEXT_MAX(show));
		if (at + show < n)
			assert_true(show - taken <= 5);
		else
			assert_int_equal(taken, show);
		assert_true(taken > 0);
		at += taken;
		total += got;
	}
	return total;
}

static void
test_text(void **state)
{
	char out[256];

	(void)state;
	for (size_t i = 0; i < nitems(texts); i++)
		for (size_t step = 6; step < 40; step++) {
			struct store_text t = { .quote_from = texts[i].quote };
			size_t n = convert(&t, texts[i].in,
			    strlen(texts[i].in), step, out);

			out[n] = '\0';
			assert_string_equal(out, texts[i].out);
			assert_int_equal(t.lines, texts[i].lines);
			assert_int_equal(t.in_line,
			    n > 0 && out[n - 1] != '\n');
		}
}

static const struct {
	unsigned    kind;
	const char *sender, *original, *recipient, *out;
} prefixes[] = {
	{ STORE_MAILDIR, "a@b", "", "", "Return-Path: <a@b>\n" },
	{ STORE_MAILDIR, "", "o@x", "r@x", "Return-Path: <>\n"
	    "X-Original-To: o@x\nDelivered-To: r@x\n" },
	{ STORE_MAILDIR, "a b@c", "", "", "Return-Path: <\"a b\"@c>\n" },
	{ STORE_MBOX, "a@b", "", "r@x",
	    "From a@b  Thu Jan  1 00:00:07 1970\n"
	    "Return-Path: <a@b>\nDelivered-To: r@x\n" },
	{ STORE_MBOX, "", "", "",
	    "From MAILER-DAEMON  Thu Jan  1 00:00:07 1970\n"
	    "Return-Path: <>\n" },
};

static void
test_prefix(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < nitems(prefixes); i++) {
		struct msg_store job = { .kind = prefixes[i].kind,
			.sender = str_of(prefixes[i].sender),
			.original = str_of(prefixes[i].original),
			.recipient = str_of(prefixes[i].recipient) };

		buf_clear(&out);
		store_prefix(&job, 7, &out);
		assert_string_equal(buf_cstr(&out), prefixes[i].out);
	}
	buf_free(&out);
}

static const struct { const char *base, *path; bool valid; } paths[] = {
	{ "", "/var/mail/x", true },
	{ "", "var/mail/x", false },
	{ "", "", false },
	{ "", "/", false },
	{ "/v", "d/u/", true },
	{ "/v", "/d/u/", true },
	{ "v", "d/u/", false },
	{ "/v", "../x", false },
	{ "/v", "d/../x", false },
	{ "/v", "d/..", false },
	{ "/v", "d/..x/", true },
	{ "/v", "", false },
};

static void
test_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(paths); i++)
		assert_int_equal(store_path_valid(str_of(paths[i].base),
		    str_of(paths[i].path)), paths[i].valid);
	assert_false(store_path_valid(STR("/v"), STR("a\0b")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_path),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
