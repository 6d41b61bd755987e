/*
 * table_pattern - rules of pcre, regexp and cidr tables, and the literals by
 * which most of them are passed over.
 */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "table/pattern.h"

struct rule_row {
	const char *spec, *key;
	enum found  found;
	const char *value;
};
static const struct rule_row rows[] = {
	/* flags: i is on and toggles; s is on; m, x, A, E, U are off */
	{ "pcre:{{/abc/ x}}", "xABCx", FOUND, "x" },
	{ "pcre:{{/abc/i x}}", "xABCx", NONE, "" },
	{ "pcre:{{/abc/ii x}}", "xABCx", FOUND, "x" },
	{ "pcre:{{/a.c/ x}}", "a\nc", FOUND, "x" },
	{ "pcre:{{/a.c/s x}}", "a\nc", NONE, "" },
	{ "pcre:{{/^b/ x}}", "a\nb", NONE, "" },
	{ "pcre:{{/^b/m x}}", "a\nb", FOUND, "x" },
	{ "pcre:{{/a b/x x}}", "ab", FOUND, "x" },
	{ "pcre:{{/b/A x}}", "ab", NONE, "" },
	{ "pcre:{{/a$/ x}}", "a\n", FOUND, "x" },
	{ "pcre:{{/a$/E x}}", "a\n", NONE, "" },
	{ "pcre:{{/(a+)/U $1}}", "aaa", FOUND, "a" },
	{ "pcre:{{/a/Q x} {/a/ y}}", "a", FOUND, "y" },
	{ "pcre:{{#a#b#  x} {|a| y}}", "a", FOUND, "y" },
	{ "pcre:{{/a\\/b/ x}}", "a/b", FOUND, "x" },
	{ "pcre:{{!/a/ x}}", "b", FOUND, "x" },
	{ "pcre:{{! ! /a/ x}}", "a", FOUND, "x" },
	{ "pcre:{{/(a)|(b)/ <$1$2>}}", "b", FOUND, "<b>" },
	{ "pcre:{{/(a)(b)/ $2${1}x$(2)$$1}}", "ab", FOUND, "baxb$1" },
	{ "pcre:{{/(a)/ $2} {/a/ y}}", "a", FOUND, "y" },
	{ "pcre:{{!/(a)/ $1} {/b/ y}}", "b", FOUND, "y" },
	{ "pcre:{{/(a)/ $x} {/a/ y}}", "a", FOUND, "y" },
	{ "pcre:{{/(a)/ $(1} {/a/ y}}", "a", FOUND, "y" },
	{ "pcre:{{/(/ x} {/a/ y}}", "a", FOUND, "y" },
	{ "pcre:{{if /a/} {/b/ x} {endif} {/b/ y}}", "ab", FOUND, "x" },
	{ "pcre:{{if /a/} {/b/ x} {endif} {/b/ y}}", "b", FOUND, "y" },
	{ "pcre:{{if !/a/} {/b/ x} {endif} {/b/ y}}", "b", FOUND, "x" },
	{ "pcre:{{if /a/} {if /b/} {/./ x} {endif} {/./ z} {endif} {/./ y}}",
	    "ab", FOUND, "x" },
	{ "pcre:{{if /a/} {if /b/} {/./ x} {endif} {/./ z} {endif} {/./ y}}",
	    "a", FOUND, "z" },
	{ "pcre:{{if /a/} {if /b/} {/./ x} {endif} {/./ z} {endif} {/./ y}}",
	    "b", FOUND, "y" },
	{ "pcre:{{if /a/} {/b/ x} }", "b", NONE, "" },
	{ "pcre:{{endif} {/b/ x} }", "b", FOUND, "x" },
	{ "pcre:{{foo bar} {/b/ x} }", "b", FOUND, "x" },
	/* more steps than a search may take: a fault, not "no" */
	{ "pcre:{{/^(a+)+(a+)+(a+)+$/ x}}",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", RETRY,
	    "" },
	{ "regexp:{{/a(b)?c/ <$1>}}", "ac", FOUND, "<>" },
	{ "regexp:{{/a/!/b/ x}}", "a", FOUND, "x" },
	{ "regexp:{{/a/!/b/ x}}", "ab", NONE, "" },
	{ "regexp:{{/a|b/ x}}", "B", FOUND, "x" },
	{ "regexp:{{/a|b/x x}}", "a", NONE, "" },	/* basic */
	{ "regexp:{{/a|b/x x}}", "a|b", FOUND, "x" },
	{ "regexp:{{/a/i x}}", "A", NONE, "" },
	{ "regexp:{{/^b/m x}}", "a\nb", FOUND, "x" },
	{ "regexp:{{if /a/} {/b/ x} {endif} {/b/ y}}", "b", FOUND, "y" },
	{ "cidr:{{10.0.0.0/8 a} {0.0.0.0/0 b} {::/0 c}}", "10.9.9.9", FOUND,
	    "a" },
	{ "cidr:{{10.0.0.0/8 a} {0.0.0.0/0 b} {::/0 c}}", "11.1.1.1", FOUND,
	    "b" },
	{ "cidr:{{10.0.0.0/8 a} {0.0.0.0/0 b} {::/0 c}}", "2001:db8::1",
	    FOUND, "c" },
	{ "cidr:{{10.0.0.1/8 a} {10.0.0.1 b}}", "10.0.0.1", FOUND, "b" },
	{ "cidr:{{[2001:db8::]/33 a}}", "2001:db8:7fff::", FOUND, "a" },
	{ "cidr:{{[2001:db8::]/33 a}}", "2001:db8:8000::", NONE, "" },
	{ "cidr:{{!10.0.0.0/8 a}}", "11.0.0.1", FOUND, "a" },
	{ "cidr:{{!10.0.0.0/8 a}}", "2001:db8::1", NONE, "" },
	{ "cidr:{{if 10.0.0.0/8} {10.1.0.0/16 a} {endif} {10.1.0.0/16 b}}",
	    "10.1.1.1", FOUND, "a" },
	{ "cidr:{{if !10.0.0.0/8} {0.0.0.0/0 a} {endif} {0.0.0.0/0 b}}",
	    "10.1.1.1", FOUND, "b" },
	{ "cidr:{{10.0.0.0/7x a} {10.0.0.0/33 b} {[::1 c} {[::1]x d} {10.0.0.0"
	    " e}}", "10.0.0.0", FOUND, "e" },
};

