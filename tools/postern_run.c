/*
 * postern start, stop, reload, status: how the command speaks to master: by
 * the lock on pid/master.pid, by signals, and by what private/master tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/queue.h"
#include "tools/postern.h"

#define STATS_MS	10000	/* for qmgr to answer */
#define STOP_WAIT_MS	60000
#define RELOAD_WAIT_MS	10000	/* for all that is new to be ready */

void
postern_conf(struct postern *p)
{
	if (p->tool.conf == NULL)
		tool_conf(&p->tool, p->dir, EX_CONFIG);
}

const char *
postern_daemon(struct postern *p, const char *program)
{
	static const char *const beside[] = { "../libexec",
		"../libexec/postern" };
	const char *dir = tool_param(&p->tool, "daemon_directory"), *path;
	char self[4096];
	ssize_t n;

	path = arena_printf(p->tool.arena, "%s/%s", dir, program);
	if (conf_raw(p->tool.conf, STR("daemon_directory")) != NULL &&
	    access(path, X_OK) == 0)
		return (path);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	for (size_t i = 0; n > 0 && i < nitems(beside); i++) {
		struct str at = { self, (size_t)n };
		const char *found;

		at = str_first(at, str_rchr(at, '/'));
		found = arena_printf(p->tool.arena, STRF "/%s/%s", STRV(at),
		    beside[i], program);
		if (access(found, X_OK) == 0)
			return (found);
	}
	return (path);
}

bool
postern_run_master(struct postern *p, const char *flag)
{
	char *path = arena_cstr(p->tool.arena,
	    str_of(postern_daemon(p, "master")));
	char *argv[] = { path, (char[]){ "-c" },
		arena_cstr(p->tool.arena, str_of(p->dir)),
		arena_cstr(p->tool.arena, str_of(flag)), NULL };
	int status = 1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execv(path, argv);
		fprintf(stderr, "postern: %s: %s; build the daemons with "
		    "make, or set daemon_directory\n", path,
		    strerror(errno));
		_exit(1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return (false);
	return (pid > 0 && status == 0);
}

/* Master's pid where one holds the lock; 0: none runs. */
static pid_t
running(struct postern *p)
{
	const char *path = arena_printf(p->tool.arena, "%s/pid/master.pid",
	    tool_param(&p->tool, "queue_directory"));
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	pid_t pid = 0;

	if (fd < 0) {
		if (errno != ENOENT)
			tool_fail(&p->tool, EX_NOPERM, "%s: %s", path,
			    strerror(errno));
		return (0);
	}
	if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK &&
	    fd_pread_all(fd, text, sizeof(text) - 1, 0) > 0)
		pid = (pid_t)strtol(text, NULL, 10);
	fd_close(&fd);
	return (pid > 1 ? pid : 0);
}

bool
postern_is_running(struct postern *p)
{
	return (running(p) != 0);
}

static bool
wait_for_end(struct postern *p, int64_t ms)
{
	int64_t until = clock_steady_ms() + ms;

	while (running(p) != 0) {
		if (clock_steady_ms() > until)
			return (false);
		(void)usleep(20000);
	}
	return (true);
}

static _Noreturn void
become_master(struct postern *p, bool foreground, int ready_fd)
{
	char *path = arena_cstr(p->tool.arena,
	    str_of(postern_daemon(p, "master")));
	char *dir = arena_cstr(p->tool.arena, str_of(p->dir));
	char *argv[] = { path, (char[]){ "-c" }, dir, (char[]){ "-f" }, NULL,
		NULL };

	if (!foreground) {
		argv[3] = (char[]){ "-r" };
		argv[4] = arena_printf(p->tool.arena, "%d", ready_fd);
		(void)setsid();
		if (chdir("/") != 0)
			tool_fail(&p->tool, EX_OSERR, "/: %s",
			    strerror(errno));
	}
	execv(path, argv);
	tool_fail(&p->tool, EX_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

/* Started in the background: ours to wait for until it says ok. */
static int
start_and_wait(struct postern *p)
{
	int fd[2], status = 0;
	char text[16];
	ssize_t n;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) != 0)
		tool_fail(&p->tool, EX_OSERR, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		(void)fd_cloexec(fd[1], false);
		become_master(p, false, fd[1]);
	}
	fd_close(&fd[1]);
	if (pid < 0)
		tool_fail(&p->tool, EX_OSERR, "fork: %s", strerror(errno));
	do
		n = read(fd[0], text, sizeof(text));
	while (n < 0 && errno == EINTR);
	fd_close(&fd[0]);
	if (n > 0) {
		printf("postern: started, master has pid %d\n",
		    (int)running(p));
		return (0);
	}
	(void)waitpid(pid, &status, 0);
	fprintf(stderr, "postern: it did not start; see also %s\n",
	    *tool_param(&p->tool, "maillog_file") != '\0' ?
	    tool_param(&p->tool, "maillog_file") : "the system's mail log");
	return (1);
}

