/*
 * inline - a table in the parameter itself: inline:{k=v, { k = long text }}.
 *
 *   name  = "{" *(sep item) "}"
 *   item  = key "=" value / "{" *sp key *sp "=" *sp text *sp "}"
 *   sep   = comma / space
 */
#include "conf/conf.h"
#include "table/internal.h"

struct inline_table {
	struct map	 *entries;	/* of struct pair */
	struct list	  order;
};
struct pair {
	struct list link;
	struct str  key, value;		/* key folded, in text; value in spec */
	char	   *own;		/* or the value itself: of files */
	char	    text[];
};

static bool	  inline_open(struct table *, struct buf *why);
static void	  inline_close(struct table *);
static enum found inline_get(struct table *, struct str, struct buf *);
static enum found inline_each(struct table *, table_each_fn *, void *ctx);
static bool	  add(struct table *, struct inline_table *, struct str item,
		    struct buf *why);
static bool	  split_pair(struct str item, struct str *key,
		    struct str *value);
static bool	  in_braces(struct str *);

const struct table_ops inline_ops = {
	.suffix = "", .open = inline_open, .close = inline_close,
	.get = inline_get, .each = inline_each,
};

static bool
inline_open(struct table *t, struct buf *why)
{
	struct inline_table *in = mem_new(sizeof(*in));
	struct str rest = t->name, item;
	size_t mark = why->n;
	bool ok;

	in->entries = map_new();
	list_init(&in->order);
	t->state = in;
	ok = in_braces(&rest);
	while (ok && conf_list_next(&rest, &item))
		ok = add(t, in, item, why);
	if (ok && !list_empty(&in->order))
		return true;
	buf_printf(why, "%s\"%.200s\"; need \"inline:{name=%s...}\"",
	    why->n > mark ? ": " : "bad syntax: ", t->spec,
	    (t->flags & TABLE_FILES) != 0 ? "filename" : "value");
	inline_close(t);
	t->state = NULL;
	return false;
}

/* One item; the last one of a key stands, as in Postfix. */
static bool
add(struct table *t, struct inline_table *in, struct str item,
    struct buf *why)
{
	struct buf folded, decoded;
	struct str key, value;
	struct pair *p;

	if (!split_pair(item, &key, &value))
		return false;
	buf_init(&folded, key.n * TABLE_FOLD_GROWTH + 1);
	buf_init(&decoded, TABLE_VALUE_MAX);
	if ((t->flags & TABLE_FILES) != 0 &&
	    !table_files_value(value, &decoded, why)) {
		buf_free(&folded);
		return false;
	}
	if ((t->flags & TABLE_FOLD) != 0)
		table_fold(key, &folded);
	else
		buf_str(&folded, key);
	p = map_get(in->entries, buf_view(&folded));
	if (p == NULL) {
		p = mem_new(sizeof(*p) + folded.n);
		memcpy(p->text, folded.p, folded.n);
		p->key = (struct str){ p->text, folded.n };
		map_set(in->entries, p->key, p);
		list_append(&in->order, &p->link);
	}
	p->value = value;
	if (decoded.n > 0) {
		mem_free(p->own);
		p->own = mem_strdup(buf_cstr(&decoded));
		p->value = str_of(p->own);
	}
	buf_free(&folded);
	buf_free(&decoded);
	return true;
}

static void
inline_close(struct table *t)
{
	struct inline_table *in = t->state;

	list_each(l, &in->order) {
		struct pair *p = container_of(l, struct pair, link);

		mem_free(p->own);
		mem_free(p);
	}
	map_free(&in->entries);
	mem_free(in);
}

static enum found
inline_get(struct table *t, struct str key, struct buf *value)
{
	struct inline_table *in = t->state;
	struct pair *p = map_get(in->entries, key);

	if (p == NULL)
		return NONE;
	buf_str(value, p->value);
	return FOUND;
}

static enum found
inline_each(struct table *t, table_each_fn *fn, void *ctx)
{
	struct inline_table *in = t->state;

	list_each(l, &in->order) {
		struct pair *p = container_of(l, struct pair, link);

		if (!fn(ctx, p->key, p->value))
			break;
	}
	return FOUND;
}

static bool
split_pair(struct str item, struct str *key, struct str *value)
{
	size_t equals;

	(void)in_braces(&item);
	item = str_trim(item);
	equals = str_chr(item, '=');
	*key = str_trim(str_first(item, equals));
	*value = str_trim(str_from(item, equals + 1));
	return equals < item.n && key->n > 0 && value->n > 0;
}

/* Takes one pair of braces off. */
static bool
in_braces(struct str *s)
{
	if (s->n < 2 || s->p[0] != '{' || s->p[s->n - 1] != '}')
		return false;
	*s = (struct str){ s->p + 1, s->n - 2 };
	return true;
}
