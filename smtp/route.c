/*
 * route - where a delivery goes: Postfix's smtp_connect.c.
 *
 * A destination is a list of sites (nexthop, then fallback relays). A site's
 * addresses (servers.c) are tried in their order until everybody has a
 * result. A connection that rests in the pool comes first.
 */
#include "address/address.h"
#include "smtp/route.h"

#define SITES_MAX	100	/* of a nexthop and the fallback relays */

static struct str ascii_name(struct delivery *, struct str);
static void	next_site(struct delivery *);
static void	next_address(struct delivery *);
static void	over(struct delivery *);

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
	servers_cancel(t);
	connect_cancel(&t->connecting);
	ask_cancel(&t->ask);
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
	t->enough = false;
	t->lookup = (struct why){ .dsn = STR("") };
	t->mx = false;
	t->srv = STR("");
	t->mx_secure = true;
	if (was_used(t, site)) {
		next_site(d);
		return;
	}
	if (d->smtp->lmtp && str_starts(site, STR("unix:"))) {
		t->name = str_from(site, 5);
		d->final = t->site == t->nsites;
		t->ask = ask_unix(d, t->name);
		return;
	}
	if (d->smtp->lmtp && str_starts(site, STR("inet:")))
		site = str_from(site, 5);
	if (!route_parse(site, &host, &literal, &port)) {
		route_no_site(d, why_printf(d, "4.3.5", "bad destination: " STRF,
		    STRV(site)));
		return;
	}
	t->name = ascii_name(d, host);
	t->port = port.n > 0 ? smtp_port(d->smtp, port) : d->smtp->port;
	if (!literal && !d->smtp->no_dns && servers_by_service(d,
	    port.n > 0 ? port : d->smtp->conf.tcp_port))
		return;
	if (t->port == 0)
		route_no_site(d, why_printf(d, "4.3.5", "unknown service: "
		    STRF "/tcp", STRV(port)));
	else if (literal || d->smtp->lmtp || d->smtp->no_dns)
		servers_of_host(d);
	else
		servers_of_domain(d);
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
void
route_no_site(struct delivery *d, struct why why)
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
	t->enough = false;
	next_address(d);
}

/* TLS failed, and is no must. */
void
route_plain(struct delivery *d)
{
	struct session *s = d->session;
	struct destination *t = d->to;

	d->session = NULL;
	if (s->spoken) {
		t->spoken--;
		t->enough = false;
	}
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
		t->enough = true;
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

/* --- one address after another --- */

void
route_ready(struct delivery *d)
{
	next_address(d);
}

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
		    .host = a->host, .addr = ip,
		    .port = connect_port(&a->ss), .addr_key = addr_key(d, a),
		    .dest_key = t->site == 1 ? t->key : STR("") });
		return;
	}
	why = why_printf(d, errno_is_local_fault(err) ? "4.3.0" : "4.4.1",
	    "connect to " STRF "[" STRF "]:%u: %s", STRV(a->host), STRV(ip),
	    connect_port(&a->ss), strerror(err));
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
		if (t->enough || t->at == t->n || (limit > 0 && t->tried >= (size_t)limit)) {
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

	t->ask = NULL;
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
	route_no_site(d, why);
}
