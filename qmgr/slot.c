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

static void
put(struct heap *h, size_t at, struct slot *s)
{
	h->v[at] = s;
	s->at = (uint32_t)at;
}

static void
sift_up(struct heap *h, size_t at, struct slot *s)
{
	while (at > 0 && h->v[(at - 1) / 2]->due_ms > s->due_ms) {
		put(h, at, h->v[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(h, at, s);
}

static void
sift_down(struct heap *h, size_t at, struct slot *s)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n &&
		    h->v[child + 1]->due_ms < h->v[child]->due_ms)
			child++;
		if (h->v[child]->due_ms >= s->due_ms)
			break;
		put(h, at, h->v[child]);
		at = child;
	}
	put(h, at, s);
}

struct slot *
heap_first(const struct heap *h)
{
	return h->n > 0 ? h->v[0] : NULL;
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
	struct heap *h;

	slot_unwait(q, s);
	s->dir = (uint8_t)dir;
	s->state = SLOT_WAITS;
	s->due_ms = due_ms;
	s->m = NULL;
	h = heap_of(q, s);
	if (h->n == h->cap) {
		h->cap = h->cap == 0 ? 256 : h->cap * 2;
		h->v = mem_grow(h->v, h->cap, sizeof(*h->v));
	}
	h->n++;
	sift_up(h, h->n - 1, s);
}

void
slot_unwait(struct qmgr *q, struct slot *s)
{
	struct heap *h = heap_of(q, s);
	struct slot *last;
	size_t at = s->at;

	if (s->state != SLOT_WAITS)
		return;
	s->state = SLOT_NEW;
	last = h->v[--h->n];
	if (last == s)
		return;
	if (at > 0 && h->v[(at - 1) / 2]->due_ms > last->due_ms)
		sift_up(h, at, last);
	else
		sift_down(h, at, last);
}

void
slot_flush(struct qmgr *q, struct slot *s)
{
	slot_wait(q, s, s->dir, 0);
	s->flush = true;
}

void
heap_flush(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++) {	/* all equal: still a heap */
		h->v[i]->due_ms = 0;
		h->v[i]->flush = true;
	}
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
