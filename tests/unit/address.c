/*
 * Paths, lists, quoting, xtext and networks; and isemail's 164 addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "address/address.h"
#include "sys/sys.h"

#define MEM	(1 << 20)

static struct arena *
setup(void)
{
	return arena_new(MEM);
}

static void
assert_str(struct str got, const char *want, const char *input)
{
	if (!str_eq(got, str_of(want)))
		fail_msg("%s: got '" STRF "', want '%s'", input, STRV(got),
		    want);
}

static void
test_path(void **state)
{
	static const struct {
		const char *in;
		bool strict, utf8;
		enum path_error err;
		const char *addr, *rest;
	} t[] = {
		{ "<>", true, false, PATH_OK, "", "" },
		{ "<> SIZE=1", true, false, PATH_OK, "", " SIZE=1" },
		{ "<a@b.c>", true, false, PATH_OK, "a@b.c", "" },
		{ "<a@b.c.>", true, false, PATH_OK, "a@b.c", "" },
		{ "<postmaster>", true, false, PATH_OK, "postmaster", "" },
		{ "<a@[127.0.0.1]>", true, false, PATH_OK, "a@[127.0.0.1]",
		    "" },
		{ "<a@[IPv6:::1]>", true, false, PATH_OK, "a@[IPv6:::1]", "" },
		{ "<a@[::1]>", true, false, PATH_SYNTAX, "", NULL },
		{ "<a@[127.0.0.256]>", true, false, PATH_SYNTAX, "", NULL },
		{ "<@x.y,@z:a@b.c>", true, false, PATH_OK, "a@b.c", "" },
		{ "<@x.y:a@b.c>", true, false, PATH_OK, "a@b.c", "" },
		{ "<@x.y>", false, false, PATH_SYNTAX, "", NULL },
		{ "<\"a b\"@c.d> X", true, false, PATH_OK, "a b@c.d", " X" },
		{ "<\"a@b\"@c.d>", true, false, PATH_OK, "a@b@c.d", "" },
		{ "<\"a@b\">", true, false, PATH_SYNTAX, "", NULL },
		{ "<a\\@b>", true, false, PATH_SYNTAX, "", NULL },
		{ "<\"a\\\"b\"@c.d>", true, false, PATH_OK, "a\"b@c.d", "" },
		{ "<\"a>b\"@c.d>", true, false, PATH_OK, "a>b@c.d", "" },
		{ "<\"a", false, false, PATH_SYNTAX, "", NULL },
		{ "<\"a\\", false, false, PATH_SYNTAX, "", NULL },
		{ "<\"\"@b.c>", true, false, PATH_SYNTAX, "", NULL },
		{ "<a@b@c.d>", false, false, PATH_SYNTAX, "", NULL },
		{ "<a..b.@c.d>", true, false, PATH_OK, "a..b.@c.d", "" },
		{ "<a@b.c>x", false, false, PATH_SYNTAX, "", NULL },
		{ "<a@b.c", true, false, PATH_SYNTAX, "", NULL },
		{ "<a@b.c", false, false, PATH_OK, "a@b.c", "" },
		{ "<a@b.c SIZE=1", false, false, PATH_SYNTAX, "", NULL },
		{ "a@b.c SIZE=1", false, false, PATH_OK, "a@b.c", " SIZE=1" },
		{ " <a@b.c>", false, false, PATH_OK, "a@b.c", "" },
		{ " <a@b.c>", true, false, PATH_SYNTAX, "", NULL },
		{ "a@b.c", true, false, PATH_SYNTAX, "", NULL },
		{ "", false, false, PATH_SYNTAX, "", NULL },
		{ "<@>", false, false, PATH_SYNTAX, "", NULL },
		{ "<a@>", false, false, PATH_SYNTAX, "", NULL },
		{ "<a@1.2.3.4>", false, false, PATH_SYNTAX, "", NULL },
		{ "<a\001b@c.d>", false, false, PATH_SYNTAX, "", NULL },
		{ "<\"a\rb\"@c.d>", false, false, PATH_SYNTAX, "", NULL },
		{ "<j\xc3\xb6rg@c.d>", true, false, PATH_NOT_ASCII, "", NULL },
		{ "<j\xc3\xb6rg@c.d>", true, true, PATH_OK,
		    "j\xc3\xb6rg@c.d", "" },
		{ "<a@b\xc3\xbc""cher.example>", true, true, PATH_OK,
		    "a@b\xc3\xbc""cher.example", "" },
		{ "<j\xc3rg@c.d>", true, true, PATH_SYNTAX, "", NULL },
		{ "<j\xed\xa0\x80g@c.d>", true, true, PATH_SYNTAX, "", NULL },
	};
	struct arena *a = setup();

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct str in = str_of(t[i].in), addr;

		if (address_read_path(&in, t[i].strict, t[i].utf8, a, &addr) !=
		    t[i].err)
			fail_msg("%s: other result", t[i].in);
		assert_str(addr, t[i].addr, t[i].in);
		assert_str(in, t[i].rest ? t[i].rest : t[i].in, t[i].in);
	}
	arena_free(&a);
}

static void
test_path_length(void **state)
{
	struct arena *a = setup();
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (size_t n = ADDRESS_MAX - 2; n <= ADDRESS_MAX + 2; n++) {
		struct str in, addr;
		enum path_error err;

		buf_clear(&b);
		buf_putc(&b, '<');
		for (size_t i = 0; i < n - 4; i++)
			buf_putc(&b, 'x');
		buf_puts(&b, "@b.c>");
		in = buf_view(&b);
		err = address_read_path(&in, true, false, a, &addr);
		assert_int_equal(err, n <= ADDRESS_MAX ? PATH_OK :
		    PATH_TOO_LONG);
		assert_int_equal(addr.n, n <= ADDRESS_MAX ? n : 0);
	}
	buf_free(&b);
	arena_free(&a);
}

static void
test_list(void **state)
{
	static const struct {
		const char *in;
		const char *want;	/* "|" after each */
	} t[] = {
		{ "a@b.c", "a@b.c|" },
		{ "a@b.c, d@e.f", "a@b.c|d@e.f|" },
		{ "a,b , ,c", "a|b|c|" },
		{ "Joe <a@b.c>, \"Doe, J.\" <d@e.f>", "a@b.c|d@e.f|" },
		{ "a@b.c (Joe, Doe)", "a@b.c|" },
		{ "(x (y) \\) z) a @ b . c", "a@b.c|" },
		{ "Gang: a@b.c, d@e.f; g@h.i", "a@b.c|d@e.f|g@h.i|" },
		{ "undisclosed-recipients:;", "" },
		{ "<>", "" },
		{ "<@x,@y:a@b.c>, d", "a@b.c|d|" },
		{ "<a@b.c, d@e.f>", "a@b.c|d@e.f|" },
		{ "\"a b\"@c.d", "a b@c.d|" },
		{ "\"a@b\"@c.d", "a@b@c.d|" },
		{ "\"a@b\"", "" },
		{ "a\\@b", "" },
		{ "\\root", "root|" },
		{ "alice bob", "alice bob|" },
		{ "a@b@c.d", "" },
		{ "a@b.c.", "a@b.c|" },
		{ "a@", "a|" },
		{ "@b.c", "" },
		{ "a@[127.0.0.1]", "a@[127.0.0.1]|" },
		{ "a@[IPv6:::1], b", "a@[IPv6:::1]|b|" },
		{ "a@\"b\"", "" },
		{ "a@b\r\n (c)\r\n , d", "a@b|d|" },
		{ "\"un\r\n closed", "un closed|" },
		{ "j\xc3\xb6rg@c.d", "j\xc3\xb6rg@c.d|" },
		{ "j\xc3rg@c.d, a", "a|" },
		{ "a\001b, c", "c|" },
		{ "a@b.c; d@e.f", "a@b.c|d@e.f|" },
	};
	struct arena *a = setup();
	struct buf got;

	(void)state;
	buf_init(&got, 4096);
	for (size_t i = 0; i < nitems(t); i++) {
		struct str rest = str_of(t[i].in), addr;

		buf_clear(&got);
		while (address_list_next(&rest, a, &addr)) {
			buf_str(&got, addr);
			buf_putc(&got, '|');
		}
		assert_str(buf_view(&got), t[i].want, t[i].in);
	}
	buf_free(&got);
	arena_free(&a);
}

