/*
 * dns_cache - answers that hold for a while: bounded in bytes, the least
 * lately used leave first. Pure: the clock is passed in.
 */
#include "lookup/resolve.h"

#define ENTRY_COST 200		/* of an entry beside its bytes, about */

struct entry {
	struct list	 link;		/* by last use */
	struct reply	 reply;
	int64_t		 until_ms;
	size_t		 bytes;
	struct str	 key;
	char		 text[];	/* key and the reply's strings */
};
struct dns_cache {
	struct map	*entries;
	struct list	 used;		/* the latest is last */
	size_t		 bytes, bytes_max;
};

struct dns_cache *
dns_cache_new(size_t bytes_max)
{
	struct dns_cache *c = mem_new(sizeof(*c));

	c->entries = map_new();
	c->bytes_max = bytes_max;
	list_init(&c->used);
	return c;
}

static void
drop(struct dns_cache *c, struct entry *e)
{
	map_set(c->entries, e->key, NULL);
	list_remove(&e->link);
	c->bytes -= e->bytes;
	mem_free(e);
}

void
dns_cache_free(struct dns_cache **cp)
{
	struct dns_cache *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	list_each(l, &c->used)
		drop(c, container_of(l, struct entry, link));
	map_free(&c->entries);
	mem_free(c);
}

static struct str
keep(struct entry *e, size_t *at, struct str s)
{
	struct str kept = { e->text + *at, s.n };

	if (s.n > 0)
		memcpy(e->text + *at, s.p, s.n);
	*at += s.n;
	return kept;
}

void
dns_cache_put(struct dns_cache *c, struct str key, const struct reply *reply,
    int64_t now_ms, int64_t ttl_ms)
{
	size_t n = key.n + reply->name.n + reply->records.n + reply->why.n;
	struct entry *e = map_get(c->entries, key);
	size_t at = 0;

	if (e != NULL)
		drop(c, e);
	if (ttl_ms <= 0 || n + ENTRY_COST > c->bytes_max)
		return;
	e = mem_new(sizeof(*e) + n);
	e->bytes = n + ENTRY_COST;
	e->until_ms = now_ms + ttl_ms;
	e->key = keep(e, &at, key);
	e->reply = *reply;
	e->reply.name = keep(e, &at, reply->name);
	e->reply.records = keep(e, &at, reply->records);
	e->reply.why = keep(e, &at, reply->why);
	map_set(c->entries, e->key, e);
	list_append(&c->used, &e->link);
	c->bytes += e->bytes;
	while (c->bytes > c->bytes_max)
		drop(c, container_of(c->used.next, struct entry, link));
}

const struct reply *
dns_cache_get(struct dns_cache *c, struct str key, int64_t now_ms)
{
	struct entry *e = map_get(c->entries, key);

	if (e == NULL)
		return NULL;
	if (now_ms >= e->until_ms) {
		drop(c, e);
		return NULL;
	}
	list_remove(&e->link);
	list_append(&c->used, &e->link);
	return &e->reply;
}

size_t
dns_cache_bytes(const struct dns_cache *c)
{
	return c->bytes;
}
