/*
 * stream - a connected socket or pipe with as little around it as can be.
 *
 * Idle, it is this struct alone: input is read into the loop's one buffer and
 * only what the owner leaves is kept (left); output is kept only where the
 * socket did not take it (out). Callbacks may free the stream: each of our
 * own entries holds it (busy) until it has returned. A filter (TLS) stands in
 * for read(2) and send(2), and has its own beginning.
 */
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <errno.h>
#include <unistd.h>
#include "event/internal.h"
#include "sys/sys.h"

/* Nobody may keep more waiting than this: a bug or a flood, not a client. */
#define OUTPUT_MAX	((size_t)1 << 26)
#define FILE_PIECE	((uint64_t)1 << 20)	/* of a file, in one call */

struct stream {
	struct loop	*loop;
	const struct stream_ops *ops;
	void		*ctx;
	struct event	 readable, writable, timeout;
	int64_t		 deadline_ms;	/* steady clock; 0: none */
	int64_t		 armed_ms;	/* when timeout fires; 0: it rests */
	struct buf	 left;		/* received, not taken */
	struct buf	 out;		/* from out_at on: not sent */
	size_t		 out_at;
	const struct stream_filter *filter;	/* NULL: none */
	void		*filter_ctx;
	unsigned	 begin_want;	/* while the filter begins */
	uint64_t	 file_left;	/* to be sent behind out */
	off_t		 file_at;
	int		 file;
	int		 fd;
	int		 err;		/* told, or to be told */
	unsigned	 busy;		/* callbacks that run on us */
	bool		 is_socket, dead, paused, corked, eof;
	bool		 reading, writing;	/* events that are added */
	bool		 showing, drop, show_again, waited;
	bool		 beginning;	/* the filter's begin() runs */
	bool		 read_wants_write, write_wants_read;
};

static void	on_readable(evutil_socket_t, short, void *);
static void	on_writable(evutil_socket_t, short, void *);
static void	on_deadline(evutil_socket_t, short, void *);
static void	look_inside(struct stream *);

static void
hold(struct stream *s)
{
	s->busy++;
}

/* False: it was freed meanwhile, and is gone now. */
static bool
release(struct stream *s)
{
	s->busy--;
	if (s->dead && s->busy == 0) {
		mem_free(s);
		return false;
	}
	return !s->dead;
}

/*
 * A pause alone costs no system call: most are over before the peer says more,
 * and where it does, on_readable() takes the event away.
 */
static void
want_read(struct stream *s)
{
	bool on = !s->eof && s->err == 0;

	if (s->beginning)
		on = on && (s->begin_want & WATCH_READ) != 0;
	else if (s->write_wants_read)
		on = s->err == 0;
	else if (on && s->paused)
		return;
	if (on != s->reading)
		event_want(&s->readable, on);
	s->reading = on;
}

static void
want_write(struct stream *s)
{
	bool on = stream_unsent(s) > 0 && !s->corked &&
	    !s->write_wants_read;

	if (s->beginning)
		on = (s->begin_want & WATCH_WRITE) != 0;
	on = (on || s->read_wants_write) && s->err == 0;
	if (on != s->writing)
		event_want(&s->writable, on);
	s->writing = on;
}

struct stream *
stream_new(struct loop *loop, int fd, const struct stream_ops *ops, void *ctx)
{
	struct stream *s;
	int type;
	socklen_t n = sizeof(type);
	int err = fd_nonblock(fd);

	if (err != 0)
		die("stream: descriptor %d: %s", fd, strerror(err));
	s = stream_accepted(loop, fd, ops, ctx);
	s->is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0;
	return s;
}

struct stream *
stream_accepted(struct loop *loop, int fd, const struct stream_ops *ops,
    void *ctx)
{
	struct stream *s = mem_new(sizeof(*s));

	s->loop = loop;
	s->ops = ops;
	s->ctx = ctx;
	s->fd = fd;
	s->is_socket = true;
	buf_init(&s->left, STREAM_INPUT_MAX);
	buf_init(&s->out, OUTPUT_MAX);
	event_place(loop, &s->readable, fd, EV_READ | EV_PERSIST, on_readable,
	    s);
	event_place(loop, &s->writable, fd, EV_WRITE | EV_PERSIST,
	    on_writable, s);
	event_place(loop, &s->timeout, -1, 0, on_deadline, s);
	want_read(s);
	return s;
}

