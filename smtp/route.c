/*
 * route - where a delivery goes: Postfix's smtp_connect.c and smtp_addr.c.
 *
 * A destination is a list of sites (nexthop, then fallback relays). A site is
 * looked up as MX and address records, or as a host where it stands in [ ];
 * its addresses are tried in their order until everybody has a result. A
 * connection that rests in the pool comes first. RFC 5321 5.1, RFC 7505.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "address/address.h"
#include "smtp/smtp.h"

#define SITES_MAX	100	/* of a nexthop and the fallback relays */
#define ADDRESSES_MAX	1000	/* of a site */

struct mx_host {
	struct delivery	 *d;
	struct dns_query *query;
	struct str	  name;
	unsigned	  preference;
};

struct destination {
	struct str	*sites;
	size_t		 nsites, own_sites, site;	/* site: the next */
	/* Of the site under way: */
	struct str	 name, key;	/* its host or domain */
	unsigned	 port, best;	/* best: lowest MX preference */
	bool		 mx, mx_secure;
	bool		 plain;		/* the next connection is without TLS */
	struct dns_query *query;
	struct mx_host	*hosts;
	size_t		 nhosts, open;	/* open: lookups under way */
	struct why	 lookup;	/* of a host without addresses */
	struct address	*v;
	size_t		 n, at, cap, tried, spoken;
	struct connecting *connecting;
	struct dial	*dial;		/* dial.c */
	/* Reused connections to these failed somebody: not again. */
	struct str	*used;
	size_t		 nused;
};

static struct str ascii_name(struct delivery *, struct str);
static void	next_site(struct delivery *);
static void	next_address(struct delivery *);
static void	over(struct delivery *);
static void	look_up_mx(struct delivery *);
static void	add_ip(struct delivery *, int family, const uint8_t *ip,
		    struct str host, unsigned preference);
static void	look_up_host(struct delivery *);
static void	on_mx(void *ctx, const struct dns_answer *);
static void	on_host(void *ctx, const struct dns_answer *);
static void	on_mx_host(void *ctx, const struct dns_answer *);
static void	site_ready(struct delivery *);
static void	site_failed(struct delivery *, struct why);

/* --- sites --- */

static void
add_sites(struct delivery *d, struct str list)
{
	struct destination *t = d->to;
	struct str site;

	while (t->nsites < SITES_MAX && str_token(&list, ", \t\r\n", &site))
		t->sites[t->nsites++] = site;
}

void
route_open(struct delivery *d)
{
	struct destination *t = arena_alloc(d->arena, sizeof(*t));

	d->to = t;
	t->sites = arena_alloc(d->arena, SITES_MAX * sizeof(*t->sites));
	t->used = arena_alloc(d->arena, SITES_MAX * sizeof(*t->used));
	add_sites(d, d->msg.nexthop);
	t->own_sites = t->nsites;
	add_sites(d, d->smtp->conf.fallback_relay);
	if (t->nsites > 0)
		t->key = t->sites[0];
}

void
route_begin(struct delivery *d)
{
	struct session *idle;

	route_open(d);
	idle = pool_take(d->smtp, d->to->key, false);
	if (idle == NULL) {
		next_site(d);
		return;
	}
	d->session = idle;
	idle->d = d;
	transaction_begin(idle);
}

void
route_free(struct delivery *d)
{
	struct destination *t = d->to;

	if (t == NULL)
		return;
	dns_cancel(&t->query);
	for (size_t i = 0; i < t->nhosts; i++)
		dns_cancel(&t->hosts[i].query);
	connect_cancel(&t->connecting);
	dial_cancel(&t->dial);
}

bool
route_parse(struct str site, struct str *host, bool *literal,
    struct str *port)
{
	size_t end;

