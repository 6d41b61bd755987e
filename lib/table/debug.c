/*
 * debug - another table, each request to which is logged with its answer.
 *
 * "debug:hash:/etc/postern/example". What is logged may be a secret.
 */
#include "sys/sys.h"
#include "table/internal.h"

struct listing { struct table *t; table_each_fn *fn; void *ctx; };

static bool
debug_open(struct table *t, struct buf *why)
{
	struct table *inner = NULL;

	if (t->name.n == 0)
		buf_printf(why, TABLE_NO_NAME, t->spec);
	else
		inner = table_open_in(t, t->name, why);
	t->state = inner;
	if (inner != NULL)
		t->traits = inner->traits & WHOLE_KEYS;
	return inner != NULL;
}

static void
debug_close(struct table *t)
{
	struct table *inner = t->state;

	table_free(&inner);
}

static enum found
debug_get(struct table *t, struct str key, struct buf *value)
{
	struct table *inner = t->state;
	enum found found = table_get(inner, key, value);

	log_info(STRF " lookup: \"" STRF "\" = \"" STRF "\"",
	    STRV(t->name), STRV(key), STRV(found == FOUND ? buf_view(value) :
	    found == NONE ? STR("not_found") : STR("error")));
	if (found == RETRY)
		buf_puts(&t->error, table_error(inner));
	return found;
}

static bool
log_entry(void *ctx, struct str key, struct str value)
{
	struct listing *l = ctx;

	log_info(STRF " sequence: \"" STRF "\" = \"" STRF "\"",
	    STRV(l->t->name), STRV(key), STRV(value));
	return l->fn(l->ctx, key, value);
}

static enum found
debug_each(struct table *t, table_each_fn *fn, void *ctx)
{
	struct listing l = { t, fn, ctx };
	struct table *inner = t->state;
	enum found found = table_each(inner, log_entry, &l);

	log_info(STRF " sequence: found EOF", STRV(t->name));
	if (found == RETRY)
		buf_puts(&t->error, table_error(inner));
	return found;
}

const struct table_ops debug_ops = {
	.suffix = "", .open = debug_open, .close = debug_close,
	.get = debug_get, .each = debug_each,
};
