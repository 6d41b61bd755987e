/*
 * log_sink - where lines go: syslog's socket, a file, a pipe, a socket.
 *
 * Nothing here blocks. A file gets all lines in one appending write. A pipe
 * gets whole lines, at most PIPE_BUF a write, which the kernel takes whole or
 * not. A stream socket may take half a line: the rest stays in front. What is
 * not taken stays pending; what no longer fits there is counted and said in
 * a line of its own as soon as there is room.
 *
 * The socket to /dev/log is opened by log_open() and kept: a process in a
 * chroot or under a seccomp filter cannot open another. log_to_fd() with a
 * datagram socket replaces it.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>
#include "sys/internal.h"

_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line is one write to a pipe");

static bool
syslog_connect(int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
		.sun_path = "/dev/log" };

	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

void
log_sink_open(struct log_room *log)
{
	if (log->syslog_fd == -1)
		log->syslog_fd = socket(AF_UNIX,
		    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (log->syslog_fd != -1)
		(void)syslog_connect(log->syslog_fd);	/* or at a flush */
}

int
log_syslog(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd != -1 && !syslog_connect(fd))
		fd_close(&fd);
	return fd;
}

static enum log_sink
sink_of(int fd)
{
	int type = 0;
	socklen_t n = sizeof(type);
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0)
		return type == SOCK_DGRAM ? SINK_SYSLOG : SINK_STREAM;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return SINK_FILE;
	return SINK_PIPE;	/* also a terminal, /dev/null */
}

void
log_to_fd(int fd)
{
	struct log_room *log = &sys_room.log;
	enum log_sink before = log->sink;

	log_flush();
	if (log->fd != -1 && log->fd != fd)
		fd_close(&log->fd);
	log->fd = -1;
	log->lost = false;
	log->sink = fd == -1 ? SINK_SYSLOG : sink_of(fd);
	/* Lines of another form make no sense to the new sink. */
	if (log->sink != before)
		buf_clear(&log->pending);
	if (fd == -1)
		return;
	(void)fd_cloexec(fd, true);
	if (log->sink == SINK_SYSLOG) {
		fd_close(&log->syslog_fd);
		log->syslog_fd = fd;
		(void)fd_nonblock(fd);
		return;
	}
	log->fd = fd;
	if (log->sink != SINK_FILE)
		(void)fd_nonblock(fd);
	else if ((fcntl(fd, F_GETFL) & O_APPEND) == 0)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND);
}

/* Bytes of whole lines at the start of s, at most max of them. */
static size_t
whole_lines(struct str s, size_t max)
{
	if (s.n <= max)
		return s.n;
	return str_rchr(str_first(s, max), '\n') + 1;
}

/* Bytes of the front that the sink took; -1 where it is broken. */
static ssize_t
hand_out(struct log_room *log, struct str s)
{
	ssize_t done = -1;

	switch (log->sink) {
	case SINK_FILE:
		done = write(log->fd, s.p, s.n);
		break;
	case SINK_PIPE:
		done = write(log->fd, s.p, whole_lines(s, PIPE_BUF));
		break;
	case SINK_STREAM:
		done = send(log->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case SINK_SYSLOG:	/* without the line's end */
		s.n = str_chr(s, '\n');
		done = send(log->syslog_fd, s.p, s.n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done >= 0)
			done = (ssize_t)s.n + 1;
		break;
	}
	return done;
}

/* syslog was restarted, or was not there at first: find it again. */
static bool
repair(struct log_room *log)
{
	return log->sink == SINK_SYSLOG && errno != EAGAIN &&
	    errno != ENOBUFS && errno != EMSGSIZE && log->syslog_fd != -1 &&
	    syslog_connect(log->syslog_fd);
}

static void
count_dropped(struct log_room *log)
{
	for (size_t i = 0; i < log->pending.n; i++)
		if (log->pending.p[i] == '\n')
			log->dropped++;
	buf_clear(&log->pending);
}

static void
drain(struct log_room *log)
{
	bool repaired = false;
	size_t at = 0;

	while (at < log->pending.n) {
		ssize_t done = hand_out(log,
		    str_from(buf_view(&log->pending), at));

		if (done >= 0) {
			at += (size_t)done;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (!repaired && repair(log)) {
			repaired = true;
			continue;
		}
		break;
	}
	buf_drop(&log->pending, at);
	/* Full, or syslogd away: these wait. Broken (ENOSPC): they are lost. */
	log->lost = false;
	if (log->pending.n == 0 || errno == EAGAIN || errno == ENOBUFS)
		return;
	if (log->sink == SINK_SYSLOG && errno != EMSGSIZE)
		log->lost = true;
	else
		count_dropped(log);
}

/* Said last: the lines before it were those that stayed. */
static void
say_dropped(struct log_room *log)
{
	struct buf line;
	struct buf said;

	buf_init(&said, 64);
	buf_printf(&said, "%llu log lines were lost",
	    (unsigned long long)log->dropped);
	buf_init(&line, LOG_LINE_MAX);
	log_line(log, LL_WARN, STR(""), buf_view(&said), &line);
	if (hand_out(log, buf_view(&line)) > 0)
		log->dropped = 0;
	buf_free(&line);
	buf_free(&said);
}

void
log_sink_flush(struct log_room *log)
{
	int saved = errno;

	if (log->pending.n > 0)
		drain(log);
	if (log->dropped > 0 && log->pending.n == 0)
		say_dropped(log);
	errno = saved;
}