	*literal = site.n > 0 && site.p[0] == '[';
	*port = STR("");
	if (!*literal) {
		end = str_rchr(site, ':');
		*host = str_first(site, end);
		*port = str_from(site, end + 1);
		return host->n > 0 && str_chr(*host, ':') == host->n &&
		    (end == site.n || port->n > 0);
	}
	end = str_chr(site, ']');
	if (end == site.n || end < 2)
		return false;
	*host = (struct str){ site.p + 1, end - 1 };
	if (str_starts_nocase(*host, STR("ipv6:")))
		*host = str_from(*host, 5);
	site = str_from(site, end + 1);
	if (site.n > 0 && (site.p[0] != ':' || site.n == 1))
		return false;
	*port = str_from(site, 1);
	return true;
}

static bool
was_used(const struct destination *t, struct str key)
{
	for (size_t i = 0; i < t->nused; i++)
		if (str_eq(t->used[i], key))
			return true;
	return false;
}

static void
next_site(struct delivery *d)
{
	struct destination *t = d->to;
	struct str site, port, host;
	bool literal;

	if (t->site == t->nsites) {
		over(d);
		return;
	}
	site = t->sites[t->site++];
	t->n = t->at = t->tried = t->spoken = t->nhosts = 0;
	t->lookup = (struct why){ .dsn = STR("") };
	t->mx = false;
	t->mx_secure = true;
	if (was_used(t, site)) {
		next_site(d);
		return;
	}
	if (d->smtp->lmtp && str_starts(site, STR("unix:"))) {
		t->name = str_from(site, 5);
		d->final = t->site == t->nsites;
		t->dial = dial_start(d, t->name);
		return;
	}
	if (d->smtp->lmtp && str_starts(site, STR("inet:")))
		site = str_from(site, 5);
	if (!route_parse(site, &host, &literal, &port)) {
		site_failed(d, why_printf(d, "4.3.5", "bad destination: " STRF,
		    STRV(site)));
		return;
	}
	t->name = ascii_name(d, host);
	t->port = port.n > 0 ? smtp_port(d->smtp, port) : d->smtp->port;
	if (t->port == 0)
		site_failed(d, why_printf(d, "4.3.5", "unknown service: "
		    STRF "/tcp", STRV(port)));
	else if (literal || d->smtp->lmtp || d->smtp->no_dns)
		look_up_host(d);
	else
		look_up_mx(d);
}

/* The DNS and certificates have A-labels (RFC 5890 2.3.2.1). */
static struct str
ascii_name(struct delivery *d, struct str name)
{
	struct buf ascii;
	size_t i = 0;

	while (i < name.n && (unsigned char)name.p[i] < 0x80)
		i++;
	if (i == name.n)
		return name;
	buf_init(&ascii, DNS_NAME_MAX);
	if (address_domain_ascii(name, &ascii) && !ascii.full)
		name = arena_str(d->arena, buf_view(&ascii));
	buf_free(&ascii);
	return name;
}

/* A site without addresses: the next, or the end. */
static void
site_failed(struct delivery *d, struct why why)
{
	bool loop = str_eq(why.dsn, STR("5.4.6"));

	why.down = true;
	for (size_t i = 0; i < d->n; i++)
		if (d->rcpts[i].mark == RCPT_LEFT)
			d->rcpts[i].why = why;
	/* Another host would only make a loop worse. */
	if (loop)
		over(d);
	else
		next_site(d);
}

/*
 * No server is left. What looks like a mistake of our own configuration is
 * no reason to return mail.
 */
static void
over(struct delivery *d)
{
	struct destination *t = d->to;
	struct why none = why_printf(d, "4.3.0",
	    "server unavailable or unable to receive mail");
	const char *wrong = NULL;

	d->final = true;
	if (t->site > t->own_sites)
		wrong = "smtp_fallback_relay";
	else if (str_eq_nocase(d->msg.nexthop, d->smtp->relayhost))
		wrong = "relayhost";
	for (size_t i = 0; i < d->n; i++) {
		struct recipient *r = &d->rcpts[i];
		struct why why = r->why.dsn.n > 0 ? r->why : none;

		if (r->mark != RCPT_LEFT)
			continue;
		if (!why_is_soft(&why) && why.reply.n == 0 && wrong != NULL) {
			log_warn("%s configuration problem", wrong);
			why.dsn = STR("4.3.5");
		}
		trouble_rcpt(d, r, &why);
	}
	delivery_end(d);
}

