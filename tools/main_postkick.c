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

static _Noreturn void
no_contact(struct tool *t, char **argv)
{
	tool_warn(t, "Cannot contact class %s service %s - perhaps the mail "
	    "system is down", argv[0], argv[1]);
	exit(EX_FAILED);
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
		default: tool_fail(&t, EX_FAILED, USAGE);
		}
	if (argc != optind + 3)
		tool_fail(&t, EX_FAILED, USAGE);
	tool_conf(&t, dir, EX_FAILED);
	argv += optind;
	if (strcmp(argv[0], "public") != 0 || !is_name(argv[1]))
		no_contact(&t, argv);
	request = argv[2];
	fd = tool_connect(&t, argv[1], KICK_MS);
	/* To have connected is enough for some: they are gone by now. */
	if (fd < 0 || (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 &&
	    errno != EPIPE && errno != ECONNRESET))
		no_contact(&t, argv);
	close(fd);
	exit(EX_OK);
}
