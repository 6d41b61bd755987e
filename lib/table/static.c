/*
 * static - one answer to every key: static:OK, static:{ text with blanks }.
 */
#include "table/internal.h"

static bool	  static_open(struct table *, struct buf *why);
static void	  static_close(struct table *);
static enum found static_get(struct table *, struct str, struct buf *);

const struct table_ops static_ops = {
	.suffix = "", .open = static_open, .close = static_close,
	.get = static_get,
};

static struct str
text_of(const struct table *t)
{
	struct str s = t->name;

	return s.n >= 2 && s.p[0] == '{' ?
	    str_trim((struct str){ s.p + 1, s.n - 2 }) : s;
}

static bool
static_open(struct table *t, struct buf *why)
{
	struct buf decoded;
	bool ok;

	if (t->name.n > 0 && t->name.p[0] == '{' &&
	    t->name.p[t->name.n - 1] != '}') {
		buf_printf(why, "bad syntax: \"%.200s\"; need "
		    "\"static:{text}\"", t->spec);
		return false;
	}
	if ((t->flags & TABLE_FILES) == 0)
		return true;
	buf_init(&decoded, TABLE_VALUE_MAX);
	ok = table_files_value(text_of(t), &decoded, why);
	t->state = ok ? mem_strdup(buf_cstr(&decoded)) : NULL;
	buf_free(&decoded);
	return ok;
}

static void
static_close(struct table *t)
{
	mem_free(t->state);
}

static enum found
static_get(struct table *t, struct str key, struct buf *value)
{
	(void)key;
	buf_str(value, t->state != NULL ? str_of(t->state) : text_of(t));
	return FOUND;
}
