/*
 * table_inline - any text as inline:TEXT: it opens or says why; each entry
 * that it lists is found, with that value.
 */
#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static bool
check_entry(void *ctx, struct str key, struct str value)
{
	struct buf got;

	buf_init(&got, TABLE_VALUE_MAX);
	if (key.n <= 8192 && value.n <= TABLE_VALUE_MAX) {
		assert(table_get(ctx, key, &got) == FOUND);
		assert(str_eq(buf_view(&got), value));
	}
	buf_free(&got);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf spec, why;
	struct table *t;

	buf_init(&spec, size + 8);
	buf_init(&why, size + 1000);
	buf_puts(&spec, "inline:");
	buf_add(&spec, data, size);
	t = table_open(buf_view(&spec), NULL, TABLE_FOLD, &why);
	if (t == NULL)
		assert(why.n > 0);
	else
		assert(table_each(t, check_entry, t) == FOUND);
	table_free(&t);
	buf_free(&spec);
	buf_free(&why);
	return 0;
}
