/*
 * showq - list the queue for whoever connects to public/showq.
 *
 * Writes as its client reads, one queue file at a time; its memory does not
 * grow with the queue. Who may connect is a matter of public/'s mode:
 * postqueue is set-gid for that, and asks authorized_mailq_users.
 */
#include <errno.h>

#include "service/service.h"
#include "showq/showq.h"

#define AHEAD		65536	/* bytes that wait for a client */
#define CLIENTS_MAX	100
#define CLIENT_MS	60000	/* without progress */
#define OUT_MAX		((size_t)1 << 30)

struct showq {
	struct service	*service;
	struct loop	*loop;
	struct queue	 queue;
	struct arena	*arena;
	const char	*null_sender;
	struct listener	*listener;
	struct list	 clients;
	size_t		 nclients;
	bool		 draining;
};

struct client {
	struct list	   link;
	struct showq	  *showq;
	struct stream	  *stream;
	struct showq_walk *walk;
	struct timer	  *again;	/* all went out at once: write on */
	bool		   all;		/* the end is written */
};

static size_t	 on_input(void *, struct str);
static void	 on_eof(void *);
static void	 on_error(void *, int);
static void	 on_timeout(void *);
static void	 on_written(void *);

static const struct stream_ops client_ops = {
	.on_input = on_input,
	.on_eof = on_eof,
	.on_error = on_error,
	.on_timeout = on_timeout,
	.on_drained = on_written,
};

static void
client_free(struct client *c)
{
	struct showq *s = c->showq;

	stream_free(&c->stream);
	timer_free(&c->again);
	showq_walk_free(&c->walk);
	list_remove(&c->link);
	mem_free(c);
	s->nclients--;
	if (s->draining && s->nclients == 0)
		service_exit(s->service);
}

/* Enough for the client to go on with. */
static void
write_more(struct client *c)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	while (!c->all && out.n < AHEAD)
		if (!showq_walk_next(c->walk, &out)) {
			showq_put_end(&out);
			c->all = true;
		}
	stream_timeout(c->stream, CLIENT_MS);
	stream_write(c->stream, buf_view(&out));
	buf_free(&out);
	/* What the socket took at once is not told by on_drained. */
	if (stream_unsent(c->stream) == 0)
		timer_set(c->again, 0);
}

static void
on_written(void *ctx)
{
	struct client *c = ctx;

	if (c->all)
		client_free(c);
	else
		write_more(c);
}

/* A client has nothing to say. */
static size_t
on_input(void *ctx, struct str in)
{
	(void)ctx;
	return in.n;
}

/* It may have closed its side to tell that it asks nothing. */
static void
on_eof(void *ctx)
{
	(void)ctx;
}

static void
on_error(void *ctx, int err)
{
	(void)err;
	client_free(ctx);
}

static void
on_timeout(void *ctx)
{
	client_free(ctx);
}

/* Of too many, the one who has been reading for longest makes room. */
static void
on_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	struct showq *s = ctx;
	struct client *c = mem_new(sizeof(*c));
	struct buf hello;

	(void)from;
	if (s->nclients >= CLIENTS_MAX)
		client_free(container_of(s->clients.next, struct client,
		    link));
	c->showq = s;
	c->walk = showq_walk_new(&s->queue, s->null_sender);
	list_append(&s->clients, &c->link);
	s->nclients++;
	c->stream = stream_new(s->loop, fd, &client_ops, c);
	c->again = timer_new(s->loop, on_written, c);
	buf_init(&hello, 256);
	showq_put_start(&hello);
	stream_timeout(c->stream, CLIENT_MS);
	stream_write(c->stream, buf_view(&hello));
	buf_free(&hello);
	timer_set(c->again, 0);
}

static void
open_files(void *ctx, struct service *service)
{
	struct showq *s = ctx;
	struct conf *conf = service_conf(service);
	const char *bad;
	int err;

	s->service = service;
	s->arena = arena_new(1 << 16);
	s->null_sender = arena_cstr(s->arena, conf_get(conf,
	    "empty_address_recipient"));
	err = queue_open(&s->queue, arena_cstr(s->arena, conf_get(conf,
	    "queue_directory")), conf_get(conf, "hash_queue_names"),
	    (unsigned)conf_number(conf, "hash_queue_depth"), &bad);
	if (err != 0)
		die("open %s: %s", bad, strerror(err));
}

static void
start(void *ctx, struct service *service)
{
	struct showq *s = ctx;

	s->loop = service_loop(service);
	list_init(&s->clients);
}

static void
on_listen(void *ctx, struct str name, int fd)
{
	struct showq *s = ctx;

	(void)name;
	listener_free(&s->listener);
	s->listener = listener_new(s->loop, fd, on_accept, s);
}

static void
on_drain(void *ctx)
{
	struct showq *s = ctx;

	s->draining = true;
	listener_free(&s->listener);
	if (s->nclients == 0)
		service_exit(s->service);
}

int
main(int argc, char **argv)
{
	struct showq s = { .listener = NULL };
	const struct service_def def = {
		.role = ROLE_SHOWQ,
		.ctx = &s,
		.open = open_files,
		.start = start,
		.on_listen = on_listen,
		.on_drain = on_drain,
	};

	return service_main(&def, argc, argv);
}
