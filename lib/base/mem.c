/*
 * mem - the only malloc of the house, and death.
 *
 * No memory is no state to go on from: die, and master starts us again.
 */
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

/* Set once at start, before anything can fail. */
static void (*hook)(const char *text);

void
die_hook(void (*fn)(const char *text))
{
	hook = fn;
}

void
die(const char *fmt, ...)
{
	void (*last_words)(const char *) = hook;
	char text[1024];
	va_list ap;

	hook = NULL;		/* they may need memory: then end all the same */

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (last_words != NULL)
		last_words(text);
	else
		fprintf(stderr, "%s\n", text);
	abort();
}

void *
mem_new(size_t n)
{
	void *p = calloc(1, n > 0 ? n : 1);

	if (p == NULL)
		die("out of memory: %zu bytes", n);
	return p;
}

void *
mem_grow(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		die("out of memory: %zu times %zu bytes", n, size);
	p = realloc(p, bytes > 0 ? bytes : 1);
	if (p == NULL)
		die("out of memory: %zu bytes", bytes);
	return p;
}

void
mem_free(void *p)
{
	free(p);
}

char *
mem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = mem_new(n);

	memcpy(p, s, n);
	return p;
}

char *
mem_copy(struct str s)
{
	char *p = mem_new(s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

void
mem_one_heap(void)
{
	(void)mallopt(M_ARENA_MAX, 1);	/* glibc; else it goes without */
}
