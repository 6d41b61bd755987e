/*
 * environ - the variables of the process's environment.
 */
#include <stdlib.h>

#include "table/internal.h"

static bool	  environ_open(struct table *, struct buf *why);
static void	  environ_close(struct table *);
static enum found environ_get(struct table *, struct str, struct buf *);

const struct table_ops environ_ops = {
	.suffix = "", .open = environ_open, .close = environ_close,
	.get = environ_get,
};

static bool
environ_open(struct table *t, struct buf *why)
{
	(void)t;
	(void)why;
	return true;
}

static void
environ_close(struct table *t)
{
	(void)t;
}

static enum found
environ_get(struct table *t, struct str key, struct buf *value)
{
	struct buf name;
	const char *text;

	(void)t;
	if (memchr(key.p, '\0', key.n) != NULL)
		return NONE;
	buf_init(&name, key.n + 1);
	buf_str(&name, key);
	text = getenv(buf_cstr(&name));
	buf_free(&name);
	if (text == NULL)
		return NONE;
	buf_puts(value, text);
	return FOUND;
}
