/*
 * What sendmail makes of standard input, whole and byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tools/login_sender.h"
#include "tools/text.h"

#define ROOM (1 << 20)

/* Feeds in cuts of n bytes. */
static void
run(enum fix_ends fix, bool dot_ends, struct str in, size_t n,
    struct buf *out)
{
	struct text t;

	text_init(&t, fix, dot_ends);
	while (in.n > 0) {
		struct str piece = str_first(in, n);

		if (!text_feed(&t, piece, out))
			break;
		in = str_from(in, piece.n);
	}
	text_finish(&t, out);
	text_free(&t);
}

static void
check(enum fix_ends fix, bool dot_ends, struct str in, struct str want)
{
	static const size_t cuts[] = { 1, 2, 3, 7, 4096, 65536, ROOM };
	struct buf out;

	buf_init(&out, ROOM);
	for (size_t i = 0; i < nitems(cuts); i++) {
		buf_clear(&out);
		run(fix, dot_ends, in, cuts[i], &out);
		if (!str_eq(buf_view(&out), want))
			fail_msg("cut %zu of '" STRF "': got '" STRF "'",
			    cuts[i], STRV(str_first(in, 80)),
			    STRV(str_first(buf_view(&out), 80)));
	}
	buf_free(&out);
}

static void
test_text(void **state)
{
	static const struct {
		enum fix_ends fix;
		bool dot_ends;
		const char *in, *want;
	} t[] = {
		{ FIX_ALWAYS, true, "", "" },
		{ FIX_ALWAYS, true, "a", "a\n" },
		{ FIX_ALWAYS, true, "a\n", "a\n" },
		{ FIX_ALWAYS, true, "a\r\nb\r\n", "a\nb\n" },
		{ FIX_ALWAYS, true, "a\r\r\nb\rc\n", "a\nb\rc\n" },
		{ FIX_ALWAYS, true, "a\r", "a\n" },
		{ FIX_NEVER, true, "a\r\n.\r\n.\nb\n", "a\r\n.\r\n" },
		{ FIX_STRICT, true, "a\r\nb\r\n", "a\nb\n" },
		{ FIX_STRICT, true, "a\nb\r\n", "a\nb\r\n" },
		{ FIX_ALWAYS, true, "a\n.\nb\n", "a\n" },
		{ FIX_ALWAYS, true, "a\n.\r\nb\n", "a\n" },
		{ FIX_ALWAYS, true, "a\n.", "a\n" },
		{ FIX_ALWAYS, true, ".\na\n", "" },
		{ FIX_ALWAYS, true, "..\n.a\n", "..\n.a\n" },
		{ FIX_ALWAYS, false, "a\n.\nb\n", "a\n.\nb\n" },
		{ FIX_ALWAYS, true, "From a\nb\n", "b\n" },
		{ FIX_ALWAYS, true, "From a\r\n>From b\n>>From c\nd\nFrom e\n",
		    "d\nFrom e\n" },
		{ FIX_ALWAYS, true, "From: a\n", "From: a\n" },
		{ FIX_ALWAYS, true, "\nFrom a\n", "\nFrom a\n" },
		{ FIX_ALWAYS, true, "From a", "" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		check(t[i].fix, t[i].dot_ends, str_of(t[i].in),
		    str_of(t[i].want));
}

/* Lines of any length, and CRs at every seam. */
static void
test_long(void **state)
{
	struct buf in, want;

	(void)state;
	buf_init(&in, ROOM);
	buf_init(&want, ROOM);
	for (size_t n = 4090; n < 4104; n++)
		for (size_t i = 0; i < n; i++)
			buf_putc(&in, 'x');
	buf_str(&want, buf_view(&in));
	buf_puts(&in, "\r\r\n.\ny\n");
	buf_puts(&want, "\n");
	check(FIX_ALWAYS, true, buf_view(&in), buf_view(&want));
	buf_free(&in);
	buf_free(&want);
}

static void
test_login_senders(void **state)
{
	static const struct {
		const char *patterns, *sender; bool fits;
	} rows[] = {
		{ "*", "any@example.com", true }, { "*", "", true },
		{ "ann", "ann", true }, { "ann", "Ann", true },
		{ "ann", "ann@example.com", false }, { "ann", "", false },
		{ "ann ann@example.com", "ann+x@EXAMPLE.com", true },
		{ "ann, bob@example.com", "bob@example.com", true },
		{ "ann+x@example.com", "ann+x@example.com", false },
		{ "@example.com", "x@example.com", true },
		{ "@example.com", "x@a.example.com", false },
		{ "@example.com", "x", false }, { "@example.com", "", false },
		{ "<>", "", true }, { "<>", "x", false },
		{ "\"a b\"@example.com", "a b@example.com", true },
		{ "\"a b\"@example.com c", "c", true },
		{ "a*", "abc", false }, { "", "x", false }, { "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++)
		if (login_sender_fits(str_of(rows[i].patterns),
		    str_of(rows[i].sender), STR("+"), STR("<>")) !=
		    rows[i].fits)
			fail_msg("row %zu", i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login_senders),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
