/*
 * trace - a line of a log, of any bytes: what comes out is a queue id that
 * opens no other path, an event that has a name, and no id that is none.
 */
#include "queue/queue.h"
#include "tools/trace_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena;
	struct trace_line l;

	if (n > 1 << 14)
		return 0;
	arena = arena_new(16 << 20);
	if (trace_line_parse((struct str){ (const char *)data, n }, arena,
	    &l)) {
		assert(queue_id_valid(l.qid));
		assert(trace_event_names[l.event] != NULL);
		assert(l.next.n == 0 || queue_id_valid(l.next));
		assert(l.text.n <= n && l.program.n <= n && l.time.n <= n);
		(void)trace_line_names(&l, STR("<a@b>"));
	}
	arena_free(&arena);
	return 0;
}
