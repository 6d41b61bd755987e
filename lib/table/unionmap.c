/*
 * unionmap - what several tables say of one key, with commas between.
 */
#include "table/members.h"

static enum found
unionmap_get(struct table *t, struct str key, struct buf *value)
{
	struct members *m = t->state;
	enum found all = NONE;

	for (size_t i = 0; i < m->n; i++) {
		enum found found = table_get(m->v[i], key, &m->key);

		if (found == RETRY)
			return members_fault(t, m->v[i]);
		if (found == NONE)
			continue;
		if (all == FOUND)
			buf_putc(value, ',');
		buf_str(value, buf_view(&m->key));
		all = FOUND;
	}
	return all;
}

const struct table_ops unionmap_ops = {
	.suffix = "", .open = members_open, .close = members_close,
	.get = unionmap_get,
};
