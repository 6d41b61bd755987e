/*
 * verify - which addresses take mail, found out by probes: messages that go
 * as far as delivery and stop there. ADDRESS_VERIFICATION_README of Postfix.
 *
 * smtpd asks; an answer comes from the cache, or, within the time that smtpd
 * is ready to wait, from the probe. qmgr tells what became of probes. The
 * cache is this process's alone. Runs as mail_owner.
 */
#include "address/address.h"
#include "lookup/verify.h"
#include "route/route.h"
#include "service/service.h"
#include "table/cache.h"

#define SYNC_MS		5000	/* how late the cache is on the disk */
#define PEER_WAIT_MS	10000	/* for cleanup to (re)start */
#define SUBMIT_MS	600000	/* for cleanup to take a probe */
#define WAIT_MS_MAX	600000	/* that smtpd may ask for */

struct verify {
	struct verify_conf conf;
	struct service	*service;
	struct arena	*arena;		/* of the configuration */
	struct probe_sender sender;
	struct table_cache *cache;
	struct map	*probes;	/* address: struct probe, under way */
	struct timer	*sync, *sweep;
	bool		 dirty, syncing;
};
struct waiter {			/* an smtpd session */
	struct list	 link;
	struct talk	*talk;
	struct timer	*timer;
	struct verdict	 verdict;	/* if nothing better comes */
	struct buf	 text;
};
struct probe {
	struct verify	*verify;
	char		*address;	/* the key of the cache */
	struct list	 waiters;
	struct wait_peer *peer;
	struct talk	*talk;		/* with cleanup */
	struct timer	*lost;
	bool		 sent;		/* cleanup has it, or had */
};

static void	on_check(void *ctx, struct service *, struct problems *);
static void	on_start(void *ctx, struct service *);
static void	on_talk(void *ctx, struct talk *, enum msg);
static void	on_solo(void *ctx, struct channel *, enum msg, const void *);
static void	on_ask(void *ctx, struct talk *, enum msg, const void *);
static void	on_sync(void *ctx);
static void	on_sweep(void *ctx);
static void	ask(struct verify *, struct talk *, struct str address,
		    uint64_t wait_ms);
static void	send_probe(struct verify *, struct probe *);
static void	probe_free(struct probe *);

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct verify_conf, __VA_ARGS__)
#include "lookup/params_verify.def"
#undef PARAM
};
static const struct talk_ops ask_ops = { .on_message = on_ask };

int
main(int argc, char **argv)
{
	struct verify v = { .cache = NULL };
	const struct service_def def = {
		.role = ROLE_VERIFY, .params = params,
		.nparams = nitems(params), .conf = &v.conf, .ctx = &v,
		.check = on_check, .start = on_start, .on_talk = on_talk,
		.on_solo = on_solo,
	};
	int status = service_main(&def, argc, argv);

	if (v.cache != NULL)
		(void)table_cache_sync(v.cache);
	return status;
}

static bool
keep(void *ctx, struct str key, struct str value)
{
	struct verify *v = ctx;
	struct verdict was;

	(void)key;
	return verdict_read(value, &was) &&
	    !verdict_expired(&v->conf, &was, clock_wall_s());
}

static void
on_check(void *ctx, struct service *service, struct problems *p)
{
	struct verify *v = ctx;
	struct str sender;
	struct buf all;

	v->service = service;
	v->arena = arena_new(65536);
	probe_sender_read(service_conf(service), v->arena, &v->sender);
	sender = conf_get(service_conf(service), "address_verify_sender");
	buf_init(&all, 2 * ADDRESS_MAX);
	probe_sender_print(&v->sender, 0, &all);
	if (sender.n > 0 && !str_eq(sender, STR("<>")) &&
	    (v->sender.local.n == 0 || v->sender.domain.n == 0))
		problem_add(p, true, NULL, 0, "address_verify_sender: "
		    STRF ": give user, user@domain or <>", STRV(sender));
	buf_free(&all);
}