void
route_next(struct delivery *d)
{
	struct session *s = d->session;
	struct destination *t = d->to;

	if (s != NULL) {
		if (s->reused && s->heard && t->nused < SITES_MAX)
			t->used[t->nused++] = arena_str(d->arena, s->addr_key);
		d->session = NULL;
		session_release(s);
	}
	d->connected_us = 0;
	if (delivery_take_kept(d) == 0)
		delivery_end(d);
	else if (t->site == 0)
		next_site(d);		/* after one from the pool */
	else
		next_address(d);
}

/* A connection from the pool was dead: as if it had not been there. */
void
route_again(struct delivery *d)
{
	struct destination *t = d->to;

	d->session = NULL;
	if (t->site == 0) {
		next_site(d);
		return;
	}
	t->at--;
	t->tried--;
	t->spoken--;
	next_address(d);
}

/* TLS failed, and is no must. */
void
route_plain(struct delivery *d)
{
	struct session *s = d->session;
	struct destination *t = d->to;

	d->session = NULL;
	session_release(s);
	t->at--;
	t->tried--;
	t->plain = true;
	next_address(d);
}

struct str
route_site(const struct delivery *d)
{
	const struct destination *t = d->to;
	struct str site = t->site == 0 ? t->key : t->sites[t->site - 1];

	if (d->smtp->lmtp && (str_starts(site, STR("inet:")) ||
	    str_starts(site, STR("unix:"))))
		site = str_from(site, 5);
	return site;
}

struct str
route_domain(const struct delivery *d)
{
	return d->to->name;
}

struct str
route_canonical(const struct delivery *d)
{
	return d->to->v[d->to->at - 1].canonical;
}

bool
route_secure(const struct delivery *d, bool *mx_secure)
{
	const struct destination *t = d->to;

	*mx_secure = !t->mx || t->mx_secure;
	return t->n > 0 && t->at > 0 && t->v[t->at - 1].secure;
}

void
route_spoken(struct delivery *d)
{
	struct destination *t = d->to;
	int64_t limit = d->smtp->conf.mx_session_limit;

	t->spoken++;
	if (limit > 0 && t->spoken >= (size_t)limit) {
		t->at = t->n;
		d->final = t->site == t->nsites;
	}
}

bool
route_may_loop(const struct delivery *d)
{
	return d->to->site > 0 && !d->smtp->lmtp && d->to->port == 25;
}

bool
route_is_best(const struct delivery *d)
{
	const struct destination *t = d->to;

	return !t->mx || t->nhosts == 0 || t->at == 0 ||
	    t->v[t->at - 1].preference == t->best;
}

/* --- lookups --- */

/* What smtp_dns_reply_filter leaves of it. */
static struct dns_answer
filtered(struct delivery *d, const struct dns_answer *a)
{
	struct dns_answer out;

	dns_filter(d->smtp->dns_filter, a, d->arena, &out);
	return out;
}

static struct why
lookup_failed(struct delivery *d, const struct dns_answer *a)
{
	return why_printf(d, a->filtered ? "4.7.0" : "4.4.3", STRF,
	    STRV(a->why));
}

static void
look_up_mx(struct delivery *d)
{
	d->to->mx = true;
	d->to->query = dns_ask(d->smtp->service, DNS_MX, d->to->name, on_mx, d);
}

static void
look_up_host(struct delivery *d)
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
	add_ip(d, family, ip, t->name, 0);
	site_ready(d);
}

