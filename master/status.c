/*
 * status - private/master: whoever connects is told what runs, and asked
 * nothing. Only root (or the instance's user) can reach that directory.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "master/master.h"

static const char *
state_of(const struct child *c)
{
	if (c->stopped_ms != 0)
		return ("stopped");
	if (c->draining)
		return ("leaving");
	if (!c->ready)
		return ("starting");
	return (agent_is(c->role) || c->service != NULL ? "running" :
	    "retiring");
}

/* "program service pid seconds restarts state talks", a line each. */
void
status_print(struct master *m, struct buf *out)
{
	int64_t now = clock_steady_ms();

	/* The last word tells one plan from the next: postern reload waits. */
	buf_printf(out, "master - %d %lld 0 %s %lld\n", (int)getpid(),
	    (long long)(clock_wall_s() - m->started_s),
	    m->announced ? "running" : "starting", (long long)m->planned_ms);
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		buf_printf(out, "%s %s %d %lld %llu %s %llu\n",
		    process_row(c->role)->program, c->name, (int)c->pid,
		    (long long)(now - c->born_ms) / 1000,
		    (unsigned long long)(c->service != NULL ?
		    c->service->deaths : 0), state_of(c),
		    (unsigned long long)c->talks);
	}
}

static void
on_accept(void *ctx, int fd, const struct sockaddr_storage *sa)
{
	struct buf out;

	(void)sa;
	buf_init(&out, 1 << 20);
	status_print(ctx, &out);
	(void)fd_nonblock(fd);
	if (send(fd, out.p, out.n, MSG_NOSIGNAL) < 0)
		log_debug("status: %s", strerror(errno));
	buf_free(&out);
	fd_close(&fd);
}

void
status_listen(struct master *m)
{
	int fd = root_listen_unix(m->spool_fd, "private/master", 0600);

	if (fd < 0)
		log_warn("private/master: %s", strerror(errno));
	else
		m->status = listener_new(m->loop, fd, on_accept, m);
}
