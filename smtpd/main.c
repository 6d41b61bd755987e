/*
 * smtpd - the SMTP server: many clients, one loop, no file.
 *
 * Runs as postern-net in an empty root. What it may not do itself it asks:
 * lookup (whose is this address, what does that table say), anvil (how much
 * has this client done), cleanup (take this mail). RFC 5321; smtpd(8).
 */
#include "smtpd/smtpd.h"

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct smtpd_conf, __VA_ARGS__)
#include "smtpd/params.def"
#undef PARAM
};

static void on_check(void *ctx, struct service *, struct problems *);
static void on_start(void *ctx, struct service *);
static void on_listen(void *ctx, struct str name, int fd);
static void on_accept(void *ctx, int fd, const struct sockaddr_storage *);
static void on_solo(void *ctx, struct channel *, enum msg, const void *);
static void on_drained(void *ctx, struct channel *);
static void on_drain(void *ctx);
static bool busy(void *ctx);
static void on_stop(void *ctx);
static bool get_bool(struct conf *, const char *name, struct problems *);
static int64_t get_size(struct conf *, const char *name, struct problems *);
static struct str rewrite_tables(struct smtpd *, struct problems *);
static void open_lists(struct smtpd *, struct problems *);
static void open_tables(struct smtpd *, struct problems *);
static struct match_list *open_list(struct smtpd *, struct str list,
		const char *name, unsigned flags, struct problems *);

struct port { struct list link; struct listener *listener; };

int
main(int argc, char **argv)
{
	struct smtpd d = { 0 };
	const struct service_def def = {
		.role = ROLE_SMTPD, .params = params, .nparams = nitems(params),
		.conf = &d.conf, .ctx = &d, .check = on_check,
		.start = on_start, .on_listen = on_listen,
		.on_solo = on_solo,
		.on_drained = on_drained, .on_drain = on_drain, .busy = busy,
		.on_stop = on_stop,
	};

	return service_main(&def, argc, argv);
}

/* All that main.cf says is read here, while files can be read; also by -t. */
static void
on_check(void *ctx, struct service *service, struct problems *p)
{
	struct smtpd *d = ctx;
	struct conf *conf = service_conf(service);
	struct str bad;

	d->service = service;
	d->arena = arena_new(64 << 20);
	list_init(&d->sessions);
	list_init(&d->listeners);
	list_init(&d->proxied);
	d->myhostname = conf_get(conf, "myhostname");
	d->content_filter = conf_get(conf, "content_filter");
	if (!mail_overrides(conf_get(conf, "receive_override_options"),
	    &d->overrides, &d->no_unlisted, &bad))
		problem_add(p, true, NULL, 0, "receive_override_options: "
		    "unknown word: " STRF, STRV(bad));
	d->message_size_limit = get_size(conf, "message_size_limit", p);
	d->line_max = get_size(conf, "line_length_limit", p);
	if (d->line_max > STREAM_INPUT_MAX / 2)
		d->line_max = STREAM_INPUT_MAX / 2;
	d->smtputf8 = get_bool(conf, "smtputf8_enable", p);
	d->soft_bounce = get_bool(conf, "soft_bounce", p);
	open_lists(d, p);
	proxy_open(d, p);
	auth_open(d, p);
	probe_sender_read(conf, d->arena, &d->probe_sender);
	access_open(d, p);
	starttls_open(d, p);
	names_open(d);
	open_tables(d, p);
	d->tls_parents = match_parent(conf, "smtpd_tls_loglevel_maps") != 0;
	transcript_configure(d, conf);
}

/* The tables among local_header_rewrite_clients; other words are checked. */
static struct str
rewrite_tables(struct smtpd *d, struct problems *p)
{
	static const char *const words[] = { "permit_inet_interfaces",
		"permit_mynetworks", "permit_sasl_authenticated",
		"permit_tls_clientcerts", "permit_tls_all_clientcerts",
		"check_address_map" };
	struct str list = d->conf.local_header_rewrite_clients, item;
	struct buf tables;
	size_t i;

	buf_init(&tables, 65536);
	while (conf_list_next(&list, &item)) {
		for (i = 0; i < nitems(words); i++)
			if (str_eq_nocase(item, str_of(words[i])))
				break;
		if (i < nitems(words))
			continue;
		if (str_chr(item, ':') < item.n) {
			buf_str(&tables, item);
			buf_putc(&tables, ' ');
		} else
			problem_add(p, true, NULL, 0,
			    "local_header_rewrite_clients: unknown word: " STRF,
			    STRV(item));
	}
	list = arena_str(d->arena, buf_view(&tables));
	buf_free(&tables);
	return list;
}

static void
on_start(void *ctx, struct service *service)
{
	struct smtpd *d = ctx;

	d->loop = service_loop(service);
}

static void
on_listen(void *ctx, struct str name, int fd)
{
	struct smtpd *d = ctx;
	struct port *port = arena_alloc(d->arena, sizeof(*port));
	int64_t window = conf_number(service_conf(d->service),
	    "tcp_windowsize");
	int err;

	(void)name;
	if (window > 0 && (err = fd_window(fd, window)) != 0)
		log_warn("tcp_windowsize: %s", strerror(err));
	port->listener = listener_new(d->loop, fd, on_accept, d);
	list_append(&d->listeners, &port->link);
}

static void
on_solo(void *ctx, struct channel *c, enum msg id, const void *msg)
{
	struct smtpd *d = ctx;

	(void)c;
	(void)tls_agent_solo(d->tls_agent, id, msg);
}

static void
on_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	if (!proxy_accept(ctx, fd, from))
		session_new(ctx, fd, from);
}

