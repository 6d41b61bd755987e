/*
 * The channels that a process has to others of its instance, by role and
 * service name, and those who wait for one to come.
 *
 * A channel that breaks while both ends live (it was full, a frame was bad)
 * is made anew: one side asks master for it, until it comes or the other is
 * known to be gone by then. Its talks are over, as with a death.
 */
#include "service/internal.h"

#define LOST_MS		500	/* between two questions to master */
#define LOST_TRIES	20

struct wait_peer {
	struct list	 link;
	struct service	*service;
	enum role	 role;
	char		*name;
	struct timer	*timer;
	void		(*fn)(void *ctx, struct channel *);
	void		*ctx;
};

static void	 peer_solo(void *, struct channel *, enum msg, const void *);
static void	 peer_talk(void *, struct channel *, struct talk *, enum msg);
static void	 peer_drained(void *, struct channel *);
static void	 peer_leaving(void *, struct channel *);
static void	 peer_gone(void *, struct channel *);
static void	 wait_late(void *);
static void	 peer_free(struct peer *);
static void	 ask_for_lost(void *);

static const struct channel_ops peer_ops = {
	.on_solo = peer_solo,
	.on_talk = peer_talk,
	.on_drained = peer_drained,
	.on_leaving = peer_leaving,
	.on_gone = peer_gone,
};

static bool
fits(const char *have, struct str want)
{
	return (want.n == 0 || str_eq(str_of(have), want));
}

/* Serves those who wait, one by one: each may change the list. */
static void
serve_waits(struct service *s, enum role role, const char *name,
    struct channel *channel)
{
	struct wait_peer *w;
	bool more = true;

	while (more) {
		more = false;
		list_each(l, &s->waits) {
			w = container_of(l, struct wait_peer, link);
			if (w->role != role || !fits(name, str_of(w->name)))
				continue;
			struct wait_peer *done = w;
			void (*fn)(void *, struct channel *) = w->fn;
			void *ctx = w->ctx;

			service_wait_cancel(&done);
			fn(ctx, channel);
			more = true;
			break;
		}
	}
}

/* A new channel to a process that we had one to: the one before is over. */
static void
forget_same(struct list *peers, const struct msg_peer *m)
{
	list_each(l, peers) {
		struct peer *p = container_of(l, struct peer, link);

		if (p->role != m->role || p->instance != m->instance)
			continue;
		if (p->channel != NULL)
			peer_gone(p, p->channel);
		else
			peer_free(p);
		return;
	}
}

void
peers_add(struct service *s, const struct msg_peer *m)
{
	struct arena *arena;
	struct peer *p;

	if (m->channel < 0)
		return;
	if (m->role >= ROLE__MAX) {
		log_warn("master names a peer of unknown role %llu",
		    (unsigned long long)m->role);
		service_exit(s);
		return;
	}
	forget_same(&s->peers, m);
	forget_same(&s->lost, m);
	arena = arena_new(4096);
	p = mem_new(sizeof(*p));
	p->service = s;
	p->side = (unsigned)m->side;
	p->role = (enum role)m->role;
	p->instance = m->instance;
	p->name = mem_strdup(arena_cstr(arena, str_first(m->service, 1000)));
	arena_free(&arena);
	list_append(&s->peers, &p->link);
	p->channel = channel_new(s->loop, m->channel, s->def->role, p->role,
	    (unsigned)m->side, &peer_ops, p);
	if (s->draining)
		channel_leave(p->channel);
	if (s->def->on_peer != NULL)
		s->def->on_peer(s->def->ctx, p->channel, str_of(p->name));
	serve_waits(s, p->role, p->name, p->channel);
}

void
peers_leave(struct service *s)
{
	list_each(l, &s->peers)
		channel_leave(container_of(l, struct peer, link)->channel);
}

bool
peers_parted(struct service *s)
{
	list_each(l, &s->peers)
		if (!channel_parted(container_of(l, struct peer,
		    link)->channel))
			return (false);
	return (true);
}

size_t
peers_talks(struct service *s)
{
	size_t n = 0;

	list_each(l, &s->peers)
		n += channel_talks(container_of(l, struct peer,
		    link)->channel);
	return (n);
}

size_t
peers_unsent(struct service *s)
{
	size_t n = 0;

	list_each(l, &s->peers)
		n += channel_unsent(container_of(l, struct peer,
		    link)->channel);
	return (n);
}

struct channel *
service_peer(struct service *s, enum role role, struct str name)
{
	struct channel *best = NULL;
	size_t least = 0;

	list_each(l, &s->peers) {
		struct peer *p = container_of(l, struct peer, link);
		size_t n;

		if (p->role != role || p->leaving || !fits(p->name, name))
			continue;
		n = channel_talks(p->channel);
		if (best == NULL || n < least) {
			best = p->channel;
			least = n;
		}
	}
	return (best);
}