static void
test_rules(void **state)
{
	struct buf value, why;

	(void)state;
	buf_init(&value, TABLE_VALUE_MAX);
	buf_init(&why, 1000);
	for (size_t i = 0; i < nitems(rows); i++) {
		struct table *t = table_open(str_of(rows[i].spec), NULL,
		    TABLE_FOLD, &why);
		enum found found;

		assert_non_null(t);
		found = table_get(t, str_of(rows[i].key), &value);
		if (found != rows[i].found ||
		    strcmp(buf_cstr(&value), rows[i].value) != 0)
			fail_msg("%s of %s: %d %s", rows[i].key, rows[i].spec,
			    (int)found, buf_cstr(&value));
		table_free(&t);
	}
	buf_free(&value);
	buf_free(&why);
}

/* A set that forbids $1 leaves such rules out. */
static void
test_no_substitution(void **state)
{
	struct buf value, why;
	struct table *t;

	(void)state;
	buf_init(&value, TABLE_VALUE_MAX);
	buf_init(&why, 1000);
	t = table_open(STR("pcre:{{/(a)/ $1} {/a/ y}}"), NULL,
	    TABLE_NO_REGSUB, &why);
	assert_int_equal(table_get(t, STR("a"), &value), FOUND);
	assert_string_equal(buf_cstr(&value), "y");
	table_free(&t);
	buf_free(&value);
	buf_free(&why);
}

