/*
 * expand - $name, ${name?x:y} and comparisons, as Postfix reads them.
 *
 *   text     = *( "$$" / "$" name / "${" expr "}" / "$(" expr ")" / octet )
 *   expr     = name / name "?" yes / name ":" no / name "?" yes ":" no
 *            / compare / compare "?" yes / compare ":" no / ...
 *            / "domain_to_ascii" "{" text "}"
 *   compare  = "{" text "}" operator [ "level" ] "{" text "}"
 *   yes, no  = "{" text "}" / text           ; bare text runs to the end
 *   operator = "==" / "!=" / "<" / "<=" / ">=" / ">"
 *
 * Depth and work are bounded: a value that leads back to itself, or that
 * doubles without end, is an error and not a hang.
 */
#include "conf/syntax.h"

#define DEPTH_MAX	100	/* Postfix's own */
#define STEPS_MAX	100000	/* names and texts visited */
#define NEAR		20	/* bytes shown of what is not understood */

struct run {
	const struct expander *e;
	struct buf	*out;
	int		 depth, steps;
	bool		 failed, undefined;
};

static void	 expand_into(struct run *, struct str);

static void
fail(struct run *r, const char *what, struct str at)
{
	struct buf b;

	if (!r->failed && r->e->error != NULL) {
		buf_init(&b, 1024);
		buf_printf(&b, "%s: \"" STRF "\"", what,
		    STRV(str_first(at, 200)));
		r->e->error(r->e->ctx, buf_cstr(&b));
		buf_free(&b);
	}
	r->failed = true;
}

/* The same where more was expected; before is what stands before it. */
static void
fail_at(struct run *r, const char *what, struct str before, const char *close,
    struct str at)
{
	struct buf b;

	if (!r->failed && r->e->error != NULL) {
		buf_init(&b, 1024);
		buf_printf(&b, "%s at: \"..." STRF "%s>>>" STRF "\"", what,
		    STRV(str_first(before, 400)), close,
		    STRV(str_first(at, NEAR)));
		r->e->error(r->e->ctx, buf_cstr(&b));
		buf_free(&b);
	}
	r->failed = true;
}

static struct str
skip(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_from(s, 1);
	return s;
}

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* The text of "{text}" at *s, which moves behind it and its blanks. */
static bool
take_group(struct run *r, struct str *s, struct str *text)
{
	size_t depth = 0, i = 0;

	for (; i < s->n; i++) {
		if (s->p[i] == '{')
			depth++;
		else if (s->p[i] == '}' && --depth == 0)
			break;
	}
	if (i == s->n) {
		fail(r, "unbalanced {} in attribute expression", *s);
		return false;
	}
	*text = str_first(str_from(*s, 1), i - 1);
	*s = skip(str_from(*s, i + 1));
	return true;
}

bool
compat_level(struct str s, int64_t *level)
{
	int64_t part[3] = { 0, 0, 0 };
	int64_t most[3] = { INT64_MAX >> 20, 1023, 1023 };
	struct str one;
	uint64_t v;

	for (int i = 0;; i++) {
		size_t dot = str_chr(s, '.');

		one = str_first(s, dot);
		if (i == 3 || !str_number(one, &v) || v > (uint64_t)most[i])
			return false;
		part[i] = (int64_t)v;
		if (dot == s.n)
			break;
		s = str_from(s, dot + 1);
	}
	*level = part[0] << 20 | part[1] << 10 | part[2];
	return true;
}

/* -1, 0, 1; numbers as numbers, all else as bytes. */
static bool
compare(struct run *r, struct str a, struct str b, bool level, int *sign)
{
	uint64_t x, y;
	int64_t p, q;
	int c;

	if (level) {
		if (!compat_level(a, &p) || !compat_level(b, &q)) {
			fail(r, "malformed compatibility level syntax",
			    compat_level(a, &p) ? b : a);
			return false;
		}
		*sign = (p > q) - (p < q);
	} else if (str_number(a, &x) && str_number(b, &y)) {
		*sign = (x > y) - (x < y);
	} else {
		c = str_cmp(a, b);
		*sign = (c > 0) - (c < 0);
	}
	return true;
}

