/*
 * command - runs commands of one uid and group, as that user. Started by
 * master when local or pipe wants it. run.c does the work; this is its
 * channel. Looks at no table and decides nothing.
 */
#include <time.h>
#include "local/command.h"
#include "service/service.h"

#define RUNNING_MAX	1000	/* those who ask have smaller limits */

struct command {
	struct service *service;
	struct runner	runner;
	char	       *directory;
};

struct order {			/* one run, until it is answered */
	struct command *command;
	struct talk    *talk;	/* NULL: who asked is gone */
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops order_ops = { on_message, on_gone };

static void
ran(void *ctx, const struct msg_run_done *m)
{
	struct order *o = ctx;

	if (o->talk != NULL)
		talk_send(o->talk, MSG_run_done, m);
	mem_free(o);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct order *o = ctx;
	const struct msg_run *m = msg;
	int fd = id == MSG_run ? m->queue_file : -1;

	if (id != MSG_run)
		return;
	if (o->command->runner.n >= RUNNING_MAX) {
		fd_close(&fd);
		ran(o, &(struct msg_run_done){ .status = DEFERRED,
		    .dsn = STR("4.3.0"),
		    .text = STR("too many commands run for this user") });
		return;
	}
	run_begin(&o->command->runner, m,
	    role_name(channel_peer(talk_channel(talk))), ran, o);
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
	o->command = ctx;
	o->talk = talk;
	talk_set(talk, &order_ops, o);
}

static void
start(void *ctx, struct service *service)
{
	struct command *c = ctx;
	struct arena *arena = arena_new(65536);

	c->service = service;
	c->directory = mem_strdup(arena_cstr(arena,
	    conf_get(service_conf(service), "queue_directory")));
	arena_free(&arena);
	runner_init(&c->runner, service_loop(service), c->directory);
}

int
main(int argc, char **argv)
{
	struct command command = { 0 };
	const struct service_def def = {
		.role = ROLE_COMMAND,
		.ctx = &command,
		.start = start,
		.on_talk = on_talk,
	};

	return service_main(&def, argc, argv);
}
