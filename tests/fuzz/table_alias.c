/*
 * table_alias - any text as a line of aliases(5): what comes out, read once
 * more, comes out the same.
 */
#include "tools/postmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf key, value, line, key2, value2;
	size_t room = 4 * size + 16;

	buf_init(&key, room);
	buf_init(&value, room);
	buf_init(&line, 3 * room);
	buf_init(&key2, 3 * room);
	buf_init(&value2, 3 * room);
	if (alias_split((struct str){ (const char *)data, size }, &key,
	    &value) == NULL && key.n > 0) {
		assert(value.n > 0);
		buf_str(&line, buf_view(&key));
		buf_puts(&line, ": ");
		buf_str(&line, buf_view(&value));
		assert(alias_split(buf_view(&line), &key2, &value2) == NULL);
		assert(str_eq(buf_view(&key), buf_view(&key2)));
		assert(str_eq(buf_view(&value), buf_view(&value2)));
	}
	buf_free(&key);
	buf_free(&value);
	buf_free(&line);
	buf_free(&key2);
	buf_free(&value2);
	return 0;
}
