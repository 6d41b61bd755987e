/*
 * postkick - wake a daemon: one request to a socket of the queue.
 *
 * qmgr takes I, D, A and F (qmgr(8)), pickup takes anything. There are no
 * sockets of a private class here: daemons speak over channels that master
 * makes. Runs as its caller.
 */
#include <sys/socket.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "priv/priv.h"
#include "tools/tool.h"

#define USAGE	"usage: postkick [-c config_dir] [-v] class service request"
#define KICK_MS	100000

static bool
is_name(const char *s)
{
	return *s != '\0' && *s != '.' && strchr(s, '/') == NULL;
}

int
main(int argc, char **argv)
{
	const char *dir = NULL, *request;
	struct tool t;
	int c, fd;

	tool_start(&t, "postkick");
	priv_give_back();
	t.borrowed = false;
	opterr = 0;
	while ((c = getopt(argc, argv, "c:v")) != -1)
		switch (c) {
		case 'c': dir = optarg; break;
		case 'v': t.verbose++; break;
		default: tool_fail(&t, EX_USAGE, USAGE);
		}
	if (argc != optind + 3)
		tool_fail(&t, EX_USAGE, USAGE);
	tool_conf(&t, dir, EX_CONFIG);
	argv += optind;
	if (strcmp(argv[0], "public") != 0 || !is_name(argv[1]))
		tool_fail(&t, EX_UNAVAILABLE, "cannot connect to class %s "
		    "service %s: No such file or directory", argv[0], argv[1]);
	request = argv[2];
	fd = tool_connect(&t, argv[1], KICK_MS);
	/* To have connected is enough for some: they are gone by now. */
	if (fd < 0 || (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 &&
	    errno != EPIPE && errno != ECONNRESET))
		tool_fail(&t, EX_UNAVAILABLE, "cannot connect to class %s "
		    "service %s: %s", argv[0], argv[1], strerror(errno));
	close(fd);
	exit(EX_OK);
}
