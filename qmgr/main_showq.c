/*
 * showq - list the queue for whoever connects to public/showq.
 *
 * Writes as its client reads. Threads read the files, some parts of the
 * queue ahead: a disk that has to seek answers many at once sooner than one
 * after another. Memory does not grow with the queue. Who may connect is a
 * matter of public/'s mode: postqueue is set-gid for that, and asks
 * authorized_mailq_users.
 */
#include <errno.h>

#include "service/service.h"
#include "showq/showq.h"

#define AHEAD		65536	/* bytes that wait for a client */
#define CLIENTS_MAX	100
#define CLIENT_MS	60000	/* without progress */
#define PARTS_MAX	16	/* of a client: under way */

struct showq {
	struct service	*service;
	struct loop	*loop;
	struct queue	 queue;
	struct arena	*arena;
	const char	*null_sender;
	struct listener	*listener;
	struct list	 clients;
	size_t		 nclients;
};

struct client {
	struct list	   link;
	struct showq	  *showq;
	struct stream	  *stream;
	struct showq_walk *walk;
	struct list	   parts;	/* struct reading, in order */
	size_t		   nparts;
	bool		   all;		/* the walk is over */
	bool		   ended;	/* and all is written */
};

struct reading {
	struct list	   link;
	struct client	  *client;	/* NULL: gone */
	struct showq_part *part;
	bool		   ready;	/* has text */
	bool		   more;	/* and is to be read on after it */
};

static size_t	 on_input(void *, struct str);
static void	 on_eof(void *);
static void	 on_error(void *, int);
static void	 on_timeout(void *);
static void	 on_drained(void *);

static const struct stream_ops client_ops = {
	.on_input = on_input,
	.on_eof = on_eof,
	.on_error = on_error,
	.on_timeout = on_timeout,
	.on_drained = on_drained,
};

static void
reading_free(struct reading *r)
{
	list_remove(&r->link);
	showq_part_free(&r->part);
	mem_free(r);
}

/* What threads are at is theirs until they are done. */
static void
client_free(struct client *c)
{
	struct showq *s = c->showq;

	list_each(l, &c->parts) {
		struct reading *r = container_of(l, struct reading, link);

		list_remove(&r->link);
		r->client = NULL;
		if (r->ready)
			reading_free(r);
	}
	stream_free(&c->stream);
	showq_walk_free(&c->walk);
	list_remove(&c->link);
	mem_free(c);
	s->nclients--;
}

static int
read_part(void *ctx)
{
	struct reading *r = ctx;

	r->more = showq_part_read(r->part);
	return 0;
}

static void	 go_on(struct client *);

static void
part_read(void *ctx, int result)
{
	struct reading *r = ctx;

	(void)result;
	r->ready = true;
	if (r->client != NULL)
		go_on(r->client);
	else
		reading_free(r);
}

static void
start_reading(struct reading *r)
{
	r->ready = false;
	pool_run(service_pool(r->client->showq->service), read_part,
	    part_read, r);
}

/* Some parts ahead of what is written. */
static void
read_ahead(struct client *c)
{
	while (!c->all && c->nparts < PARTS_MAX) {
		struct showq_part *part = showq_walk_next(c->walk);
		struct reading *r;

		if (part == NULL) {
			c->all = true;
			break;
		}
		r = mem_new(sizeof(*r));
		r->client = c;
		r->part = part;
		list_append(&c->parts, &r->link);
		c->nparts++;
		start_reading(r);
	}
}

/* Of the first part, if it has text. */
static bool
write_first(struct client *c)
{
	struct reading *r;

	if (list_empty(&c->parts))
		return false;
	r = container_of(c->parts.next, struct reading, link);
	if (!r->ready)
		return false;
	stream_timeout(c->stream, CLIENT_MS);
	stream_write(c->stream, showq_part_text(r->part));
	if (r->more) {
		start_reading(r);
	} else {
		c->nparts--;
		reading_free(r);
	}
	return true;
}

/* Enough for the client to go on with. */
static void
go_on(struct client *c)
{
	struct buf end;

	do
		read_ahead(c);
	while (stream_unsent(c->stream) < AHEAD && write_first(c));
	if (!c->all || c->nparts > 0)
		return;
	if (!c->ended) {
		c->ended = true;
		buf_init(&end, 16);
		showq_put_end(&end);
		stream_write(c->stream, buf_view(&end));
		buf_free(&end);
	}
	if (stream_unsent(c->stream) == 0)
		client_free(c);
}

static void
on_drained(void *ctx)
{
	go_on(ctx);
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
	struct client *c;
	struct buf hello;

	(void)from;
	if (s->nclients >= CLIENTS_MAX)
		client_free(container_of(s->clients.next, struct client,
		    link));
	c = mem_new(sizeof(*c));
	c->showq = s;
	list_init(&c->parts);
	c->walk = showq_walk_new(&s->queue, s->null_sender);
	list_append(&s->clients, &c->link);
	s->nclients++;
	c->stream = stream_new(s->loop, fd, &client_ops, c);
	buf_init(&hello, 256);
	showq_put_start(&hello);
	stream_timeout(c->stream, CLIENT_MS);
	stream_write(c->stream, buf_view(&hello));
	buf_free(&hello);
	go_on(c);
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

	listener_free(&s->listener);
}

static bool
busy(void *ctx)
{
	struct showq *s = ctx;

	return s->nclients > 0;
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
		.busy = busy,
	};

	return service_main(&def, argc, argv);
}
