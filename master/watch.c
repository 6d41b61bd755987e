/*
 * watch - which children do nothing any more: asked, and at last killed.
 *
 * All are pinged a third of daemon_watchdog_time apart. A look at one that is
 * silent counts where it could have answered: not when this process itself
 * came late, since then the whole machine stood still; not when the child
 * waits for a disk or for a processor. Mail under way dies with a process, so
 * one that is merely slow must live.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "master/master.h"

#define LOOKS		3	/* at one that could have answered */
#define STAT_STATE	0	/* words of proc(5)'s stat, behind the name */
#define STAT_UTIME	11
#define STAT_STIME	12

/* Its state, and the processor time that it has had; false: not known. */
static bool
read_stat(pid_t pid, char *state, int64_t *cpu_ms)
{
	int64_t ticks_s = sysconf(_SC_CLK_TCK);
	char path[64], text[2048];
	struct str rest, word;
	uint64_t ticks = 0, n;
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		got = read(fd, text, sizeof(text));
	fd_close(&fd);
	if (got <= 0 || ticks_s <= 0)
		return (false);
	rest = (struct str){ text, (size_t)got };
	rest = str_from(rest, str_rchr(rest, ')') + 1);
	for (int i = 0; i <= STAT_STIME; i++) {
		if (!str_token(&rest, " \n", &word))
			return (false);
		if (i == STAT_STATE)
			*state = word.p[0];
		else if (i >= STAT_UTIME && str_number(word, &n))
			ticks += n;
	}
	*cpu_ms = (int64_t)(ticks & INT64_MAX) * 1000 / ticks_s;
	return (true);
}

/* It waits for a disk, or it could run and was not let. */
static bool
is_starving(struct child *c, int64_t ms)
{
	int64_t before = c->cpu_ms;
	char state = '\0';

	if (!read_stat(c->pid, &state, &c->cpu_ms))
		return (false);
	return (state == 'D' ||
	    (state == 'R' && c->cpu_ms - before < ms / 10));
}

bool
child_ask(struct child *c)
{
	struct msg_ping ping = { .number = ++c->master->pings };

	if (c->channel == NULL || c->silent)
		return (false);
	c->silent = true;
	channel_send(c->channel, MSG_ping, &ping);
	return (true);
}

static void
look_at(struct child *c, int64_t ms, bool counts)
{
	if (child_ask(c))
		return;
	if (!c->silent || c->stopped_ms != 0 || !counts || is_starving(c, ms) ||
	    ++c->unheard < LOOKS)
		return;
	log_warn("process %s pid %d gives no sign of life: killed",
	    process_row(c->role)->program, (int)c->pid);
	(void)kill(c->pid, SIGKILL);
}

/* Comes early where somebody waits for an agent: that is no look. */
void
children_tick(struct master *m)
{
	int64_t each = m->plan->is.daemon_watchdog_time * 1000 / LOOKS;
	int64_t now = clock_steady_ms(), ms = now - m->looked_ms;

	if (ms >= each) {
		m->looked_ms = now;
		list_each(l, &m->children)
			look_at(container_of(l, struct child, link), ms,
			    ms < 2 * each);
	}
	timer_set(m->tick, each);
	guard_keep(m);
	agents_tick(m);
}

/* Those who are stopped, or should be gone. Rests when there are none. */
void
children_look(struct master *m)
{
	int64_t now = clock_steady_ms(), patience;
	bool more = false;

	patience = m->plan->is.daemon_stopped_time * 1000;
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->hurry_ms != 0 && now >= c->hurry_ms)
			(void)kill(c->pid, SIGKILL);
		else if (c->stopped_ms != 0 &&
		    now - c->stopped_ms >= patience) {
			log_warn("process %s pid %d was stopped by somebody: "
			    "continued", process_row(c->role)->program,
			    (int)c->pid);
			(void)kill(c->pid, SIGCONT);
			c->stopped_ms = now;
		}
		more |= c->hurry_ms != 0 || c->stopped_ms != 0;
	}
	if (m->life != LIFE_RUN)
		life_stop_step(m);
	else if (more)
		timer_set(m->look, CHILD_LOOK_MS);
}
