/*
 * connect - a TCP connection, from the address that main.cf says, in time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "smtp/smtp.h"

struct connecting {
	struct smtp	*smtp;
	struct watch	*watch;
	struct timer	*timer;
	int		 fd, err;
	void		(*done)(void *ctx, int fd, int err);
	void		*ctx;
};

socklen_t
connect_size(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
	    sizeof(struct sockaddr_in);
}

unsigned
connect_port(const struct sockaddr_storage *ss)
{
	const void *p = ss;
	const struct sockaddr_in *in = p;
	const struct sockaddr_in6 *in6 = p;

	return ntohs(ss->ss_family == AF_INET6 ? in6->sin6_port :
	    in->sin_port);
}

struct str
connect_text(const struct sockaddr_storage *ss, char out[64])
{
	const void *p = ss;
	const struct sockaddr_in *in = p;
	const struct sockaddr_in6 *in6 = p;

	if (inet_ntop(ss->ss_family, ss->ss_family == AF_INET6 ?
	    (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, out,
	    64) == NULL)
		return STR("unknown");
	return str_of(out);
}

static void
finish(struct connecting *c, int err)
{
	int fd = c->fd;

	watch_free(&c->watch);
	timer_free(&c->timer);
	if (err != 0)
		fd_close(&fd);
	c->done(c->ctx, fd, err);
	mem_free(c);
}

static void
on_writable(void *ctx, unsigned what)
{
	struct connecting *c = ctx;
	socklen_t n = sizeof(c->err);

	(void)what;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->err, &n) != 0)
		c->err = errno;
	finish(c, c->err);
}

static void
on_timer(void *ctx)
{
	struct connecting *c = ctx;

	finish(c, c->err != 0 ? c->err : ETIMEDOUT);
}

/* The source address of that family; 0 or errno. */
static int
bind_to(struct smtp *s, int fd, int family)
{
	const struct sockaddr_storage *from = family == AF_INET ? &s->bind4 :
	    &s->bind6;
	char text[64];
	int err;

	if (from->ss_family == 0)
		return 0;
	err = bind(fd, (const struct sockaddr *)from, connect_size(from)) == 0 ?
	    0 : errno;
	if (err == 0)
		return 0;
	log_warn("%s: bind " STRF ": %s", s->lmtp ? "lmtp_bind_address" :
	    "smtp_bind_address", STRV(connect_text(from, text)),
	    strerror(err));
	return s->conf.bind_address_enforce ? err : 0;
}

/* 0: connected or under way. */
static int
begin(struct smtp *s, const struct sockaddr_storage *to, int *fd)
{
	int on = 1, err;

	*fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (*fd < 0)
		return errno;
	/* Replies and commands are small, and waited for. */
	(void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (s->window > 0 && (err = fd_window(*fd, s->window)) != 0)
		log_warn("tcp_windowsize: %s", strerror(err));
	err = bind_to(s, *fd, to->ss_family);
	if (err == 0 && connect(*fd, (const struct sockaddr *)to,
	    connect_size(to)) != 0 && errno != EINPROGRESS)
		err = errno;
	if (err != 0)
		fd_close(fd);
	return err;
}

struct connecting *
connect_start(struct smtp *s, const struct sockaddr_storage *to,
    void (*done)(void *ctx, int fd, int err), void *ctx)
{
	struct connecting *c = mem_new(sizeof(*c));

	c->smtp = s;
	c->done = done;
	c->ctx = ctx;
	c->err = begin(s, to, &c->fd);
	c->timer = timer_new(s->loop, on_timer, c);
	if (c->err != 0) {
		timer_set(c->timer, 0);
		return c;
	}
	if (s->conf.connect_timeout > 0)
		timer_set(c->timer, s->conf.connect_timeout * 1000);
	c->watch = watch_new(s->loop, c->fd, on_writable, c);
	watch_want(c->watch, WATCH_WRITE);
	return c;
}

void
connect_cancel(struct connecting **cp)
{
	struct connecting *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	watch_free(&c->watch);
	timer_free(&c->timer);
	fd_close(&c->fd);
	mem_free(c);
}
