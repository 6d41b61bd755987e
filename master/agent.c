/*
 * agent - one delivery agent for each uid, on the word of local or virtual.
 *
 * ipc.def lets nobody else ask. The rules here are numbers alone: nothing is
 * looked up while master runs. Never root, never one of our own owners,
 * never below agent_minimum_uid unless listed.
 */
#include <unistd.h>

#include "master/master.h"

#define SETTLED_MS	2000	/* by then all have its channel */
#define WANT_MS	20000	/* who waits longer for its turn is refused */

static struct child *
agent_of(struct master *m, uid_t uid)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role == ROLE_AGENT && c->uid == uid && !c->draining &&
		    c->channel != NULL)
			return (c);
	}
	return (NULL);
}

static size_t
agents_count(struct master *m)
{
	size_t n = 0;

	list_each(l, &m->children)
		n += container_of(l, struct child, link)->role == ROLE_AGENT;
	return (n);
}

static bool
uid_listed(const struct plan *plan, uint64_t uid)
{
	for (size_t i = 0; i < plan->nusers; i++)
		if (plan->users[i] == uid)
			return (true);
	return (false);
}

static bool
gid_listed(const struct plan *plan, uint64_t gid)
{
	for (size_t i = 0; i < plan->ngroups; i++)
		if (plan->groups[i] == gid)
			return (true);
	return (false);
}

const char *
agent_refusal(const struct plan *plan, uint64_t uid, uint64_t gid)
{
	uint64_t least = (uint64_t)plan->is.agent_minimum_uid;

	if (uid >= UINT32_MAX || gid >= UINT32_MAX)
		return ("no such user or group number");
	if (uid == 0 || gid == 0)
		return ("mail is never delivered as root; use an alias");
	if (!priv_is_root())
		return (uid == geteuid() ? NULL :
		    "this instance runs without root and delivers to its own "
		    "user alone");
	for (size_t i = 0; i < plan->nown_uids; i++)
		if (plan->own_uids[i] == uid)
			return ("that user is one of the mail system's own");
	if (uid < least && !uid_listed(plan, uid))
		return ("that user's number is below agent_minimum_uid");
	if (gid < least && !gid_listed(plan, gid))
		return ("that group's number is below agent_minimum_uid");
	return (NULL);
}

static void
refuse(struct child *to, uint64_t uid, const char *reason)
{
	struct msg_agent_refused m = { .uid = uid, .reason = str_of(reason) };

	if (to->channel != NULL)
		channel_send(to->channel, MSG_agent_refused, &m);
}

static void
refuse_all(struct master *m, uid_t uid, const char *reason)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (ipc_speaks(c->role, ROLE_AGENT))
			refuse(c, uid, reason);
	}
}

void
want_free(struct want *w)
{
	list_remove(&w->link);
	mem_free(w->user);
	mem_free(w);
}

/* The one that has been idle longest makes room. */
static void
make_room(struct master *m)
{
	struct child *oldest = NULL;

	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role != ROLE_AGENT || c->draining || c->talks > 0 ||
		    c->idle_ms < 1000)
			continue;
		if (oldest == NULL || c->idle_ms > oldest->idle_ms)
			oldest = c;
	}
	if (oldest != NULL)
		child_drain(oldest);
}

static void
start_or_queue(struct master *m, struct want *w)
{
	if (agents_count(m) >= (size_t)m->plan->is.agent_process_limit) {
		make_room(m);
		timer_set(m->tick, 1000);
		return;
	}
	if (child_start_agent(m, w) == NULL)
		refuse_all(m, w->uid, "master could not start it");
	want_free(w);
}

static struct want *
want_of(struct master *m, uid_t uid)
{
	list_each(l, &m->wants) {
		struct want *w = container_of(l, struct want, link);

		if (w->uid == uid)
			return (w);
	}
	return (NULL);
}

void
agent_wanted(struct child *from, const struct msg_agent_want *msg)
{
	struct master *m = from->master;
	const char *reason = agent_refusal(m->plan, msg->uid, msg->gid);
	struct child *have;
	struct arena *arena;
	struct want *w;

	if (m->life == LIFE_STOP_REST)
		reason = "the mail system is stopping";
	if (reason != NULL) {
		refuse(from, msg->uid, reason);
		return;
	}
	have = agent_of(m, (uid_t)msg->uid);
	if (have != NULL) {
		/*
		 * Whoever asks has lost its channel: the agent is dying, or
		 * the channel alone broke, and only a new agent gets one.
		 */
		have->wanted_again = true;
		if (clock_steady_ms() - have->born_ms > SETTLED_MS)
			child_drain(have);
		return;
	}
	if (want_of(m, (uid_t)msg->uid) != NULL)
		return;
	arena = arena_new(4096);
	w = mem_new(sizeof(*w));
	w->uid = (uid_t)msg->uid;
	w->gid = (gid_t)msg->gid;
	w->user = mem_strdup(arena_cstr(arena, str_first(msg->user, 256)));
	w->since_ms = clock_steady_ms();
	arena_free(&arena);
	list_append(&m->wants, &w->link);
	start_or_queue(m, w);
	children_settle(m);
}

/* Its child struct is still whole. */
void
agent_gone(struct child *c)
{
	struct master *m = c->master;
	struct want *w;

	if (c->wanted_again && m->life != LIFE_STOP_REST && c->ready &&
	    want_of(m, c->uid) == NULL) {
		w = mem_new(sizeof(*w));
		w->uid = c->uid;
		w->gid = c->gid;
		w->user = mem_strdup(c->user);
		w->since_ms = clock_steady_ms();
		list_append(&m->wants, &w->link);
	} else if (!c->ready)
		refuse_all(m, c->uid, "its delivery agent failed to start");
	timer_set(m->tick, 10);
}

void
agents_tick(struct master *m)
{
	int64_t now = clock_steady_ms();
	int64_t idle = conf_number(m->plan->conf, "max_idle") * 1000;

	list_each(l, &m->wants) {
		struct want *w = container_of(l, struct want, link);

		if (now - w->since_ms > WANT_MS) {
			refuse_all(m, w->uid, "too many delivery agents; see "
			    "agent_process_limit");
			want_free(w);
		} else
			start_or_queue(m, w);
	}
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role == ROLE_AGENT && c->talks == 0 &&
		    c->idle_ms > idle)
			child_drain(c);
	}
	children_settle(m);
}