int
postern_start(struct postern *p, bool foreground)
{
	pid_t pid;

	if (postern_check(p) != 0) {
		fputs("postern: not started: correct the above first\n",
		    stderr);
		return (1);
	}
	postern_conf(p);
	pid = running(p);
	if (pid != 0)
		tool_fail(&p->tool, EX_UNAVAILABLE, "it runs already: master "
		    "has pid %d", (int)pid);
	log_info("starting the Postern mail system");
	log_flush();
	if (foreground)
		become_master(p, true, -1);
	return (start_and_wait(p));
}

static pid_t
need_running(struct postern *p)
{
	pid_t pid;

	postern_conf(p);
	pid = running(p);
	if (pid == 0)
		tool_fail(&p->tool, EX_UNAVAILABLE, "it is not running");
	return (pid);
}

int
postern_stop(struct postern *p, int signo)
{
	pid_t pid = need_running(p);

	log_info("%s the Postern mail system",
	    signo == SIGTERM ? "stopping" : "aborting");
	/* One that somebody stopped would never hear it. */
	if (kill(pid, signo) != 0 || kill(pid, SIGCONT) != 0)
		tool_fail(&p->tool, EX_NOPERM, "pid %d: %s", (int)pid,
		    strerror(errno));
	if (!wait_for_end(p, STOP_WAIT_MS))
		tool_fail(&p->tool, EX_TEMPFAIL, "master (pid %d) does not "
		    "stop; try: postern abort", (int)pid);
	puts("postern: stopped");
	return (0);
}

/* What master says of itself and its children; false with errno. */
static bool
ask_master(struct postern *p, struct buf *b)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int dir, error = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
	    0);
	char *room;
	ssize_t n;

	dir = open(tool_param(&p->tool, "queue_directory"),
	    O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(sa.sun_path, sizeof(sa.sun_path),
	    "/proc/self/fd/%d/private/master", dir);
	if (dir < 0 || connect(fd, (const struct sockaddr *)&sa,
	    sizeof(sa)) != 0)
		error = errno;
	while (error == 0 && (room = buf_space(b, 4096)) != NULL &&
	    (n = read(fd, room, 4096)) > 0)
		b->n += (size_t)n;
	fd_close(&fd);
	fd_close(&dir);
	errno = error;
	return (error == 0);
}

/* Which plan master works by, and whether all of it is ready. */
static bool
plan_of_master(struct postern *p, uint64_t *plan)
{
	struct str line, word, state = STR("");
	struct buf b;
	bool ready;

	*plan = 0;
	buf_init(&b, 1 << 20);
	(void)ask_master(p, &b);
	line = str_first(buf_view(&b), str_chr(buf_view(&b), '\n'));
	for (unsigned i = 0; str_token(&line, " ", &word); i++)
		if (i == 5)
			state = word;
		else if (i == 6 && !str_number(word, plan))
			*plan = 0;
	ready = str_eq(state, STR("running"));
	buf_free(&b);
	return (ready);
}

/* What is asked of the system after this finds the new configuration. */
static void
wait_for_reload(struct postern *p, uint64_t before)
{
	uint64_t now;

	for (int64_t end = clock_steady_ms() + RELOAD_WAIT_MS;
	    clock_steady_ms() < end; (void)usleep(20000))
		if (plan_of_master(p, &now) && now != before)
			return;
	tool_warn(&p->tool, "not all processes are ready yet; see the log");
}

