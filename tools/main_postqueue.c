/*
 * postqueue - show the queue, or ask for a delivery attempt now.
 *
 * Runs set-gid postdrop for any user, to reach public/showq and public/qmgr:
 * arguments are checked, the environment is cleared, and it opens nothing
 * else. While the system is down root and mail_owner read the queue itself.
 */
#include <sys/socket.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "address/address.h"
#include "showq/showq.h"
#include "tools/showq_print.h"
#include "tools/tool.h"

#define TALK_MS		60000
#define ANSWER_MAX	4096
#define USAGE "usage: postqueue -f | postqueue -i queueid | postqueue -j | " \
	"postqueue -p | postqueue -s site"

enum mode { MODE_NONE, MODE_LIST, MODE_JSON, MODE_FLUSH, MODE_ID, MODE_SITE };

struct postqueue {
	struct tool	   tool;
	enum mode	   mode;
	const char	  *arg;		/* -i, -s */
	int		   fd;		/* to showq, or -1 */
	struct queue	   queue;	/* read directly */
	struct showq_walk *walk;
	struct showq_part *part;
	bool		   started, ended;
};

static bool
more_from_socket(void *ctx, struct buf *in)
{
	struct postqueue *p = ctx;
	char *at = buf_space(in, 65536);
	ssize_t n;

	if (at == NULL)
		return false;
	do
		n = read(p->fd, at, 65536);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	in->n += (size_t)n;
	return true;
}

static bool
more_from_queue(void *ctx, struct buf *in)
{
	struct postqueue *p = ctx;
	bool more;

	if (p->ended)
		return false;
	if (!p->started) {
		showq_put_start(in);
		p->started = true;
		return true;
	}
	if (p->part == NULL)
		p->part = showq_walk_next(p->walk);
	if (p->part == NULL) {
		showq_put_end(in);
		p->ended = true;
		return true;
	}
	more = showq_part_read(p->part);
	buf_str(in, showq_part_text(p->part));
	if (!more)
		showq_part_free(&p->part);
	return true;
}

static void
need_right(struct postqueue *p, const char *param, const char *what)
{
	uid_t uid = getuid();

	if (!tool_authorized(&p->tool, param, uid))
		tool_fail(&p->tool, EX_NOPERM, "User %s(%u) is not allowed to "
		    "%s the mail queue", tool_user(&p->tool, uid),
		    (unsigned)uid, what);
}

/* Root, or who owns the queue (a plain user's own instance). */
static bool
may_read_queue(struct postqueue *p)
{
	return geteuid() == 0 || (!p->tool.borrowed &&
	    access(arena_printf(p->tool.arena, "%s/active",
	    tool_param(&p->tool, "queue_directory")), R_OK | X_OK) == 0);
}

static void
open_queue(struct postqueue *p, const char *why)
{
	const char *name = tool_param(&p->tool, "mail_name");

	if (!may_read_queue(p))
		tool_fail(&p->tool, EX_UNAVAILABLE, "Queue report unavailable "
		    "- mail system is down (Connect to the %s showq service: "
		    "%s)", name, why);
	tool_warn(&p->tool, "Mail system is down -- accessing queue directly "
	    "(Connect to the %s showq service: %s)", name, why);
	tool_become_owner(&p->tool);
	tool_queue(&p->tool, &p->queue);
	p->walk = showq_walk_new(&p->queue, tool_param(&p->tool,
	    "empty_address_recipient"));
}

static _Noreturn void
list(struct postqueue *p)
{
	struct showq_reader reader;
	enum showq_print printed;

	need_right(p, "authorized_mailq_users", "view");
	p->fd = tool_connect(&p->tool, "showq", TALK_MS);
	if (p->fd < 0 && (errno == EACCES || errno == EPERM))
		tool_fail(&p->tool, EX_SOFTWARE, "Connect to the %s showq "
		    "service: %s", tool_param(&p->tool, "mail_name"),
		    strerror(errno));
	if (p->fd < 0)
		open_queue(p, strerror(errno));
	showq_reader_init(&reader, p->fd < 0 ? more_from_queue :
	    more_from_socket, p);
	printed = p->mode == MODE_JSON ? showq_print_json(&reader) :
	    showq_print_mailq(&reader,
		conf_bool(p->tool.conf, "enable_long_queue_ids"));
	switch (printed) {
	case PRINT_OK:
	case PRINT_PIPE:
		exit(EX_OK);
	case PRINT_MALFORMED:
		tool_fail(&p->tool, EX_SOFTWARE,
		    "malformed showq server response");
	case PRINT_ERROR:
		break;
	}
	tool_fail(&p->tool, EX_IOERR, "output write error: %s",
	    strerror(errno));
}