static void
test_mailbox(void **state)
{
	static const struct {
		const char *in, *phrase, *addr;	/* addr NULL: false */
	} t[] = {
		{ "a@b.c", "", "a@b.c" },
		{ "<>", "", "" },
		{ "Mailer <>", "Mailer", "" },
		{ "John Q. Public <a@b.c>", "John Q. Public", "a@b.c" },
		{ "\"J. \\\"Q\\\" P\" <a@b.c>", "J. \"Q\" P", "a@b.c" },
		{ "a@b.c (Full Name)", "Full Name", "a@b.c" },
		{ "<a@b.c> (Full (x) Name)", "Full (x) Name", "a@b.c" },
		{ "A <a@b.c>, B <d@e.f>", "", NULL },
		{ "", "", NULL },
		{ "a@b@c", "", NULL },
	};
	struct arena *a = setup();

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct str phrase, addr;
		bool ok = address_read_mailbox(str_of(t[i].in), a, &phrase,
		    &addr);

		if (ok != (t[i].addr != NULL))
			fail_msg("%s: %s", t[i].in, ok ? "read" : "refused");
		if (!ok)
			continue;
		assert_str(phrase, t[i].phrase, t[i].in);
		assert_str(addr, t[i].addr, t[i].in);
	}
	arena_free(&a);
}

