/*
 * error - fails all it is given (service error) or puts it off (service
 * retry), with the text that is the request's nexthop: "5.1.1 text", or text
 * alone. error(8) of Postfix. Runs as mail_owner; touches nothing.
 */
#include "local/deliver.h"

struct error {
	struct front front;
	bool	     retry;
	const char  *preset;	/* status where the nexthop has none */
};

static void
begin(void *ctx, struct recipient *r)
{
	struct error *e = ctx;
	char dsn[DELIVER_DSN_SIZE];
	struct str text;

	deliver_split(r->delivery->msg.nexthop, e->preset, dsn, &text);
	deliver_result(r, e->retry ? DEFERRED : BOUNCED, dsn, text);
}

static void
start(void *ctx, struct service *service)
{
	struct error *e = ctx;

	e->front = (struct front){ .relay = "none", .begin = begin,
		.ctx = e };
	deliver_front(&e->front, service);
	e->retry = strcmp(service_name(service), "retry") == 0;
	e->preset = e->retry ? "4.0.0" : "5.0.0";
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	struct error *e = ctx;

	deliver_on_talk(&e->front, talk, id);
}

int
main(int argc, char **argv)
{
	struct error error = { 0 };
	const struct service_def def = {
		.role = ROLE_ERROR,
		.ctx = &error,
		.start = start,
		.on_talk = on_talk,
	};

	return service_main(&def, argc, argv);
}
