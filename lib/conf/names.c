/*
 * names - are all names of main.cf and master.cf known, and do they work?
 *
 * Besides the registry these are known: families of a service's name,
 * restriction classes, and names that some value uses as $name.
 */
#include "conf/internal.h"
#include "conf/syntax.h"

struct checker {
	struct conf	*c;
	struct problems	*ps;
	struct master_cf m;
	struct map	*used;		/* $name: a setting that uses it */
	struct map	*classes;	/* of smtpd_restriction_classes */
	struct buf	 none;		/* a scan's output */
};

static bool
note_use(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct checker *k = ctx;

	(void)map_set(k->used, name, k);
	*value = STR("");
	*raw = true;
	return true;
}

static void
scan(struct checker *k, struct str text)
{
	struct expander e = { .ctx = k, .lookup = note_use, .scan = true };

	(void)expand_text(&e, text, &k->none);
}

static bool
is_raw(struct str name)
{
	const struct param_known *p = param_find(name);

	return p != NULL && p->type == P_RAW;
}

static void
note_classes(struct checker *k, struct str list)
{
	struct str one;

	while (conf_list_next(&list, &one))
		(void)map_set(k->classes, one, k);
}

static void
collect(struct checker *k)
{
	struct str name, raw;
	size_t at = 0;

	while (conf_each(k->c, &at, &name, &raw))
		if (!is_raw(name))
			scan(k, raw);
	note_classes(k, conf_get(k->c, "smtpd_restriction_classes"));
	for (size_t i = 0; i < k->m.n; i++)
		for (size_t o = 0; o < k->m.v[i].noverrides; o++) {
			name = k->m.v[i].overrides[o].name;
			raw = k->m.v[i].overrides[o].value;
			if (!is_raw(name))
				scan(k, raw);
			if (str_eq(name, STR("smtpd_restriction_classes")))
				note_classes(k, conf_expand(k->c, raw,
				    k->ps));
		}
}

/* <service>_<suffix>, where master.cf has that service. */
static bool
is_family(const struct checker *k, struct str name)
{
	for (size_t i = 0; i < k->m.n; i++) {
		struct str service = k->m.v[i].name;

		if (name.n > service.n && str_starts(name, service) &&
		    name.p[service.n] == '_' &&
		    family_fallback(str_from(name, service.n)) != NULL)
			return true;
	}
	return false;
}

/* Other services' names in families: which service is meant? */
static bool
looks_like_family(struct str name, struct str *service)
{
	const char *suffix, *fallback;
	size_t at = 0;

	while (conf_family_next(&at, &suffix, &fallback))
		if (str_ends_nocase(name, str_of(suffix)) &&
		    name.n > strlen(suffix)) {
			*service = str_first(name, name.n - strlen(suffix));
			return true;
		}
	return false;
}

struct spot { const char *file; int line; };

static void
complain_unknown(struct checker *k, struct spot at, struct str name)
{
	const char *near = param_nearest(name);
	struct str service;

	if (near != NULL)
		problem_add(k->ps, true, at.file, at.line, "unknown "
		    "parameter \"" STRF "\": did you mean \"%s\"? Correct or "
		    "remove it", STRV(name), near);
	else if (looks_like_family(name, &service))
		problem_add(k->ps, true, at.file, at.line, "unknown "
		    "parameter \"" STRF "\": master.cf has no service \""
		    STRF "\". Add it, or remove the parameter", STRV(name),
		    STRV(service));
	else
		problem_add(k->ps, true, at.file, at.line, "unknown "
		    "parameter \"" STRF "\", and no value uses $" STRF
		    ". Correct or remove it", STRV(name), STRV(name));
}

/* A value that asks for nothing: empty, no, none where empty is preset. */
static bool
is_off(struct str value, struct str preset)
{
	return preset.n == 0 && (value.n == 0 ||
	    str_eq_nocase(value, STR("no")) ||
	    str_eq_nocase(value, STR("none")));
}

static void
check_known(struct checker *k, struct spot at, const struct param_known *p,
    struct str raw)
{
	struct str value, preset;

