/*
 * root_spawn - fork and exec: a child is born with its channel as 3, the log
 * as 4, nothing else of ours, and all signals as at login.
 *
 * The child drops root by itself (priv_enter) before it reads a byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"

#define GUARD_LOOK_MS 2000
#define HIGH_FD	64	/* above all that a child is given */

/* Puts fd where it shall be, without stepping on another. */
static bool
place(int fd, int at)
{
	return (fd < 0 ? true : dup2(fd, at) == at);
}

static _Noreturn void
child_run(const struct spawn *s)
{
	int null = open("/dev/null", O_RDWR), channel, log = -1;

	channel = fcntl(s->channel, F_DUPFD, HIGH_FD);
	if (s->log >= 0)
		log = fcntl(s->log, F_DUPFD, HIGH_FD);
	if (null < 0 || channel < 0 || (s->log >= 0 && log < 0))
		_exit(126);
	if (!place(null, 0) || !place(null, 1) || !place(null, 2) ||
	    !place(channel, 3) || !place(log, 4))
		_exit(126);
	fd_close_from(log >= 0 ? 5 : 4);
	(void)setpgid(0, 0);	/* ^C at a terminal is master's alone */
	signals_reset();
	execve(s->path, s->argv, s->envp);
	_exit(127);
}

pid_t
root_spawn(const struct spawn *s)
{
	sigset_t all, before;
	pid_t pid;
	int error;

	/* No handler of ours may run in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child_run(s);
	error = errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return (pid);
}

void
root_exec(const char *path, char **argv, const int *keep, size_t nkeep)
{
	for (size_t i = 0; i < nkeep; i++)
		if (keep[i] >= 0)
			(void)fd_cloexec(keep[i], false);
	signals_reset();
	execv(path, argv);
	for (size_t i = 0; i < nkeep; i++)
		if (keep[i] >= 0)
			(void)fd_cloexec(keep[i], true);
}

/* --- the guard --- */

/* One new master; true where it is up and has a guard of its own. */
static bool
start_anew(struct master *m)
{
	int pipe_fd[2], status;
	char text[512], number[16];
	char *argv[] = { m->self, (char[]){ "-c" }, (char *)(uintptr_t)m->dir,
		(char[]){ "-r" }, number, NULL };
	ssize_t n;
	pid_t pid;

	if (pipe(pipe_fd) != 0)
		return (false);
	snprintf(number, sizeof(number), "%d", pipe_fd[1]);
	pid = fork();
	if (pid == 0) {
		close(pipe_fd[0]);
		execv(m->self, argv);
		_exit(127);
	}
	close(pipe_fd[1]);
	n = pid < 0 ? 0 : read(pipe_fd[0], text, sizeof(text));
	close(pipe_fd[0]);
	if (n >= 2 && memcmp(text, "ok", 2) == 0)
		return (true);
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	return (false);
}

/* Did somebody stop it? proc(5): the state stands behind the last ')'. */
static bool
is_stopped(pid_t pid)
{
	char path[32], text[512], *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (false);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')');
	return (end != NULL && end[1] == ' ' && end[2] == 'T');
}

/* Until 3 is readable or at its end. A master that is stopped goes on. */
static void
watch_master(pid_t master)
{
	struct pollfd p = { .fd = 3, .events = POLLIN };
	bool stopped = false, was_stopped;

	while (poll(&p, 1, GUARD_LOOK_MS) <= 0) {
		was_stopped = stopped;
		stopped = is_stopped(master);
		if (stopped && was_stopped)
			(void)kill(master, SIGCONT);
	}
}

/*
 * Waits for master's end. A byte on fd: it left of its own will. Nothing but
 * end of file: it was killed, and its children die with it.
 */
static _Noreturn void
guard_run(struct master *m, pid_t master, int fd)
{
	unsigned wait_ms = 100;
	char text[16];
	int null = open("/dev/null", O_RDWR), n;

	signals_reset();
	(void)setsid();
	if (null < 0 || !place(fcntl(fd, F_DUPFD, HIGH_FD), 3) ||
	    !place(null, 0) || !place(null, 1) || !place(null, 2))
		_exit(1);
	fd_close_from(4);
	n = snprintf(text, sizeof(text), "%d", (int)getpid());
	if (write(3, text, (size_t)n) != n)
		_exit(1);
	watch_master(master);
	if (read(3, text, 1) > 0)
		_exit(0);
	while (!start_anew(m)) {
		(void)usleep(wait_ms * 1000);
		wait_ms = wait_ms * 2 > 5000 ? 5000 : wait_ms * 2;
	}
	_exit(0);
}

/* No child of ours: who kills all children does not kill the guard. */
int
root_guard(struct master *m)
{
	sigset_t all, before;
	pid_t master = getpid(), pid;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0)
		return (errno);
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		if (fork() == 0)
			guard_run(m, master, fd[1]);
		_exit(0);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	close(fd[1]);
	if (pid < 0) {
		close(fd[0]);
		return (EAGAIN);
	}
	m->guard_fd = fd[0];
	(void)fd_nonblock(fd[0]);
	return (0);
}

void
root_guard_wake(pid_t guard)
{
	if (guard > 1 && is_stopped(guard))
		(void)kill(guard, SIGCONT);
}
