/*
 * heap - a binary heap of nodes that know their places.
 *
 * Each put and take costs a walk of the tree's height at most; mail that
 * comes in order stays where it is put. qmgr runs it.
 */
#include "qmgr/heap.h"

#define FIRST_CAP 4

static bool
before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void
place(struct heap *h, size_t at, struct heap_node *node)
{
	h->v[at] = node;
	node->place = at + 1;
	if (h->steps != NULL)
		(*h->steps)++;
}

static void
sift_up(struct heap *h, size_t at, struct heap_node *node)
{
	while (at > 0 && before(node, h->v[(at - 1) / 2])) {
		place(h, at, h->v[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(h, at, node);
}

static void
sift_down(struct heap *h, size_t at, struct heap_node *node)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && before(h->v[child + 1], h->v[child]))
			child++;
		if (!before(h->v[child], node))
			break;
		place(h, at, h->v[child]);
		at = child;
	}
	place(h, at, node);
}

static void
settle(struct heap *h, size_t at, struct heap_node *node)
{
	if (at > 0 && before(node, h->v[(at - 1) / 2]))
		sift_up(h, at, node);
	else
		sift_down(h, at, node);
}

bool
heap_has(const struct heap_node *node)
{
	return node->place > 0;
}

void
heap_put(struct heap *h, struct heap_node *node, int64_t key)
{
	if (heap_has(node)) {
		node->key = key;
		settle(h, node->place - 1, node);
		return;
	}
	node->key = key;
	if (h->n == h->cap) {
		h->cap = h->cap == 0 ? FIRST_CAP : h->cap * 2;
		h->v = mem_grow(h->v, h->cap, sizeof(struct heap_node *));
	}
	h->n++;
	sift_up(h, h->n - 1, node);
}

void
heap_take(struct heap *h, struct heap_node *node)
{
	size_t at = node->place - 1;
	struct heap_node *last;

	if (!heap_has(node))
		return;
	assert(at < h->n && h->v[at] == node);
	node->place = 0;
	last = h->v[--h->n];
	if (last != node)
		settle(h, at, last);
}

void
heap_order(struct heap *h)
{
	for (size_t i = h->n / 2; i > 0; i--)
		sift_down(h, i - 1, h->v[i - 1]);
}

struct heap_node *
heap_first(const struct heap *h)
{
	return h->n > 0 ? h->v[0] : NULL;
}

void
heap_free(struct heap *h)
{
	mem_free(h->v);
	h->v = NULL;
	h->n = h->cap = 0;
}