void
stream_free(struct stream **stream)
{
	struct stream *s = *stream;

	if (s == NULL)
		return;
	*stream = NULL;
	event_del(&s->readable);
	event_del(&s->writable);
	event_del(&s->timeout);
	buf_free(&s->left);
	buf_free(&s->out);
	if (s->filter != NULL)
		s->filter->close(s->filter_ctx);
	s->filter = NULL;
	fd_close(&s->fd);
	s->dead = true;
	if (s->busy == 0)
		mem_free(s);
}

/* From the loop alone, as the last thing. */
static void
fail(struct stream *s, int err)
{
	if (s->err == 0)
		s->err = err;
	want_read(s);
	want_write(s);
	buf_free(&s->out);
	s->out_at = 0;
	s->file_left = 0;
	hold(s);
	if (s->ops->on_error != NULL)
		s->ops->on_error(s->ctx, s->err);
	(void)release(s);
}

/*
 * Shows in, which stands in left or in the loop's buffer, and keeps in left
 * what was not taken. False where the stream is gone.
 */
static bool
show(struct stream *s, struct str in)
{
	bool from_left = in.p == s->left.p;
	size_t taken;

	s->showing = true;
	s->drop = false;
	hold(s);
	taken = s->ops->on_input(s->ctx, in);
	if (!release(s))
		return false;
	s->showing = false;
	assert(taken <= in.n);
	if (s->drop)
		taken = in.n;
	if (from_left)
		buf_drop(&s->left, taken);
	else
		buf_str(&s->left, str_from(in, taken));
	if (s->left.n == 0)
		buf_free(&s->left);
	return true;
}

/* read(2), or the filter's: that may want to write first. */
static ssize_t
read_now(struct stream *s, char *p, size_t n)
{
	unsigned want = 0;
	ssize_t got;

	if (s->filter == NULL)
		return read(s->fd, p, n);
	got = s->filter->read(s->filter_ctx, p, n, &want);
	s->read_wants_write = got < 0 && errno == EAGAIN &&
	    (want & WATCH_WRITE) != 0;
	if (s->read_wants_write)
		want_write(s);
	return got;
}

/* Reads behind what was left, so that the owner sees it in one piece. */
static void
receive(struct stream *s)
{
	char *input = s->loop->input;
	size_t kept = s->left.n;
	ssize_t got;

	if (kept > 0)
		memcpy(input, s->left.p, kept);
	got = read_now(s, input + kept, STREAM_INPUT_MAX - kept);
	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail(s, errno);
		return;
	}
	if (got == 0) {
		s->eof = true;
		want_read(s);
		hold(s);
		if (s->ops->on_eof != NULL)
			s->ops->on_eof(s->ctx);
		(void)release(s);
		return;
	}
	buf_clear(&s->left);
	if (!show(s, (struct str){ input, kept + (size_t)got }))
		return;
	if (s->left.n == STREAM_INPUT_MAX && !s->paused)
		fail(s, EMSGSIZE);
	else
		look_inside(s);
}

/* One step of the filter's beginning; its begun() may free the stream. */
static void
go_on_beginning(struct stream *s)
{
	int err = 0;

	s->begin_want = 0;
	hold(s);
	if (s->filter->begin(s->filter_ctx, &s->begin_want) != 0)
		err = errno;
	s->beginning = err == EAGAIN;
	if (err != 0 && err != EAGAIN)
		s->err = err;
	if (!s->dead) {
		want_read(s);
		want_write(s);
		if (!s->beginning)
			s->filter->begun(s->filter_ctx, err);
	}
	if (release(s) && !s->beginning)
		look_inside(s);
}

