/*
 * pattern_result - what a rule answers: text with $1, ${1}, $(1), $$.
 *
 * Read once when the table is loaded; an answer is then a few copies.
 */
#include "table/pattern.h"

struct piece { uint32_t from, n, group; };	/* group 0: text */
struct result {
	struct piece *v;
	size_t	      n;
	char	      text[];
};

static bool	take_number(const struct pattern_source *, struct str name,
		    size_t *group);
static size_t	name_length(struct str, size_t *skip);
static void	put(struct result *, size_t from, size_t n, size_t group);

struct result *
result_parse(const struct pattern_source *at, struct str s, size_t *most)
{
	struct result *r = mem_new(sizeof(*r) + s.n + 1);
	size_t used = 0, from = 0;

	if (most == NULL) {	/* no groups: as it is */
		if (s.n > 0)
			memcpy(r->text, s.p, s.n);
		put(r, 0, s.n, 0);
		return r;
	}
	while (s.n > 0) {
		size_t skip = 0, n, group;

		if (s.p[0] != '$' || (s.n > 1 && s.p[1] == '$')) {
			r->text[used++] = s.p[0];
			s = str_from(s, s.p[0] == '$' ? 2 : 1);
			continue;
		}
		put(r, from, used - from, 0);
		from = used;
		n = name_length(str_from(s, 1), &skip);
		if (!take_number(at, (struct str){ s.p + 1 + skip, n },
		    &group)) {
			pattern_warn(at, "bad replacement syntax: skipping "
			    "this rule");
			result_free(&r);
			return NULL;
		}
		put(r, 0, 0, group);
		*most = group > *most ? group : *most;
		s = str_from(s, 1 + n + 2 * skip);
	}
	put(r, from, used - from, 0);
	return r;
}

void
result_print(const struct result *r, struct str subject,
    const struct pattern_groups *g, struct buf *out)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct piece *p = &r->v[i];

		if (p->group == 0)
			buf_add(out, r->text + p->from, p->n);
		else if (p->group < g->n &&	/* else it took no part */
		    g->v[p->group].to <= subject.n &&
		    g->v[p->group].from < g->v[p->group].to)
			buf_add(out, subject.p + g->v[p->group].from,
			    g->v[p->group].to - g->v[p->group].from);
	}
}

void
result_free(struct result **rp)
{
	struct result *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	mem_free(r->v);
	mem_free(r);
}

/* Bytes of the name behind a '$'; *skip: of a bracket before it. */
static size_t
name_length(struct str s, size_t *skip)
{
	size_t n = 0;
	char close;

	*skip = s.n > 0 && (s.p[0] == '{' || s.p[0] == '(') ? 1 : 0;
	if (*skip == 1) {
		close = s.p[0] == '{' ? '}' : ')';
		n = str_chr(str_from(s, 1), close);
		return n < s.n - 1 ? n : SIZE_MAX;
	}
	while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') ||
	    (s.p[n] >= 'a' && s.p[n] <= 'z') ||
	    (s.p[n] >= 'A' && s.p[n] <= 'Z') || s.p[n] == '_'))
		n++;
	return n;
}

static bool
take_number(const struct pattern_source *at, struct str name, size_t *group)
{
	uint64_t number;

	if (name.n == SIZE_MAX)
		pattern_warn(at, "truncated macro reference");
	else if (name.n == 0)
		pattern_warn(at, "empty macro name");
	else if (!str_number(name, &number))
		pattern_warn(at, "non-numeric replacement index \"" STRF "\"",
		    STRV(str_first(name, 100)));
	else if (number < 1 || number >= PATTERN_GROUPS_MAX)
		pattern_warn(at, "out of range replacement index \"" STRF
		    "\"", STRV(str_first(name, 100)));
	else {
		*group = (size_t)number;
		return true;
	}
	return false;
}

static void
put(struct result *r, size_t from, size_t n, size_t group)
{
	if (n == 0 && group == 0)
		return;
	r->v = mem_grow(r->v, r->n + 1, sizeof(*r->v));
	r->v[r->n++] = (struct piece){ (uint32_t)from, (uint32_t)n,
		(uint32_t)group };
}
