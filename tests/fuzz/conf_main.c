/*
 * conf_main - main.cf: whatever the bytes, each setting has a name, its value
 * is trimmed and found again, and every value expands within bounds.
 */
#include <stdlib.h>

#include "conf/internal.h"
#include "conf/syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str text = { (const char *)p, n }, name, raw;
	struct problems ps = { NULL, 0 };
	struct conf *c = conf_empty("/nonexistent");
	size_t at = 0, count = 0;
	int line, lines = 1;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	conf_read_text(c, "main.cf", text, &ps);
	while (conf_each(c, &at, &name, &raw)) {
		check(name.n > 0 && str_chr(name, '=') == name.n);
		check(raw.n == 0 || (!is_blank(raw.p[0]) &&
		    !is_blank(raw.p[raw.n - 1])));
		check(conf_where(c, name, &line) != NULL);
		check(line >= 1 && line <= lines);
		check(str_eq(conf_setting(c, name)->value, raw));
		if (count++ < 20 && !str_eq(name, STR("myorigin")))
			check(conf_expand(c, raw, &ps).n <= CONF_VALUE_MAX);
	}
	problems_free(&ps);
	conf_free(&c);
	return 0;
}
