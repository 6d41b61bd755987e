/*
 * delivery - requests of qmgr: recipients come in, results and log lines go
 * out. The log line is Postfix's log_adhoc(), byte for byte.
 */
#include "address/address.h"
#include "smtp/smtp.h"

#define RCPTS_MAX	10000	/* of one request */
#define TEXT_MAX	2000	/* bytes of a result's text */

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops delivery_ops = { on_message, on_gone };

/* Before its deliver message a talk has no delivery; the process is its ctx. */
static void	first_message(void *, struct talk *, enum msg, const void *);
static void	first_gone(void *, struct talk *, const char *);

static const struct talk_ops first_ops = { first_message, first_gone };

void
delivery_on_talk(struct smtp *s, struct talk *talk)
{
	talk_set(talk, &first_ops, s);
}

static void
delivery_new(struct smtp *s, struct talk *talk, const struct msg_deliver *m)
{
	struct delivery *d = mem_new(sizeof(*d));
	struct str *const texts[] = { &d->msg.queue_id, &d->msg.sender,
		&d->msg.nexthop, &d->msg.dsn_envid, &d->msg.client_name,
		&d->msg.client_addr, &d->msg.helo, &d->msg.protocol,
		&d->msg.sasl_method, &d->msg.sasl_user, &d->msg.encoding };

	d->smtp = s;
	d->talk = talk;
	d->arena = arena_new(SIZE_MAX / 2);	/* packets bound it */
	d->msg = *m;
	for (size_t i = 0; i < nitems(texts); i++)
		*texts[i] = arena_str(d->arena, *texts[i]);
	d->rcpts = arena_alloc(d->arena, (size_t)m->rcpt_count *
	    sizeof(*d->rcpts));
	d->start_us = clock_wall_us();
	list_append(&s->deliveries, &d->link);
	talk_set(talk, &delivery_ops, d);
}

static void
first_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	const struct msg_deliver *m = msg;

	if (id != MSG_deliver || m->rcpt_count == 0 ||
	    m->rcpt_count > RCPTS_MAX || m->queue_file < 0) {
		int fd = id == MSG_deliver ? m->queue_file : -1;

		log_warn("bad delivery request from the queue manager");
		fd_close(&fd);
		talk_close(&talk);
		return;
	}
	delivery_new(ctx, talk, m);
}

static void
first_gone(void *ctx, struct talk *talk, const char *why)
{
	(void)ctx;
	(void)talk;
	(void)why;
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct delivery *d = ctx;
	const struct msg_deliver_rcpt *m = msg;
	struct recipient *r;

	(void)talk;
	if (id != MSG_deliver_rcpt || d->n >= d->msg.rcpt_count) {
		log_at(LL_WARN, d->msg.queue_id,
		    "unexpected message from the queue manager");
		return;
	}
	r = &d->rcpts[d->n++];
	r->index = m->index;
	r->address = arena_str(d->arena, m->address);
	r->original = arena_str(d->arena, m->original);
	r->dsn_orcpt = arena_str(d->arena, m->dsn_orcpt);
	r->dsn_notify = m->dsn_notify;
	d->nopen++;
	if (d->n == d->msg.rcpt_count)
		route_begin(d);
}

/* qmgr died: what is not yet handed over is better not sent twice. */
static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct delivery *d = ctx;

	(void)talk;
	(void)why;
	d->talk = NULL;
	if (d->session == NULL || !d->session->handed)
		delivery_abort(d);
}

static void
delivery_free(struct delivery *d)
{
	route_free(d);
	fd_close(&d->msg.queue_file);
	list_remove(&d->link);
	arena_free(&d->arena);
	mem_free(d);
}

void
delivery_abort(struct delivery *d)
{
	struct session *s = d->session;

	d->session = NULL;
	if (s != NULL) {
		s->d = NULL;
		session_close(s);
	}
	talk_close(&d->talk);
	delivery_free(d);
}

void
delivery_end(struct delivery *d)
{
	assert(d->nopen == 0 && d->session == NULL);
	if (d->talk != NULL)
		talk_send(d->talk, MSG_deliver_done,
		    &(struct msg_deliver_done){ .reason = d->throttle });
	delivery_free(d);
}

bool
delivery_rcpt_left(const struct recipient *r)
{
	return r->mark == RCPT_LEFT;
}

size_t
delivery_left(const struct delivery *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->rcpts[i].mark == RCPT_LEFT;
	return n;
}

size_t
delivery_take_kept(struct delivery *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		struct recipient *r = &d->rcpts[i];

		r->accepted = false;
		if (r->mark == RCPT_KEPT)
			r->mark = RCPT_LEFT;
		n += r->mark == RCPT_LEFT;
	}
	return n;
}

/* --- results --- */

static const char *
status_word(const struct delivery *d, enum delivery_status status)
{
	bool verify = (d->msg.flags & DELIVER_VERIFY) != 0;

	switch (status) {
	case SENT:
	case EXPANDED:
		return verify ? "deliverable" : "sent";
	case DEFERRED:
		return verify ? "undeliverable" : "deferred";
	case BOUNCED:
		return verify ? "undeliverable" : d->smtp->soft_bounce ?
		    "SOFTBOUNCE" : "bounced";
	}
	return "deferred";
}

