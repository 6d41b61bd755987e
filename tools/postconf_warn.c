/*
 * postconf_warn - names that nobody uses, and names that are given up.
 */
#include <stdio.h>
#include <stdlib.h>
#include "tools/postconf.h"

static const struct { const char *name, *advice; } deprecated[] = {
#define DEPRECATED(name, advice) { #name, advice },
#include "tools/deprecated.def"
#undef DEPRECATED
};

/* What to do in place of a name that is given up, or NULL. */
static const char *
advice_for(struct postconf *pc, struct str name, const struct name *n)
{
	if (n != NULL && n->known != NULL && n->known->status == PARAM_OLD)
		return arena_printf(pc->mem, "specify \"%s\"", n->known->text);
	for (size_t i = 0; i < nitems(deprecated); i++)
		if (str_eq(name, str_of(deprecated[i].name)))
			return deprecated[i].advice;
	return NULL;
}

static void
warn_name(struct postconf *pc, const struct entry *e, const struct pair *p)
{
	const char *file = e != NULL ? "master.cf" : "main.cf";
	const struct name *n = names_find(pc, p->name);
	const char *advice = advice_for(pc, p->name, n);
	bool used = n != NULL ||
	    (e != NULL && words_have(&e->valid, p->name));

	if (advice != NULL)
		pc->found_deprecated = true;
	if (used && advice != NULL)
		postconf_warn("%s/%s: support for parameter \"" STRF "\" will "
		    "be removed; instead, %s", pc->dir, file, STRV(p->name),
		    advice);
	else if (advice != NULL)
		postconf_warn("%s/%s: support for parameter " STRF " has been "
		    "removed; instead, %s", pc->dir, file, STRV(p->name),
		    advice);
	else if (!used)
		postconf_warn("%s/%s: unused parameter: " STRF "=" STRF,
		    pc->dir, file, STRV(p->name), STRV(p->value));
}

int
pair_by_name(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static void
warn_space(struct postconf *pc, const struct entry *e)
{
	const struct pairs *set = e != NULL ? &e->params : &pc->set;

	fflush(stdout);
	if (set->n > 0)
		qsort(set->v, set->n, sizeof(*set->v), pair_by_name);
	for (size_t i = 0; i < set->n; i++)
		warn_name(pc, e, &set->v[i]);
}

void
warn_main(struct postconf *pc)
{
	warn_space(pc, NULL);
}

void
warn_master(struct postconf *pc)
{
	for (size_t i = 0; i < pc->nentries; i++)
		warn_space(pc, &pc->entries[i]);
}

void
warn_end(struct postconf *pc)
{
	fflush(stdout);
	if (pc->found_deprecated)
		postconf_warn("See https://www.postfix.org/"
		    "DEPRECATION_README.html for details");
}
