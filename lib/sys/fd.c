/*
 * fd - descriptors: flags, closing, whole reads and writes.
 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "sys/sys.h"

int
fd_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return errno;
	if ((flags & O_NONBLOCK) != 0)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? errno : 0;
}

int
fd_window(int fd, int64_t bytes)
{
	int n = (int)bytes;

	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n)) == 0 ? 0 :
	    errno;
}

int
fd_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == -1 ? errno : 0;
}

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd);	/* Linux: closed even where it says EINTR */
	*fd = -1;
	errno = saved;
}

void
fd_close_from(int lowest)
{
	struct dirent *entry;
	DIR *dir;

	if (syscall(SYS_close_range, (unsigned)lowest, ~0u, 0u) == 0)
		return;
	/* Before Linux 5.9. */
	dir = opendir("/proc/self/fd");
	if (dir == NULL)
		die("/proc/self/fd: %s", strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		uint64_t fd;

		if (str_number(str_of(entry->d_name), &fd) &&
		    fd >= (uint64_t)lowest && (int)fd != dirfd(dir))
			close((int)fd);
	}
	closedir(dir);
}

int
fd_write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

int
fd_pwrite_all(int fd, const void *bytes, size_t n, off_t off)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t done = pwrite(fd, at, n, off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno;
		at += done;
		off += done;
		n -= (size_t)done;
	}
	return 0;
}

ssize_t
fd_pread_all(int fd, void *bytes, size_t n, off_t off)
{
	char *at = bytes;

	while (n > 0) {
		ssize_t got = pread(fd, at, n, off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		at += got;
		off += got;
		n -= (size_t)got;
	}
	return at - (char *)bytes;
}
