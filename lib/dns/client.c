/*
 * client - asks resolve. A query is one or two questions (a host's A and
 * AAAA, each a talk), or for a client's name first PTR, then its addresses.
 */
#include <netinet/in.h>

#include "address/address.h"
#include "dns/internal.h"
#include "sys/sys.h"

#define PEER_WAIT_MS	10000	/* for resolve to (re)start */
#define ANSWER_MS	100000	/* above resolve's own deadline: it hangs */
#define QUERY_MEMORY	(1 << 20)

struct part {			/* one question to resolve */
	struct dns_query *query;
	enum dns_type	  type;
	struct wait_peer *waiting;
	struct talk	 *talk;
	bool		  done;
	struct dns_answer answer;
};
struct dns_query {
	struct service	*service;
	struct arena	*arena;
	struct str	 name;
	unsigned	 flags;
	struct part	 parts[2];
	unsigned	 nparts;
	struct timer	*soon;		/* done, before it was asked */
	void		(*finish)(struct dns_query *);
	dns_fn		*fn;
	void		*ctx;
	/* dns_ask_client: */
	void		(*client_fn)(void *ctx, const struct dns_client *);
	struct dns_client client;
	uint8_t		 addr[16];
	int		 family;
	bool		 verify;
};

static void	on_channel(void *ctx, struct channel *);
static void	on_answer(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	finish_plain(struct dns_query *);
static void	finish_host(struct dns_query *);
static void	finish_reverse(struct dns_query *);
static void	finish_forward(struct dns_query *);

static const struct talk_ops talk_ops = { on_answer, on_gone };

static struct dns_query *
query_new(struct service *service, struct str name, unsigned flags,
    void (*finish)(struct dns_query *))
{
	struct arena *arena = arena_new(QUERY_MEMORY);
	struct dns_query *q = arena_alloc(arena, sizeof(*q));
	struct buf canon;

	q->service = service;
	q->arena = arena;
	q->flags = flags;
	q->finish = finish;
	buf_init(&canon, DNS_NAME_MAX);
	if (dns_name_canon(name, &canon))
		q->name = arena_str(arena, buf_view(&canon));
	else
		q->name = (struct str){ NULL, 0 };
	buf_free(&canon);
	return q;
}

void
dns_cancel(struct dns_query **qp)
{
	struct dns_query *q = *qp;
	struct arena *arena;

	*qp = NULL;
	if (q == NULL)
		return;
	for (unsigned i = 0; i < q->nparts; i++) {
		service_wait_cancel(&q->parts[i].waiting);
		talk_close(&q->parts[i].talk);
	}
	timer_free(&q->soon);
	arena = q->arena;
	arena_free(&arena);
}

static void
on_soon(void *ctx)
{
	struct dns_query *q = ctx;

	q->finish(q);
}

/* The answer is known without a question: fn is still called later. */
static void
finish_soon(struct dns_query *q)
{
	q->soon = timer_new(service_loop(q->service), on_soon, q);
	timer_set(q->soon, 0);
}

static struct part *
add_part(struct dns_query *q, enum dns_type type)
{
	struct part *p = &q->parts[q->nparts++];

	*p = (struct part){ .query = q, .type = type };
	return p;
}

static void
lack(struct part *p, enum found found, enum dns_lack what, struct str name)
{
	struct buf why;

	buf_init(&why, 1000);
	dns_why(name, p->type, what, &why);
	p->done = true;
	p->answer = (struct dns_answer){ .found = found, .name = name,
	    .why = arena_str(p->query->arena, buf_view(&why)) };
	buf_free(&why);
}

/* Asks all parts, or says of all that there is no such name. */
static void
ask_parts(struct dns_query *q, struct str as_given)
{
	struct part *p;

	if (q->name.p == NULL) {
		as_given = arena_str(q->arena, str_first(as_given,
		    DNS_NAME_MAX));
		for (unsigned i = 0; i < q->nparts; i++)
			lack(&q->parts[i], NONE, DNS_LACK_SYNTAX, as_given);
		finish_soon(q);
		return;
	}
	for (unsigned i = 0; i < q->nparts; i++) {
		struct channel *ch = service_peer(q->service, ROLE_RESOLVE,
		    STR(""));

		p = &q->parts[i];
		if (ch != NULL)
			on_channel(p, ch);
		else
			p->waiting = service_wait_peer(q->service,
			    ROLE_RESOLVE, STR(""), PEER_WAIT_MS, on_channel,
			    p);
	}
}

struct dns_query *
dns_ask(struct service *service, enum dns_type type, struct str name,
    dns_fn *fn, void *ctx)
{
	struct dns_query *q = query_new(service, name, 0, finish_plain);

	q->fn = fn;
	q->ctx = ctx;
	add_part(q, type);
	ask_parts(q, name);
	return q;
}

/* An address is its own answer. */
static bool
is_address(struct dns_query *q, struct str name)
{
	uint8_t addr[16];
	int family = ip_parse(name, addr);
	struct dns_record *r;
	struct part *p;

	if (family == 0)
		return false;
	r = arena_alloc(q->arena, sizeof(*r));
	r->type = family == AF_INET ? DNS_A : DNS_AAAA;
	r->data = arena_str(q->arena, (struct str){ (char *)addr,
	    family == AF_INET ? 4 : 16 });
	p = add_part(q, r->type);
	p->done = true;
	p->answer = (struct dns_answer){ .found = FOUND, .records = r, .n = 1,
	    .name = arena_str(q->arena, name) };
	finish_soon(q);
	return true;
}

struct dns_query *
dns_ask_host(struct service *service, struct str name, unsigned flags,
    dns_fn *fn, void *ctx)
{
	struct dns_query *q = query_new(service, name, flags, finish_host);

	q->fn = fn;
	q->ctx = ctx;
	if (is_address(q, name))
		return q;
	if ((flags & (DNS_V4 | DNS_V6)) == 0)
		flags |= DNS_V4 | DNS_V6;
	if (flags & DNS_V4)
		add_part(q, DNS_A);
	if (flags & DNS_V6)
		add_part(q, DNS_AAAA);
	ask_parts(q, name);
	return q;
}

struct dns_query *
dns_ask_client(struct service *service, const struct sockaddr_storage *from,
    bool verify, void (*fn)(void *ctx, const struct dns_client *), void *ctx)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct dns_query *q;
	uint8_t addr[16] = { 0 };
	int family = from->ss_family;
	struct buf name;

	if (family == AF_INET)
		memcpy(addr, &in->sin_addr, 4);
	else
		memcpy(addr, &in6->sin6_addr, 16);
	if (family == AF_INET6 && memcmp(addr, mapped, sizeof(mapped)) == 0) {
		family = AF_INET;
		memmove(addr, addr + 12, 4);
	}
	buf_init(&name, DNS_NAME_MAX);
	dns_name_reverse(addr, family, &name);
	q = query_new(service, buf_view(&name), DNS_HOSTS_FIRST,
	    finish_reverse);
	buf_free(&name);
	memcpy(q->addr, addr, sizeof(addr));
	q->family = family;
	q->verify = verify;
	q->client_fn = fn;
	q->ctx = ctx;
	add_part(q, DNS_PTR);
	ask_parts(q, q->name);
	return q;
}