/* One line to qmgr; its answer, or NULL where it is not there. */
static const char *
ask_qmgr(struct postqueue *p, const char *line)
{
	int fd = tool_connect(&p->tool, "qmgr", TALK_MS);
	char answer[ANSWER_MAX];
	size_t n = 0;
	ssize_t got = 0;

	if (fd < 0)
		return NULL;
	if (fd_write_all(fd, line, strlen(line)) != 0) {
		close(fd);
		return NULL;
	}
	while (n < sizeof(answer) - 1 &&
	    (got = read(fd, answer + n, sizeof(answer) - 1 - n)) != 0) {
		if (got < 0 && errno != EINTR)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	return arena_cstr(p->tool.arena, str_trim((struct str){ answer, n }));
}

static void
want_answer(struct postqueue *p, const char *line)
{
	const char *answer = ask_qmgr(p, line);

	if (answer != NULL && strcmp(answer, "not configured") == 0)
		tool_fail(&p->tool, EX_UNAVAILABLE, "Flush service is not "
		    "configured for destination \"%s\"", p->arg);
	if (answer == NULL)
		tool_fail(&p->tool, EX_UNAVAILABLE,
		    "Cannot flush mail queue - mail system is down");
	if (strcmp(answer, "ok") != 0)
		tool_fail(&p->tool, EX_UNAVAILABLE,
		    "Cannot flush mail queue - %s", answer);
}

static void
flush_all(struct postqueue *p)
{
	int fd;

	need_right(p, "authorized_flush_users", "flush");
	want_answer(p, "flush\n");
	fd = tool_connect(&p->tool, "pickup", TALK_MS);
	if (fd < 0)
		tool_fail(&p->tool, EX_UNAVAILABLE,
		    "Cannot flush mail queue - mail system is down");
	(void)send(fd, "F", 1, MSG_NOSIGNAL);
	close(fd);
}

static void
flush_id(struct postqueue *p)
{
	if (!queue_id_valid(str_of(p->arg)))
		tool_fail(&p->tool, EX_USAGE, "Cannot flush queue ID - "
		    "invalid name: \"%.100s%s\"", p->arg,
		    strlen(p->arg) > 100 ? "..." : "");
	need_right(p, "authorized_flush_users", "flush");
	want_answer(p, arena_printf(p->tool.arena, "deliver %s\n", p->arg));
}

static void
flush_site(struct postqueue *p)
{
	struct str site = str_of(p->arg), inner;

	if (!address_hostname_valid(site) && !address_literal(site, &inner))
		tool_fail(&p->tool, EX_USAGE, "Cannot flush mail queue - "
		    "invalid destination: \"%.100s%s\"", p->arg,
		    site.n > 100 ? "..." : "");
	need_right(p, "authorized_flush_users", "flush");
	want_answer(p, arena_printf(p->tool.arena, "site %s\n", p->arg));
}

static void
set_mode(struct postqueue *p, enum mode mode)
{
	if (p->mode != MODE_NONE)
		tool_fail(&p->tool, EX_USAGE, USAGE);
	p->mode = mode;
	p->arg = optarg;
}

static const char *
read_args(struct postqueue *p, int argc, char **argv)
{
	const char *dir = NULL;
	int c;

	opterr = 0;
	while ((c = getopt(argc, argv, "c:fi:jps:v")) != -1)
		switch (c) {
		case 'c': dir = optarg; break;
		case 'f': set_mode(p, MODE_FLUSH); break;
		case 'i': set_mode(p, MODE_ID); break;
		case 'j': set_mode(p, MODE_JSON); break;
		case 'p': set_mode(p, MODE_LIST); break;
		case 's': set_mode(p, MODE_SITE); break;
		case 'v': p->tool.verbose++; break;
		default: tool_fail(&p->tool, EX_USAGE, USAGE);
		}
	if (p->mode == MODE_NONE || optind < argc)
		tool_fail(&p->tool, EX_USAGE, USAGE);
	return dir;
}

int
main(int argc, char **argv)
{
	struct postqueue p = { .fd = -1 };
	const char *dir;

	tool_start(&p.tool, "postqueue");
	dir = read_args(&p, argc, argv);
	tool_conf(&p.tool, dir, EX_UNAVAILABLE);
	if (p.tool.borrowed)
		clearenv();
	switch (p.mode) {
	case MODE_LIST:
	case MODE_JSON:
		list(&p);
	case MODE_FLUSH:
		flush_all(&p);
		break;
	case MODE_ID:
		flush_id(&p);
		break;
	case MODE_SITE:
		flush_site(&p);
		break;
	case MODE_NONE:
		break;
	}
	exit(EX_OK);
}
