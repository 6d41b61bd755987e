/*
 * leave - how one qmgr follows another: a new binary, other settings.
 *
 * No message may be in two hands, and no result may be lost on the way.
 * First, nothing new is begun, and each early offer goes back to its cleanup
 * or becomes mail like other mail. When every peer has heard that we leave,
 * what we had said to it is done: files that were delivered early are gone.
 * Then what has no delivery and no report under way is let go, the rest is
 * marked as held (queue_hold), and master starts the next one, which leaves
 * held files alone. We go when the last of them has its results.
 */
#include <errno.h>
#include "qmgr/qmgr.h"

static bool
in_hand(const struct message *m)
{
	return m->deliveries > 0 || m->step != STEP_DELIVER;
}

/*
 * It may stand in the schedule, out of which nothing is taken any more: its
 * memory stays until we end.
 */
static void
let_go(struct message *m)
{
	list_remove(&m->dirty);
	list_remove(&m->link);
	fd_close(&m->rw_fd);		/* and is no longer held */
}

void
leave_begin(struct qmgr *q)
{
	q->draining = true;
	listener_free(&q->control);
	timer_cancel(q->pump);
	timer_cancel(q->rescan);
	list_each(l, &q->messages) {
		struct message *m = container_of(l, struct message, link);

		if (m->early == NULL)
			continue;
		if (in_hand(m) || m->pending < m->msg.nrcpts) {
			early_settle(m, false);
			continue;
		}
		early_return(m);
		let_go(m);
	}
}

void
leave_message(struct message *m)
{
	if (m->nunwritten > 0)
		(void)result_write(m);
	let_go(m);
}

static void
hold(struct message *m)
{
	int fd = message_rw_fd(m);
	int err = fd < 0 ? errno : queue_hold(fd);

	if (err != 0 && !m->gone)
		log_warn("%s: cannot be marked as in hand, and may be "
		    "delivered twice: %s", m->msg.id, strerror(err));
}

void
leave_release(struct qmgr *q)
{
	q->released = true;
	timer_cancel(q->rescan);
	list_each(l, &q->messages) {
		struct message *m = container_of(l, struct message, link);

		if (in_hand(m))
			hold(m);
		else
			leave_message(m);
	}
	service_tell_master(q->service, MSG_released,
	    &(struct msg_released){ 0 });
}
