/*
 * table_source - any text as the source of a table (postmap, texthash): line
 * numbers rise, a key splits off where it would split again, no blank stands
 * around key or value.
 */
#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_line(struct str line)
{
	struct str key, value, key2, value2;
	struct buf again;

	if (table_line_split(line, &key, &value) != NULL)
		return;
	assert(key.n > 0 && value.n > 0);
	assert(key.p >= line.p && key.p + key.n <= line.p + line.n);
	assert(value.p >= key.p + key.n);
	assert(value.p + value.n <= line.p + line.n);
	assert(str_eq(value, str_trim(value)));
	buf_init(&again, line.n + 2);
	buf_str(&again, key);
	buf_putc(&again, ' ');
	buf_str(&again, value);
	assert(table_line_split(buf_view(&again), &key2, &value2) == NULL);
	assert(str_eq(key, key2) && str_eq(value, value2));
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	int next = 1, line = 0, last = 0;
	struct buf text;

	buf_init(&text, size + 1);
	while (table_next_line(&rest, &next, &line, &text)) {
		assert(line > last && line < next + 1);
		assert(text.n > 0 && text.n <= size && !text.full);
		last = line;
		check_line(buf_view(&text));
	}
	assert(rest.n == 0);
	buf_free(&text);
	return 0;
}
