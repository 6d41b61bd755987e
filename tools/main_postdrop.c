/*
 * postdrop - put one message into maildrop/, for sendmail.
 *
 * Runs set-gid postdrop for any user, so all is hostile: arguments,
 * environment, limits, every byte of standard input, which holds the frames
 * of maildrop.h. Each is checked before it is written. The file gets a name
 * that cannot be guessed; it counts for pickup when its mode has the owner's
 * x bit, which is set when the commit frame is in place, just before fsync.
 * One line on standard output tells the outcome: "0 ID" or "status reason".
 */
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "maildrop/maildrop.h"
#include "priv/priv.h"
#include "tools/login_sender.h"

#define INPUT_MAX	(2 * MAILDROP_FRAME_MAX)
#define NAME_TRIES	20
#define POKE_MS		1000

struct postdrop {
	struct tool tool;
	uid_t	 uid;
	int	 dir;			/* maildrop/ */
	int	 file;
	int	 signals;
	char	 name[MAILDROP_NAME_MAX];
	int64_t	 size_max;		/* message_size_limit, 0: none */
	struct maildrop_reader reader;
	size_t	 nrcpts;
	bool	 extract;
};

static _Noreturn void leave(struct postdrop *, int, const char *, ...)
		    PRINTF(3, 4);

/* The outcome, after which nothing is left that did not get its commit. */
static void
leave(struct postdrop *p, int status, const char *fmt, ...)
{
	struct buf line;
	char text[1024];
	va_list ap;

	if (status != EX_OK && p->file >= 0 &&
	    unlinkat(p->dir, p->name, 0) != 0)
		tool_warn(&p->tool, "uid=%u: remove %s: %s", (unsigned)p->uid,
		    p->name, strerror(errno));
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	buf_init(&line, 2 * sizeof(text));
	buf_printf(&line, "%d ", status);
	log_escape(str_of(text), &line);
	buf_putc(&line, '\n');
	/* Nobody may listen any more; the exit status says it too. */
	if (fd_write_all(1, line.p, line.n) != 0)
		exit(status);
	exit(status);
}

static void
catch_signals(struct postdrop *p)
{
	sigset_t set;

	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
	    (p->signals = signalfd(-1, &set, SFD_CLOEXEC)) < 0)
		leave(p, EX_OSERR, "signalfd: %s", strerror(errno));
}

/* No more than fits a message: a runaway program stops here. */
static void
limit_file(struct postdrop *p)
{
	struct rlimit now;
	rlim_t most = (rlim_t)p->size_max * 2 + (64 << 20);

	if (p->size_max > 0 && getrlimit(RLIMIT_FSIZE, &now) == 0 &&
	    (now.rlim_cur == RLIM_INFINITY || now.rlim_cur > most)) {
		now.rlim_cur = most;
		(void)setrlimit(RLIMIT_FSIZE, &now);
	}
}

static void
open_maildrop(struct postdrop *p)
{
	const char *spool = tool_param(&p->tool, "queue_directory");
	int root = open(spool, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root >= 0)
		p->dir = openat(root, "maildrop", O_PATH | O_DIRECTORY |
		    O_NOFOLLOW | O_CLOEXEC);
	if (p->dir < 0)
		leave(p, EX_TEMPFAIL, "open %s/maildrop: %s", spool,
		    strerror(errno));
	close(root);
}

static void
create_file(struct postdrop *p)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		maildrop_name(p->name);
		p->file = openat(p->dir, p->name, O_WRONLY | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
		if (p->file >= 0)
			return;
		if (errno != EEXIST && errno != EINTR)
			break;
	}
	leave(p, EX_TEMPFAIL, "create maildrop file: %s", strerror(errno));
}

