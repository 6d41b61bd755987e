/*
 * discard - throws all it is given away and says so, with the text that is
 * the request's nexthop. discard(8) of Postfix. Runs as mail_owner; touches
 * nothing.
 */
#include "local/deliver.h"

struct discard {
	struct front front;
};

static void
begin(void *ctx, struct recipient *r)
{
	char dsn[DELIVER_DSN_SIZE];
	struct str text;

	(void)ctx;
	deliver_split(r->delivery->msg.nexthop, "2.0.0", dsn, &text);
	deliver_result(r, SENT, dsn, text);
}

static void
start(void *ctx, struct service *service)
{
	struct discard *x = ctx;

	x->front = (struct front){ .relay = "none", .begin = begin,
		.ctx = x };
	deliver_front(&x->front, service);
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	struct discard *x = ctx;

	deliver_on_talk(&x->front, talk, id);
}

int
main(int argc, char **argv)
{
	struct discard discard = { 0 };
	const struct service_def def = {
		.role = ROLE_DISCARD,
		.ctx = &discard,
		.start = start,
		.on_talk = on_talk,
	};

	return service_main(&def, argc, argv);
}
