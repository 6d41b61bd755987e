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
#include <math.h>
#include "qmgr/qmgr.h"

#define RCPTS_MAX 50		/* more take longer than a sync */
#define QUICK_MS 25		/* a delivery that is worth waiting for */
#define KNOWN_FOR_MS 2000	/* how long a pace is believed */
#define PACES_MAX 1000		/* of a transport; then all are forgotten */
#define REMEMBERED 4096		/* delivered ones, for scans */

void
early_begin(struct message *m, struct channel *from, const struct msg_offer *o)
{
	m->early = from;
	m->early_ms = o->early_ms;
	if (queue_id_valid(o->file) && !str_eq(o->file, str_of(m->msg.id)))
		memcpy(m->file, o->file.p, o->file.n);
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

/* How long deliveries to a next host took of late. */
struct pace { double ms; int64_t at_ms; };

static bool
is_known(const struct pace *p, int64_t now)
{
	return p != NULL && p->at_ms != 0 && now - p->at_ms <= KNOWN_FOR_MS;
}

static void
forget_paces(struct mail_transport *mt)
{
	size_t pos = 0;
	struct str key;
	void *p;

	while (map_next(mt->paces, &pos, &key, &p))
		mem_free(p);
	map_free(&mt->paces);
	mt->paces = map_new();
}

void
early_learn(const struct dest *d, int64_t began_ms, bool ok)
{
	struct mail_transport *mt = d->transport->user;
	struct str host = str_of(d->nexthop);
	int64_t now = clock_steady_ms();
	double took = (double)(now - began_ms);
	struct pace *p = map_get(mt->paces, host);

	if (p == NULL) {
		if (!ok || !goes_out(mt->role))
			return;
		if (map_count(mt->paces) >= PACES_MAX)
			forget_paces(mt);
		p = mem_new(sizeof(*p));
		map_set(mt->paces, host, p);
	}
	if (is_known(p, now))
		p->ms += (took - p->ms) / 4;
	else
		p->ms = took;
	p->at_ms = ok ? now : 0;
}

/* What waits stands before the next one, in rounds of those at once. */
static double
rounds(size_t ahead, unsigned at_once)
{
	return at_once == 0 || ahead < at_once ? 0 :
	    (double)(ahead - at_once + 1) / at_once;
}

double
early_takes_ms(const struct dest *d, double pace_ms)
{
	const struct transport *t = d->transport;
	double here = rounds(d->busy + d->waiting, d->window);
	double all = rounds(t->busy + t->waiting, t->limits.process_max);

	if (d->paused || t->paused_until != 0 || t->held)
		return INFINITY;
	return pace_ms * (1 + (here > all ? here : all));
}

/*
 * The next host's 250 says that the mail is safe there (RFC 5321 6.1). Is it
 * one that answers at once, and will this one's turn come long before cleanup
 * has waited enough?
 */
void
early_dest(struct message *m, const struct dest *d)
{
	const struct mail_transport *mt = d->transport->user;
	const struct pace *p;

	if (m->early == NULL || !goes_out(mt->role))
		return;
	p = map_get(mt->paces, str_of(d->nexthop));
	if (!is_known(p, clock_steady_ms()) || p->ms > QUICK_MS ||
	    early_takes_ms(d, p->ms) > (double)m->early_ms / 2)
		early_settle(m, false);
}

/* It takes longer: as all others, it belongs into active/, under its id. */
static void
activate(struct message *m)
{
	int err = message_move(m, Q_ACTIVE);

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

void
early_return(struct message *m)
{
	channel_send(m->early, MSG_settled, &(struct msg_settled){
	    .queue_id = str_of(m->msg.id), .again = 1 });
	m->early = NULL;
}

/* Its client was refused: no attempt begins any more. */
void
early_withdraw(struct qmgr *q, struct str id)
{
	struct slot *s = queue_id_valid(id) ? slot_get(q, id) : NULL;
	int err;

	if (s == NULL) {
		/* Delivered: our word of it and this one crossed, and cleanup
		 * has left the file to us. */
		timer_set(q->rescan, LOOK_AGAIN_MS);
		return;
	}
	err = s->state == SLOT_ACTIVE ? message_remove(s->m) :
	    queue_remove(&q->queue, s->dir, s->id);
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

/* That cleanup is gone: nobody waits for its messages, nor names them. */
void
early_gone(struct qmgr *q, const struct channel *channel)
{
	list_each(l, &q->messages) {
		struct message *m = container_of(l, struct message, link);

		if (m->early != channel)
			continue;
		m->early = NULL;
		activate(m);
	}
}
