/*
 * static - one answer to every key: static:OK, static:{ text with blanks }.
 */
#include "conf/syntax.h"
#include "table/internal.h"

static bool	  static_open(struct table *, struct buf *why);
static void	  static_close(struct table *);
static enum found static_get(struct table *, struct str, struct buf *);

const struct table_ops static_ops = {
	.suffix = "", .open = static_open, .close = static_close,
	.get = static_get,
};

/* "text" or "{ text }"; false with *why. */
static bool
text_of(const struct table *t, struct str *text, struct buf *why)
{
	size_t mark = why->n;

	*text = t->name;
	if (text->n == 0 || text->p[0] != '{')
		return true;
	buf_puts(why, "bad static:name syntax: ");
	if (!word_open(t->name, text, why))
		return false;
	why->n = mark;
	*text = blank_trim(*text);
	return true;
}

static bool
static_open(struct table *t, struct buf *why)
{
	struct buf decoded;
	struct str text;
	bool ok = text_of(t, &text, why);

	if (!ok)
		return false;
	buf_init(&decoded, TABLE_VALUE_MAX);
	if ((t->flags & TABLE_FILES) != 0) {
		ok = table_files_value(text, &decoded, why);
		text = buf_view(&decoded);
	}
	t->state = ok ? mem_copy(text) : NULL;
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
	buf_puts(value, t->state);
	return FOUND;
}