void
stream_filter(struct stream *s, const struct stream_filter *filter, void *ctx)
{
	assert(stream_unsent(s) == 0 && s->filter == NULL);
	stream_drop_input(s);
	s->filter = filter;
	s->filter_ctx = ctx;
	s->beginning = true;
	s->begin_want = 0;
	want_read(s);
	stream_kick(s);
}

void
stream_kick(struct stream *s)
{
	if (!s->dead && s->beginning)
		event_active(&s->readable, EV_READ, 0);
}

static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct stream *s = ctx;

	(void)fd;
	(void)what;
	if (s->beginning) {
		if (s->err == 0)
			go_on_beginning(s);
		return;
	}
	if (s->write_wants_read && s->err == 0) {
		s->write_wants_read = false;
		event_active(&s->writable, EV_WRITE, 0);
	}
	if (s->paused && s->reading) {
		event_want(&s->readable, false);
		s->reading = false;
	}
	if (s->paused || s->err != 0)
		return;
	if (s->show_again) {
		s->show_again = false;
		if (s->left.n == 0 || show(s, buf_view(&s->left)))
			look_inside(s);
		return;
	}
	if (!s->eof)
		receive(s);
}

/* Told from the loop: a writer does not expect to be freed by its write. */
static void
fail_later(struct stream *s, int err)
{
	s->err = err;
	want_read(s);
	want_write(s);
	event_active(&s->writable, EV_WRITE, 0);
}

/* A filter takes a record at a time. */
static size_t
send_filtered(struct stream *s, struct str bytes)
{
	size_t all = 0;
	ssize_t done = 0;
	unsigned want;

	while (all < bytes.n) {
		want = 0;
		done = s->filter->write(s->filter_ctx, str_from(bytes, all),
		    &want);
		if (done < 0)
			break;
		all += (size_t)done;
	}
	s->write_wants_read = done < 0 && errno == EAGAIN &&
	    (want & WATCH_WRITE) == 0;
	if (done < 0 && errno != EAGAIN)
		fail_later(s, errno);
	else if (s->write_wants_read)
		want_read(s);
	return all;
}

/* Bytes that the socket took now. */
static size_t
send_now(struct stream *s, struct str bytes)
{
	if (s->filter != NULL)
		return s->beginning ? 0 : send_filtered(s, bytes);
	for (;;) {
		ssize_t done = s->is_socket ?
		    send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL) :
		    write(s->fd, bytes.p, bytes.n);

		if (done >= 0)
			return (size_t)done;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			fail_later(s, errno);
		return 0;
	}
}

/* As much of the file as the socket takes now. */
static void
send_file(struct stream *s)
{
	while (s->file_left > 0) {
		ssize_t done = sendfile(s->fd, s->file, &s->file_at,
		    s->file_left < FILE_PIECE ? s->file_left : FILE_PIECE);

		if (done > 0) {
			s->file_left -= (uint64_t)done;
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0 || errno != EAGAIN)
			fail_later(s, done == 0 ? EIO : errno);
		return;
	}
}

static void
flush_output(struct stream *s)
{
	if (s->out.n > s->out_at)
		s->out_at += send_now(s, str_from(buf_view(&s->out),
		    s->out_at));
	if (s->out.n == s->out_at) {
		buf_free(&s->out);
		s->out_at = 0;
		if (s->file_left > 0 && s->err == 0)
			send_file(s);
	}
	want_write(s);
}

static void
on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct stream *s = ctx;

	(void)fd;
	(void)what;
	if (s->beginning) {
		if (s->err == 0)
			go_on_beginning(s);
		return;
	}
	if (s->read_wants_write && s->err == 0) {
		s->read_wants_write = false;
		event_active(&s->readable, EV_READ, 0);
	}
	if (s->err == 0)
		flush_output(s);
	if (s->err != 0) {
		event_del(&s->writable);
		fail(s, s->err);
		return;
	}
	if (stream_unsent(s) > 0 || !s->waited)
		return;
	s->waited = false;
	hold(s);
	if (s->ops->on_drained != NULL)
		s->ops->on_drained(s->ctx);
	(void)release(s);
}

