/*
 * run_child - a command is born: descriptors 0 to 2 and nothing else, a
 * session of its own, signals as at login. Runs in the command agent, which
 * is the user already.
 *
 * A command of plain characters is run without a shell, as local(8) has it:
 * what a sender wrote is never in that text, only in the environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "local/command.h"
#include "sys/sys.h"

#define BLANKS	" \t"
#define HIGH_FD	16	/* above all that a command is given */

/* How many words there are between bytes of seps; NUL parts always. */
static char **
split(struct str words, const char *seps, struct arena *arena,
    const char *one_more)
{
	struct str rest = words, word;
	size_t n = 0;
	char **v;

	while (str_token(&rest, seps, &word))
		n++;
	v = arena_alloc(arena, (n + 2) * sizeof(*v));
	rest = words;
	for (n = 0; str_token(&rest, seps, &word); n++)
		v[n] = arena_cstr(arena, word);
	if (one_more != NULL)
		v[n++] = arena_cstr(arena, str_of(one_more));
	v[n] = NULL;
	return v;
}

/* Strings with a NUL behind each; empty ones count. */
static char **
strings(struct str s, struct arena *arena)
{
	size_t n = 0, i = 0;
	char **v;

	for (size_t at = 0; at < s.n; at++)
		n += s.p[at] == '\0';
	v = arena_alloc(arena, (n + 1) * sizeof(*v));
	while (i < n) {
		size_t end = str_chr(s, '\0');

		v[i++] = arena_cstr(arena, str_first(s, end));
		s = str_from(s, end + 1);
	}
	return v;
}

/* Can it be split at blanks, without a shell? exec_command(3) of Postfix. */
static bool
is_plain(struct str command)
{
	struct str plain = STR("1234567890!@%-_=+:,./"
	    "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ" BLANKS);

	for (size_t i = 0; i < command.n; i++)
		if (str_chr(plain, command.p[i]) == plain.n)
			return false;
	return str_trim(command).n > 0;
}

void
run_words(const struct msg_run *job, struct arena *arena,
    struct run_words *w)
{
	const char *command = arena_cstr(arena, job->command);

	w->argv = w->shell_argv = NULL;
	w->envp = strings(job->environment, arena);
	w->directory = job->directory.n > 0 ?
	    arena_cstr(arena, job->directory) : NULL;
	if (job->command.n == 0) {
		w->argv = strings(job->argv, arena);
		return;
	}
	if (job->shell.n > 0) {
		w->argv = split(job->shell, BLANKS, arena, command);
		return;
	}
	w->shell_argv = split(STR("/bin/sh -c"), BLANKS, arena, command);
	if (is_plain(job->command))
		w->argv = split(job->command, BLANKS, arena, NULL);
}

/* Words on standard error become part of the delivery status. */
static _Noreturn void
give_up(const struct run_words *w, const char *what, const char *name)
{
	dprintf(STDERR_FILENO, "%s: fatal: %s %s: %s\n", w->who, what, name,
	    strerror(errno));
	_exit(EX_TEMPFAIL);
}

static _Noreturn void
child(const struct run_words *w, int in, int out)
{
	int high_in = fcntl(in, F_DUPFD, HIGH_FD);
	int high_out = fcntl(out, F_DUPFD, HIGH_FD);

	if (high_in < 0 || high_out < 0 ||
	    dup2(high_in, STDIN_FILENO) < 0 ||
	    dup2(high_out, STDOUT_FILENO) < 0 ||
	    dup2(high_out, STDERR_FILENO) < 0)
		_exit(EX_TEMPFAIL);
	fd_close_from(STDERR_FILENO + 1);
	(void)setsid();
	/* Without us it would run without limits, and the mail come again. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	signals_reset();
	if (w->directory != NULL) {
		if (chdir(w->directory) < 0)
			give_up(w, "cannot change directory to",
			    w->directory);
	} else if (chdir(w->home) < 0 && chdir("/") < 0)
		give_up(w, "cannot change directory to", "/");
	(void)umask(077);
	environ = w->envp;
	if (w->argv != NULL && w->argv[0] != NULL) {
		execvp(w->argv[0], w->argv);
		if (w->shell_argv == NULL || errno != ENOENT ||
		    strchr(w->argv[0], '/') != NULL)
			give_up(w, "execvp", w->argv[0]);
	}
	if (w->shell_argv != NULL)
		execv(w->shell_argv[0], w->shell_argv);
	give_up(w, "execvp", w->shell_argv != NULL ? w->shell_argv[0] : "");
}

pid_t
run_spawn(const struct run_words *w, int in, int out)
{
	sigset_t all, before;
	pid_t pid;
	int err;

	/* No handler of ours may run in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child(w, in, out);
	err = errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	errno = err;
	return pid;
}
