/*
 * heap - who is first: nodes inside their owners, by key, then by seq.
 *
 * Pure. A node is in one heap at most; a zeroed node is in none. put of a
 * node that is in moves it. Ties of key go by seq, which the owner sets.
 */
#ifndef QMGR_HEAP_H
#define QMGR_HEAP_H
#include "base/base.h"

struct heap_node {
	int64_t	 key;
	uint64_t seq;
	size_t	 place;		/* index + 1; 0: in no heap */
};
struct heap {
	struct heap_node **v;
	size_t		   n, cap;
	uint64_t	  *steps;	/* moves are counted here, or NULL */
};

void		  heap_put(struct heap *, struct heap_node *, int64_t key);
void		  heap_take(struct heap *, struct heap_node *); /* or no-op */
/* In order again after the owner set keys of its nodes. */
void		  heap_order(struct heap *);
struct heap_node *heap_first(const struct heap *);		/* or NULL */
bool		  heap_has(const struct heap_node *);		/* is in one */
/* Its nodes are yours; their places are stale then. */
void		  heap_free(struct heap *);
#endif
