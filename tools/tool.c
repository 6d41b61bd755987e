/*
 * tool - what all commands share. See tool.h.
 *
 * Some commands run set-gid for any user: here nothing of the environment is
 * used but MAIL_CONFIG, and that only where the rights are the user's own.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "priv/priv.h"
#include "service/service.h"
#include "table/table.h"
#include "tools/tool.h"

#define TOOL_MEMORY	((size_t)1 << 30)
#define TEXT_MAX	4096

void
tool_start(struct tool *t, const char *name)
{
	struct stat st;

	umask(022);
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) != 0 && open("/dev/null", O_RDWR) != fd)
			_exit(EX_OSERR);
	fd_close_from(3);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* a full log is no reason to die */
	signal(SIGCHLD, SIG_DFL);	/* ignored, no child says how it ended */
	*t = (struct tool){ .name = name, .arena = arena_new(TOOL_MEMORY),
	    .borrowed = priv_is_borrowed() };
}

static const char *
plain_dir(struct tool *t, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return arena_cstr(t->arena, (struct str){ dir, n });
}

/* A set-gid command must not read a stranger's main.cf. */
static bool
dir_allowed(struct tool *t, struct conf *preset, const char *dir)
{
	static const char *const lists[] = {
		"alternate_config_directories", "multi_instance_directories",
	};
	struct str rest, item;

	if (strcmp(plain_dir(t, conf_dir(preset)), dir) == 0)
		return true;
	for (size_t i = 0; i < nitems(lists); i++) {
		rest = conf_get(preset, lists[i]);
		while (conf_list_next(&rest, &item))
			if (str_eq(item, str_of(dir)))
				return true;
	}
	return false;
}

static void
check_dir(struct tool *t, const char *dir, int status)
{
	struct problems problems = { 0 };
	struct conf *preset;
	bool allowed;

	unsetenv("MAIL_CONFIG");
	preset = conf_load(NULL, &problems);
	allowed = preset != NULL && dir_allowed(t, preset, plain_dir(t, dir));
	problems_free(&problems);
	conf_free(&preset);
	if (!allowed)
		tool_fail(t, status, "unauthorized configuration directory "
		    "name: %s", dir);
}

/* Lines go where the daemons' go, if this user may write there. */
static void
open_log(struct tool *t)
{
	const char *path = tool_param(t, "maillog_file");
	int fd;

	service_log_open(t->conf, t->name, true);
	if (*path == '\0' || t->borrowed)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_to_fd(fd);
}

void
tool_conf(struct tool *t, const char *dir, int status)
{
	struct problems problems = { 0 };
	struct buf why;

	if (t->borrowed && dir != NULL)
		check_dir(t, dir, status);
	t->conf = conf_load(dir, &problems);
	buf_init(&why, TEXT_MAX);
	for (size_t i = 0; i < problems.n; i++)
		if (problems.v[i].fatal && why.n == 0)
			problem_tell(&problems.v[i], &why);
	if (t->conf == NULL || why.n > 0) {
		fprintf(stderr, "%s: fatal: %s\n", t->name, buf_cstr(&why));
		exit(status);
	}
	buf_free(&why);
	problems_free(&problems);
	open_log(t);
	log_verbose(t->verbose > 0 || (!t->borrowed &&
	    getenv("MAIL_VERBOSE") != NULL));
}

/* The log escapes what it shows; this only forms the text. */
static void
form(char text[TEXT_MAX], const char *fmt, va_list ap)
{
	if (vsnprintf(text, TEXT_MAX, fmt, ap) < 0)
		text[0] = '\0';
}

void
tool_fail(struct tool *t, int status, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	form(text, fmt, ap);
	va_end(ap);
	if (t->conf == NULL)
		fprintf(stderr, "%s: fatal: %s\n", t->name, text);
	else
		log_at(LL_FATAL, STR(""), "%s", text);
	exit(status);
}

void
tool_warn(struct tool *t, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	form(text, fmt, ap);
	va_end(ap);
	if (t->conf == NULL)
		fprintf(stderr, "%s: warning: %s\n", t->name, text);
	else
		log_warn("%s", text);
}

const char *
tool_param(struct tool *t, const char *name)
{
	return arena_cstr(t->arena, conf_get(t->conf, name));
}

const char *
tool_path(struct tool *t, const char *command)
{
	char self[TEXT_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
	const char *path;

	if (n > 0 && (size_t)n < sizeof(self)) {
		struct str dir = { self, (size_t)n };

		dir = str_first(dir, str_rchr(dir, '/'));
		path = arena_printf(t->arena, STRF "/%s", STRV(dir), command);
		if (access(path, X_OK) == 0)
			return path;
	}
	return arena_printf(t->arena, "%s/%s",
	    tool_param(t, "command_directory"), command);
}

void
tool_exec(struct tool *t, char *const argv[])
{
	const char *path = tool_path(t, argv[0]);

	log_flush();
	signal(SIGPIPE, SIG_DFL);
	execv(path, argv);
	tool_fail(t, EX_UNAVAILABLE, "execute %s: %s", path, strerror(errno));
}

const char *
tool_user(struct tool *t, uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	return pw == NULL ? "unknown" :
	    arena_cstr(t->arena, str_of(pw->pw_name));
}

bool
tool_authorized(struct tool *t, const char *param, uid_t uid)
{
	struct str list = conf_get(t->conf, param);
	struct match_list *match;
	enum found found;
	struct buf why;

	if (str_eq(list, STR("static:anyone")) || uid == 0 ||
	    strcmp(tool_user(t, uid), tool_param(t, "mail_owner")) == 0)
		return true;
	buf_init(&why, TEXT_MAX);
	match = match_list_open(list, conf_dir(t->conf), 0, &why);
	found = match_list_domain(match, str_of(tool_user(t, uid)));
	if (found == RETRY)
		tool_fail(t, EX_TEMPFAIL, "%s: %s", param, buf_cstr(&why));
	match_list_free(&match);
	buf_free(&why);
	return found == FOUND;
}

void
tool_become_owner(struct tool *t)
{
	log_flush();			/* the log is open before rights go */
	priv_become_owner(tool_param(t, "mail_owner"),
	    tool_param(t, "setgid_group"));
}

void
tool_queue(struct tool *t, struct queue *q)
{
	const char *spool = tool_param(t, "queue_directory"), *bad;
	int err = queue_open(q, spool, conf_get(t->conf, "hash_queue_names"),
	    (unsigned)conf_number(t->conf, "hash_queue_depth"), &bad);

	if (err != 0)
		tool_fail(t, EX_UNAVAILABLE, "open %s: %s", bad,
		    strerror(err));
}

int
tool_connect(struct tool *t, const char *name, int ms)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval wait = { ms / 1000, ms % 1000 * 1000 };
	int fd, n, err;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/public/%s",
	    tool_param(t, "queue_directory"), name);
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* A full backlog makes connect() wait: not for ever. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const struct sockaddr *)(const void *)&sun,
	    sizeof(sun)) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}
