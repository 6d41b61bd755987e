/*
 * postconf_names - the names that are known: built in, of services, and
 * those that a user made by using them.
 */
#include <unistd.h>
#include "tools/postconf.h"

struct name *
names_find(const struct postconf *pc, struct str name)
{
	return map_get(pc->names, name);
}

static struct name *
add(struct postconf *pc, struct str name, struct str preset, unsigned flags)
{
	struct name *n = arena_alloc(pc->mem, sizeof(*n));

	n->name = arena_str(pc->mem, name);
	n->preset = preset;
	n->flags = flags;
	(void)map_set(pc->names, name, n);
	pc->list = mem_grow(pc->list, pc->nlist + 1, sizeof(struct name *));
	pc->list[pc->nlist++] = n;
	return n;
}

/* Old names that count only where they are set. */
static bool
is_legacy(const struct param_known *k)
{
	return k->status == PARAM_OLD && k->type == P_TEXT &&
	    k->preset[0] == '\0';
}

void
names_builtin(struct postconf *pc)
{
	static const char *const fixed[] = {
		"process_id", "process_name", "service_name",
	};
	const struct param_known *k;
	struct name *n;
	size_t count;

	k = param_all(&count);
	for (size_t i = 0; i < count; i++) {
		struct str name = { k[i].name, k[i].n };

		if (names_find(pc, name) != NULL)
			continue;
		n = add(pc, name, str_of(k[i].preset), is_legacy(&k[i]) ?
		    NAME_LEGACY : NAME_BUILTIN);
		n->known = &k[i];
		if (k[i].type == P_RAW)
			n->flags |= NAME_RAW;
	}
	for (size_t i = 0; i < nitems(fixed); i++) {
		n = names_find(pc, str_of(fixed[i]));
		if (n == NULL)
			n = add(pc, str_of(fixed[i]), STR(""), NAME_BUILTIN);
		n->flags |= NAME_READONLY;
	}
	names_find(pc, STR("process_name"))->preset = STR("postconf");
	names_find(pc, STR("process_id"))->preset =
	    str_of(arena_printf(pc->mem, "%ld", (long)getpid()));
}

/* Which services have which families: delivery agents, and spawn. */
static bool
has_family(struct str command, bool *time_limit, bool *others)
{
	static const struct { const char *name; bool limit, others; } all[] = {
		{ "local", false, true }, { "error", false, true },
		{ "virtual", false, true }, { "smtp", false, true },
		{ "lmtp", false, true }, { "pipe", true, true },
		{ "spawn", true, false },
	};

	for (size_t i = 0; i < nitems(all); i++)
		if (str_eq(command, str_of(all[i].name))) {
			*time_limit = all[i].limit;
			*others = all[i].others;
			return *time_limit || *others;
		}
	return false;
}

void
names_service(struct postconf *pc)
{
	bool limit, others;

	for (size_t i = 0; i < pc->nentries; i++) {
		const struct words *w = &pc->entries[i].w;
		const char *suffix, *fallback;
		size_t at = 0;

		if (!has_family(w->v[FIELD_COMMAND], &limit, &others))
			continue;
		while (conf_family_next(&at, &suffix, &fallback)) {
			bool is_limit = strcmp(suffix, "_time_limit") == 0;
			struct str name = str_of(arena_printf(pc->mem,
			    STRF "%s", STRV(w->v[0]), suffix));
			struct name *n = names_find(pc, name);

			if (is_limit ? !limit : !others)
				continue;
			if (n != NULL)
				n->flags = (n->flags & ~(unsigned)NAME_ANY) |
				    NAME_SERVICE;
			else
				add(pc, name, str_of(arena_printf(pc->mem,
				    "$%s", fallback)), NAME_SERVICE);
		}
	}
}

