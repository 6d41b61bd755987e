/*
 * agent - writes the mailboxes of one uid, as that uid, and reads its
 * .forward and :include: files. Started by master when local or virtual
 * wants it. lib/store and list_file.c do the work; this is their channel.
 * Looks at no table and decides nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include "local/items.h"
#include "local/list_file.h"
#include "service/service.h"
#include "store/store.h"

#define RUNNING_MAX	256	/* deliveries that work at once */
#define WAITING_MAX	2000
#define MAILDIRS_MAX	256	/* kept open, two descriptors each */

struct agent_conf {
#define PARAM PARAM_MEMBER
#include "local/params_agent.def"
#undef PARAM
};

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct agent_conf, __VA_ARGS__)
#include "local/params_agent.def"
#undef PARAM
};

struct agent {
	struct service	 *service;
	struct agent_conf conf;
	struct store	 *store;
};

struct order {			/* one request, until it is answered */
	struct agent	*agent;
	struct talk	*talk;	/* NULL: who asked is gone */
	struct arena	*arena;	/* what outlives the message; NULL: nothing */
	bool		 store;	/* else expand */
	struct msg_store job;	/* what is stored if no .forward is found */
	struct str	 queue_id;
	struct list_file file;
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops order_ops = { on_message, on_gone };

static void
order_end(struct order *o, enum msg id, const void *m)
{
	list_file_end(&o->file);
	if (o->talk != NULL)
		talk_send(o->talk, id, m);
	fd_close(&o->job.queue_file);
	arena_free(&o->arena);
	mem_free(o);
}

static void
stored(void *ctx, const struct msg_store_done *m)
{
	order_end(ctx, MSG_store_done, m);
}

static void
store(struct order *o, const struct msg_store *job)
{
	struct msg_store m = *job;

	o->job.queue_file = -1;		/* the store's now */
	store_deliver(o->agent->store, &m, stored, o);
}

static void
put_off(struct order *o, const char *text)
{
	if (o->store)
		order_end(o, MSG_store_done, &(struct msg_store_done){
		    .status = DEFERRED, .dsn = STR("4.3.0"),
		    .text = str_of(text) });
	else
		order_end(o, MSG_expand_done, &(struct msg_expand_done){
		    .found = RETRY, .owner = o->file.owner,
		    .text = str_of(text) });
}

/* There is no .forward: the mailbox's turn, if that was asked. */
static void
none(struct order *o)
{
	if (o->store)
		store(o, &o->job);
	else
		order_end(o, MSG_expand_done, &(struct msg_expand_done){
		    .found = NONE, .owner = o->file.owner });
}

/* Items of the file; how many. */
static size_t
send_items(struct order *o)
{
	struct str text = buf_view(&o->file.text), line;
	size_t n = 0;

	while (items_line(&text, &line)) {
		struct arena *arena = arena_new(SIZE_MAX / 2);
		struct item item;

		while (items_next(&line, arena, &item)) {
			n++;
			if (o->talk != NULL)
				talk_send(o->talk, MSG_item,
				    &(struct msg_item){ .kind = item.kind,
				    .value = item.value });
		}
		arena_free(&arena);
	}
	return n;
}

static void
found(struct order *o)
{
	struct str path = str_of(o->file.path);

	if (send_items(o) == 0 && o->file.kind == EXPAND_FORWARD)
		none(o);		/* an empty one is none */
	else if (o->store)
		order_end(o, MSG_store_done, &(struct msg_store_done){
		    .status = EXPANDED, .dsn = STR("2.0.0"), .text = path });
	else
		order_end(o, MSG_expand_done, &(struct msg_expand_done){
		    .found = FOUND, .owner = o->file.owner, .text = path });
}

static int
read_work(void *ctx)
{
	struct order *o = ctx;

	list_file_read(&o->file);
	return 0;
}

static void
read_done(void *ctx, int err)
{
	struct order *o = ctx;

	(void)err;
	switch (o->file.found) {
	case FOUND:
		found(o);
		break;
	case NONE:
		log_at(LL_WARN, o->queue_id, "file %s: %s", o->file.path,
		    o->file.why);
		none(o);
		break;
	case RETRY:
		put_off(o, o->file.why);
		break;
	}
}

/* The order's own copy of what the message said. */
static void
keep_store(struct order *o, const struct msg_store *m)
{
	struct arena *a = o->arena;

	o->job = *m;
	o->job.queue_id = arena_str(a, m->queue_id);
	o->job.path = arena_str(a, m->path);
	o->job.base = arena_str(a, m->base);
	o->job.sender = arena_str(a, m->sender);
	o->job.recipient = arena_str(a, m->recipient);
	o->job.original = arena_str(a, m->original);
}

/* False: put off, since the home is not there. */
static bool
check_home(struct order *o, struct str home)
{
	char *path = arena_cstr(o->arena, home);
	struct stat st;

	if (home.n == 0 || stat(path, &st) == 0)
		return true;
	put_off(o, arena_printf(o->arena, "cannot access home directory %s: "
	    "%s", path, strerror(errno)));
	return false;
}

/* A .forward or a home directory comes before the mailbox. */
static void
begin_store(struct order *o, const struct msg_store *m)
{
	o->store = true;
	if (m->forward.n == 0 && m->home.n == 0) {
		store(o, m);
		return;
	}
	o->arena = arena_new(IPC_PACKET_MAX * 8);
	o->job.queue_file = m->queue_file;
	if (!check_home(o, m->home))
		return;
	o->file.path = list_file_first(m->forward, o->arena);
	if (o->file.path == NULL) {
		store(o, m);
		return;
	}
	keep_store(o, m);
	o->queue_id = o->job.queue_id;
	o->file.kind = EXPAND_FORWARD;
	pool_run(service_pool(o->agent->service), read_work, read_done, o);
}

static void
begin_expand(struct order *o, const struct msg_expand *m)
{
	o->arena = arena_new(IPC_PACKET_MAX * 8);
	o->job.queue_file = -1;
	if (m->kind > EXPAND_INCLUDE_ANY) {
		put_off(o, "bad delivery request");
		return;
	}
	if (!check_home(o, m->home))
		return;
	o->file.kind = (enum expand_kind)m->kind;
	o->file.path = o->file.kind == EXPAND_FORWARD ?
	    list_file_first(m->paths, o->arena) :
	    arena_cstr(o->arena, str_first(m->paths, str_chr(m->paths,
	    '\0')));
	if (o->file.path == NULL) {
		none(o);
		return;
	}
	o->queue_id = arena_str(o->arena, m->queue_id);
	pool_run(service_pool(o->agent->service), read_work, read_done, o);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct order *o = ctx;

	(void)talk;
	if (id == MSG_store)
		begin_store(o, msg);
	else if (id == MSG_expand)
		begin_expand(o, msg);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct order *o = ctx;

	(void)talk;
	(void)why;
	o->talk = NULL;		/* what was begun goes on */
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	struct order *o = mem_new(sizeof(*o));

	(void)id;
	o->agent = ctx;
	o->job.queue_file = -1;
	o->talk = talk;
	talk_set(talk, &order_ops, o);
}

static void
open_store(void *ctx, struct service *service)
{
	struct agent *a = ctx;

	a->service = service;
	tzset();		/* reads its file before the filter is on */
}

static void
start(void *ctx, struct service *service)
{
	struct agent *a = ctx;
	struct arena *arena = arena_new(65536);
	struct store_conf conf = {
		.loop = service_loop(service),
		.pool = service_pool(service),
		.hostname = arena_cstr(arena,
		    conf_get(service_conf(service), "myhostname")),
		.lock_attempts = (unsigned)a->conf.deliver_lock_attempts,
		.lock_delay_ms = a->conf.deliver_lock_delay * 1000,
		.stale_lock_s = a->conf.stale_lock_time,
		.strict_owner = a->conf.strict_mailbox_ownership,
		.running_max = RUNNING_MAX,
		.waiting_max = WAITING_MAX,
		.maildirs_max = MAILDIRS_MAX,
	};

	a->store = store_new(&conf);
	arena_free(&arena);
}

int
main(int argc, char **argv)
{
	struct agent agent = { 0 };
	const struct service_def def = {
		.role = ROLE_AGENT,
		.params = params,
		.nparams = nitems(params),
		.conf = &agent.conf,
		.ctx = &agent,
		.open = open_store,
		.start = start,
		.on_talk = on_talk,
	};

	return service_main(&def, argc, argv);
}
