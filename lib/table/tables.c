/*
 * tables - lists of tables, asked in order: maps_find() of Postfix.
 */
#include "conf/conf.h"
#include "sys/sys.h"
#include "table/internal.h"

struct tables {
	struct table **v;
	size_t	       n;
	const char    *error;		/* of the table that failed */
	uid_t	       owner;		/* of the table that answered */
	struct buf     own_error;
};

static enum found ask(struct tables *, struct str key, unsigned traits,
		    struct buf *value);

struct tables *
tables_open(struct str list, const char *conf_dir, unsigned flags,
    struct buf *why)
{
	struct tables *ts = mem_new(sizeof(*ts));
	struct str item;

	ts->error = "";
	buf_init(&ts->own_error, 1000);
	while (conf_list_next(&list, &item)) {
		size_t mark = why->n;

		if (mark > 0)
			buf_puts(why, "; ");
		ts->v = mem_grow(ts->v, ts->n + 1, sizeof(struct table *));
		ts->v[ts->n++] = table_open_lazy(item, conf_dir, flags, why);
		if (mark > 0 && why->n == mark + 2)
			why->n = mark;
	}
	return ts;
}

void
tables_free(struct tables **tp)
{
	struct tables *ts = *tp;

	*tp = NULL;
	if (ts == NULL)
		return;
	for (size_t i = 0; i < ts->n; i++)
		table_free(&ts->v[i]);
	mem_free(ts->v);
	buf_free(&ts->own_error);
	mem_free(ts);
}

bool
tables_empty(const struct tables *ts)
{
	return ts == NULL || ts->n == 0;
}

bool
tables_have_users(struct tables *ts)
{
	for (size_t i = 0; ts != NULL && i < ts->n; i++)
		if (table_has_users(ts->v[i]))
			return true;
	return false;
}

enum found
tables_get(struct tables *ts, struct str key, struct buf *value)
{
	return ask(ts, key, 0, value);
}

enum found
tables_get_part(struct tables *ts, struct str key, struct buf *value)
{
	return ask(ts, key, WHOLE_KEYS, value);
}

uid_t
tables_owner(const struct tables *ts)
{
	return ts->owner;
}

const char *
tables_error(const struct tables *ts)
{
	return ts->error;
}

/* Asks those that have the traits; a fault stops the search. */
static enum found
ask(struct tables *ts, struct str key, unsigned traits, struct buf *value)
{
	buf_clear(value);
	if (ts == NULL || key.n == 0)
		return NONE;
	for (size_t i = 0; i < ts->n; i++) {
		struct table *t = ts->v[i];
		enum found found;

		if (t->type != NULL && (t->traits & traits) != traits)
			continue;
		found = table_get(t, key, value);
		if (found == FOUND && value->n == 0) {
			buf_clear(&ts->own_error);
			buf_printf(&ts->own_error, "%.200s lookup of " STRF
			    " returns an empty string result; it should "
			    "return NO RESULT in case of NOT FOUND", t->spec,
			    STRV(str_first(key, 200)));
			ts->error = buf_cstr(&ts->own_error);
			return RETRY;
		}
		if (found == RETRY)
			ts->error = table_error(t);
		ts->owner = t->file.owner;
		if (found != NONE)
			return found;
	}
	return NONE;
}
