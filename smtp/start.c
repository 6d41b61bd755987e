/*
 * start - what main.cf says, read while files can be read; then the service.
 *
 * Runs as postern-net in an empty root, and may connect to other hosts. It
 * asks resolve for addresses and lookup for tables.
 */
#include <netinet/in.h>

#include "address/address.h"
#include "route/route.h"
#include "smtp/smtp.h"

static void	on_check(void *ctx, struct service *, struct problems *);
static void	on_start(void *ctx, struct service *);
static void	on_talk(void *ctx, struct talk *, enum msg);
static void	on_solo(void *ctx, struct channel *, enum msg, const void *);
static void	on_stop(void *ctx);
static void	read_common(struct smtp *, struct conf *);
static void	read_lookups(struct smtp *, struct problems *);
static void	open_tables(struct smtp *, struct conf *, struct problems *);
static void	read_bind(struct smtp *, struct str text, int family,
		    struct problems *);

void
smtp_define(struct smtp *s, enum role role, struct service_def *def)
{
	s->lmtp = role == ROLE_LMTP;
	*def = (struct service_def){
		.role = role,
		.params = s->lmtp ? lmtp_params : smtp_params,
		.nparams = s->lmtp ? lmtp_nparams : smtp_nparams,
		.conf = &s->conf, .ctx = s, .check = on_check,
		.start = on_start, .on_talk = on_talk, .on_solo = on_solo,
		.on_stop = on_stop,
	};
}

int
smtp_main(enum role role, int argc, char **argv)
{
	struct smtp s = { 0 };
	struct service_def def;

	smtp_define(&s, role, &def);
	return service_main(&def, argc, argv);
}

/* A problem of one of our parameters, under the name of this program. */
static void
problem(struct smtp *s, struct problems *p, const char *what, struct str text)
{
	problem_add(p, true, NULL, 0, "%s_%s: " STRF,
	    s->lmtp ? "lmtp" : "smtp", what, STRV(text));
}

static struct match_list *
open_list(struct smtp *s, struct str list, const char *name, unsigned flags,
    struct problems *p)
{
	struct conf *conf = service_conf(s->service);
	struct match_list *m;
	struct buf why;

	buf_init(&why, 4096);
	m = match_list_open(list, conf_dir(conf),
	    flags | MATCH_FIXED, &why);
	if (why.n > 0)
		problem_add(p, service_checks(s->service), NULL, 0, "%s: %s",
		    name, buf_cstr(&why));
	buf_free(&why);
	return m;
}

/* services(5) cannot be read any more: known_tcp_ports names them. */
unsigned
smtp_port(const struct smtp *s, struct str name)
{
	struct str rest = s->ports, item, word;
	unsigned port = 0;
	uint64_t n;

	if (str_number(name, &n))
		return n > 0 && n < 65536 ? (unsigned)n : 0;
	while (conf_list_next(&rest, &item)) {
		size_t eq = str_rchr(item, '=');
		struct str names = str_first(item, eq);

		while (str_token(&names, "=", &word))
			if (str_eq_nocase(word, name) &&
			    str_number(str_from(item, eq + 1), &n) && n < 65536)
				port = (unsigned)n;
	}
	return port;
}

