/*
 * defer - after the last result of an attempt: away, later, or back.
 *
 * Steps: the journal (with expiry decided), the reports one by one, then
 * unlink or deferral. A local fault stops at its step and is tried again
 * with the message in memory: nothing is ever dropped for it. Times and
 * words are Postfix's qmgr_active.c. qmgr runs it.
 */
#include <errno.h>
#include <sys/stat.h>
#include "address/address.h"
#include "qmgr/qmgr.h"
#include "qmgr/report.h"

#define BOUNCE_WAIT_MS	10000	/* for the bounce process to come back */
#define REPORTS_MAX	64	/* under way at once: each is a descriptor */
#define REPORT_MS	600000	/* for one report */
#define FAULT_S_MAX	64

static void	run(struct message *);
static void	start_report(struct message *);
static void	ask_bounce(struct message *);

static void
again(void *ctx)
{
	run(ctx);
}

static void
fault(struct message *m, const char *what, int err)
{
	int64_t s = 1 << (m->faults < 6 ? m->faults : 6);

	m->faults++;
	log_warn("%s: %s: %s", m->msg.id, what, strerror(err));
	if (m->again == NULL)
		m->again = timer_new(m->q->loop, again, m);
	timer_set(m->again, (s < FAULT_S_MAX ? s : FAULT_S_MAX) * 1000);
}

void
message_check_done(struct message *m)
{
	if (m->step != STEP_DELIVER || m->deliveries > 0)
		return;
	if (m->pending > 0 || m->resolved < m->msg.nrcpts) {
		if (m->q->released)
			leave_message(m);
		return;
	}
	m->step = STEP_JOURNAL;
	list_remove(&m->dirty);
	run(m);
}

static size_t
count(const struct message *m, enum rcpt_state status)
{
	size_t n = 0;

	for (size_t i = 0; i < m->msg.nrcpts; i++)
		if (m->msg.rcpts[i].status == (unsigned)status)
			n++;
	return n;
}

static bool
success_due(const struct message *m)
{
	for (size_t i = 0; i < m->msg.nrcpts; i++)
		if (report_of_success(&m->msg, &m->msg.rcpts[i],
		    m->q->confirm_delay_cleared))
			return true;
	return false;
}

static unsigned
reports_due(struct message *m, size_t deferred)
{
	int64_t warn = m->q->conf.delay_warning_time;
	unsigned due = 0;

	if (m->msg.flags & QMF_PROBE)
		return 0;		/* verify was told */
	if (m->msg.flags & QMF_VERIFY)
		return 1U << REPORT_VERIFY;
	if (count(m, RCPT_BOUNCED) > 0)
		due |= 1U << REPORT_FAILURE;
	if (m->msg.flags & QMF_TRACE && m->first)
		due |= 1U << REPORT_VERIFY;
	else if (success_due(m))
		due |= 1U << REPORT_SUCCESS;
	if (deferred > 0 && warn > 0 && m->msg.warned_s == 0 &&
	    age_s(m->q, m->msg.arrival_us) >= warn)
		due |= 1U << REPORT_DELAY;
	return due;
}

/* False: stopped by a fault. */
static bool
step_journal(struct message *m)
{
	size_t deferred = count(m, RCPT_DEFERRED);
	size_t firm = 0;
	int err;

	if (m->gone)
		return true;
	if (deferred > 0 && !(m->msg.flags & QMF_VERIFY) && expire(m))
		deferred = 0;
	m->reports = reports_due(m, deferred);
	if (m->nunwritten == 0 || (m->reports == 0 && deferred == 0))
		return true;
	for (size_t i = 0; i < m->nunwritten; i++)
		if (m->msg.rcpts[m->unwritten[i]].status != RCPT_DEFERRED)
			firm++;
	err = result_write(m);
	if (err == 0)
		return true;
	if (firm == 0 && m->reports == 0) {
		m->nunwritten = 0;	/* only the reasons are lost */
		return true;
	}
	fault(m, "cannot record its results", err);
	return false;
}

/* --- reports --- */

