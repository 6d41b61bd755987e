/*
 * base - strings, buffers, arenas, lists, maps, hashes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/base.h"

static void
test_numbers(void **state)
{
	static const struct { const char *in; bool ok; uint64_t out; } t[] = {
		{ "0", true, 0 }, { "42", true, 42 }, { "", false, 0 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 }, { "-1", false, 0 },
		{ " 1", false, 0 }, { "1x", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		uint64_t v = 0;

		assert_int_equal(str_number(str_of(t[i].in), &v), t[i].ok);
		assert_true(v == t[i].out);
	}
}

static void
test_strings(void **state)
{
	struct str rest = STR(" a, b,,c "), tok, s = STR("user@a@b");

	(void)state;
	assert_true(str_token(&rest, ", ", &tok) && str_eq(tok, STR("a")));
	assert_true(str_token(&rest, ", ", &tok) && str_eq(tok, STR("b")));
	assert_true(str_token(&rest, ", ", &tok) && str_eq(tok, STR("c")));
	assert_false(str_token(&rest, ", ", &tok));
	assert_true(str_has_dotdot(STR("a/../b")) &&
	    str_has_dotdot(STR("..")) && !str_has_dotdot(STR("/a/..b/c..")) &&
	    !str_has_dotdot(STR("")));
	assert_int_equal(str_chr(s, '@'), 4);
	assert_int_equal(str_rchr(s, '@'), 6);
	assert_int_equal(str_chr(s, 'z'), s.n);
	assert_true(str_eq(str_trim(STR(" \tx y\r\n")), STR("x y")));
	assert_true(str_ends_nocase(STR("Mail.EXAMPLE"), STR(".example")));
	assert_false(str_starts(STR("a"), STR("ab")));
	assert_true(str_cmp(STR("ab"), STR("abc")) < 0);
	assert_true(str_cmp(STR("b"), STR("abc")) > 0);
}

static void
test_buf(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	buf_printf(&b, "%d-%s", 12, "abc");
	assert_string_equal(buf_cstr(&b), "12-abc");
	buf_add(&b, "12345", 5);
	assert_true(b.full);
	assert_int_equal(b.n, 6);
	buf_add(&b, "1", 1);		/* full is sticky */
	assert_int_equal(b.n, 6);
	buf_clear(&b);
	buf_add(&b, "1234567890", 10);
	assert_false(b.full);
	buf_drop(&b, 4);
	assert_true(str_eq(buf_view(&b), STR("567890")));
	buf_free(&b);
	assert_int_equal(buf_view(&b).n, 0);
}

static void
note(void *ctx)
{
	struct { char *text; int n; } *log = *(void **)ctx, *l = log;

	l->text[l->n] = (char)('a' + l->n);
	l->n++;
}

static void
test_arena(void **state)
{
	struct arena *a = arena_new(1 << 20);
	char text[4] = "";
	struct { char *text; int n; } log = { text, 0 };
	void *to = &log;

	(void)state;
	for (size_t n = 1; n < 5000; n = n * 3 + 1) {
		char *p = arena_alloc(a, n);

		assert_int_equal((uintptr_t)p % 16, 0);
		assert_int_equal(p[n - 1], 0);
		memset(p, 'x', n);
	}
	assert_string_equal(arena_printf(a, "%s=%d", "n", 7), "n=7");
	arena_defer(a, note, &to);
	arena_defer(a, note, &to);
	arena_free(&a);
	assert_null(a);
	assert_string_equal(text, "ab");
	arena_free(&a);
}

static void
test_map(void **state)
{
	struct map *m = map_new();
	static char values[2000];
	char key[16];
	struct str k;
	size_t pos = 0, seen = 0;
	void *v;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_null(map_set(m, str_of(key), &values[i]));
	}
	for (int i = 0; i < 2000; i += 2) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_ptr_equal(map_set(m, str_of(key), NULL), &values[i]);
	}
	assert_int_equal(map_count(m), 1000);
	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_ptr_equal(map_get(m, str_of(key)),
		    i % 2 ? &values[i] : NULL);
	}
	while (map_next(m, &pos, &k, &v))
		seen++;
	assert_int_equal(seen, 1000);
	map_free(&m);
}