/* As mail_owner: the file is his. */
static void
on_start(void *ctx, struct service *service)
{
	struct verify *v = ctx;
	struct buf why;

	buf_init(&why, 8192);
	v->probes = map_new();
	v->cache = table_cache_open(v->conf.address_verify_map, keep, v, &why);
	if (v->cache == NULL) {
		log_warn("address_verify_map: %s; results are not kept over a "
		    "restart", buf_cstr(&why));
		buf_clear(&why);
		v->cache = table_cache_open(STR(""), keep, v, &why);
	}
	if (v->cache == NULL)
		die("address_verify_map: %s", buf_cstr(&why));
	buf_free(&why);
	v->sync = timer_new(service_loop(service), on_sync, v);
	v->sweep = timer_new(service_loop(service), on_sweep, v);
	if (v->conf.address_verify_cache_cleanup_interval > 0)
		timer_set(v->sweep,
		    v->conf.address_verify_cache_cleanup_interval * 1000);
}

/* --- the cache --- */

static void
synced(void *ctx, int result)
{
	struct verify *v = ctx;

	v->syncing = false;
	if (result != 0)
		log_warn("address_verify_map is not written to the disk");
	if (v->dirty)
		timer_set(v->sync, SYNC_MS);
}

static int
sync_cache(void *ctx)
{
	const struct verify *v = ctx;

	return table_cache_sync(v->cache);
}

static void
on_sync(void *ctx)
{
	struct verify *v = ctx;

	v->dirty = false;
	v->syncing = true;
	pool_run(service_pool(v->service), sync_cache, synced, v);
}

static void
changed(struct verify *v)
{
	v->dirty = true;
	if (!v->syncing && !timer_is_set(v->sync))
		timer_set(v->sync, SYNC_MS);
}

static void
put(struct verify *v, struct str address, const struct verdict *verdict)
{
	struct buf entry;

	buf_init(&entry, VERIFY_TEXT_MAX + 200);
	verdict_print(verdict, &entry);
	if (table_cache_put(v->cache, address, buf_view(&entry)))
		changed(v);
	buf_free(&entry);
}

static void
on_sweep(void *ctx)
{
	struct verify *v = ctx;
	size_t kept, dropped;

	table_cache_sweep(v->cache, keep, v, &kept, &dropped);
	log_info("cache " STRF " full cleanup: retained=%zu dropped=%zu "
	    "entries", STRV(v->conf.address_verify_map), kept, dropped);
	changed(v);
	timer_set(v->sweep,
	    v->conf.address_verify_cache_cleanup_interval * 1000);
}

/* FOUND: what the cache says, entry holds its text. NONE: nothing usable. */
static enum found
look(struct verify *v, struct str address, struct buf *entry,
    struct verdict *verdict)
{
	enum found found = table_cache_get(v->cache, address, entry);

	if (found == FOUND && (!verdict_read(buf_view(entry), verdict) ||
	    verdict_expired(&v->conf, verdict, clock_wall_s()))) {
		if (!v->conf.address_verify_negative_cache)
			(void)table_cache_remove(v->cache, address);
		found = NONE;
	}
	if (found == NONE)
		*verdict = (struct verdict){ .status = VERIFY_TODO,
			.text = STR("Address verification in progress") };
	if (found == RETRY)
		*verdict = (struct verdict){ .status = VERIFY_DEFER,
			.text = STR("Address verification status unavailable") };
	return found;
}

/* --- questions --- */

static void
on_talk(void *ctx, struct talk *t, enum msg id)
{
	(void)id;
	talk_set(t, &ask_ops, ctx);
}

/* Postfix: a colon would part what is kept. */
static void
key_of(struct str address, struct buf *key)
{
	buf_init(key, 4 * ADDRESS_MAX);
	table_fold(address, key);
	for (size_t i = 0; i < key->n; i++)
		if (key->p[i] == ':')
			key->p[i] = '_';
}

