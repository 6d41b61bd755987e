/*
 * agent - a daemon's way to tlskey: chains and ticket keys come by
 * themselves, names and signatures are asked for.
 *
 * Without tlskey a handshake waits a little for it to be started again, then
 * fails; sessions go on. Chains by server name are kept, at most NAMES_MAX:
 * so a name costs tlskey one question.
 */
#include "ipc/ipc.h"
#include "service/service.h"
#include "sys/sys.h"
#include "tls/internal.h"

#define PEER_WAIT_MS	10000	/* for tlskey to (re)start */
#define ANSWER_MS	30000	/* for it to answer */
#define NAMES_MAX	1000	/* then all are forgotten */
#define CHAINS_MAX	8	/* of a service */

/* Chains as they come in, until all of a set are there. */
struct incoming {
	struct tls_chain v[CHAINS_MAX];
	size_t		 n, wanted;
};

struct tls_agent {
	struct service	*service;
	struct tls_side	*side;
	struct incoming	 set;
	struct map	*names;		/* struct tls_chains; without: n 0 */
	bool		 has_names, heard;
};

struct asking {
	struct tls_agent *agent;
	struct tls	*tls;
	struct talk	*talk;
	struct wait_peer *wait;
	char		*name;		/* NULL: a signature */
	char		*tbs;
	size_t		 tbs_n;
	struct incoming	 chains;
};

static void	on_name(void *ctx, struct tls *, struct str name);
static void	on_sign(void *ctx, struct tls *, uint64_t key, unsigned scheme,
		    struct str tbs);
static void	on_forget(void *ctx, struct tls *);
static void	on_answer(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);

static const struct tls_keys keys = {
	.name = on_name, .sign = on_sign, .forget = on_forget,
};
static const struct talk_ops talk_ops = { on_answer, on_gone };

const struct tls_keys *
tls_agent_keys(void)
{
	return &keys;
}

struct tls_agent *
tls_agent_new(struct service *service)
{
	struct tls_agent *a = mem_new(sizeof(*a));

	a->service = service;
	a->names = map_new();
	return a;
}

void
tls_agent_side(struct tls_agent *a, struct tls_side *side)
{
	a->side = side;
}

bool
tls_agent_heard(const struct tls_agent *a)
{
	return a->heard;
}

/* --- what comes by itself --- */

static void
incoming_clear(struct incoming *in)
{
	for (size_t i = 0; i < in->n; i++) {
		union { const char *c; char *p; } u = { in->v[i].certs.p };

		mem_free(u.p);
	}
	*in = (struct incoming){ .n = 0 };
}

static void
incoming_add(struct incoming *in, uint64_t key, struct str certs)
{
	char *mem;

	if (in->n == CHAINS_MAX || certs.n == 0 || certs.n > TLS_CHAIN_MAX)
		return;
	mem = mem_new(certs.n);
	memcpy(mem, certs.p, certs.n);
	in->v[in->n++] = (struct tls_chain){ key, { mem, certs.n } };
}

static struct tls_chains *
incoming_take(struct tls_agent *a, struct incoming *in)
{
	struct tls_chains *chains;
	struct buf why;

	buf_init(&why, 1000);
	chains = tls_chains_new(a->side, in->v, in->n, &why);
	if (chains == NULL)
		log_warn("certificates from tlskey: %s", buf_cstr(&why));
	buf_free(&why);
	incoming_clear(in);
	return chains;
}

static void
forget_names(struct tls_agent *a)
{
	struct str name;
	void *value;
	size_t pos = 0;

	while (map_next(a->names, &pos, &name, &value)) {
		struct tls_chains *c = value;

		tls_chains_free(&c);
	}
	map_free(&a->names);
	a->names = map_new();
}

static void
set_whole(struct tls_agent *a)
{
	struct tls_chains *chains = NULL;

	if (a->set.n < a->set.wanted)
		return;
	a->heard = true;
	forget_names(a);
	/* If they can't be used, what was there stays. */
	if (a->set.wanted > 0 &&
	    (chains = incoming_take(a, &a->set)) == NULL)
		return;
	tls_side_chains(a->side, chains);
}

static void
take_tickets(struct tls_agent *a, const struct msg_tls_tickets *m)
{
	struct tls_ticket_key k[TLS_TICKET_KEYS];

	if (m->keys.n > sizeof(k) || m->keys.n % sizeof(k[0]) != 0)
		return;
	memcpy(k, m->keys.p, m->keys.n);
	tls_side_tickets(a->side, k, m->keys.n / sizeof(k[0]));
	explicit_bzero(k, sizeof(k));
}

