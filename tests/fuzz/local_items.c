/*
 * Any bytes as an alias' value, a .forward or an :include: file: items are
 * never empty, hold no NUL, and there are no more than bytes.
 */
#include <stdint.h>
#include "local/items.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static size_t
each(struct str rest)
{
	struct arena *arena = arena_new(64 << 20);
	struct item item;
	size_t n = 0;

	for (; items_next(&rest, arena, &item); n++) {
		assert(item.kind <= ITEM_USER && item.value.n > 0);
		assert(memchr(item.value.p, '\0', item.value.n) == NULL);
		if (item.kind == ITEM_FILE)
			assert(item.value.p[0] == '/' ||
			    item.value.p[0] == '~');
	}
	arena_free(&arena);
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size }, line;

	if (size > 65536)
		return 0;
	assert(each(text) <= size);
	while (items_line(&text, &line)) {
		assert(line.n > 0 && line.p[0] != '#');
		assert(memchr(line.p, '\n', line.n) == NULL);
		(void)each(line);
	}
	return 0;
}
