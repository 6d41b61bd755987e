/*
 * saslauthd - asks the daemon of that name, with a time limit of our own.
 *
 * Its protocol (cyrus-sasl, saslauthd/ipc_unix.c): four strings, each with a
 * 16-bit length in network order: login, password, service, realm. The
 * answer is one such string: "OK" or "NO", maybe with a text behind it.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/auth.h"

struct daemon_ask {
	struct auth   *auth;
	struct stream *stream;
	struct timer  *start;
	struct buf     question;
	asked_done   *done;
	void	      *ctx;
};

static void	on_start(void *ctx);
static size_t	on_input(void *ctx, struct str in);
static void	on_eof(void *ctx);
static void	on_error(void *ctx, int err);
static void	on_timeout(void *ctx);
static void	finish(struct daemon_ask *, enum password_verdict,
		    const char *why);

static const struct stream_ops ops = {
	.on_input = on_input, .on_eof = on_eof, .on_error = on_error,
	.on_timeout = on_timeout,
};

static void
put(struct buf *b, struct str s)
{
	struct str part = str_first(s, 1024);

	buf_putc(b, (char)(part.n >> 8));
	buf_putc(b, (char)(part.n & 255));
	buf_str(b, part);
}

struct daemon_ask *
saslauthd_ask(struct auth *a, const struct guess *g, asked_done *done,
    void *ctx)
{
	struct daemon_ask *q = mem_new(sizeof(*q));
	size_t at = str_rchr(g->user, '@');

	q->auth = a;
	q->done = done;
	q->ctx = ctx;
	buf_init(&q->question, 8192);
	/* As libsasl does: the domain is the realm. */
	put(&q->question, str_first(g->user, at));
	put(&q->question, g->password);
	put(&q->question, g->service);
	put(&q->question, at < g->user.n ? str_from(g->user, at + 1) :
	    STR(""));
	q->start = timer_new(a->loop, on_start, q);
	timer_set(q->start, 0);
	return q;
}

static void
on_start(void *ctx)
{
	struct daemon_ask *q = ctx;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct str path = q->auth->conf.auth_saslauthd_socket;
	int fd;

	if (path.n >= sizeof(sun.sun_path)) {
		finish(q, PASSWORD_FAULT, "path is too long");
		return;
	}
	memcpy(sun.sun_path, path.p, path.n);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		const char *why = strerror(errno);

		fd_close(&fd);
		finish(q, PASSWORD_FAULT, why);
		return;
	}
	q->stream = stream_new(q->auth->loop, fd, &ops, q);
	stream_timeout(q->stream, q->auth->conf.auth_saslauthd_timeout * 1000);
	stream_write(q->stream, buf_view(&q->question));
	password_wipe(q->question.p, q->question.n);
}

static size_t
on_input(void *ctx, struct str in)
{
	struct daemon_ask *q = ctx;
	size_t n;

	if (in.n < 2)
		return 0;
	n = (size_t)(unsigned char)in.p[0] << 8 | (unsigned char)in.p[1];
	if (in.n < n + 2)
		return 0;
	in = (struct str){ in.p + 2, n };
	if (str_starts(in, STR("OK")))
		finish(q, PASSWORD_RIGHT, NULL);
	else if (str_starts(in, STR("NO")))
		finish(q, PASSWORD_WRONG, NULL);
	else
		finish(q, PASSWORD_FAULT, "answer makes no sense");
	return n + 2;
}

static void
on_eof(void *ctx)
{
	finish(ctx, PASSWORD_FAULT, "closed the connection");
}

static void
on_error(void *ctx, int err)
{
	finish(ctx, PASSWORD_FAULT, strerror(err));
}

static void
on_timeout(void *ctx)
{
	finish(ctx, PASSWORD_FAULT, "does not answer");
}

static void
finish(struct daemon_ask *q, enum password_verdict verdict, const char *why)
{
	asked_done *done = q->done;
	void *ctx = q->ctx;

	if (why != NULL)
		log_warn("saslauthd at " STRF ": %s",
		    STRV(q->auth->conf.auth_saslauthd_socket), why);
	saslauthd_cancel(&q);
	done(ctx, verdict);
}

void
saslauthd_cancel(struct daemon_ask **qp)
{
	struct daemon_ask *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	timer_free(&q->start);
	stream_free(&q->stream);
	password_wipe(q->question.p, q->question.n);
	buf_free(&q->question);
	mem_free(q);
}