struct item { int n; struct list link; };

static void
test_list(void **state)
{
	struct list head;
	struct item items[3] = { { .n = 1 }, { .n = 2 }, { .n = 3 } };
	int sum = 0;

	(void)state;
	list_init(&head);
	for (size_t i = 0; i < nitems(items); i++)
		list_append(&head, &items[i].link);
	list_each(l, &head) {
		struct item *it = container_of(l, struct item, link);

		sum = sum * 10 + it->n;
		list_remove(l);		/* allowed while walking */
	}
	assert_int_equal(sum, 123);
	assert_true(list_empty(&head));
	list_remove(&items[0].link);	/* twice is harmless */
}

static void
test_hashes(void **state)
{
	static const uint8_t key[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
		12, 13, 14, 15 };
	uint8_t in[15], zeros[32] = { 0 };

	(void)state;
	/* RFC 3720 B.4: 32 bytes of zeroes. */
	assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5),
	    0xe3069283);
	/* The vector of the SipHash paper, appendix A. */
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	assert_true(siphash(key, in, sizeof(in)) == 0xa129ca6149be45e5u);
}

/* RFC 3629 4, and its neighbours. */
static void
test_utf8(void **state)
{
	static const struct { const char *in; size_t n; uint32_t code; } t[] = {
		{ "a", 1, 'a' }, { "\x7f", 1, 0x7f }, { "\x80", 0, 0 },
		{ "\xbf", 0, 0 }, { "\xc0\x80", 0, 0 }, { "\xc1\xbf", 0, 0 },
		{ "\xc2\x80", 2, 0x80 }, { "\xc2", 0, 0 }, { "\xc2\x41", 0, 0 },
		{ "\xdf\xbf", 2, 0x7ff }, { "\xe0\x9f\xbf", 0, 0 },
		{ "\xe0\xa0\x80", 3, 0x800 }, { "\xe0\xa0", 0, 0 },
		{ "\xed\x9f\xbf", 3, 0xd7ff }, { "\xed\xa0\x80", 0, 0 },
		{ "\xed\xbf\xbf", 0, 0 }, { "\xee\x80\x80", 3, 0xe000 },
		{ "\xef\xbf\xbf", 3, 0xffff }, { "\xf0\x8f\xbf\xbf", 0, 0 },
		{ "\xf0\x90\x80\x80", 4, 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
		{ "\xf4\x90\x80\x80", 0, 0 }, { "\xf5\x80\x80\x80", 0, 0 },
		{ "\xff", 0, 0 }, { "\xf0\x90\x80", 0, 0 },
	};
	struct buf b;
	uint32_t code;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < nitems(t); i++) {
		struct str s = str_of(t[i].in);

		assert_int_equal(utf8_first(s, &code), t[i].n);
		if (t[i].n > 0)
			assert_int_equal(code, t[i].code);
		buf_clear(&b);
		buf_puts(&b, "x\xc3\xa9");
		buf_str(&b, s);
		assert_int_equal(utf8_valid(buf_view(&b)), t[i].n == s.n);
		buf_puts(&b, "y");
		assert_int_equal(utf8_valid(buf_view(&b)), t[i].n == s.n);
	}
	assert_int_equal(utf8_first(STR(""), &code), 0);
	assert_int_equal(utf8_first((struct str){ "\0", 1 }, &code), 1);
	assert_true(utf8_valid(STR("")));
	buf_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_strings),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_buf), cmocka_unit_test(test_arena),
		cmocka_unit_test(test_map), cmocka_unit_test(test_list),
		cmocka_unit_test(test_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
