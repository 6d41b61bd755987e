/*
 * refill - recipients of a transport in the schedule: not too many at once.
 *
 * A list of a million is not resolved in one go: what it finds full parks
 * it until some are through, so that new mail is resolved as routes are now
 * and the schedule stays small. Names are Postfix's: recipient_limit, its
 * extra for mail that fits into it whole, and how many are taken up at once
 * (recipient_refill_limit, or what there is after recipient_refill_delay).
 * Each message has qmgr_message_recipient_minimum in any case. qmgr runs it.
 */
#include "qmgr/qmgr.h"

static int64_t
room(const struct mail_transport *mt)
{
	return mt->rcpts_max - (int64_t)(mt->t->waiting + mt->t->in_flight);
}

bool
refill_has_room(const struct message *m, const struct mail_transport *mt)
{
	int64_t left = (int64_t)(m->msg.nrcpts - m->resolved);

	if (room(mt) > 0 || (int64_t)m->scheduled <
	    m->q->conf.qmgr_message_recipient_minimum)
		return true;
	return left <= mt->rcpts_extra && room(mt) + mt->rcpts_extra > 0;
}

void
refill_park(struct message *m, struct mail_transport *mt)
{
	assert(m->parked == NULL);
	m->parked = mt;
	m->parked_ms = clock_steady_ms();
	m->q->nparked++;
	list_append(&mt->parked, &m->resolving);
}

void
refill_unpark(struct message *m)
{
	if (m->parked == NULL)
		return;
	m->parked = NULL;
	m->q->nparked--;
	list_remove(&m->resolving);
}

static void
resume(struct message *m)
{
	refill_unpark(m);
	list_append(&m->q->resolving, &m->resolving);
}

void
refill_done(struct mail_transport *mt)
{
	int64_t least = mt->refill_min < mt->rcpts_max ? mt->refill_min :
	    mt->rcpts_max;

	if (!list_empty(&mt->parked) && room(mt) >= least)
		resume(container_of(mt->parked.next, struct message,
		    resolving));
}

struct sweep { int64_t now_ms; };

/* Also who has few left of his own: each keeps his least. */
static void
sweep(void *ctx, struct transport *t)
{
	const struct sweep *s = ctx;
	struct mail_transport *mt = t->user;

	list_each(l, &mt->parked) {
		struct message *m = container_of(l, struct message,
		    resolving);

		if ((s->now_ms - m->parked_ms >= mt->refill_ms &&
		    room(mt) > 0) || (int64_t)m->scheduled <
		    m->q->conf.qmgr_message_recipient_minimum)
			resume(m);
	}
}

void
refill_sweep(struct qmgr *q, int64_t now_ms)
{
	if (q->nparked > 0)
		schedule_each_transport(q->schedule, sweep,
		    &(struct sweep){ now_ms });
}
