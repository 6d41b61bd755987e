/*
 * tlskey - holds the private keys, and signs handshakes for those who have
 * none.
 *
 * Runs as postern-auth in an empty root, with no network and no file: keys
 * are read before that. Each process that speaks TLS is sent the chains of
 * its service and asks for every signature; what is not a handshake's, of
 * its role, is refused. When a file changes another tlskey is started in
 * place of this one. tlskey(8).
 */
#include "auth/tlskey.h"
#include "sys/sys.h"

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct tlskey_conf, __VA_ARGS__)
#include "auth/params_tlskey.def"
#undef PARAM
};

static void	on_check(void *ctx, struct service *, struct problems *);
static void	on_start(void *ctx, struct service *);
static void	on_peer(void *ctx, struct channel *, struct str service);
static void	on_talk(void *ctx, struct talk *, enum msg);
static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	on_solo(void *ctx, struct channel *, enum msg, const void *);
static void	on_change(struct tlskey *);
static void	new_ticket_key(void *ctx);

static const struct talk_ops talk_ops = {
	.on_message = on_message, .on_gone = on_gone,
};

int
main(int argc, char **argv)
{
	struct tlskey t = { .service = NULL };
	const struct service_def def = {
		.role = ROLE_TLSKEY, .params = params,
		.nparams = nitems(params), .conf = &t.conf, .ctx = &t,
		.check = on_check, .start = on_start, .on_peer = on_peer,
		.on_talk = on_talk, .on_solo = on_solo,
	};

	return service_main(&def, argc, argv);
}

/* Bytes alone are taken as root; a check is the administrator's own. */
static void
on_check(void *ctx, struct service *service, struct problems *p)
{
	struct tlskey *t = ctx;

	t->service = service;
	list_init(&t->sites);
	t->keys = map_new();
	key_files_read(t, service_conf(service), p);
	if (service_checks(service))
		key_sites_parse(t, p);
}

static void
on_start(void *ctx, struct service *service)
{
	struct problems problems = { 0 };
	struct tlskey *t = ctx;

	key_sites_parse(t, &problems);
	problems_log(&problems);
	problems_free(&problems);
	watch_start(t, on_change);
	t->rotate = timer_new(service_loop(service), new_ticket_key, t);
	new_ticket_key(t);
}

static void
on_change(struct tlskey *t)
{
	log_info("keys or certificates have changed: they are read again");
	service_tell_master(t->service, MSG_renew, &(struct msg_renew){ 0 });
}

/* --- what every server process is told --- */

static void
send_tickets(struct tlskey *t, struct channel *c)
{
	channel_send(c, MSG_tls_tickets, &(struct msg_tls_tickets){
	    .keys = { (const char *)t->tickets,
	    t->ntickets * sizeof(t->tickets[0]) } });
}

static void
send_tickets_to(void *ctx, struct channel *c, struct str name)
{
	(void)name;
	send_tickets(ctx, c);
}

/* A ticket is good for one life of a session, its key for two. */
static void
new_ticket_key(void *ctx)
{
	struct tlskey *t = ctx;
	int64_t life = t->conf.smtpd_tls_session_cache_timeout;

	if (life <= 0)
		return;
	memmove(&t->tickets[1], &t->tickets[0],
	    sizeof(t->tickets) - sizeof(t->tickets[0]));
	random_bytes(&t->tickets[0], sizeof(t->tickets[0]));
	if (t->ntickets < TLS_TICKET_KEYS)
		t->ntickets++;
	service_each_peer(t->service, ROLE_SMTPD, send_tickets_to, t);
	timer_set(t->rotate, life * 1000);
}

/*
 * Another tlskey's key: it opens what it made, behind our own, as long as
 * one of ours that is a life old.
 */
static void
on_solo(void *ctx, struct channel *c, enum msg id, const void *msg)
{
	const struct msg_tls_tickets *m = msg;
	struct tlskey *t = ctx;
	struct tls_ticket_key key;

	(void)c;
	if (id != MSG_tls_tickets || m->keys.n < sizeof(key) ||
	    t->ntickets == 0)
		return;
	memcpy(&key, m->keys.p, sizeof(key));
	for (size_t i = 0; i < t->ntickets; i++)
		if (memcmp(key.name, t->tickets[i].name,
		    sizeof(key.name)) == 0)
			return;
	memmove(&t->tickets[2], &t->tickets[1],
	    sizeof(t->tickets) - 2 * sizeof(t->tickets[0]));
	t->tickets[1] = key;
	if (t->ntickets < TLS_TICKET_KEYS)
		t->ntickets++;
	service_each_peer(t->service, ROLE_SMTPD, send_tickets_to, t);
}

static void
on_peer(void *ctx, struct channel *c, struct str service)
{
	struct tlskey *t = ctx;
	enum role role = channel_peer(c);
	struct site *site = key_site_find(t, service, role_name(role));

	if (role == ROLE_TLSKEY)
		send_tickets(t, c);
	if (site == NULL)
		return;
	if (role == ROLE_SMTPD)
		send_tickets(t, c);
	channel_send(c, MSG_tls_set, &(struct msg_tls_set){
	    .chains = site->nkeys, .names = map_count(site->names) > 0 });
	for (size_t i = 0; i < site->nkeys; i++) {
		struct tls_chain chain =
		    tls_identity_chain(site->keys[i]->identity);

		channel_send(c, MSG_tls_chain, &(struct msg_tls_chain){
		    .key = chain.key, .certs = chain.certs });
	}
}

/* --- what they ask --- */

static void
on_talk(void *ctx, struct talk *talk, enum msg msg)
{
	(void)msg;
	talk_set(talk, &talk_ops, ctx);
}

static void
answer_name(struct tlskey *t, struct talk *talk, const struct msg_tls_name *m)
{
	struct site *site = key_site_find(t, m->service, "smtpd");
	const struct named *n = key_site_named(site, m->name);

	for (size_t i = 0; n != NULL && i < n->nkeys; i++) {
		struct tls_chain chain =
		    tls_identity_chain(n->keys[i]->identity);

		talk_send(talk, MSG_tls_named_chain,
		    &(struct msg_tls_named_chain){ .key = chain.key,
		    .certs = chain.certs });
	}
	talk_send(talk, MSG_tls_named, &(struct msg_tls_named){
	    .chains = n != NULL ? n->nkeys : 0 });
}

static void
answer_sign(struct tlskey *t, struct talk *talk, const struct msg_tls_sign *m)
{
	enum role role = channel_peer(talk_channel(talk));
	bool client = role != ROLE_SMTPD, good;
	struct key *k = key_find(t, m->key);
	struct buf signature;

	buf_init(&signature, TLS_SIG_MAX);
	good = k != NULL && (client ? k->client : k->server) &&
	    m->scheme <= UINT16_MAX && tls_identity_sign(k->identity, client,
	    (unsigned)m->scheme, m->tbs, &signature);
	if (!good)
		log_warn("%s asks for a signature that it can't have: key "
		    "%016llx, scheme %04llx, %zu bytes", role_name(role),
		    (unsigned long long)m->key, (unsigned long long)m->scheme,
		    m->tbs.n);
	talk_send(talk, MSG_tls_signed, &(struct msg_tls_signed){
	    .good = good, .signature = buf_view(&signature) });
	buf_free(&signature);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	if (id == MSG_tls_name)
		answer_name(ctx, talk, msg);
	else if (id == MSG_tls_sign)
		answer_sign(ctx, talk, msg);
	else
		talk_close(&talk);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	(void)ctx;
	(void)talk;
	(void)why;
}
