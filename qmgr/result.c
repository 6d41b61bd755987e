/*
 * result - what became of each recipient, in memory and in the journal.
 *
 * Results gather in the message and go into its file in one write: before
 * the loop sleeps where a delivery succeeded and others still wait (so that
 * a crash does not send it twice), else at the end of the attempt. The last
 * success of a message is never written: its file goes. qmgr runs it.
 */
#include <errno.h>
#include "qmgr/qmgr.h"
#include "request/request.h"

#define EVENTS_AT_ONCE	256

/* soft_bounce: a bounce becomes a deferral, 5.1.1 becomes 4.1.1. */
static void
soften(struct message *m, struct queue_rcpt *r)
{
	char *dsn;

	if (!m->q->soft_bounce || r->status != RCPT_BOUNCED ||
	    m->msg.flags & QMF_VERIFY)
		return;
	r->status = RCPT_DEFERRED;
	dsn = arena_cstr(m->arena, r->dsn);
	dsn[0] = '4';
	r->dsn.p = dsn;
}

static struct str
status_or(struct message *m, struct str dsn, enum rcpt_state status)
{
	static const struct { int class; struct str none; } of[] = {
		[RCPT_DEFERRED] = { 4, { "4.0.0", 5 } },
		[RCPT_SENT] = { 2, { "2.0.0", 5 } },
		[RCPT_BOUNCED] = { 5, { "5.0.0", 5 } },
	};

	if (dsn_class(dsn) == of[status].class &&
	    dsn_status_length(dsn) == dsn.n)
		return arena_str(m->arena, dsn);
	return of[status].none;
}

/* Under the name that was probed, and under what it led to: verify(8). */
static void
tell_verify(struct message *m, const struct queue_rcpt *r)
{
	struct channel *ch;
	struct msg_verify_result v = { .address = r->original,
		.status = r->status == RCPT_SENT ? VERIFY_OK :
		    r->status == RCPT_BOUNCED ? VERIFY_BOUNCE : VERIFY_DEFER,
		.text = r->text };

	if (!(m->msg.flags & QMF_PROBE))
		return;
	ch = service_peer(m->q->service, ROLE_VERIFY, STR(""));
	if (ch == NULL)
		return;
	if (v.address.n > 0)
		channel_send(ch, MSG_verify_result, &v);
	if (str_eq(r->address, v.address))
		return;
	v.address = r->address;
	channel_send(ch, MSG_verify_result, &v);
}

void
result_set(struct message *m, uint32_t i, const struct result *res)
{
	struct queue_rcpt *r = &m->msg.rcpts[i];
	enum rcpt_state status = RCPT_DEFERRED;

	assert(!(m->note[i] & NOTE_DONE) && m->pending > 0);
	switch (res->status) {
	case SENT:
	case EXPANDED:
		status = RCPT_SENT;
		m->q->sent++;
		break;
	case DEFERRED:
		m->q->put_off++;
		break;
	case BOUNCED:
		status = RCPT_BOUNCED;
		m->q->bounced++;
		break;
	}
	r->status = status;
	r->dsn = status_or(m, res->dsn, status);
	r->text = arena_str(m->arena, res->text);
	r->remote_mta = arena_str(m->arena, res->remote_mta);
	r->diagnostic = arena_str(m->arena, res->diagnostic);
	r->action = arena_str(m->arena, res->action.n > 0 ? res->action :
	    res->status == EXPANDED ? STR("expanded") : STR(""));
	r->transport = arena_str(m->arena, res->transport);
	r->tried_s = clock_wall_s();
	soften(m, r);
	tell_verify(m, r);
	if (r->status != RCPT_SENT)
		early_settle(m, false);
	if (m->note[i] & NOTE_DELIVERY)
		m->scheduled--;
	m->note[i] &= (uint8_t)~NOTE_DELIVERY;
	m->note[i] |= NOTE_DONE;
	m->pending--;
	if (m->unwritten == NULL)	/* an attempt, then its reports */
		m->unwritten = arena_alloc(m->arena,
		    (2 * m->msg.nrcpts + 1) * sizeof(*m->unwritten));
	m->unwritten[m->nunwritten++] = i;
	if (r->status != RCPT_DEFERRED && list_empty(&m->dirty))
		list_append(&m->q->dirty, &m->dirty);
}

void
result_own(struct message *m, uint32_t i, const struct result *res)
{
	const struct queue_rcpt *r = &m->msg.rcpts[i];
	const struct msg_deliver as = { .queue_id = str_of(m->msg.id),
		.flags = m->msg.flags & QMF_VERIFY ? DELIVER_VERIFY : 0,
		.arrival_us = (uint64_t)m->msg.arrival_us,
		.active_us = (uint64_t)m->active_us };

	request_log(&as, &(struct rcpt_outcome){ res->status, res->dsn,
	    res->text }, &(struct rcpt_line){ .address = r->address,
	    .original = r->original, .relay = STR("none"),
	    .soft = m->q->soft_bounce,
	    .delays = { .decimals = m->q->delay_decimals } });
	result_set(m, i, res);
}

void
result_defer(struct message *m, uint32_t i, struct str dsn, struct str text)
{
	result_own(m, i, &(struct result){ .status = DEFERRED, .dsn = dsn,
	    .text = text });
}

static struct queue_event
event_of(const struct message *m, uint32_t i)
{
	const struct queue_rcpt *r = &m->msg.rcpts[i];

	return (struct queue_event){ .rcpt = i, .status = r->status,
		.time_s = r->tried_s, .dsn = r->dsn, .text = r->text,
		.remote_mta = r->remote_mta, .diagnostic = r->diagnostic,
		.action = r->action, .transport = r->transport };
}

int
result_write(struct message *m)
{
	struct queue_event events[EVENTS_AT_ONCE];
	size_t done = 0;
	int err = 0, fd = message_rw_fd(m);

	if (fd < 0)
		return m->gone ? 0 : errno;
	while (err == 0 && done < m->nunwritten) {
		size_t n = m->nunwritten - done;

		if (n > EVENTS_AT_ONCE)
			n = EVENTS_AT_ONCE;
		for (size_t i = 0; i < n; i++)
			events[i] = event_of(m, m->unwritten[done + i]);
		err = queue_journal(fd, events, n);
		if (err == 0)
			done += n;
	}
	m->nunwritten -= done;
	memmove(m->unwritten, m->unwritten + done,
	    m->nunwritten * sizeof(*m->unwritten));
	if (err != 0)
		log_warn("%s: write to its queue file: %s", m->msg.id,
		    strerror(err));
	return err;
}

void
result_flush(struct qmgr *q)
{
	list_each(l, &q->dirty) {
		struct message *m = container_of(l, struct message, dirty);

		list_remove(&m->dirty);
		/* A fault here is met again at the end of the attempt. */
		if (m->step == STEP_DELIVER && m->nunwritten > 0)
			(void)result_write(m);
	}
}
