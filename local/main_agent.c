/*
 * agent - writes the mailboxes of one uid, as that uid. Started by master
 * when local or virtual wants it. lib/store does the work; this is its
 * channel. Looks at no table and decides nothing.
 */
#include <time.h>
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

struct order {			/* one store, until it is answered */
	struct agent *agent;
	struct talk  *talk;	/* NULL: who asked is gone */
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops order_ops = { on_message, on_gone };

static void
stored(void *ctx, const struct msg_store_done *m)
{
	struct order *o = ctx;

	if (o->talk != NULL)
		talk_send(o->talk, MSG_store_done, m);
	mem_free(o);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct order *o = ctx;

	(void)talk;
	if (id == MSG_store)
		store_deliver(o->agent->store, msg, stored, o);
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