/* Waits for input; a signal that would end us does so cleanly. */
static ssize_t
read_input(struct postdrop *p, char *at, size_t room)
{
	struct pollfd fds[2] = { { .fd = 0, .events = POLLIN },
	    { .fd = p->signals, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return -1;
	if (fds[1].revents != 0)
		leave(p, EX_TEMPFAIL, "interrupted");
	return read(0, at, room);
}

static void
check_sender(struct postdrop *p, struct str sender)
{
	struct buf why;
	enum found may;

	buf_init(&why, 1000);
	may = login_sender_find(&p->tool, p->uid, sender, &why);
	if (may == RETRY) {
		tool_warn(&p->tool, "uid=%u: local_login_sender_maps: %s",
		    (unsigned)p->uid, buf_cstr(&why));
		leave(p, EX_TEMPFAIL, "local_login_sender_maps table lookup "
		    "error for '" STRF "'", STRV(conf_get(p->tool.conf,
		    "local_login_sender_maps")));
	}
	if (may == NONE)
		leave(p, EX_NOPERM, "not authorized to use sender='" STRF "'",
		    STRV(sender));
	buf_free(&why);
}

static void
check_frame(struct postdrop *p, const struct maildrop_frame *f)
{
	if (f->type == MD_SENDER)
		check_sender(p, f->text);
	if (f->type == MD_RCPT)
		p->nrcpts++;
	if (f->type == MD_ATTR && str_eq(f->name, STR("extract")))
		p->extract = true;
	if (p->size_max > 0 && p->reader.content > (uint64_t)p->size_max)
		leave(p, EX_UNAVAILABLE, "message file too big");
}

/* Takes whole frames off the input. True: the commit was among them. */
static bool
check_input(struct postdrop *p, struct str *in)
{
	struct maildrop_frame frame;

	for (;;) {
		switch (maildrop_read(&p->reader, in, &frame)) {
		case MAILDROP_FRAME:
			check_frame(p, &frame);
			break;
		case MAILDROP_MORE:
			return false;
		case MAILDROP_END:
			if (in->n > 0)
				leave(p, EX_SOFTWARE, "malformed input: "
				    "bytes after the end");
			return true;
		case MAILDROP_BAD:
			tool_warn(&p->tool, "uid=%u: malformed input: %s",
			    (unsigned)p->uid, p->reader.why);
			leave(p, EX_SOFTWARE, "malformed input: %s",
			    p->reader.why);
		}
	}
}

static void
copy(struct postdrop *p)
{
	struct buf in;
	bool done = false;

	buf_init(&in, INPUT_MAX);
	while (!done) {
		size_t room = INPUT_MAX - in.n;
		char *at = buf_space(&in, room);
		ssize_t got = at == NULL ? -1 : read_input(p, at, room);
		struct str rest;
		size_t used;
		int err;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			leave(p, EX_DATAERR, "input ended before the message");
		in.n += (size_t)got;
		rest = buf_view(&in);
		done = check_input(p, &rest);
		used = in.n - rest.n;
		err = fd_write_all(p->file, in.p, used);
		if (err != 0)
			leave(p, EX_TEMPFAIL, "write maildrop file: %s",
			    strerror(err));
		buf_drop(&in, used);
	}
	buf_free(&in);
	if (p->nrcpts == 0 && !p->extract)
		leave(p, EX_DATAERR, "no recipients");
}

/* Readable for pickup, which is another user; x: complete. */
static void
commit(struct postdrop *p)
{
	if (fchmod(p->file, 0744) != 0 || fsync(p->file) != 0)
		leave(p, EX_TEMPFAIL, "write maildrop file: %s",
		    strerror(errno));
}

/* pickup looks by itself once a minute; this only saves the wait. */
static void
poke(struct postdrop *p)
{
	int fd = tool_connect(&p->tool, "pickup", POKE_MS);

	if (fd < 0)
		return;
	(void)send(fd, "W", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

int
main(int argc, char **argv)
{
	struct postdrop p = { .dir = -1, .file = -1, .uid = getuid() };
	const char *dir = NULL;
	int c;

	tool_start(&p.tool, "postdrop");
	opterr = 0;
	while ((c = getopt(argc, argv, "c:rv")) != -1) {
		if (c == 'c')
			dir = optarg;
		else if (c == '?')
			tool_fail(&p.tool, EX_USAGE,
			    "usage: postdrop [-c config_dir] [-v]");
	}
	tool_conf(&p.tool, dir, EX_CONFIG);
	clearenv();
	p.size_max = conf_number(p.tool.conf, "message_size_limit");
	if (!tool_authorized(&p.tool, "authorized_submit_users", p.uid))
		leave(&p, EX_NOPERM, "User %s(%u) is not allowed to submit "
		    "mail", tool_user(&p.tool, p.uid), (unsigned)p.uid);
	catch_signals(&p);
	limit_file(&p);
	open_maildrop(&p);
	create_file(&p);
	copy(&p);
	commit(&p);
	poke(&p);
	leave(&p, EX_OK, "%s", p.name);
}
