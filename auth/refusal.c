/*
 * refusal - logins of ours that a server has refused: smtp_sasl_auth_cache_*.
 *
 * The same password is not tried again at that server while it is kept here,
 * lest the account be locked. In memory alone: a start forgets them all, and
 * passwords are kept as an HMAC under a key that nobody else has.
 */
#include "auth/auth.h"

#define ENTRIES_MAX	1000	/* then the oldest is forgotten */
#define KEY_BYTES	32

struct refusal {
	struct list	 link;		/* by time, the latest last */
	char		*key, *dsn, *text;
	uint8_t		 mac[KEY_BYTES];
	int64_t		 at_s;
};
struct refusals {
	struct map	*by_key;
	struct list	 by_time;
	uint8_t		 secret[KEY_BYTES];
};

struct refusals *
refusals_new(void)
{
	struct refusals *all = mem_new(sizeof(*all));

	all->by_key = map_new();
	list_init(&all->by_time);
	random_bytes(all->secret, sizeof(all->secret));
	return all;
}

static void
drop(struct refusals *all, struct refusal *r)
{
	map_set(all->by_key, str_of(r->key), NULL);
	list_remove(&r->link);
	mem_free(r->key);
	mem_free(r->dsn);
	mem_free(r->text);
	mem_free(r);
}

void
refusals_free(struct refusals **allp)
{
	struct refusals *all = *allp;

	*allp = NULL;
	if (all == NULL)
		return;
	list_each(l, &all->by_time)
		drop(all, container_of(l, struct refusal, link));
	map_free(&all->by_key);
	mem_free(all);
}

static void
mac(const struct refusals *all, struct str password, uint8_t out[KEY_BYTES])
{
	password_mac((struct str){ (const char *)all->secret, KEY_BYTES },
	    password, out);
}

void
refusal_add(struct refusals *all, struct str key, struct str password,
    const struct refused *why, int64_t now_s)
{
	struct refusal *r = map_get(all->by_key, key);

	if (r != NULL)
		drop(all, r);
	if (map_count(all->by_key) >= ENTRIES_MAX)
		drop(all, container_of(all->by_time.next, struct refusal,
		    link));
	r = mem_new(sizeof(*r));
	r->key = mem_copy(key);
	r->dsn = mem_copy(why->dsn);
	r->text = mem_copy(why->text);
	r->at_s = now_s;
	mac(all, password, r->mac);
	list_append(&all->by_time, &r->link);
	map_set(all->by_key, str_of(r->key), r);
}

bool
refusal_find(struct refusals *all, struct str key, struct str password,
    int64_t since_s, struct refused *why)
{
	struct refusal *r = map_get(all->by_key, key);
	uint8_t now[KEY_BYTES];

	if (r == NULL)
		return false;
	mac(all, password, now);
	if (r->at_s < since_s || !password_same(now, r->mac, KEY_BYTES)) {
		drop(all, r);		/* too old, or a new password */
		return false;
	}
	*why = (struct refused){ str_of(r->dsn), str_of(r->text) };
	return true;
}
