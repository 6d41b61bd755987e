/*
 * delivery - requests of qmgr: recipients come in, results and log lines go
 * out.
 */
#include "smtp/smtp.h"

#define TEXT_MAX	REQUEST_TEXT_MAX

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops delivery_ops = { on_message, on_gone };

void
delivery_new(void *ctx, struct talk *talk, const struct msg_deliver *m)
{
	struct smtp *s = ctx;
	struct delivery *d = mem_new(sizeof(*d));

	d->smtp = s;
	d->talk = talk;
	d->arena = arena_new(SIZE_MAX / 2);	/* packets bound it */
	d->msg = *m;
	ipc_keep(MSG_deliver, &d->msg, d->arena);
	d->rcpts = arena_alloc(d->arena, (size_t)m->rcpt_count *
	    sizeof(*d->rcpts));
	d->start_us = clock_wall_us();
	list_append(&s->deliveries, &d->link);
	talk_set(talk, &delivery_ops, d);
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

static void
log_result(const struct delivery *d, const struct recipient *r,
    const struct rcpt_outcome *o)
{
	const struct session *s = d->session;
	struct buf tls;

	buf_init(&tls, 64);
	if (s != NULL && d->smtp->conf.log_tls_feature_status)
		starttls_status(s, &tls);
	request_log(&d->msg, o, &(struct rcpt_line){
	    .address = r->address, .original = r->original,
	    .relay = s != NULL ? s->relay : STR("none"),
	    .conn_use = s != NULL && s->uses > 0 ? s->uses + 1 : 0,
	    .soft = d->smtp->soft_bounce, .tls = buf_view(&tls),
	    .delays = { .start_us = d->start_us,
	    .connected_us = d->connected_us,
	    .decimals = d->smtp->delay_decimals } });
	buf_free(&tls);
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

/* m says what the reports have, beside the outcome. */
static void
report(struct delivery *d, struct recipient *r, struct rcpt_outcome o,
    struct msg_rcpt_result *m)
{
	request_filter(d->smtp->status_filter, &d->msg, d->arena, &o);
	log_result(d, r, &o);
	if (o.status == BOUNCED && d->smtp->soft_bounce &&
	    (d->msg.flags & DELIVER_VERIFY) == 0) {
		o.status = DEFERRED;
		o.dsn = str_of(arena_printf(d->arena, "4" STRF,
		    STRV(str_from(o.dsn, 1))));
	}
	m->index = r->index;
	m->status = o.status;
	m->dsn = o.dsn;
	m->text = o.text;
	if (d->talk != NULL)
		talk_send(d->talk, MSG_rcpt_result, m);
	r->mark = RCPT_OVER;
	d->nopen--;
}

void
delivery_result(struct delivery *d, struct recipient *r,
    enum delivery_status status, const struct why *why)
{
	report(d, r, (struct rcpt_outcome){ status, why->dsn,
	    str_first(why->text, TEXT_MAX) }, &(struct msg_rcpt_result){
	    .remote_mta = typed(d, "dns", why->remote),
	    .diagnostic = typed(d, "smtp", why->reply) });
}

bool
delivery_pass(struct delivery *d, struct recipient *r)
{
	if (!d->smtp->best_mx_passes || d->talk == NULL ||
	    channel_peer(talk_channel(d->talk)) != ROLE_QMGR)
		return false;
	talk_send(d->talk, MSG_rcpt_pass,
	    &(struct msg_rcpt_pass){ .index = r->index });
	r->mark = RCPT_OVER;
	d->nopen--;
	return true;
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
	struct str text = why_line(d, buf_view(&reply->text));
	struct rcpt_outcome o = { SENT, reply->dsn, str_first(text, TEXT_MAX) };
	struct msg_rcpt_result m = { .remote_mta = typed(d, "dns", s->host),
		.diagnostic = typed(d, "smtp", text) };

	if ((s->offer.features & OFFER_DSN) != 0)
		m.action = STR("passed");
	else if (d->smtp->lmtp && d->smtp->conf.assume_final)
		m.action = STR("delivered");
	else
		m.action = STR("relayed");
	if (o.dsn.n == 0)
		o.dsn = STR("2.0.0");
	report(d, r, o, &m);
}
