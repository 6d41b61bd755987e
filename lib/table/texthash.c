/*
 * texthash - a text file in postmap(1)'s source format, read into memory.
 */
#include "sys/sys.h"
#include "table/internal.h"

#define LINE_MAX_BYTES	(TABLE_VALUE_MAX + 8192)

struct texthash {
	struct map  *entries;	/* of struct entry */
	struct list  order;
};
struct entry {
	struct list link;
	struct str  key, value;	/* in text */
	char	    text[];
};

static bool	  texthash_open(struct table *, struct buf *why);
static void	  texthash_close(struct table *);
static enum found texthash_get(struct table *, struct str, struct buf *);
static enum found texthash_each(struct table *, table_each_fn *, void *ctx);
static void	  load(struct table *, struct texthash *, struct str text);
static bool	  add(struct texthash *, struct str key, struct str value);

const struct table_ops texthash_ops = {
	.suffix = "", .open = texthash_open, .close = texthash_close,
	.get = texthash_get, .each = texthash_each,
};

static bool
texthash_open(struct table *t, struct buf *why)
{
	struct texthash *h;
	struct buf text;

	buf_init(&text, TABLE_TEXT_MAX);
	if (!table_file_read(t, &text, why)) {
		buf_free(&text);
		return false;
	}
	h = mem_new(sizeof(*h));
	h->entries = map_new();
	list_init(&h->order);
	load(t, h, buf_view(&text));
	buf_free(&text);
	t->state = h;
	return true;
}

static void
texthash_close(struct table *t)
{
	struct texthash *h = t->state;

	list_each(l, &h->order)
		mem_free(container_of(l, struct entry, link));
	map_free(&h->entries);
	mem_free(h);
}

static enum found
texthash_get(struct table *t, struct str key, struct buf *value)
{
	struct texthash *h = t->state;
	struct entry *e = map_get(h->entries, key);

	if (e == NULL)
		return NONE;
	buf_str(value, e->value);
	return FOUND;
}

static enum found
texthash_each(struct table *t, table_each_fn *fn, void *ctx)
{
	struct texthash *h = t->state;

	list_each(l, &h->order) {
		struct entry *e = container_of(l, struct entry, link);

		if (!fn(ctx, e->key, e->value))
			break;
	}
	return FOUND;
}

static void
load(struct table *t, struct texthash *h, struct str text)
{
	struct str key, value;
	struct buf line, folded, decoded;
	int next = 1, at = 1;

	buf_init(&decoded, TABLE_VALUE_MAX);
	buf_init(&line, LINE_MAX_BYTES);
	buf_init(&folded, LINE_MAX_BYTES * TABLE_FOLD_GROWTH);
	while (table_next_line(&text, &next, &at, &line)) {
		const char *wrong = line.full ? "line too long" :
		    table_line_split(buf_view(&line), &key, &value);

		if (wrong == NULL && !utf8_valid(buf_view(&line)))
			wrong = "non-UTF-8 input";
		line.full = false;
		if (wrong != NULL) {
			table_line_warn(t->file.path, at, buf_view(&line),
			    wrong);
			continue;
		}
		if (key.p[key.n - 1] == ':')
			log_warn("%s, line %d: record is in \"key: value\" "
			    "format; is this an alias file?", t->file.path,
			    at);
		buf_clear(&folded);
		if ((t->flags & TABLE_FOLD) != 0) {
			table_fold(key, &folded);
			key = buf_view(&folded);
		}
		if (!table_value(t, t->file.path, at, &value, &decoded))
			continue;
		if (!add(h, key, value))
			log_warn("%s, line %d: duplicate entry: \"" STRF
			    "\"", t->file.path, at, STRV(key));
	}
	buf_free(&line);
	buf_free(&folded);
	buf_free(&decoded);
}

static bool
add(struct texthash *h, struct str key, struct str value)
{
	struct entry *e;

	if (map_get(h->entries, key) != NULL)
		return false;
	e = mem_new(sizeof(*e) + key.n + value.n);
	memcpy(e->text, key.p, key.n);
	memcpy(e->text + key.n, value.p, value.n);
	e->key = (struct str){ e->text, key.n };
	e->value = (struct str){ e->text + key.n, value.n };
	map_set(h->entries, e->key, e);
	list_append(&h->order, &e->link);
	return true;
}