uint64_t
service_peer_instance(struct service *s, struct channel *channel)
{
	list_each(l, &s->peers) {
		struct peer *p = container_of(l, struct peer, link);

		if (p->channel == channel)
			return (p->instance);
	}
	return (0);
}

void
service_each_peer(struct service *s, enum role role,
    void (*fn)(void *ctx, struct channel *, struct str name), void *ctx)
{
	list_each(l, &s->peers) {
		struct peer *p = container_of(l, struct peer, link);

		if (p->role == role)
			fn(ctx, p->channel, str_of(p->name));
	}
}

struct wait_peer *
service_wait_peer(struct service *s, enum role role, struct str name,
    int64_t ms, void (*fn)(void *ctx, struct channel *), void *ctx)
{
	struct channel *channel = service_peer(s, role, name);
	struct arena *arena;
	struct wait_peer *w;

	if (channel != NULL || ms <= 0) {
		fn(ctx, channel);
		return (NULL);
	}
	arena = arena_new(4096);
	w = mem_new(sizeof(*w));
	w->service = s;
	w->role = role;
	w->name = mem_strdup(arena_cstr(arena, str_first(name, 1000)));
	arena_free(&arena);
	w->fn = fn;
	w->ctx = ctx;
	w->timer = timer_new(s->loop, wait_late, w);
	timer_set(w->timer, ms);
	list_append(&s->waits, &w->link);
	return (w);
}

void
service_wait_cancel(struct wait_peer **wp)
{
	struct wait_peer *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	list_remove(&w->link);
	timer_free(&w->timer);
	mem_free(w->name);
	mem_free(w);
}

static void
wait_late(void *ctx)
{
	struct wait_peer *w = ctx;
	void (*fn)(void *, struct channel *) = w->fn;
	void *fn_ctx = w->ctx;

	service_wait_cancel(&w);
	fn(fn_ctx, NULL);
}

static void
peer_solo(void *ctx, struct channel *channel, enum msg id, const void *msg)
{
	struct peer *p = ctx;

	if (p->service->def->on_solo != NULL)
		p->service->def->on_solo(p->service->def->ctx, channel, id,
		    msg);
}

static void
peer_talk(void *ctx, struct channel *channel, struct talk *talk, enum msg id)
{
	struct peer *p = ctx;

	(void)channel;
	p->service->busy_ms = clock_steady_ms();
	if (p->service->def->on_talk == NULL) {
		talk_close(&talk);
		return;
	}
	p->service->def->on_talk(p->service->def->ctx, talk, id);
}

static void
peer_drained(void *ctx, struct channel *channel)
{
	struct peer *p = ctx;

	if (p->service->def->on_drained != NULL)
		p->service->def->on_drained(p->service->def->ctx, channel);
}

/* Its talks go on; the next one is another's. */
static void
peer_leaving(void *ctx, struct channel *channel)
{
	struct peer *p = ctx;

	(void)channel;
	p->leaving = true;
}

/* Off the list first: a talk's on_gone may look for another peer. */
static void
peer_gone(void *ctx, struct channel *channel)
{
	struct peer *p = ctx;
	struct service *s = p->service;
	const struct service_def *def = s->def;

	list_remove(&p->link);
	if (def->on_peer_gone != NULL)
		def->on_peer_gone(def->ctx, channel, str_of(p->name));
	channel_free(&p->channel);
	if (p->side != 0 || p->leaving || s->draining) {
		peer_free(p);
		return;
	}
	list_append(&s->lost, &p->link);
	if (s->lost_timer == NULL)
		s->lost_timer = timer_new(s->loop, ask_for_lost, s);
	if (!timer_is_set(s->lost_timer))
		timer_set(s->lost_timer, LOST_MS);
}

static void
peer_free(struct peer *p)
{
	list_remove(&p->link);
	mem_free(p->name);
	mem_free(p);
}

/* Master answers with a new channel, or not at all: then it is dead. */
static void
ask_for_lost(void *ctx)
{
	struct service *s = ctx;

	list_each(l, &s->lost) {
		struct peer *p = container_of(l, struct peer, link);
		struct msg_peer_lost m = { .role = p->role,
			.instance = p->instance };

		if (p->tries++ == LOST_TRIES || s->draining)
			peer_free(p);
		else
			service_tell_master(s, MSG_peer_lost, &m);
	}
	if (!list_empty(&s->lost))
		timer_set(s->lost_timer, LOST_MS);
}
