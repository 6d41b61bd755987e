/*
 * fail - a table that fails every request, for tests of what depends on it.
 */
#include "table/internal.h"

static bool	  fail_open(struct table *, struct buf *why);
static void	  fail_close(struct table *);
static enum found fail_get(struct table *, struct str, struct buf *);
static enum found fail_each(struct table *, table_each_fn *, void *ctx);

const struct table_ops fail_ops = {
	.suffix = "", .open = fail_open, .close = fail_close, .get = fail_get,
	.each = fail_each,
};

static bool
fail_open(struct table *t, struct buf *why)
{
	(void)t;
	(void)why;
	return true;
}

static void
fail_close(struct table *t)
{
	(void)t;
}

static enum found
fail_get(struct table *t, struct str key, struct buf *value)
{
	(void)key;
	(void)value;
	buf_printf(&t->error, "%s: Application error", t->spec);
	return RETRY;
}

static enum found
fail_each(struct table *t, table_each_fn *fn, void *ctx)
{
	(void)fn;
	(void)ctx;
	return fail_get(t, STR(""), NULL);
}
