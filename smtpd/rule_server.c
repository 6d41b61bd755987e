/*
 * rule_server - access(5) tables asked about the MX hosts, name servers or
 * addresses of somebody's domain: check_*_{mx,ns,a}_access.
 *
 * Each host by its name (not for "a"), then by its addresses; the first
 * answer of the table counts, and may not be a permit: whoever owns a domain
 * writes its records. A domain that can't be looked up passes.
 */
#include <arpa/inet.h>

#include "address/address.h"
#include "smtpd/access.h"

#define ADDRESSES_MAX 100	/* of all hosts: Postfix's limit */

struct servers {
	enum dns_type type;	/* MX, NS; A: the domain itself */
	struct str    domain;
	struct str    host[DNS_RECORDS_MAX];
	size_t	      n, at;
	struct str    addr[ADDRESSES_MAX];	/* of the host under way */
	size_t	      naddrs, at_addr, all_addrs;
};

static enum step first(struct check *, const struct rule *, enum party_kind,
		    enum dns_type);
static enum step take_servers(struct check *, const struct dns_answer *);
static enum step no_servers(struct check *, const struct dns_answer *);
static enum step next_host(struct check *);
static enum step take_host(struct check *, const struct msg_access_answer *);
static enum step ask_addresses(struct check *);
static enum step take_addresses(struct check *, const struct dns_answer *);
static enum step next_address(struct check *);
static enum step take_address(struct check *,
		    const struct msg_access_answer *);
static enum step act(struct check *, const struct msg_access_answer *);

#define RULES(who, party) \
enum step \
rule_check_##who##_mx_access(struct check *c, const struct rule *r) \
{ \
	return first(c, r, party, DNS_MX); \
} \
enum step \
rule_check_##who##_ns_access(struct check *c, const struct rule *r) \
{ \
	return first(c, r, party, DNS_NS); \
} \
enum step \
rule_check_##who##_a_access(struct check *c, const struct rule *r) \
{ \
	return first(c, r, party, DNS_A); \
}
RULES(client, THE_CLIENT)
RULES(reverse_client_hostname, THE_REVERSE_CLIENT)
RULES(helo, THE_HELO)
RULES(sender, THE_SENDER)
RULES(recipient, THE_RECIPIENT)
#undef RULES

static enum step
first(struct check *c, const struct rule *r, enum party_kind whose,
    enum dns_type type)
{
	struct servers *s = arena_alloc(c->arena, sizeof(*s));
	struct str addr;
	size_t at;

	if (!check_party(c, whose, &c->party))
		return NEXT;
	c->work = s;
	s->type = type;
	at = str_rchr(c->party.value, '@');
	s->domain = at < c->party.value.n ?
	    str_from(c->party.value, at + 1) : c->party.value;
	if (s->domain.n == 0)
		return NEXT;
	/* A literal is its own MX host and address; it has no name server. */
	if (s->domain.p[0] == '[') {
		if (type == DNS_NS || !address_literal(s->domain, &addr))
			return NEXT;
		return check_table(c, r->arg, ACCESS_IP, addr, take_address);
	}
	if (type != DNS_A)
		return check_dns(c, type, s->domain, take_servers);
	s->host[s->n++] = s->domain;
	return next_host(c);
}

static enum step
take_servers(struct check *c, const struct dns_answer *a)
{
	struct servers *s = c->work;

	if (a->found != FOUND)
		return no_servers(c, a);
	for (size_t i = 0; i < a->n; i++)
		if (a->records[i].data.n > 0)	/* a null MX is no host */
			s->host[s->n++] = arena_str(c->arena,
			    a->records[i].data);
	return next_host(c);
}

/* Without MX a domain is its own; without NS its parent's serve it. */
static enum step
no_servers(struct check *c, const struct dns_answer *a)
{
	struct servers *s = c->work;
	size_t dot = str_chr(s->domain, '.');

	if (a->found == NONE && s->type == DNS_MX) {
		s->host[s->n++] = s->domain;
		return next_host(c);
	}
	if (a->found == NONE && dot + 1 < s->domain.n) {
		s->domain = str_from(s->domain, dot + 1);
		return check_dns(c, s->type, s->domain, take_servers);
	}
	log_warn("Unable to look up %s host for " STRF ": %s",
	    s->type == DNS_MX ? "MX" : "NS", STRV(a->found == RETRY ?
	    s->domain : c->party.value), a->found == RETRY ?
	    "Host not found, try again" : "Host not found");
	return NEXT;
}

static enum step
next_host(struct check *c)
{
	struct servers *s = c->work;

	if (s->at == s->n)
		return NEXT;
	if (s->type == DNS_A)
		return ask_addresses(c);
	return check_table(c, c->rule->arg, ACCESS_DOMAIN, s->host[s->at],
	    take_host);
}

static enum step
take_host(struct check *c, const struct msg_access_answer *m)
{
	return m->found == NONE ? ask_addresses(c) : act(c, m);
}

static enum step
ask_addresses(struct check *c)
{
	struct servers *s = c->work;

	return check_dns_host(c, s->host[s->at], take_addresses);
}

static enum step
take_addresses(struct check *c, const struct dns_answer *a)
{
	struct servers *s = c->work;
	char text[INET6_ADDRSTRLEN];

	s->naddrs = s->at_addr = 0;
	if (a->found != FOUND && s->type != DNS_A)
		log_warn("Unable to look up %s host " STRF " for %s %s: %s",
		    s->type == DNS_MX ? "MX" : "NS", STRV(s->host[s->at]),
		    c->party.class, c->party.shown, a->found == RETRY ?
		    "Temporary failure in name resolution" : a->nxdomain ?
		    "Name or service not known" :
		    "No address associated with hostname");
	for (size_t i = 0; i < a->n; i++) {
		const struct dns_record *r = &a->records[i];

		if (s->all_addrs++ == ADDRESSES_MAX) {
			log_warn("server address count limit (%d) exceeded "
			    "for %s %s -- ignoring the remainder",
			    ADDRESSES_MAX, c->party.class, c->party.shown);
			s->n = s->at + 1;
			break;
		}
		if (inet_ntop(r->type == DNS_A ? AF_INET : AF_INET6, r->data.p,
		    text, sizeof(text)) != NULL)
			s->addr[s->naddrs++] = arena_str(c->arena,
			    str_of(text));
	}
	return next_address(c);
}

static enum step
next_address(struct check *c)
{
	struct servers *s = c->work;

	if (s->at_addr == s->naddrs) {
		s->at++;
		return next_host(c);
	}
	return check_table(c, c->rule->arg, ACCESS_IP, s->addr[s->at_addr++],
	    take_address);
}

static enum step
take_address(struct check *c, const struct msg_access_answer *m)
{
	return m->found == NONE ? next_address(c) : act(c, m);
}

static enum step
act(struct check *c, const struct msg_access_answer *m)
{
	unsigned depth = c->depth;
	enum step step;

	if (m->found != FOUND)
		return check_table_failed(c);
	step = do_action(c, str_trim(arena_str(c->arena, m->value)));
	return check_no_permit(c, step, depth);
}
