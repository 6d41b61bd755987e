/*
 * handover - master's own program was replaced: become the new one, with
 * all children, channels and listening sockets.
 *
 * A memfd holds one line for each; the program after reads it. Both are
 * ours, but a line that makes no sense ends the hand-over all the same.
 * Tickets are not handed over: who holds one logs in again.
 *
 *   lock FD / log FD / guard PID FD / instances N / started SECONDS
 *   child PID ROLE INSTANCE FD UID GID STATE NAME USER
 *   socket FD ROLE NAME SERVICE
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/master.h"

#define STATE_MAX	(1 << 22)
#define TRIES_MAX	100
#define TRY_MS		50

int64_t
handover_stamp(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (0);
	return ((int64_t)st.st_ino ^ ((int64_t)st.st_mtime << 20) ^
	    st.st_size);
}

enum { STATE_READY = 1 << 0, STATE_RELEASED = 1 << 1 };

static int
state_of(const struct child *c)
{
	return ((c->ready ? STATE_READY : 0) |
	    (c->released ? STATE_RELEASED : 0));
}

static void
write_state(struct master *m, struct buf *b)
{
	buf_printf(b, "lock %d\nlog %d\nguard %d %d\n", m->lock_fd, m->log_fd,
	    (int)m->guard_pid, m->guard_fd);
	buf_printf(b, "instances %llu\nstarted %lld\n",
	    (unsigned long long)m->instances, (long long)m->started_s);
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		buf_printf(b, "child %d %s %llu %d %u %u %d %s %s\n",
		    (int)c->pid, process_row(c->role)->program,
		    (unsigned long long)c->instance,
		    c->channel != NULL ? c->channel_fd : -1, (unsigned)c->uid,
		    (unsigned)c->gid, state_of(c), c->name,
		    *c->user != '\0' ? c->user : "-");
	}
	list_each(l, &m->sockets) {
		struct socket_entry *e = container_of(l, struct socket_entry,
		    link);

		buf_printf(b, "socket %d %s %s %s\n", e->fd,
		    process_row(e->role)->program, e->name, e->service);
	}
}

static int *
kept_fds(struct master *m, int state, size_t *n)
{
	int *keep = NULL;

	*n = 0;
	keep = mem_grow(keep, 4, sizeof(*keep));
	keep[(*n)++] = state;
	keep[(*n)++] = m->lock_fd;
	keep[(*n)++] = m->log_fd;
	keep[(*n)++] = m->guard_fd;
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		keep = mem_grow(keep, *n + 1, sizeof(*keep));
		keep[(*n)++] = c->channel != NULL ? c->channel_fd : -1;
	}
	list_each(l, &m->sockets) {
		keep = mem_grow(keep, *n + 1, sizeof(*keep));
		keep[(*n)++] = container_of(l, struct socket_entry, link)->fd;
	}
	return (keep);
}

/* Bytes that a channel still holds would be lost: wait for them. */
static bool
channels_empty(struct master *m)
{
	channel_flush_all();
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->channel != NULL && channel_unsent(c->channel) > 0)
			return (false);
	}
	return (true);
}

void
handover_exec(struct master *m)
{
	char number[16];
	char *argv[] = { m->argv[0], (char[]){ "-c" },
		(char *)(uintptr_t)m->dir, (char[]){ "-H" }, number,
		m->foreground ? (char[]){ "-f" } : NULL, NULL };
	struct plan *plan;
	struct buf state;
	size_t n;
	int fd, *keep;

	/* The new one would find the same errors, and no way back. */
	if (m->life != LIFE_RUN || (plan = life_plan(m)) == NULL)
		return;
	plan_free(&plan);
	workers_give_up(m);
	if (!channels_empty(m) && m->handover_tries++ < TRIES_MAX) {
		timer_set(m->handover, TRY_MS);
		return;
	}
	m->handover_tries = 0;
	log_info("becoming the new %s", m->self);
	log_flush();
	buf_init(&state, STATE_MAX);
	write_state(m, &state);
	fd = memfd_create("master", MFD_CLOEXEC);
	if (fd < 0 || fd_write_all(fd, state.p, state.n) != 0) {
		log_error("hand-over failed: %s", strerror(errno));
		fd_close(&fd);
		buf_free(&state);
		return;
	}
	snprintf(number, sizeof(number), "%d", fd);
	keep = kept_fds(m, fd, &n);
	root_exec(m->self, argv, keep, n);
	log_error("%s: %s: this one goes on", m->self, strerror(errno));
	mem_free(keep);
	fd_close(&fd);
	buf_free(&state);
}

