/*
 * request - requests of qmgr, and the log line of each recipient.
 */
#include "address/address.h"
#include "request/request.h"
#include "sys/sys.h"

#define RCPTS_MAX	10000	/* of one request */
#define LINE_MAX_BYTES	8192

static void	first_message(void *, struct talk *, enum msg, const void *);
static void	first_gone(void *, struct talk *, const char *);

static const struct talk_ops first_ops = { first_message, first_gone };

void
request_await(struct requests *r, struct talk *talk)
{
	talk_set(talk, &first_ops, r);
}

static void
first_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	const struct requests *r = ctx;
	const struct msg_deliver *m = msg;

	if (id == MSG_deliver && m->rcpt_count > 0 &&
	    m->rcpt_count <= RCPTS_MAX && m->queue_file >= 0) {
		r->begin(r->ctx, talk, m);
		return;
	}
	log_warn("bad delivery request from the queue manager");
	if (id == MSG_deliver) {
		int fd = m->queue_file;

		fd_close(&fd);
	}
	talk_close(&talk);
}

/* Nothing had begun. */
static void
first_gone(void *ctx, struct talk *talk, const char *why)
{
	(void)ctx;
	(void)talk;
	(void)why;
}

/* --- results --- */

void
request_filter(struct tables *filter, const struct msg_deliver *m,
    struct arena *arena, struct rcpt_outcome *o)
{
	struct buf key, value;
	struct str got;
	size_t n;

	if (tables_empty(filter))
		return;
	buf_init(&key, LINE_MAX_BYTES);
	buf_init(&value, LINE_MAX_BYTES);
	buf_printf(&key, STRF " " STRF, STRV(o->dsn), STRV(o->text));
	switch (tables_get(filter, buf_view(&key), &value)) {
	case FOUND:
		got = str_trim(buf_view(&value));
		n = dsn_status_length(got);
		if (n == 0 || (got.p[0] == '2') != (o->dsn.p[0] == '2')) {
			log_at(LL_WARN, m->queue_id, "delivery status filter: "
			    "bad result: " STRF, STRV(got));
			break;
		}
		o->dsn = arena_str(arena, str_first(got, n));
		o->text = arena_str(arena, str_first(
		    str_trim(str_from(got, n)), REQUEST_TEXT_MAX));
		if (o->dsn.p[0] != '2')
			o->status = o->dsn.p[0] == '4' ? DEFERRED : BOUNCED;
		break;
	case NONE:
		break;
	case RETRY:
		log_at(LL_WARN, m->queue_id, "delivery status filter: %s",
		    tables_error(filter));
		break;
	}
	buf_free(&key);
	buf_free(&value);
}

static const char *
status_word(bool verify, enum delivery_status status, bool soft)
{
	switch (status) {
	case SENT:
	case EXPANDED:
		return verify ? "deliverable" : "sent";
	case DEFERRED:
		return verify ? "undeliverable" : "deferred";
	case BOUNCED:
		return verify ? "undeliverable" : soft ? "SOFTBOUNCE" :
		    "bounced";
	}
	return "deferred";
}

void
request_log(const struct msg_deliver *m, const struct rcpt_outcome *o,
    const struct rcpt_line *l)
{
	struct dsn_delays delays = l->delays;
	struct buf line;

	delays.arrival_us = (int64_t)m->arrival_us;
	delays.active_us = (int64_t)m->active_us;
	delays.done_us = clock_wall_us();
	buf_init(&line, LINE_MAX_BYTES);
	buf_puts(&line, "to=<");
	address_quote_822(l->address, &line);
	if (l->original.n > 0 && !str_eq_nocase(l->original, l->address)) {
		buf_puts(&line, ">, orig_to=<");
		address_quote_822(l->original, &line);
	}
	buf_printf(&line, ">, relay=" STRF, STRV(l->relay));
	if (l->conn_use > 0)
		buf_printf(&line, ", conn_use=%u", l->conn_use);
	buf_puts(&line, ", ");
	dsn_print_delays(&line, &delays);
	if (l->tls.n > 0)
		buf_printf(&line, ", tls=" STRF, STRV(l->tls));
	buf_printf(&line, ", dsn=" STRF ", status=%s (" STRF ")", STRV(o->dsn),
	    status_word((m->flags & DELIVER_VERIFY) != 0, o->status, l->soft),
	    STRV(str_first(o->text, REQUEST_TEXT_MAX)));
	log_mail(m->queue_id, "%s", buf_cstr(&line));
	buf_free(&line);
}
