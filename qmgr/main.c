/*
 * qmgr - the queue manager: takes offers, schedules, delivers, puts off.
 *
 * Owns incoming/ (reads), active/ and deferred/. Runs as mail_owner; hears
 * of mail from cleanup, speaks to every delivery process and to bounce. Of
 * a message it reads the envelope, never the content. DESIGN 3 and 4.
 */
#include <sys/resource.h>
#include "qmgr/qmgr.h"

#define FDS_KEPT	8192	/* queue files kept open for speed, at most */

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct qmgr_conf, __VA_ARGS__)
#include "qmgr/params.def"
#undef PARAM
};

/* Failing that, the list of before; without one nobody is flushed. */
static void
open_flush_domains(struct qmgr *q)
{
	struct match_list *list;
	struct buf why;

	buf_init(&why, 1024);
	list = match_list_open(q->conf.fast_flush_domains,
	    conf_dir(q->main_cf), match_parent(q->main_cf,
	    "fast_flush_domains"), &why);
	if (list == NULL) {
		log_warn("fast_flush_domains: %s", buf_cstr(&why));
	} else {
		match_list_free(&q->flush_domains);
		q->flush_domains = list;
	}
	buf_free(&why);
}

static void
configure(struct qmgr *q, struct conf *conf)
{
	struct str sender = conf_get(conf, "double_bounce_sender");
	struct problems problems = { 0 };

	q->main_cf = conf;
	q->soft_bounce = conf_bool(conf, "soft_bounce");
	q->confirm_delay_cleared = conf_bool(conf, "confirm_delay_cleared");
	q->delay_decimals = (unsigned)conf_number(conf,
	    "delay_logging_resolution_limit");
	q->silence_ms = conf_number(conf, "ipc_timeout") * 1000;
	if (q->silence_ms <= 0)
		q->silence_ms = 3600 * 1000;
	mem_free(q->double_bounce);
	q->double_bounce = mem_copy(sender);
	open_flush_domains(q);
	if (!master_cf_load(conf, &q->master_cf, &problems))
		log_warn("master.cf cannot be read");
	problems_free(&problems);
}

static struct router *
open_router(struct conf *conf, bool probes)
{
	struct problems problems = { 0 };
	struct router *r = probes ? router_new_probe(conf, &problems) :
				    router_new(conf, &problems);

	for (size_t i = 0; i < problems.n; i++)
		log_warn("%s", problems.v[i].text);
	problems_free(&problems);
	return r;
}

static void
open_queue(void *ctx, struct service *service)
{
	struct qmgr *q = ctx;
	struct conf *conf = service_conf(service);
	struct buf spool;
	const char *bad = NULL;
	int err;

	q->service = service;
	configure(q, conf);
	buf_init(&spool, 4096);
	buf_str(&spool, conf_get(conf, "queue_directory"));
	err = queue_open(&q->queue, buf_cstr(&spool),
	    conf_get(conf, "hash_queue_names"),
	    (unsigned)conf_number(conf, "hash_queue_depth"), &bad);
	if (err != 0)
		die("%s/%s: %s", buf_cstr(&spool), bad != NULL ? bad : "",
		    strerror(err));
	buf_free(&spool);
	q->router = open_router(conf, false);
	q->probe_router = open_router(conf, true);
	if (q->router == NULL)
		die("cannot open the tables that say where mail goes");
}

static void
on_pump(void *ctx)
{
	qmgr_pump(ctx);
}

static void
on_rescan(void *ctx)
{
	struct qmgr *q = ctx;

	(void)age_s(q, 0);		/* sees jumps of the clock */
	scan_again(q);
	timer_set(q->rescan, q->conf.queue_run_delay * 1000);
	qmgr_pump(q);
}

static void
before_sleep(void *ctx)
{
	result_flush(ctx);
}

