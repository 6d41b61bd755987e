/*
 * pcre - tables of Perl's regular expressions: pcre_table(5). PCRE2 lives
 * here.
 *
 * Patterns are the administrator's, subjects are a stranger's: each search
 * has limits of steps, depth and memory, and reaching one is a fault, never
 * "no match". No JIT: no memory that can be written and run.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "table/pattern.h"

#define MATCH_STEPS	1000000	/* about 50 ms */
#define MATCH_DEPTH	100000
#define MATCH_HEAP_KB	8192

const struct table_ops pcre_ops = {
	.suffix = "", .open = pattern_open, .close = pattern_close,
	.get = pattern_get,
};

struct pcre { pcre2_code *code; bool plain; char *text; };
struct pcre_state { pcre2_match_data *data; pcre2_match_context *limits; };

static const struct pattern_flag flags[] = {
	{ 'i', PCRE2_CASELESS }, { 'm', PCRE2_MULTILINE },
	{ 's', PCRE2_DOTALL }, { 'x', PCRE2_EXTENDED },
	{ 'A', PCRE2_ANCHORED }, { 'E', PCRE2_DOLLAR_ENDONLY },
	{ 'U', PCRE2_UNGREEDY }, { 'X', 0 },	/* X: PCRE2 always does */
};

static void *
pcre_parse(const struct pattern_source *at, struct str *rest)
{
	PCRE2_UCHAR text[200] = "";
	struct pcre *p;
	struct str expression;
	PCRE2_SIZE where;
	uint32_t bits = PCRE2_CASELESS | PCRE2_DOTALL;
	pcre2_code *code;
	int err;

	if (!pattern_split(at, rest, &expression) ||
	    !pattern_flags(at, rest, "", flags, nitems(flags), &bits))
		return NULL;
	code = pcre2_compile((PCRE2_SPTR)expression.p, expression.n, bits,
	    &err, &where, NULL);
	if (code == NULL) {
		pcre2_get_error_message(err, text, sizeof(text));
		pattern_warn(at, "error in regex at offset %zu: %s",
		    (size_t)where, (const char *)text);
		return NULL;
	}
	p = mem_new(sizeof(*p));
	p->code = code;
	p->plain = (bits & PCRE2_EXTENDED) == 0;
	p->text = mem_copy(expression);
	return p;
}

static void
pcre_free(void *pattern)
{
	struct pcre *p = pattern;

	pcre2_code_free(p->code);
	mem_free(p->text);
	mem_free(p);
}

static size_t
pcre_groups(const void *pattern)
{
	const struct pcre *p = pattern;
	uint32_t n = 0;

	(void)pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &n);
	return n;
}

static void
pcre_literal(const void *pattern, struct buf *out)
{
	const struct pcre *p = pattern;

	if (p->plain)
		pattern_literal(str_of(p->text), false, out);
}

static void *
pcre_begin(void)
{
	struct pcre_state *s = mem_new(sizeof(*s));

	s->data = pcre2_match_data_create(PATTERN_GROUPS_MAX, NULL);
	s->limits = pcre2_match_context_create(NULL);
	if (s->data == NULL || s->limits == NULL)
		die("out of memory");
	pcre2_set_match_limit(s->limits, MATCH_STEPS);
	pcre2_set_depth_limit(s->limits, MATCH_DEPTH);
	pcre2_set_heap_limit(s->limits, MATCH_HEAP_KB);
	return s;
}

static void
pcre_end(void *state)
{
	struct pcre_state *s = state;

	if (s == NULL)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->limits);
	mem_free(s);
}

static enum pattern_match
fault(struct table *t, int err)
{
	PCRE2_UCHAR text[200] = "";

	pcre2_get_error_message(err, text, sizeof(text));
	buf_printf(&t->error, "%s", (const char *)text);
	return PATTERN_FAULT;
}

static enum pattern_match
pcre_match(struct table *t, void *state, void *pattern, struct str subject,
    struct pattern_groups *g)
{
	const struct pcre *p = pattern;
	const struct pcre_state *s = state;
	const PCRE2_SIZE *offsets;
	int n = pcre2_match(p->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0,
	    s->data, s->limits);

	if (n == PCRE2_ERROR_NOMATCH)
		return PATTERN_MISS;
	/* (*UTF) and a key that is none: it can't match. */
	if (n <= PCRE2_ERROR_UTF8_ERR1 && n >= PCRE2_ERROR_UTF8_ERR21)
		return PATTERN_MISS;
	if (n < 0)
		return fault(t, n);
	offsets = pcre2_get_ovector_pointer(s->data);
	g->n = n == 0 ? PATTERN_GROUPS_MAX : (size_t)n; /* 0: it has more */
	for (size_t i = 0; i < g->n; i++) {
		g->v[i].from = offsets[2 * i];
		g->v[i].to = offsets[2 * i + 1];
	}
	return PATTERN_HIT;
}

const struct pattern_kind pcre_kind = {
	.name = "pcre", .has_groups = true, .parse = pcre_parse,
	.drop = pcre_free, .groups = pcre_groups, .literal = pcre_literal,
	.begin = pcre_begin, .end = pcre_end, .match = pcre_match,
};
