/*
 * convert - content that must change on its way out.
 *
 * smtp_generic_maps in address fields, smtp_header_checks and its kin, and
 * 8-bit MIME as quoted-printable for a server without 8BITMIME (RFC 6152 3).
 * The message passes once through lib/mime's walk. What is signed (RFC 1847
 * 2.1) is never changed: such a message is not for such a server. Tables were
 * opened before the sandbox.
 */
#include "address/address.h"
#include "mime/mime.h"
#include "rewrite/rewrite.h"
#include "smtp/smtp.h"

#define HEADER_MAX	((size_t)16 << 20)
#define FIELD_MAX	((size_t)1 << 20)
#define SHOWN_MAX	200		/* bytes of a field in the log */

struct convert {
	struct delivery	 *d;
	struct mime_walk *walk;
	struct arena	 *arena;	/* of a field or line */
	struct buf	 *out;		/* converted, not stuffed */
	struct buf	  field;
	struct mime_qp	  qp;
	bool		  downgrade, look;	/* look: change nothing */
	bool		  is_signed, has_8bit;	/* found by a look */
	bool		  failed;	/* a table said RETRY */
};

static void	on_field(void *, enum mime_place, struct str field);
static void	on_header_end(void *, bool empty);
static void	on_line(void *, struct str, bool begins, uint64_t at);

static const struct mime_walk_ops walk_ops = { .field = on_field,
	.header_end = on_header_end, .line = on_line };

/* --- what is wanted --- */

static bool
wants_checks(const struct smtp *s)
{
	for (int p = MIME_PRIMARY; p <= MIME_BODY; p++)
		if (checks_wanted(s->checks, (enum mime_place)p))
			return true;
	return false;
}

static bool
wants_downgrade(const struct session *s)
{
	return (s->d->msg.flags & DELIVER_8BIT) != 0 &&
	    (s->offer.features & OFFER_8BITMIME) == 0 &&
	    !s->smtp->conf.disable_mime_output_conversion;
}

bool
convert_wanted(const struct session *s)
{
	return !tables_empty(s->smtp->generic) || wants_checks(s->smtp) ||
	    wants_downgrade(s);
}

enum found
convert_address(struct smtp *s, struct arena *arena, struct str *address)
{
	struct str ext = STR(""), local, value;
	enum found found;
	struct buf got;

	if (tables_empty(s->generic) || address->n == 0)
		return NONE;
	buf_init(&got, TABLE_VALUE_MAX);
	found = tables_find_address(s->generic, &s->find, FIND_DEFAULT,
	    *address, &got, &ext);
	if (found == RETRY)
		log_warn("%s: lookup " STRF ": %s", s->lmtp ?
		    "lmtp_generic_maps" : "smtp_generic_maps", STRV(*address),
		    tables_error(s->generic));
	value = str_trim(buf_view(&got));
	if (found == FOUND && value.n > 0 && value.p[0] == '@') {
		local = address_local(*address);
		*address = str_of(arena_printf(arena, STRF STRF,
		    STRV(local), STRV(value)));
	} else if (found == FOUND) {
		size_t at = str_rchr(value, '@');

		*address = str_of(arena_printf(arena, STRF STRF STRF STRF,
		    STRV(str_first(value, at)),
		    STRV(s->generic_ext && ext.n > 0 ?
		    str_first(s->find.delimiter, 1) : STR("")),
		    STRV(s->generic_ext ? ext : STR("")),
		    STRV(str_from(value, at))));
	}
	buf_free(&got);
	return found;
}

/* --- the walk --- */

struct convert *
convert_new(struct session *s, struct buf *out)
{
	static const struct mime_walk_conf conf = { .header_max = 102400,
		.boundary_max = 2048, .line_max = 2048, .nesting_max = 100 };
	struct convert *c = mem_new(sizeof(*c));

	c->d = s->d;
	c->out = out;
	c->downgrade = wants_downgrade(s);
	buf_init(&c->field, FIELD_MAX);
	c->walk = mime_walk_new(&conf, &walk_ops, c);
	return c;
}

