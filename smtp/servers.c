/*
 * servers - a site's addresses: Postfix's smtp_addr.c.
 *
 * A site is looked up as MX and address records, or as a host where it stands
 * in [ ]. Our own addresses, and worse ones, are left out. RFC 5321 5.1, RFC
 * 7505.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "address/address.h"
#include "smtp/route.h"

#define ADDRESSES_MAX	1000	/* of a site */

static void	fail(struct delivery *, struct why);
static void	fall_back(struct delivery *, struct why, bool may);
static void	add_ip(struct delivery *, int family, const uint8_t *ip,
		    const struct mx_host *);
static void	on_srv(void *ctx, const struct dns_answer *);
static void	on_mx(void *ctx, const struct dns_answer *);
static void	on_host(void *ctx, const struct dns_answer *);
static void	on_mx_host(void *ctx, const struct dns_answer *);
static void	site_ready(struct delivery *);

struct dns_answer
smtp_filtered(struct smtp *s, const struct dns_answer *a,
    struct arena *arena)
{
	struct dns_answer out;

	dns_filter(s->dns_filter, s->lmtp ? "lmtp_dns_reply_filter" :
	    "smtp_dns_reply_filter", a, arena, &out);
	return out;
}

static struct why
lookup_failed(struct delivery *d, const struct dns_answer *a)
{
	return why_printf(d, a->filtered ? "4.7.0" : "4.4.3", STRF,
	    STRV(a->why));
}

bool
servers_by_service(struct delivery *d, struct str service)
{
	struct destination *t = d->to;

	if (match_list_domain(d->smtp->by_srv, service) != FOUND)
		return false;
	t->mx = true;
	t->srv = str_of(arena_printf(d->arena, "_" STRF "._tcp." STRF,
	    STRV(service), STRV(t->name)));
	t->query = dns_ask(d->smtp->service, DNS_SRV, t->srv, on_srv, d);
	return true;
}

void
servers_of_domain(struct delivery *d)
{
	d->to->mx = true;
	d->to->query = dns_ask(d->smtp->service, DNS_MX, d->to->name, on_mx, d);
}

void
servers_of_host(struct delivery *d)
{
	struct destination *t = d->to;
	struct smtp *s = d->smtp;
	uint8_t ip[16];
	int family = ip_parse(t->name, ip);

	if (family == 0) {
		t->open = 1;
		t->query = dns_ask_host(s->service, t->name,
		    s->families | s->lookup_flags, on_host, d);
		return;
	}
	add_ip(d, family, ip, &(struct mx_host){ .name = t->name,
	    .port = t->port });
	site_ready(d);
}

static void
take_hosts(struct delivery *d, const struct dns_answer *a)
{
	struct destination *t = d->to;

	t->hosts = arena_alloc(d->arena, (a->n + 1) * sizeof(*t->hosts));
	t->best = UINT32_MAX;
	for (size_t i = 0; i < a->n; i++) {
		const struct dns_record *r = &a->records[i];
		struct mx_host *h = &t->hosts[t->nhosts];

		if (r->data.n == 0)
			continue;
		h->d = d;
		h->name = arena_str(d->arena, r->data);
		h->preference = h->rank = r->preference;
		h->port = r->type == DNS_SRV ? r->port : t->port;
		if (h->preference < t->best)
			t->best = h->preference;
		t->nhosts++;
	}
}

static void
ask_hosts(struct delivery *d)
{
	struct destination *t = d->to;
	struct smtp *s = d->smtp;

	t->open = t->nhosts;
	for (size_t i = 0; i < t->nhosts; i++)
		t->hosts[i].query = dns_ask_host(s->service, t->hosts[i].name,
		    s->families | s->lookup_flags, on_mx_host, &t->hosts[i]);
	if (t->nhosts == 0)
		site_ready(d);
}

static void
on_mx(void *ctx, const struct dns_answer *all)
{
	struct delivery *d = ctx;
	struct destination *t = d->to;
	struct smtp *s = d->smtp;
	const struct dns_answer few = smtp_filtered(d->smtp, all,
	    d->arena), *a = &few;

	t->query = NULL;
	t->mx_secure = a->secure;
	if (a->found == NONE || (a->found == RETRY && !a->filtered &&
	    s->conf.ignore_mx_lookup_error)) {
		servers_of_host(d);	/* RFC 5321 5.1: an implicit MX */
		return;
	}
	if (a->found == RETRY) {
		fail(d, lookup_failed(d, a));
		return;
	}
	if (dns_null_mx(a)) {
		fail(d, why_printf(d, "5.1.0", "Domain " STRF
		    " does not accept mail (nullMX)", STRV(t->name)));
		return;
	}
	take_hosts(d, a);
	ask_hosts(d);
}