/* --- resolve --- */

static void
part_done(struct part *p)
{
	struct dns_query *q = p->query;

	p->done = true;
	for (unsigned i = 0; i < q->nparts; i++)
		if (!q->parts[i].done)
			return;
	q->finish(q);
}

static void
on_channel(void *ctx, struct channel *ch)
{
	struct part *p = ctx;
	struct dns_query *q = p->query;

	p->waiting = NULL;
	if (ch == NULL) {
		log_warn("resolve does not answer");
		lack(p, RETRY, DNS_LACK_ANSWER, q->name);
		part_done(p);
		return;
	}
	p->talk = talk_open(ch, &talk_ops, p);
	talk_deadline(p->talk, ANSWER_MS);
	talk_send(p->talk, MSG_dns_ask, &(struct msg_dns_ask){
	    .type = (uint64_t)p->type, .hosts = q->flags & DNS_ASK_HOSTS,
	    .name = q->name });
}

static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_dns_answer *m = msg;
	struct part *p = ctx;
	struct arena *arena = p->query->arena;
	struct dns_answer *a = &p->answer;

	(void)t;
	(void)id;
	p->talk = NULL;
	a->found = m->found == FOUND ? FOUND : m->found == NONE ? NONE : RETRY;
	a->nxdomain = m->nxdomain != 0;
	a->secure = m->secure != 0;
	a->name = arena_str(arena, m->name);
	a->why = arena_str(arena, m->why);
	if (!dns_unpack(arena_str(arena, m->records), arena, &a->records,
	    &a->n) || (a->found == FOUND) != (a->n > 0)) {
		log_warn("resolve: records of " STRF " make no sense",
		    STRV(p->query->name));
		lack(p, RETRY, DNS_LACK_SENSE, p->query->name);
	}
	part_done(p);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct part *p = ctx;

	(void)t;
	p->talk = NULL;
	log_warn("resolve: %s", why);
	lack(p, RETRY, DNS_LACK_ANSWER, p->query->name);
	part_done(p);
}

