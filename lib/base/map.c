/*
 * map - bytes to pointer, open addressing, keyed by SipHash-2-4.
 *
 * The key is drawn once per map, so a sender who chooses names cannot choose
 * where they collide (security.md: CVE-2021-33582).
 */
#include <sys/random.h>

#include "base/base.h"

struct slot { char *key; size_t len; uint64_t hash; void *value; };

struct map {
	struct slot *slots;	/* key NULL: free */
	size_t	     size;	/* a power of two, 0 at first */
	size_t	     count;
	uint8_t	     secret[16];
};

static size_t place(const struct map *, struct str key, uint64_t hash);
static void   grow(struct map *);
static void   take_out(struct map *, size_t at);

struct map *
map_new(void)
{
	struct map *m = mem_new(sizeof(*m));

	if (getrandom(m->secret, sizeof(m->secret), 0) !=
	    (ssize_t)sizeof(m->secret))
		die("getrandom failed");
	return m;
}

void
map_free(struct map **mp)
{
	struct map *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->size; i++)
		mem_free(m->slots[i].key);
	mem_free(m->slots);
	mem_free(m);
}

void *
map_get(const struct map *m, struct str key)
{
	size_t at;

	if (m->count == 0)
		return NULL;
	at = place(m, key, siphash(m->secret, key.p, key.n));
	return m->slots[at].key != NULL ? m->slots[at].value : NULL;
}

void *
map_set(struct map *m, struct str key, void *value)
{
	uint64_t hash = siphash(m->secret, key.p, key.n);
	struct slot *s;
	void *was;
	size_t at;

	if (m->count * 4 >= m->size * 3)
		grow(m);
	at = place(m, key, hash);
	s = &m->slots[at];
	if (s->key != NULL) {
		was = s->value;
		if (value != NULL)
			s->value = value;
		else
			take_out(m, at);
		return was;
	}
	if (value == NULL)
		return NULL;
	s->key = mem_copy(key);
	s->len = key.n;
	s->hash = hash;
	s->value = value;
	m->count++;
	return NULL;
}

size_t
map_count(const struct map *m)
{
	return m->count;
}

bool
map_next(const struct map *m, size_t *pos, struct str *key, void **value)
{
	while (*pos < m->size) {
		const struct slot *s = &m->slots[(*pos)++];

		if (s->key == NULL)
			continue;
		*key = (struct str){ s->key, s->len };
		*value = s->value;
		return true;
	}
	return false;
}

/* Where key stands, or the free slot where it would. */
static size_t
place(const struct map *m, struct str key, uint64_t hash)
{
	size_t at = hash & (m->size - 1);

	for (;; at = (at + 1) & (m->size - 1)) {
		const struct slot *s = &m->slots[at];

		if (s->key == NULL || (s->hash == hash &&
		    str_eq((struct str){ s->key, s->len }, key)))
			return at;
	}
}

static void
grow(struct map *m)
{
	struct slot *old = m->slots;
	size_t n = m->size;

	m->size = n > 0 ? n * 2 : 16;
	m->slots = mem_new(m->size * sizeof(*m->slots));
	for (size_t i = 0; i < n; i++)
		if (old[i].key != NULL)
			m->slots[place(m, (struct str){ old[i].key,
			    old[i].len }, old[i].hash)] = old[i];
	mem_free(old);
}

/* Closes the gap, so that no tombstones are needed (Knuth 6.4 R). */
static void
take_out(struct map *m, size_t gap)
{
	size_t at = gap, home;

	mem_free(m->slots[gap].key);
	for (;;) {
		m->slots[gap] = (struct slot){ 0 };
		do {
			at = (at + 1) & (m->size - 1);
			if (m->slots[at].key == NULL) {
				m->count--;
				return;
			}
			home = m->slots[at].hash & (m->size - 1);
		} while (gap <= at ? gap < home && home <= at :
				     gap < home || home <= at);
		m->slots[gap] = m->slots[at];
		gap = at;
	}
}