	if (p->status == PARAM_WORKS || p->status == PARAM_HARMLESS)
		return;
	value = p->type == P_RAW ? raw : conf_expand(k->c, raw, k->ps);
	preset = p->type == P_RAW ? str_of(p->preset) :
	    conf_expand(k->c, str_of(p->preset), k->ps);
	if (str_eq(value, preset) || is_off(value, preset))
		return;
	if (p->status == PARAM_OLD)
		problem_add(k->ps, false, at.file, at.line, "support for "
		    "parameter \"%s\" will be removed; instead, specify "
		    "\"%s\"", p->name, p->text);
	else if (p->status == PARAM_LATER)
		problem_add(k->ps, false, at.file, at.line, "parameter "
		    "\"%s\" is not supported yet and has no effect",
		    p->name);
	else
		problem_add(k->ps, true, at.file, at.line, "parameter "
		    "\"%s\" is not supported yet, and to ignore it would be "
		    "unsafe. Remove it, or set it to its default \""
		    STRF "\"", p->name, STRV(preset));
}

static void
check_one(struct checker *k, struct spot at, struct str name, struct str raw)
{
	const struct param_known *p = param_find(name);

	if (p != NULL) {
		check_known(k, at, p, raw);
		return;
	}
	if (map_get(k->used, name) != NULL || is_family(k, name) ||
	    map_get(k->classes, name) != NULL)
		return;
	complain_unknown(k, at, name);
}

/* $name of a name that nobody sets and nobody knows. */
static void
check_uses(struct checker *k)
{
	struct str name;
	void *value;
	size_t at = 0;

	while (map_next(k->used, &at, &name, &value)) {
		bool set = conf_setting(k->c, name) != NULL ||
		    param_find(name) != NULL || is_family(k, name);

		for (size_t i = 0; i < k->m.n && !set; i++)
			for (size_t o = 0; o < k->m.v[i].noverrides; o++)
				set = set || str_eq(name,
				    k->m.v[i].overrides[o].name);
		if (!set)
			problem_add(k->ps, false, NULL, 0, "undefined "
			    "parameter: " STRF ": some value uses $" STRF
			    ", which counts as empty", STRV(name),
			    STRV(name));
	}
}

/* Problems of values that were asked for before anybody listened. */
static void
take_late(struct conf *c, struct problems *ps)
{
	for (size_t i = 0; i < c->late.n; i++)
		problem_add(ps, c->late.v[i].fatal, c->late.v[i].file,
		    c->late.v[i].line, "%s", c->late.v[i].text);
	problems_free(&c->late);
}

static void
check_master(struct checker *k)
{
	const char *file = arena_printf(k->c->mem, "%s/master.cf",
	    k->c->dir);

	for (size_t i = 0; i < k->m.n; i++) {
		const struct master_entry *e = &k->m.v[i];

		for (size_t o = 0; o < e->noverrides; o++)
			check_one(k, (struct spot){ file, e->line },
			    e->overrides[o].name, e->overrides[o].value);
	}
}

void
conf_check_names(struct conf *c, struct problems *ps)
{
	struct checker k = { .c = c, .ps = ps };
	struct problems unread = { NULL, 0 };
	struct str name, raw;
	size_t at = 0;

	/* What is wrong in master.cf itself, its own reader tells. */
	(void)master_cf_load(c, &k.m, &unread);
	problems_free(&unread);
	k.used = map_new();
	k.classes = map_new();
	buf_init(&k.none, CONF_VALUE_MAX);
	take_late(c, ps);
	collect(&k);
	while (conf_each(c, &at, &name, &raw)) {
		struct spot s = { NULL, 0 };

		s.file = conf_where(c, name, &s.line);
		check_one(&k, s, name, raw);
		if (!is_raw(name))
			(void)conf_get(c, arena_cstr(c->mem, name));
	}
	take_late(c, ps);
	check_master(&k);
	check_uses(&k);
	buf_free(&k.none);
	map_free(&k.used);
	map_free(&k.classes);
}
