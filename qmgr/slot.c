/*
 * slot - the index of the queue: ids, and a heap of when each is due.
 *
 * Two heaps, so that new mail and old mail can take turns. Times are steady
 * milliseconds; nothing here looks at a clock or a file. qmgr runs it.
 */
#include "qmgr/qmgr.h"

static struct heap *
heap_of(struct qmgr *q, const struct slot *s)
{
	return s->dir == Q_DEFERRED ? &q->deferred : &q->incoming;
}

struct slot *
slot_first(const struct heap *h)
{
	struct heap_node *first = heap_first(h);

	return first != NULL ? container_of(first, struct slot, due) : NULL;
}

struct slot *
slot_get(struct qmgr *q, struct str id)
{
	return map_get(q->slots, id);
}

struct slot *
slot_new(struct qmgr *q, struct str id)
{
	struct slot *s = mem_new(sizeof(*s) + id.n + 1);

	memcpy(s->id, id.p, id.n);
	map_set(q->slots, id, s);
	return s;
}

void
slot_wait(struct qmgr *q, struct slot *s, enum queue_dir dir, int64_t due_ms)
{
	slot_unwait(q, s);
	s->dir = (uint8_t)dir;
	s->state = SLOT_WAITS;
	s->sites = NULL;
	s->due.seq = ++q->seq;
	heap_put(heap_of(q, s), &s->due, due_ms);
}

void
slot_unwait(struct qmgr *q, struct slot *s)
{
	if (s->state != SLOT_WAITS)
		return;
	site_forget(q, s);
	s->state = SLOT_NEW;
	heap_take(heap_of(q, s), &s->due);
}

void
slot_flush(struct qmgr *q, struct slot *s)
{
	if (s->state != SLOT_WAITS)
		slot_wait(q, s, s->dir, 0);
	heap_put(heap_of(q, s), &s->due, 0);
	s->flush = true;
}

void
slot_flush_all(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++) {
		struct slot *s = container_of(h->v[i], struct slot, due);

		s->due.key = 0;
		s->flush = true;
	}
	heap_order(h);
}

void
slot_free(struct qmgr *q, struct slot **sp)
{
	struct slot *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	slot_unwait(q, s);
	map_set(q->slots, str_of(s->id), NULL);
	mem_free(s);
}