int
postern_reload(struct postern *p)
{
	pid_t pid = need_running(p);
	uint64_t before;

	if (postern_check(p) != 0)
		tool_fail(&p->tool, EX_CONFIG, "not reloaded: correct the "
		    "above first");
	log_info("refreshing the Postern mail system");
	(void)plan_of_master(p, &before);
	if (kill(pid, SIGHUP) != 0)
		tool_fail(&p->tool, EX_NOPERM, "pid %d: %s", (int)pid,
		    strerror(errno));
	wait_for_reload(p, before);
	puts("postern: reloaded");
	return (0);
}

/* --- status --- */

static bool
count_one(void *ctx, const char *id)
{
	(void)id;
	++*(size_t *)ctx;
	return (true);
}

static void
print_queue(struct postern *p)
{
	struct queue q;
	const char *bad;
	int error = queue_open(&q, tool_param(&p->tool, "queue_directory"),
	    conf_get(p->tool.conf, "hash_queue_names"),
	    (unsigned)conf_number(p->tool.conf, "hash_queue_depth"), &bad);

	if (error != 0) {
		tool_warn(&p->tool, "%s: %s", bad, strerror(error));
		return;
	}
	fputs("queue:", stdout);
	for (unsigned d = Q_MAILDROP; d < Q__MAX; d++) {
		size_t n = 0;

		error = queue_scan(&q, (enum queue_dir)d, count_one, &n);
		if (error == 0)
			printf(" %s %zu", queue_dir_names[d], n);
		else
			printf(" %s ?", queue_dir_names[d]);
	}
	putchar('\n');
	queue_close(&q);
}

static void
print_duration(int64_t s)
{
	if (s >= 86400)
		printf(" %5lldd%02lldh", (long long)s / 86400,
		    (long long)s % 86400 / 3600);
	else if (s >= 3600)
		printf(" %5lldh%02lldm", (long long)s / 3600,
		    (long long)s % 3600 / 60);
	else
		printf(" %5lldm%02llds", (long long)s / 60, (long long)s % 60);
}

/* One line of private/master: program service pid seconds restarts ... */
static void
print_process(struct str line)
{
	struct str program, service, pid, seconds, restarts, state, talks;
	uint64_t s;

	if (!str_token(&line, " ", &program) ||
	    !str_token(&line, " ", &service) || !str_token(&line, " ", &pid) ||
	    !str_token(&line, " ", &seconds) || !str_number(seconds, &s) ||
	    !str_token(&line, " ", &restarts) ||
	    !str_token(&line, " ", &state) || !str_token(&line, " ", &talks))
		return;
	printf("%-9.*s %-22.*s %7.*s", STRV(program), STRV(service),
	    STRV(pid));
	print_duration((int64_t)s);
	printf(" %8.*s  " STRF "\n", STRV(restarts), STRV(state));
}

static void
print_processes(struct postern *p)
{
	struct str rest, line;
	struct buf b;

	buf_init(&b, 1 << 20);
	if (ask_master(p, &b)) {
		printf("%-9s %-22s %7s %8s %9s  %s\n", "program", "service",
		    "pid", "up", "restarts", "state");
		rest = buf_view(&b);
		while (str_token(&rest, "\n", &line))
			print_process(line);
	} else
		tool_warn(&p->tool, "private/master: %s", strerror(errno));
	buf_free(&b);
}

/* Transports and destinations, in qmgr's words. */
static void
print_stats(struct postern *p)
{
	static const char ask[] = "stats\n";
	int fd = tool_connect(&p->tool, "qmgr", STATS_MS);
	struct buf b;
	char *room;
	ssize_t n;

	if (fd < 0) {
		tool_warn(&p->tool, "public/qmgr: %s", strerror(errno));
		return;
	}
	buf_init(&b, 1 << 20);
	if (fd_write_all(fd, ask, sizeof(ask) - 1) == 0)
		while ((room = buf_space(&b, 4096)) != NULL &&
		    (n = read(fd, room, 4096)) > 0)
			b.n += (size_t)n;
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
	close(fd);
}

int
postern_status(struct postern *p)
{
	pid_t pid;

	postern_conf(p);
	pid = running(p);
	if (pid == 0) {
		puts("postern: not running");
		print_queue(p);
		return (1);
	}
	printf("postern: running, master has pid %d\n", (int)pid);
	print_processes(p);
	print_stats(p);
	print_queue(p);
	return (0);
}
