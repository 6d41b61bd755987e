/*
 * content - the message on its way from the queue file to the wire.
 *
 * In the file the body stands before the header (lib/queue). What needs no
 * change goes out as it stands: a small message by one read and one write, a
 * large body by sendfile. Dots and long lines make a copy through the
 * stuffer. RFC 5321 4.5.2; RFC 3030 2.
 */
#include <unistd.h>

#include "smtp/smtp.h"

#define OUT_MAX	((size_t)32 << 20)	/* of a block, or of a header */

enum part { HEADER, BODY, DOT, ALL_OUT };

struct content_out {
	enum part	 part;
	uint64_t	 at, end;	/* in the file, of this part */
	bool		 bdat, stuffs;
	struct stuffer	 stuffer;
	struct buf	 buf;		/* what the stuffer made */
	struct convert	*convert;	/* NULL: nothing changes */
	struct buf	 made;		/* what convert made */
};

static void	pump(struct session *);

/* --- delay_dotcrlf: a PIX passes a dot only in a packet of its own --- */

static void
on_pause(void *ctx)
{
	struct session *s = ctx;

	s->dot_waited = true;
	pump(s);
}

static bool
delays_dot(const struct session *s)
{
	int64_t age_us = clock_wall_us() - (int64_t)s->d->msg.arrival_us;

	return (s->pix & PIX_DELAY_DOT) != 0 && age_us / 1000000 >=
	    s->smtp->conf.pix_workaround_threshold_time;
}

static bool
waits_for_dot(struct session *s)
{
	if (s->dot_waited || !delays_dot(s))
		return false;
	if (s->pause == NULL)
		s->pause = timer_new(s->smtp->loop, on_pause, s);
	timer_set(s->pause, s->smtp->conf.pix_workaround_delay_time * 1000);
	return true;
}

static bool
folds(const struct session *s)
{
	int64_t max = s->smtp->conf.line_length_limit;

	/* cleanup marks what RFC 5322 2.1.1 forbids; less is ours to find. */
	return max > 0 && (max < 998 ||
	    (s->d->msg.flags & DELIVER_LONG_LINES) != 0);
}

bool
content_is_small(const struct delivery *d)
{
	return d->msg.header_len + d->msg.body_len <= BLOCK_MAX &&
	    d->msg.body_off + d->msg.body_len == d->msg.header_off;
}

/* BDAT takes a message that needs no change: its size stands before it. */
bool
content_fits_bdat(const struct session *s)
{
	return !folds(s) && !convert_wanted(s);
}

static bool
read_block(struct session *s, uint64_t at, size_t n)
{
	return fd_pread_all(s->d->msg.queue_file, s->smtp->block, n,
	    (off_t)at) == (ssize_t)n;
}

bool
content_header_is_ascii(struct delivery *d)
{
	size_t n = d->msg.header_len < BLOCK_MAX ? d->msg.header_len :
	    BLOCK_MAX;

	if (fd_pread_all(d->msg.queue_file, d->smtp->block, n,
	    (off_t)d->msg.header_off) != (ssize_t)n)
		return true;		/* content_begin meets it again */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)d->smtp->block[i] & 0x80)
			return false;
	return true;
}

bool
content_header(struct delivery *d, struct buf *header)
{
	size_t n = (size_t)d->msg.header_len;
	char *p = buf_space(header, n);

	if (p == NULL || fd_pread_all(d->msg.queue_file, p, n,
	    (off_t)d->msg.header_off) != (ssize_t)n)
		return false;
	header->n += n;
	return true;
}

/* Our own fault, and the server has half a message: no dot for that. */
static void
unreadable(struct session *s)
{
	struct why why = why_printf(s->d, "4.3.0", "%s", s->out != NULL &&
	    s->out->convert != NULL && convert_failed(s->out->convert) ?
	    "table lookup problem" : "queue file read error");

	log_at(LL_WARN, s->d->msg.queue_id, STRF, STRV(why.text));
	s->handed = false;
	s->noted |= NOTE_DATA;
	session_refused(s, &why);
}