static void
on_drained(void *ctx, struct channel *c)
{
	(void)c;
	content_drained(ctx);
}

/* A new smtpd has our listeners; our sessions go on until they end. */
static void
on_drain(void *ctx)
{
	struct smtpd *d = ctx;

	proxy_stop(d);
	list_each(l, &d->listeners) {
		struct port *port = container_of(l, struct port, link);

		listener_free(&port->listener);
		list_remove(l);
	}
}

static bool
busy(void *ctx)
{
	struct smtpd *d = ctx;

	return !list_empty(&d->sessions);
}

/* Nobody follows us: those who only wait are told to come again. */
static void
on_stop(void *ctx)
{
	struct smtpd *d = ctx;

	list_each(l, &d->sessions)
		session_stop(container_of(l, struct session, link));
}

static bool
get_bool(struct conf *conf, const char *name, struct problems *p)
{
	bool on = false;
	int line = 0;
	const char *file = conf_where(conf, str_of(name), &line);

	if (!conf_parse_bool(conf_get(conf, name), &on))
		problem_add(p, true, file, line, "%s: say yes or no", name);
	return on;
}

static int64_t
get_size(struct conf *conf, const char *name, struct problems *p)
{
	int64_t n = 0;
	int line = 0;
	const char *file = conf_where(conf, str_of(name), &line);

	if (!conf_parse_size(conf_get(conf, name), &n))
		problem_add(p, true, file, line, "%s: give a whole number",
		    name);
	return n;
}

static void
open_lists(struct smtpd *d, struct problems *p)
{
	struct conf *conf = service_conf(d->service);
	/* flags 0: as parent_domain_matches_subdomains says. */
	const struct { const char *name; unsigned flags; struct match_list **to; }
	    all[] = {
		{ "mynetworks", 0, &d->mynetworks },
		{ "inet_interfaces", 0, &d->interfaces },
		{ "smtpd_client_event_limit_exceptions", 0,
		    &d->limit_exceptions },
		{ "permit_mx_backup_networks", 0, &d->mx_backup },
		{ "smtpd_sasl_exceptions_networks", 0, &d->sasl_exceptions },
		{ "smtpd_sasl_mechanism_filter", 0, &d->sasl_filter },
		{ "smtpd_noop_commands", MATCH_WHOLE, &d->noops },
		{ "smtpd_forbidden_commands", MATCH_WHOLE, &d->forbidden },
		{ "smtpd_log_access_permit_actions", MATCH_WHOLE,
		    &d->permit_log },
		{ "smtpd_forbid_bare_newline_exclusions",
		    match_parent(conf, "mynetworks"), &d->lf_clients },
		{ "debug_peer_list", 0, &d->debug_peers },
		{ "smtpd_authorized_xclient_hosts", 0, &d->xclient_hosts },
		{ "smtpd_authorized_xforward_hosts", 0, &d->xforward_hosts },
		{ "smtpd_authorized_verp_clients", 0, &d->verp_hosts },
		{ "smtpd_authorized_proxy_hosts", 0, &d->proxy_hosts },
	};

	for (size_t i = 0; i < nitems(all); i++)
		*all[i].to = open_list(d, conf_get(conf, all[i].name),
		    all[i].name, all[i].flags, p);
	d->rewrite_clients = open_list(d, rewrite_tables(d, p),
	    "local_header_rewrite_clients", 0, p);
	d->verp_default = conf_get(conf, "default_verp_delimiters");
	d->verp_filter = conf_get(conf, "verp_delimiter_filter");
}

/* Tables that stay as they are now: no file can be opened later. */
static void
open_tables(struct smtpd *d, struct problems *p)
{
	struct conf *conf = service_conf(d->service);
	const struct { const char *name; unsigned flags; struct tables **to; }
	    all[] = {
		{ "smtpd_command_filter", TABLE_FOLD, &d->command_filter },
		{ "smtpd_discard_ehlo_keyword_address_maps", 0, &d->discards },
		{ "smtpd_dns_reply_filter", TABLE_FOLD, &d->dns_filter },
		{ "smtpd_reject_filter_maps", 0, &d->reject_filter },
		{ "smtpd_reject_footer_maps", 0, &d->reject_footers },
		{ "smtpd_tls_loglevel_maps", TABLE_FOLD, &d->tls_loglevels },
	};

	for (size_t i = 0; i < nitems(all); i++) {
		struct buf why;
		int line = 0;
		const char *file = conf_where(conf, str_of(all[i].name), &line);

		buf_init(&why, 4096);
		*all[i].to = tables_open(conf_get(conf, all[i].name),
		    conf_dir(conf), all[i].flags | TABLE_FIXED, &why);
		if (why.n > 0)
			problem_add(p, service_checks(d->service), file, line,
			    "%s: %s", all[i].name, buf_cstr(&why));
		buf_free(&why);
	}
}

/* What is wrong stops a check; a start goes on, and matches say RETRY. */
static struct match_list *
open_list(struct smtpd *d, struct str list, const char *name, unsigned flags,
    struct problems *p)
{
	struct conf *conf = service_conf(d->service);
	struct match_list *m;
	const char *file;
	struct buf why;
	int line = 0;

	buf_init(&why, 4096);
	if (flags == 0)
		flags = match_parent(conf, name);
	/* No file can be opened later. */
	m = match_list_open(list, conf_dir(conf), flags | MATCH_FIXED, &why);
	file = conf_where(conf, str_of(name), &line);
	if (why.n > 0)
		problem_add(p, service_checks(d->service), file, line,
		    "%s: %s", name, buf_cstr(&why));
	buf_free(&why);
	return m;
}
