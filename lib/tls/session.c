/*
 * session - one TLS session: a filter of its stream.
 *
 * A server's handshake runs in an OpenSSL job (a stack of its own, from a
 * pool of HANDSHAKES_MAX): when it needs a signature the job rests, and goes
 * on when tls_signed() has come. After the handshake there is no job, and an
 * idle session holds no buffer. Whoever owns the stream owns the session.
 *
 * RFC 8446, RFC 5246. An end without close_notify is an error: what was cut
 * off must not pass for the whole.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <stdio.h>
#include <openssl/async.h>
#include <openssl/err.h>

#include "sys/sys.h"
#include "tls/internal.h"

static int	begin(void *ctx, unsigned *want);
static void	begun(void *ctx, int err);
static ssize_t	read_some(void *ctx, char *p, size_t n, unsigned *want);
static ssize_t	write_some(void *ctx, struct str, unsigned *want);
static bool	is_pending(void *ctx);
static void	say_end(void *ctx);
static void	end(void *ctx);

static const struct stream_filter filter = {
	.begin = begin, .begun = begun, .read = read_some,
	.write = write_some, .pending = is_pending, .shut = say_end,
	.close = end,
};

struct tls *
session_make(struct tls_side *side, struct stream *stream,
    const struct tls_ops *ops, void *ctx)
{
	struct tls *t = mem_new(sizeof(*t));
	const int on = 1;

	t->side = side;
	t->stream = stream;
	t->ops = ops;
	t->ctx = ctx;
	t->link.next = t->link.prev = &t->link;
	t->ssl = SSL_new(side->ctx);
	if (t->ssl == NULL || SSL_set_fd(t->ssl, stream_fd(stream)) != 1)
		die("OpenSSL: no session");
	SSL_set_app_data(t->ssl, t);
	/*
	 * Records leave as they are made: two small ones in a row, as tickets
	 * and a reply, else wait for the peer's delayed ACK.
	 */
	(void)setsockopt(stream_fd(stream), IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on));
	return t;
}

/* From now on the stream has it. */
void
session_run(struct tls *t)
{
	stream_filter(t->stream, &filter, t);
}

void
session_unmake(struct tls *t)
{
	SSL_free(t->ssl);
	mem_free(t);
}

struct tls *
tls_accept(struct tls_side *side, struct stream *stream,
    const struct tls_ops *ops, void *ctx)
{
	struct tls *t = session_make(side, stream, ops, ctx);

	SSL_set_accept_state(t->ssl);
	session_run(t);
	return t;
}

/* --- the handshake --- */

/* A job is free: whoever waits longest has it. */
static void
job_over(struct tls *t)
{
	struct list *next = t->side->waiting.next;

	t->has_job = false;
	if (list_empty(&t->side->waiting))
		return;
	list_remove(next);
	stream_kick(container_of(next, struct tls, link)->stream);
}

/* One step; what SSL_get_error says of it. */
static int
step(struct tls *t)
{
	int r;

	ERR_clear_error();
	errno = 0;
	t->side->running = t;
	t->has_job = true;
	r = SSL_do_handshake(t->ssl);
	t->side->running = NULL;
	r = SSL_get_error(t->ssl, r);
	if (r == SSL_ERROR_WANT_ASYNC_JOB)
		t->has_job = false;
	else if (r != SSL_ERROR_WANT_ASYNC)
		job_over(t);
	return r;
}

/* What the handshake waits for is asked on our own stack. True: answered. */
static bool
ask(struct tls *t)
{
	const struct tls_keys *keys = t->side->keys;
	const char *name;

	if (t->sign == ASK_NOW) {
		t->sign = ASK_SENT;
		keys->sign(t->side->keys_ctx, t, t->key, t->scheme, t->tbs);
		return t->sign == ASK_ANSWERED;
	}
	if (t->name == ASK_NOW) {
		t->name = ASK_SENT;
		name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
		keys->name(t->side->keys_ctx, t, str_of(name));
		return t->name == ASK_ANSWERED;
	}
	return false;
}

static void
set_error(struct tls *t, const char *text)
{
	mem_free(t->error);
	t->error = mem_strdup(text);
}

/* As Postfix says it: "SSL_accept error from client: TEXT". */
static int
failed(struct tls *t, int why)
{
	int err = errno;

	t->broken = true;
	if (why == SSL_ERROR_SSL) {
		set_error(t, "-1");
		return EPROTO;
	}
	if (err == 0 || err == ECONNRESET || err == EPIPE) {
		set_error(t, err == 0 ? "lost connection" : strerror(err));
		return ECONNRESET;
	}
	set_error(t, strerror(err));
	return err;
}

static int
begin(void *ctx, unsigned *want)
{
	struct tls *t = ctx;
	int why;

	do {
		why = step(t);
	} while ((why == SSL_ERROR_WANT_ASYNC ||
	    why == SSL_ERROR_WANT_X509_LOOKUP) && ask(t));
	switch (why) {
	case SSL_ERROR_NONE:
		t->done = true;
		SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
		return 0;
	case SSL_ERROR_WANT_READ:
		*want = WATCH_READ;
		break;
	case SSL_ERROR_WANT_WRITE:
		*want = WATCH_WRITE;
		break;
	case SSL_ERROR_WANT_ASYNC_JOB:
		list_append(&t->side->waiting, &t->link);
		break;
	case SSL_ERROR_WANT_ASYNC:
	case SSL_ERROR_WANT_X509_LOOKUP:
		break;
	default:
		errno = failed(t, why);
		return -1;
	}
	errno = EAGAIN;
	return -1;
}