void
convert_free(struct convert **cp)
{
	struct convert *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	mime_walk_free(&c->walk);
	buf_free(&c->field);
	mem_free(c);
}

static void
map_address(void *ctx, struct str *address)
{
	struct convert *c = ctx;

	if (convert_address(c->d->smtp, c->arena, address) == RETRY)
		c->failed = true;
}

/* generic(5): addresses of a field, where they stand. */
static void
put_mapped(struct convert *c, struct str field)
{
	static const struct rewrite none = { .origin = { "", 0 } };
	const struct header_map map = { map_address, c, c->arena };
	struct smtp *s = c->d->smtp;
	size_t colon = str_chr(field, ':');
	enum mime_header id = mime_header_find(str_first(field,
	    mime_field_name(field)));
	bool has_addresses = id != MH__OTHER &&
	    (mime_headers[id].flags & (HF_SENDER | HF_RCPT)) != 0;

	buf_clear(&c->field);
	if (!has_addresses || tables_empty(s->generic) ||
	    !rewrite_header(&none, str_from(field, colon + 1), 10240, &map,
	    &c->field)) {
		buf_str(c->out, field);
	} else {
		buf_str(c->out, str_first(field, colon + 1));
		buf_str(c->out, buf_view(&c->field));
	}
	buf_puts(c->out, "\r\n");
}

static bool
names_8bit(struct str field)
{
	struct str value = str_from(field, str_chr(field, ':') + 1);

	mime_skip_cfws(&value);
	return str_starts_nocase(value, STR("8bit")) ||
	    str_starts_nocase(value, STR("binary"));
}

/* What a table has to say. False: the text is dropped. */
static bool
check(struct convert *c, enum mime_place place, struct str *text)
{
	struct smtp *s = c->d->smtp;
	const char *what = place == MIME_BODY ? "body" : "header";
	struct check_verdict v;

	switch (checks_ask(s->checks, place, *text, &v)) {
	case NONE:
		return true;
	case RETRY:
		log_at(LL_WARN, c->d->msg.queue_id, "%s",
		    checks_error(s->checks));
		c->failed = true;
		return true;
	case FOUND:
		break;
	}
	if (v.log[0] != '\0' && v.action != CHECK_IGNORE)
		log_mail(c->d->msg.queue_id, "%s: %s " STRF "%s" STRF, v.log,
		    what, STRV(str_first(*text, SHOWN_MAX)),
		    v.text.n > 0 ? ": " : "", STRV(v.text));
	if (v.action == CHECK_PREPEND) {
		buf_str(c->out, v.text);
		buf_puts(c->out, "\r\n");
	} else if (v.action == CHECK_REPLACE)
		*text = arena_str(c->arena, v.text);
	return v.action != CHECK_IGNORE && v.action != CHECK_STRIP;
}

static void
on_field(void *ctx, enum mime_place place, struct str field)
{
	struct convert *c = ctx;
	enum mime_header id = mime_header_find(str_first(field,
	    mime_field_name(field)));

	if (c->look && id == MH_CONTENT_TYPE) {
		struct str value = str_from(field, str_chr(field, ':') + 1);

		mime_skip_cfws(&value);
		c->is_signed |= str_starts_nocase(value,
		    STR("multipart/signed"));
	}
	if (c->look)
		return;
	c->arena = arena_new(SIZE_MAX / 2);	/* the message bounds it */
	/* Of a downgraded part on_header_end has another encoding. */
	if (check(c, place, &field) && !(c->downgrade &&
	    id == MH_CONTENT_TRANSFER_ENCODING && names_8bit(field)))
		put_mapped(c, field);
	arena_free(&c->arena);
}

