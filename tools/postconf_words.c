/*
 * postconf_words - its small lists, its lines, its patterns.
 */
#include <stdio.h>
#include "tools/postconf.h"

#define LINE_LIMIT	80	/* Postfix's own numbers */
#define INDENT		"    "

const struct str *
pairs_get(const struct pairs *p, struct str name)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].name, name))
			return &p->v[i].value;
	return NULL;
}

void
pairs_set(struct pairs *p, struct str name, struct str value)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].name, name)) {
			p->v[i].value = value;
			return;
		}
	p->v = mem_grow(p->v, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = (struct pair){ name, value };
}

void
pairs_remove(struct pairs *p, struct str name)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].name, name)) {
			p->v[i] = p->v[--p->n];
			return;
		}
}

bool
words_have(const struct words *w, struct str s)
{
	for (size_t i = 0; i < w->n; i++)
		if (str_eq(w->v[i], s))
			return true;
	return false;
}

void
words_insert(struct words *w, size_t at, struct str s)
{
	w->v = mem_grow(w->v, w->n + 1, sizeof(*w->v));
	memmove(&w->v[at + 1], &w->v[at], (w->n - at) * sizeof(*w->v));
	w->v[at] = s;
	w->n++;
}

void
words_remove(struct words *w, size_t at, size_t n)
{
	memmove(&w->v[at], &w->v[at + n], (w->n - at - n) * sizeof(*w->v));
	w->n -= n;
}

void
words_split(struct words *w, struct str text)
{
	struct str one;

	while (word_next(&text, BLANKS, &one))
		words_insert(w, w->n, one);
}

struct str
words_join_pair(struct arena *mem, struct str name, struct str value)
{
	return str_of(arena_printf(mem, STRF "=" STRF, STRV(name),
	    STRV(value)));
}

void
print_line(unsigned mode, struct str text)
{
	struct str word;
	size_t length = 0;

	while (str_token(&text, BLANKS, &word)) {
		if (word.n == 0)
			continue;
		if (length > 0 && ((mode & FOLD) == 0 ||
		    length + word.n < LINE_LIMIT)) {
			putchar(' ');
			length++;
		} else if (length > 0) {
			fputs("\n" INDENT, stdout);
			length = sizeof(INDENT) - 1;
		}
		fwrite(word.p, 1, word.n, stdout);
		length += word.n;
	}
	putchar('\n');
}

bool
pattern_parse(struct str s, size_t least, size_t most, struct words *w)
{
	struct str part;

	*w = (struct words){ NULL, 0 };
	if (s.n == 0 || s.p[0] == '/')
		return false;
	while (s.n > 0) {
		size_t n = str_chr(s, '/');

		part = str_first(s, n);
		s = str_from(s, n + 1);
		if (part.n == 0)
			continue;
		if (part.n > 1 && str_chr(part, '*') < part.n)
			return false;
		words_insert(w, w->n, part);
	}
	if (w->n < least || w->n > most)
		return false;
	while (w->n < most)
		words_insert(w, w->n, STR("*"));
	return true;
}

bool
pattern_match(const struct words *w, struct str name, struct str type)
{
	return (str_eq(w->v[0], STR("*")) || str_eq(w->v[0], name)) &&
	    (str_eq(w->v[1], STR("*")) || str_eq(w->v[1], type));
}
