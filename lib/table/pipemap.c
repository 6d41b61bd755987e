/*
 * pipemap - each table's answer is the next one's key.
 */
#include "table/members.h"

static enum found
pipemap_get(struct table *t, struct str key, struct buf *value)
{
	struct members *m = t->state;

	for (size_t i = 0; i < m->n; i++) {
		enum found found = table_get(m->v[i], key, value);

		if (found == RETRY)
			return members_fault(t, m->v[i]);
		if (found == NONE) {
			buf_clear(value);
			return NONE;
		}
		buf_clear(&m->key);
		buf_str(&m->key, buf_view(value));
		key = buf_view(&m->key);
	}
	return FOUND;
}

const struct table_ops pipemap_ops = {
	.suffix = "", .open = members_open, .close = members_close,
	.get = pipemap_get,
};
