/*
 * master - starts and watches all daemons; the only process that is root.
 *
 * It reads main.cf and master.cf, binds sockets, starts children, makes the
 * channels between them, and after that waits for signals and for messages
 * of its children. It reads no byte of a client or of a message, and waits
 * for nobody: not for the log, a socket, or a child.
 *
 *   master -c DIR [-f] [-s] [-t] [-r FD] [-H FD]
 *   -f: stay in the foreground; -s: make the spool, for mail that comes before
 *   the first start, and leave; -t: check all and leave; -r: say ok there
 *   once all is up; -H: take over from the program before (handover.c).
 */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/master.h"
#include "priv/build.h"
#include "service/service.h"

struct options {
	const char *dir;
	int	    ready_fd, handover_fd;
	bool	    foreground, spool, check;
};

static int
fd_number(const char *text)
{
	uint64_t n;

	return (str_number(str_of(text), &n) && n < INT_MAX ? (int)n : -1);
}

static bool
parse(struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){ .ready_fd = -1, .handover_fd = -1 };
	while ((c = getopt(argc, argv, "c:fr:stH:")) != -1)
		switch (c) {
		case 'c':
			o->dir = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'r':
			o->ready_fd = fd_number(optarg);
			break;
		case 's':
			o->spool = true;
			break;
		case 't':
			o->check = true;
			break;
		case 'H':
			o->handover_fd = fd_number(optarg);
			break;
		default:
			return (false);
		}
	return (optind == argc);
}

static char *
own_path(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		die("/proc/self/exe: %s", strerror(errno));
	path[n] = '\0';
	return (mem_strdup(path));
}

/* Prints what is wrong, if it stops us or somebody asked; true: stop. */
static bool
give_up(struct problems *problems, bool all)
{
	bool fatal = problems_fatal(problems);

	if (fatal || all)
		problems_print(problems, stderr);
	if (!fatal && !all)
		return (false);
	problems_free(problems);
	*problems = (struct problems){ 0 };
	return (fatal);
}

/* Would we come up? All that can be seen without a change of anything. */
static int
check(struct master *m, struct problems *problems)
{
	bool fatal;

	if (root_spool(m, m->plan, true, problems) &&
	    !root_is_locked(m->spool_fd))
		listen_check(m, problems);
	(void)root_log_allowed(m->plan, problems);
	fatal = give_up(problems, true);
	return (fatal || !preview_daemons(m) ? 1 : 0);
}

static void
on_signal(void *ctx, int signo)
{
	struct master *m = ctx;

	if (signo == SIGCHLD)
		children_reap(m);
	else if (signo == SIGTERM || signo == SIGINT)
		life_stop(m, signo);
	else if (signo == SIGQUIT)
		life_abort(m);
	else if (signo == SIGUSR2 ||
	    handover_stamp(m->self) != m->self_stamp)
		handover_exec(m);
	else
		life_reload(m);
}

static void
on_tick(void *ctx)
{
	children_tick(ctx);
}

static void
on_look(void *ctx)
{
	children_look(ctx);
}

static void
on_sweep(void *ctx)
{
	workers_sweep(ctx);
}

static void
on_handover(void *ctx)
{
	handover_exec(ctx);
}

static void
flush_log(void *ctx)
{
	(void)ctx;
	log_flush();
}

static void
make_loop(struct master *m)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGQUIT,
		SIGHUP, SIGUSR2 };

	(void)signal(SIGPIPE, SIG_IGN);
	m->loop = loop_new();
	loop_before_sleep(m->loop, flush_log, NULL);
	for (size_t i = 0; i < nitems(signals); i++)
		loop_on_signal(m->loop, signals[i], on_signal, m);
	m->tick = timer_new(m->loop, on_tick, m);
	m->look = timer_new(m->loop, on_look, m);
	m->handover = timer_new(m->loop, on_handover, m);
	m->sweep = timer_new(m->loop, on_sweep, m);
}