static void
test_quote(void **state)
{
	static const struct { const char *in, *want; } t[] = {
		{ "", "" }, { "a@b.c", "a@b.c" }, { "a", "a" },
		{ "a.b@c", "a.b@c" }, { "a..b@c", "\"a..b\"@c" },
		{ ".a@c", "\".a\"@c" }, { "a.@c", "\"a.\"@c" },
		{ "a b@c", "\"a b\"@c" }, { "a@b@c", "\"a@b\"@c" },
		{ "a\"\\b@c", "\"a\\\"\\\\b\"@c" }, { "@c", "\"\"@c" },
		{ "j\xc3\xb6@c", "j\xc3\xb6@c" }, { "a+b/c=d@e", "a+b/c=d@e" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < nitems(t); i++) {
		buf_clear(&out);
		address_quote_821(str_of(t[i].in), &out);
		assert_str(buf_view(&out), t[i].want, t[i].in);
		buf_clear(&out);
		address_quote_822(str_of(t[i].in), &out);
		assert_str(buf_view(&out), t[i].want, t[i].in);
	}
	buf_free(&out);
}

static void
test_split(void **state)
{
	static const struct { const char *in, *delim, *user, *ext; } t[] = {
		{ "user+a+b", "+", "user", "a+b" },
		{ "user-a+b", "+-", "user", "a+b" },
		{ "user", "+", "user", "" }, { "user+", "+", "user", "" },
		{ "+a", "+", "+a", "" }, { "user+a", "", "user+a", "" },
		{ "Mailer-Daemon", "-", "Mailer-Daemon", "" },
		{ "double-bounce", "-", "double-bounce", "" },
		{ "owner-list", "-", "owner-list", "" },
		{ "list-request", "-", "list-request", "" },
		{ "owner-list+x", "+", "owner-list", "x" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct str ext, user = address_split(str_of(t[i].in),
		    str_of(t[i].delim), &ext);

		assert_str(user, t[i].user, t[i].in);
		assert_str(ext, t[i].ext, t[i].in);
	}
	assert_str(address_local(STR("a@b@c")), "a@b", "local");
	assert_str(address_domain(STR("a@b@c")), "c", "domain");
	assert_str(address_domain(STR("a")), "", "domain");
}

static void
test_hostname(void **state)
{
	static const struct { const char *in; bool valid; } t[] = {
		{ "a", true }, { "a.b", true }, { "a_b.c-d", true },
		{ "", false }, { ".", false }, { "a.", false },
		{ ".a", false }, { "a..b", false }, { "-a", false },
		{ "a-.b", false }, { "a.b-", false }, { "1.2.3.4", false },
		{ "1.2.3.a", true }, { "a b", false }, { "a\xc3\xb6", false },
		{ "a:b", false },
	};
	char label[80];

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		if (address_hostname_valid(str_of(t[i].in)) != t[i].valid)
			fail_msg("%s", t[i].in);
	memset(label, 'x', sizeof(label));
	assert_true(address_hostname_valid((struct str){ label, 63 }));
	assert_false(address_hostname_valid((struct str){ label, 64 }));
}

static void
test_xtext(void **state)
{
	static const struct { const char *in, *want; } t[] = {
		{ "abc", "abc" }, { "a+2Bb", "a+b" }, { "a+3db", "a=b" },
		{ "", "" }, { "a+2", NULL }, { "a+", NULL }, { "a+zz", NULL },
		{ "a=b", NULL }, { "a b", NULL }, { "a+0Ab", NULL },
		{ "+00", NULL }, { "+C3+B6", "\xc3\xb6" }, { "+C3", NULL },
	};
	struct arena *a = setup();
	struct buf out;
	struct str got;

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		if (xtext_decode(str_of(t[i].in), a, &got) !=
		    (t[i].want != NULL))
			fail_msg("%s", t[i].in);
		assert_str(got, t[i].want ? t[i].want : "", t[i].in);
	}
	buf_init(&out, 100);
	xtext_encode(STR("a+b=c \xc3\xb6"), &out);
	assert_str(buf_view(&out), "a+2Bb+3Dc+20+C3+B6", "encode");
	buf_free(&out);
	arena_free(&a);
}

static void
test_verp(void **state)
{
	static const struct {
		const char *delimiters, *sender, *rcpt, *want;
	} t[] = {
		{ "+=", "l@h.test", "u@d.test", "l+u=d.test@h.test" },
		{ "-+", "l@h.test", "u+x@d.test", "l-u+x+d.test@h.test" },
		{ "+=", "l", "u", "l+u" },
		{ "+=", "l", "u@d", "l+u=d" },
		{ "+=", "l@h", "u", "l+u@h" },
		{ "+=", "l@h", "u@", "l+u@h" },
		{ "+=", "a b@h", "c@d@e", "a b+c@d=e@h" },
	};
	static const struct { const char *delimiters; bool ok; } d[] = {
		{ "+=", true }, { "--", true }, { "", false }, { "+", false },
		{ "+=-", false }, { "a=", false }, { "+a", false },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < nitems(t); i++) {
		buf_clear(&out);
		address_verp(str_of(t[i].delimiters), str_of(t[i].sender),
		    str_of(t[i].rcpt), &out);
		assert_str(buf_view(&out), t[i].want, t[i].rcpt);
	}
	buf_free(&out);
	for (size_t i = 0; i < nitems(d); i++)
		if (address_verp_ok(str_of(d[i].delimiters), STR("-=+")) !=
		    d[i].ok)
			fail_msg("'%s'", d[i].delimiters);
}

static void
test_net(void **state)
{
	static const struct { const char *ip, *net; bool valid, in; } t[] = {
		{ "192.0.2.9", "192.0.2.0/24", true, true },
		{ "192.0.3.9", "192.0.2.0/24", true, false },
		{ "10.0.0.1", "10.0.0.1", true, true },
		{ "10.0.0.1", "[10.0.0.1]", true, true },
		{ "10.0.0.2", "10.0.0.1/32", true, false },
		{ "10.0.0.2", "0.0.0.0/0", true, true },
		{ "::1", "0.0.0.0/0", true, false },
		{ "::1", "[::1]", true, true },
		{ "::1", "[::1]/128", true, true },
		{ "2001:db8::5", "[2001:db8::]/32", true, true },
		{ "2001:db9::5", "2001:db8::/32", true, false },
		{ "::ffff:127.0.0.5", "127.0.0.0/8", true, true },
		{ "127.0.0.5", "[::ffff:127.0.0.0]/104", true, true },
		{ "127.0.0.5", "127.0.0.1/8", false, false },
		{ "127.0.0.5", "127.0.0.0/33", false, false },
		{ "127.0.0.5", "127.0.0.0/", false, false },
		{ "127.0.0.5", "[127.0.0.0/8", false, false },
		{ "127.0.0.5", "localhost", false, false },
		{ "127.0.0.5", "", false, false },
	};
	uint8_t ip[16];
	struct buf out;
	bool valid, in;

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		int family = ip_parse(str_of(t[i].ip), ip);

		assert_int_not_equal(family, 0);
		in = ip_in_net(ip, family, str_of(t[i].net), &valid);
		if (in != t[i].in || valid != t[i].valid)
			fail_msg("%s in %s", t[i].ip, t[i].net);
	}
	assert_int_equal(ip_parse(STR("1.2.3"), ip), 0);
	assert_int_equal(ip_parse(STR("1.2.3.4\0"), ip), 0);
	buf_init(&out, 100);
	assert_int_equal(ip_parse(STR("10.1.2.3"), ip), AF_INET);
	ip_mask_print(ip, AF_INET, 24, &out);
	assert_int_equal(ip_parse(STR("2001:db8:1:2::3"), ip), AF_INET6);
	ip_mask_print(ip, AF_INET6, 48, &out);
	assert_str(buf_view(&out), "10.1.2.02001:db8:1::", "mask");
	buf_free(&out);
}