void
stream_write(struct stream *s, struct str bytes)
{
	if (s->err != 0 || s->dead || bytes.n == 0)
		return;
	assert(s->file_left == 0);
	if (!s->corked && s->out.n == 0) {
		bytes = str_from(bytes, send_now(s, bytes));
		if (bytes.n == 0 || s->err != 0)
			return;
	}
	if (s->out_at > 0 && s->out_at >= s->out.n / 2) {
		buf_drop(&s->out, s->out_at);
		s->out_at = 0;
	}
	buf_str(&s->out, bytes);
	if (s->out.full) {
		fail_later(s, ENOBUFS);
		return;
	}
	if (!s->corked)
		s->waited = true;
	want_write(s);
}

bool
stream_send_file(struct stream *s, int fd, int64_t at, uint64_t n)
{
	if (s->filter != NULL || !s->is_socket)
		return false;
	if (s->err != 0 || s->dead || n == 0)
		return true;
	assert(s->file_left == 0);
	s->file = fd;
	s->file_at = at;
	s->file_left = n;
	if (s->corked)
		return true;
	flush_output(s);
	if (s->file_left > 0 && s->err == 0)
		s->waited = true;
	return true;
}

void
stream_cork(struct stream *s, bool on)
{
	if (s->dead || s->corked == on)
		return;
	s->corked = on;
	if (on || s->err != 0)
		return;
	flush_output(s);
	if (stream_unsent(s) > 0)
		s->waited = true;
}

size_t
stream_unsent(const struct stream *s)
{
	return s->out.n - s->out_at + (size_t)s->file_left;
}

void
stream_pause(struct stream *s, bool on)
{
	if (s->dead)
		return;
	s->paused = on;
	want_read(s);
	if (!on && s->err == 0 && (s->left.n > 0 || s->showing)) {
		s->show_again = true;
		event_active(&s->readable, EV_READ, 0);
	} else if (!on)
		look_inside(s);
}

/* A filter may hold bytes that came with those which were read. */
static void
look_inside(struct stream *s)
{
	if (s->filter != NULL && !s->beginning && !s->paused && !s->eof &&
	    s->err == 0 && s->filter->pending(s->filter_ctx))
		event_active(&s->readable, EV_READ, 0);
}

void
stream_shut(struct stream *s)
{
	if (s->dead)
		return;
	if (s->filter != NULL && !s->beginning)
		s->filter->shut(s->filter_ctx);
	(void)shutdown(s->fd, SHUT_WR);
}

struct str
stream_leftover(const struct stream *s)
{
	return s->showing ? STR("") : buf_view(&s->left);
}

void
stream_drop_input(struct stream *s)
{
	s->drop = true;
	if (!s->showing)
		buf_free(&s->left);
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}

/*
 * Sessions set their timeout at every command and hardly ever meet it: the
 * event stays armed for an earlier time and is moved when that comes.
 */
static void
arm_timeout(struct stream *s, int64_t now_ms)
{
	int64_t after = s->deadline_ms - now_ms;
	struct timeval tv;

	if (after < 0)
		after = 0;
	s->armed_ms = now_ms + after;
	tv.tv_sec = (time_t)(after / 1000);
	tv.tv_usec = (suseconds_t)(after % 1000 * 1000);
	if (event_add(&s->timeout, &tv) != 0)
		die("libevent: timeout refused");
}

static void
on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct stream *s = ctx;
	int64_t now = clock_steady_ms();

	(void)fd;
	(void)what;
	s->armed_ms = 0;
	if (s->deadline_ms == 0)
		return;
	if (now < s->deadline_ms) {
		arm_timeout(s, now);
		return;
	}
	s->deadline_ms = 0;
	hold(s);
	if (s->ops->on_timeout != NULL)
		s->ops->on_timeout(s->ctx);
	(void)release(s);
}

void
stream_timeout(struct stream *s, int64_t after_ms)
{
	int64_t now;

	if (s->dead)
		return;
	if (after_ms <= 0) {
		s->deadline_ms = 0;
		return;
	}
	now = clock_steady_ms();
	s->deadline_ms = now + after_ms;
	if (s->armed_ms == 0 || s->armed_ms > s->deadline_ms)
		arm_timeout(s, now);
}
