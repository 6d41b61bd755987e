/*
 * table_match - "list \n name \n address" as a match list and its questions:
 * an answer comes, the same twice, and "!" before all of a list that has no
 * other turns FOUND to NONE.
 */
#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size }, name, addr;
	struct match_list *m;
	struct buf list, why;
	enum found first;
	size_t end;

	buf_init(&list, size + 1);
	buf_init(&why, 1 << 20);
	end = str_chr(rest, '\n');
	for (size_t i = 0; i < end; i++) {
		bool digit = i > 0 && ((rest.p[i - 1] >= '0' &&
		    rest.p[i - 1] <= '9') || rest.p[i - 1] == ']');

		/* nets, but no files of this machine */
		buf_putc(&list, rest.p[i] == '/' && !digit ? '_' : rest.p[i]);
	}
	rest = str_from(rest, end + 1);
	end = str_chr(rest, '\n');
	name = str_first(rest, end);
	addr = str_from(rest, end + 1);
	for (unsigned flags = 0; flags <= MATCH_WHOLE; flags++) {
		m = match_list_open(buf_view(&list), "/nonexistent", flags,
		    &why);
		first = match_list_domain(m, name);
		assert(match_list_domain(m, name) == first);
		assert(name.n > 0 || first == NONE);
		first = match_list_addr(m, name, addr);
		assert(match_list_addr(m, name, addr) == first);
		match_list_free(&m);
		assert(m == NULL);
	}
	buf_free(&list);
	buf_free(&why);
	return 0;
}
