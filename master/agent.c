/*
 * agent - one delivery agent for each uid and group, on the word of local,
 * virtual or pipe: an agent for mailboxes, a command agent for commands.
 *
 * ipc.def lets nobody else ask. The rules here are numbers alone: nothing is
 * looked up while master runs. Never root, never one of our own owners,
 * never below agent_minimum_uid unless listed. Workers, which read mail for a
 * ticket (worker.c), are agents by another right: the same rules, queue, end.
 */
#include <unistd.h>

#include "master/master.h"

#define SETTLED_MS	2000	/* by then all have its channel */
#define ROOM_MS		50	/* idle so long: another owner's turn */
#define WANT_MS	20000	/* who waits longer for its turn is refused */

bool
agent_is(enum role role)
{
	return (process_row(role)->owner == OWNER_TARGET);
}

static struct child *
agent_of(struct master *m, const struct msg_agent_want *w)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role == w->role && c->uid == w->uid &&
		    c->gid == w->gid && str_eq(str_of(c->root), w->root) &&
		    !c->draining && c->channel != NULL)
			return (c);
	}
	return (NULL);
}

static size_t
agents_count(struct master *m, enum role role)
{
	size_t n = 0;

	list_each(l, &m->children)
		n += container_of(l, struct child, link)->role == role;
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

bool
agent_root_listed(const struct plan *plan, struct str root)
{
	for (size_t i = 0; i < plan->nroots; i++)
		if (str_eq(str_of(plan->roots[i]), root))
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
		return ("mail is never delivered or read as root; use an alias");
	if (!priv_is_root())
		return (uid == geteuid() ? NULL :
		    "this instance runs without root and works for its own "
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
refuse(struct child *to, const struct msg_agent_want *w, const char *reason)
{
	struct msg_agent_refused m = { .role = w->role, .uid = w->uid,
		.gid = w->gid, .root = w->root, .reason = str_of(reason) };

	if (to->channel != NULL)
		channel_send(to->channel, MSG_agent_refused, &m);
}

/* All who may have asked for it. */
static void
refuse_all(struct master *m, const struct msg_agent_want *w,
    const char *reason)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (ipc_speaks(c->role, (enum role)w->role) &&
		    c->role != ROLE_MASTER)
			refuse(c, w, reason);
	}
}

static struct msg_agent_want
as_asked(enum role role, uid_t uid, gid_t gid, const char *root)
{
	return ((struct msg_agent_want){ .role = role, .uid = uid,
	    .gid = gid, .root = str_of(root) });
}

void
want_free(struct want *w)
{
	list_remove(&w->link);
	mem_free(w->user);
	mem_free(w->root);
	ticket_free(&w->ticket);
	mem_free(w);
}

static void
refuse_want(struct master *m, const struct want *w, const char *reason)
{
	struct msg_agent_want asked = as_asked(w->role, w->uid, w->gid,
	    w->root);

	if (w->ticket != NULL)
		worker_refuse(m, w, reason);
	else
		refuse_all(m, &asked, reason);
}

static size_t
wants_count(struct master *m, enum role role)
{
	size_t n = 0;

	list_each(l, &m->wants)
		n += container_of(l, struct want, link)->role == role;
	return (n);
}

/*
 * The one that has been idle longest makes room, unless there are as many on
 * their way out as are waited for. What the others do they are asked: known
 * at the next try.
 */
static void
make_room(struct master *m, enum role role)
{
	struct child *oldest = NULL;
	size_t leaving = 0;

	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role != role)
			continue;
		leaving += c->draining;
		if (c->draining || c->channel == NULL)
			continue;
		if (c->talks == 0 && c->idle_ms >= ROOM_MS &&
		    (oldest == NULL || c->idle_ms > oldest->idle_ms))
			oldest = c;
		(void)child_ask(c);
	}
	if (oldest != NULL && leaving < wants_count(m, role))
		child_drain(oldest);
	timer_set(m->tick, ROOM_MS);
}

void
want_start(struct master *m, struct want *w)
{
	struct child *c;
	int64_t most = w->ticket != NULL ? m->plan->is.worker_process_limit :
	    m->plan->is.agent_process_limit;

	if (w->ticket != NULL && worker_is_there(m, w)) {
		want_free(w);
		return;
	}
	if (agents_count(m, w->role) >= (size_t)most) {
		make_room(m, w->role);
		return;
	}
	c = child_start_agent(m, w);
	if (c == NULL)
		refuse_want(m, w, "master could not start it");
	else if (w->ticket != NULL)
		worker_is_born(c, w);
	want_free(w);
}

static struct want *
want_of(struct master *m, const struct msg_agent_want *asked)
{
	list_each(l, &m->wants) {
		struct want *w = container_of(l, struct want, link);

		if (w->role == asked->role && w->uid == asked->uid &&
		    w->gid == asked->gid &&
		    str_eq(str_of(w->root), asked->root))
			return (w);
	}
	return (NULL);
}

static void
want_new(struct master *m, const struct msg_agent_want *asked,
    const char *user)
{
	struct want *w = mem_new(sizeof(*w));

	w->role = (enum role)asked->role;
	w->uid = (uid_t)asked->uid;
	w->gid = (gid_t)asked->gid;
	w->user = mem_strdup(user);
	w->root = mem_copy(asked->root);
	w->since_ms = clock_steady_ms();
	list_append(&m->wants, &w->link);
}

void
agent_wanted(struct child *from, const struct msg_agent_want *msg)
{
	struct master *m = from->master;
	const char *reason = agent_refusal(m->plan, msg->uid, msg->gid);
	struct child *have;
	struct arena *arena;

	if (m->life == LIFE_STOP_REST)
		reason = "the mail system is stopping";
	if (msg->role >= ROLE__MAX || !agent_is((enum role)msg->role) ||
	    !ipc_speaks(from->role, (enum role)msg->role))
		reason = "it was not its to ask";
	if (msg->root.n > 0 && (from->role != ROLE_PIPE ||
	    msg->role != ROLE_COMMAND || !priv_is_root() ||
	    !agent_root_listed(m->plan, msg->root)))
		reason = "no line of master.cf has that chroot=";
	if (reason != NULL) {
		refuse(from, msg, reason);
		return;
	}
	have = agent_of(m, msg);
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
	if (want_of(m, msg) != NULL)
		return;
	arena = arena_new(4096);
	want_new(m, msg, arena_cstr(arena, str_first(msg->user, 256)));
	arena_free(&arena);
	want_start(m, container_of(m->wants.prev, struct want, link));
	children_settle(m);
}

/* Its child struct is still whole. */
void
agent_gone(struct child *c)
{
	struct master *m = c->master;
	struct msg_agent_want asked = as_asked(c->role, c->uid, c->gid,
	    c->root);

	if (role_is_worker(c->role))
		;		/* its fronts see their channels end */
	else if (c->wanted_again && m->life != LIFE_STOP_REST && c->ready &&
	    want_of(m, &asked) == NULL)
		want_new(m, &asked, c->user);
	else if (!c->ready)
		refuse_all(m, &asked, "its delivery agent failed to start");
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
			refuse_want(m, w, w->ticket != NULL ?
			    "too many workers; see worker_process_limit" :
			    "too many delivery agents; see "
			    "agent_process_limit");
			want_free(w);
		} else
			want_start(m, w);
	}
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (agent_is(c->role) && c->talks == 0 &&
		    c->idle_ms > idle)
			child_drain(c);
	}
	children_settle(m);
}