/* --- isemail: <test id="7"><address>...</address><category>... --- */

#define VECTORS	"tests/vectors/address-isemail/tests.xml"

static bool
between(struct str s, const char *open, const char *close, struct str *out)
{
	const char *p = memmem(s.p, s.n, open, strlen(open)), *q;

	*out = STR("");
	if (p == NULL)
		return false;
	p += strlen(open);
	q = memmem(p, s.n - (size_t)(p - s.p), close, strlen(close));
	if (q == NULL)
		return false;
	*out = (struct str){ p, (size_t)(q - p) };
	return true;
}

/* One character reference or byte; U+2400+n stands for control n. */
static size_t
decode_one(struct str s, struct buf *out)
{
	static const struct { const char *name; char c; } names[] = {
		{ "&lt;", '<' }, { "&gt;", '>' }, { "&amp;", '&' },
		{ "&quot;", '"' }, { "&apos;", '\'' },
	};
	char *end;
	long code;

	for (size_t i = 0; i < nitems(names); i++)
		if (str_starts(s, str_of(names[i].name))) {
			buf_putc(out, names[i].c);
			return strlen(names[i].name);
		}
	if (!str_starts(s, STR("&#x"))) {
		buf_putc(out, s.p[0]);
		return 1;
	}
	code = strtol(s.p + 3, &end, 16);
	if (code >= 0x2400 && code <= 0x2421)
		code -= 0x2400;
	if (code < 0x80)
		buf_putc(out, (char)code);
	else
		buf_puts(out, "\xc2\xa9");
	return (size_t)(end - s.p) + 1;
}

