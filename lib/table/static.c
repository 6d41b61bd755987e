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

static bool
static_open(struct table *t, struct buf *why)
{
	if (t->name.n > 0 && t->name.p[0] == '{' &&
	    t->name.p[t->name.n - 1] != '}') {
		buf_printf(why, "bad syntax: \"%.200s\"; need "
		    "\"static:{text}\"", t->spec);
		return false;
	}
	return true;
}

static void
static_close(struct table *t)
{
	(void)t;
}

static enum found
static_get(struct table *t, struct str key, struct buf *value)
{
	struct str s = t->name;

	(void)key;
	if (s.n >= 2 && s.p[0] == '{')
		s = str_trim((struct str){ s.p + 1, s.n - 2 });
	buf_str(value, s);
	return FOUND;
}
