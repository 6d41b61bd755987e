/*
 * prefilter - which of many literals stand in a subject, in one pass.
 *
 * Of each literal three bytes are hashed, those that fewest others share. A
 * window of three bytes is moved over the subject; where its hash is marked,
 * the literals of that mark are compared. So a line costs about its length,
 * whatever the number of rules.
 */
#include "table/pattern.h"

#define MARKS	(1u << 16)	/* bits: 8 kB, in the nearest cache */
#define CHAINS	(1u << 10)

struct literal { char *text; uint32_t n, at, next; }; /* next: number + 1 */
struct prefilter {
	struct literal *v;
	size_t		n;
	uint32_t	heads[CHAINS];
	uint64_t	marks[MARKS / 64];
	uint64_t       *found;		/* a bit per literal */
	uint64_t       *always;
	struct buf	folded;
	uint8_t		lower[256];
};

static uint32_t
window(const char *p)
{
	const uint8_t *u = (const uint8_t *)p;

	return (uint32_t)u[0] << 16 | (uint32_t)u[1] << 8 | u[2];
}

static uint32_t
hash(uint32_t w)
{
	return w * 2654435761u >> 16;
}

static bool
is_marked(const struct prefilter *f, uint32_t h)
{
	return f->marks[h / 64] >> h % 64 & 1;
}

struct prefilter *
prefilter_new(size_t n)
{
	struct prefilter *f = mem_new(sizeof(*f));

	f->n = n;
	f->v = mem_new(n * sizeof(*f->v));
	f->found = mem_new((n + 63) / 64 * 8);
	f->always = mem_new((n + 63) / 64 * 8);
	buf_init(&f->folded, SIZE_MAX);
	for (unsigned i = 0; i < 256; i++)
		f->lower[i] = (uint8_t)(i >= 'A' && i <= 'Z' ? i + 32 : i);
	return f;
}

void
prefilter_free(struct prefilter **fp)
{
	struct prefilter *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->v[i].text);
	mem_free(f->v);
	mem_free(f->found);
	mem_free(f->always);
	buf_free(&f->folded);
	mem_free(f);
}

static unsigned
chain_length(const struct prefilter *f, uint32_t h)
{
	unsigned n = 0;

	for (uint32_t i = f->heads[h % CHAINS]; i != 0; i = f->v[i - 1].next)
		n++;
	return n;
}

void
prefilter_add(struct prefilter *f, size_t i, struct str literal)
{
	struct literal *l = &f->v[i];
	unsigned least = UINT32_MAX;
	uint32_t h;

	if (literal.n < 3) {
		f->always[i / 64] |= UINT64_C(1) << i % 64;
		return;
	}
	l->text = mem_new(literal.n);
	memcpy(l->text, literal.p, literal.n);
	l->n = (uint32_t)literal.n;
	for (uint32_t at = 0; at + 3 <= l->n; at++) {
		unsigned n = 2 * chain_length(f, hash(window(l->text + at)));

		/* Those in the middle say more than a header's name. */
		if (n <= least) {
			least = n;
			l->at = at;
		}
	}
	h = hash(window(l->text + l->at));
	f->marks[h / 64] |= UINT64_C(1) << h % 64;
	l->next = f->heads[h % CHAINS];
	f->heads[h % CHAINS] = (uint32_t)i + 1;
}

/* The literals of a marked window, which begins at p. */
static void
compare(struct prefilter *f, uint32_t h, const char *begin, const char *p,
    const char *end)
{
	for (uint32_t i = f->heads[h % CHAINS]; i != 0;
	    i = f->v[i - 1].next) {
		const struct literal *l = &f->v[i - 1];

		if ((size_t)(p - begin) >= l->at &&
		    (size_t)(end - p) >= l->n - l->at &&
		    memcmp(p - l->at, l->text, l->n) == 0)
			f->found[(i - 1) / 64] |=
			    UINT64_C(1) << (i - 1) % 64;
	}
}

void
prefilter_look(struct prefilter *f, struct str subject)
{
	const char *begin, *end;
	char *p;

	memcpy(f->found, f->always, (f->n + 63) / 64 * 8);
	if (subject.n < 3)
		return;
	buf_clear(&f->folded);
	p = buf_space(&f->folded, subject.n);
	for (size_t i = 0; i < subject.n; i++)
		p[i] = (char)f->lower[(uint8_t)subject.p[i]];
	begin = p;
	end = p + subject.n;
	for (const char *at = begin; at + 3 <= end; at++) {
		uint32_t h = hash(window(at));

		if (is_marked(f, h))
			compare(f, h, begin, at, end);
	}
}

bool
prefilter_has(const struct prefilter *f, size_t i)
{
	return f->found[i / 64] >> i % 64 & 1;
}
