/*
 * child - daemons are born, get their channels, are watched, die, and are
 * born again. Nothing here waits for any of them.
 *
 * After a death the next birth comes after 0.1 s, then twice that, up to
 * BACKOFF_MAX (service_throttle_time for one that never gets ready); a life
 * of CALM_MS makes it 0.1 s again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "master/master.h"

#define BACKOFF_FIRST	100
#define BACKOFF_MAX	2000
#define CALM_MS		10000
#define GOODBYE_MS	2000	/* a child that closed its channel has so long */
#define RELINK_MS	100	/* least time between new channels for a child */

static void	 on_solo(void *, struct channel *, enum msg, const void *);
static void	 on_talk(void *, struct channel *, struct talk *, enum msg);
static void	 on_gone(void *, struct channel *);

static const struct channel_ops ops = {
	.on_solo = on_solo,
	.on_talk = on_talk,
	.on_gone = on_gone,
};

/* --- birth --- */

/* The environment that daemons keep: import_environment, and our own. */
static char **
environment(struct plan *plan, struct arena *arena)
{
	static const char *const own[] = { "POSTERN_SECCOMP",
		"POSTERN_FAKE_CLOCK", "ASAN_OPTIONS", "UBSAN_OPTIONS",
		"LSAN_OPTIONS" };
	struct str rest = conf_get(plan->conf, "import_environment"), item;
	char **envp = NULL;
	size_t n = 0;

	while (conf_list_next(&rest, &item)) {
		const char *value;

		envp = mem_grow(envp, n + 1, sizeof(*envp));
		if (str_chr(item, '=') < item.n)
			envp[n++] = arena_cstr(arena, item);
		else if ((value = getenv(arena_cstr(arena, item))) != NULL)
			envp[n++] = arena_printf(arena, STRF "=%s",
			    STRV(item), value);
	}
	for (size_t i = 0; i < nitems(own); i++) {
		const char *value = getenv(own[i]);

		envp = mem_grow(envp, n + 1, sizeof(*envp));
		if (value != NULL)
			envp[n++] = arena_printf(arena, "%s=%s", own[i],
			    value);
	}
	envp = mem_grow(envp, n + 3, sizeof(*envp));
	envp[n++] = arena_printf(arena, "PATH=/usr/bin:/bin");
	envp[n++] = arena_printf(arena, "POSTERN_LOG_FD=4");
	envp[n] = NULL;
	return (envp);
}

static char **
arguments(struct child *c, struct arena *arena, const char *program)
{
	struct service *s = c->service;
	size_t n = 0, most = 10 + (s != NULL ? s->argc : 0);
	char **argv = mem_grow(NULL, most, sizeof(*argv));

	argv[n++] = arena_cstr(arena, str_of(program));
	argv[n++] = arena_printf(arena, "-c");
	argv[n++] = arena_cstr(arena, str_of(c->master->dir));
	argv[n++] = arena_printf(arena, "-n");
	argv[n++] = c->name;
	if (s == NULL) {
		argv[n++] = arena_printf(arena, "-u");
		argv[n++] = arena_printf(arena, "%u:%u:%s",
		    (unsigned)c->uid, (unsigned)c->gid, c->user);
	}
	if (*c->root != '\0') {
		argv[n++] = arena_printf(arena, "-r");
		argv[n++] = c->root;
	}
	for (size_t i = 0; s != NULL && i < s->argc; i++)
		argv[n++] = s->argv[i];
	argv[n] = NULL;
	return (argv);
}

/* Without a log file 4 stays closed, and POSTERN_LOG_FD is not said. */
static bool
spawn(struct child *c, int fd)
{
	struct master *m = c->master;
	struct arena *arena = arena_new(1 << 22);
	const char *program = process_row(c->role)->program;
	struct spawn s = {
		.path = arena_printf(arena, "%s/%s", m->plan->daemon_dir,
		    program),
		.argv = arguments(c, arena, program),
		.envp = environment(m->plan, arena),
		.channel = fd,
		.log = m->log_fd,
	};
	size_t n = 0;

	while (s.envp[n] != NULL)
		n++;
	if (m->log_fd < 0)
		s.envp[n - 1] = NULL;
	c->pid = root_spawn(&s);
	if (c->pid < 0)
		log_warn("fork for %s: %s", program, strerror(errno));
	mem_free(s.argv);
	mem_free(s.envp);
	arena_free(&arena);
	return (c->pid > 0);
}

