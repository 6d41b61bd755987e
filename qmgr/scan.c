/*
 * scan - the folders of the queue, and whose turn it is.
 *
 * At begin every folder is listed: incoming/ and active/ by name, deferred/
 * by name and mtime (its next attempt); no file is read before it is due.
 * Later scans find files that others put there. deferred/ may be huge and
 * its disk slow: some of it is looked at between two turns of the loop, and
 * mail is delivered meanwhile. Admission takes turns between new and deferred
 * mail within the limits. qmgr runs it.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "qmgr/qmgr.h"

/* Files read before the loop turns again: what is delivered meanwhile must not
 * wait for long, or the first of thousands go out as slowly as all are read. */
#define ADMIT_AT_ONCE	10
#define SCAN_AT_ONCE	2000	/* names looked at */
#define SCAN_MS		10	/* and no longer than that */
#define PUMP_MS_MAX	60000
#define REFILL_LOOK_MS	1000	/* while messages are parked */

bool
qmgr_has_room(const struct qmgr *q)
{
	return !q->draining &&
	    (int64_t)q->nmessages < q->conf.qmgr_message_active_limit &&
	    (q->nmessages == 0 ||
	    (int64_t)q->nrcpts < q->conf.qmgr_message_recipient_limit);
}

static bool
found_new(void *ctx, const char *id, enum queue_dir dir)
{
	struct qmgr *q = ctx;

	if (slot_get(q, str_of(id)) == NULL)
		slot_wait(q, slot_new(q, str_of(id)), dir, clock_steady_ms());
	return true;
}

struct incoming { struct qmgr *q; struct map *delivered; };

/* Cleanup may not have removed yet what was delivered early, or have died. */
static bool
found_incoming(void *ctx, const char *id)
{
	struct incoming *in = ctx;

	if (map_get(in->delivered, str_of(id)) == NULL)
		return found_new(in->q, id, Q_INCOMING);
	early_sweep(in->q, id);
	return true;
}

static bool
found_active(void *ctx, const char *id)
{
	return found_new(ctx, id, Q_ACTIVE);
}

/*
 * Due at its mtime. One that lies further ahead than any back-off was not
 * set by us, or the wall clock went back since: it does not wait longer.
 */
static void
found_deferred(struct qmgr *q, const char *id)
{
	int64_t wait;
	struct slot *s;
	struct stat st;

	if (slot_get(q, str_of(id)) != NULL)
		return;
	if (queue_stat(&q->queue, Q_DEFERRED, id, &st) != 0)
		return;			/* gone again */
	wait = (int64_t)st.st_mtime - clock_wall_s();
	if (wait > q->conf.maximal_backoff_time)
		wait = q->conf.maximal_backoff_time;
	if (wait < 0)
		wait = 0;
	s = slot_new(q, str_of(id));
	slot_wait(q, s, Q_DEFERRED, clock_steady_ms() + wait * 1000);
	if (q->scan.flush)
		slot_flush(q, s);
	else
		site_found(q, s);
}

static void
warn(enum queue_dir dir, int err)
{
	if (err != 0)
		log_warn("scan of queue %s: %s", queue_dir_names[dir],
		    strerror(err));
}

void
scan_incoming(struct qmgr *q)
{
	struct incoming in = { q, early_delivered(q) };

	warn(Q_INCOMING, queue_scan(&q->queue, Q_INCOMING, found_incoming,
	    &in));
	map_free(&in.delivered);
}

void
scan_start(struct qmgr *q)
{
	warn(Q_ACTIVE, queue_scan(&q->queue, Q_ACTIVE, found_active, q));
	scan_again(q);
}

void
scan_again(struct qmgr *q)
{
	scan_incoming(q);
	q->scan.again = true;
}

void
scan_flush(struct qmgr *q)
{
	scan_again(q);
	q->scan.flush = true;
	slot_flush_all(&q->incoming);
	slot_flush_all(&q->deferred);
}

bool
scan_is_running(const struct qmgr *q)
{
	return q->scan.walk != NULL || q->scan.again;
}

static void
end_scan(struct qmgr *q)
{
	warn(Q_DEFERRED, queue_walk_error(q->scan.walk));
	queue_walk_free(&q->scan.walk);
	/* What was asked for meanwhile may have missed some. */
	q->scan.flush = q->scan.flush && q->scan.again;
}

void
scan_more(struct qmgr *q)
{
	int64_t until = clock_steady_ms() + SCAN_MS;
	const char *id;

	if (q->scan.walk == NULL) {
		q->scan.again = false;
		q->scan.walk = queue_walk_new(&q->queue, Q_DEFERRED);
	}
	for (int n = 0; n < SCAN_AT_ONCE; n++) {
		id = queue_walk_next(q->scan.walk);
		if (id == NULL) {
			end_scan(q);
			return;
		}
		found_deferred(q, id);
		if (clock_steady_ms() > until)
			return;
	}
}

/* New and deferred mail take turns, each in the order that it was due. */
static struct slot *
next_due(struct qmgr *q, int64_t now)
{
	struct slot *in = slot_first(&q->incoming);
	struct slot *de = slot_first(&q->deferred);

	if (in != NULL && in->due.key > now)
		in = NULL;
	if (de != NULL && de->due.key > now)
		de = NULL;
	if (in != NULL && de != NULL)
		q->deferred_turn = !q->deferred_turn;
	else
		q->deferred_turn = de != NULL;
	return q->deferred_turn ? de : in;
}

static int64_t
until_due(const struct heap *h, int64_t now, int64_t ms)
{
	const struct heap_node *s = heap_first(h);

	if (s == NULL || s->key - now > ms)
		return ms;
	return s->key > now ? s->key - now : 0;
}

void
qmgr_wake(struct qmgr *q)
{
	int64_t ms = PUMP_MS_MAX, now, wake;

	if (!q->begun || q->draining)
		return;
	if (q->incoming.n == 0 && q->deferred.n == 0 &&
	    list_empty(&q->resolving) && !site_is_reading(q) &&
	    !scan_is_running(q) && schedule_wake_ms(q->schedule) == INT64_MAX &&
	    !schedule_is_burying(q->schedule) && q->nparked == 0 &&
	    timer_is_set(q->pump))
		return;
	now = clock_steady_ms();
	if (qmgr_has_room(q)) {
		ms = until_due(&q->incoming, now, ms);
		ms = until_due(&q->deferred, now, ms);
	}
	wake = schedule_wake_ms(q->schedule);
	if (wake < INT64_MAX && wake - now < ms)
		ms = wake > now ? wake - now : 0;
	if (!list_empty(&q->resolving) || site_is_reading(q) ||
	    scan_is_running(q) || schedule_is_burying(q->schedule))
		ms = 0;
	else if (q->nparked > 0 && ms > REFILL_LOOK_MS)
		ms = REFILL_LOOK_MS;
	timer_set(q->pump, ms);
}

void
qmgr_pump(struct qmgr *q)
{
	int64_t now = clock_steady_ms();
	struct slot *s;
	size_t n = 0;

	if (!q->begun || q->draining)
		return;
	schedule_sweep(q->schedule, now,
	    (size_t)q->conf.qmgr_message_recipient_limit);
	refill_sweep(q, now);
	resolve_more(q);
	if (scan_is_running(q))
		scan_more(q);
	while (n < ADMIT_AT_ONCE && qmgr_has_room(q) &&
	    (s = next_due(q, now)) != NULL) {
		message_open(q, s);
		n++;
	}
	site_read_more(q);
	deliver_bury(q);
	deliver_all(q);
	qmgr_wake(q);
}
