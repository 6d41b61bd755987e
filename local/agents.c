/*
 * agents - who waits for which uid's agent, and what was sent to it.
 *
 * An agent is asked for so many stores at once and no more: one uid may own
 * all mailboxes, and a message may have as many recipients as it likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "local/agents.h"

#define COME_MS		15000	/* for an agent to start */
#define STORE_MS	3600000	/* for a store to be answered */
#define WAITING_MAX	5000
#define AT_ONCE		512	/* of one agent, from each of us */
#define SENDS_MAX	2	/* of one store */
#define REASON_MAX	512

struct crew {				/* of one uid; stays */
	struct list	 waiting;	/* for one of those at once to end */
	size_t		 busy;
	bool		 starting;
	char		 name[32];	/* the uid */
};

struct wish {
	struct list	  link;		/* in agents.waiting or crew.waiting */
	struct crew	 *crew;
	struct agents	 *agents;
	struct agent_id	  id;
	struct msg_store  job;
	void		(*done)(void *, const struct msg_store_done *);
	void		 *ctx;
	struct wait_peer *wait;
	struct talk	 *talk;
	unsigned	  sends;
};

struct agents {
	struct service *service;
	struct list	waiting;
	size_t		nwaiting;
	struct map     *crews;
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);
static void	seek(struct wish *);

static const struct talk_ops store_ops = { on_message, on_gone };

struct agents *
agents_new(struct service *service)
{
	struct agents *a = mem_new(sizeof(*a));

	a->service = service;
	list_init(&a->waiting);
	a->crews = map_new();
	return a;
}

static struct crew *
crew_of(struct agents *a, uid_t uid)
{
	struct crew *c;
	char name[sizeof(c->name)];

	snprintf(name, sizeof(name), "%lu", (unsigned long)uid);
	c = map_get(a->crews, str_of(name));
	if (c != NULL)
		return c;
	c = mem_new(sizeof(*c));
	memcpy(c->name, name, sizeof(name));
	list_init(&c->waiting);
	(void)map_set(a->crews, str_of(name), c);
	return c;
}

/* Those whose turn it is; one that fails at once makes room for the next. */
static void
start_some(struct crew *c)
{
	if (c->starting)
		return;
	c->starting = true;
	while (c->busy < AT_ONCE && !list_empty(&c->waiting)) {
		struct wish *w = container_of(c->waiting.next, struct wish,
		    link);

		list_remove(&w->link);
		c->busy++;
		seek(w);
	}
	c->starting = false;
}

static void
finish(struct wish *w, const struct msg_store_done *m)
{
	struct crew *c = w->crew;

	w->done(w->ctx, m);
	mem_free(w);
	c->busy--;
	start_some(c);
}

static void
put_off(struct wish *w, const char *text)
{
	struct msg_store_done m = { .status = DEFERRED, .dsn = STR("4.3.0"),
		.text = str_of(text) };

	finish(w, &m);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	(void)talk;
	(void)id;		/* store_done alone may come */
	finish(ctx, msg);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct wish *w = ctx;

	(void)talk;
	w->talk = NULL;
	if (w->sends < SENDS_MAX) {
		seek(w);
		return;
	}
	log_at(LL_WARN, w->job.queue_id, "agent of uid %lu: %s",
	    (unsigned long)w->id.uid, why);
	put_off(w, "delivery agent ended before it answered");
}

static void
send_to(struct wish *w, struct channel *channel)
{
	struct msg_store m = w->job;

	m.queue_file = fcntl(w->job.queue_file, F_DUPFD_CLOEXEC, 0);
	if (m.queue_file < 0) {
		put_off(w, strerror(errno));
		return;
	}
	w->sends++;
	w->talk = talk_open(channel, &store_ops, w);
	talk_deadline(w->talk, STORE_MS);
	talk_send(w->talk, MSG_store, &m);
}

static void
come(void *ctx, struct channel *channel)
{
	struct wish *w = ctx;

	w->wait = NULL;
	list_remove(&w->link);
	w->agents->nwaiting--;
	if (channel != NULL)
		send_to(w, channel);
	else
		put_off(w, "delivery agent did not start");
}

/* Somebody else asked master already? */
static bool
is_wanted(const struct agents *a, uid_t uid)
{
	list_each(l, &a->waiting)
		if (container_of(l, struct wish, link)->id.uid == uid)
			return true;
	return false;
}

static void
seek(struct wish *w)
{
	struct agents *a = w->agents;
	struct str name = str_of(w->crew->name);
	struct channel *channel = service_peer(a->service, ROLE_AGENT, name);
	bool wanted;

	if (channel != NULL) {
		send_to(w, channel);
		return;
	}
	if (a->nwaiting >= WAITING_MAX) {
		put_off(w, "too many deliveries wait for a delivery agent");
		return;
	}
	wanted = is_wanted(a, w->id.uid);
	list_append(&a->waiting, &w->link);
	a->nwaiting++;
	w->wait = service_wait_peer(a->service, ROLE_AGENT, name, COME_MS,
	    come, w);
	if (!wanted)
		service_tell_master(a->service, MSG_agent_want,
		    &(struct msg_agent_want){ .uid = w->id.uid,
		    .gid = w->id.gid, .user = w->id.user });
}

void
agents_store(struct agents *a, const struct agent_id *id,
    const struct msg_store *job,
    void (*done)(void *, const struct msg_store_done *), void *ctx)
{
	struct wish *w = mem_new(sizeof(*w));

	list_init(&w->link);
	w->agents = a;
	w->id = *id;
	w->job = *job;
	w->done = done;
	w->ctx = ctx;
	w->crew = crew_of(a, id->uid);
	list_append(&w->crew->waiting, &w->link);
	start_some(w->crew);
}

void
agents_refused(struct agents *a, const struct msg_agent_refused *m)
{
	char text[REASON_MAX];
	bool more = true;

	snprintf(text, sizeof(text), "no delivery agent for uid %llu: " STRF,
	    (unsigned long long)m->uid, STRV(m->reason));

	while (more) {		/* finish() may lead to anything */
		more = false;
		list_each(l, &a->waiting) {
			struct wish *w = container_of(l, struct wish, link);

			if (w->id.uid != m->uid)
				continue;
			service_wait_cancel(&w->wait);
			list_remove(&w->link);
			a->nwaiting--;
			put_off(w, text);
			more = true;
			break;
		}
	}
}
