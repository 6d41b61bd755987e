/*
 * worker - reads one owner's mail, as the owner, for a front with a ticket.
 *
 * auth says who has just proved a password (MSG_ticket); the front that
 * carried that login shows the ticket (MSG_worker_want) and gets a channel to
 * the worker of READER's row: the one that the owner has already, or a new
 * one. No message of a front names a user, and no channel between a front
 * and a worker comes from anywhere else, lost ones included: who takes a
 * front over has the workers of those who logged in there, no more.
 * agent.c has the rules and the queue.
 */
#include "master/master.h"

#define TOLD_MS	1000	/* between two log lines about a front's tickets */

static struct child *
front_of(struct master *m, const struct msg_ticket *t)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role == t->role && c->instance == t->instance &&
		    c->channel != NULL)
			return (c);
	}
	return (NULL);
}

static const char *
judge(struct master *m, const struct msg_ticket *t, enum found *found)
{
	const char *reason;

	*found = NONE;
	if (t->role >= ROLE__MAX ||
	    role_worker((enum role)t->role) == ROLE__MAX)
		return ("that process reads no mail");
	reason = agent_refusal(m->plan, t->uid, t->gid);
	if (reason != NULL)
		return (reason);
	*found = RETRY;
	if (m->life != LIFE_RUN)
		return ("the mail system is stopping");
	if (front_of(m, t) == NULL)
		return ("that process is gone");
	reason = ticket_put(m->tickets, t, clock_steady_ms());
	if (reason == NULL)
		*found = FOUND;
	return (reason);
}

void
worker_ticket(struct child *from, const struct msg_ticket *t)
{
	struct master *m = from->master;
	struct msg_ticket_taken answer = { .number = t->number };
	enum found found;
	const char *reason = judge(m, t, &found);

	if (reason != NULL)
		log_warn("no worker for " STRF " (uid %llu, gid %llu): %s",
		    STRV(t->user), (unsigned long long)t->uid,
		    (unsigned long long)t->gid, reason);
	else if (!timer_is_set(m->sweep))
		timer_set(m->sweep, 2 * TICKET_MS);
	answer.found = found;
	answer.reason = str_of(reason);
	channel_send(from->channel, MSG_ticket_taken, &answer);
}

void
workers_sweep(struct master *m)
{
	int64_t again = tickets_sweep(m->tickets, clock_steady_ms());

	if (again >= 0)
		timer_set(m->sweep, again);
}

/* --- a front's question --- */

static void
refuse(struct child *front, uint64_t number, const char *reason)
{
	int64_t now = clock_steady_ms();

	front->refusals++;
	if (front->told_ms == 0 || now - front->told_ms >= TOLD_MS) {
		front->told_ms = now;
		log_warn("no worker for %s[%d]: %s (%llu refused so far)",
		    role_name(front->role), (int)front->pid, reason,
		    (unsigned long long)front->refusals);
	}
	if (front->channel != NULL)
		channel_send(front->channel, MSG_worker_refused,
		    &(struct msg_worker_refused){ .number = number,
		    .reason = str_of(reason) });
}

void
worker_refuse(struct master *m, const struct want *w, const char *reason)
{
	struct child *front = front_of(m, &w->ticket->is);

	if (front != NULL)
		refuse(front, w->number, reason);
}

void
worker_wanted(struct child *from, const struct msg_worker_want *msg)
{
	struct master *m = from->master;
	const char *why;
	struct ticket *t = ticket_take(m->tickets, from->role, from->instance,
	    msg->secret, clock_steady_ms(), &why);
	struct want *w;

	if (t == NULL) {
		refuse(from, msg->number, why);
		return;
	}
	/* A reload may have changed the rules. */
	why = agent_refusal(m->plan, t->is.uid, t->is.gid);
	if (m->life != LIFE_RUN)
		why = "the mail system is stopping";
	if (why != NULL) {
		refuse(from, msg->number, why);
		ticket_free(&t);
		return;
	}
	w = mem_new(sizeof(*w));
	w->role = role_worker(from->role);
	w->uid = (uid_t)t->is.uid;
	w->gid = (gid_t)t->is.gid;
	w->user = mem_copy(t->is.login);
	w->root = mem_strdup("");
	w->since_ms = clock_steady_ms();
	w->ticket = t;
	w->number = msg->number;
	list_append(&m->wants, &w->link);
	want_start(m, w);
	children_settle(m);
}

/* --- its answer --- */

static size_t
place_of(const struct child *worker, uint64_t front)
{
	size_t i = 0;

	while (i < worker->nfronts && worker->fronts[i] != front)
		i++;
	return (i);
}

static void
part(struct child *worker, uint64_t front)
{
	size_t i = place_of(worker, front);

	if (i < worker->nfronts)
		worker->fronts[i] = worker->fronts[--worker->nfronts];
}

void
worker_parted(struct child *a, struct child *b)
{
	part(a, b->instance);
	part(b, a->instance);
}

void
workers_forget(struct child *front)
{
	struct master *m = front->master;

	tickets_forget(m->tickets, front->instance);
	list_each(l, &m->children)
		part(container_of(l, struct child, link), front->instance);
}

/* Once is enough: a second channel between two ends the first. */
static bool
join(struct child *front, struct child *worker)
{
	if (place_of(worker, front->instance) < worker->nfronts)
		return (true);
	if (!child_connect(front, worker))
		return (false);
	worker->fronts = mem_grow(worker->fronts, worker->nfronts + 1,
	    sizeof(*worker->fronts));
	worker->fronts[worker->nfronts++] = front->instance;
	return (true);
}

static void
give(struct master *m, struct child *worker, const struct want *w)
{
	struct child *front = front_of(m, &w->ticket->is);

	if (front == NULL)
		return;			/* the client's session is over, too */
	if (!join(front, worker)) {
		refuse(front, w->number, "master could not connect it");
		return;
	}
	channel_send(front->channel, MSG_worker_comes,
	    &(struct msg_worker_comes){ .number = w->number,
	    .service = str_of(worker->name) });
}

bool
worker_is_there(struct master *m, const struct want *w)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role != w->role || c->draining || c->channel == NULL ||
		    c->ticket == NULL ||
		    !str_eq(c->ticket->is.user, w->ticket->is.user))
			continue;
		if (ticket_same_owner(c->ticket, w->ticket)) {
			give(m, c, w);
			return (true);
		}
		child_drain(c);		/* the user's mail is elsewhere now */
	}
	return (false);
}

void
worker_is_born(struct child *c, struct want *w)
{
	const struct msg_ticket *t = &w->ticket->is;

	channel_send(c->channel, MSG_owner, &(struct msg_owner){
	    .user = t->user, .home = t->home, .mail = t->mail });
	give(c->master, c, w);
	c->ticket = w->ticket;
	w->ticket = NULL;
}

void
workers_give_up(struct master *m)
{
	list_each(l, &m->wants) {
		struct want *w = container_of(l, struct want, link);

		if (w->ticket == NULL)
			continue;
		worker_refuse(m, w, "master is replaced by a new one");
		want_free(w);
	}
}