static bool
has_long_line(struct str text, int64_t max)
{
	while (text.n > (size_t)max) {
		size_t nl = str_chr(text, '\n');

		if (nl > (size_t)max + 1)
			return true;
		text = str_from(text, nl + 1);
	}
	return false;
}

/* A header begins no line with a dot, as a rule: it is looked at. */
static bool
header_is_plain(const struct session *s, struct str header)
{
	int64_t max = s->smtp->conf.line_length_limit;

	return header.n > 0 && header.p[0] != '.' &&
	    memmem(header.p, header.n, "\n.", 2) == NULL &&
	    (max <= 0 || !has_long_line(header, max));
}

/* All replies to content: one, or in LMTP one a recipient (RFC 2033 4.2). */
static void
await_end(struct session *s)
{
	if (!s->smtp->lmtp) {
		session_await(s, END, 0);
		return;
	}
	for (size_t i = 0; i < s->d->n; i++)
		if (s->d->rcpts[i].accepted &&
		    delivery_rcpt_left(&s->d->rcpts[i]))
			session_await(s, END, i);
}

static void
all_out(struct session *s)
{
	s->handed = true;
	content_free(s);
	session_flush(s);
	if (session_awaits(s))
		session_timer(s, s->await[s->await_at].state);
}

static void
begin_small(struct session *s, bool bdat)
{
	const struct msg_deliver *m = &s->d->msg;
	size_t hn = (size_t)m->header_len, bn = (size_t)m->body_len;
	struct str header = { s->smtp->block + bn, hn };
	struct str body = { s->smtp->block, bn };
	struct stuffer stuffer;
	struct buf out;

	if (!read_block(s, m->body_off, hn + bn)) {
		unreadable(s);
		return;
	}
	if (bdat || (!folds(s) && (m->flags & DELIVER_HAS_DOTS) == 0 &&
	    header_is_plain(s, header))) {
		stream_write(s->stream, header);
		stream_write(s->stream, body);
	} else {
		buf_init(&out, 4 * BLOCK_MAX);
		stuffer_init(&stuffer, true,
		    (size_t)s->smtp->conf.line_length_limit);
		stuffer_feed(&stuffer, header, &out);
		stuffer_feed(&stuffer, body, &out);
		stuffer_end(&stuffer, &out);
		stream_write(s->stream, buf_view(&out));
		buf_free(&out);
	}
	if (!bdat)
		stream_write(s->stream, STR(".\r\n"));
	all_out(s);
}

void
content_begin(struct session *s, bool bdat)
{
	const struct msg_deliver *m = &s->d->msg;
	struct content_out *o;

	if (bdat)
		session_say(s, "BDAT %llu LAST",
		    (unsigned long long)(m->header_len + m->body_len));
	await_end(s);
	if (content_is_small(s->d) && !delays_dot(s) && !convert_wanted(s)) {
		begin_small(s, bdat);
		return;
	}
	s->out = o = mem_new(sizeof(*o));
	o->bdat = bdat;
	o->part = HEADER;
	o->at = m->header_off;
	o->end = m->header_off + m->header_len;
	/* The header goes through the stuffer: it is small beside the body. */
	o->stuffs = !bdat;
	stuffer_init(&o->stuffer, true,
	    (size_t)s->smtp->conf.line_length_limit);
	buf_init(&o->buf, OUT_MAX);
	buf_init(&o->made, OUT_MAX);
	if (convert_wanted(s))
		o->convert = convert_new(s, &o->made);
	s->xfer_until_ms = clock_steady_ms() +
	    s->smtp->conf.data_xfer_timeout * 1000 + (int64_t)(m->header_len +
	    m->body_len) * 1000 / s->smtp->conf.min_data_rate;
	session_timer(s, CONTENT);
	pump(s);
}

void
content_free(struct session *s)
{
	if (s->out == NULL)
		return;
	convert_free(&s->out->convert);
	buf_free(&s->out->made);
	buf_free(&s->out->buf);
	mem_free(s->out);
	s->out = NULL;
}