static const struct { bool posix; const char *expression, *literal; }
literals[] = {
	{ false, "^Subject: .*Make Money Fast", "make money fast" },
	{ false, "^Subject:.*", "subject:" },
	{ false, "a|b", "" }, { false, "(foo|bar)baz", "baz" },
	{ false, "(foobar)x", "foobar" }, { false, "(foobar)?x", "x" },
	{ false, "(foobar)*x", "x" }, { false, "(foobar){0,2}x", "x" },
	{ false, "(foobar){1,2}x", "foobar" },
	{ false, "abcd?e", "abc" }, { false, "abcd*e", "abc" },
	{ false, "abcd+e", "abcd" }, { false, "abcd{0}e", "abc" },
	{ false, "abcd{2,}e", "abcd" }, { false, "ab+?cde", "cde" },
	{ false, "abc[x]de", "abc" }, { false, "[]abc]de", "de" },
	{ false, "[^]abc]de", "de" }, { false, "[[:alpha:]]de", "de" },
	{ false, "[a\\]b]de", "de" }, { false, "abc\\.com", "abc.com" },
	{ false, "abc\\d\\d", "abc" }, { false, "abc\\x41", "" },
	{ false, "\\Qabc\\E", "" }, { false, "(?i)abc", "" },
	{ false, "(?:abcdef)", "abcdef" }, { false, "(?!abcdef)xy", "xy" },
	{ false, "(?=abcdef)xy", "xy" }, { false, "(?<name>abc)", "" },
	{ false, "(*UTF)abc", "" }, { false, "a{x}", "" },
	{ false, "(a)\\1", "" }, { false, "abc\xc3\xa4*d", "abc" },
	{ false, "a(b(c|d)efg)h", "efg" }, { false, "", "" },
	{ true, "^Subject: .*Make Money", "make money" },
	{ true, "ab+?cde", "" }, { true, "\\<abc\\>", "abc" },
	{ true, "[a\\]b]de", "b]de" }, { true, "abc)", "" },
	{ true, "(abc|d)", "" }, { true, "x{2}yz", "yz" },
};

static void
test_literals(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < nitems(literals); i++) {
		pattern_literal(str_of(literals[i].expression),
		    literals[i].posix, &out);
		if (strcmp(buf_cstr(&out), literals[i].literal) != 0)
			fail_msg("%s: \"%s\"", literals[i].expression,
			    buf_cstr(&out));
	}
	buf_free(&out);
}

/*
 * Random expressions on random subjects: where the library finds a match,
 * the literal stands in the subject.
 */
static void
test_literal_is_needed(void **state)
{
	static const char letters[] = "abc()|*+?[]{}1,.\\^$ab()";
	char expression[16], subject[16];
	struct buf out, folded;
	unsigned matched = 0;

	(void)state;
	srandom(7);
	buf_init(&out, 1000);
	buf_init(&folded, 1000);
	for (int round = 0; round < 200000; round++) {
		size_t n = (size_t)random() % 12 + 1;
		regex_t re;

		for (size_t i = 0; i < n; i++)
			expression[i] = letters[(size_t)random() %
			    (sizeof(letters) - 1)];
		expression[n] = '\0';
		if (regcomp(&re, expression, REG_EXTENDED | REG_ICASE) != 0)
			continue;
		pattern_literal(str_of(expression), true, &out);
		for (int k = 0; k < 4 && out.n > 0; k++) {
			n = (size_t)random() % 8;
			for (size_t i = 0; i < n; i++)
				subject[i] = "abcABC1,"[random() % 8];
			subject[n] = '\0';
			buf_clear(&folded);
			table_fold(str_of(subject), &folded);
			if (regexec(&re, subject, 0, NULL, 0) != 0)
				continue;
			matched++;
			if (strstr(buf_cstr(&folded), buf_cstr(&out)) == NULL)
				fail_msg("/%s/ matches %s without %s",
				    expression, subject, buf_cstr(&out));
		}
		regfree(&re);
	}
	assert_true(matched > 1000);
	buf_free(&out);
	buf_free(&folded);
}

static void
test_prefilter(void **state)
{
	static const char *const words[] = { "abc", "", "xyz", "bcd", "ab",
	    "zzzzzz", "abcd" };
	static const struct { const char *subject; unsigned has; } t[] = {
		{ "ABCD", 1 | 2 | 8 | 16 | 64 }, { "xyz", 2 | 4 | 16 },
		{ "", 2 | 16 }, { "zzzzz", 2 | 16 }, { "zzzzzzz", 2 | 16 | 32 },
		{ "ab", 2 | 16 }, { "xabc", 1 | 2 | 16 },
	};
	struct prefilter *f = prefilter_new(nitems(words));

	(void)state;
	for (size_t i = 0; i < nitems(words); i++)
		prefilter_add(f, i, str_of(words[i]));
	for (size_t i = 0; i < nitems(t); i++) {
		unsigned has = 0;

		prefilter_look(f, str_of(t[i].subject));
		for (size_t k = 0; k < nitems(words); k++)
			has |= prefilter_has(f, k) ? 1u << k : 0;
		if (has != t[i].has)
			fail_msg("%s: %x", t[i].subject, has);
	}
	prefilter_free(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_no_substitution),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_literal_is_needed),
		cmocka_unit_test(test_prefilter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
