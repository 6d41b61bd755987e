/*
 * registry - every parameter that has a name: ours, and those of Postfix
 * that have no effect, or not yet.
 *
 * One const table, made of common.def, each folder's params.def and
 * elsewhere.def. tests/unit/conf_registry.c does not compile when a name stands
 * twice; until then the first row counts.
 */
#include "conf/internal.h"

#define ROW(st, type, name, preset, least, most, text) \
	{ #name, preset, text, P_##type, st, sizeof(#name) - 1, least, most },

static const struct param_known known[] = {
#define PARAM(type, name, preset, least, most, text) \
	ROW(PARAM_WORKS, type, name, preset, least, most, text)
#include "conf/registry.def"
#undef PARAM
#define OTHER(status, type, name, preset, text) \
	ROW(PARAM_##status, type, name, preset, "", "", text)
#include "conf/elsewhere.def"
#undef OTHER
};

const struct param_known *
param_all(size_t *n)
{
	*n = nitems(known);
	return known;
}

const struct param_known *
param_find(struct str name)
{
	for (size_t i = 0; i < nitems(known); i++)
		if (known[i].n == name.n &&
		    memcmp(known[i].name, name.p, name.n) == 0)
			return &known[i];
	return NULL;
}

/* Steps (insert, delete, change, swap of two) from a to b; most + 1: more. */
size_t
edit_distance(struct str a, struct str b, size_t most)
{
	size_t row[3][128], *before = row[0], *last = row[1], *now = row[2];

	if (a.n >= nitems(row[0]) || b.n >= nitems(row[0]) ||
	    (a.n > b.n ? a.n - b.n : b.n - a.n) > most)
		return most + 1;
	for (size_t j = 0; j <= b.n; j++)
		last[j] = before[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *spare = before, least = now[0] = i;

		for (size_t j = 1; j <= b.n; j++) {
			size_t d = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);

			d = last[j] + 1 < d ? last[j] + 1 : d;
			d = now[j - 1] + 1 < d ? now[j - 1] + 1 : d;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1] && before[j - 2] + 1 < d)
				d = before[j - 2] + 1;
			now[j] = d;
			least = d < least ? d : least;
		}
		if (least > most)
			return most + 1;
		before = last;
		last = now;
		now = spare;
	}
	return last[b.n];
}

const char *
param_nearest(struct str name)
{
	/* A third of a name may be wrong, no more: else it is another. */
	size_t most = name.n / 3 > 4 ? 4 : name.n / 3, d;
	const char *best = NULL;

	for (size_t i = 0; i < nitems(known); i++) {
		struct str one = { known[i].name, known[i].n };

		d = edit_distance(name, one, most);
		if (d <= most && (best == NULL || d < most)) {
			best = known[i].name;
			most = d;
		}
	}
	return best;
}