static void
on_mx(void *ctx, const struct dns_answer *all)
{
	struct delivery *d = ctx;
	struct destination *t = d->to;
	struct smtp *s = d->smtp;
	const struct dns_answer few = filtered(d, all), *a = &few;

	t->query = NULL;
	t->mx_secure = a->secure;
	if (a->found == NONE || (a->found == RETRY && !a->filtered &&
	    s->conf.ignore_mx_lookup_error)) {
		look_up_host(d);	/* RFC 5321 5.1: an implicit MX */
		return;
	}
	if (a->found == RETRY) {
		site_failed(d, lookup_failed(d, a));
		return;
	}
	/* RFC 7505 3: one MX, of the root. */
	if (a->n == 1 && a->records[0].data.n == 0) {
		site_failed(d, why_printf(d, "5.1.0", "Domain " STRF
		    " does not accept mail (nullMX)", STRV(t->name)));
		return;
	}
	t->hosts = arena_alloc(d->arena, (a->n + 1) * sizeof(*t->hosts));
	t->best = UINT32_MAX;
	for (size_t i = 0; i < a->n; i++) {
		struct mx_host *h = &t->hosts[t->nhosts];

		if (a->records[i].data.n == 0)
			continue;
		h->d = d;
		h->name = arena_str(d->arena, a->records[i].data);
		h->preference = a->records[i].preference;
		if (h->preference < t->best)
			t->best = h->preference;
		t->nhosts++;
	}
	t->open = t->nhosts;
	for (size_t i = 0; i < t->nhosts; i++)
		t->hosts[i].query = dns_ask_host(s->service, t->hosts[i].name,
		    s->families | s->lookup_flags, on_mx_host, &t->hosts[i]);
	if (t->nhosts == 0)
		site_ready(d);
}

static void
add_ip(struct delivery *d, int family, const uint8_t *ip,
    struct str host, unsigned preference)
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
	a->host = host;
	a->preference = preference;
	if (family == AF_INET) {
		struct sockaddr_in in = { .sin_family = AF_INET,
			.sin_port = htons((uint16_t)t->port) };

		memcpy(&in.sin_addr, ip, 4);
		memcpy(&a->ss, &in, sizeof(in));
	} else {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
			.sin6_port = htons((uint16_t)t->port) };

		memcpy(&in6.sin6_addr, ip, 16);
		memcpy(&a->ss, &in6, sizeof(in6));
	}
}