static void
start(void *ctx, struct service *service)
{
	struct qmgr *q = ctx;
	struct rlimit files;

	q->loop = service_loop(service);
	q->fds_max = 256;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		q->fds_max = files.rlim_cur / 2 < FDS_KEPT ?
		    files.rlim_cur / 2 : FDS_KEPT;
	q->schedule = schedule_new();
	q->slots = map_new();
	list_init(&q->messages);
	list_init(&q->dirty);
	list_init(&q->resolving);
	list_init(&q->report_turns);
	list_init(&q->controls);
	buf_init(&q->unread, 64 << 20);
	q->sites = map_new();
	list_init(&q->asked);
	q->pump = timer_new(q->loop, on_pump, q);
	q->rescan = timer_new(q->loop, on_rescan, q);
	age_start(q);
	loop_before_sleep(q->loop, before_sleep, q);
}

static void
begin(void *ctx)
{
	struct qmgr *q = ctx;

	q->begun = true;
	scan_start(q);
	timer_set(q->rescan, q->conf.queue_run_delay * 1000);
	qmgr_pump(q);
}

static void
on_peer(void *ctx, struct channel *ch, struct str service)
{
	deliver_resume(ctx, channel_peer(ch), service);
}

/*
 * What a cleanup that died had made durable but not offered. Its channel may
 * close before its locks are free: so once more, when all of it is gone.
 */
static void
on_peer_gone(void *ctx, struct channel *ch, struct str service)
{
	struct qmgr *q = ctx;

	(void)service;
	early_gone(q, ch);
	if (channel_peer(ch) == ROLE_CLEANUP && q->begun && !q->released) {
		scan_incoming(q);
		timer_set(q->rescan, LOOK_AGAIN_MS);
		qmgr_pump(q);
	}
}

static void
on_solo(void *ctx, struct channel *ch, enum msg id, const void *msg)
{
	struct qmgr *q = ctx;

	if (id == MSG_offer) {
		message_offer(q, ch, msg);
		if (q->begun)
			deliver_all(q);
		qmgr_wake(q);
	} else if (id == MSG_withdraw) {
		const struct msg_withdraw *m = msg;

		early_withdraw(q, m->queue_id);
	}
}

static void
on_flush_site(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	const struct msg_flush_site *m = msg;

	assert(id == MSG_flush_site);
	talk_send(talk, MSG_flush_done, &(struct msg_flush_done){
	    .status = site_flush(ctx, m->site) });
}

/* flush_site opens a talk, nothing else does. */
static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	static const struct talk_ops ops = { .on_message = on_flush_site };

	(void)id;
	talk_set(talk, &ops, ctx);
}

static void
on_listen(void *ctx, struct str name, int fd)
{
	(void)name;			/* public/qmgr is the only one */
	control_listen(ctx, fd);
}

static void
release(void *ctx, struct transport *t)
{
	struct mail_transport *mt = t->user;

	(void)ctx;
	if (mt->wait == NULL)
		transport_hold(t, false);
}

static void
on_drained(void *ctx, struct channel *ch)
{
	struct qmgr *q = ctx;

	(void)ch;
	schedule_each_transport(q->schedule, release, q);
	qmgr_pump(q);
}

static void
on_reload(void *ctx, struct conf *conf)
{
	struct qmgr *q = ctx;
	struct router *r = open_router(conf, false);

	configure(q, conf);
	if (r != NULL) {
		router_free(&q->router);
		q->router = r;
	}
	router_free(&q->probe_router);
	q->probe_router = open_router(conf, true);
	transport_configure_all(q);
	timer_set(q->rescan, q->conf.queue_run_delay * 1000);
	qmgr_pump(q);
}

static void
on_drain(void *ctx)
{
	leave_begin(ctx);
}

static void
on_parted(void *ctx)
{
	leave_release(ctx);
}

static bool
busy(void *ctx)
{
	struct qmgr *q = ctx;

	return !list_empty(&q->messages);
}

int
main(int argc, char **argv)
{
	struct qmgr q = { 0 };
	const struct service_def def = {
		.role = ROLE_QMGR,
		.params = params, .nparams = nitems(params),
		.conf = &q.conf, .ctx = &q,
		.open = open_queue, .start = start, .begin = begin,
		.on_peer = on_peer, .on_peer_gone = on_peer_gone,
		.on_listen = on_listen, .on_talk = on_talk,
		.on_solo = on_solo, .on_drained = on_drained,
		.on_reload = on_reload, .on_drain = on_drain,
		.on_parted = on_parted, .busy = busy,
	};

	return service_main(&def, argc, argv);
}
