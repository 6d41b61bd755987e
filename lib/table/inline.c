/*
 * inline - a table in the parameter itself: inline:{k=v, { k = long text }}.
 *
 *   name  = "{" *(sep item) "}"
 *   item  = key "=" value / "{" *sp key *sp "=" *sp text *sp "}"
 *   sep   = comma / space
 */
#include "conf/conf.h"
#include "conf/syntax.h"
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
		    struct str *value, struct buf *why);
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
	bool ok, whole;

	in->entries = map_new();
	list_init(&in->order);
	t->state = in;
	ok = whole = in_braces(&rest) && rest.n > 0;
	while (ok && conf_list_next(&rest, &item))
		ok = add(t, in, item, why);
	if (ok && !list_empty(&in->order))
		return true;
	buf_printf(why, "%s\"%.200s\"; need \"inline:{name=%s...}\"",
	    why->n > mark ? ": " : whole ? "empty table: " :
	    "bad syntax: ", t->spec,
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

	if (!split_pair(item, &key, &value, why))
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

/* False with *why, in Postfix's words. */
static bool
split_pair(struct str item, struct str *key, struct str *value,
    struct buf *why)
{
	bool quoted = false;
	size_t n = 0;

	if (item.p[0] == '{' && !word_open(item, &item, why))
		return false;
	item = blank_trim(item);
	if (item.n == 0 || item.p[0] == '=') {
		buf_puts(why, "no key found; expected format: key = value");
		return false;
	}
	for (; n < item.n; n++) {
		if (item.p[n] == '\\')
			n++;
		else if (item.p[n] == '"')
			quoted = !quoted;
		else if (!quoted && (is_blank(item.p[n]) || item.p[n] == '='))
			break;
	}
	*key = str_first(item, n);
	*value = blank_trim(str_from(item, n));
	if (quoted || value->n == 0 || value->p[0] != '=') {
		buf_puts(why, quoted ? "unbalanced '\"'" :
		    "missing '=' after attribute name");
		return false;
	}
	*value = blank_trim(str_from(*value, 1));
	return true;
}

/* Takes one pair of braces off that is around all. */
static bool
in_braces(struct str *s)
{
	struct buf why;
	bool ok;

	buf_init(&why, TABLE_VALUE_MAX);
	ok = s->n > 0 && s->p[0] == '{' && word_open(*s, s, &why);
	buf_free(&why);
	return ok;
}
