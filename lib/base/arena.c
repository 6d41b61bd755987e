/*
 * arena - memory of one life: given piecewise, taken back at once.
 *
 * The first chunk is small, so that an idle session costs little; later ones
 * grow. Defers run last first, before the memory goes.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

#define CHUNK_FIRST 256
#define CHUNK_MOST  16384

struct chunk {
	struct chunk	   *next;
	_Alignas(16) char   mem[];
};

struct defer {
	struct defer *next;
	void	    (*fn)(void *);
	void	     *ctx;
};

struct arena {
	struct chunk *chunks;
	struct defer *defers;
	char	     *p, *end;
	size_t	      used, max, chunk;
};

struct arena *
arena_new(size_t max)
{
	struct arena *a = mem_new(sizeof(*a));

	a->max = max < SIZE_MAX / 2 ? max : SIZE_MAX / 2;
	a->chunk = CHUNK_FIRST;
	return a;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct chunk *c;
	size_t size;
	void *p;

	if (n > a->max)
		die("arena: %zu bytes asked for, limit is %zu", n, a->max);
	n = (n + 15) & ~(size_t)15;
	if (a->p == NULL || (size_t)(a->end - a->p) < n) {
		size = n > a->chunk ? n : a->chunk;
		if (a->used + n > a->max + 16)
			die("arena: limit of %zu bytes reached", a->max);
		c = mem_new(sizeof(*c) + size);
		c->next = a->chunks;
		a->chunks = c;
		a->p = c->mem;
		a->end = c->mem + size;
		if (a->chunk < CHUNK_MOST)
			a->chunk *= 2;
	}
	p = a->p;
	a->p += n;
	a->used += n;
	return p;
}

struct str
arena_str(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct str){ p, s.n };
}

char *
arena_cstr(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		die("arena_printf: bad format");
	p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}

void
arena_defer(struct arena *a, void (*fn)(void *), void *ctx)
{
	struct defer *d = arena_alloc(a, sizeof(*d));

	*d = (struct defer){ a->defers, fn, ctx };
	a->defers = d;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

void
arena_free(struct arena **ap)
{
	struct arena *a = *ap;
	struct chunk *c;

	*ap = NULL;
	if (a == NULL)
		return;
	for (struct defer *d = a->defers; d != NULL; d = d->next)
		d->fn(d->ctx);
	while ((c = a->chunks) != NULL) {
		a->chunks = c->next;
		mem_free(c);
	}
	mem_free(a);
}
