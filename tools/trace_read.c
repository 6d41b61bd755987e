/*
 * trace_read - the lines of the mail log, oldest first, rotated files too.
 *
 * FILE, FILE.1, FILE.2.gz ... as logrotate names them, and FILE.STAMP[.gz]
 * as `postfix logrotate' does. gzip(1) unpacks. The names are the
 * administrator's, the lines are anybody's.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/trace.h"

#define LINE_MAX_BYTES	((size_t)1 << 20)	/* a longer one is cut */
#define READ_SIZE	65536

static bool
is_packed(const char *name)
{
	return str_ends_nocase(str_of(name), STR(".gz"));
}

static int
by_age(const void *a, const void *b)
{
	const struct log_name *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

static void
add(struct trace_logs *logs, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	logs->v = mem_grow(logs->v, logs->n + 1, sizeof(*logs->v));
	logs->v[logs->n++] = (struct log_name){ .time = st.st_mtime,
		.path = mem_strdup(path) };
}

/* FILE and its rotated ones. */
void
trace_logs_find(struct trace_logs *logs, struct arena *arena,
    const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *dir = slash == NULL ? "." : arena_cstr(arena,
	    (struct str){ file, (size_t)(slash - file) + 1 });
	struct str base = str_of(slash == NULL ? file : slash + 1);
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		struct str name = str_of(e->d_name);

		if (str_starts(name, base) && (name.n == base.n ||
		    name.p[base.n] == '.' || name.p[base.n] == '-'))
			add(logs, arena_printf(arena, "%s/%s", dir,
			    e->d_name));
	}
	if (d != NULL)
		closedir(d);
	if (logs->n > 0)
		qsort(logs->v, logs->n, sizeof(*logs->v), by_age);
}

void
trace_logs_add(struct trace_logs *logs, const char *path)
{
	add(logs, path);
}

void
trace_logs_free(struct trace_logs *logs)
{
	for (size_t i = 0; i < logs->n; i++)
		mem_free(logs->v[i].path);
	mem_free(logs->v);
	*logs = (struct trace_logs){ NULL, 0 };
}

/* gzip -dc with the file as its input; its output, or -1. */
static int
unpack(int file, pid_t *pid)
{
	char *argv[] = { (char[]){ "gzip" }, (char[]){ "-dc" }, NULL };
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	*pid = fork();
	if (*pid == 0) {
		if (dup2(file, 0) == 0 && dup2(ends[1], 1) == 1) {
			signal(SIGPIPE, SIG_DFL);
			execvp(argv[0], argv);
		}
		_exit(127);
	}
	close(ends[1]);
	if (*pid < 0)
		fd_close(&ends[0]);
	return ends[0];
}

/* Whole lines of b go to fn; what is left stays. */
static void
take_lines(struct buf *b, bool last, void (*fn)(void *, struct str),
    void *ctx)
{
	struct str rest = buf_view(b);
	size_t eol;

	while ((eol = str_chr(rest, '\n')) < rest.n) {
		fn(ctx, str_first(rest, eol));
		rest = str_from(rest, eol + 1);
	}
	if (rest.n > 0 && (last || rest.n > LINE_MAX_BYTES)) {
		fn(ctx, rest);
		rest.n = 0;
	}
	buf_drop(b, b->n - rest.n);
}

static int
read_lines(int fd, void (*fn)(void *, struct str), void *ctx)
{
	struct buf b;
	ssize_t n = 0;
	int err = 0;
	char *at;

	buf_init(&b, LINE_MAX_BYTES + 2 * READ_SIZE);
	while ((at = buf_space(&b, READ_SIZE)) != NULL &&
	    (n = read(fd, at, READ_SIZE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = errno;
			break;
		}
		b.n += (size_t)n;
		take_lines(&b, false, fn, ctx);
	}
	take_lines(&b, true, fn, ctx);
	buf_free(&b);
	return err;
}

int
trace_log_read(const char *path, void (*fn)(void *, struct str), void *ctx)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), status = 0;
	int fd = file, err;
	pid_t pid = -1;

	if (file < 0)
		return errno;
	if (is_packed(path)) {
		fd = unpack(file, &pid);
		fd_close(&file);
		if (fd < 0)
			return errno;
	}
	err = read_lines(fd, fn, ctx);
	fd_close(&fd);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return err == 0 && status != 0 ? EIO : err;
}
