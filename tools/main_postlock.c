/*
 * postlock - run a command while a mailbox file is locked.
 *
 * Locks as local(8) does, by mailbox_delivery_lock or -l. The command runs
 * directly, not through a shell. Exit status: the command's, or 75 where the
 * lock could not be had. Runs as its caller.
 */
#include <sys/file.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "priv/priv.h"
#include "store/store.h"
#include "tools/tool.h"

#define USAGE "usage: postlock [-c config_dir] [-l lock_style] [-v] folder " \
	"command..."

struct postlock {
	struct tool	 tool;
	const char	*style, *path;
	unsigned	 locks;		/* LOCK_ bits */
	int		 dir, file, lock_fd;
	const char	*lock;		/* its name below dir */
};

static unsigned
read_style(struct postlock *p)
{
	static const struct { const char *name; unsigned bit; } styles[] = {
		{ "fcntl", LOCK_FCNTL }, { "dotlock", LOCK_DOTLOCK },
		{ "flock", LOCK_FLOCK },
	};
	struct str rest = str_of(p->style), one;
	unsigned locks = 0;

	while (conf_list_next(&rest, &one)) {
		size_t i = 0;

		while (i < nitems(styles) &&
		    !str_eq_nocase(one, str_of(styles[i].name)))
			i++;
		if (i == nitems(styles))
			tool_fail(&p->tool, EX_TEMPFAIL,
			    "unknown lock style: " STRF, STRV(one));
		locks |= styles[i].bit;
	}
	return locks;
}

static void
open_file(struct postlock *p)
{
	const char *slash = strrchr(p->path, '/');
	const char *parent = slash == NULL ? "." : slash == p->path ? "/" :
	    arena_cstr(p->tool.arena, (struct str){ p->path,
	    (size_t)(slash - p->path) });
	const char *name = slash == NULL ? p->path : slash + 1;

	p->dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	p->file = p->dir < 0 ? -1 : openat(p->dir, name, O_WRONLY | O_APPEND |
	    O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	if (p->file < 0)
		tool_fail(&p->tool, EX_TEMPFAIL, "open file %s: %s", p->path,
		    strerror(errno));
	p->lock = arena_printf(p->tool.arena, "%s.lock", name);
}

/* 0 or errno: one try for all of them. */
static int
take(struct postlock *p)
{
	int err = 0;

	if (p->locks & LOCK_DOTLOCK)
		err = store_dotlock(p->dir, p->lock,
		    conf_number(p->tool.conf, "stale_lock_time"),
		    &p->lock_fd);
	if (err == 0 && p->locks & LOCK_FLOCK &&
	    flock(p->file, LOCK_EX | LOCK_NB) != 0)
		err = errno;
	if (err == 0 && p->locks & LOCK_FCNTL && !store_fcntl_lock(p->file))
		err = errno;
	if (err != 0) {
		(void)flock(p->file, LOCK_UN);
		if (p->lock_fd >= 0)
			(void)unlinkat(p->dir, p->lock, 0);
		fd_close(&p->lock_fd);
	}
	return err;
}

static void
lock_file(struct postlock *p)
{
	int64_t tries = conf_number(p->tool.conf, "deliver_lock_attempts");
	struct timespec delay = {
		.tv_sec = conf_number(p->tool.conf, "deliver_lock_delay") };
	int err;

	while ((err = take(p)) != 0 && --tries > 0 &&
	    (err == EEXIST || err == EAGAIN || err == EACCES))
		(void)nanosleep(&delay, NULL);
	if (err != 0)
		tool_fail(&p->tool, EX_TEMPFAIL, "unable to lock %s: %s",
		    p->path, strerror(err));
}

/* Signals of a terminal are for the command; we wait and unlock. */
static int
run(struct postlock *p, char **command)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		execvp(command[0], command);
		tool_warn(&p->tool, "execvp %s: %s", command[0],
		    strerror(errno));
		log_flush();
		_exit(EX_TEMPFAIL);
	}
	if (pid < 0) {
		tool_warn(&p->tool, "fork %s: %s", command[0],
		    strerror(errno));
		return EX_TEMPFAIL;
	}
	for (size_t i = 0; i < nitems(signals); i++)
		signal(signals[i], SIG_IGN);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EX_TEMPFAIL;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}

int
main(int argc, char **argv)
{
	struct postlock p = { .dir = -1, .file = -1, .lock_fd = -1 };
	const char *dir = NULL;
	int c, status;

	tool_start(&p.tool, "postlock");
	priv_give_back();
	p.tool.borrowed = false;
	opterr = 0;
	while ((c = getopt(argc, argv, "+c:l:v")) != -1)
		switch (c) {
		case 'c': dir = optarg; break;
		case 'l': p.style = optarg; break;
		case 'v': p.tool.verbose++; break;
		default: tool_fail(&p.tool, EX_TEMPFAIL, USAGE);
		}
	if (optind + 2 > argc)
		tool_fail(&p.tool, EX_TEMPFAIL, USAGE);
	tool_conf(&p.tool, dir, EX_TEMPFAIL);
	if (p.style == NULL)
		p.style = tool_param(&p.tool, "mailbox_delivery_lock");
	p.path = argv[optind];
	p.locks = read_style(&p);
	open_file(&p);
	lock_file(&p);
	status = run(&p, argv + optind + 1);
	if (p.lock_fd >= 0)
		(void)unlinkat(p.dir, p.lock, 0);
	exit(status);
}
