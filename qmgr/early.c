/*
 * early - mail that is delivered before its queue file was synced.
 *
 * What is for mailboxes of this machine is there within milliseconds. Then
 * one sync is enough: cleanup offers the message when its file is whole but
 * not yet synced, and does not answer its client; where every recipient's
 * delivery is durable first, the file goes without ever having been on the
 * disk, and the client hears 250. Where it takes longer, or anything but
 * success happens, cleanup is told to sync, and all is as for other mail.
 * The file is in active/ all the while: a crash of processes loses nothing,
 * and after a power cut nobody had been told that we have it.
 */
#include "qmgr/qmgr.h"

#define RCPTS_MAX 50		/* more take longer than a sync */

void
early_begin(struct message *m, struct channel *from)
{
	m->early = from;
	if (m->msg.nrcpts > RCPTS_MAX)
		early_settle(m, false);
}

void
early_route(struct message *m, enum role role)
{
	if (role != ROLE_VIRTUAL && role != ROLE_LOCAL && role != ROLE_DISCARD)
		early_settle(m, false);
}

void
early_settle(struct message *m, bool delivered)
{
	if (m->early == NULL)
		return;
	channel_send(m->early, MSG_settled, &(struct msg_settled){
	    .queue_id = str_of(m->msg.id), .delivered = delivered });
	m->early = NULL;
}

/* Its client was refused: no attempt begins any more. */
void
early_withdraw(struct qmgr *q, struct str id)
{
	struct slot *s = queue_id_valid(id) ? slot_get(q, id) : NULL;
	int err;

	if (s == NULL)
		return;
	err = queue_remove(&q->queue, s->dir, s->id);
	if (err != 0)
		log_warn("%s: cannot remove it: %s", s->id, strerror(err));
	if (s->m != NULL) {
		s->m->early = NULL;
		s->m->gone = true;	/* forgotten after this attempt */
		return;
	}
	slot_unwait(q, s);
	slot_free(q, &s);
}

/* That cleanup is gone: nobody waits for its messages. */
void
early_gone(struct qmgr *q, const struct channel *channel)
{
	list_each(l, &q->messages) {
		struct message *m = container_of(l, struct message, link);

		if (m->early == channel)
			m->early = NULL;
	}
}
