/*
 * early - mail that is delivered before its queue file was synced.
 *
 * What is for mailboxes of this machine is there within milliseconds, and so
 * is what a quick host next door takes. Then one sync is enough, or none:
 * cleanup offers the message when its file is whole but not yet synced, and
 * does not answer its client. Where every recipient's delivery is durable
 * first, the client hears 250. Where it takes longer, or anything but success
 * happens, cleanup is told to sync, and all is as for other mail. A crash of
 * processes loses nothing, since the file stays in incoming/; after a power
 * cut nobody had been told that we have it.
 */
#include <errno.h>
#include "qmgr/qmgr.h"

#define RCPTS_MAX 50		/* more take longer than a sync */
#define QUICK_MS 25		/* a delivery that is worth waiting for */
#define QUICK_FOR_MS 2000	/* how long one such is believed */
#define REMEMBERED 4096		/* delivered ones, for scans */

void
early_begin(struct message *m, struct channel *from)
{
	m->early = from;
	if (m->msg.nrcpts > RCPTS_MAX)
		early_settle(m, false);
}

static bool
goes_out(enum role role)
{
	return role == ROLE_SMTP || role == ROLE_LMTP;
}

void
early_route(struct message *m, enum role role)
{
	if (role != ROLE_VIRTUAL && role != ROLE_LOCAL &&
	    role != ROLE_DISCARD && !goes_out(role))
		early_settle(m, false);
}

/*
 * The next host's 250 says that the mail is safe there (RFC 5321 6.1). Is it
 * one that answers at once, and has room for one more?
 */
void
early_dest(struct message *m, enum role role, const struct dest *d)
{
	if (m->early != NULL && goes_out(role) && (d->waiting > 0 ||
	    d->busy >= d->window || d->quick_ms == 0 ||
	    clock_steady_ms() - d->quick_ms > QUICK_FOR_MS))
		early_settle(m, false);
}

void
early_learn(struct dest *d, int64_t began_ms, bool ok)
{
	int64_t now = clock_steady_ms();

	d->quick_ms = ok && now - began_ms <= QUICK_MS ? now : 0;
}

/* It takes longer: as all others, it belongs into active/. */
static void
activate(struct message *m)
{
	int err = queue_move(&m->q->queue, m->slot->id, m->slot->dir,
	    Q_ACTIVE);

	if (err == 0)
		m->slot->dir = Q_ACTIVE;
	else if (err == ENOENT)
		m->gone = true;
	else		/* it stays where it is: nothing depends on the move */
		log_warn("%s: cannot move it to active: %s", m->slot->id,
		    strerror(err));
}

/* Did a process die with a delivery of it? Another may still read the file. */
static bool
is_unread(const struct message *m)
{
	for (size_t i = 0; i < m->msg.nrcpts; i++)
		if (m->note[i] & NOTE_CRASHES)
			return false;
	return true;
}

static void
remember(struct qmgr *q, const char *id)
{
	if (q->settled == NULL)
		q->settled = mem_new(REMEMBERED * sizeof(*q->settled));
	memcpy(q->settled[q->nsettled++ % REMEMBERED], id, QUEUE_ID_MAX);
}

struct map *
early_delivered(const struct qmgr *q)
{
	size_t n = q->nsettled < REMEMBERED ? q->nsettled : REMEMBERED;
	struct map *ids = map_new();

	for (size_t i = 0; i < n; i++)
		(void)map_set(ids, str_of(q->settled[i]), q->settled[i]);
	return ids;
}

void
early_sweep(struct qmgr *q, const char *id)
{
	int err = queue_remove_left(&q->queue, Q_INCOMING, id);

	if (err != 0 && err != ENOENT && err != EWOULDBLOCK)
		log_warn("%s: cannot remove it: %s", id, strerror(err));
}

void
early_settle(struct message *m, bool delivered)
{
	struct channel *to = m->early;

	if (to == NULL)
		return;
	m->early = NULL;
	if (delivered)
		remember(m->q, m->msg.id);
	else
		activate(m);
	channel_send(to, MSG_settled, &(struct msg_settled){
	    .queue_id = str_of(m->msg.id), .delivered = delivered,
	    .unread = delivered && is_unread(m) });
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
	if (s->state == SLOT_ACTIVE) {
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
