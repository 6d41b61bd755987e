/*
 * A rule of a pcre, regexp or cidr table, and a subject behind a NUL. The
 * first byte picks the kind. What matches has the literal by which a rule may
 * be passed over.
 */
#include "table/pattern.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
match_one(const struct pattern_kind *kind, struct str rule, struct str subject)
{
	struct pattern_source at = { .kind = kind->name, .file = "fuzz" };
	struct pattern_groups groups = { .n = 0 };
	struct table t = { .spec = NULL };
	struct buf literal, folded;
	void *pattern, *state;

	pattern = kind->parse(&at, &rule);
	if (pattern == NULL)
		return;
	state = kind->begin != NULL ? kind->begin() : NULL;
	buf_init(&t.error, 1000);
	buf_init(&literal, 1000);
	buf_init(&folded, 1 << 16);
	if (kind->literal != NULL)
		kind->literal(pattern, &literal);
	for (size_t i = 0; i < subject.n; i++)	/* as prefilter.c: ASCII alone */
		buf_putc(&folded, subject.p[i] >= 'A' && subject.p[i] <= 'Z' ?
		    (char)(subject.p[i] + 32) : subject.p[i]);
	if ((kind->look == NULL || kind->look(state, subject)) &&
	    kind->match(&t, state, pattern, subject, &groups) == PATTERN_HIT)
		assert(literal.n == 0 || memmem(folded.p, folded.n, literal.p,
		    literal.n) != NULL);
	buf_free(&literal);
	buf_free(&folded);
	buf_free(&t.error);
	kind->drop(pattern);
	if (kind->end != NULL)
		kind->end(state);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct pattern_kind *const kinds[] = { &pcre_kind,
	    &regexp_kind, &cidr_kind };
	const struct pattern_kind *kind;
	struct str in, rule, subject;
	struct buf spec, why, value;
	struct table *t;

	if (n < 2 || n > 300)
		return 0;
	kind = kinds[data[0] % nitems(kinds)];
	in = (struct str){ (const char *)data + 1, n - 1 };
	rule = str_first(in, str_chr(in, '\0'));
	subject = str_from(in, rule.n + 1);
	/* The C library's engine has no limits: no counts, no references. */
	if (kind == &regexp_kind && (str_chr(rule, '{') < rule.n ||
	    str_chr(rule, '\\') < rule.n || rule.n > 60))
		return 0;
	match_one(kind, rule, subject);
	buf_init(&spec, 1000);
	buf_init(&why, 10000);
	buf_init(&value, TABLE_VALUE_MAX);
	buf_printf(&spec, "%s:{{" STRF "}{if /a/}{/b/ $1}{endif}}", kind->name,
	    STRV(rule));
	t = table_open(buf_view(&spec), NULL, 0, &why);
	if (t != NULL) {
		enum found found = table_get(t, subject, &value);

		assert(found == FOUND || value.n == 0);
		table_free(&t);
	}
	buf_free(&spec);
	buf_free(&why);
	buf_free(&value);
	return 0;
}