static const struct operator {
	const char	*text;
	bool		 less, same, more;	/* true for that order */
} operators[] = {
	{ "==", false, true, false }, { "!=", true, false, true },
	{ "<=", true, true, false }, { ">=", false, true, true },
	{ "<", true, false, false }, { ">", false, false, true },
};

static const struct operator *
take_operator(struct run *r, struct str left, struct str *s, bool *level)
{
	struct str set = STR("<>!=?+-*/~&|%"), op;
	const struct operator *found = NULL;
	size_t n = 0, m;

	while (n < s->n && str_chr(set, s->p[n]) < set.n)
		n++;
	op = str_first(*s, n);
	for (size_t i = 0; i < nitems(operators); i++)
		if (str_eq(op, str_of(operators[i].text)))
			found = &operators[i];
	if (found == NULL) {
		/* Its quotes stand as in Postfix. */
		fail_at(r, "\"==\" or \"!=\"\" or \"<\"\" or \"<=\"\" or "
		    "\">=\"\" or \">\" expected", left, "}", *s);
		return NULL;
	}
	for (m = n; m < s->n && is_name(s->p[m]) && s->p[m] != '_'; m++)
		;
	*level = m > n;
	if (m > n && !str_eq(str_first(str_from(*s, n), m - n), STR("level"))) {
		fail_at(r, "bad operator suffix", op, "",
		    str_first(str_from(*s, n), m - n));
		return NULL;
	}
	*s = skip(str_from(*s, m));
	return found;
}

/* Expands text aside, within the same bounds. */
static void
expand_aside(struct run *r, struct str text, struct buf *out)
{
	struct buf *kept = r->out;

	r->out = out;
	expand_into(r, text);
	r->out = kept;
}

static void
fail_right(struct run *r, struct str left, const struct operator *op,
    struct str at)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_printf(&b, "{" STRF "} %s", STRV(str_first(left, 400)), op->text);
	fail_at(r, "\"{expression}\" expected", buf_view(&b), "", at);
	buf_free(&b);
}

static bool
take_compare(struct run *r, struct str *s, bool *truth)
{
	struct str left, right;
	struct buf a, b;
	const struct operator *op;
	bool level;
	int sign = 0;

	if (!take_group(r, s, &left) ||
	    (op = take_operator(r, left, s, &level)) == NULL)
		return false;
	if (s->n == 0 || s->p[0] != '{') {
		fail_right(r, left, op, *s);
		return false;
	}
	if (!take_group(r, s, &right))
		return false;
	buf_init(&a, r->out->max);
	buf_init(&b, r->out->max);
	expand_aside(r, left, &a);
	expand_aside(r, right, &b);
	if (!r->failed && !r->e->scan)
		compare(r, buf_view(&a), buf_view(&b), level, &sign);
	buf_free(&a);
	buf_free(&b);
	*truth = sign < 0 ? op->less : sign > 0 ? op->more : op->same;
	return !r->failed;
}

/* {text}, or all that is left. */
static bool
take_result(struct run *r, struct str *s, struct str *text)
{
	struct str at = skip(*s);

	if (at.n > 0 && at.p[0] == '{') {
		*s = at;
		return take_group(r, s, text);
	}
	*text = *s;
	s->n = 0;
	return true;
}

/* What follows the test: ?yes, :no, or ?{yes}:{no}. */
static void
choose(struct run *r, struct str s, bool truth)
{
	struct str text;

	if (s.p[0] == '?') {
		s = str_from(s, 1);
		if (!take_result(r, &s, &text))
			return;
		if (truth || r->e->scan)
			expand_into(r, text);
		if (s.n == 0)
			return;
		if (s.p[0] != ':') {
			fail_at(r, "\":\" expected", text, "}", s);
			return;
		}
	}
	s = str_from(s, 1);
	if (!take_result(r, &s, &text))
		return;
	if (!truth || r->e->scan)
		expand_into(r, text);
	if (s.n > 0)
		fail_at(r, "unexpected input", text, "}", s);
}

/* ${domain_to_ascii{text}}: the only function there is. */
static void
call(struct run *r, struct str name, struct str s)
{
	struct str arg;
	struct buf out;

	if (!take_group(r, &s, &arg))
		return;
	if (s.n > 0)
		fail_at(r, "unexpected input", arg, "}", s);
	else if (!str_eq(name, STR("domain_to_ascii")))
		fail(r, "unknown function", name);
	buf_init(&out, r->out->max);
	expand_aside(r, arg, &out);
	for (size_t i = 0; i < out.n; i++)
		if ((unsigned char)out.p[i] >= 0x80) {
			fail(r, "write this domain in its ASCII (xn--) form",
			    buf_view(&out));
			break;
		}
	if (!r->failed && !r->e->scan)
		buf_str(r->out, str_trim(buf_view(&out)));
	buf_free(&out);
}

