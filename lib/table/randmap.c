/*
 * randmap - one of several values, by lot: randmap:{a, b, c}.
 */
#include "conf/conf.h"
#include "sys/sys.h"
#include "table/internal.h"

struct randmap { struct str *v; size_t n; struct buf text; };

static void
randmap_close(struct table *t)
{
	struct randmap *r = t->state;

	buf_free(&r->text);
	mem_free(r->v);
	mem_free(r);
}

static bool
add(struct table *t, struct randmap *r, struct str item, struct buf *why)
{
	struct buf decoded;
	bool ok;

	if (item.n >= 2 && item.p[0] == '{' && item.p[item.n - 1] == '}')
		item = str_trim((struct str){ item.p + 1, item.n - 2 });
	buf_init(&decoded, TABLE_VALUE_MAX);
	ok = (t->flags & TABLE_FILES) == 0 ||
	    table_files_value(item, &decoded, why);
	if ((t->flags & TABLE_FILES) != 0)
		item = buf_view(&decoded);
	if (ok) {
		/* Lengths for now: text may move while it grows. */
		r->v = mem_grow(r->v, r->n + 1, sizeof(*r->v));
		r->v[r->n++] = (struct str){ NULL, item.n };
		buf_str(&r->text, item);
	}
	buf_free(&decoded);
	return ok;
}

static bool
randmap_open(struct table *t, struct buf *why)
{
	struct randmap *r = mem_new(sizeof(*r));
	struct str rest = t->name, item;
	size_t at = 0, mark = why->n;
	bool ok;

	t->state = r;
	buf_init(&r->text, TABLE_TEXT_MAX);
	ok = rest.n >= 2 && rest.p[0] == '{' && rest.p[rest.n - 1] == '}';
	rest = (struct str){ rest.p + 1, ok ? rest.n - 2 : 0 };
	while (ok && conf_list_next(&rest, &item))
		ok = add(t, r, item, why);
	for (size_t i = 0; i < r->n; i++) {
		r->v[i].p = buf_view(&r->text).p + at;
		at += r->v[i].n;
	}
	if (ok && r->n > 0 && !r->text.full)
		return true;
	if (why->n == mark)
		buf_printf(why, "bad syntax: \"%.200s\"; need "
		    "\"randmap:{value...}\"", t->spec);
	randmap_close(t);
	t->state = NULL;
	return false;
}

static enum found
randmap_get(struct table *t, struct str key, struct buf *value)
{
	struct randmap *r = t->state;
	uint64_t lot;

	(void)key;
	random_bytes(&lot, sizeof(lot));
	buf_str(value, r->v[lot % r->n]);
	return FOUND;
}

const struct table_ops randmap_ops = {
	.suffix = "", .open = randmap_open, .close = randmap_close,
	.get = randmap_get,
};
