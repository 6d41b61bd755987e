/*
 * lines - logical lines, names with values, words with braces.
 *
 * postconf(5) and master(5), FORMAT: white space at the start of a line
 * continues the line before; lines that are empty, blank, or start with #
 * (white space before it or not) are left out wherever they stand.
 */
#include "conf/syntax.h"

bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str
blank_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_from(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Does what follows end the logical line? */
static bool
ends_here(struct str rest)
{
	return rest.n == 0 || (rest.p[0] != '#' && !is_blank(rest.p[0]));
}

bool
lines_next(struct lines *l, struct buf *logical)
{
	buf_clear(logical);
	l->orphan = l->nul = false;
	while (l->rest.n > 0) {
		size_t n = str_chr(l->rest, '\n');
		struct str one = str_first(l->rest, n), bare = blank_trim(one);

		l->rest = str_from(l->rest, n + 1);
		l->line++;
		if (logical->n == 0)
			l->first = l->line;
		if (str_chr(one, '\0') < one.n)
			l->nul = true;
		if (bare.n > 0 && bare.p[0] != '#') {
			if (logical->n == 0)
				l->orphan = is_blank(one.p[0]);
			buf_str(logical, one);
		}
		if (logical->n > 0 && ends_here(l->rest))
			break;
	}
	return logical->n > 0;
}

const char *
split_name_value(struct str s, struct str *name, struct str *value)
{
	size_t n = 0;

	s = blank_trim(s);
	while (n < s.n && !is_blank(s.p[n]) && s.p[n] != '=')
		n++;
	if (n == 0)
		return "missing attribute name";
	*name = str_first(s, n);
	*value = blank_trim(str_from(s, n));
	if (value->n == 0 || value->p[0] != '=')
		return "missing '=' after attribute name";
	*value = blank_trim(str_from(*value, 1));
	return NULL;
}

bool
word_next(struct str *rest, const char *blanks, struct str *word)
{
	struct str seps = str_of(blanks);
	size_t n = 0, depth = 0;

	while (rest->n > 0 && str_chr(seps, rest->p[0]) < seps.n)
		*rest = str_from(*rest, 1);
	for (; n < rest->n; n++) {
		char c = rest->p[n];

		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
		else if (depth == 0 && str_chr(seps, c) < seps.n)
			break;
	}
	*word = str_first(*rest, n);
	*rest = str_from(*rest, n);
	return n > 0;
}

bool
word_open(struct str word, struct str *inside, struct buf *why)
{
	size_t depth = 0, n = 0;

	do {
		if (word.p[n] == '{')
			depth++;
		else if (word.p[n] == '}')
			depth--;
	} while (++n < word.n && depth > 0);
	*inside = str_from(word, 1);
	if (depth > 0) {
		buf_printf(why, "missing '}' in \"" STRF "\"", STRV(word));
		return false;
	}
	inside->n = n - 2;
	if (n == word.n)
		return true;
	buf_printf(why, "syntax error after '}' in \"" STRF "\"",
	    STRV(word));
	return false;
}

bool
word_unwrap(struct str word, struct str *inside)
{
	size_t depth = 0;

	*inside = word;
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] == '{')
			depth++;
		else if (word.p[i] == '}' && --depth == 0 && i + 1 < word.n)
			return false;
		if (depth == 0 && i + 1 < word.n)
			return false;
	}
	if (word.n < 2 || depth != 0)
		return false;
	*inside = blank_trim(str_first(str_from(word, 1), word.n - 2));
	return true;
}