static void
add_ip(struct delivery *d, int family, const uint8_t *ip,
    const struct mx_host *h)
{
	struct destination *t = d->to;
	struct address *a;
	unsigned want = family == AF_INET ? DNS_V4 : DNS_V6;

	if (t->n == ADDRESSES_MAX || !(d->smtp->families & want))
		return;
	if (t->v == NULL)
		t->v = arena_alloc(d->arena, ADDRESSES_MAX * sizeof(*t->v));
	a = &t->v[t->n++];
	memset(a, 0, sizeof(*a));
	a->host = h->name;
	a->preference = h->preference;
	a->rank = h->rank;
	if (family == AF_INET) {
		struct sockaddr_in in = { .sin_family = AF_INET,
			.sin_port = htons((uint16_t)h->port) };

		memcpy(&in.sin_addr, ip, 4);
		memcpy(&a->ss, &in, sizeof(in));
	} else {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
			.sin6_port = htons((uint16_t)h->port) };

		memcpy(&in6.sin6_addr, ip, 16);
		memcpy(&a->ss, &in6, sizeof(in6));
	}
}

static void
take_answer(struct delivery *d, const struct dns_answer *all,
    struct mx_host h)
{
	const struct dns_answer few = smtp_filtered(d->smtp, all,
	    d->arena), *a = &few;
	struct destination *t = d->to;
	size_t before;

	if (d->smtp->conf.cname_overrides_servername && a->name.n > 0)
		h.name = arena_str(d->arena, a->name);
	for (size_t i = 0; a->found == FOUND && i < a->n; i++) {
		const struct dns_record *r = &a->records[i];
		uint8_t ip[16] = { 0 };

		memcpy(ip, r->data.p, r->data.n < 16 ? r->data.n : 16);
		before = t->n;
		add_ip(d, r->type == DNS_A ? AF_INET : AF_INET6, ip, &h);
		if (t->n == before)
			continue;
		t->v[before].secure = a->secure;
		t->v[before].canonical = arena_str(d->arena, a->secure &&
		    a->name.n > 0 ? a->name : h.name);
	}
	/* A failure that may pass wins over one that will not. */
	if (a->found == RETRY)
		t->lookup = lookup_failed(d, a);
	else if (a->found == NONE && t->lookup.dsn.n == 0)
		t->lookup = why_printf(d, "5.4.4", STRF, STRV(a->why));
	if (--t->open == 0)
		site_ready(d);
}

static void
on_host(void *ctx, const struct dns_answer *a)
{
	struct delivery *d = ctx;

	d->to->query = NULL;
	take_answer(d, a, (struct mx_host){ .name = d->to->name,
	    .port = d->to->port });
}

static void
on_mx_host(void *ctx, const struct dns_answer *a)
{
	struct mx_host *h = ctx;

	h->query = NULL;
	take_answer(h->d, a, *h);
}

/* --- a site's addresses --- */

static unsigned
pick(void *ctx, unsigned below)
{
	uint32_t r;

	(void)ctx;
	random_bytes(&r, sizeof(r));
	return r % below;
}

