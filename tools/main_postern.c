/*
 * postern - makes an instance, starts and stops it, says how it is.
 *
 *   postern setup DIR [--hostname H] [--domain D]... [--port-base N]
 *       [--user NAME]...
 *   postern [-c DIR] user add | passwd | del | list | import ...
 *   postern [-c DIR] queue list | show | shape | hold | release | delete |
 *       requeue | expire ...
 *   postern [-c DIR] trace ID | MESSAGE-ID | ADDRESS
 *   postern [-c DIR] start | start-fg | stop | reload | status | check |
 *       flush | abort
 *
 * DIR is where main.cf is; else MAIL_CONFIG or /etc/postern. postfix(1).
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/postern.h"

static int
start(struct postern *p)
{
	return (postern_start(p, false));
}

static int
start_fg(struct postern *p)
{
	return (postern_start(p, true));
}

static int
stop(struct postern *p)
{
	return (postern_stop(p, SIGTERM));
}

static int
stop_now(struct postern *p)
{
	return (postern_stop(p, SIGQUIT));
}

static int
flush(struct postern *p)
{
	char *argv[] = { (char[]){ "postqueue" }, (char[]){ "-c" },
		arena_cstr(p->tool.arena, str_of(p->dir)), (char[]){ "-f" },
		NULL };

	tool_exec(&p->tool, argv);
}

static const struct {
	const char *word;
	int	  (*fn)(struct postern *);
	const char *text;
} commands[] = {
	{ "start", start, "start all daemons" },
	{ "start-fg", start_fg, "start, and stay in the foreground" },
	{ "stop", stop, "let daemons finish what they have in hand, and stop" },
	{ "reload", postern_reload, "read main.cf and master.cf again" },
	{ "status", postern_status, "say what runs and what is queued" },
	{ "check", postern_check, "say what is wrong with the configuration" },
	{ "flush", flush, "try all deferred mail now" },
	{ "abort", stop_now, "stop at once" },
	{ "logrotate", postern_logrotate, "date and compress maillog_file" },
};

/* Those with words of their own. */
static const struct {
	const char *word;
	int	  (*fn)(struct postern *, int argc, char **argv);
} parts[] = {
	{ "user", postern_user },
	{ "queue", postern_queue },
	{ "trace", postern_trace },
};

static _Noreturn void
usage(void)
{
	fputs("usage: postern setup DIR [--hostname H] [--domain D]... "
	    "[--port-base N] [--user NAME]...\n"
	    "       postern [-c config_dir] user add | passwd | del | list | "
	    "import ...\n"
	    "       postern [-c config_dir] queue list | show | shape | hold | "
	    "release |\n"
	    "           delete | requeue | expire ...\n"
	    "       postern [-c config_dir] trace ID | MESSAGE-ID | ADDRESS\n"
	    "       postern [-c config_dir] command\n", stderr);
	for (size_t i = 0; i < nitems(commands); i++)
		fprintf(stderr, "  %-9s %s\n", commands[i].word,
		    commands[i].text);
	exit(EX_USAGE);
}

static void
find_dir(struct postern *p, const char *dir)
{
	char full[PATH_MAX];

	if (dir == NULL)
		dir = getenv("MAIL_CONFIG");
	if (dir == NULL)
		dir = "/etc/postern";
	if (realpath(dir, full) == NULL)
		tool_fail(&p->tool, EX_CONFIG, "%s: there is no such "
		    "directory; make an instance with: postern setup DIR",
		    dir);
	p->dir = arena_cstr(p->tool.arena, str_of(full));
	if (setenv("MAIL_CONFIG", p->dir, 1) != 0)
		die("setenv: no memory");
}

int
main(int argc, char **argv)
{
	struct postern p = { .argv0 = argv[0] };
	const char *dir = NULL;
	int c;

	tool_start(&p.tool, "postern");
	while ((c = getopt(argc, argv, "+c:vD")) != -1)
		if (c == 'c')
			dir = optarg;
		else if (c == 'v')
			p.tool.verbose++;
		else if (c != 'D')
			usage();
	argc -= optind;
	argv += optind;
	if (argc >= 1 && strcmp(argv[0], "setup") == 0)
		return (postern_setup(&p, argc, argv));
	for (size_t i = 0; argc >= 1 && i < nitems(parts); i++)
		if (strcmp(argv[0], parts[i].word) == 0) {
			find_dir(&p, dir);
			return (parts[i].fn(&p, argc, argv));
		}
	if (argc != 1)
		usage();
	for (size_t i = 0; i < nitems(commands); i++)
		if (strcmp(argv[0], commands[i].word) == 0) {
			find_dir(&p, dir);
			return (commands[i].fn(&p));
		}
	usage();
}
