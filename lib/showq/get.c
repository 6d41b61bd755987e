/*
 * get - read showq's listing. Hostile bytes: postqueue runs set-gid.
 */
#include "showq/showq.h"

void
showq_reader_init(struct showq_reader *r, bool (*more)(void *, struct buf *),
    void *ctx)
{
	*r = (struct showq_reader){ .more = more, .ctx = ctx };
	buf_init(&r->in, (size_t)1 << 30);
}

void
showq_reader_free(struct showq_reader *r)
{
	buf_free(&r->in);
}

/* The next NUL-ended text; good until the next call. */
static bool
get_text(struct showq_reader *r, struct str *text)
{
	size_t n;

	for (;;) {
		struct str view = str_from(buf_view(&r->in), r->at);

		n = str_chr(view, '\0');
		if (n < view.n) {
			*text = str_first(view, n);
			r->at += n + 1;
			return true;
		}
		if (view.n > SHOWQ_VALUE_MAX)
			return false;
		buf_drop(&r->in, r->at);
		r->at = 0;
		if (!r->more(r->ctx, &r->in))
			return false;
	}
}

/* name and its value, copied; it must be that name. */
static bool
get_value(struct showq_reader *r, const char *name, struct arena *a,
    struct str *value)
{
	struct str text;

	if (!get_text(r, &text) || !str_eq(text, str_of(name)) ||
	    !get_text(r, &text))
		return false;
	*value = arena_str(a, text);
	return true;
}

static bool
get_number(struct showq_reader *r, const char *name, int64_t *value)
{
	struct str text;
	uint64_t v;

	if (!get_text(r, &text) || !str_eq(text, str_of(name)) ||
	    !get_text(r, &text) || !str_number(text, &v) || v > INT64_MAX)
		return false;
	*value = (int64_t)v;
	return true;
}

/* Does a list go on? An empty name ends it. */
static enum showq_item
goes_on(struct showq_reader *r)
{
	struct str text;
	size_t n;

	if (!get_text(r, &text))
		return SHOWQ_BAD;
	n = text.n;
	if (n == 0)
		return SHOWQ_END;
	r->at -= n + 1;			/* seen, not taken */
	return SHOWQ_ITEM;
}

bool
showq_read_start(struct showq_reader *r)
{
	struct str text;

	return get_text(r, &text) && str_eq(text, STR("protocol")) &&
	    get_text(r, &text) &&
	    str_eq(text, STR("mail_queue_list_protocol")) &&
	    get_text(r, &text) && text.n == 0;
}

enum showq_item
showq_read_message(struct showq_reader *r, struct arena *a,
    struct showq_message *m)
{
	enum showq_item item = goes_on(r);
	int64_t expire;

	if (item != SHOWQ_ITEM)
		return item;
	if (!get_value(r, "queue_name", a, &m->queue_name) ||
	    !get_value(r, "queue_id", a, &m->queue_id) ||
	    !get_number(r, "time", &m->time_s) ||
	    !get_number(r, "size", &m->size) ||
	    !get_number(r, "forced_expire", &expire) ||
	    !get_value(r, "sender", a, &m->sender))
		return SHOWQ_BAD;
	m->forced_expire = expire != 0;
	return SHOWQ_ITEM;
}

enum showq_item
showq_read_rcpt(struct showq_reader *r, struct arena *a, struct showq_rcpt *p)
{
	enum showq_item item = goes_on(r);

	if (item != SHOWQ_ITEM)
		return item;
	if (!get_value(r, "recipient", a, &p->address) ||
	    !get_value(r, "reason", a, &p->reason))
		return SHOWQ_BAD;
	return SHOWQ_ITEM;
}