static void
log_result(const struct delivery *d, const struct recipient *r,
    enum delivery_status status, const struct why *why)
{
	struct buf *line = &d->smtp->line;

	buf_clear(line);
	buf_puts(line, "to=<");
	address_quote_822(r->address, line);
	if (r->original.n > 0 && !str_eq_nocase(r->original, r->address)) {
		buf_puts(line, ">, orig_to=<");
		address_quote_822(r->original, line);
	}
	buf_puts(line, ">, relay=");
	buf_str(line, d->session != NULL ? d->session->relay : STR("none"));
	if (d->session != NULL && d->session->uses > 0)
		buf_printf(line, ", conn_use=%u", d->session->uses + 1);
	buf_puts(line, ", ");
	dsn_print_delays(line, &(struct dsn_delays){
	    .arrival_us = (int64_t)d->msg.arrival_us,
	    .active_us = (int64_t)d->msg.active_us,
	    .start_us = d->start_us, .connected_us = d->connected_us,
	    .done_us = clock_wall_us(), .decimals = d->smtp->delay_decimals });
	buf_printf(line, ", dsn=" STRF ", status=%s (" STRF ")",
	    STRV(why->dsn), status_word(d, status),
	    STRV(str_first(why->text, TEXT_MAX)));
	log_mail(d->msg.queue_id, "%s", buf_cstr(line));
}

/* "smtp; 550 ..." and "dns; mx.example" of a report (RFC 3464 2.3). */
static struct str
typed(struct delivery *d, const char *type, struct str text)
{
	if (text.n == 0)
		return STR("");
	return str_of(arena_printf(d->arena, "%s; " STRF, type,
	    STRV(str_first(text, TEXT_MAX))));
}

/* smtp_delivery_status_filter: "5.1.1 text" as a table has it. */
static void
filter_status(struct delivery *d, struct msg_rcpt_result *m, struct why *why)
{
	struct smtp *s = d->smtp;
	struct str key, got;
	size_t n;

	if (tables_empty(s->status_filter))
		return;
	key = str_of(arena_printf(d->arena, STRF " " STRF, STRV(why->dsn),
	    STRV(why->text)));
	if (tables_get(s->status_filter, key, &s->filtered) != FOUND)
		return;
	got = arena_str(d->arena, str_trim(buf_view(&s->filtered)));
	n = dsn_status_length(got);
	if (n == 0 || (got.p[0] == '2') != (m->status == SENT)) {
		log_warn("bad result of a delivery status filter: " STRF,
		    STRV(got));
		return;
	}
	why->dsn = m->dsn = str_first(got, n);
	why->text = str_trim(str_from(got, n));
	m->text = str_first(why->text, TEXT_MAX);
	if (m->status != SENT)
		m->status = got.p[0] == '4' ? DEFERRED : BOUNCED;
}

static void
report(struct delivery *d, struct recipient *r, struct msg_rcpt_result *m,
    struct why *why)
{
	filter_status(d, m, why);
	log_result(d, r, (enum delivery_status)m->status, why);
	if (m->status == BOUNCED && d->smtp->soft_bounce &&
	    (d->msg.flags & DELIVER_VERIFY) == 0) {
		m->status = DEFERRED;
		m->dsn = str_of(arena_printf(d->arena, "4" STRF,
		    STRV(str_from(m->dsn, 1))));
	}
	m->index = r->index;
	m->remote_mta = typed(d, "dns", why->remote);
	m->diagnostic = typed(d, "smtp", why->reply);
	if (d->talk != NULL)
		talk_send(d->talk, MSG_rcpt_result, m);
	r->mark = RCPT_OVER;
	d->nopen--;
}

void
delivery_result(struct delivery *d, struct recipient *r,
    enum delivery_status status, const struct why *why)
{
	struct msg_rcpt_result m = { .status = status, .dsn = why->dsn,
		.text = str_first(why->text, TEXT_MAX) };
	struct why said = *why;

	report(d, r, &m, &said);
}

/* Line ends of a reply are blanks in a log line. */
static struct str
one_line(struct delivery *d, struct str text)
{
	char *p = arena_cstr(d->arena, text);

	for (size_t i = 0; i < text.n; i++)
		if (p[i] == '\n')
			p[i] = ' ';
	return (struct str){ p, text.n };
}

/*
 * RFC 3461 5.2: a server with DSN reports success itself; of one without, we
 * say "relayed", or (LMTP, which delivers) "delivered".
 */
void
delivery_sent(struct delivery *d, struct recipient *r,
    const struct esmtp_reply *reply)
{
	struct session *s = d->session;
	bool dsn = (s->offer.features & OFFER_DSN) != 0;
	struct why why = { .dsn = reply->dsn, .remote = s->host };
	struct msg_rcpt_result m = { .status = SENT };

	why.text = why.reply = one_line(d, buf_view(&reply->text));
	if (why.dsn.n == 0)
		why.dsn = STR("2.0.0");
	m.dsn = why.dsn;
	m.text = str_first(why.text, TEXT_MAX);
	if (dsn)
		m.action = STR("passed");
	else if (d->smtp->lmtp && d->smtp->conf.assume_final)
		m.action = STR("delivered");
	else
		m.action = STR("relayed");
	report(d, r, &m, &why);
}
