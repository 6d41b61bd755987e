/*
 * preview - each daemon of the plan looks at its configuration (-t) and says
 * what is wrong with it, on stderr. Only master -t does this, which starts
 * and serves nothing: here it may wait.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"

static bool
agrees(struct master *m, const struct service *s)
{
	const char *program = process_row(s->role)->program;
	const char **argv = mem_grow(NULL, s->argc + 8, sizeof(*argv));
	char path[PATH_MAX];
	int status = 1;
	size_t n = 0;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s", m->plan->daemon_dir, program);
	argv[n++] = program;
	argv[n++] = "-t";
	argv[n++] = "-c";
	argv[n++] = m->dir;
	argv[n++] = "-n";
	argv[n++] = s->name;
	for (size_t i = 0; i < s->argc; i++)
		argv[n++] = s->argv[i];
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		execv(path, (char *const *)(uintptr_t)argv);
		fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
		_exit(1);
	}
	mem_free(argv);
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return (false);
	if (pid > 0 && WIFSIGNALED(status))
		fprintf(stderr, "error: %s -t: ended by signal %d\n", path,
		    WTERMSIG(status));
	return (pid > 0 && status == 0);
}

bool
preview_daemons(struct master *m)
{
	bool good = true;

	fflush(stderr);
	list_each(l, &m->plan->services)
		good &= agrees(m, container_of(l, struct service, link));
	return (good);
}
