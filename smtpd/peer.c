/*
 * peer - who the client is, and how log lines name it.
 *
 * A name is believed when the address leads to it and it leads back: as
 * Postfix's smtpd_peer(3). resolve is asked; other sessions go on.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "address/address.h"
#include "smtpd/smtpd.h"

static void show_client(struct session *);
static bool client_is_local(struct session *);
static void on_names(void *ctx, const struct dns_client *);
static void warn_forged(const struct session *, const struct dns_client *);

static void
print_address(struct session *s, const struct sockaddr_storage *from,
    struct str *addr_text, struct str *port_text)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	char text[INET6_ADDRSTRLEN] = "";
	const void *addr = &in->sin_addr;
	uint16_t port = ntohs(in->sin_port);
	uint8_t bytes[16];

	if (from->ss_family == AF_INET6) {
		addr = &in6->sin6_addr;
		port = ntohs(in6->sin6_port);
	}
	inet_ntop(from->ss_family, addr, text, sizeof(text));
	/* ::ffff:192.0.2.1 is 192.0.2.1, here and in all tables. */
	if (ip_parse(str_of(text), bytes) == AF_INET)
		inet_ntop(AF_INET, bytes, text, sizeof(text));
	*addr_text = arena_str(s->arena, str_of(text));
	*port_text = str_of(arena_printf(s->arena, "%u", port));
}

void
peer_server(struct session *s)
{
	struct sockaddr_storage to = { 0 };
	socklen_t n = sizeof(to);

	if (getsockname(stream_fd(s->stream), (void *)&to, &n) == 0)
		print_address(s, &to, &s->server_addr, &s->server_port);
}

void
peer_find(struct session *s, const struct sockaddr_storage *from,
    void (*done)(struct session *))
{
	struct smtpd *d = s->smtpd;

	print_address(s, from, &s->addr, &s->port);
	s->name = s->reverse_name = STR("unknown");
	s->name_found = s->reverse_found = s->forward_found = NONE;
	s->named = done;
	show_client(s);
	if (d->conf.smtpd_peername_lookup) {
		s->naming = dns_ask_client(d->service, from, true, on_names, s);
		return;
	}
	peer_known(s);
	done(s);
}

static void
on_names(void *ctx, const struct dns_client *c)
{
	struct session *s = ctx;

	s->naming = NULL;
	s->name_found = c->name_found;
	s->reverse_found = c->reverse_found;
	s->forward_found = c->forward_found;
	s->name = arena_str(s->arena, c->name);
	s->reverse_name = arena_str(s->arena, c->reverse);
	if (s->reverse_found == FOUND && s->name_found != FOUND)
		warn_forged(s, c);
	peer_known(s);
	s->named(s);
}

/* In libc's words, which log readers know. */
static void
warn_forged(const struct session *s, const struct dns_client *c)
{
	const char *why = "";

	if (c->forward_found == RETRY)
		why = ": Temporary failure in name resolution";
	else if (c->forward_found == NONE)
		why = c->nxdomain ? ": Name or service not known" :
		    ": No address associated with hostname";
	log_warn("hostname " STRF " does not resolve to address " STRF "%s",
	    STRV(s->reverse_name), STRV(s->addr), why);
}

/* "name[address]", or "name[address]:port". */
static void
show_client(struct session *s)
{
	bool port = s->smtpd->conf.smtpd_client_port_logging;
	struct buf who;

	buf_init(&who, 1024);
	buf_printf(&who, STRF "[" STRF "]", STRV(s->name), STRV(s->addr));
	if (port)
		buf_printf(&who, ":" STRF, STRV(s->port));
	if (!str_eq(s->who, buf_view(&who)))
		s->who = arena_str(s->arena, buf_view(&who));
	buf_free(&who);
}

