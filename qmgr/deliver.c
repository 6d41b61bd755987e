/*
 * deliver - talks with delivery processes, one for each portion.
 *
 * A process that dies in a talk leaves recipients without a result: they are
 * tried again at once, a few times, then put off; never bounced, since it
 * may be the process that is bad. A transport without a process waits a
 * moment for one to be started. qmgr runs it.
 */
#include <errno.h>
#include "address/address.h"
#include "qmgr/qmgr.h"

#define CRASHES_MAX	2	/* at most NOTE_CRASHES */
#define START_MS	5000	/* for a transport's process to come back */
#define BURIED_AT_ONCE	100	/* recipients put off between two turns */
#define SUSPENDED	"delivery temporarily suspended: "

struct delivery {
	struct message	*m;
	struct portion	 p;
	size_t		 next;	/* whose result is likely next */
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops ops = { on_message, on_gone };

static struct str
attr(const struct message *m, const char *name)
{
	return queue_attr(&m->msg, name);
}

static unsigned
flags_of(const struct message *m, const struct dest *dest)
{
	static const struct { unsigned in, out; } same[] = {
		{ QMF_VERIFY, DELIVER_VERIFY }, { QMF_TRACE, DELIVER_TRACE },
		{ QMF_SMTPUTF8, DELIVER_SMTPUTF8 },
		{ QMF_BOUNCE, DELIVER_BOUNCE },
		{ QMF_HAS_DOTS, DELIVER_HAS_DOTS },
		{ QMF_TLS_OPTIONAL, DELIVER_TLS_OPTIONAL },
		{ QMF_8BIT, DELIVER_8BIT }, { QMF_LONG_LINES, DELIVER_LONG_LINES },
	};
	unsigned flags = 0;

	for (size_t i = 0; i < nitems(same); i++)
		if (m->msg.flags & same[i].in)
			flags |= same[i].out;
	if (dest->waiting > 0)
		flags |= DELIVER_MORE;
	return flags;
}

/* XFORWARD_README: from whom a content filter's reply may be rewritten. */
static struct str
source_of(const struct message *m)
{
	struct str said = attr(m, "source");

	if (said.n > 0)
		return said;
	return attr(m, "client_addr").n == 0 || str_eq(attr(m,
	    "rewrite_domain"), STR("local")) ? STR("LOCAL") : STR("REMOTE");
}

/* list@here, or with VERP list+user=there@here: recipients are alone. */
static void
put_sender(const struct delivery *d, struct buf *out)
{
	const struct queue_message *q = &d->m->msg;
	const struct queue_rcpt *r = &q->rcpts[portion_rcpt(&d->p, 0)];

	if (d->m->mail.alone)
		address_verp(queue_verp(q), q->sender, r->original.n > 0 ?
		    r->original : r->address, out);
	else
		buf_str(out, q->sender);
}

static void
send_request(struct delivery *d, struct talk *talk, int fd)
{
	struct message *m = d->m;
	const struct queue_message *q = &m->msg;
	struct buf sender;
	struct msg_deliver req = {
		.queue_id = str_of(q->id),
		.nexthop = str_of(d->p.job->dest->nexthop),
		.dsn_envid = q->dsn_envid, .dsn_ret = q->dsn_ret,
		.flags = flags_of(m, d->p.job->dest),
		.arrival_us = (uint64_t)q->arrival_us,
		.active_us = (uint64_t)m->active_us, .size = q->size,
		.header_off = q->header_off, .header_len = q->header_len,
		.body_off = q->body_off, .body_len = q->body_len,
		.rcpt_count = d->p.n, .client_name = attr(m, "client_name"),
		.client_addr = attr(m, "client_addr"),
		.client_port = attr(m, "client_port"),
		.helo = attr(m, "helo"), .protocol = attr(m, "protocol"),
		.sasl_method = attr(m, "sasl_method"),
		.sasl_user = attr(m, "sasl_user"),
		.sasl_sender = attr(m, "sasl_sender"),
		.ident = attr(m, "ident"), .source = source_of(m),
		.encoding = attr(m, "encoding"), .queue_file = fd,
	};

	if (req.ident.n == 0)
		req.ident = req.queue_id;
	if (d->p.job->dest->njobs > 1 || d->p.job->dest->busy > 1)
		req.flags |= DELIVER_MORE;
	buf_init(&sender, 2 * ADDRESS_MAX + 2);
	put_sender(d, &sender);
	req.sender = buf_view(&sender);
	talk_send(talk, MSG_deliver, &req);
	buf_free(&sender);
	for (size_t i = 0; i < d->p.n; i++) {
		uint32_t index = portion_rcpt(&d->p, i);
		const struct queue_rcpt *r = &q->rcpts[index];

		talk_send(talk, MSG_deliver_rcpt, &(struct msg_deliver_rcpt){
		    .index = index, .address = r->address,
		    .original = r->original, .dsn_orcpt = r->dsn_orcpt,
		    .dsn_notify = r->dsn_notify });
	}
}

/* A portion that will not be delivered now. */
static void
put_off(struct portion *p, struct str dsn, struct str why)
{
	struct mail_transport *mt = p->job->dest->transport->user;
	struct message *m = p->job->mail->owner;

	for (size_t i = 0; i < p->n; i++) {
		uint32_t index = portion_rcpt(p, i);

		if (m->note[index] & NOTE_DELIVERY)
			result_defer(m, index, dsn, why);
	}
	schedule_done(p, false, 0);
	refill_done(mt);
	message_check_done(m);
}

/* The file was removed behind our back: there is nothing to deliver. */
static void
drop(struct portion *p)
{
	struct message *m = p->job->mail->owner;

	for (size_t i = 0; i < p->n; i++) {
		m->note[portion_rcpt(p, i)] &= (uint8_t)~NOTE_DELIVERY;
		m->note[portion_rcpt(p, i)] |= NOTE_DONE;
	}
	m->pending -= p->n;
	m->scheduled -= p->n;
	schedule_done(p, false, 0);
	message_check_done(m);
}

void
deliver_bury(struct qmgr *q)
{
	struct portion p;
	struct str dsn, why;
	size_t n = 0;

	while (schedule_take_dying(q->schedule, &p, &dsn, &why)) {
		n += p.n;
		put_off(&p, dsn, why);
		if (n >= BURIED_AT_ONCE)
			break;
	}
}

static void
give_up_transport(struct mail_transport *mt, struct str dsn, struct str why)
{
	transport_kill(mt->t, clock_steady_ms(),
	    mt->q->conf.transport_retry_time * 1000, dsn, why);
}

static void
waited(void *ctx, struct channel *ch)
{
	struct mail_transport *mt = ctx;

	mt->wait = NULL;
	if (ch == NULL) {
		log_warn("transport %s: no process to deliver",
		    mt->t->name);
		give_up_transport(mt, STR("4.3.0"),
		    STR("mail transport unavailable"));
	}
	transport_hold(mt->t, false);
	qmgr_pump(mt->q);
}

static void
hold(struct mail_transport *mt)
{
	transport_hold(mt->t, true);
	if (mt->wait != NULL)
		return;
	mt->wait = service_wait_peer(mt->q->service, mt->role,
	    str_of(mt->t->name), START_MS, waited, mt);
}

static void
deliver(struct qmgr *q, struct portion *p)
{
	struct mail_transport *mt = p->job->dest->transport->user;
	struct message *m = p->job->mail->owner;
	struct channel *ch = service_peer(q->service, mt->role,
	    str_of(mt->t->name));
	struct delivery *d;
	struct talk *talk;
	int fd;

	if (ch == NULL) {
		schedule_untake(p);
		hold(mt);
		return;
	}
	if (channel_unsent(ch) > IPC_UNSENT_HIGH) {
		schedule_untake(p);
		transport_hold(mt->t, true);	/* until on_drained */
		return;
	}
	fd = message_open_ro(m);
	if (fd < 0 && m->gone) {
		drop(p);
		return;
	}
	if (fd < 0) {
		log_warn("%s: open: %s", m->msg.id, strerror(errno));
		put_off(p, STR("4.3.0"), STR("queue file access error"));
		return;
	}
	d = mem_new(sizeof(*d));
	d->m = m;
	d->p = *p;
	m->deliveries++;
	talk = talk_open(ch, &ops, d);
	talk_deadline(talk, q->silence_ms);
	send_request(d, talk, fd);
}

void
deliver_all(struct qmgr *q)
{
	int64_t now = clock_steady_ms();
	struct portion p;

	while (!q->draining && schedule_next(q->schedule, now, &p))
		deliver(q, &p);
}

void
deliver_resume(struct qmgr *q, enum role role, struct str service)
{
	struct transport *t = schedule_transport(q->schedule, service);
	struct mail_transport *mt;

	if (t == NULL)
		return;
	mt = t->user;
	if (mt->role != role)
		return;
	service_wait_cancel(&mt->wait);
	transport_hold(t, false);
	qmgr_pump(q);
}

/* --- what the process says --- */

static bool
is_ours(struct delivery *d, uint64_t index)
{
	const struct message *m = d->m;

	if (index >= m->msg.nrcpts || !(m->note[index] & NOTE_DELIVERY))
		return false;
	for (size_t i = 0; i < d->p.n; i++) {
		size_t at = (d->next + i) % d->p.n;

		if (portion_rcpt(&d->p, at) == index) {
			d->next = at + 1;
			return true;
		}
	}
	return false;
}

static void
log_window(const struct dest *d)
{
	log_info("queue %s: limit %u window %u success %g failure %g "
	    "fail_cohorts %g", d->nexthop, window_most(&d->transport->limits),
	    d->window, d->success, d->failure, d->failed_cohorts);
}

/*
 * The talk is over. outcome is of the destination; recipients without a
 * result are tried again while they may, which ends in a bounded time.
 */
static void
over(struct delivery *d, enum outcome outcome, struct str dsn, struct str why)
{
	struct message *m = d->m;
	struct qmgr *q = m->q;
	struct dest *dest = d->p.job->dest;
	struct mail_transport *mt = dest->transport->user;

	for (size_t i = 0; i < d->p.n; i++) {
		uint32_t index = portion_rcpt(&d->p, i);
		uint8_t *note = &m->note[index];

		if (!(*note & NOTE_DELIVERY))
			continue;
		if (*note & NOTE_PASS && !q->draining) {
			*note &= (uint8_t)~NOTE_PASS;
			resolve_pass(m, index);
		} else if (q->draining) {
			/* The next qmgr finds it in active/. */
			schedule_add(dest, &m->mail, index);
		} else if ((*note & NOTE_CRASHES) < CRASHES_MAX &&
		    outcome == OUTCOME_NONE && !dest_dead(dest) &&
		    dest->transport->dead_until == 0) {
			(*note)++;
			schedule_add(dest, &m->mail, index);
		} else {
			result_defer(m, index, STR("4.3.0"),
			    STR("unknown mail transport error"));
		}
	}
	early_learn(dest, d->p.began_ms, outcome == OUTCOME_OK);
	schedule_judge(&d->p, outcome, clock_steady_ms(), dsn, why);
	if (q->conf.destination_concurrency_feedback_debug)
		log_window(dest);
	schedule_done(&d->p, true, clock_steady_ms());
	refill_done(mt);
	m->deliveries--;
	mem_free(d);
	message_check_done(m);
}

static void
done(struct delivery *d, const struct msg_deliver_done *done)
{
	struct dest *dest = d->p.job->dest;
	struct mail_transport *mt = dest->transport->user;
	struct qmgr *q = d->m->q;
	size_t n = dsn_status_length(done->reason);
	struct str dsn = STR("4.0.0"), text = done->reason;
	struct buf why;

	if (n > 0 && dsn_class(done->reason) == 4)
		dsn = str_first(done->reason, n);
	if (n > 0)
		text = str_trim(str_from(done->reason, n));
	buf_init(&why, 4096);
	buf_puts(&why, SUSPENDED);
	buf_str(&why, text.n > 0 ? text : STR("unknown error"));
	if (done->fault) {
		over(d, OUTCOME_NONE, dsn, buf_view(&why));
		give_up_transport(mt, dsn, text.n > 0 ? text :
		    STR("mail transport unavailable"));
	} else {
		over(d, done->reason.n > 0 ? OUTCOME_DOWN : OUTCOME_OK, dsn,
		    buf_view(&why));
	}
	buf_free(&why);
	/* No pump: it would read some files more for each result. */
	deliver_all(q);
	qmgr_wake(q);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct delivery *d = ctx;
	const struct msg_rcpt_result *r = msg;
	const struct msg_rcpt_pass *pass = msg;

	talk_deadline(talk, d->m->q->silence_ms);
	if (id == MSG_deliver_done) {
		done(d, msg);
		return;
	}
	if (id == MSG_rcpt_result && is_ours(d, r->index) &&
	    r->status <= EXPANDED) {
		result_set(d->m, (uint32_t)r->index, &(struct result){
		    .status = (enum delivery_status)r->status, .dsn = r->dsn,
		    .text = r->text, .remote_mta = r->remote_mta,
		    .diagnostic = r->diagnostic, .action = r->action,
		    .transport = str_of(d->p.job->dest->transport->name) });
		return;
	}
	if (id == MSG_rcpt_pass && is_ours(d, pass->index)) {
		d->m->note[pass->index] |= NOTE_PASS;
		return;
	}
	log_warn("%s: malformed response from transport %s", d->m->msg.id,
	    d->p.job->dest->transport->name);
	talk_close(&talk);
	on_gone(d, NULL, "malformed response");
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct delivery *d = ctx;
	struct qmgr *q = d->m->q;

	(void)talk;
	log_warn("%s: transport %s: %s", d->m->msg.id,
	    d->p.job->dest->transport->name, why);
	over(d, OUTCOME_NONE, STR("4.3.0"),
	    STR("unknown mail transport error"));
	timer_set(q->pump, 0);
}