static void
on_check(void *ctx, struct service *service, struct problems *p)
{
	struct smtp *s = ctx;
	struct conf *conf = service_conf(service);
	struct str unknown;
	struct buf own;

	s->service = service;
	s->requests = (struct requests){ delivery_new, s };
	list_init(&s->deliveries);
	list_init(&s->sessions);
	read_common(s, conf);
	s->ports = conf_get(conf, "known_tcp_ports");
	s->port = smtp_port(s, s->conf.tcp_port);
	if (s->port == 0)
		problem(s, p, "tcp_port: unknown port", s->conf.tcp_port);
	read_lookups(s, p);
	starttls_open(s, p);
	read_bind(s, s->conf.bind_address, AF_INET, p);
	read_bind(s, s->conf.bind_address6, AF_INET6, p);
	s->discard = esmtp_offer_bits(s->conf.discard_keywords, &unknown);
	if (unknown.n > 0)
		problem(s, p, s->lmtp ? "discard_lhlo_keywords: unknown" :
		    "discard_ehlo_keywords: unknown", unknown);
	login_open(s, p);
	s->by_srv = open_list(s, s->conf.use_srv_lookup, "use_srv_lookup",
	    MATCH_WHOLE, p);
	s->cached = open_list(s, s->conf.connection_cache_destinations,
	    "connection_cache_destinations", MATCH_WHOLE, p);
	s->debug_peers = open_list(s, conf_get(conf, "debug_peer_list"),
	    "debug_peer_list", match_parent(conf, "debug_peer_list"), p);
	open_tables(s, conf, p);
	buf_init(&own, 1 << 20);
	own_literals(conf, &own, p);
	s->own = open_list(s, buf_view(&own), "inet_interfaces", MATCH_WHOLE,
	    p);
	buf_free(&own);
}

static struct tables *
open_table(struct smtp *s, struct str list, const char *name,
    struct problems *p)
{
	struct tables *ts;
	struct buf why;

	buf_init(&why, 4096);
	ts = tables_open(list, conf_dir(service_conf(s->service)),
	    TABLE_FOLD | TABLE_FIXED, &why);
	if (why.n > 0)
		problem_add(p, service_checks(s->service), NULL, 0,
		    "%s_%s: %s", s->lmtp ? "lmtp" : "smtp", name,
		    buf_cstr(&why));
	buf_free(&why);
	return ts;
}

/* What can be asked for ever after: tables stay as they are now. */
static void
open_tables(struct smtp *s, struct conf *conf, struct problems *p)
{
	static const struct checks_names smtp_names = { {
		"smtp_header_checks", "smtp_mime_header_checks",
		"smtp_nested_header_checks", "smtp_body_checks" } };
	static const struct checks_names lmtp_names = { {
		"lmtp_header_checks", "lmtp_mime_header_checks",
		"lmtp_nested_header_checks", "lmtp_body_checks" } };
	struct str rest = conf_get(conf, "propagate_unmatched_extensions");
	struct str item;

	s->generic = open_table(s, s->conf.generic_maps, "generic_maps", p);
	s->reply_filter = open_table(s, s->conf.reply_filter, "reply_filter",
	    p);
	s->dns_filter = open_table(s, s->conf.dns_reply_filter,
	    "dns_reply_filter", p);
	s->status_filter = open_table(s, s->conf.delivery_status_filter,
	    "delivery_status_filter", p);
	while (conf_list_next(&rest, &item))
		s->generic_ext |= str_eq_nocase(item, STR("generic"));
	s->find.delimiter = conf_get(conf, "recipient_delimiter");
	s->find.myorigin = conf_get(conf, "myorigin");
	s->find.local = open_list(s, conf_get(conf, "mydestination"),
	    "mydestination", MATCH_WHOLE, p);
	s->checks = checks_open(conf, s->lmtp ? &lmtp_names : &smtp_names,
	    CHECKS_OF_CLIENT | CHECKS_FIXED, p);
}

static void
read_common(struct smtp *s, struct conf *conf)
{
	struct str rest = conf_get(conf, "inet_protocols"), item;

	s->myhostname = conf_get(conf, "myhostname");
	s->relayhost = conf_get(conf, "relayhost");
	s->soft_bounce = conf_bool(conf, "soft_bounce");
	s->double_bounce = address_local(conf_get(conf,
	    "double_bounce_sender"));
	script_configure(s, conf);
	s->best_mx_passes = conf_get(conf, "best_mx_transport").n > 0;
	if (s->conf.connection_cache_time_limit >
	    s->conf.connection_cache_ttl_limit)
		s->conf.connection_cache_time_limit =
		    s->conf.connection_cache_ttl_limit;
	s->window = conf_number(conf, "tcp_windowsize");
	s->tls_optional = conf_bool(conf, "tls_required_enable");
	s->delay_decimals = (unsigned)conf_number(conf,
	    "delay_logging_resolution_limit");
	while (conf_list_next(&rest, &item)) {
		if (!str_eq_nocase(item, STR("ipv6")))
			s->families |= DNS_V4;
		if (!str_eq_nocase(item, STR("ipv4")))
			s->families |= DNS_V6;
	}
	if (s->families == 0)
		s->families = DNS_V4 | DNS_V6;
}

