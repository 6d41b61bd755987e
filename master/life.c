/*
 * life - reload, stop, abort: how generations of daemons follow each other.
 *
 * A reload starts a new child for each but qmgr, which reads its
 * configuration in place. An old one is drained when a new one that does its
 * work is ready: there is always somebody who accepts.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/master.h"
#include "service/service.h"

#define STOP_LOOK_MS	50

/* The new plan's log, for master and all children. */
static void
reopen_log(struct master *m, struct problems *problems)
{
	int fd = root_log_file(m->plan, problems);

	service_log_open(m->plan->conf, "master", false);
	if (fd < 0 && conf_get(m->plan->conf, "maillog_file").n > 0)
		return;			/* the old one is better than none */
	if (m->log_fd >= 0)
		log_flush();
	m->log_fd = fd;
	log_to_fd(fd);			/* closes the one before */
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);
		struct msg_log_file msg = { .file = -1 };

		if (c->channel == NULL)
			continue;
		if (fd >= 0)
			msg.file = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		channel_send(c->channel, MSG_log_file, &msg);
	}
}

/* Children of the plan before belong to no service any more; qmgr stays. */
static void
hand_children_over(struct master *m)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);
		struct service *old = c->service, *now;

		c->service = NULL;
		if (agent_is(c->role))
			child_drain(c);
		if (c->role != ROLE_QMGR || old == NULL)
			continue;
		now = plan_find(m->plan, c->role, str_of(c->name));
		if (now == NULL || !service_same(old, now)) {
			child_drain(c);
			continue;
		}
		c->service = now;
		now->deaths = old->deaths;
		if (c->channel != NULL)
			channel_send(c->channel, MSG_reload,
			    &(struct msg_reload){ 0 });
	}
}

struct plan *
life_plan(struct master *m)
{
	struct problems problems = { 0 };
	struct plan *plan = plan_load(m, &problems);

	if (plan == NULL || problems_fatal(&problems) ||
	    !root_spool(m, plan, false, &problems)) {
		problems_log(&problems);
		log_error("the new configuration has errors: the one before "
		    "stays in force");
		plan_free(&plan);
	}
	problems_free(&problems);
	return (plan);
}

/* sd_notify(3): until READY=1 again. */
static void
tell_reload(struct master *m)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_steady_ms() * 1000);
	notify_manager(state);
	m->announced = false;
}

void
life_reload(struct master *m)
{
	struct problems problems = { 0 };
	struct plan *plan, *old = m->plan;

	if (m->life != LIFE_RUN || (plan = life_plan(m)) == NULL)
		return;
	tell_reload(m);
	m->plan = plan;
	m->planned_ms = clock_steady_ms();
	hand_children_over(m);
	plan_listen(m, &problems);
	reopen_log(m, &problems);
	problems_log(&problems);
	problems_free(&problems);
	plan_free(&old);
	log_info("reload -- version " STRF ", configuration %s",
	    STRV(conf_get(m->plan->conf, "mail_version")), m->dir);
	children_settle(m);
	life_retire(m);
}

/* Tells who waits for us that all is up (or not). */
static void
announce(struct master *m)
{
	int null;

	if (m->ready_fd < 0 && m->announced)
		return;
	list_each(l, &m->plan->services) {
		struct service *s = container_of(l, struct service, link);

		if (child_spare(m, s->role, s->name) == NULL)
			return;
	}
	m->announced = true;
	notify_manager("READY=1\nSTATUS=runs");
	if (m->ready_fd < 0)
		return;
	if (write(m->ready_fd, "ok\n", 3) < 0)
		log_debug("nobody waits for us");
	fd_close(&m->ready_fd);
	if (m->foreground)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		(void)dup2(null, fd);
	fd_close(&null);
	guard_keep(m);
}

void
life_retire(struct master *m)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (c->service != NULL || agent_is(c->role) || c->draining)
			continue;
		if (c->role == ROLE_QMGR ||
		    plan_find(m->plan, c->role, str_of(c->name)) == NULL ||
		    child_spare(m, c->role, c->name) != NULL)
			child_drain(c);
	}
	if (m->failed && m->life == LIFE_RUN) {
		fputs("postern: a daemon failed at its start; the log says "
		    "why\n", stderr);
		life_abort(m);
	}
	announce(m);
}

/* --- the end --- */

static bool
is_intake(enum role role)
{
	return (role == ROLE_SMTPD || role == ROLE_PICKUP ||
	    role_worker(role) != ROLE__MAX);
}

static void
drain_some(struct master *m, bool all)
{
	list_each(l, &m->children) {
		struct child *c = container_of(l, struct child, link);

		if (all || is_intake(c->role))
			child_drain(c);
		if (c->stopped_ms != 0)
			(void)kill(c->pid, SIGCONT);
	}
}

void
life_stop(struct master *m, int signo)
{
	if (m->life != LIFE_RUN)
		return;
	log_info("terminating on signal %d", signo);
	notify_manager("STOPPING=1");
	m->life = LIFE_STOP_INTAKE;
	m->stop_ms = clock_steady_ms();
	sockets_close(m);
	drain_some(m, false);
	life_stop_step(m);
}

static void
kill_all(struct master *m)
{
	list_each(l, &m->children)
		(void)kill(container_of(l, struct child, link)->pid, SIGKILL);
}

void
life_abort(struct master *m)
{
	log_info("terminating at once");
	m->life = LIFE_STOP_REST;
	m->stop_ms = clock_steady_ms();
	sockets_close(m);
	kill_all(m);
	life_stop_step(m);
}

/* First who takes mail in, then who works on it, then us. */
void
life_stop_step(struct master *m)
{
	int64_t lasted = clock_steady_ms() - m->stop_ms;
	int64_t most = m->plan->is.shutdown_time * 1000;
	bool intake = false;

	if (m->life == LIFE_RUN)
		return;
	if (list_empty(&m->children))
		life_exit(m, m->failed ? 1 : 0);
	list_each(l, &m->children)
		intake |= is_intake(container_of(l, struct child, link)->role);
	if (m->life == LIFE_STOP_INTAKE && (!intake || lasted > most / 2)) {
		m->life = LIFE_STOP_REST;
		drain_some(m, true);
	}
	if (lasted > most)
		kill_all(m);
	timer_set(m->look, STOP_LOOK_MS);
}

void
life_exit(struct master *m, int status)
{
	if (m->guard_fd >= 0 && write(m->guard_fd, "x", 1) != 1)
		log_warn("the guard is gone: %s", strerror(errno));
	if (m->lock_fd >= 0 && ftruncate(m->lock_fd, 0) != 0)
		log_warn("pid file: %s", strerror(errno));
	log_flush();
	exit(status);
}
