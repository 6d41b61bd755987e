/*
 * maildrop - frames of the submission stream: written, read and checked.
 *
 * The format stands in maildrop.h. The reader is fed by any cut of the
 * bytes; it accepts exactly what the writer can write.
 */
#include <stdio.h>

#include "maildrop/maildrop.h"
#include "sys/sys.h"

static const char magic[8] = { 'P', 'S', 'T', 'R', 'N', 'M', 'D', '1' };

enum { STAGE_MAGIC, STAGE_SENDER, STAGE_ATTRS, STAGE_RCPTS, STAGE_CONTENT,
	STAGE_END };

static const char *const maildrop_attrs[] = {
	"full_name", "encoding", "dsn_envid", "dsn_ret", "rewrite", "trace",
	"extract", "smtputf8", "verp",
};

bool
maildrop_attr_known(struct str name)
{
	for (size_t i = 0; i < nitems(maildrop_attrs); i++)
		if (str_eq(name, str_of(maildrop_attrs[i])))
			return true;
	return false;
}

bool
maildrop_text_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return s.n <= MAILDROP_VALUE_MAX;
}

static void
put_number(char *p, uint64_t v, size_t width)
{
	for (size_t i = width; i-- > 0; v >>= 8)
		p[i] = (char)(v & 0xff);
}

static uint64_t
get_number(const char *p, size_t width)
{
	uint64_t v = 0;

	for (size_t i = 0; i < width; i++)
		v = v << 8 | (uint8_t)p[i];
	return v;
}

/* head: type and length, 6 bytes. */
static uint32_t
frame_crc(const char *head, struct str front, struct str rest)
{
	uint32_t crc = crc32c(0, head, 6);

	crc = crc32c(crc, front.p, front.n);
	return crc32c(crc, rest.p, rest.n);
}

static void
put_frame(struct maildrop_writer *w, enum maildrop_type type, struct str front,
    struct str rest)
{
	char head[MAILDROP_HEAD];

	assert(front.n + rest.n <= MAILDROP_FRAME_MAX);
	put_number(head, type, 2);
	put_number(head + 2, front.n + rest.n, 4);
	put_number(head + 6, frame_crc(head, front, rest), 4);
	if (type != MD_COMMIT)
		w->crc = crc32c(w->crc, head + 6, 4);
	buf_add(w->out, head, sizeof(head));
	buf_str(w->out, front);
	buf_str(w->out, rest);
}

void
maildrop_begin(struct maildrop_writer *w, struct buf *out)
{
	*w = (struct maildrop_writer){ .out = out };
	buf_add(out, magic, sizeof(magic));
}

void
maildrop_put(struct maildrop_writer *w, enum maildrop_type type, struct str s)
{
	struct str piece;

	assert(type == MD_SENDER || type == MD_CONTENT);
	if (type == MD_SENDER) {
		put_frame(w, type, s, STR(""));
		return;
	}
	for (; s.n > 0; s = str_from(s, piece.n)) {
		piece = str_first(s, MAILDROP_FRAME_MAX);
		put_frame(w, type, piece, STR(""));
		w->content += piece.n;
	}
}

void
maildrop_put_rcpt(struct maildrop_writer *w, struct str address,
    uint32_t notify)
{
	char bits[4];

	put_number(bits, notify, sizeof(bits));
	put_frame(w, MD_RCPT, (struct str){ bits, sizeof(bits) }, address);
	w->rcpts++;
}

void
maildrop_put_attr(struct maildrop_writer *w, const char *name,
    struct str value)
{
	char front[64];
	int n = snprintf(front, sizeof(front), "%s=", name);

	assert(n > 0 && (size_t)n < sizeof(front));
	put_frame(w, MD_ATTR, (struct str){ front, (size_t)n }, value);
}

void
maildrop_commit(struct maildrop_writer *w)
{
	char sums[16];

	put_number(sums, w->content, 8);
	put_number(sums + 8, w->rcpts, 4);
	put_number(sums + 12, w->crc, 4);
	put_frame(w, MD_COMMIT, (struct str){ sums, sizeof(sums) }, STR(""));
}

static enum maildrop_result
bad(struct maildrop_reader *r, const char *why)
{
	r->why = why;
	return MAILDROP_BAD;
}