static void
on_ask(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_verify_ask *m = msg;
	struct buf key;

	if (id != MSG_verify_ask || m->address.n == 0 ||
	    m->address.n > ADDRESS_MAX) {
		talk_close(&t);
		return;
	}
	key_of(m->address, &key);
	ask(ctx, t, buf_view(&key), m->wait_ms);
	buf_free(&key);
}

static void
answer(struct talk *t, const struct verdict *verdict)
{
	talk_send(t, MSG_verify_answer, &(struct msg_verify_answer){
	    .status = verdict->status,
	    .text = str_first(verdict->text, VERIFY_TEXT_MAX) });
}

static void
waiter_free(struct waiter *w)
{
	list_remove(&w->link);
	timer_free(&w->timer);
	buf_free(&w->text);
	mem_free(w);
}

static void
on_late(void *ctx)
{
	struct waiter *w = ctx;

	answer(w->talk, &w->verdict);
	waiter_free(w);
}

static void
on_waiter(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	(void)ctx;
	(void)t;
	(void)id;
	(void)msg;
}

static void
on_waiter_gone(void *ctx, struct talk *t, const char *why)
{
	(void)t;
	(void)why;
	waiter_free(ctx);
}

static void
wait_for(struct probe *p, struct talk *t, const struct verdict *verdict,
    uint64_t wait_ms)
{
	static const struct talk_ops ops = { on_waiter, on_waiter_gone };
	struct waiter *w = mem_new(sizeof(*w));

	w->talk = t;
	w->verdict = *verdict;
	buf_init(&w->text, VERIFY_TEXT_MAX);
	buf_str(&w->text, str_first(verdict->text, VERIFY_TEXT_MAX));
	w->verdict.text = buf_view(&w->text);
	w->timer = timer_new(service_loop(p->verify->service), on_late, w);
	timer_set(w->timer, (int64_t)(wait_ms < WAIT_MS_MAX ? wait_ms :
							      WAIT_MS_MAX));
	list_append(&p->waiters, &w->link);
	talk_set(t, &ops, w);
}

/* A probe that nobody tells of: another may go. */
static void
on_lost(void *ctx)
{
	probe_free(ctx);
}

static struct probe *
probe_new(struct verify *v, struct str address)
{
	struct probe *p = mem_new(sizeof(*p));

	p->verify = v;
	p->address = mem_copy(address);
	list_init(&p->waiters);
	p->lost = timer_new(service_loop(v->service), on_lost, p);
	timer_set(p->lost, VERIFY_PROBE_S * 1000);
	map_set(v->probes, address, p);
	return p;
}

static void
ask(struct verify *v, struct talk *t, struct str address, uint64_t wait_ms)
{
	struct probe *p = map_get(v->probes, address);
	int64_t now = clock_wall_s();
	struct verdict verdict;
	struct buf entry;
	enum found found;

	buf_init(&entry, TABLE_VALUE_MAX);
	found = look(v, address, &entry, &verdict);
	if (p == NULL && found != RETRY &&
	    verdict_stale(&v->conf, &verdict, now)) {
		if (map_count(v->probes) >=
		    (size_t)v->conf.address_verify_pending_request_limit)
			log_warn("too many probes are under way, limit %lld: "
			    STRF, (long long)
			    v->conf.address_verify_pending_request_limit,
			    STRV(address));
		else
			p = probe_new(v, address);
		if (p != NULL && (verdict.updated_s != 0 ||
		    v->conf.address_verify_negative_cache)) {
			verdict.probed_s = now;
			put(v, address, &verdict);
		}
	}
	if (p != NULL && verdict.status == VERIFY_TODO && wait_ms > 0)
		wait_for(p, t, &verdict, wait_ms);
	else
		answer(t, &verdict);
	if (p != NULL && p->talk == NULL && p->peer == NULL && !p->sent)
		send_probe(v, p);
	buf_free(&entry);
}

/* --- probes --- */

