/*
 * members - tables made of tables, for unionmap and pipemap.
 */
#include "conf/conf.h"
#include "table/members.h"

static bool
open_one(struct table *t, struct members *m, struct str spec, struct buf *why)
{
	struct table *one = table_open_in(t, spec, why);

	if (one == NULL)
		return false;
	m->v = mem_grow(m->v, m->n + 1, sizeof(struct table *));
	m->v[m->n++] = one;
	t->traits |= one->traits & WHOLE_KEYS;
	return true;
}

bool
members_open(struct table *t, struct buf *why)
{
	struct members *m = mem_new(sizeof(*m));
	struct str rest = t->name, item;
	bool ok = true;

	buf_init(&m->key, TABLE_VALUE_MAX);
	t->state = m;
	t->traits = 0;
	if (rest.n >= 2 && rest.p[0] == '{' && rest.p[rest.n - 1] == '}')
		rest = (struct str){ rest.p + 1, rest.n - 2 };
	else
		rest = STR("");
	while (ok && conf_list_next(&rest, &item))
		ok = open_one(t, m, item, why);
	if (ok && m->n == 0) {
		buf_printf(why, "bad syntax: \"%.200s\"; need "
		    "\"%s:{type:name...}\"", t->spec, t->type->name);
		ok = false;
	}
	if (!ok) {
		members_close(t);
		t->state = NULL;
	}
	return ok;
}

void
members_close(struct table *t)
{
	struct members *m = t->state;

	for (size_t i = 0; i < m->n; i++)
		table_free(&m->v[i]);
	buf_free(&m->key);
	mem_free(m->v);
	mem_free(m);
}

enum found
members_fault(struct table *t, const struct table *member)
{
	buf_puts(&t->error, table_error(member));
	return RETRY;
}