void
names_use(struct postconf *pc, struct entry *e, struct str name, bool must)
{
	bool is_set = false;

	if (e != NULL && pairs_get(&e->params, name) != NULL) {
		is_set = true;
		if (!words_have(&e->valid, name))
			words_insert(&e->valid, e->valid.n, name);
	} else if (pairs_get(&pc->set, name) != NULL) {
		is_set = true;
		if (names_find(pc, name) == NULL)
			add(pc, name, STR(""), NAME_USER);
	}
	for (size_t i = 0; e == NULL && i < pc->nentries; i++) {
		struct entry *other = &pc->entries[i];

		if (pairs_get(&other->params, name) == NULL)
			continue;
		is_set = true;
		if (!words_have(&other->valid, name))
			words_insert(&other->valid, other->valid.n, name);
	}
	if (must && !is_set && names_find(pc, name) == NULL)
		postconf_warn("%s/%s: undefined parameter: " STRF, pc->dir,
		    e != NULL ? "master.cf" : "main.cf", STRV(name));
}

struct scope { struct postconf *pc; struct entry *e; };

static bool
see(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct scope *s = ctx;

	names_use(s->pc, s->e, arena_str(s->pc->mem, name), true);
	*value = STR("");
	*raw = true;
	return true;
}

static void
scan(struct postconf *pc, struct entry *e, struct str text)
{
	struct scope s = { pc, e };
	struct expander x = { .ctx = &s, .lookup = see, .scan = true };
	struct buf none;

	buf_init(&none, 1);
	(void)expand_text(&x, text, &none);
	buf_free(&none);
}

static struct str
class_list(struct postconf *pc, const struct entry *e)
{
	const struct str *raw = pairs_get(e != NULL ? &e->params : &pc->set,
	    STR("smtpd_restriction_classes"));

	return raw != NULL ? value_expand(pc, e, *raw) : STR("");
}

/* Classes of main.cf count in every service. */
static void
note_classes(struct postconf *pc)
{
	struct str list = class_list(pc, NULL), one;

	while (conf_list_next(&list, &one))
		if (!words_have(&pc->classes_used, one))
			words_insert(&pc->classes_used, pc->classes_used.n,
			    one);
}

static void
scan_classes(struct postconf *pc, struct entry *e)
{
	struct str list = class_list(pc, e), one;

	while (conf_list_next(&list, &one))
		names_use(pc, e, one, true);
}

static void
scan_space(struct postconf *pc, struct entry *e)
{
	struct pairs *set = e != NULL ? &e->params : &pc->set;

	scan_classes(pc, e);
	for (size_t i = 0; i < set->n;) {
		struct str name = set->v[i].name, value = set->v[i].value;
		struct name *n = names_find(pc, name);

		if (e != NULL && words_have(&pc->classes_used, name) &&
		    !words_have(&e->valid, name))
			words_insert(&e->valid, e->valid.n, name);
		if (n != NULL && (n->flags & NAME_READONLY) != 0) {
			postconf_warn("%s/%s: read-only parameter "
			    "assignment: " STRF "=" STRF, pc->dir, e != NULL ?
			    "master.cf" : "main.cf", STRV(name), STRV(value));
			pairs_remove(set, name);
			continue;
		}
		i++;
		if (n != NULL && (n->flags & NAME_LEGACY) != 0)
			n->flags |= NAME_USER;
		if (n != NULL && (n->flags & NAME_RAW) != 0)
			continue;
		scan(pc, e, value);
		if (n != NULL && (n->flags & (NAME_BUILTIN | NAME_SERVICE)) !=
		    0)
			dbms_scan(pc, e, value);
	}
}

void
names_user(struct postconf *pc)
{
	note_classes(pc);
	for (size_t i = 0; i < pc->nentries; i++)
		scan_space(pc, &pc->entries[i]);
	for (size_t i = 0; i < pc->nlist; i++)
		if ((pc->list[i]->flags & NAME_RAW) == 0 &&
		    pairs_get(&pc->set, pc->list[i]->name) == NULL)
			scan(pc, NULL, pc->list[i]->preset);
	scan_space(pc, NULL);
}
