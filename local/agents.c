/*
 * agents - who waits for which user's agent, and what was sent to it.
 *
 * An agent is asked for so much at once and no more: one uid may own all
 * mailboxes, and a message may have as many recipients as it likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "local/agents.h"

#define COME_MS		15000	/* for an agent to start */
#define STORE_MS	3600000	/* for a store to be answered */
#define RUN_MORE_MS	60000	/* beyond a command's own time limit */
#define WAITING_MAX	5000
#define AT_ONCE		512	/* of one agent, from each of us */
#define SENDS_MAX	2	/* of one store */
#define REASON_MAX	512
#define KEY_MAX		5000	/* with a path */
#define ITEMS_MAX	200000	/* in one file */

struct crew {				/* of one role, uid and gid; stays */
	struct list	 waiting;	/* for one of those at once to end */
	size_t		 busy, most;
	bool		 starting;
	enum role	 role;
	char		*name;		/* uid:gid, uid:gid:root */
};

struct wish {
	struct list	  link;		/* in agents.waiting or crew.waiting */
	struct crew	 *crew;
	struct agents	 *agents;
	struct agent_id	  id;
	enum msg	  what;
	union {
		struct msg_store  store;
		struct msg_expand expand;
		struct msg_run	  run;
	} job;
	union {
		void	(*store)(void *, const struct msg_store_done *,
			    const struct items *);
		void	(*expand)(void *, const struct msg_expand_done *,
			    const struct items *);
		void	(*run)(void *, const struct msg_run_done *);
	} done;
	void		 *ctx;
	struct wait_peer *wait;
	struct talk	 *talk;
	unsigned	  sends;
	struct arena	 *arena;	/* of items; NULL: none came */
	struct items	  items;
	size_t		  room;
};

struct agents {
	struct service *service;
	struct list	waiting;
	size_t		nwaiting, commands_max;
	struct map     *crews;
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);
static void	seek(struct wish *);

static const struct talk_ops wish_ops = { on_message, on_gone };

struct agents *
agents_new(struct service *service, size_t commands_max)
{
	struct agents *a = mem_new(sizeof(*a));

	a->service = service;
	a->commands_max = commands_max;
	list_init(&a->waiting);
	a->crews = map_new();
	return a;
}

static struct crew *
crew_of(struct agents *a, enum role role, const struct agent_id *id)
{
	struct crew *c;
	struct buf key;

	buf_init(&key, KEY_MAX);
	buf_printf(&key, "%d %lu:%lu%s" STRF, (int)role,
	    (unsigned long)id->uid, (unsigned long)id->gid,
	    id->root.n > 0 ? ":" : "", STRV(id->root));
	c = map_get(a->crews, buf_view(&key));
	if (c == NULL) {
		c = mem_new(sizeof(*c));
		c->role = role;
		c->most = role == ROLE_COMMAND ? a->commands_max : AT_ONCE;
		c->name = mem_strdup(strchr(buf_cstr(&key), ' ') + 1);
		list_init(&c->waiting);
		(void)map_set(a->crews, buf_view(&key), c);
	}
	buf_free(&key);
	return c;
}

/* Those whose turn it is; one that fails at once makes room for the next. */
static void
start_some(struct crew *c)
{
	if (c->starting)
		return;
	c->starting = true;
	while (c->busy < c->most && !list_empty(&c->waiting)) {
		struct wish *w = container_of(c->waiting.next, struct wish,
		    link);

		list_remove(&w->link);
		c->busy++;
		seek(w);
	}
	c->starting = false;
}

static void
drop_items(struct wish *w)
{
	mem_free(w->items.v);
	w->items = (struct items){ NULL, 0 };
	w->room = 0;
	arena_free(&w->arena);
}

static void
finish(struct wish *w, const void *msg)
{
	struct crew *c = w->crew;

	if (w->what == MSG_store)
		w->done.store(w->ctx, msg, &w->items);
	else if (w->what == MSG_expand)
		w->done.expand(w->ctx, msg, &w->items);
	else
		w->done.run(w->ctx, msg);
	drop_items(w);
	mem_free(w);
	c->busy--;
	start_some(c);
}

static void
put_off(struct wish *w, const char *text)
{
	drop_items(w);
	if (w->what == MSG_store)
		finish(w, &(struct msg_store_done){ .status = DEFERRED,
		    .dsn = STR("4.3.0"), .text = str_of(text) });
	else if (w->what == MSG_expand)
		finish(w, &(struct msg_expand_done){ .found = RETRY,
		    .owner = w->id.uid, .text = str_of(text) });
	else
		finish(w, &(struct msg_run_done){ .status = DEFERRED,
		    .dsn = STR("4.3.0"), .text = str_of(text) });
}

/* More than ITEMS_MAX are left out, which the list's owner learns. */
static void
take_item(struct wish *w, const struct msg_item *m)
{
	if (w->items.n >= ITEMS_MAX || m->kind > ITEM_USER)
		return;
	if (w->arena == NULL)
		w->arena = arena_new(SIZE_MAX / 2);	/* ITEMS_MAX bounds */
	if (w->items.n == w->room) {
		w->room = w->room * 2 + 16;
		w->items.v = mem_grow(w->items.v, w->room,
		    sizeof(*w->items.v));
	}
	w->items.v[w->items.n++] = (struct item){
	    .kind = (enum item_kind)m->kind,
	    .value = arena_str(w->arena, m->value) };
}

