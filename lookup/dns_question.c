/*
 * dns_question - from a talk to an answer: the hosts file, the cache, a
 * question that is under way already, and only then a packet.
 *
 * A question lives until it has its answer or its deadline has passed, and
 * until c-ares has let go of its packet.
 */
#include "lookup/resolve.h"
#include "sys/sys.h"

#define QUESTION_MEMORY	(4 << 20)
#define KEY_MAX		(DNS_NAME_MAX + 16)

struct waiter { struct list link; struct talk *talk; };
struct dns_question {
	struct resolver	*resolver;
	enum dns_type	 type;
	char		*key;		/* "MX example.com" */
	struct str	 name;		/* in key */
	struct list	 waiters;
	struct timer	*deadline;
	bool		 on_wire;	/* on_reply will come */
	bool		 over;		/* answered */
	/* Of the answer so far, where CNAMEs made us ask again: */
	struct buf	 at;		/* the name that is asked for */
	unsigned	 cnames;
	uint32_t	 ttl_s;
	bool		 authentic;
};

static void	on_reply(void *ctx, struct str packet);
static void	on_late(void *ctx);
static void	on_waiter(void *, struct talk *, enum msg, const void *);
static void	on_waiter_gone(void *, struct talk *, const char *);
static void	finish(struct dns_question *, const struct dns_reading *);

static const struct talk_ops waiter_ops = { on_waiter, on_waiter_gone };

static void
answer(struct talk *t, const struct reply *r)
{
	talk_send(t, MSG_dns_answer, &(struct msg_dns_answer){
	    .found = (uint64_t)r->found, .nxdomain = r->nxdomain,
	    .secure = r->secure, .name = r->name, .records = r->records,
	    .why = r->why });
}

static void
answer_lack(struct talk *t, enum found found, enum dns_type type,
    enum dns_lack lack, struct str name)
{
	struct buf why;

	buf_init(&why, 1000);
	dns_why(name, type, lack, &why);
	answer(t, &(struct reply){ .found = found, .name = name,
	    .why = buf_view(&why) });
	buf_free(&why);
}

/* True: it was answered. A name in the file is known by the file alone. */
static bool
answer_hosts(struct resolver *r, struct talk *t, enum dns_type type,
    struct str name, bool last)
{
	const struct dns_record *records, *other;
	struct buf packed;
	size_t n, others = 0;

	if (type != DNS_A && type != DNS_AAAA && type != DNS_PTR)
		return false;
	if (dns_hosts_find(r->hosts, type, name, &records, &n) == FOUND) {
		buf_init(&packed, DNS_BYTES_MAX);
		dns_pack(records, n, &packed);
		answer(t, &(struct reply){ .found = FOUND, .name = name,
		    .records = buf_view(&packed) });
		buf_free(&packed);
		return true;
	}
	if (type != DNS_PTR)
		(void)dns_hosts_find(r->hosts, type == DNS_A ? DNS_AAAA :
		    DNS_A, name, &other, &others);
	if (others == 0 && !last)
		return false;
	answer_lack(t, NONE, type, others > 0 ? DNS_LACK_RECORDS :
						DNS_LACK_NAME, name);
	return true;
}

static void
add_waiter(struct dns_question *q, struct talk *t)
{
	struct waiter *w = mem_new(sizeof(*w));

	w->talk = t;
	list_append(&q->waiters, &w->link);
	talk_set(t, &waiter_ops, w);
}

static void
send_question(struct dns_question *q)
{
	struct buf packet;

	buf_init(&packet, 1024);
	dns_packet_ask(q->type, buf_view(&q->at), &packet);
	q->on_wire = true;
	q->resolver->asked++;
	dns_wire_send(q->resolver->wire, buf_view(&packet), on_reply, q);
	buf_free(&packet);
}

static void
question_new(struct resolver *r, struct talk *t, enum dns_type type,
    struct str key, struct str name)
{
	struct dns_question *q = mem_new(sizeof(*q));

	q->resolver = r;
	q->type = type;
	q->key = mem_copy(key);
	q->name = (struct str){ q->key + key.n - name.n, name.n };
	q->ttl_s = INT32_MAX;
	q->authentic = true;
	list_init(&q->waiters);
	buf_init(&q->at, DNS_NAME_MAX);
	buf_str(&q->at, name);
	q->deadline = timer_new(service_loop(r->service), on_late, q);
	timer_set(q->deadline, r->conf.resolve_deadline * 1000);
	map_set(r->questions, key, q);
	r->npending++;
	add_waiter(q, t);
	send_question(q);
}

void
resolver_ask(struct resolver *r, struct talk *t, const struct msg_dns_ask *m)
{
	enum dns_type type = (enum dns_type)m->type;
	const struct reply *known;
	struct dns_question *q;
	struct buf key, name;

	buf_init(&key, KEY_MAX);
	buf_init(&name, DNS_NAME_MAX);
	if (m->type > UINT16_MAX || dns_type_name(type) == NULL ||
	    !dns_name_canon(m->name, &name)) {
		log_warn("a question of type %llu for " STRF " makes no sense",
		    (unsigned long long)m->type, STRV(m->name));
		talk_close(&t);
		goto out;
	}
	if ((m->hosts & (DNS_HOSTS_FIRST | DNS_HOSTS_ONLY)) != 0 &&
	    answer_hosts(r, t, type, buf_view(&name),
	    (m->hosts & DNS_HOSTS_ONLY) != 0))
		goto out;
	buf_printf(&key, "%s " STRF, dns_type_name(type),
	    STRV(buf_view(&name)));
	known = dns_cache_get(r->cache, buf_view(&key), clock_steady_ms());
	if (known != NULL) {
		r->cached++;
		answer(t, known);
	} else if ((q = map_get(r->questions, buf_view(&key))) != NULL)
		add_waiter(q, t);
	else if (r->npending >= (size_t)r->conf.resolve_pending_limit) {
		log_warn("too many questions wait for name servers, limit "
		    "%lld: " STRF, (long long)r->conf.resolve_pending_limit,
		    STRV(buf_view(&key)));
		answer_lack(t, RETRY, type, DNS_LACK_ANSWER, buf_view(&name));
	} else
		question_new(r, t, type, buf_view(&key), buf_view(&name));
out:
	buf_free(&key);
	buf_free(&name);
}

