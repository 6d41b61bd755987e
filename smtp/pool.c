/*
 * pool - connections that rest, for more mail to the same destination or to
 * the same address. Each knows its two places; a place is there while it has
 * any.
 */
#include "smtp/smtp.h"

struct place { struct list idle; };	/* struct session */

struct pool_kept {
	struct map *by_dest, *by_addr;	/* struct place */
};

struct pool_kept *
pool_kept_new(void)
{
	struct pool_kept *p = mem_new(sizeof(*p));

	p->by_dest = map_new();
	p->by_addr = map_new();
	return p;
}

static void
put(struct map *places, struct str key, struct list *link)
{
	struct place *p = map_get(places, key);

	if (key.n == 0)
		return;
	if (p == NULL) {
		p = mem_new(sizeof(*p));
		list_init(&p->idle);
		map_set(places, key, p);
	}
	list_prepend(&p->idle, link);	/* the one used last is best alive */
}

static void
take(struct map *places, struct str key, struct list *link)
{
	struct place *p = map_get(places, key);

	list_remove(link);
	if (p != NULL && list_empty(&p->idle)) {
		map_set(places, key, NULL);
		mem_free(p);
	}
}

void
pool_put(struct session *s)
{
	put(s->smtp->pool->by_dest, s->dest_key, &s->in_dest);
	put(s->smtp->pool->by_addr, s->addr_key, &s->in_addr);
}

void
pool_remove(struct session *s)
{
	take(s->smtp->pool->by_dest, s->dest_key, &s->in_dest);
	take(s->smtp->pool->by_addr, s->addr_key, &s->in_addr);
}

struct session *
pool_take(struct smtp *smtp, struct str key, bool by_addr)
{
	struct pool_kept *pool = smtp->pool;
	struct place *p = map_get(by_addr ? pool->by_addr : pool->by_dest,
	    key);
	struct session *s;

	if (p == NULL)
		return NULL;
	s = by_addr ? container_of(p->idle.next, struct session, in_addr) :
	    container_of(p->idle.next, struct session, in_dest);
	pool_remove(s);
	return s;
}