static int64_t
patience_ms(const struct wish *w)
{
	return w->what == MSG_run ?
	    (int64_t)w->job.run.time_limit * 1000 + RUN_MORE_MS : STORE_MS;
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct wish *w = ctx;

	if (id == MSG_item) {
		talk_deadline(talk, patience_ms(w));
		take_item(w, msg);
	} else			/* the one done of its kind may come */
		finish(w, msg);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct wish *w = ctx;
	struct str id = w->what == MSG_store ? w->job.store.queue_id :
	    w->what == MSG_run ? w->job.run.queue_id : w->job.expand.queue_id;

	(void)talk;
	w->talk = NULL;
	drop_items(w);
	if (w->sends < SENDS_MAX && w->what != MSG_run) {
		seek(w);
		return;
	}
	log_at(LL_WARN, id, "%s of uid %lu: %s", role_name(w->crew->role),
	    (unsigned long)w->id.uid, why);
	put_off(w, "delivery agent ended before it answered");
}

/* Each message that carries a descriptor takes one of its own. */
static bool
own_descriptor(int *fd)
{
	*fd = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
	return *fd >= 0;
}

static void
send_to(struct wish *w, struct channel *channel)
{
	struct msg_store store = w->job.store;
	struct msg_run run = w->job.run;
	const void *m = &w->job.expand;

	if ((w->what == MSG_store && !own_descriptor(&store.queue_file)) ||
	    (w->what == MSG_run && !own_descriptor(&run.queue_file))) {
		put_off(w, strerror(errno));
		return;
	}
	if (w->what == MSG_store)
		m = &store;
	else if (w->what == MSG_run)
		m = &run;
	w->sends++;
	w->talk = talk_open(channel, &wish_ops, w);
	talk_deadline(w->talk, patience_ms(w));
	talk_send(w->talk, w->what, m);
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
is_wanted(const struct agents *a, const struct crew *crew)
{
	list_each(l, &a->waiting)
		if (container_of(l, struct wish, link)->crew == crew)
			return true;
	return false;
}

static void
seek(struct wish *w)
{
	struct agents *a = w->agents;
	struct str name = str_of(w->crew->name);
	struct channel *channel = service_peer(a->service,
	    w->crew->role, name);
	bool wanted;

	if (channel != NULL) {
		send_to(w, channel);
		return;
	}
	if (a->nwaiting >= WAITING_MAX) {
		put_off(w, "too many deliveries wait for a delivery agent");
		return;
	}
	wanted = is_wanted(a, w->crew);
	list_append(&a->waiting, &w->link);
	a->nwaiting++;
	w->wait = service_wait_peer(a->service, w->crew->role, name,
	    COME_MS, come, w);
	if (!wanted)
		service_tell_master(a->service, MSG_agent_want,
		    &(struct msg_agent_want){ .role = w->crew->role,
		    .uid = w->id.uid, .gid = w->id.gid, .user = w->id.user,
		    .root = w->id.root });
}

static struct wish *
wish_new(struct agents *a, enum role role, const struct agent_id *id,
    enum msg what)
{
	struct wish *w = mem_new(sizeof(*w));

	list_init(&w->link);
	w->agents = a;
	w->id = *id;
	w->what = what;
	w->crew = crew_of(a, role, id);
	return w;
}

static void
wish_begin(struct wish *w, void *ctx)
{
	w->ctx = ctx;
	list_append(&w->crew->waiting, &w->link);
	start_some(w->crew);
}

void
agents_store(struct agents *a, const struct agent_id *id,
    const struct msg_store *job,
    void (*done)(void *, const struct msg_store_done *,
    const struct items *), void *ctx)
{
	struct wish *w = wish_new(a, ROLE_AGENT, id, MSG_store);

	w->job.store = *job;
	w->done.store = done;
	wish_begin(w, ctx);
}

void
agents_expand(struct agents *a, const struct agent_id *id,
    const struct msg_expand *job,
    void (*done)(void *, const struct msg_expand_done *,
    const struct items *), void *ctx)
{
	struct wish *w = wish_new(a, ROLE_AGENT, id, MSG_expand);

	w->job.expand = *job;
	w->done.expand = done;
	wish_begin(w, ctx);
}

void
agents_run(struct agents *a, const struct agent_id *id,
    const struct msg_run *job,
    void (*done)(void *, const struct msg_run_done *), void *ctx)
{
	struct wish *w = wish_new(a, ROLE_COMMAND, id, MSG_run);

	w->job.run = *job;
	w->done.run = done;
	wish_begin(w, ctx);
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

			if (w->id.uid != m->uid || w->id.gid != m->gid ||
			    w->crew->role != m->role ||
			    !str_eq(w->id.root, m->root))
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
