/*
 * cleanup - takes mail from smtpd, pickup and bounce into the queue.
 *
 * It completes headers, rewrites and expands addresses, writes the queue
 * file and makes it durable: what it has answered MAIL_OK for is in custody.
 * Runs as the queue's owner; opens no socket and no mailbox. DESIGN 3, 4.
 */
#include "cleanup/cleanup.h"

static void
open_all(void *ctx, struct service *service)
{
	struct cleanup *c = ctx;

	c->service = service;
	cleanup_open(c, service_conf(service));
}

static void
on_check(void *ctx, struct service *service, struct problems *problems)
{
	cleanup_check(ctx, service_conf(service), problems);
}

static void
on_talk(void *ctx, struct talk *talk, enum msg msg)
{
	receive_talk(ctx, talk, msg);
}

static void
on_peer(void *ctx, struct channel *channel, struct str name)
{
	(void)name;
	if (channel_peer(channel) == ROLE_QMGR)
		receive_offer_missed(ctx);
}

static void
on_drained(void *ctx, struct channel *channel)
{
	on_peer(ctx, channel, STR(""));
}

static void
on_peer_gone(void *ctx, struct channel *channel, struct str name)
{
	(void)name;
	if (channel_peer(channel) == ROLE_QMGR)
		receive_qmgr_gone(ctx, channel);
}

static void
on_solo(void *ctx, struct channel *channel, enum msg id, const void *msg)
{
	(void)channel;
	if (id == MSG_settled)
		receive_settled(ctx, msg);
}

int
main(int argc, char **argv)
{
	struct cleanup c = { 0 };
	const struct service_def def = {
		.role = ROLE_CLEANUP,
		.params = cleanup_params,
		.nparams = cleanup_nparams,
		.conf = &c.conf,
		.ctx = &c,
		.check = on_check,
		.open = open_all,
		.on_peer = on_peer,
		.on_peer_gone = on_peer_gone,
		.on_solo = on_solo,
		.on_talk = on_talk,
		.on_drained = on_drained,
	};
	int status = service_main(&def, argc, argv);

	cleanup_end(&c);
	return status;
}