static bool
word_number(struct str *line, int64_t *out)
{
	struct str word;
	uint64_t n;
	bool minus;

	if (!str_token(line, " ", &word))
		return (false);
	minus = str_starts(word, STR("-"));
	if (!str_number(str_from(word, minus), &n) || n > INT64_MAX)
		return (false);
	*out = minus ? -(int64_t)n : (int64_t)n;
	return (true);
}

static bool
word_text(struct str *line, char *out, size_t size)
{
	struct str word;

	if (!str_token(line, " ", &word) || word.n >= size)
		return (false);
	memcpy(out, word.p, word.n);
	out[word.n] = '\0';
	return (true);
}

static bool
take_child(struct master *m, struct str line)
{
	int64_t pid, instance, fd, uid, gid, state;
	char program[64], name[1024], user[512];
	const struct process_row *row;
	struct child *c;

	if (!word_number(&line, &pid) ||
	    !word_text(&line, program, sizeof(program)) ||
	    !word_number(&line, &instance) || !word_number(&line, &fd) ||
	    !word_number(&line, &uid) || !word_number(&line, &gid) ||
	    !word_number(&line, &state) ||
	    !word_text(&line, name, sizeof(name)) ||
	    !word_text(&line, user, sizeof(user)))
		return (false);
	row = process_row_by_program(program);
	if (row == NULL || pid <= 1)
		return (false);
	c = child_new(m, row->role, name);
	c->pid = (pid_t)pid;
	c->instance = (uint64_t)instance;
	c->uid = (uid_t)uid;
	c->gid = (gid_t)gid;
	c->ready = (state & STATE_READY) != 0;
	c->released = (state & STATE_RELEASED) != 0;
	c->begun = true;
	if (strcmp(user, "-") != 0) {
		mem_free(c->user);
		c->user = mem_strdup(user);
	}
	if (fd >= 0) {
		(void)fd_cloexec((int)fd, true);
		child_adopt(c, (int)fd);
	}
	return (true);
}

static bool
take_socket(struct master *m, struct str line)
{
	char program[64], name[1024], service[1024];
	const struct process_row *row;
	struct socket_entry *e;
	int64_t fd;

	if (!word_number(&line, &fd) ||
	    !word_text(&line, program, sizeof(program)) ||
	    !word_text(&line, name, sizeof(name)) ||
	    !word_text(&line, service, sizeof(service)))
		return (false);
	row = process_row_by_program(program);
	if (row == NULL || fd < 0)
		return (false);
	e = mem_new(sizeof(*e));
	e->fd = (int)fd;
	(void)fd_cloexec(e->fd, true);
	e->role = row->role;
	e->name = mem_strdup(name);
	e->service = mem_strdup(service);
	list_append(&m->sockets, &e->link);
	return (true);
}

static bool
take_line(struct master *m, struct str line)
{
	struct str word;
	int64_t n, fd;

	if (!str_token(&line, " ", &word))
		return (true);
	if (str_eq(word, STR("child")))
		return (take_child(m, line));
	if (str_eq(word, STR("socket")))
		return (take_socket(m, line));
	if (!word_number(&line, &n))
		return (false);
	if (str_eq(word, STR("lock")))
		m->lock_fd = (int)n;
	else if (str_eq(word, STR("log")))
		m->log_fd = (int)n;
	else if (str_eq(word, STR("instances")))
		m->instances = (uint64_t)n;
	else if (str_eq(word, STR("started")))
		m->started_s = n;
	else if (str_eq(word, STR("guard")) && word_number(&line, &fd)) {
		m->guard_pid = (pid_t)n;
		m->guard_fd = (int)fd;
	} else
		return (false);
	return (true);
}

bool
handover_take(struct master *m, int fd)
{
	struct str rest, line;
	struct buf state;
	uint64_t instances;
	ssize_t n;
	bool good = true;

	buf_init(&state, STATE_MAX);
	n = fd_pread_all(fd, buf_space(&state, STATE_MAX / 2), STATE_MAX / 2,
	    0);
	state.n = n > 0 ? (size_t)n : 0;
	rest = buf_view(&state);
	/* child_new() counts too: what the lines say stands in the end. */
	while (good && str_token(&rest, "\n", &line))
		good = take_line(m, line);
	instances = m->instances;
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->instance > instances)
			instances = c->instance;
		if (agent_is(c->role))
			child_drain(c);
	}
	m->instances = instances;
	(void)fd_cloexec(m->lock_fd, true);
	(void)fd_cloexec(m->log_fd, true);
	(void)fd_cloexec(m->guard_fd, true);
	buf_free(&state);
	fd_close(&fd);
	return (good && m->lock_fd >= 0);
}
