/* mime: fields, folds, dates, phrases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include "mime/mime.h"

static const struct {
	const char *line;
	size_t	    name;
} names[] = {
	{ "Subject: x", 7 },	{ "Subject : x", 7 },	{ "Subject\t:", 7 },
	{ ":", 0 },		{ " a: b", 0 },		{ "a b: c", 0 },
	{ "no colon", 0 },	{ "", 0 },		{ "a:", 1 },
	{ "x\x7f: y", 0 },	{ "\xc3\xa9: y", 0 },	{ "From a@b Sat 1:", 0 },
};

static void
test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(names); i++)
		assert_int_equal(mime_field_name(str_of(names[i].line)),
		    names[i].name);
	assert_int_equal(mime_header_find(STR("message-ID")), MH_MESSAGE_ID);
	assert_int_equal(mime_header_find(STR("X-Any")), MH__OTHER);
	assert_true(mime_headers[MH_RESENT_TO].flags & HF_EXTRACT);
}

static void
test_fields(void **state)
{
	struct str rest = STR("From: a@b\r\nTo : c@d,\r\n\te@f\r\n"
	    "X-Empty:\r\n\r\nbody\r\n");
	struct mime_field f;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_true(mime_field_next(&rest, &f));
	assert_true(str_eq(f.body, STR(" a@b")));
	assert_true(mime_field_next(&rest, &f));
	assert_int_equal(f.id, MH_TO);
	assert_true(str_eq(f.body, STR(" c@d,\r\n\te@f")));
	assert_true(str_eq(f.whole, STR("To : c@d,\r\n\te@f\r\n")));
	mime_unfold(f.body, &out);
	assert_true(str_eq(buf_view(&out), STR("c@d,\te@f")));
	assert_true(mime_field_next(&rest, &f));
	assert_int_equal(f.body.n, 0);
	assert_false(mime_field_next(&rest, &f));
	assert_true(str_eq(rest, STR("body\r\n")));
	rest = STR("A: b\nno field\n");
	assert_true(mime_field_next(&rest, &f));
	assert_false(mime_field_next(&rest, &f));
	assert_true(str_eq(rest, STR("no field\n")));
	buf_free(&out);
}

static const struct {
	const char *zone;
	int64_t	    when;
	const char *text;
} prints[] = {
	{ "UTC0", 0, "Thu,  1 Jan 1970 00:00:00 +0000 (UTC)" },
	{ "CET-1CEST,M3.5.0,M10.5.0/3", 1763702221,
	    "Fri, 21 Nov 2025 06:17:01 +0100 (CET)" },
	{ "NST3:30", 1763702221, "Fri, 21 Nov 2025 01:47:01 -0330 (NST)" },
};

static const struct {
	const char *text;
	int64_t	    when;	/* -1: no date */
} dates[] = {
	{ "Thu, 1 Jan 1970 00:00:00 +0000", 0 },
	{ "Fri, 21 Nov 2025 06:17:01 +0100 (CET)", 1763702221 },
	{ "21 Nov 2025 05:17:01 GMT", 1763702221 },
	{ "21 Nov 25 05:17:01 GMT", 1763702221 },
	{ "Fri,21(a (nested\\) one))Nov\r\n 2025 00:17:01 EST", 1763702221 },
	{ "29 Feb 2024 12:00 Z", 1709208000 },
	{ "1 Jan 1900 00:00 +0000", -2208988800 },
	{ "31 Dec 99 23:59:60 UT", 946684800 },
	{ "Thu, 1 Foo 1970 00:00:00 +0000", -1 },
	{ "32 Jan 1970 00:00:00 +0000", -1 },
	{ "1 Jan 1970 24:00:00 +0000", -1 },
	{ "1 Jan 1970 12", -1 },
	{ "", -1 },
};

static void
test_dates(void **state)
{
	struct buf out;
	int64_t when;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < nitems(prints); i++) {
		setenv("TZ", prints[i].zone, 1);
		tzset();
		buf_clear(&out);
		mime_date_print(prints[i].when, &out);
		assert_string_equal(buf_cstr(&out), prints[i].text);
		assert_true(mime_date_parse(buf_view(&out), &when));
		assert_int_equal(when, prints[i].when);
	}
	for (size_t i = 0; i < nitems(dates); i++) {
		if (!mime_date_parse(str_of(dates[i].text), &when))
			when = -1;
		assert_int_equal(when, dates[i].when);
	}
	buf_free(&out);
}

static const struct {
	const char *name, *phrase, *comment;
} phrases[] = {
	{ "Cron Daemon", "Cron Daemon", "(Cron Daemon)" },
	{ "J. R. \"Bob\" Dobbs", "\"J. R. \\\"Bob\\\" Dobbs\"",
	    "(J. R. \"Bob\" Dobbs)" },
	{ "a (b) \\", "\"a (b) \\\\\"", "(a \\(b\\) \\\\)" },
	{ "x\r\nBcc: y", "\"x  Bcc: y\"", "(x  Bcc: y)" },
	{ "Ren\xc3\xa9 M.", "=?utf-8?Q?Ren=C3=A9_M=2E?=",
	    "(=?utf-8?Q?Ren=C3=A9_M=2E?=)" },
	{ "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
	  "\xc3\xa9\xc3\xa9\xc3\xa9",
	    "=?utf-8?Q?=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9"
	    "=C3=A9?= =?utf-8?Q?=C3=A9?=",
	    "(=?utf-8?Q?=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9"
	    "=C3=A9?= =?utf-8?Q?=C3=A9?=)" },
	{ "  ", "", "()" },
};

static void
test_phrases(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < nitems(phrases); i++) {
		buf_clear(&out);
		mime_phrase_print(str_of(phrases[i].name), STR("utf-8"), &out);
		assert_string_equal(buf_cstr(&out), phrases[i].phrase);
		buf_clear(&out);
		mime_comment_print(str_of(phrases[i].name), STR("utf-8"),
		    &out);
		assert_string_equal(buf_cstr(&out), phrases[i].comment);
	}
	buf_free(&out);
}

static void
test_skip_cfws(void **state)
{
	static const struct { const char *in, *rest; } t[] = {
		{ "", "" }, { "a b", "a b" }, { " \t\r\n a", "a" },
		{ "(x) a", "a" }, { "(x (y) z)\r\n (w)a(b)", "a(b)" },
		{ "(\\)) a", "a" }, { "\\(a) b", "\\(a) b" }, { ") a", ") a" },
		{ "(never ends", "" }, { "(x\\", "" }, { "((a) b", "" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct str s = str_of(t[i].in);

		mime_skip_cfws(&s);
		assert_true(str_eq(s, str_of(t[i].rest)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_skip_cfws),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_phrases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
