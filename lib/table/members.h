/*
 * table/members - tables made of tables: {type:name, type:name}.
 */
#ifndef TABLE_MEMBERS_H
#define TABLE_MEMBERS_H
#include "table/internal.h"

struct members { struct table **v; size_t n; struct buf key; };

/*
 * Opens each table that t->name lists in braces into t->state; t asks by
 * parts of a key where one of them does. False with *why.
 */
bool	 members_open(struct table *t, struct buf *why);
void	 members_close(struct table *t);
/* RETRY of t with the word of that member. */
enum found members_fault(struct table *t, const struct table *member);

#endif