void
peer_known(struct session *s)
{
	struct smtpd *d = s->smtpd;
	uint8_t bytes[16];
	struct buf key;
	int family = ip_parse(s->addr, bytes);

	show_client(s);
	keywords_known(s);
	s->lf_lines = match_list_addr(d->lf_clients, s->name, s->addr) ==
	    FOUND;
	s->debug = match_list_addr(d->debug_peers, s->name, s->addr) == FOUND;
	s->local = client_is_local(s);
	s->limited = match_list_addr(d->limit_exceptions, s->name, s->addr) ==
	    NONE;
	if (!s->limited || family == 0)
		return;
	buf_init(&key, 64);
	ip_mask_print(bytes, family, (unsigned)(family == AF_INET ?
	    d->conf.smtpd_client_ipv4_prefix_length :
	    d->conf.smtpd_client_ipv6_prefix_length), &key);
	if (!str_eq(s->anvil_key, buf_view(&key)))
		s->anvil_key = arena_str(s->arena, buf_view(&key));
	buf_free(&key);
}

bool
peer_has_cert(struct session *s)
{
	struct str list = s->smtpd->conf.local_header_rewrite_clients, item;
	enum tls_trust trust = tls_info(s->tls)->trust;
	bool listed = false;

	while (conf_list_next(&list, &item)) {
		if (str_eq_nocase(item, STR("permit_tls_all_clientcerts")))
			s->local |= trust >= TLS_TRUSTED;
		if (str_eq_nocase(item, STR("permit_tls_clientcerts")))
			listed = trust > TLS_ANONYMOUS;
	}
	return listed && !s->local &&
	    s->smtpd->conf.relay_clientcerts.n > 0;
}

/*
 * postconf(5) local_header_rewrite_clients: restrictions of the permit kind,
 * and check_address_map with a table of addresses and nets.
 */
static bool
client_is_local(struct session *s)
{
	struct smtpd *d = s->smtpd;
	struct str list = d->conf.local_header_rewrite_clients, item;

	while (conf_list_next(&list, &item)) {
		struct match_list *m = NULL;

		if (str_eq_nocase(item, STR("permit_inet_interfaces")))
			m = d->interfaces;
		else if (str_eq_nocase(item, STR("permit_mynetworks")))
			m = d->mynetworks;
		else if (str_chr(item, ':') < item.n)
			m = d->rewrite_clients;
		if (str_eq_nocase(item, STR("permit_sasl_authenticated")) &&
		    s->sasl_user.str.n > 0)
			return true;
		if (m != NULL &&
		    match_list_addr(m, s->name, s->addr) == FOUND)
			return true;
	}
	return false;
}

void
log_login(const struct session *s, struct buf *line, const char *comma)
{
	const struct transaction *tx = s->tx;

	if (s->sasl_method.str.n > 0)
		buf_printf(line, "%s sasl_method=" STRF, comma,
		    STRV(s->sasl_method.str));
	if (s->sasl_user.str.n > 0)
		buf_printf(line, "%s sasl_username=" STRF, comma,
		    STRV(s->sasl_user.str));
	if (tx != NULL && tx->sasl_sender.n > 0)
		buf_printf(line, "%s sasl_sender=" STRF, comma,
		    STRV(tx->sasl_sender));
}

/*
 * "reject: RCPT from name[addr]: text; from=<s> to=<r> proto=ESMTP helo=<h>",
 * in Postfix's form: log readers depend on it.
 */
void
log_refusal(struct session *s, const char *what, struct str text)
{
	const struct transaction *tx = s->tx;
	struct str qid = tx != NULL && tx->queue_id.n > 0 ? tx->queue_id :
							    STR("NOQUEUE");
	struct buf line;

	buf_init(&line, 8192);
	buf_printf(&line, "%s: " STRF " from " STRF ": " STRF ";", what,
	    STRV(s->where), STRV(s->who), STRV(text));
	if (tx != NULL) {
		buf_puts(&line, " from=<");
		address_quote_822(tx->sender, &line);
		buf_putc(&line, '>');
		if (tx->pending != NULL) {
			buf_puts(&line, " to=<");
			address_quote_822(tx->pending->address, &line);
			buf_putc(&line, '>');
		}
	}
	buf_printf(&line, " proto=%s", s->esmtp ? "ESMTP" : "SMTP");
	if (s->helo.str.n > 0)
		buf_printf(&line, " helo=<" STRF ">", STRV(s->helo.str));
	log_login(s, &line, "");
	log_mail(qid, "%s", buf_cstr(&line));
	buf_free(&line);
}