static bool
make_pair(int fd[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0, fd) == 0)
		return (true);
	log_warn("socketpair: %s", strerror(errno));
	return (false);
}

static void
send_peer(struct child *to, const struct child *other, unsigned side, int fd)
{
	struct msg_peer peer = {
		.role = other->role,
		.service = str_of(other->name),
		.instance = other->instance,
		.side = side,
		.channel = fd,
	};

	channel_send(to->channel, MSG_peer, &peer);
}

bool
child_connect(struct child *a, struct child *b)
{
	int fd[2];

	if (a->channel == NULL || b->channel == NULL || !make_pair(fd))
		return (false);
	send_peer(a, b, 0, fd[0]);
	send_peer(b, a, 1, fd[1]);
	return (true);
}

/* A front's channel to a worker: worker.c alone makes it. */
static bool
costs_ticket(const struct child *a, const struct child *b)
{
	return ((role_worker(a->role) != ROLE__MAX &&
	    role_is_worker(b->role)) || (role_is_worker(a->role) &&
	    role_worker(b->role) != ROLE__MAX));
}

/* A channel between two, where a row of ipc.def lets one speak. */
static void
connect_pair(struct child *a, struct child *b)
{
	if (a == b || (!ipc_speaks(a->role, b->role) &&
	    !ipc_speaks(b->role, a->role)))
		return;
	if (!costs_ticket(a, b))
		(void)child_connect(a, b);
}

static void
send_listeners(struct child *c)
{
	list_each(l, &c->master->sockets) {
		struct socket_entry *e = container_of(l, struct socket_entry,
		    link);
		struct msg_listen m = { .name = str_of(e->name) };

		if (e->role != c->role || strcmp(e->service, c->name) != 0)
			continue;
		/* One that was taken over may have shut it, for all. */
		if (listen(e->fd, SOMAXCONN) != 0)
			log_warn("listen on %s: %s", e->name, strerror(errno));
		m.socket = fcntl(e->fd, F_DUPFD_CLOEXEC, 3);
		if (m.socket >= 0)
			channel_send(c->channel, MSG_listen, &m);
	}
}

void
child_adopt(struct child *c, int channel_fd)
{
	c->channel_fd = channel_fd;
	c->channel = channel_new(c->master->loop, channel_fd, ROLE_MASTER,
	    c->role, 0, &ops, c);
}

/* A command agent is "uid:gid", or "uid:gid:root". */
static const char *
root_in(const char *name)
{
	const char *p = strchr(name, ':');

	p = p == NULL ? NULL : strchr(p + 1, ':');
	return (p == NULL ? "" : p + 1);
}

struct child *
child_new(struct master *m, enum role role, const char *name)
{
	struct child *c = mem_new(sizeof(*c));

	c->master = m;
	c->role = role;
	c->name = mem_strdup(name);
	c->user = mem_strdup("");
	c->root = mem_strdup(role == ROLE_COMMAND ? root_in(name) : "");
	c->instance = ++m->instances;
	c->born_ms = clock_steady_ms();
	list_append(&m->children, &c->link);
	return (c);
}

/* Fork, exec, channels to all it may speak to, sockets to listen on. */
static bool
give_birth(struct child *c)
{
	int fd[2];

	if (!make_pair(fd))
		return (false);
	if (!spawn(c, fd[1])) {
		fd_close(&fd[0]);
		fd_close(&fd[1]);
		return (false);
	}
	fd_close(&fd[1]);
	child_adopt(c, fd[0]);
	list_each(l, &c->master->children)
		connect_pair(container_of(l, struct child, link), c);
	send_listeners(c);
	return (true);
}

void
child_free(struct child *c)
{
	list_remove(&c->link);
	channel_free(&c->channel);
	mem_free(c->name);
	mem_free(c->user);
	mem_free(c->root);
	ticket_free(&c->ticket);
	mem_free(c->fronts);
	mem_free(c);
}