static enum maildrop_result
read_rcpt(struct maildrop_reader *r, struct str body, struct maildrop_frame *f)
{
	if (body.n < 4)
		return bad(r, "short recipient record");
	f->notify = (uint32_t)get_number(body.p, 4);
	f->text = str_from(body, 4);
	if (!maildrop_text_ok(f->text))
		return bad(r, "recipient record with a control byte, or long");
	if (f->notify > 15)
		return bad(r, "recipient record with unknown flags");
	if (++r->rcpts > MAILDROP_RCPTS_MAX)
		return bad(r, "too many recipients");
	return MAILDROP_FRAME;
}

static enum maildrop_result
read_attr(struct maildrop_reader *r, struct str body, struct maildrop_frame *f)
{
	size_t eq = str_chr(body, '=');

	f->name = str_first(body, eq);
	f->text = str_from(body, eq + 1);
	if (eq == body.n || !maildrop_attr_known(f->name))
		return bad(r, "unknown attribute record");
	if (!maildrop_text_ok(f->text))
		return bad(r, "attribute record with a control byte, or long");
	return MAILDROP_FRAME;
}

static enum maildrop_result
read_commit(struct maildrop_reader *r, struct str body)
{
	if (body.n != 16 || get_number(body.p, 8) != r->content ||
	    get_number(body.p + 8, 4) != r->rcpts ||
	    get_number(body.p + 12, 4) != r->crc)
		return bad(r, "sums of the last record do not agree");
	r->stage = STAGE_END;
	return MAILDROP_END;
}

/* Sense of a frame whose bytes are whole. */
static enum maildrop_result
read_body(struct maildrop_reader *r, struct str body, struct maildrop_frame *f)
{
	f->text = body;
	if (r->stage == STAGE_SENDER) {
		r->stage = STAGE_ATTRS;
		if (f->type != MD_SENDER || !maildrop_text_ok(body))
			return bad(r, "no good sender record");
		return MAILDROP_FRAME;
	}
	switch (f->type) {
	case MD_SENDER:
		return bad(r, "second sender record");
	case MD_ATTR:
		if (r->stage != STAGE_ATTRS)
			return bad(r, "attribute record out of place");
		return read_attr(r, body, f);
	case MD_RCPT:
		if (r->stage > STAGE_RCPTS)
			return bad(r, "recipient record after content");
		r->stage = STAGE_RCPTS;
		return read_rcpt(r, body, f);
	case MD_CONTENT:
		r->stage = STAGE_CONTENT;
		r->content += body.n;
		return body.n > 0 ? MAILDROP_FRAME :
		    bad(r, "empty content record");
	case MD_COMMIT:
		return read_commit(r, body);
	}
	return bad(r, "unknown record type");
}

enum maildrop_result
maildrop_read(struct maildrop_reader *r, struct str *in,
    struct maildrop_frame *f)
{
	enum maildrop_result result;
	struct str body;
	uint64_t length;

	*f = (struct maildrop_frame){ .text = STR(""), .name = STR("") };
	if (r->stage == STAGE_END)
		return in->n == 0 ? MAILDROP_END :
		    bad(r, "bytes after the end");
	if (r->stage == STAGE_MAGIC) {
		if (in->n < sizeof(magic))
			return MAILDROP_MORE;
		if (memcmp(in->p, magic, sizeof(magic)) != 0)
			return bad(r, "not a submission");
		*in = str_from(*in, sizeof(magic));
		r->stage = STAGE_SENDER;
	}
	if (in->n < MAILDROP_HEAD)
		return MAILDROP_MORE;
	f->type = (enum maildrop_type)get_number(in->p, 2);
	length = get_number(in->p + 2, 4);
	if (length > MAILDROP_FRAME_MAX)
		return bad(r, "record too long");
	if (in->n - MAILDROP_HEAD < length)
		return MAILDROP_MORE;
	body = str_first(str_from(*in, MAILDROP_HEAD), (size_t)length);
	if (get_number(in->p + 6, 4) != frame_crc(in->p, body, STR("")))
		return bad(r, "damaged record");
	if (f->type != MD_COMMIT)
		r->crc = crc32c(r->crc, in->p + 6, 4);
	result = read_body(r, body, f);
	*in = str_from(*in, MAILDROP_HEAD + (size_t)length);
	return result;
}

void
maildrop_name(char name[MAILDROP_NAME_MAX])
{
	int64_t now = clock_wall_us();
	uint32_t secret;

	random_bytes(&secret, sizeof(secret));
	snprintf(name, MAILDROP_NAME_MAX, "%05X%06X%06X",
	    (unsigned)(now % 1000000), (unsigned)(now / 1000000 & 0xffffff),
	    (unsigned)(secret & 0xffffff));
}
