/*
 * literal - bytes that a subject must have for an expression to match.
 *
 * A reader of regular expressions that understands little and is sure of it:
 * where it meets what it does not know it finds no literal, and the whole
 * expression is always tried. Case is folded: what is needed in one case is
 * a weaker need in any. Never finds one in branches of an alternative, in
 * what may be repeated zero times, behind bytes beyond ASCII.
 */
#include "table/pattern.h"

#define GROUPS_DEEP 20

struct reader {
	struct str s;
	size_t	   at;
	bool	   posix;
	bool	   lost;	/* something unknown: no literal at all */
};

static void	read_branch(struct reader *, unsigned depth, struct buf *best);

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

static void
keep_longest(struct buf *best, struct buf *run)
{
	if (run->n > best->n) {
		buf_clear(best);
		buf_str(best, buf_view(run));
	}
	buf_clear(run);
}

/* Behind a '['. */
static void
skip_class(struct reader *r)
{
	struct str s = r->s;
	size_t i = r->at;

	if (i < s.n && s.p[i] == '^')
		i++;
	if (i < s.n && s.p[i] == ']')
		i++;
	for (; i < s.n && s.p[i] != ']'; i++) {
		bool named = s.p[i] == '[' && i + 1 < s.n &&
		    strchr(":.=", s.p[i + 1]) != NULL;

		if (s.p[i] == '\\' && !r->posix) {
			i++;
			r->lost = r->lost || (i < s.n && s.p[i] == 'Q');
		} else if (named) {
			size_t end = i + 2 + str_chr(str_from(s, i + 2),
			    s.p[i + 1]);

			if (end + 1 < s.n && s.p[end + 1] == ']')
				i = end + 1;
			else
				r->lost = true;	/* Perl's [[: is no name */
		}
	}
	r->lost = r->lost || i >= s.n;
	r->at = i + 1;
}

/* "{n", "{n,", "{n,m" then "}": the least; false: none of ours. */
static bool
read_bounds(struct reader *r, uint64_t *least)
{
	struct str rest = str_from(r->s, r->at), text, low;
	size_t close = str_chr(rest, '}');

	text = str_first(rest, close);
	low = str_first(text, str_chr(text, ','));
	for (size_t i = low.n + 1; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	if (close == rest.n || !str_number(low, least))
		return false;
	r->at += close + 1;
	return true;
}

/* *, +, ?, {n,m} behind an atom. False: it may be there zero times. */
static bool
read_quantifier(struct reader *r, bool *any)
{
	bool sure = true;
	uint64_t least;
	char c;

	*any = false;
	if (r->at >= r->s.n)
		return true;
	c = r->s.p[r->at];
	if (c != '*' && c != '+' && c != '?' && c != '{')
		return true;
	*any = true;
	r->at++;
	if (c == '{') {
		if (!read_bounds(r, &least)) {
			r->lost = true;
			return false;
		}
		sure = least > 0;
	} else {
		sure = c == '+';
	}
	if (r->at >= r->s.n || strchr("*+?{", r->s.p[r->at]) == NULL)
		return sure;
	/* Perl's lazy or possessive; twice repeated elsewhere. */
	if (r->posix || r->s.p[r->at] == '*' || r->s.p[r->at] == '{')
		r->lost = true;
	r->at++;
	return sure;
}

/* Behind a '(': false where what is inside need not stand there. */
static bool
open_group(struct reader *r)
{
	static const char *const looks[] = { "?=", "?!", "?<=", "?<!" };
	struct str rest = str_from(r->s, r->at);

	if (r->posix || rest.n == 0 || (rest.p[0] != '?' && rest.p[0] != '*'))
		return true;
	for (size_t i = 0; i < nitems(looks); i++)
		if (str_starts(rest, str_of(looks[i]))) {
			r->at += strlen(looks[i]);
			return false;
		}
	if (str_starts(rest, STR("?:")) || str_starts(rest, STR("?>")))
		r->at += 2;
	else
		r->lost = true;		/* options, names, verbs, recursion */
	return true;
}

static void
read_group(struct reader *r, unsigned depth, struct buf *best)
{
	struct buf inner;
	bool sure, any;

	sure = open_group(r) && depth < GROUPS_DEEP;
	r->lost = r->lost || depth >= GROUPS_DEEP;
	buf_init(&inner, best->max);
	if (!r->lost)
		read_branch(r, depth + 1, &inner);
	if (r->at >= r->s.n || r->s.p[r->at] != ')')
		r->lost = true;
	r->at++;
	sure = read_quantifier(r, &any) && sure;
	if (sure)
		keep_longest(best, &inner);
	buf_free(&inner);
}

/* Behind a '\'. True: *c is a byte as it stands. */
static bool
read_escape(struct reader *r, char *c)
{
	if (r->at >= r->s.n) {
		r->lost = true;
		return false;
	}
	*c = r->s.p[r->at++];
	if (r->posix && strchr("<>`'", *c) != NULL)
		return false;
	if (!is_alnum(*c))
		return true;
	/* Classes and places; all else has operands, or we do not know it. */
	if (strchr(r->posix ? "wWsSbB" : "dDwWsSbBAzZhHvVRntrfae", *c) == NULL)
		r->lost = true;
	return false;
}

/* A byte that stands for itself, and what repeats it. */
static void
add_byte(struct reader *r, char c, struct buf *run, struct buf *best)
{
	size_t was = run->n;
	bool any, sure;

	if ((unsigned char)c >= 0x80) {
		keep_longest(best, run);
		(void)read_quantifier(r, &any);
		return;
	}
	buf_putc(run, lower(c));
	sure = read_quantifier(r, &any);
	if (!sure)
		run->n = was;
	if (any)
		keep_longest(best, run);
}

/* Up to a ')' or the end. An alternative has no literal. */
static void
read_branch(struct reader *r, unsigned depth, struct buf *best)
{
	bool either = false, any;
	struct buf run;

	buf_init(&run, best->max);
	while (!r->lost && r->at < r->s.n && r->s.p[r->at] != ')') {
		char c = r->s.p[r->at++];

		if (c == '\\' ? read_escape(r, &c) :
		    strchr("[(|*+?{.^$", c) == NULL) {
			add_byte(r, c, &run, best);
			continue;
		}
		keep_longest(best, &run);
		if (c == '[')
			skip_class(r);
		else if (c == '(')
			read_group(r, depth, best);
		else if (c == '|')
			either = true;
		else if (strchr("*+?{", c) != NULL)
			r->lost = true;		/* it repeats nothing */
		(void)read_quantifier(r, &any);
	}
	keep_longest(best, &run);
	buf_free(&run);
	if (either)
		buf_clear(best);
	if (depth == 0 && r->at < r->s.n)
		r->lost = true;			/* a stray ')' */
}

void
pattern_literal(struct str expression, bool posix, struct buf *out)
{
	struct reader r = { .s = expression, .posix = posix };

	buf_clear(out);
	if (memchr(expression.p, '\0', expression.n) != NULL)
		return;
	read_branch(&r, 0, out);
	if (r.lost)
		buf_clear(out);
}