/* SRV records in the order of RFC 2782. */
static void
rank_hosts(struct delivery *d, const struct dns_answer *a)
{
	struct destination *t = d->to;
	struct order_host *v = arena_alloc(d->arena,
	    (t->nhosts + 1) * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		if (a->records[i].data.n > 0) {
			v[n] = (struct order_host){
				a->records[i].preference,
				a->records[i].weight, n };
			n++;
		}
	order_hosts(v, n, &(struct order){ .random = pick });
	for (size_t i = 0; i < n; i++)
		t->hosts[v[i].at].rank = (unsigned)i;
}

static void
on_srv(void *ctx, const struct dns_answer *all)
{
	struct delivery *d = ctx;
	struct destination *t = d->to;
	const struct dns_answer few = smtp_filtered(d->smtp, all,
	    d->arena), *a = &few;

	t->query = NULL;
	t->mx_secure = a->secure;
	if (a->found == RETRY)
		fall_back(d, lookup_failed(d, a), !a->filtered &&
		    d->smtp->conf.ignore_srv_lookup_error);
	else if (a->found == NONE)
		fail(d, why_printf(d, "5.4.4", STRF, STRV(a->why)));
	else if (a->n == 1 && a->records[0].data.n == 0)
		fail(d, why_printf(d, "5.1.0", "Domain " STRF
		    " does not support SRV requests", STRV(t->srv)));
	else {
		take_hosts(d, a);
		rank_hosts(d, a);
		ask_hosts(d);
	}
}

/* No addresses: another site, or another way to find this one's. */
static void
fail(struct delivery *d, struct why why)
{
	fall_back(d, why, false);
}

static void
fall_back(struct delivery *d, struct why why, bool may)
{
	struct destination *t = d->to;
	struct smtp *s = d->smtp;

	if (t->srv.n == 0 || !(may || s->conf.allow_srv_lookup_fallback)) {
		route_no_site(d, why);
		return;
	}
	log_info("skipping SRV lookup for " STRF ": " STRF, STRV(t->srv),
	    STRV(why.text));
	t->srv = STR("");
	t->n = t->nhosts = 0;
	t->lookup = (struct why){ .dsn = STR("") };
	t->mx = false;
	t->mx_secure = true;
	if (t->port == 0)
		route_no_site(d, why);
	else if (s->lmtp)
		servers_of_host(d);
	else
		servers_of_domain(d);
}

static bool
is_own(struct smtp *s, const struct sockaddr_storage *ss)
{
	char text[64], literal[80];
	struct str ip = connect_text(ss, text);

	snprintf(literal, sizeof(literal), "[%s" STRF "]",
	    ss->ss_family == AF_INET6 ? "ipv6:" : "", STRV(ip));
	return match_list_domain(s->own, str_of(literal)) == FOUND;
}

/* What listens on our addresses at another port is another service. */
static bool
may_be_own(const struct delivery *d)
{
	return !d->smtp->lmtp && (d->to->port == 25 ||
	    d->to->port == d->smtp->port);
}

/* Addresses worse than our own are not for us to use (RFC 5321 5.1). */
static bool
cut_at_own(struct delivery *d, unsigned *first)
{
	struct destination *t = d->to;
	unsigned own = UINT32_MAX;
	size_t n = 0;

	*first = UINT32_MAX;
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].preference < *first)
			*first = t->v[i].preference;
		if (t->v[i].preference < own && is_own(d->smtp, &t->v[i].ss))
			own = t->v[i].preference;
	}
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].preference < own)
			t->v[n++] = t->v[i];
	t->n = n;
	return own != UINT32_MAX;
}

static void
site_ready(struct delivery *d)
{
	struct destination *t = d->to;
	struct smtp_conf *c = &d->smtp->conf;
	struct str prefer = c->address_preference;
	struct order o = { .randomize = c->randomize_addresses,
		.balance = c->balance_inet_protocols,
		.limit = (size_t)c->mx_address_limit, .random = pick,
		.first = str_eq_nocase(prefer, STR("ipv4")) ? AF_INET :
		    str_eq_nocase(prefer, STR("ipv6")) ? AF_INET6 : 0 };
	struct str what = t->srv.n > 0 ? t->srv : t->name;
	unsigned first;

	if (t->n == 0) {
		if (t->srv.n > 0)
			log_warn("no SRV host for " STRF " has a valid "
			    "address record", STRV(t->srv));
		if (t->lookup.dsn.n == 0)
			t->lookup = why_printf(d, "5.4.4", "Host or domain "
			    "name not found. Name service error for name="
			    STRF ": no usable address", STRV(t->name));
		if (t->mx && t->nhosts > 0 && c->defer_if_no_mx_address_found)
			t->lookup.dsn = STR("4.4.4");
		fail(d, t->lookup);
		return;
	}
	if (t->mx && may_be_own(d) && cut_at_own(d, &first) && t->n == 0) {
		fail(d, t->nhosts > 0 && t->best != first ?
		    why_printf(d, "4.4.4", "unable to find primary relay for "
		    STRF, STRV(what)) : why_printf(d, "5.4.6", "mail for "
		    STRF " loops back to myself", STRV(what)));
		return;
	}
	order_addresses(t->v, t->n, &o);
	route_ready(d);
}

void
servers_cancel(struct destination *t)
{
	dns_cancel(&t->query);
	for (size_t i = 0; i < t->nhosts; i++)
		dns_cancel(&t->hosts[i].query);
}
