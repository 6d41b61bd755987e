/*
 * penalty - guessing costs time, and more of it with each wrong guess.
 *
 * Two counts: of an address (or its net), of an account. Each wrong guess
 * adds one, time takes one away. Above conf.free the answer to the next guess
 * waits: a second, then twice as long, up to conf.max. Right and wrong
 * answers wait alike, else leaving early would tell them apart; nobody else's
 * session waits, and no account is ever locked.
 *
 *   - A new connection changes nothing: counts are of the address.
 *   - A guess counts from its start: a thousand at once are a thousand.
 *   - An address that has given an account's password before is not delayed
 *     for that account (until GOOD_FAILURES wrong ones): the owner gets in
 *     while others guess, also from behind the same address.
 *   - The same wrong guess again (a phone with an old password) adds nothing.
 *
 * Pure: the clock is passed in. Bounded: what was quiet longest is forgotten.
 */
#include "auth/auth.h"

#define RECENT		4	/* wrong guesses of an address, told apart */
#define GOOD_FAILURES	10
#define FIRST_MS	1000
#define KEY_MAX		1024
#define COUNT_MAX	1000000	/* of another process's word */

struct entry {
	struct list link;		/* the longest quiet first */
	char	   *key;
	size_t	    key_size;
	unsigned    count;		/* wrong guesses */
	unsigned    waiting;		/* answers that wait, of an address */
	int64_t	    since_ms;		/* of the last decay */
	uint64_t    recent[RECENT];
	unsigned    at;
	bool	    good;		/* of a pair: was right before */
};

struct penalties {
	struct penalty_conf conf;
	struct map	   *entries;
	struct list	    used;
};

struct penalties *
penalties_new(const struct penalty_conf *conf)
{
	struct penalties *p = mem_new(sizeof(*p));

	p->conf = *conf;
	p->entries = map_new();
	list_init(&p->used);
	return p;
}

static void
forget(struct penalties *p, struct entry *e)
{
	list_remove(&e->link);
	map_set(p->entries, (struct str){ e->key, e->key_size }, NULL);
	mem_free(e->key);
	mem_free(e);
}

void
penalties_free(struct penalties **pp)
{
	struct penalties *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	while (!list_empty(&p->used))
		forget(p, container_of(p->used.next, struct entry, link));
	map_free(&p->entries);
	mem_free(p);
}

/* 'a' address, 'u' account, 'p' both. */
static void
make_key(char kind, struct str a, struct str b, struct buf *key)
{
	buf_init(key, KEY_MAX);
	buf_putc(key, kind);
	buf_str(key, str_first(a, 300));
	buf_putc(key, '\0');
	buf_str(key, str_first(b, 300));
}

static struct entry *
find_key(struct penalties *p, struct str key, bool make, int64_t now_ms)
{
	struct entry *e = map_get(p->entries, key);

	if (e == NULL && make) {
		if (map_count(p->entries) >= p->conf.entries)
			forget(p, container_of(p->used.next, struct entry,
			    link));
		e = mem_new(sizeof(*e));
		e->key_size = key.n;
		e->key = mem_copy(key);
		e->since_ms = now_ms;
		list_init(&e->link);
		map_set(p->entries, key, e);
	}
	if (e == NULL)
		return NULL;
	list_remove(&e->link);
	list_append(&p->used, &e->link);
	if (now_ms - e->since_ms >= p->conf.decay_ms) {
		int64_t n = (now_ms - e->since_ms) / p->conf.decay_ms;

		e->count = n >= e->count ? 0 : e->count - (unsigned)n;
		e->since_ms += n * p->conf.decay_ms;
	}
	return e;
}

static struct entry *
find(struct penalties *p, char kind, struct str a, struct str b, bool make,
    int64_t now_ms)
{
	struct entry *e;
	struct buf key;

	make_key(kind, a, b, &key);
	e = find_key(p, buf_view(&key), make, now_ms);
	buf_free(&key);
	return e;
}

static bool
is_recent(const struct entry *e, uint64_t guess)
{
	for (size_t i = 0; guess != 0 && i < RECENT; i++)
		if (e->recent[i] == guess)
			return true;
	return false;
}

static int64_t
delay_of(const struct penalties *p, unsigned count)
{
	unsigned above;
	int64_t ms;

	if (count <= p->conf.free)
		return 0;
	above = count - p->conf.free;
	ms = above > 20 ? p->conf.max_ms : (int64_t)FIRST_MS << (above - 1);
	return ms < p->conf.max_ms ? ms : p->conf.max_ms;
}

int64_t
penalty_begin(struct penalties *p, struct str addr, struct str account,
    uint64_t guess, int64_t now_ms)
{
	struct entry *pair = find(p, 'p', addr, account, false, now_ms);
	struct entry *a, *u;
	bool good = pair != NULL && pair->good &&
	    pair->count < GOOD_FAILURES;
	unsigned most;

	if (pair != NULL)
		pair->count++;
	u = find(p, 'u', account, STR(""), true, now_ms);
	a = find(p, 'a', addr, STR(""), true, now_ms);
	if (a->waiting >= p->conf.waiting)
		return -1;
	a->waiting++;
	most = a->count > u->count ? a->count : u->count;
	if (!is_recent(a, guess)) {
		a->count++;
		u->count++;
		a->recent[a->at++ % RECENT] = guess;
	}
	return good ? 0 : delay_of(p, most);
}

static void
uncount(struct entry *e)
{
	if (e != NULL && e->count > 0)
		e->count--;
}

void
penalty_take_back(struct penalties *p, struct str addr, struct str account,
    uint64_t guess, int64_t now_ms)
{
	struct entry *a = find(p, 'a', addr, STR(""), false, now_ms);

	uncount(a);
	uncount(find(p, 'u', account, STR(""), false, now_ms));
	for (size_t i = 0; a != NULL && i < RECENT; i++)
		if (a->recent[i] == guess)
			a->recent[i] = 0;
}

void
penalty_right(struct penalties *p, struct str addr, struct str account,
    int64_t now_ms)
{
	struct entry *pair = find(p, 'p', addr, account, true, now_ms);

	pair->good = true;
	pair->count = 0;
}

void
penalty_over(struct penalties *p, struct str addr)
{
	struct entry *a;
	struct buf key;

	make_key('a', addr, STR(""), &key);
	a = map_get(p->entries, buf_view(&key));
	buf_free(&key);
	if (a != NULL && a->waiting > 0)
		a->waiting--;
}

void
penalties_each(struct penalties *p, penalty_note_fn *fn, void *ctx)
{
	list_each(l, &p->used) {
		const struct entry *e = container_of(l, struct entry, link);
		struct penalty_note note = { { e->key, e->key_size },
			e->count, e->since_ms, e->good };

		if (e->count > 0 || e->good)
			fn(ctx, &note);
	}
}

void
penalty_take_over(struct penalties *p, const struct penalty_note *note,
    int64_t now_ms)
{
	struct entry *e;

	if (note->key.n < 2 || note->key.n > KEY_MAX)
		return;
	e = find_key(p, note->key, true, now_ms);
	if (note->count > e->count) {
		e->count = (unsigned)(note->count < COUNT_MAX ? note->count :
		    COUNT_MAX);
		e->since_ms = note->since_ms < now_ms ? note->since_ms :
		    now_ms;
	}
	e->good |= note->good;
}
