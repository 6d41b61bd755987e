/*
 * resolve - whose each recipient is: into jobs of the schedule.
 *
 * A small message is resolved at once, a large one in portions between
 * which the loop turns. What has no way out at present (a dead destination,
 * a transport that is deferred, unknown or out of order) gets its result
 * here. Meaning and words are those of Postfix's qmgr_message_resolve.
 * qmgr runs it.
 */
#include <stdio.h>

#include "address/address.h"
#include "qmgr/qmgr.h"

#define PAUSE_MS_MAX	86400000 /* of a rate delay */
#define PORTION		500	/* recipients between two turns of the loop */

static int64_t
family_most(struct qmgr *q, struct str name, const char *suffix, int64_t most)
{
	struct problems problems = { 0 };
	int64_t v = conf_family(q->main_cf, name, suffix, &problems);

	for (size_t i = 0; i < problems.n; i++)
		log_warn("%s", problems.v[i].text);
	problems_free(&problems);
	return v < 0 ? 0 : v > most ? most : v;
}

static unsigned
family(struct qmgr *q, struct str name, const char *suffix)
{
	return (unsigned)family_most(q, name, suffix, UINT16_MAX);
}

static int64_t
rate_delay(struct qmgr *q, struct str name, const char *suffix)
{
	return family_most(q, name, suffix, PAUSE_MS_MAX);
}

static struct feedback
feedback(struct qmgr *q, struct str name, const char *suffix)
{
	struct str v = conf_family_text(q->main_cf, name, suffix);
	struct feedback fb = { 1, BY_NOTHING };

	if (!feedback_parse(v, &fb)) {
		log_warn(STRF "%s: ignoring malformed or unreasonable "
		    "feedback: " STRF, STRV(name), suffix, STRV(v));
		fb = (struct feedback){ 1, BY_NOTHING };
	}
	return fb;
}

static const struct master_entry *
find_service(const struct qmgr *q, struct str name)
{
	for (size_t i = 0; i < q->master_cf.n; i++) {
		const struct master_entry *e = &q->master_cf.v[i];

		if (str_eq(e->name, name) && str_eq(e->type, STR("unix")))
			return e;
	}
	return NULL;
}

static enum role
role_of(struct str command)
{
	for (int r = 0; r < ROLE__MAX; r++)
		if (r != ROLE_BOUNCE && ipc_speaks(ROLE_QMGR, (enum role)r) &&
		    str_eq(str_of(role_name((enum role)r)), command))
			return (enum role)r;
	return ROLE__MAX;
}

static struct schedule_limits
limits_of(struct qmgr *q, struct str name, const struct master_entry *e)
{
	struct schedule_limits l = { 0 };
	int64_t all = conf_number(q->main_cf, "default_process_limit");

	l.process_max = (unsigned)(e != NULL && e->limit >= 0 ? e->limit :
	    all);
	l.window_first = family(q, name, "_initial_destination_concurrency");
	l.window_max = family(q, name, "_destination_concurrency_limit");
	l.rcpt_max = family(q, name, "_destination_recipient_limit");
	l.cohort_max = family(q, name,
	    "_destination_concurrency_failed_cohort_limit");
	l.positive = feedback(q, name,
	    "_destination_concurrency_positive_feedback");
	l.negative = feedback(q, name,
	    "_destination_concurrency_negative_feedback");
	l.rest_ms = q->conf.minimal_backoff_time * 1000;
	l.dest_pause_ms = rate_delay(q, name, "_destination_rate_delay");
	l.pause_ms = rate_delay(q, name, "_transport_rate_delay");
	l.slot_cost = family(q, name, "_delivery_slot_cost");
	l.small_max = family(q, name, "_minimum_delivery_slots");
	return l;
}

static void
configure(void *ctx, struct transport *t)
{
	struct qmgr *q = ctx;
	struct mail_transport *mt = t->user;
	struct str name = str_of(t->name);
	const struct master_entry *e = find_service(q, name);
	struct schedule_limits l = limits_of(q, name, e);
	struct str rest = q->conf.defer_transports, item;

	transport_set_limits(t, &l);
	mt->role = e == NULL ? ROLE__MAX : role_of(e->command);
	mt->known = mt->role != ROLE__MAX;
	mt->rcpts_max = family_most(q, name, "_recipient_limit", INT32_MAX);
	mt->rcpts_extra = family_most(q, name, "_extra_recipient_limit",
	    INT32_MAX);
	mt->refill_min = family_most(q, name, "_recipient_refill_limit",
	    INT32_MAX);
	mt->refill_ms = 1000 * family_most(q, name,
	    "_recipient_refill_delay", INT32_MAX);
	mt->deferred = false;
	while (conf_list_next(&rest, &item))
		if (str_eq(item, name))
			mt->deferred = true;
}

void
transport_configure_all(struct qmgr *q)
{
	schedule_each_transport(q->schedule, configure, q);
}

struct mail_transport *
transport_get(struct qmgr *q, struct str name)
{
	struct transport *t = schedule_transport(q->schedule, name);
	struct schedule_limits none = { 0 };
	struct mail_transport *mt;

	if (t != NULL)
		return t->user;
	mt = mem_new(sizeof(*mt));
	mt->q = q;
	list_init(&mt->parked);
	mt->paces = map_new();
	mt->t = schedule_add_transport(q->schedule, name, &none, mt);
	configure(q, mt->t);
	if (!mt->known)
		log_warn("connect to transport private/" STRF
		    ": No such file or directory", STRV(name));
	return mt;
}

