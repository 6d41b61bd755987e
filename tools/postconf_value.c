/*
 * postconf_value - what a name stands for, in main.cf or in a service.
 */
#include "tools/postconf.h"

#define VALUE_MAX (1 << 20)

bool
value_lookup(struct postconf *pc, const struct entry *e, struct str name,
    unsigned mode, struct str *value)
{
	const struct str *v = NULL;
	const struct name *n;

	if ((mode & SHOW_DEFAULTS) == 0) {
		if (e != NULL && (v = pairs_get(&e->fixed, name)) == NULL)
			v = pairs_get(&e->params, name);
		if (v == NULL)
			v = pairs_get(&pc->set, name);
		if (v != NULL) {
			*value = *v;
			return true;
		}
		if ((mode & SHOW_SET) != 0)
			return false;
	}
	n = names_find(pc, name);
	if (n == NULL)
		return false;
	*value = n->known != NULL && n->preset.n == 0 ?
	    conf_default(pc->conf, name) : n->preset;
	return true;
}

struct scope { struct postconf *pc; const struct entry *e; };

static bool
lookup(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct scope *s = ctx;
	const struct name *n = names_find(s->pc, name);

	*raw = n != NULL && (n->flags & NAME_RAW) != 0;
	return value_lookup(s->pc, s->e, name, s->pc->mode &
	    ~(unsigned)SHOW_SET, value);
}

static void
report(void *ctx, const char *text)
{
	(void)ctx;
	postconf_warn("%s", text);
}

struct str
value_expand(struct postconf *pc, const struct entry *e, struct str text)
{
	struct scope s = { pc, e };
	struct expander x = { .ctx = &s, .lookup = lookup, .error = report };
	struct buf out;
	struct str value;

	buf_init(&out, VALUE_MAX);
	if (expand_text(&x, text, &out) == EXPAND_ERROR)
		postconf_fatal("macro processing error");
	value = arena_str(pc->mem, buf_view(&out));
	buf_free(&out);
	return value;
}