static void
begun(void *ctx, int err)
{
	struct tls *t = ctx;

	tls_chains_free(&t->named);
	if (err == 0 && !t->side->server)
		client_check(t);
	t->ops->on_handshake(t->ctx, err == 0);
}

/* In a job, whose stack lasts while it rests; provider.c calls it. */
bool
session_sign(struct tls_side *side, uint64_t key, unsigned scheme,
    struct str tbs, struct buf *signature)
{
	struct tls *t = side->running;

	if (t == NULL || ASYNC_get_current_job() == NULL ||
	    tbs.n > TLS_TBS_MAX || side->keys == NULL)
		return false;
	buf_init(&t->signature, TLS_SIG_MAX);
	t->key = key;
	t->scheme = scheme;
	t->tbs = tbs;
	t->sign = ASK_NOW;
	while (t->sign != ASK_ANSWERED)
		if (ASYNC_pause_job() != 1)
			break;
	buf_str(signature, buf_view(&t->signature));
	buf_free(&t->signature);
	return signature->n > 0;
}

void
tls_signed(struct tls *t, bool ok, struct str signature)
{
	if (t->sign != ASK_SENT)
		return;
	t->sign = ASK_ANSWERED;
	if (ok)
		buf_str(&t->signature, signature);
	stream_kick(t->stream);
}

void
tls_named(struct tls *t, struct tls_chains *chains)
{
	if (t->name != ASK_SENT)
		return;
	t->name = ASK_ANSWERED;
	if (chains != NULL) {
		chains_hold(chains);
		t->named = chains;
		t->by_name = true;
	}
	stream_kick(t->stream);
}

const char *
tls_error(const struct tls *t)
{
	return t->error != NULL ? t->error : "";
}

/* --- after it --- */

/* errno of what SSL_get_error says; EAGAIN and *want where it may wait. */
static int
wait_or_fail(struct tls *t, int why, unsigned *want)
{
	int err = errno;

	switch (why) {
	case SSL_ERROR_WANT_READ:
		*want = WATCH_READ;
		return EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*want = WATCH_WRITE;
		return EAGAIN;
	case SSL_ERROR_SYSCALL:
		t->broken = true;
		return err != 0 ? err : ECONNRESET;
	default:
		t->broken = true;
		/* Cut off without close_notify, or a record that is none. */
		return ERR_GET_REASON(ERR_peek_error()) ==
		    SSL_R_UNEXPECTED_EOF_WHILE_READING ? ECONNRESET : EPROTO;
	}
}

static ssize_t
read_some(void *ctx, char *p, size_t n, unsigned *want)
{
	struct tls *t = ctx;
	size_t got = 0, more;
	int why;

	ERR_clear_error();
	errno = 0;
	if (SSL_read_ex(t->ssl, p, n, &got) == 1) {
		/* Records that came with this one. */
		while (got < n && SSL_has_pending(t->ssl) &&
		    SSL_read_ex(t->ssl, p + got, n - got, &more) == 1)
			got += more;
		ERR_clear_error();
		return (ssize_t)got;
	}
	why = SSL_get_error(t->ssl, 0);
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = wait_or_fail(t, why, want);
	ERR_clear_error();
	return -1;
}

static ssize_t
write_some(void *ctx, struct str s, unsigned *want)
{
	struct tls *t = ctx;
	size_t done = 0;

	ERR_clear_error();
	errno = 0;
	if (SSL_write_ex(t->ssl, s.p, s.n, &done) == 1)
		return (ssize_t)done;
	errno = wait_or_fail(t, SSL_get_error(t->ssl, 0), want);
	ERR_clear_error();
	return -1;
}

static bool
is_pending(void *ctx)
{
	const struct tls *t = ctx;

	return SSL_has_pending(t->ssl) == 1;
}

/* close_notify, as far as the socket takes it at once. */
static void
say_end(void *ctx)
{
	struct tls *t = ctx;

	if (!t->done || t->broken ||
	    (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return;
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

/*
 * A job that rests is told that it gets no signature, and comes to its end:
 * else its stack would be lost.
 */
static void
end_handshake(struct tls *t)
{
	if (t->sign == ASK_SENT || t->name == ASK_SENT)
		t->side->keys->forget(t->side->keys_ctx, t);
	if (t->sign == ASK_SENT || t->sign == ASK_NOW) {
		t->sign = ASK_ANSWERED;
		(void)step(t);
	}
	list_remove(&t->link);
	ERR_clear_error();
}

static void
end(void *ctx)
{
	struct tls *t = ctx;

	if (t->done)
		say_end(t);
	else
		end_handshake(t);
	SSL_free(t->ssl);
	tls_chains_free(&t->named);
	buf_free(&t->signature);
	mem_free(t->error);
	info_free(&t->info);
	client_free(t);
	mem_free(t);
}
