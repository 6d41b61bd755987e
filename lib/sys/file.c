/*
 * file - small whole files: read one, replace one safely, make directories.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include "sys/sys.h"

/* What one read asks for; main.cf and its like fit in one. */
#define READ_STEP	16384

int
file_read(int dir, const char *path, size_t max, struct buf *out)
{
	char chunk[READ_STEP];
	size_t total = 0;
	ssize_t got;
	int err = 0;
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1)
		return errno;
	for (;;) {
		got = read(fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		total += (size_t)got;
		if (total > max) {
			err = EFBIG;
			break;
		}
		buf_add(out, chunk, (size_t)got);
	}
	if (got < 0)
		err = errno;
	if (err == 0 && out->full)
		err = EFBIG;
	close(fd);
	return err;
}

/* Syncs the directory that path stands in. */
static int
sync_parent(int dir, const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int err = 0;
	int fd;

	if (slash == NULL)
		snprintf(parent, sizeof(parent), ".");
	else if (slash == path)
		snprintf(parent, sizeof(parent), "/");
	else if (snprintf(parent, sizeof(parent), "%.*s",
	    (int)(slash - path), path) >= (int)sizeof(parent))
		return ENAMETOOLONG;
	fd = openat(dir, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return errno;
	if (fsync(fd) != 0)
		err = errno;
	close(fd);
	return err;
}

/* Writes and syncs a new file. What stood there is of a dead process. */
static int
write_new(int dir, const char *path, struct str text, mode_t mode)
{
	int err, fd;

	if (unlinkat(dir, path, 0) != 0 && errno != ENOENT)
		return errno;
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, mode & 0600);
	if (fd == -1)
		return errno;
	err = fd_write_all(fd, text.p, text.n);
	if (err == 0 && fchmod(fd, mode) != 0)
		err = errno;
	if (err == 0 && fsync(fd) != 0)
		err = errno;
	if (close(fd) != 0 && err == 0)
		err = errno;
	return err;
}

int
file_replace(int dir, const char *path, struct str text, mode_t mode)
{
	char temp[PATH_MAX];
	int err;

	if (snprintf(temp, sizeof(temp), "%s.tmp-%d", path,
	    (int)getpid()) >= (int)sizeof(temp))
		return ENAMETOOLONG;
	err = write_new(dir, temp, text, mode);
	if (err == 0 && renameat(dir, temp, dir, path) != 0)
		err = errno;
	if (err != 0) {
		(void)unlinkat(dir, temp, 0);
		return err;
	}
	return sync_parent(dir, path);
}

static int
make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return errno;
	if (stat(path, &st) != 0)
		return errno;
	return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

int
file_make_dirs(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t n = strlen(path);
	int err;

	if (n == 0)
		return ENOENT;
	if (n >= sizeof(part))
		return ENAMETOOLONG;
	for (size_t i = 1; i < n; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		err = make_dir(part, mode);
		if (err != 0)
			return err;
	}
	return make_dir(path, mode);
}

bool
errno_is_local_fault(int err)
{
	static const int faults[] = {
		EIO, ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EROFS, ESTALE,
		EAGAIN, EINTR, ENOBUFS, ENOLCK, EDEADLK, ETIMEDOUT, EBUSY,
		EUCLEAN, ENODEV, ENXIO, ENOMEDIUM, EREMOTEIO, EBADMSG,
		ENOTCONN, ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, ETXTBSY,
		EBADF,	/* a descriptor that EMFILE kept from coming */
	};

	for (size_t i = 0; i < nitems(faults); i++)
		if (err == faults[i])
			return true;
	return false;
}

bool
errno_is_no_user(int err)
{
	return err == ENOENT || err == ESRCH || err == EBADF || err == EPERM;
}
