/*
 * list_file - reads what a user wrote, as that user, with the checks of
 * local(8): a regular file that nobody else may write. A .forward is the
 * user's or root's and no link; an :include: file may be a link, and one
 * that root's alias names is read by its owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "local/list_file.h"
#include "sys/sys.h"

char *
list_file_first(struct str paths, struct arena *arena)
{
	struct stat st;

	while (paths.n > 0) {
		size_t end = str_chr(paths, '\0');
		char *path = arena_cstr(arena, str_first(paths, end));

		paths = str_from(paths, end + 1);
		if (lstat(path, &st) == 0 || errno_is_local_fault(errno))
			return path;
	}
	return NULL;
}

/* A user's mistake is warned of, and then there is no such file. */
static void
answer(struct list_file *f, enum found found, const char *what, int err)
{
	f->found = found;
	snprintf(f->why, sizeof(f->why), "%s%s%s", what,
	    err != 0 ? ": " : "", err != 0 ? strerror(err) : "");
}

static enum found
mistake(const struct list_file *f)
{
	return f->kind == EXPAND_FORWARD ? NONE : RETRY;
}

/* False: it was answered. */
static bool
check(struct list_file *f, const struct stat *st)
{
	bool others = st->st_uid != 0 && st->st_uid != geteuid();

	f->owner = st->st_uid;
	if (!S_ISREG(st->st_mode))
		answer(f, mistake(f), "not a regular file", 0);
	else if ((st->st_mode & S_IWOTH) != 0)
		answer(f, mistake(f), "world writable", 0);
	else if (others && f->kind == EXPAND_FORWARD)
		answer(f, NONE, "bad owner", 0);
	else if (others && f->kind == EXPAND_INCLUDE)
		answer(f, RETRY, "", 0);
	else
		return true;
	return false;
}

/* All of it, at most LIST_FILE_MAX bytes. 0 or errno. */
static int
slurp(int fd, struct buf *out)
{
	for (;;) {
		char *space = buf_space(out, 65536);
		ssize_t n;

		if (space == NULL)
			return EFBIG;
		n = fd_pread_all(fd, space, 65536, (off_t)out->n);
		if (n < 0)
			return errno;
		out->n += (size_t)n;
		if (n < 65536)
			return 0;
	}
}

void
list_file_read(struct list_file *f)
{
	int how = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;
	int fd, err;

	buf_init(&f->text, LIST_FILE_MAX);
	if (f->kind == EXPAND_FORWARD)
		how |= O_NOFOLLOW;
	/* Who owns it counts before who may read it. */
	if (f->kind == EXPAND_INCLUDE && stat(f->path, &st) == 0 &&
	    !check(f, &st))
		return;
	fd = open(f->path, how);
	if (fd < 0 && errno == ELOOP) {
		answer(f, mistake(f), "not a regular file", 0);
		return;
	}
	if (fd < 0) {
		err = errno;
		answer(f, errno_is_local_fault(err) ? RETRY : mistake(f),
		    "cannot open file", err);
		return;
	}
	if (fstat(fd, &st) < 0)
		answer(f, RETRY, "cannot read file", errno);
	else if (check(f, &st)) {
		err = slurp(fd, &f->text);
		if (err == 0)
			answer(f, FOUND, "", 0);
		else
			answer(f, RETRY, "error reading forwarding file",
			    err);
	}
	fd_close(&fd);
}

void
list_file_end(struct list_file *f)
{
	buf_free(&f->text);
}