/* The name at the start of an expression; *s moves to what follows. */
static bool
take_name(struct run *r, struct str *s, struct str *name)
{
	struct str whole = *s, start = skip(whole);
	size_t n = 0;

	while (n < start.n && is_name(start.p[n]))
		n++;
	*name = str_first(start, n);
	*s = skip(str_from(start, n));
	if (s->n > 0 && str_chr(STR("?:{"), s->p[0]) == 3) {
		fail_at(r, "attribute name syntax error",
		    str_first(whole, whole.n - start.n + n), "",
		    str_from(start, n));
		return false;
	}
	return true;
}

static void
expand_expr(struct run *r, struct str s)
{
	struct str name, value = { NULL, 0 };
	bool truth = false, known, raw = false;

	if (skip(s).n > 0 && skip(s).p[0] == '{') {
		s = skip(s);
		if (!take_compare(r, &s, &truth))
			return;
		if (s.n == 0) {
			if (!r->e->scan && truth)
				buf_puts(r->out, "true");
		} else if (s.p[0] != '?' && s.p[0] != ':') {
			fail_at(r, "\"?\" or \":\" expected", STR(""), "}", s);
		} else {
			choose(r, s, truth);
		}
		return;
	}
	if (!take_name(r, &s, &name))
		return;
	if (s.n > 0 && s.p[0] == '{') {
		call(r, name, s);
		return;
	}
	known = r->e->lookup(r->e->ctx, name, &value, &raw);
	if (s.n > 0) {
		choose(r, s, known && value.n > 0);
	} else if (!known) {
		r->undefined = true;
	} else if (!r->e->scan) {
		if (raw)
			buf_str(r->out, value);
		else
			expand_into(r, value);
	}
}

/* The expression behind "$" at *s, which moves behind it. */
static bool
take_expr(struct run *r, struct str *s, struct str *expr, struct str all)
{
	char open, close;
	size_t n = 0, depth = 0;

	if (s->n > 0 && (s->p[0] == '{' || s->p[0] == '(')) {
		open = s->p[0];
		close = open == '{' ? '}' : ')';
		for (; n < s->n; n++) {
			if (s->p[n] == open)
				depth++;
			else if (s->p[n] == close && --depth == 0)
				break;
		}
		if (n == s->n) {
			fail(r, "truncated macro reference", all);
			return false;
		}
		*expr = str_first(str_from(*s, 1), n - 1);
		*s = str_from(*s, n + 1);
	} else {
		while (n < s->n && is_name(s->p[n]))
			n++;
		*expr = str_first(*s, n);
		*s = str_from(*s, n);
	}
	if (expr->n == 0) {
		fail(r, "empty macro name", all);
		return false;
	}
	return true;
}

static void
expand_into(struct run *r, struct str text)
{
	struct str all = text, expr;
	size_t n;

	if (++r->depth > DEPTH_MAX)
		fail(r, "unreasonable macro call nesting", text);
	while (text.n > 0 && !r->failed) {
		if (++r->steps > STEPS_MAX || r->out->full) {
			fail(r, "value grows without end", all);
			break;
		}
		n = str_chr(text, '$');
		if (!r->e->scan)
			buf_str(r->out, str_first(text, n));
		if (n == text.n)
			break;
		text = str_from(text, n + 1);
		if (text.n > 0 && text.p[0] == '$') {
			if (!r->e->scan)
				buf_putc(r->out, '$');
			text = str_from(text, 1);
		} else if (take_expr(r, &text, &expr, all)) {
			expand_expr(r, expr);
		}
	}
	r->depth--;
}

enum expanded
expand_text(const struct expander *e, struct str text, struct buf *out)
{
	struct run r = { .e = e, .out = out };

	expand_into(&r, text);
	if (r.failed || out->full)
		return EXPAND_ERROR;
	return r.undefined ? EXPAND_UNDEFINED : EXPAND_OK;
}
