/*
 * table_alias - aliases(5) lines as postalias stores them; base64 of -F.
 * The expected values are those of Postfix's own postalias -s.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tools/postmap.h"

static void
test_lines(void **state)
{
	static const struct { const char *in, *key, *value, *wrong; } t[] = {
		{ "root: alice, bob", "root", "alice, bob", NULL },
		{ "root:a,b  ,c", "root", "a, b, c", NULL },
		{ "Postmaster:root", "Postmaster", "root", NULL },
		{ "\"first last\": \"a b\"@example.com, x",
		    "\"first last\"", "\"a b\"@example.com, x", NULL },
		{ "\"quoted@at\": y", "\"quoted@at\"", "y", NULL },
		{ "list: :include:/etc/list", "list", ":include:/etc/list",
		    NULL },
		{ "cmd: \"|/bin/foo -a \\\"b c\\\"\", /var/file", "cmd",
		    "\"|/bin/foo -a \\\"b c\\\"\", /var/file", NULL },
		{ "c: a,\tb (comment here),  c", "c",
		    "a, b (comment here), c", NULL },
		{ "esc: \\alice", "esc", "alice", NULL },
		{ "multi: a b c", "multi", "a b c", NULL },
		{ "a.b: c", "a.b", "c", NULL },
		{ "(com) par: q(co)r", "(com) par", "q (co) r", NULL },
		{ "group: x: y, z;", "group", "x:y, z;", NULL },
		{ "emptyq: \"\"", "emptyq", "\"\"", NULL },
		{ "lt: Foo Bar <foo@bar>", "lt", "Foo Bar <foo@bar>", NULL },
		{ "lit: u@[1.2.3.4]", "lit", "u@[1.2.3.4]", NULL },
		{ "semi: a;b", "semi", "a;b", NULL },
		{ "back\\slash: x", "backslash", "x", NULL },
		{ "back\\@at: x", "\"back@at\"", "x", NULL },
		{ "utf: \303\274@\303\251", "utf", "\303\274@\303\251",
		    NULL },
		{ "fo o: bar", "fo o", "bar", NULL },
		{ "s   : t", "s", "t", NULL },
		{ "dots: a . b @ c . d", "dots", "a.b@c.d", NULL },
		{ "unterm: \"abc", "unterm", "\"abc\"", NULL },
		{ "paren: (abc", "paren", "(abc", NULL },
		{ "bad", "", "", "need name:value pair" },
		{ "nocolon x", "", "", "need name:value pair" },
		{ "empty:", "", "", "need name:value pair" },
		{ ": x", "", "", "need name:value pair" },
		{ "\"\": x", "", "", "need name:value pair" },
		{ "a,b: c", "", "", "need name:value pair" },
		{ "a@b: c", "", "",
		    "name must be local and have no domain" },
		{ "a%b: c", "", "",
		    "name must be local and have no domain" },
	};
	struct buf key, value;

	(void)state;
	buf_init(&key, 1000);
	buf_init(&value, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		const char *wrong = alias_split(str_of(t[i].in), &key,
		    &value);

		if (t[i].wrong != NULL) {
			assert_non_null(wrong);
			assert_string_equal(wrong, t[i].wrong);
			continue;
		}
		assert_null(wrong);
		assert_string_equal(buf_cstr(&key), t[i].key);
		assert_string_equal(buf_cstr(&value), t[i].value);
	}
	buf_free(&key);
	buf_free(&value);
}

/* RFC 4648 10 */
static void
test_base64(void **state)
{
	static const struct { const char *text, *code; } t[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
	};
	static const char *const bad[] = { "Z", "Zg=", "Z===", "Zg==Zg==",
	    "Z g=", "=Zg=", "Zm9v\n", "Zg=v" };
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < nitems(t); i++) {
		buf_clear(&out);
		base64_encode(str_of(t[i].text), &out);
		assert_string_equal(buf_cstr(&out), t[i].code);
		buf_clear(&out);
		assert_true(base64_decode(str_of(t[i].code), &out));
		assert_string_equal(buf_cstr(&out), t[i].text);
	}
	for (size_t i = 0; i < nitems(bad); i++) {
		if (base64_decode(str_of(bad[i]), &out))
			fail_msg("%s is no base64", bad[i]);
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
