/*
 * shape - how many recipients wait for whom, by age: qshape's table as data.
 *
 * The caller feeds it from a listing (showq_read_*): by recipient's domain,
 * or by sender's. Memory grows with the number of domains alone.
 */
#include <stdlib.h>

#include "showq/showq.h"

struct shape {
	unsigned	  nbuckets;
	int64_t		  width_s;
	bool		  linear;
	struct map	 *by_site;	/* of struct shape_row */
	struct arena	 *arena;
	struct shape_row  all;
	struct shape_row *sorted;
};

struct shape *
shape_new(unsigned nbuckets, int64_t width_s, bool linear)
{
	struct shape *s = mem_new(sizeof(*s));

	assert(nbuckets >= 2 && nbuckets <= SHAPE_BUCKETS_MAX && width_s > 0);
	s->nbuckets = nbuckets;
	s->width_s = width_s;
	s->linear = linear;
	s->by_site = map_new();
	s->arena = arena_new((size_t)1 << 32);
	s->all.site = STR("TOTAL");
	return s;
}

void
shape_free(struct shape **sp)
{
	struct shape *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	map_free(&s->by_site);
	arena_free(&s->arena);
	mem_free(s->sorted);
	mem_free(s);
}

int64_t
shape_edge_s(const struct shape *s, unsigned bucket)
{
	assert(bucket + 1 < s->nbuckets);
	if (s->linear)
		return s->width_s * (bucket + 1);
	return bucket < 40 ? s->width_s << bucket : INT64_MAX;
}

static void
count(struct shape_row *row, unsigned bucket)
{
	row->total++;
	row->by_age[bucket]++;
}

void
shape_add(struct shape *s, struct str site, int64_t age_s)
{
	struct shape_row *row = map_get(s->by_site, site);
	unsigned bucket = 0;

	if (row == NULL) {
		row = arena_alloc(s->arena, sizeof(*row));
		row->site = arena_str(s->arena, site);
		(void)map_set(s->by_site, site, row);
	}
	while (bucket + 1 < s->nbuckets && age_s > shape_edge_s(s, bucket))
		bucket++;
	count(row, bucket);
	count(&s->all, bucket);
}

/* Most first; equals by name. */
static int
compare(const void *one, const void *other)
{
	const struct shape_row *a = one, *b = other;

	if (a->total != b->total)
		return a->total < b->total ? 1 : -1;
	return str_cmp(a->site, b->site);
}

const struct shape_row *
shape_rows(struct shape *s, size_t *n)
{
	size_t pos = 0;
	struct str key;
	void *row;

	*n = 0;
	mem_free(s->sorted);
	s->sorted = mem_new((map_count(s->by_site) + 1) * sizeof(*s->sorted));
	s->sorted[(*n)++] = s->all;
	while (map_next(s->by_site, &pos, &key, &row))
		s->sorted[(*n)++] = *(struct shape_row *)row;
	qsort(s->sorted + 1, *n - 1, sizeof(*s->sorted), compare);
	return s->sorted;
}