/* A header that changes is taken whole. */
static bool
send_header(struct session *s)
{
	struct content_out *o = s->out;
	struct buf header;
	bool done;

	buf_init(&header, OUT_MAX);
	done = content_header(s->d, &header);
	if (done) {
		buf_clear(&o->made);
		convert_header(o->convert, buf_view(&header));
		done = !convert_failed(o->convert);
	}
	buf_free(&header);
	buf_clear(&o->buf);
	stuffer_feed(&o->stuffer, buf_view(&o->made), &o->buf);
	if (done)
		stream_write(s->stream, buf_view(&o->buf));
	o->at = o->end;
	return done;
}

/* A block of this part. False: it can't be read, or a table failed. */
static bool
send_block(struct session *s)
{
	struct content_out *o = s->out;
	size_t n = o->end - o->at < BLOCK_MAX ? (size_t)(o->end - o->at) :
	    BLOCK_MAX;
	struct str block = { s->smtp->block, n };

	if (o->convert != NULL && o->part == HEADER)
		return send_header(s);
	if (!read_block(s, o->at, n))
		return false;
	o->at += n;
	if (o->convert != NULL) {
		buf_clear(&o->made);
		convert_body(o->convert, block);
		block = buf_view(&o->made);
		if (convert_failed(o->convert))
			return false;
	}
	if (o->stuffs) {
		buf_clear(&o->buf);
		stuffer_feed(&o->stuffer, block, &o->buf);
		block = buf_view(&o->buf);
	}
	stream_write(s->stream, block);
	return true;
}

static void
begin_body(struct session *s)
{
	const struct msg_deliver *m = &s->d->msg;
	struct content_out *o = s->out;

	o->part = BODY;
	o->at = m->body_off;
	o->end = m->body_off + m->body_len;
	o->stuffs = !o->bdat && (folds(s) || o->convert != NULL ||
	    (m->flags & DELIVER_HAS_DOTS) != 0);
	if (!o->stuffs && stream_send_file(s->stream, m->queue_file,
	    (int64_t)o->at, o->end - o->at))
		o->at = o->end;
}

static void
end_body(struct session *s)
{
	struct content_out *o = s->out;

	o->part = o->bdat ? ALL_OUT : DOT;
	if (!o->stuffs)
		return;
	buf_clear(&o->buf);
	if (o->convert != NULL) {
		buf_clear(&o->made);
		convert_end(o->convert);
		stuffer_feed(&o->stuffer, buf_view(&o->made), &o->buf);
	}
	stuffer_end(&o->stuffer, &o->buf);
	stream_write(s->stream, buf_view(&o->buf));
}

/* smtp_per_request_deadline: all content must be out by then. */
static void
set_timer(struct session *s)
{
	int64_t left = s->xfer_until_ms - clock_steady_ms();

	session_timer(s, CONTENT);
	if (s->smtp->conf.per_request_deadline)
		stream_timeout(s->stream, left > 0 ? left : 1);
}

/* As much as the socket takes now; on_drained comes back. */
static void
pump(struct session *s)
{
	struct content_out *o = s->out;

	while (o->part != ALL_OUT) {
		if (o->part == DOT) {
			if (waits_for_dot(s))
				return;
			stream_write(s->stream, STR(".\r\n"));
			o->part = ALL_OUT;
			break;
		}
		if (o->at < o->end && !send_block(s)) {
			unreadable(s);
			return;
		}
		stream_cork(s->stream, false);
		if (stream_unsent(s->stream) > 0) {
			set_timer(s);
			return;
		}
		if (o->at < o->end)
			continue;
		if (o->part == HEADER)
			begin_body(s);
		else
			end_body(s);
	}
	all_out(s);
}

void
content_drained(struct session *s)
{
	if (s->out != NULL && (s->pause == NULL || !timer_is_set(s->pause)))
		pump(s);
}