static void
mark_one(struct message *m, size_t i)
{
	m->msg.rcpts[i].status = RCPT_REPORTED;
	if (m->unwritten == NULL)
		m->unwritten = arena_alloc(m->arena,
		    (2 * m->msg.nrcpts + 1) * sizeof(*m->unwritten));
	m->unwritten[m->nunwritten++] = (uint32_t)i;
}

/* What a report told of needs no report again. */
static void
mark_reported(struct message *m, enum rcpt_state which)
{
	for (size_t i = 0; i < m->msg.nrcpts; i++) {
		struct queue_rcpt *r = &m->msg.rcpts[i];

		if (r->status == (unsigned)which &&
		    (which != RCPT_SENT || report_of_success(&m->msg, r,
		    m->q->confirm_delay_cleared)))
			mark_one(m, i);
	}
}

static void
mark_warned(struct message *m)
{
	struct queue_event e = { .rcpt = QUEUE_WHOLE,
		.status = JOURNAL_WARNED, .time_s = clock_wall_s() };
	int fd = message_rw_fd(m), err = fd < 0 ? errno : 0;

	m->msg.warned_s = e.time_s;
	if (err == 0)
		err = queue_journal(fd, &e, 1);
	if (err != 0)		/* at worst a second warning */
		log_warn("%s: cannot record its warning: %s", m->msg.id,
		    strerror(err));
}

static void
reported(struct message *m, bool ok, const char *why)
{
	struct qmgr *q = m->q;

	m->report = NULL;
	m->report_again = false;
	m->reports &= ~(1U << m->reporting);
	if (!ok) {
		log_warn("%s: no report to its sender yet: %s", m->msg.id,
		    why);
		if (m->reporting != REPORT_DELAY)
			m->report_failed = true;
	} else {
		switch (m->reporting) {
		case REPORT_FAILURE:
			mark_reported(m, RCPT_BOUNCED);
			break;
		case REPORT_SUCCESS:
			mark_reported(m, RCPT_SENT);
			break;
		case REPORT_DELAY:
			mark_warned(m);
			break;
		case REPORT_VERIFY:
			break;
		}
	}
	q->reports--;
	run(m);
	if (!list_empty(&q->report_turns) && q->reports < REPORTS_MAX) {
		m = container_of(q->report_turns.next, struct message,
		    report_turn);
		list_remove(&m->report_turn);
		start_report(m);
	}
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	const struct msg_report_done *done = msg;
	struct message *m = ctx;
	struct buf why;

	if (id == MSG_report_told) {
		const struct msg_report_told *t = msg;

		talk_deadline(talk, REPORT_MS);
		if (t->rcpt < m->msg.nrcpts &&
		    m->msg.rcpts[t->rcpt].status == RCPT_BOUNCED)
			mark_one(m, (size_t)t->rcpt);
		return;
	}
	assert(id == MSG_report_done);
	buf_init(&why, 1024);
	buf_str(&why, done->reason);
	reported(m, done->status == MAIL_OK, buf_cstr(&why));
	buf_free(&why);
}

/* bounce died: the next one does it. Once, since m may be what it died of. */
static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct message *m = ctx;

	(void)talk;
	/* bounce reads in the file which reports are there already. */
	if (m->report_again || (m->nunwritten > 0 && result_write(m) != 0)) {
		reported(m, false, why);
		return;
	}
	m->report = NULL;
	m->report_again = true;
	ask_bounce(m);
}

static const struct talk_ops report_ops = { on_message, on_gone };

static void
send_report(void *ctx, struct channel *ch)
{
	struct message *m = ctx;
	int fd = ch != NULL ? message_open_ro(m) : -1;

	m->wait = NULL;
	if (ch == NULL || fd < 0) {
		reported(m, false, ch == NULL ? "no bounce process" :
		    strerror(errno));
		return;
	}
	m->report = talk_open(ch, &report_ops, m);
	talk_deadline(m->report, REPORT_MS);
	talk_send(m->report, MSG_report, &(struct msg_report){
	    .kind = m->reporting, .queue_id = str_of(m->msg.id),
	    .queue_file = fd });
}