static bool
one_of(uint64_t id, const uint64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Accepted though isemail refuses: as Postfix does (see lib/address). */
static const uint64_t lenient[] = {
	2, 18,			/* no domain */
	15, 16, 17,		/* dots in a local part */
	20, 51, 52, 53, 54, 56,	/* quoted and bare parts mixed */
	26, 59, 60,		/* local part above 64 */
	39, 40,			/* path above 254 */
	35,			/* the DNS root's dot */
	71,			/* "::" for one group */
	160,			/* U+00A9 in a quoted pair: RFC 6531 */
};
/* Refused though isemail takes it: all digits; an empty local part. */
static const uint64_t severe[] = { 24, 43 };

static void
check_vector(uint64_t id, struct str raw, struct str category)
{
	bool want = str_eq(category, STR("ISEMAIL_VALID_CATEGORY")) ||
	    str_eq(category, STR("ISEMAIL_DNSWARN")) ||
	    str_eq(category, STR("ISEMAIL_RFC5321"));
	struct arena *a = setup();
	struct str in, addr, listed;
	struct buf path;
	bool got;

	buf_init(&path, 4096);
	buf_putc(&path, '<');
	for (size_t i = 0; i < raw.n; )
		i += decode_one(str_from(raw, i), &path);
	in = str_from(buf_view(&path), 1);
	if (in.n > 0) {
		buf_putc(&path, '>');
		in = buf_view(&path);
		want = (want || one_of(id, lenient, nitems(lenient))) &&
		    !one_of(id, severe, nitems(severe));
		got = address_read_path(&in, true, true, a, &addr) == PATH_OK;
		if (got != want)
			fail_msg("isemail %d: " STRF, (int)id, STRV(raw));
		in = buf_view(&path);
		if (got && (!address_list_next(&in, a, &listed) ||
		    !str_eq(listed, addr)))
			fail_msg("isemail %d as list: " STRF, (int)id,
			    STRV(raw));
	}
	buf_free(&path);
	arena_free(&a);
}

static void
test_isemail(void **state)
{
	struct str rest, one, id, address, category;
	struct buf xml;
	uint64_t number;
	size_t n = 0;

	(void)state;
	buf_init(&xml, 1 << 20);
	assert_int_equal(file_read(-100 /* AT_FDCWD */, VECTORS, 1 << 20,
	    &xml), 0);
	rest = buf_view(&xml);
	while (between(rest, "<test id=", "</test>", &one)) {
		rest = str_from(rest, (size_t)(one.p - rest.p) + one.n);
		assert_true(between(one, "\"", "\"", &id));
		assert_true(str_number(id, &number));
		between(one, "<address>", "</address>", &address);
		assert_true(between(one, "<category>", "</category>",
		    &category));
		check_vector(number, address, category);
		n++;
	}
	assert_int_equal(n, 164);
	buf_free(&xml);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_path_length),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_hostname),
		cmocka_unit_test(test_xtext),
		cmocka_unit_test(test_verp),
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_isemail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