static void
read_lookups(struct smtp *s, struct problems *p)
{
	static const struct str prefer[] = { STR("any"), STR("ipv4"),
		STR("ipv6") };
	struct str rest = s->conf.host_lookup, item, level;
	unsigned dns = 0, native = 0, n = 0;

	while (conf_list_next(&rest, &item)) {
		n++;
		if (str_eq_nocase(item, STR("dns")))
			dns = n;
		else if (str_eq_nocase(item, STR("native")))
			native = n;
		else
			problem(s, p, "host_lookup: unknown word", item);
	}
	level = s->conf.dns_support_level;
	s->no_dns = level.n == 0 ? s->conf.disable_dns_lookups :
	    str_eq_nocase(level, STR("disabled"));
	if (level.n > 0 && !s->no_dns && !str_eq_nocase(level, STR("enabled")) &&
	    !str_eq_nocase(level, STR("dnssec")))
		problem(s, p, "dns_support_level: unknown level", level);
	if (!str_eq_nocase(s->conf.address_verify_target, STR("rcpt")) &&
	    !str_eq_nocase(s->conf.address_verify_target, STR("data")))
		problem(s, p, "address_verify_target: say rcpt or data, not",
		    s->conf.address_verify_target);
	/* native asks what the system would: its hosts file, then DNS. */
	if (s->no_dns)
		s->lookup_flags = DNS_HOSTS_ONLY;
	else if (native > 0 && (dns == 0 || native < dns))
		s->lookup_flags = DNS_HOSTS_FIRST;
	else if (native > 0)
		s->lookup_flags = DNS_HOSTS_LAST;
	for (size_t i = 0; i < nitems(prefer); i++)
		if (str_eq_nocase(s->conf.address_preference, prefer[i]))
			return;
	problem(s, p, "address_preference: unknown word",
	    s->conf.address_preference);
}

static void
read_bind(struct smtp *s, struct str text, int family, struct problems *p)
{
	uint8_t ip[16];

	if (text.n == 0)
		return;
	if (text.p[0] == '[' && text.p[text.n - 1] == ']')
		text = (struct str){ text.p + 1, text.n - 2 };
	if (ip_parse(text, ip) != family) {
		problem(s, p, family == AF_INET ? "bind_address: no address" :
		    "bind_address6: no address", text);
		return;
	}
	if (family == AF_INET) {
		struct sockaddr_in in = { .sin_family = AF_INET };

		memcpy(&in.sin_addr, ip, 4);
		memcpy(&s->bind4, &in, sizeof(in));
	} else {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

		memcpy(&in6.sin6_addr, ip, 16);
		memcpy(&s->bind6, &in6, sizeof(in6));
	}
}

static void
on_start(void *ctx, struct service *service)
{
	struct smtp *s = ctx;

	s->loop = service_loop(service);
	s->pool = pool_kept_new();
	s->block = mem_new(BLOCK_MAX);
	buf_init(&s->filtered, TABLE_VALUE_MAX);
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	struct smtp *s = ctx;

	(void)id;
	request_await(&s->requests, talk);
}

static void
on_solo(void *ctx, struct channel *c, enum msg id, const void *msg)
{
	struct smtp *s = ctx;

	(void)c;
	(void)tls_agent_solo(s->tls_agent, id, msg);
}

/*
 * All end: what has not been handed over is given back to the queue, which
 * has it in active/ for the next start.
 */
static void
on_stop(void *ctx)
{
	struct smtp *s = ctx;

	list_each(l, &s->deliveries) {
		struct delivery *d = container_of(l, struct delivery, link);

		if (d->session == NULL || !d->session->handed)
			delivery_abort(d);
	}
}
