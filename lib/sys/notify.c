/*
 * notify - tell the service manager how we are: sd_notify(3)'s protocol, one
 * datagram to $NOTIFY_SOCKET. Never blocks; nobody there is fine.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <stdlib.h>
#include <unistd.h>
#include "sys/sys.h"

void
notify_manager(const char *state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path == NULL ? 0 : strlen(path);
	int fd;

	if ((n < 2 || (path[0] != '/' && path[0] != '@')) ||
	    n >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, n);
	if (path[0] == '@')		/* of the abstract name space */
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	    (const struct sockaddr *)(const void *)&sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_debug("nobody listens at %s", path);
	close(fd);
}