bool
tls_agent_solo(struct tls_agent *a, unsigned id, const void *msg)
{
	if (id != MSG_tls_tickets && id != MSG_tls_set && id != MSG_tls_chain)
		return false;
	if (a == NULL || a->side == NULL)
		return true;		/* no TLS here */
	if (id == MSG_tls_tickets)
		take_tickets(a, msg);
	else if (id == MSG_tls_set) {
		const struct msg_tls_set *m = msg;

		incoming_clear(&a->set);
		a->set.wanted = m->chains > CHAINS_MAX ? CHAINS_MAX :
		    (size_t)m->chains;
		a->has_names = m->names != 0;
		set_whole(a);
	} else {
		const struct msg_tls_chain *m = msg;

		if (a->set.n < a->set.wanted) {
			incoming_add(&a->set, m->key, m->certs);
			set_whole(a);
		}
	}
	return true;
}

/* --- what is asked for --- */

static void
asking_free(struct asking **ap)
{
	struct asking *q = *ap;

	*ap = NULL;
	if (q == NULL)
		return;
	if (q->tls != NULL)
		q->tls->asking = NULL;
	service_wait_cancel(&q->wait);
	talk_close(&q->talk);
	incoming_clear(&q->chains);
	mem_free(q->name);
	mem_free(q->tbs);
	mem_free(q);
}

/* tlskey says nothing: the name has no chains, the signature is refused. */
static void
give_up(struct asking *q)
{
	struct tls *t = q->tls;
	bool name = q->name != NULL;

	asking_free(&q);
	if (name)
		tls_named(t, NULL);
	else
		tls_signed(t, false, STR(""));
}

static void
on_ready(void *ctx, struct channel *c)
{
	struct asking *q = ctx;

	q->wait = NULL;
	if (c == NULL) {
		log_warn("tlskey is not there: a TLS handshake fails");
		give_up(q);
		return;
	}
	q->talk = talk_open(c, &talk_ops, q);
	talk_deadline(q->talk, ANSWER_MS);
	if (q->name != NULL)
		talk_send(q->talk, MSG_tls_name, &(struct msg_tls_name){
		    .service = str_of(service_name(q->agent->service)),
		    .name = str_of(q->name) });
	else
		talk_send(q->talk, MSG_tls_sign, &(struct msg_tls_sign){
		    .key = q->tls->key, .scheme = q->tls->scheme,
		    .tbs = { q->tbs, q->tbs_n } });
}

static void
ask(struct tls_agent *a, struct tls *t, struct str name, struct str tbs)
{
	struct asking *q = mem_new(sizeof(*q));
	struct wait_peer *w;

	q->agent = a;
	q->tls = t;
	t->asking = q;
	if (tbs.n > 0) {
		q->tbs = mem_new(tbs.n);
		memcpy(q->tbs, tbs.p, tbs.n);
		q->tbs_n = tbs.n;
	} else {
		q->name = mem_copy(name);
	}
	w = service_wait_peer(a->service, ROLE_TLSKEY, STR(""), PEER_WAIT_MS,
	    on_ready, q);
	if (w != NULL)			/* else it was called already */
		q->wait = w;
}

static void
on_sign(void *ctx, struct tls *t, uint64_t key, unsigned scheme,
    struct str tbs)
{
	(void)key;
	(void)scheme;
	ask(ctx, t, STR(""), tbs);
}

static void
on_name(void *ctx, struct tls *t, struct str name)
{
	struct tls_agent *a = ctx;
	struct tls_chains *known = map_get(a->names, name);

	if (!a->has_names)
		tls_named(t, NULL);
	else if (known != NULL)
		tls_named(t, known->n > 0 ? known : NULL);
	else
		ask(a, t, name, STR(""));
}

static void
on_forget(void *ctx, struct tls *t)
{
	struct asking *q = t->asking;

	(void)ctx;
	asking_free(&q);
}

static void
name_whole(struct asking *q)
{
	struct tls_agent *a = q->agent;
	struct tls_chains *chains = incoming_take(a, &q->chains), *old;
	struct tls *t = q->tls;

	if (chains != NULL) {
		if (map_count(a->names) >= NAMES_MAX)
			forget_names(a);
		old = map_set(a->names, str_of(q->name), chains);
		tls_chains_free(&old);
	}
	asking_free(&q);
	tls_named(t, chains != NULL && chains->n > 0 ? chains : NULL);
}

static void
on_answer(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct asking *q = ctx;
	struct tls *t = q->tls;

	(void)talk;
	if (id == MSG_tls_named_chain && q->name != NULL) {
		const struct msg_tls_named_chain *m = msg;

		incoming_add(&q->chains, m->key, m->certs);
		talk_deadline(q->talk, ANSWER_MS);
		return;
	}
	if (id == MSG_tls_named || id == MSG_tls_signed)
		q->talk = NULL;		/* it has ended */
	if (id == MSG_tls_named && q->name != NULL)
		name_whole(q);
	else if (id == MSG_tls_signed && q->name == NULL) {
		const struct msg_tls_signed *m = msg;

		asking_free(&q);
		tls_signed(t, m->good != 0, m->signature);
	} else
		give_up(q);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct asking *q = ctx;

	(void)talk;
	log_warn("tlskey: %s: a TLS handshake fails", why);
	q->talk = NULL;
	give_up(q);
}