/* To a destination; where each delivery has one recipient, that is it. */
static void
add(struct message *m, uint32_t i, struct mail_transport *mt,
    const struct route *r)
{
	struct queue_rcpt *rcpt = &m->msg.rcpts[i];
	struct str key = r->nexthop;
	struct dest *d;
	struct buf b;

	buf_init(&b, 4096);
	if (mt->t->limits.rcpt_max == 1) {
		buf_str(&b, r->recipient);
		buf_putc(&b, '\n');
		buf_str(&b, r->nexthop);
		key = buf_view(&b);
	}
	d = schedule_dest(mt->t, key, r->nexthop, clock_steady_ms());
	buf_free(&b);
	if (dest_dead(d)) {
		result_defer(m, i, str_of(d->dsn), str_of(d->why));
		return;
	}
	if (!str_eq(r->recipient, rcpt->address)) {
		if (rcpt->original.n == 0)
			rcpt->original = rcpt->address;
		rcpt->address = arena_str(m->arena, r->recipient);
	}
	early_dest(m, d);
	m->note[i] |= NOTE_DELIVERY;
	m->scheduled++;
	schedule_add(d, &m->mail, i);
	clogged_check(m->q, d);
}

/* content_filter and access(5) FILTER: "transport:nexthop". */
static void
apply_filter(const struct message *m, struct route *r)
{
	struct str filter = queue_attr(&m->msg, "filter");
	size_t colon = str_chr(filter, ':');

	if (filter.n == 0)
		return;
	r->transport = str_first(filter, colon);
	r->nexthop = str_from(filter, colon + 1);
	if (r->nexthop.n == 0)
		r->nexthop = m->q->conf.default_filter_nexthop;
	if (r->nexthop.n == 0)
		r->nexthop = address_domain(r->recipient);
}

/* False: its transport has no room, and the message is parked. */
static bool
place(struct message *m, uint32_t i, const struct route *r, bool room)
{
	struct mail_transport *mt = transport_get(m->q, r->transport);

	early_route(m, mt->role);
	if (!mt->known)
		result_defer(m, i, STR("4.3.0"),
		    STR("mail transport unavailable"));
	else if (mt->deferred && !m->flush)
		result_defer(m, i, STR("4.3.2"), STR("deferred transport"));
	else if (transport_dead(mt->t, clock_steady_ms()))
		result_defer(m, i, str_of(mt->t->dsn), str_of(mt->t->why));
	else if (room || refill_has_room(m, mt))
		add(m, i, mt, r);
	else {
		refill_park(m, mt);
		return false;
	}
	return true;
}

/* Once: the other way may lead back to an MX lookup. */
void
resolve_pass(struct message *m, uint32_t i)
{
	struct str way = m->q->conf.best_mx_transport;
	struct str address = m->msg.rcpts[i].address;
	size_t colon = str_chr(way, ':');
	struct route r = { .transport = str_first(way, colon),
		.nexthop = str_from(way, colon + 1), .recipient = address };
	char text[ADDRESS_MAX + 100];

	if (r.nexthop.n == 0)
		r.nexthop = address_domain(address);
	if (way.n > 0 && !(m->note[i] & NOTE_PASSED)) {
		m->note[i] |= NOTE_PASSED;
		m->note[i] &= (uint8_t)~NOTE_DELIVERY;
		m->scheduled--;
		(void)place(m, i, &r, true);
		return;
	}
	snprintf(text, sizeof(text), "mail for " STRF " loops back to myself",
	    STRV(address_domain(address)));
	result_own(m, i, &(struct result){ .status = BOUNCED,
	    .dsn = STR("5.4.6"), .text = str_of(text) });
}

/* False: as place(). */
static bool
resolve_one(struct message *m, uint32_t i, struct arena *scratch)
{
	struct qmgr *q = m->q;
	struct queue_rcpt *rcpt = &m->msg.rcpts[i];
	struct route r = { 0 };
	struct str why = STR("");

	if (m->forced) {
		expire_result(m, i);
		return true;
	}
	switch (router_resolve(m->msg.flags & QMF_PROBE &&
	    q->probe_router != NULL ? q->probe_router : q->router, scratch,
	    rcpt->address, m->msg.sender, &r, &why)) {
	case FOUND:
		apply_filter(m, &r);
		break;
	case NONE:
		r = (struct route){ CLASS_DEFAULT, STR("error"),
			STR("5.1.3 bad address syntax"), rcpt->address,
			false };
		break;
	case RETRY:
		log_warn("%s: address resolver failure: " STRF, m->msg.id,
		    STRV(why));
		result_defer(m, i, STR("4.3.0"),
		    STR("address resolver failure"));
		return true;
	}
	if (r.cls == CLASS_LOCAL && str_eq_nocase(address_local(r.recipient),
	    str_of(q->double_bounce))) {
		result_own(m, i, &(struct result){ .status = SENT,
		    .dsn = STR("2.0.0"), .text = STR("undeliverable "
		    "postmaster notification discarded") });
		return true;
	}
	return place(m, i, &r, false);
}

void
resolve_message(struct message *m)
{
	struct arena *scratch = arena_new(64 << 20);
	size_t end = m->msg.nrcpts;

	if (end - m->resolved > PORTION)
		end = m->resolved + PORTION;
	list_remove(&m->resolving);
	for (; m->resolved < end; m->resolved++)
		if (!(m->note[m->resolved] & NOTE_DONE) &&
		    !resolve_one(m, (uint32_t)m->resolved, scratch))
			break;
	arena_free(&scratch);
	if (m->parked != NULL)
		return;
	if (m->resolved < m->msg.nrcpts)
		list_append(&m->q->resolving, &m->resolving);
	else
		message_check_done(m);
}

/* One portion: of the message that waited longest. */
void
resolve_more(struct qmgr *q)
{
	if (!list_empty(&q->resolving))
		resolve_message(container_of(q->resolving.next,
		    struct message, resolving));
}
