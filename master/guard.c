/*
 * guard - the small process that starts a new master when this one is
 * killed. It is a socket's other end: it says its pid, and we say a byte when
 * we leave of our own will. Each minds that the other is not stopped.
 */
#include <unistd.h>

#include "master/master.h"

#define AGAIN_MS	100

static void
on_guard(void *ctx, unsigned what)
{
	struct master *m = ctx;
	uint64_t pid;
	char text[16];
	ssize_t n = read(m->guard_fd, text, sizeof(text));

	(void)what;
	if (n > 0) {
		if (str_number((struct str){ text, (size_t)n }, &pid) &&
		    pid <= INT32_MAX)
			m->guard_pid = (pid_t)pid;
		return;
	}
	/* It was killed: another one, but not in a tight circle. */
	watch_free(&m->guard);
	fd_close(&m->guard_fd);
	m->guard_pid = 0;
	timer_set(m->tick, AGAIN_MS);
}

/* One is there: from now on, or since the program before. */
void
guard_watch(struct master *m)
{
	if (m->guard_fd < 0 || m->guard != NULL)
		return;
	m->guard = watch_new(m->loop, m->guard_fd, on_guard, m);
	watch_want(m->guard, WATCH_READ);
}

/* Sees to it that there is one, once the start is over. */
void
guard_keep(struct master *m)
{
	if (m->foreground || m->ready_fd >= 0 || m->life != LIFE_RUN)
		return;
	if (m->guard_fd < 0 && root_guard(m) != 0) {
		log_warn("no guard was started: if master is killed, nobody "
		    "starts it again");
		return;
	}
	guard_watch(m);
	root_guard_wake(m->guard_pid);
}