static void
restart_due(void *ctx)
{
	struct service *s = ctx;

	children_settle(s->master);
}

static void
back_off(struct service *s, int64_t lived_ms, bool was_ready)
{
	int64_t most = BACKOFF_MAX;

	if (!was_ready)
		most = s->master->plan->is.service_throttle_time * 1000;
	if (lived_ms >= CALM_MS || s->backoff_ms == 0)
		s->backoff_ms = BACKOFF_FIRST;
	else
		s->backoff_ms *= 2;
	if (s->backoff_ms > most)
		s->backoff_ms = most;
	if (s->restart == NULL)
		s->restart = timer_new(s->master->loop, restart_due, s);
	timer_set(s->restart, s->backoff_ms);
}

void
child_start(struct service *s)
{
	struct child *c = child_new(s->master, s->role, s->name);

	c->service = s;
	if (!give_birth(c)) {
		child_free(c);
		back_off(s, 0, false);
	}
}

struct child *
child_start_agent(struct master *m, const struct want *w)
{
	struct child *c;
	struct buf name;

	buf_init(&name, 8192);
	buf_printf(&name, "%u:%u%s%s", (unsigned)w->uid, (unsigned)w->gid,
	    *w->root != '\0' ? ":" : "", w->root);
	if (w->ticket != NULL)
		buf_printf(&name, ":" STRF, STRV(w->ticket->is.user));
	c = child_new(m, w->role, buf_cstr(&name));
	buf_free(&name);
	c->uid = w->uid;
	c->gid = w->gid;
	mem_free(c->user);
	c->user = mem_strdup(w->user);
	if (give_birth(c))
		return (c);
	child_free(c);
	return (NULL);
}

static unsigned
count_of(struct service *s)
{
	unsigned n = 0;

	list_each(l, &s->master->children)
		n += container_of(l, struct child, link)->service == s;
	return (n);
}

/* No message may be in two hands: a new qmgr waits until the old let go. */
static bool
must_wait(struct service *s)
{
	if (s->role != ROLE_QMGR)
		return (false);
	list_each(l, &s->master->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role == ROLE_QMGR && !c->released)
			return (true);
	}
	return (false);
}

void
children_settle(struct master *m)
{
	list_each(l, &m->plan->services) {
		struct service *s = container_of(l, struct service, link);

		while (m->life == LIFE_RUN && count_of(s) < s->processes &&
		    !must_wait(s) &&
		    !(s->restart != NULL && timer_is_set(s->restart)))
			child_start(s);
	}
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (!c->begun && c->channel != NULL)
			channel_send(c->channel, MSG_begin,
			    &(struct msg_begin){ 0 });
		c->begun = true;
	}
}

/* A ready child of the plan of now that does the same work. */
struct child *
child_spare(struct master *m, enum role role, const char *name)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->role == role && c->service != NULL && c->ready &&
		    strcmp(c->name, name) == 0)
			return (c);
	}
	return (NULL);
}

/* It tells its peers that it leaves, and ends what it has. */
void
child_drain(struct child *c)
{
	struct msg_drain drain = { .stop = c->master->life != LIFE_RUN };

	if (c->draining && !drain.stop)
		return;
	c->draining = true;
	if (c->channel != NULL)
		channel_send(c->channel, MSG_drain, &drain);
}

/* --- what children say --- */

static void
on_ready(struct child *c)
{
	c->ready = true;
	log_debug("%s[%d] is ready", c->name, (int)c->pid);
	life_retire(c->master);
}

/* Both ends live and their channel broke. The dead get no new one. */
static void
on_peer_lost(struct child *c, const struct msg_peer_lost *m)
{
	int64_t now = clock_steady_ms();

	if (now - c->relinked_ms < RELINK_MS)
		return;			/* it will ask again */
	list_each(l, &c->master->children) {
		struct child *o = container_of(l, struct child, link);

		if (o->instance != m->instance || o->role != m->role)
			continue;
		if (costs_ticket(c, o)) {
			worker_parted(c, o);
			return;
		}
		log_warn("channel between %s[%d] and %s[%d] broke: remade",
		    role_name(c->role), (int)c->pid, role_name(o->role),
		    (int)o->pid);
		c->relinked_ms = now;
		connect_pair(c, o);
		return;
	}
}