static void
take_answer(struct delivery *d, const struct dns_answer *all, struct str host,
    unsigned preference)
{
	const struct dns_answer few = filtered(d, all), *a = &few;
	struct destination *t = d->to;
	size_t before;

	if (d->smtp->conf.cname_overrides_servername && a->name.n > 0)
		host = arena_str(d->arena, a->name);
	for (size_t i = 0; a->found == FOUND && i < a->n; i++) {
		const struct dns_record *r = &a->records[i];
		uint8_t ip[16] = { 0 };

		memcpy(ip, r->data.p, r->data.n < 16 ? r->data.n : 16);
		before = t->n;
		add_ip(d, r->type == DNS_A ? AF_INET : AF_INET6, ip,
		    host, preference);
		if (t->n == before)
			continue;
		t->v[before].secure = a->secure;
		t->v[before].canonical = arena_str(d->arena, a->secure &&
		    a->name.n > 0 ? a->name : host);
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
	take_answer(d, a, d->to->name, 0);
}

static void
on_mx_host(void *ctx, const struct dns_answer *a)
{
	struct mx_host *h = ctx;

	h->query = NULL;
	take_answer(h->d, a, h->name, h->preference);
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

static bool
is_own(struct smtp *s, const struct sockaddr_storage *ss)
{
	char text[64], literal[80];
	struct str ip = connect_text(ss, text);

	snprintf(literal, sizeof(literal), "[%s" STRF "]",
	    ss->ss_family == AF_INET6 ? "ipv6:" : "", STRV(ip));
	return match_list_domain(s->own, str_of(literal)) == FOUND;
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
	unsigned first;

	if (t->n == 0) {
		if (t->lookup.dsn.n == 0)
			t->lookup = why_printf(d, "5.4.4", "Host or domain "
			    "name not found. Name service error for name="
			    STRF ": no usable address", STRV(t->name));
		if (t->mx && t->nhosts > 0 && c->defer_if_no_mx_address_found)
			t->lookup.dsn = STR("4.4.4");
		site_failed(d, t->lookup);
		return;
	}
	if (t->mx && cut_at_own(d, &first) && t->n == 0) {
		site_failed(d, t->nhosts > 0 && t->best != first ?
		    why_printf(d, "4.4.4", "unable to find primary relay for "
		    STRF, STRV(t->name)) : why_printf(d, "5.4.6", "mail for "
		    STRF " loops back to myself", STRV(t->name)));
		return;
	}
	order_addresses(t->v, t->n, &o);
	next_address(d);
}

/* --- one address after another --- */

static struct str
addr_key(struct delivery *d, const struct address *a)
{
	char text[64];

	return str_of(arena_printf(d->arena, STRF "\n" STRF ":%u",
	    STRV(a->host), STRV(connect_text(&a->ss, text)),
	    connect_port(&a->ss)));
}

static void
on_connected(void *ctx, int fd, int err)
{
	struct delivery *d = ctx;
	struct destination *t = d->to;
	const struct address *a = &t->v[t->at - 1];
	char text[64];
	struct str ip = connect_text(&a->ss, text);
	bool plain = t->plain;
	struct why why;

	t->connecting = NULL;
	t->plain = false;
	if (err == 0) {
		session_new(d, &(struct server){ .fd = fd, .plain = plain,
		    .host = a->host, .addr = ip, .port = t->port, .addr_key = addr_key(d, a),
		    .dest_key = t->site == 1 ? t->key : STR("") });
		return;
	}
	why = why_printf(d, errno_is_local_fault(err) ? "4.3.0" : "4.4.1",
	    "connect to " STRF "[" STRF "]:%u: %s", STRV(a->host), STRV(ip),
	    t->port, strerror(err));
	why.down = true;
	log_info(STRF, STRV(why.text));
	for (size_t i = 0; i < d->n; i++)
		if (d->rcpts[i].mark == RCPT_LEFT)
			d->rcpts[i].why = why;
	next_address(d);
}

static void
next_address(struct delivery *d)
{
	struct destination *t = d->to;
	int64_t limit = d->smtp->conf.mx_address_limit;
	struct session *idle;
	struct address *a;
	struct str key;

	for (;;) {
		if (t->at == t->n || (limit > 0 && t->tried >= (size_t)limit)) {
			next_site(d);
			return;
		}
		a = &t->v[t->at++];
		t->tried++;
		key = addr_key(d, a);
		if (!was_used(t, key))
			break;
	}
	d->final = t->site == t->nsites && (t->at == t->n ||
	    (limit > 0 && t->tried >= (size_t)limit));
	idle = pool_take(d->smtp, key, true);
	if (idle == NULL) {
		t->connecting = connect_start(d->smtp, &a->ss, on_connected, d);
		return;
	}
	d->session = idle;
	idle->d = d;
	route_spoken(d);
	transaction_begin(idle);
}

/* lookup made the connection to a UNIX socket, or could not. */
void
route_unix_done(struct delivery *d, int fd, int err)
{
	struct destination *t = d->to;
	struct why why;

	t->dial = NULL;
	if (err == 0) {
		session_new(d, &(struct server){ .fd = fd,
		    .host = d->smtp->myhostname, .addr = t->name,
		    .addr_key = t->sites[t->site - 1],
		    .dest_key = t->site == 1 ? t->key : STR("") });
		return;
	}
	why = why_printf(d, errno_is_local_fault(err) ? "4.3.0" : "4.4.1",
	    "connect to " STRF "[" STRF "]: %s", STRV(d->smtp->myhostname),
	    STRV(t->name), strerror(err));
	log_info(STRF, STRV(why.text));
	site_failed(d, why);
}