static void
tell_unprivileged(void)
{
	const struct passwd *pw = getpwuid(geteuid());
	const char *user = pw != NULL ? pw->pw_name : "this user";

	if (priv_is_root())
		return;
	fprintf(stderr, "postern: started without root: all runs as %s, and "
	    "mail is delivered to %s and to virtual mailboxes alone\n", user,
	    user);
	log_info("started without root: all runs as %s, and mail is delivered "
	    "to %s and to virtual mailboxes alone", user, user);
}

/* The lock, the log; false: said on stderr. */
static bool
own_instance(struct master *m, struct problems *problems)
{
	pid_t other;
	int error;

	error = root_lock(m, m->spool_fd, &other);
	if (error == EWOULDBLOCK)
		fprintf(stderr, "postern: it runs already: master has pid "
		    "%d\n", (int)other);
	else if (error != 0)
		fprintf(stderr, "postern: %s/pid/master.pid: %s\n",
		    m->plan->spool, strerror(error));
	if (error != 0)
		return (false);
	m->log_fd = root_log_file(m->plan, problems);
	return (!give_up(problems, false));
}

static int
run(struct master *m, const struct options *o)
{
	struct problems problems = { 0 };
	bool taken = o->handover_fd >= 0;

	m->plan = plan_load(m, &problems);
	m->planned_ms = clock_steady_ms();
	if (m->plan == NULL || give_up(&problems, false)) {
		(void)give_up(&problems, true);
		return (1);
	}
	if (o->check)
		return (check(m, &problems));
	(void)root_spool(m, m->plan, false, &problems);
	if (o->spool)
		return (give_up(&problems, true) ? 1 : 0);
	if (give_up(&problems, false) || (!taken &&
	    !own_instance(m, &problems)))
		return (1);
	make_loop(m);
	if (taken && !handover_take(m, o->handover_fd))
		die("the program before left no sense");
	service_log_open(m->plan->conf, "master", false);
	if (m->log_fd >= 0)
		log_to_fd(m->log_fd);
	log_info("daemon started -- version " STRF ", configuration %s",
	    STRV(conf_get(m->plan->conf, "mail_version")), m->dir);
	plan_listen(m, &problems);
	if (give_up(&problems, false) && !taken)
		return (1);
	problems_log(&problems);
	problems_free(&problems);
	if (!taken)
		tell_unprivileged();
	status_listen(m);
	guard_watch(m);
	timer_set(m->tick, m->plan->is.daemon_watchdog_time * 1000 / 3);
	children_settle(m);
	children_reap(m);
	loop_run(m->loop);
	return (0);
}

int
main(int argc, char **argv)
{
	struct master *m = mem_new(sizeof(*m));
	const char *seccomp = getenv("POSTERN_SECCOMP");
	struct options o;
	char dir[PATH_MAX];

	if (!parse(&o, argc, argv)) {
		fputs("usage: master [-c directory] [-fst]; it is started by "
		    "postern(1)\n", stderr);
		return (1);
	}
	if (seccomp != NULL && strcmp(seccomp, "off") == 0 &&
	    !POSTERN_TEST_BUILD) {
		fputs("postern: POSTERN_SECCOMP=off is for test builds\n",
		    stderr);
		return (1);
	}
	if (o.dir == NULL)
		o.dir = getenv("MAIL_CONFIG");
	if (o.dir == NULL)
		o.dir = "/etc/postern";
	if (realpath(o.dir, dir) == NULL) {
		fprintf(stderr, "postern: %s: %s; make one with: postern "
		    "setup DIR\n", o.dir, strerror(errno));
		return (1);
	}
	(void)umask(077);
	list_init(&m->children);
	list_init(&m->sockets);
	list_init(&m->wants);
	m->tickets = tickets_new();
	m->dir = dir;
	m->argv = argv;
	m->self = own_path();
	m->self_stamp = handover_stamp(m->self);
	m->started_s = clock_wall_s();
	m->foreground = o.foreground;
	m->ready_fd = o.ready_fd;
	m->spool_fd = m->lock_fd = m->log_fd = m->guard_fd = -1;
	return (run(m, &o));
}