/* Another is started in its place, which drains it when it is ready. */
static void
on_renew(struct child *c)
{
	if (c->service == NULL || c->draining)
		return;
	c->service = NULL;
	children_settle(c->master);
}

static void
on_log_lost(struct child *c)
{
	struct msg_log_file file = { .file = -1 };

	if (c->master->log_fd < 0)
		file.file = log_syslog();
	if (file.file >= 0)		/* else it asks again */
		channel_send(c->channel, MSG_log_file, &file);
}

static void
on_solo(void *ctx, struct channel *channel, enum msg id, const void *msg)
{
	struct child *c = ctx;

	(void)channel;
	c->unheard = 0;
	if (id == MSG_ready)
		on_ready(c);
	else if (id == MSG_pong) {
		const struct msg_pong *pong = msg;

		c->talks = pong->talks;
		c->idle_ms = (int64_t)(pong->idle_ms & INT64_MAX);
		c->silent = false;
	} else if (id == MSG_released) {
		c->released = c->draining;
		children_settle(c->master);
	} else if (id == MSG_peer_lost)
		on_peer_lost(c, msg);
	else if (id == MSG_log_lost)
		on_log_lost(c);
	else if (id == MSG_renew)
		on_renew(c);
	else if (id == MSG_agent_want)
		agent_wanted(c, msg);
	else if (id == MSG_ticket)
		worker_ticket(c, msg);
	else if (id == MSG_worker_want)
		worker_wanted(c, msg);
}

static void
on_talk(void *ctx, struct channel *channel, struct talk *talk, enum msg id)
{
	(void)ctx;
	(void)channel;
	(void)id;
	talk_close(&talk);
}

/* It left, or said what it may not say: then it has to go. */
static void
on_gone(void *ctx, struct channel *channel)
{
	struct child *c = ctx;

	(void)channel;
	channel_free(&c->channel);
	c->hurry_ms = clock_steady_ms() + GOODBYE_MS;
	timer_set(c->master->look, CHILD_LOOK_MS);
}

/* --- death --- */

static void
log_death(const struct child *c, int status)
{
	const char *dir = c->master->plan->daemon_dir;
	const char *program = process_row(c->role)->program;

	if (c->master->life != LIFE_RUN && WIFSIGNALED(status))
		return;
	if (WIFSIGNALED(status))
		log_warn("process %s/%s pid %d killed by signal %d", dir,
		    program, (int)c->pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warn("process %s/%s pid %d exit status %d", dir, program,
		    (int)c->pid, WEXITSTATUS(status));
	if (!c->ready && !WIFSIGNALED(status) && c->service != NULL)
		log_warn("%s/%s: bad command startup -- throttling", dir,
		    program);
}

static void
on_death(struct child *c, int status)
{
	struct service *s = c->service;
	struct master *m = c->master;

	log_death(c, status);
	if (s != NULL) {
		s->deaths++;
		back_off(s, clock_steady_ms() - c->born_ms, c->ready);
	}
	if (s != NULL && !c->ready && m->ready_fd >= 0)
		m->failed = true;
	if (agent_is(c->role))
		agent_gone(c);
	workers_forget(c);
	child_free(c);
}

static struct child *
by_pid(struct master *m, pid_t pid)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->pid == pid)
			return (c);
	}
	return (NULL);
}

static void
on_change(struct master *m, struct child *c, int status)
{
	if (WIFSTOPPED(status)) {
		c->stopped_ms = clock_steady_ms();
		timer_set(m->look, CHILD_LOOK_MS);
	} else if (WIFCONTINUED(status)) {
		c->stopped_ms = 0;
		c->unheard = 0;
	} else
		on_death(c, status);
}

void
children_reap(struct master *m)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED |
	    WCONTINUED)) > 0) {
		c = by_pid(m, pid);
		if (c != NULL)
			on_change(m, c, status);
	}
	if (m->life == LIFE_RUN) {
		life_retire(m);
		children_settle(m);
	} else
		life_stop_step(m);
}