static void
ask_bounce(struct message *m)
{
	struct wait_peer *w;

	w = service_wait_peer(m->q->service, ROLE_BOUNCE, STR(""),
	    BOUNCE_WAIT_MS, send_report, m);
	if (w != NULL)		/* else it was called; m may be gone */
		m->wait = w;
}

static void
start_report(struct message *m)
{
	m->q->reports++;
	m->reporting = (enum report_kind)__builtin_ctz(m->reports);
	ask_bounce(m);
}

/* True: none is left; false: one is under way or waits for its turn. */
static bool
step_report(struct message *m)
{
	if (m->gone || m->reports == 0)
		return true;
	if (m->q->reports >= REPORTS_MAX)
		list_append(&m->q->report_turns, &m->report_turn);
	else
		start_report(m);
	return false;
}

/* --- the end --- */

static void
forget(struct message *m)
{
	struct slot *s = m->slot;
	struct qmgr *q = m->q;

	message_free(&m);
	slot_free(q, &s);
}

static void
step_remove(struct message *m)
{
	bool early = m->early != NULL;	/* cleanup removes it */
	int err = m->gone ? ENOENT : early ? 0 :
	    queue_remove(&m->q->queue, m->slot->dir, m->msg.id);

	if (err != 0 && err != ENOENT) {
		fault(m, "cannot remove it", err);
		return;
	}
	if (err == 0)
		log_mail(str_of(m->msg.id), "removed");
	early_settle(m, !m->gone);
	m->q->removed++;
	forget(m);
}

static int64_t
delay_s(struct message *m)
{
	const struct qmgr_conf *c = &m->q->conf;
	int64_t s = age_s(m->q, m->msg.arrival_us);

	if (s > c->maximal_backoff_time)
		s = c->maximal_backoff_time;
	if (s < c->minimal_backoff_time || m->report_failed)
		s = c->minimal_backoff_time;
	return s;
}

static void
step_put_off(struct message *m)
{
	struct qmgr *q = m->q;
	struct slot *s = m->slot;
	int64_t delay = delay_s(m);
	struct timespec at[2] = { { .tv_sec = clock_wall_s() + delay } };
	int err, fd = message_rw_fd(m);

	if (fd < 0 && m->gone) {
		forget(m);
		return;
	}
	at[1] = at[0];
	if (fd < 0 || futimens(fd, at) != 0)	/* a restart tries it early */
		log_warn("%s: cannot set its time: %s", m->msg.id,
		    strerror(errno));
	err = message_move(m, Q_DEFERRED);
	if (err == ENOENT) {
		forget(m);
		return;
	}
	if (err != 0) {
		fault(m, "cannot move it to deferred", err);
		return;
	}
	slot_wait(q, s, Q_DEFERRED, clock_steady_ms() + delay * 1000);
	site_file(q, s, &m->msg);
	message_free(&m);
}

static void
step_settle(struct message *m)
{
	bool verify = m->msg.flags & QMF_VERIFY;
	bool remain = m->report_failed ||
	    (!verify && count(m, RCPT_DEFERRED) > 0);
	int err;

	if (m->gone || !remain) {
		step_remove(m);
		return;
	}
	if (m->nunwritten > 0) {
		err = result_write(m);
		if (err != 0) {
			fault(m, "cannot record its report", err);
			return;
		}
	}
	step_put_off(m);
}

/* Goes on from the step that it is at. m may be gone afterwards. */
static void
run(struct message *m)
{
	struct qmgr *q = m->q;

	switch (m->step) {
	case STEP_DELIVER:
		assert(m->step != STEP_DELIVER);
		return;
	case STEP_JOURNAL:
		if (!step_journal(m))
			return;
		m->step = STEP_REPORT;
		/* FALLTHROUGH */
	case STEP_REPORT:
		if (!step_report(m))
			return;
		m->step = STEP_SETTLE;
		/* FALLTHROUGH */
	case STEP_SETTLE:
		step_settle(m);
		break;
	}
	qmgr_wake(q);
}
