/*
 * value - numbers, times, yes and no, lists, and the filling of a daemon's
 * struct from its rows. Postfix: get_mail_conf_int(3) and its kin.
 */
#include <errno.h>
#include <inttypes.h>
#include "conf/internal.h"
#include "conf/syntax.h"

bool
conf_parse_bool(struct str s, bool *out)
{
	if (str_eq_nocase(s, STR("yes")))
		*out = true;
	else if (str_eq_nocase(s, STR("no")))
		*out = false;
	else
		return false;
	return true;
}

bool
conf_parse_size(struct str s, int64_t *bytes)
{
	uint64_t v;

	if (!str_number(s, &v) || v > INT64_MAX)
		return false;
	*bytes = (int64_t)v;
	return true;
}

/* A count may have a sign: postscreen_dnsbl_allowlist_threshold = -1. */
static bool
parse_count(struct str s, int64_t *out)
{
	bool minus = s.n > 0 && s.p[0] == '-';

	if (!conf_parse_size(str_from(s, minus ? 1 : 0), out))
		return false;
	if (minus)
		*out = -*out;
	return true;
}

bool
conf_parse_time(struct str s, char unit, int64_t *out)
{
	static const struct { char letter; int64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 604800 },
	};
	int64_t v;

	if (s.n > 0 && (s.p[s.n - 1] < '0' || s.p[s.n - 1] > '9')) {
		unit = s.p[s.n - 1];
		s.n--;
	}
	if (unit >= 'A' && unit <= 'Z')
		unit = (char)(unit - 'A' + 'a');
	if (!conf_parse_size(s, &v))
		return false;
	for (size_t i = 0; i < nitems(units); i++)
		if (units[i].letter == unit)
			return !__builtin_mul_overflow(v, units[i].seconds,
			    out);
	return false;
}

/* number ["." 1*3digit] [unit]: a fraction of a second is enough. */
bool
conf_parse_delay(struct str s, int64_t *ms)
{
	static const struct { struct str unit; int64_t ms; } units[] = {
		{ { "", 0 }, 1000 }, { { "ms", 2 }, 1 }, { { "s", 1 }, 1000 },
		{ { "m", 1 }, 60000 }, { { "h", 1 }, 3600000 },
		{ { "d", 1 }, 86400000 }, { { "w", 1 }, 604800000 },
	};
	size_t n = s.n, dot;
	uint64_t whole, part = 0;
	struct str number, unit;
	int64_t v;

	while (n > 0 && (s.p[n - 1] < '0' || s.p[n - 1] > '9'))
		n--;
	number = str_first(s, n);
	unit = str_from(s, n);
	dot = str_chr(number, '.');
	if (!str_number(str_first(number, dot), &whole) || whole > INT32_MAX)
		return false;
	if (dot < n && (n - dot > 4 ||
	    !str_number(str_from(number, dot + 1), &part)))
		return false;
	for (size_t i = n - dot; dot < n && i < 4; i++)
		part *= 10;		/* to thousandths */
	for (size_t i = 0; i < nitems(units); i++) {
		v = (int64_t)(whole * 1000 + part);
		if (str_eq_nocase(unit, units[i].unit) &&
		    !__builtin_mul_overflow(v, units[i].ms, &v)) {
			*ms = v / 1000;
			return true;
		}
	}
	return false;
}

bool
conf_list_next(struct str *rest, struct str *item)
{
	return word_next(rest, ", \t\r\n", item);
}

/* The unit of a time without one is that of its preset: "5d", "0h". */
static char
preset_unit(const char *preset)
{
	size_t n = strlen(preset);

	if (n > 0 && preset[n - 1] >= 'a' && preset[n - 1] <= 'z')
		return preset[n - 1];
	return 's';
}

bool
value_parse(enum param_type type, const char *preset, struct str s,
    int64_t *out)
{
	bool yes;

	switch (type) {
	case P_COUNT:
		return parse_count(s, out);
	case P_SIZE:
		return conf_parse_size(s, out);
	case P_TIME:
		return conf_parse_time(s, preset_unit(preset), out);
	case P_DELAY:
		return conf_parse_delay(s, out);
	case P_BOOL:
		if (!conf_parse_bool(s, &yes))
			return false;
		*out = yes;
		return true;
	case P_TEXT:
	case P_RAW:
		break;
	}
	return false;
}

/* Why a value can't be read, in Postfix's words. */
static void
complain(struct conf *c, const struct param *p, struct str s,
    struct problems *ps)
{
	const char *what = "numerical", *hint = "give a whole number";
	const char *file;
	int line = 0;

	if (p->type == P_BOOL) {
		what = "boolean";
		hint = "say yes or no";
	} else if (p->type == P_DELAY) {
		what = "time";
		hint = "give a number and ms, s, m, h, d or w, such as 0.5s";
	} else if (p->type == P_TIME) {
		what = "time";
		hint = "give a number and s, m, h, d or w, such as 30s";
	}
	file = conf_where(c, str_of(p->name), &line);
	problem_add(ps, true, file, line, "bad %s configuration: %s = " STRF
	    ": %s", what, p->name, STRV(s), hint);
}

static bool
within(struct conf *c, const struct param *p, int64_t v, struct problems *ps)
{
	const char *file;
	int64_t least, most;
	int line = 0;

	file = conf_where(c, str_of(p->name), &line);
	if (p->least[0] != '\0' && value_parse(p->type, p->preset,
	    str_of(p->least), &least) && v < least) {
		problem_add(ps, true, file, line, "invalid %s parameter value "
		    "%" PRId64 " < %s: raise it", p->name, v, p->least);
		return false;
	}
	if (p->most[0] != '\0' && value_parse(p->type, p->preset,
	    str_of(p->most), &most) && v > most) {
		problem_add(ps, true, file, line, "invalid %s parameter value "
		    "%" PRId64 " > %s: lower it", p->name, v, p->most);
		return false;
	}
	return true;
}

static void
fill_one(struct conf *c, const struct param *p, void *out,
    struct problems *ps)
{
	char *at = (char *)out + p->at;
	struct str s;
	int64_t v = 0;

	if (p->type == P_TEXT || p->type == P_RAW) {
		s = p->type == P_TEXT ? conf_get_row(c, p) :
		    conf_unexpanded(c, str_of(p->name), p->preset);
		memcpy(at, &s, sizeof(s));
		return;
	}
	s = conf_get_row(c, p);
	if (!value_parse(p->type, p->preset, s, &v)) {
		complain(c, p, s, ps);
		v = 0;
		(void)value_parse(p->type, p->preset, str_of(p->preset), &v);
	} else {
		(void)within(c, p, v, ps);
	}
	if (p->type == P_BOOL)
		*(bool *)at = v != 0;
	else
		memcpy(at, &v, sizeof(v));
}

void
conf_fill(struct conf *c, const struct param *p, size_t n, void *out,
    struct problems *ps)
{
	struct problems *kept = c->problems;

	c->problems = ps;
	for (size_t i = 0; i < n; i++)
		fill_one(c, &p[i], out, ps);
	c->problems = kept;
}

int64_t
conf_number(struct conf *c, const char *name)
{
	const struct param_known *k = param_find(str_of(name));
	int64_t v = 0;

	if (k == NULL || (!value_parse(k->type, k->preset, conf_get(c, name),
	    &v) && !value_parse(k->type, k->preset, str_of(k->preset), &v)))
		return 0;
	return v;
}

bool
conf_bool(struct conf *c, const char *name)
{
	return conf_number(c, name) != 0;
}