static bool
is_container(const struct convert *c)
{
	enum mime_kind k = mime_walk_kind(c->walk);

	return k != MIME_TEXT && k != MIME_OTHER;
}

static bool
is_8bit(const struct convert *c)
{
	return c->downgrade && mime_walk_domain(c->walk) != MIME_7BIT;
}

static void
on_header_end(void *ctx, bool empty)
{
	struct convert *c = ctx;

	c->has_8bit |= mime_walk_domain(c->walk) != MIME_7BIT;
	c->qp.column = 0;
	if (c->look)
		return;
	if (is_8bit(c))
		buf_printf(c->out, "Content-Transfer-Encoding: %s\r\n",
		    is_container(c) ? "7bit" : "quoted-printable");
	if (empty)
		buf_puts(c->out, "\r\n");
}

/* A line, or a piece of one: without its line end, which comes with ends. */
static void
put_line(struct convert *c, struct str line, bool ends)
{
	if (is_8bit(c) && !is_container(c)) {
		mime_qp_encode(&c->qp, line, ends, c->out);
		return;
	}
	buf_str(c->out, line);
	if (ends)
		buf_puts(c->out, "\r\n");
}

static void
on_line(void *ctx, struct str line, bool begins, uint64_t at)
{
	struct convert *c = ctx;
	bool ends = line.n > 0 && line.p[line.n - 1] == '\n';

	(void)at;
	if (c->look)
		return;
	if (ends)
		line.n -= line.n > 1 && line.p[line.n - 2] == '\r' ? 2 : 1;
	if (begins && ends && checks_wanted(c->d->smtp->checks, MIME_BODY)) {
		c->arena = arena_new(SIZE_MAX / 2);
		if (check(c, MIME_BODY, &line))
			put_line(c, line, ends);
		arena_free(&c->arena);
	} else
		put_line(c, line, ends);
}
/* The primary header, with its empty line. */
void
convert_header(struct convert *c, struct str header)
{
	struct mime_field f;
	struct str field;

	while (mime_field_next(&header, &f)) {
		field = f.whole;
		while (field.n > 0 && (field.p[field.n - 1] == '\n' ||
		    field.p[field.n - 1] == '\r'))
			field.n--;
		mime_walk_field(c->walk, field);
		on_field(c, MIME_PRIMARY, field);
	}
	mime_walk_header_end(c->walk);
	on_header_end(c, true);
}

void
convert_body(struct convert *c, struct str bytes)
{
	mime_walk_body(c->walk, bytes);
}

void
convert_end(struct convert *c)
{
	mime_walk_end(c->walk);
}

bool
convert_failed(const struct convert *c)
{
	return c->failed || c->out->full || c->field.full;
}

/* --- a look beforehand --- */

static bool
look(struct convert *c)
{
	const struct msg_deliver *m = &c->d->msg;
	struct smtp *s = c->d->smtp;
	struct buf header;
	uint64_t at = m->body_off, end = at + m->body_len;
	bool done = false;

	buf_init(&header, HEADER_MAX);
	if (content_header(c->d, &header)) {
		convert_header(c, buf_view(&header));
		done = true;
	}
	while (done && at < end) {
		size_t n = end - at < BLOCK_MAX ? (size_t)(end - at) :
		    BLOCK_MAX;

		done = fd_pread_all(m->queue_file, s->block, n, (off_t)at) ==
		    (ssize_t)n;
		if (done)
			convert_body(c, (struct str){ s->block, n });
		at += n;
	}
	buf_free(&header);
	return done;
}

bool
convert_breaks_signature(struct session *s)
{
	struct convert *c;
	struct buf none;
	bool breaks;

	if (!wants_downgrade(s))
		return false;
	buf_init(&none, 1);
	c = convert_new(s, &none);
	c->look = true;
	breaks = look(c) && c->is_signed && c->has_8bit;
	convert_free(&c);
	buf_free(&none);
	return breaks;
}
