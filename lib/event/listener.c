/*
 * listener - takes connections off a listening socket.
 *
 * Several processes may share the socket, so a wake-up takes one connection;
 * where the next round finds another, it takes twice as many, up to BURST_MAX.
 * Without descriptors or memory it rests: a socket that stays readable and
 * cannot be served would spin.
 */
#include <errno.h>
#include "event/internal.h"
#include "sys/sys.h"

#define BURST_MAX	16
#define REST_MS		100

struct listener {
	struct loop	*loop;
	struct event	 event;
	struct timer	*rest;
	unsigned	 burst;		/* connections of the next wake-up */
	uint64_t	 round;		/* of the loop at the last wake-up */
	int		 fd;
	bool		 paused, resting, told, busy, dead;
	void		(*on_accept)(void *ctx, int fd,
			    const struct sockaddr_storage *);
	void		*ctx;
};

static void
want_accept(struct listener *l)
{
	event_want(&l->event, !l->paused && !l->resting);
}

static void
on_rest_over(void *ctx)
{
	struct listener *l = ctx;

	l->resting = false;
	want_accept(l);
}

/* True: there may be another connection to take. */
static bool
accept_failed(struct listener *l, int err)
{
	switch (err) {
	case EAGAIN:
		l->round = 0;	/* all taken: begin with one again */
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		if (!l->told)
			log_warn("accept: %s", strerror(err));
		l->told = true;		/* once, until it works again */
		l->resting = true;
		want_accept(l);
		timer_set(l->rest, REST_MS);
		return false;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
		die("accept: %s", strerror(err));
	}
	return true;	/* of that connection alone: ECONNABORTED ... */
}

static void
on_connection(evutil_socket_t fd, short what, void *ctx)
{
	struct listener *l = ctx;

	(void)what;
	if (l->round + 1 != l->loop->round)
		l->burst = 1;
	else if (l->burst < BURST_MAX)
		l->burst *= 2;
	l->round = l->loop->round;
	l->busy = true;
	for (unsigned i = 0; i < l->burst && !l->dead && !l->paused; i++) {
		struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
		socklen_t n = sizeof(from);
		int got = accept4((int)fd, (struct sockaddr *)&from, &n,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (got == -1) {
			if (accept_failed(l, errno))
				continue;
			break;
		}
		l->told = false;
		l->on_accept(l->ctx, got, &from);
	}
	l->busy = false;
	if (l->dead)
		mem_free(l);
}

struct listener *
listener_new(struct loop *loop, int fd, void (*on_accept)(void *ctx, int fd,
    const struct sockaddr_storage *), void *ctx)
{
	struct listener *l = mem_new(sizeof(*l));
	int err = fd_nonblock(fd);

	if (err != 0)
		die("listener: descriptor %d: %s", fd, strerror(err));
	l->loop = loop;
	l->fd = fd;
	l->burst = 1;
	l->on_accept = on_accept;
	l->ctx = ctx;
	l->rest = timer_new(loop, on_rest_over, l);
	event_place(loop, &l->event, fd, EV_READ | EV_PERSIST, on_connection,
	    l);
	want_accept(l);
	return l;
}

void
listener_pause(struct listener *l, bool on)
{
	l->paused = on;
	if (!l->dead)
		want_accept(l);
}

void
listener_free(struct listener **listener)
{
	struct listener *l = *listener;

	if (l == NULL)
		return;
	*listener = NULL;
	event_del(&l->event);
	timer_free(&l->rest);
	fd_close(&l->fd);
	l->dead = true;
	if (!l->busy)
		mem_free(l);
}
