/*
 * anvil - counts connections and events of each client, over all smtpd
 * processes; smtpd judges by the counts. Nothing is kept over a restart.
 *
 * Runs as postern-net in an empty root. anvil(8).
 */
#include "service/service.h"
#include "smtpd/anvil.h"

#define ACCOUNT_UNIT_S 3600	/* accounts are counted by the hour */

struct anvil_conf {
#define PARAM PARAM_MEMBER
#include "smtpd/params_anvil.def"
#undef PARAM
};

struct daemon {
	struct anvil_conf conf;
	struct anvil	*anvil, *accounts;
	struct timer	*report, *expire;
};

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct anvil_conf, __VA_ARGS__)
#include "smtpd/params_anvil.def"
#undef PARAM
};

static void	on_start(void *ctx, struct service *);
static void	on_talk(void *ctx, struct talk *, enum msg);
static void	on_solo(void *ctx, struct channel *, enum msg, const void *);
static void	on_peer_gone(void *ctx, struct channel *, struct str);

int
main(int argc, char **argv)
{
	struct daemon d = { .anvil = NULL };
	const struct service_def def = {
		.role = ROLE_ANVIL, .params = params, .nparams = nitems(params),
		.conf = &d.conf, .ctx = &d, .start = on_start,
		.on_talk = on_talk, .on_solo = on_solo,
		.on_peer_gone = on_peer_gone,
	};
	int status = service_main(&def, argc, argv);

	if (d.anvil != NULL)
		anvil_report(d.anvil);
	anvil_free(&d.anvil);
	anvil_free(&d.accounts);
	return status;
}

static void
report(void *ctx)
{
	struct daemon *d = ctx;

	anvil_report(d->anvil);
	timer_set(d->report, d->conf.anvil_status_update_time * 1000);
}

static void
expire(void *ctx)
{
	struct daemon *d = ctx;

	anvil_expire(d->anvil, clock_wall_s());
	anvil_expire(d->accounts, clock_wall_s());
	timer_set(d->expire, d->conf.anvil_rate_time_unit * 1000);
}

static void
on_start(void *ctx, struct service *service)
{
	struct daemon *d = ctx;

	d->anvil = anvil_new(d->conf.anvil_rate_time_unit,
	    (size_t)d->conf.anvil_client_limit);
	d->accounts = anvil_new(ACCOUNT_UNIT_S,
	    (size_t)d->conf.anvil_client_limit);
	d->report = timer_new(service_loop(service), report, d);
	timer_set(d->report, d->conf.anvil_status_update_time * 1000);
	d->expire = timer_new(service_loop(service), expire, d);
	timer_set(d->expire, d->conf.anvil_rate_time_unit * 1000);
}

static void
on_event(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct daemon *d = ctx;
	const struct msg_client_event *m = msg;
	struct anvil_counts counts;

	if (id == MSG_client_event && (m->event == ACCOUNT_MAIL ||
	    m->event == ACCOUNT_RCPT)) {
		counts = anvil_event(d->accounts, talk_channel(t),
		    m->event == ACCOUNT_MAIL ? CLIENT_MAIL : CLIENT_RCPT,
		    m->service, m->client, clock_wall_s());
		talk_send(t, MSG_client_counts, &(struct msg_client_counts){
		    .rate = counts.rate });
		return;
	}
	if (id != MSG_client_event || m->event >= ANVIL_EVENTS) {
		log_warn("client_event: no such event");
		talk_close(&t);
		return;
	}
	counts = anvil_event(d->anvil, talk_channel(t),
	    (enum client_event)m->event, m->service, m->client,
	    clock_wall_s());
	talk_send(t, MSG_client_counts, &(struct msg_client_counts){
	    .connections = counts.connections, .rate = counts.rate });
}

static void
on_talk(void *ctx, struct talk *t, enum msg id)
{
	static const struct talk_ops ops = { .on_message = on_event };

	(void)id;
	talk_set(t, &ops, ctx);
}

static void
on_solo(void *ctx, struct channel *channel, enum msg id, const void *msg)
{
	struct daemon *d = ctx;
	const struct msg_client_gone *m = msg;

	if (id == MSG_client_gone)
		anvil_gone(d->anvil, channel, m->service, m->client,
		    clock_wall_s());
}

static void
on_peer_gone(void *ctx, struct channel *channel, struct str name)
{
	struct daemon *d = ctx;

	(void)name;
	anvil_holder_gone(d->anvil, channel, clock_wall_s());
}