static void
probe_free(struct probe *p)
{
	struct verify *v = p->verify;

	map_set(v->probes, str_of(p->address), NULL);
	list_each(l, &p->waiters) {
		struct waiter *w = container_of(l, struct waiter, link);

		answer(w->talk, &w->verdict);
		waiter_free(w);
	}
	service_wait_cancel(&p->peer);
	talk_close(&p->talk);
	timer_free(&p->lost);
	mem_free(p->address);
	mem_free(p);
}

static void
on_taken(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_mail_done *m = msg;
	struct probe *p = ctx;

	(void)t;
	if (id != MSG_mail_done)
		return;
	p->talk = NULL;
	if (m->status == MAIL_OK)
		return;
	log_warn("probe of %s: " STRF, p->address, STRV(m->reason));
	probe_free(p);
}

static void
on_cleanup_gone(void *ctx, struct talk *t, const char *why)
{
	struct probe *p = ctx;

	(void)t;
	p->talk = NULL;
	log_warn("probe of %s: cleanup: %s", p->address, why);
	probe_free(p);
}

/* No content: it is never delivered, deferred or bounced. */
static void
on_cleanup(void *ctx, struct channel *ch)
{
	static const struct talk_ops ops = { on_taken, on_cleanup_gone };
	struct probe *p = ctx;
	struct verify *v = p->verify;
	struct buf sender;

	p->peer = NULL;
	if (ch == NULL) {
		log_warn("probe of %s: no cleanup", p->address);
		probe_free(p);
		return;
	}
	p->sent = true;
	buf_init(&sender, 2 * ADDRESS_MAX);
	probe_sender_print(&v->sender, clock_wall_s(), &sender);
	p->talk = talk_open(ch, &ops, p);
	talk_deadline(p->talk, SUBMIT_MS);
	talk_send(p->talk, MSG_mail_begin, &(struct msg_mail_begin){
	    .flags = MAIL_VERIFY | MAIL_PROBE | MAIL_NO_CHECKS | MAIL_NO_BCC |
	    MAIL_LOCAL_CLIENT, .sender = buf_view(&sender) });
	talk_send(p->talk, MSG_mail_rcpt, &(struct msg_mail_rcpt){
	    .address = str_of(p->address) });
	talk_send(p->talk, MSG_mail_end, &(struct msg_mail_end){ 0 });
	buf_free(&sender);
}

static void
send_probe(struct verify *v, struct probe *p)
{
	struct channel *ch = service_peer(v->service, ROLE_CLEANUP, STR(""));

	if (ch != NULL)
		on_cleanup(p, ch);
	else
		p->peer = service_wait_peer(v->service, ROLE_CLEANUP, STR(""),
		    PEER_WAIT_MS, on_cleanup, p);
}

/*
 * A failed probe does not replace a good verdict before that expires: the
 * address is probed again when it is asked for.
 */
static void
take_result(struct verify *v, struct str address, const struct verdict *is)
{
	struct verdict was;
	struct buf entry;

	buf_init(&entry, TABLE_VALUE_MAX);
	if (is->status == VERIFY_OK || look(v, address, &entry, &was) !=
	    FOUND || was.status != VERIFY_OK)
		if (is->status == VERIFY_OK ||
		    v->conf.address_verify_negative_cache)
			put(v, address, is);
	buf_free(&entry);
}

static void
on_solo(void *ctx, struct channel *ch, enum msg id, const void *msg)
{
	const struct msg_verify_result *m = msg;
	struct verify *v = ctx;
	struct verdict is;
	struct probe *p;
	struct buf key;

	(void)ch;
	if (id != MSG_verify_result || m->status >= VERIFY_TODO)
		return;
	is = (struct verdict){ (enum verify_status)m->status, 0,
		clock_wall_s(), m->text };
	key_of(m->address, &key);
	take_result(v, buf_view(&key), &is);
	p = map_get(v->probes, buf_view(&key));
	if (p != NULL) {
		list_each(l, &p->waiters)
			container_of(l, struct waiter, link)->verdict = is;
		probe_free(p);
	}
	buf_free(&key);
}