/* --- the answer --- */

static void
let_go(struct dns_question *q)
{
	if (!q->over || q->on_wire)
		return;
	buf_free(&q->at);
	mem_free(q->key);
	mem_free(q);
}

static void
on_reply(void *ctx, struct str packet)
{
	struct dns_question *q = ctx;
	struct arena *arena = arena_new(QUESTION_MEMORY);
	struct dns_reading r = { .sense = DNS_FAILED };

	q->on_wire = false;
	if (q->over) {
		arena_free(&arena);
		let_go(q);
		return;
	}
	if (packet.n > 0)
		dns_packet_read(packet, q->type, buf_view(&q->at), arena, &r);
	q->cnames += r.cnames;
	q->authentic = q->authentic && r.authentic;
	if (r.ttl_s < q->ttl_s)
		q->ttl_s = r.ttl_s;
	if (q->cnames > DNS_CNAMES_MAX)
		r.sense = DNS_NONSENSE;
	if (r.sense == DNS_GOES_ON) {
		struct str next = arena_str(arena, r.name);

		buf_clear(&q->at);
		buf_str(&q->at, next);
		send_question(q);
	} else
		finish(q, &r);
	arena_free(&arena);
}

static void
on_late(void *ctx)
{
	struct dns_question *q = ctx;

	finish(q, &(struct dns_reading){ .sense = DNS_FAILED });
}

/* What a reading means; *lack where it is no FOUND. */
static enum found
sense(enum dns_sense s, enum dns_lack *lack)
{
	switch (s) {
	case DNS_RECORDS:
		return FOUND;
	case DNS_NO_RECORDS:
		*lack = DNS_LACK_RECORDS;
		return NONE;
	case DNS_NO_NAME:
		*lack = DNS_LACK_NAME;
		return NONE;
	case DNS_NONSENSE:
		*lack = DNS_LACK_SENSE;
		return RETRY;
	case DNS_GOES_ON:
	case DNS_FAILED:
		break;
	}
	*lack = DNS_LACK_ANSWER;
	return RETRY;
}

static void
read_reply(struct dns_question *q, const struct dns_reading *r,
    struct reply *reply, struct buf *records, struct buf *why)
{
	enum dns_lack lack = DNS_LACK_ANSWER;
	size_t packed;

	reply->found = sense(r->sense, &lack);
	reply->nxdomain = r->sense == DNS_NO_NAME;
	reply->secure = reply->found != RETRY && q->authentic &&
	    dns_wire_is_local(q->resolver->wire);
	reply->name = r->name.n > 0 ? r->name : q->name;
	if (reply->found != FOUND) {
		dns_why(q->name, q->type, lack, why);
		reply->why = buf_view(why);
		return;
	}
	packed = dns_pack(r->records, r->n, records);
	reply->records = buf_view(records);
	if (packed < r->n || r->cut > 0)
		log_warn("%s: only %zu of %zu records are used, limit %d",
		    q->key, packed, r->n + r->cut, DNS_RECORDS_MAX);
}

static void
finish(struct dns_question *q, const struct dns_reading *r)
{
	struct resolver *resolver = q->resolver;
	int64_t ttl_s = q->ttl_s;
	struct buf records, why;
	struct reply reply = { .found = RETRY };

	buf_init(&records, DNS_BYTES_MAX);
	buf_init(&why, 1000);
	read_reply(q, r, &reply, &records, &why);
	if (ttl_s > resolver->conf.resolve_cache_ttl_limit)
		ttl_s = resolver->conf.resolve_cache_ttl_limit;
	if (reply.found != RETRY)
		dns_cache_put(resolver->cache, str_of(q->key), &reply,
		    clock_steady_ms(), ttl_s * 1000);
	list_each(l, &q->waiters) {
		struct waiter *w = container_of(l, struct waiter, link);

		list_remove(l);
		answer(w->talk, &reply);
		mem_free(w);
	}
	map_set(resolver->questions, str_of(q->key), NULL);
	resolver->npending--;
	timer_free(&q->deadline);
	q->over = true;
	let_go(q);
	buf_free(&records);
	buf_free(&why);
}

/* --- waiters --- */

/* Nothing may come behind a dns_ask. */
static void
on_waiter(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	(void)ctx;
	(void)t;
	(void)id;
	(void)msg;
}

/* Went, or had enough: the question goes on, for the cache. */
static void
on_waiter_gone(void *ctx, struct talk *t, const char *why)
{
	struct waiter *w = ctx;

	(void)t;
	(void)why;
	list_remove(&w->link);
	mem_free(w);
}
