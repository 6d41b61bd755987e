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

/* A client whose LF may end data: as long as it never sent CRLF. */
static void
test_lf_end(void **state)
{
	static const struct { const char *in, *out, *rest; } t[] = {
		{ "a\nb\n.\nQUIT\n", "a\r\nb\r\n", "QUIT\n" },
		{ ".\nQUIT\n", "", "QUIT\n" },
		{ "a\n..b\n.c\n.\n", "a\r\n.b\r\nc\r\n", "" },
		{ "a\r\nb\n.\nMAIL\r\n.\r\nX", "a\r\nb\r\n.\r\nMAIL\r\n",
		    "X" },
		{ "a\nb\r\n.\nc\n.\n", "a\r\nb\r\n.\r\nc\r\n.\r\n", NULL },
		{ "a\n.\r\nb\n.\n", "a\r\n.\r\nb\r\n.\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		for (size_t cut = 0; cut <= strlen(t[i].in); cut++) {
			struct str in = str_of(t[i].in);
			struct content c;
			struct buf out;
			size_t n;

			buf_init(&out, 1024);
			content_init(&c, true);
			c.lf_ends = true;
			n = content_feed(&c, str_first(in, cut), collect,
			    &out);
			if (!c.done)
				n += content_feed(&c, str_from(in, cut),
				    collect, &out);
			assert_int_equal(c.done, t[i].rest != NULL);
			if (c.done)
				assert_string_equal(t[i].in + n, t[i].rest);
			/* What may follow a dot is held back. */
			assert_string_equal(buf_cstr(&out), t[i].out);
			buf_free(&out);
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

/* --- the client's side --- */

static void
test_reply(void **state)
{
	static const struct {
		const char *in;
		enum reply_end end;
		unsigned code;
		const char *dsn, *text;
	} rows[] = {
		{ "250 2.1.0 Ok\r\n", REPLY_OK, 250, "2.1.0", "250 2.1.0 Ok" },
		{ "250 Ok\n", REPLY_OK, 250, "", "250 Ok" },
		{ "354\r\n", REPLY_OK, 354, "", "354" },
		{ "250-a\r\n250 b\r\n", REPLY_OK, 250, "", "250-a\n250 b" },
		{ "550-5.7.1 no\r\n550 5.7.1 never\r\n", REPLY_OK, 550, "5.7.1",
		    "550-5.7.1 no\n550 5.7.1 never" },
		/* A status of another class is none. */
		{ "550 4.7.1 no\r\n", REPLY_OK, 550, "", "550 4.7.1 no" },
		{ "250", REPLY_MORE, 0, "", "" },
		{ "250-a\r\n", REPLY_MORE, 250, "", "250-a" },
		{ "", REPLY_MORE, 0, "", "" },
		{ "hello\r\n", REPLY_BAD, 0, "", "" },
		{ "\r\n", REPLY_BAD, 0, "", "" },
		{ "25\r\n", REPLY_BAD, 0, "", "" },
		{ "1234\r\n", REPLY_BAD, 0, "", "" },
		{ "250_x\r\n", REPLY_BAD, 0, "", "" },
		{ "650 x\r\n", REPLY_BAD, 0, "", "" },
		{ "250-a\r\nrubbish\r\n", REPLY_BAD, 0, "", "" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++)
		for (size_t cut = 0; cut <= strlen(rows[i].in); cut++) {
			struct esmtp_reply r = { 0 };
			struct str all = str_of(rows[i].in);
			struct str in = str_first(all, cut), rest;
			enum reply_end end;

			buf_init(&r.text, ESMTP_REPLY_TEXT_MAX);
			end = esmtp_reply_feed(&r, &in);
			if (end == REPLY_MORE) {	/* what was left comes again */
				rest = str_from(all, (size_t)(in.p - all.p));
				end = esmtp_reply_feed(&r, &rest);
			}
			assert_int_equal(end, rows[i].end);
			if (end == REPLY_OK) {
				assert_int_equal(r.code, rows[i].code);
				assert_true(str_eq(r.dsn, str_of(rows[i].dsn)));
				assert_true(str_eq(buf_view(&r.text),
				    str_of(rows[i].text)));
			}
			buf_free(&r.text);
		}
}

static void
test_reply_limits(void **state)
{
	struct esmtp_reply r = { 0 };
	struct str in;
	struct buf b;

	(void)state;
	buf_init(&r.text, ESMTP_REPLY_TEXT_MAX);
	buf_init(&b, 1 << 20);
	/* A long line is cut, not believed to be many. */
	buf_puts(&b, "250 ");
	for (int i = 0; i < 5000; i++)
		buf_putc(&b, 'x');
	buf_puts(&b, "\r\n550 next\r\n");
	in = buf_view(&b);
	assert_int_equal(esmtp_reply_feed(&r, &in), REPLY_OK);
	assert_int_equal(r.code, 250);
	assert_true(r.text.n <= ESMTP_LINE_MAX + 1);
	assert_int_equal(esmtp_reply_feed(&r, &in), REPLY_OK);
	assert_int_equal(r.code, 550);
	assert_int_equal(in.n, 0);
	/* Too many lines, too many bytes. */
	buf_clear(&b);
	for (int i = 0; i < 1001; i++)
		buf_puts(&b, "250-\r\n");
	in = buf_view(&b);
	assert_int_equal(esmtp_reply_feed(&r, &in), REPLY_BAD);
	r.over = true;
	buf_clear(&b);
	for (int i = 0; i < 200000; i++)
		buf_puts(&b, "2");
	in = buf_view(&b);
	assert_int_equal(esmtp_reply_feed(&r, &in), REPLY_BAD);
	buf_free(&r.text);
	buf_free(&b);
}

static void
test_offer(void **state)
{
	static const char text[] = "250-mx.test hello\n250-PIPELINING\n"
	    "250-size 1000\n250-AUTH=LOGIN\n250-AUTH PLAIN LOGIN\n"
	    "250-XFORWARD NAME ADDR helo\n250-\n250 Chunking";
	struct esmtp_offer o;
	struct str unknown;

	(void)state;
	esmtp_offer_read(str_of(text), 0, &o);
	assert_int_equal(o.features, OFFER_PIPELINING | OFFER_SIZE |
	    OFFER_AUTH | OFFER_XFORWARD | OFFER_CHUNKING);
	assert_int_equal(o.size_max, 1000);
	assert_true(str_eq(o.name, STR("mx.test")));
	assert_true(str_eq(o.auth, STR("PLAIN LOGIN")));
	assert_int_equal(o.xforward, XFORWARD_NAME | XFORWARD_ADDR |
	    XFORWARD_HELO);
	esmtp_offer_read(str_of(text), esmtp_offer_bits(
	    STR("chunking, SIZE silent-discard"), &unknown), &o);
	assert_int_equal(unknown.n, 0);
	assert_int_equal(o.features, OFFER_PIPELINING | OFFER_AUTH |
	    OFFER_XFORWARD);
	assert_int_equal(o.size_max, 0);
	esmtp_offer_bits(STR("DSN, nosuch"), &unknown);
	assert_true(str_eq(unknown, STR("nosuch")));
	esmtp_offer_read(STR("250 only"), 0, &o);
	assert_int_equal(o.features, 0);
}

static void
test_stuffer(void **state)
{
	static const struct { const char *in; size_t max; const char *out; }
	rows[] = {
		{ "a\r\n.b\r\n", 0, "a\r\n..b\r\n" },
		{ ".\r\n..\r\n", 0, "..\r\n...\r\n" },
		{ "a.b\r\n\r\n", 0, "a.b\r\n\r\n" },
		{ "open", 0, "open\r\n" },
		{ "a\rb\r\n", 0, "a\rb\r\n" },
		{ "abcdef\r\ngh\r\n", 4, "abcd\r\n ef\r\ngh\r\n" },
		{ "abcdefgh\r\n", 4, "abcd\r\n efg\r\n h\r\n" },
		{ "abcd\r\n", 4, "abcd\r\n" },
		{ "abcd.e\r\n", 4, "abcd\r\n .e\r\n" },
		{ ".bcde\r\n", 4, "..bcd\r\n e\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++)
		for (size_t cut = 0; cut <= strlen(rows[i].in); cut++) {
			struct str in = str_of(rows[i].in);
			struct stuffer s;
			struct buf out;

			buf_init(&out, 1000);
			stuffer_init(&s, true, rows[i].max);
			stuffer_feed(&s, str_first(in, cut), &out);
			stuffer_feed(&s, str_from(in, cut), &out);
			stuffer_end(&s, &out);
			assert_string_equal(buf_cstr(&out), rows[i].out);
			buf_free(&out);
		}
}

/* Wrapped at blanks, '?' for what is not printable; the oldest lines go. */
static void
test_script(void **state)
{
	struct esmtp_script s = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	esmtp_script_add(&s, 2000, "In:  ", STR("HELO a\tb\xe4"));
	esmtp_script_add(&s, 2000, "Out: ", STR("500 1234567890 1234567890 "
	    "1234567890 1234567890 1234567890 1234567890 12345 word word"));
	esmtp_script_print(&s, &out);
	assert_true(str_eq(buf_view(&out), STR(" In:  HELO a?b?\r\n"
	    " Out: 500 1234567890 1234567890 1234567890 1234567890 "
	    "1234567890 1234567890\r\n     12345 word word\r\n")));
	for (int i = 0; i < 1000; i++)
		esmtp_script_add(&s, 2000, "In:  ", i < 999 ? STR("old") :
		    STR("new"));
	buf_clear(&out);
	esmtp_script_print(&s, &out);
	assert_true(out.n < 4000 && out.n > 1000);
	assert_true(str_starts(buf_view(&out), STR(" In:  old\r\n")));
	assert_true(str_eq(str_from(buf_view(&out), out.n - 11),
	    STR(" In:  new\r\n")));
	esmtp_script_clear(&s);
	buf_free(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data), cmocka_unit_test(test_lf_end),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_line), cmocka_unit_test(test_params),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_reply_limits),
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_stuffer),
		cmocka_unit_test(test_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
