/*
 * conf_expand - $name expansion: first line is the text, each further line
 * the value of $a, $b, $c ... It ends, within bounds, the same way twice;
 * and a text without $ is its own expansion.
 */
#include <stdlib.h>

#include "conf/syntax.h"

#define OUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static bool
lookup(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct str rest = *(struct str *)ctx;
	size_t n;

	if (name.n != 1 || name.p[0] < 'a')
		return false;
	for (char c = 'a'; c < name.p[0]; c++)
		rest = str_from(rest, str_chr(rest, '\n') + 1);
	n = str_chr(rest, '\n');
	*value = str_first(rest, n);
	*raw = name.p[0] == 'z';
	return rest.n > 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str all = { (const char *)p, n };
	struct str text = str_first(all, str_chr(all, '\n'));
	struct str values = str_from(all, text.n + 1);
	struct expander e = { .ctx = &values, .lookup = lookup };
	struct buf one, two;
	enum expanded r, again;
	int64_t level;

	buf_init(&one, OUT_MAX);
	buf_init(&two, OUT_MAX);
	r = expand_text(&e, text, &one);
	again = expand_text(&e, text, &two);
	check(r == again && str_eq(buf_view(&one), buf_view(&two)));
	check(one.n <= OUT_MAX);
	if (str_chr(text, '$') == text.n && text.n < OUT_MAX)
		check(r == EXPAND_OK && str_eq(buf_view(&one), text));
	buf_clear(&two);
	e.scan = true;
	(void)expand_text(&e, text, &two);
	check(two.n == 0);
	if (compat_level(text, &level))
		check(level >= 0);
	buf_free(&one);
	buf_free(&two);
	return 0;
}