/* --- what the answers come to --- */

static void
hand_over(struct dns_query *q, const struct dns_answer *a)
{
	dns_fn *fn = q->fn;
	void *ctx = q->ctx;
	struct arena *arena = q->arena;

	timer_free(&q->soon);
	fn(ctx, a);
	arena_free(&arena);
}

static void
finish_plain(struct dns_query *q)
{
	hand_over(q, &q->parts[0].answer);
}

/* RETRY outweighs NONE; FOUND outweighs both. */
static void
finish_host(struct dns_query *q)
{
	struct dns_answer all = { .found = NONE, .nxdomain = true,
		.secure = true };
	struct dns_record *v = arena_alloc(q->arena,
	    2 * DNS_RECORDS_MAX * sizeof(*v));

	all.records = v;
	for (unsigned i = 0; i < q->nparts; i++) {
		const struct dns_answer *a = &q->parts[i].answer;

		all.nxdomain = all.nxdomain && a->nxdomain;
		all.secure = all.secure && a->secure;
		if (all.name.n == 0 || a->found == FOUND)
			all.name = a->name;
		if (all.found != RETRY && a->found != FOUND)
			all.why = a->why;
		if (a->found == RETRY)
			all.found = RETRY;
		for (size_t r = 0; r < a->n; r++)
			v[all.n++] = a->records[r];
	}
	if (all.n > 0)
		all.found = FOUND;
	hand_over(q, &all);
}

static void
hand_over_client(struct dns_query *q)
{
	void (*fn)(void *, const struct dns_client *) = q->client_fn;
	void *ctx = q->ctx;
	struct arena *arena = q->arena;

	if (q->client.reverse_found != FOUND)
		q->client.reverse = STR("unknown");
	if (q->client.name_found != FOUND)
		q->client.name = STR("unknown");
	timer_free(&q->soon);
	fn(ctx, &q->client);
	arena_free(&arena);
}

static void
finish_reverse(struct dns_query *q)
{
	const struct dns_answer *a = &q->parts[0].answer;
	struct dns_client *c = &q->client;

	c->name_found = c->reverse_found = c->forward_found = a->found;
	if (a->found == FOUND && a->records[0].data.n == 0)
		c->name_found = c->reverse_found = c->forward_found = NONE;
	if (c->reverse_found != FOUND) {
		hand_over_client(q);
		return;
	}
	c->name = c->reverse = a->records[0].data;
	if (!q->verify) {
		hand_over_client(q);
		return;
	}
	q->name = c->reverse;
	q->finish = finish_forward;
	q->nparts = 0;
	add_part(q, q->family == AF_INET ? DNS_A : DNS_AAAA);
	ask_parts(q, q->name);
}

static void
finish_forward(struct dns_query *q)
{
	const struct dns_answer *a = &q->parts[0].answer;
	size_t length = q->family == AF_INET ? 4 : 16;
	struct dns_client *c = &q->client;

	c->forward_found = a->found;
	c->name_found = a->found;
	c->nxdomain = a->nxdomain;
	if (a->found == FOUND) {
		c->name_found = NONE;
		for (size_t i = 0; i < a->n; i++)
			if (a->records[i].data.n == length &&
			    memcmp(a->records[i].data.p, q->addr, length) == 0)
				c->name_found = FOUND;
	}
	hand_over_client(q);
}
