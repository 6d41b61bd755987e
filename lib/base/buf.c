/*
 * buf - bytes that grow up to a stated maximum; full is sticky.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_free(struct buf *b)
{
	mem_free(b->p);
	*b = (struct buf){ .max = b->max };
}

void
buf_clear(struct buf *b)
{
	b->n = 0;
	b->full = false;
}

char *
buf_space(struct buf *b, size_t n)
{
	size_t cap = b->cap;

	if (b->full || n > b->max - b->n) {
		b->full = true;
		return NULL;
	}
	/* One more than asked for, for buf_cstr's NUL. */
	if (b->p == NULL || b->n + n >= cap) {
		if (cap < 64)
			cap = 64;
		while (cap <= b->n + n)
			cap *= 2;
		b->p = mem_grow(b->p, cap, 1);
		b->cap = cap;
	}
	return b->p + b->n;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	char *at;

	if (n == 0 || (at = buf_space(b, n)) == NULL)
		return;
	memcpy(at, p, n);
	b->n += n;
}

void
buf_str(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	char *at;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n > 0 && (at = buf_space(b, (size_t)n)) != NULL) {
		vsnprintf(at, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

struct str
buf_view(const struct buf *b)
{
	return (struct str){ b->p != NULL ? b->p : "", b->n };
}

const char *
buf_cstr(struct buf *b)
{
	if (b->p == NULL)
		return "";
	b->p[b->n] = '\0';
	return b->p;
}
