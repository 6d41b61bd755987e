/*
 * root_listen - sockets that only root may bind, or that stand in
 * directories that only root may write.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/master.h"

static int
fail(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return (-1);
}

int
root_listen_inet(const struct sockaddr *sa, socklen_t len)
{
	int fd, on = 1;

	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0)
		return (-1);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return (fail(fd));
	if (sa->sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &on, sizeof(on)) != 0)
		return (fail(fd));
	if (bind(fd, sa, len) != 0 || listen(fd, SOMAXCONN) != 0)
		return (fail(fd));
	return (fd);
}

/*
 * name is below spool ("public/showq"), whose directories are ours alone.
 * The mode comes from the umask: no chmod of a name, which could be a link.
 */
int
root_listen_unix(int spool, const char *name, mode_t mode)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	mode_t before;
	int fd, r;

	r = snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s",
	    spool, name);
	if (r < 0 || (size_t)r >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if (unlinkat(spool, name, 0) != 0 && errno != ENOENT)
		return (-1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (-1);
	before = umask(0777 & ~mode);
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
	(void)umask(before);
	if (r != 0 || listen(fd, SOMAXCONN) != 0)
		return (fail(fd));
	return (fd);
}
