/*
 * rule_mx_backup - permit_mx_backup: this machine is an MX of the domain, but
 * not a primary one; and permit_mx_backup_networks.
 *
 * Whether a host is this machine lookup says, of its name and of its
 * addresses. What can't be known makes a later refusal a temporary one.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "address/address.h"
#include "smtpd/access.h"

enum phase { PRIMARY, BACKUP, NETWORKS };	/* whose hosts we look at */

struct mx_list {
	enum phase	  phase;
	struct dns_record mx[DNS_RECORDS_MAX];	/* by preference */
	size_t		  n, primaries;
	size_t		  at, end;		/* of this phase */
	bool		  names;		/* first all names, then ... */
	struct str	  addr[2 * DNS_RECORDS_MAX];
	size_t		  naddrs, at_addr;
};

static enum step resolved(struct check *, const struct rule *);
static enum step take_mx(struct check *, const struct dns_answer *);
static enum step begin(struct check *, enum phase, size_t from, size_t to);
static enum step next(struct check *);
static enum step take_name(struct check *, enum found);
static enum step take_addresses(struct check *, const struct dns_answer *);
static enum step next_address(struct check *);
static enum step take_address(struct check *, enum found);
static enum step phase_over(struct check *, bool hit);
static enum step cannot_know(struct check *, const char *what,
		    const struct dns_answer *);

enum step
rule_permit_mx_backup(struct check *c, const struct rule *r)
{
	return ask_address(c, false, r, resolved);
}

static enum step
resolved(struct check *c, const struct rule *r)
{
	struct str domain = address_domain(c->rcpt.recipient);

	(void)r;
	if (c->rcpt.recipient.n == 0)
		return check_lookup_failed(c, arena_cstr(c->arena,
		    c->rcpt.address));
	if (c->rcpt.authorized)
		return PERMIT;
	if (domain.n == 0 || domain.p[0] == '[' || c->rcpt.cls != CLASS_DEFAULT)
		return NEXT;
	return check_dns(c, DNS_MX, domain, take_mx);
}

static int
by_preference(const void *a, const void *b)
{
	const struct dns_record *x = a, *y = b;

	return (x->preference > y->preference) -
	    (x->preference < y->preference);
}

static enum step
take_mx(struct check *c, const struct dns_answer *a)
{
	struct mx_list *l = arena_alloc(c->arena, sizeof(*l));

	c->work = l;
	if (a->found == RETRY)
		return cannot_know(c, "Unable to look up mail exchanger "
		    "information", a);
	for (size_t i = 0; i < a->n; i++) {
		l->mx[l->n] = a->records[i];
		l->mx[l->n++].data = arena_str(c->arena, a->records[i].data);
	}
	if (l->n == 0)
		return NEXT;
	qsort(l->mx, l->n, sizeof(*l->mx), by_preference);
	while (l->primaries < l->n &&
	    l->mx[l->primaries].preference == l->mx[0].preference)
		l->primaries++;
	return begin(c, PRIMARY, 0, l->primaries);
}

static enum step
begin(struct check *c, enum phase phase, size_t from, size_t to)
{
	struct mx_list *l = c->work;

	l->phase = phase;
	l->at = from;
	l->end = to;
	l->names = phase != NETWORKS;
	return next(c);
}

/* The next host: its name, or (second round) its addresses. */
static enum step
next(struct check *c)
{
	struct mx_list *l = c->work;

	if (l->at == l->end && l->names) {
		l->names = false;
		l->at = l->phase == BACKUP ? l->primaries : 0;
	}
	if (l->at == l->end)
		return phase_over(c, l->phase == NETWORKS);
	if (l->names)
		return check_local(c, l->mx[l->at++].data, take_name);
	return check_dns_host(c, l->mx[l->at++].data, take_addresses);
}

static enum step
take_name(struct check *c, enum found found)
{
	return found == FOUND ? phase_over(c, true) : next(c);
}

static enum step
take_addresses(struct check *c, const struct dns_answer *a)
{
	struct mx_list *l = c->work;
	char text[INET6_ADDRSTRLEN];

	if (a->found != FOUND && l->phase == NETWORKS)
		return cannot_know(c, arena_printf(c->arena, "Unable to look "
		    "up host " STRF " as mail exchanger",
		    STRV(l->mx[l->at - 1].data)), a);
	if (a->found != FOUND)
		(void)cannot_know(c, arena_printf(c->arena, "Unable to look "
		    "up mail exchanger host " STRF,
		    STRV(l->mx[l->at - 1].data)), a);
	l->naddrs = l->at_addr = 0;
	for (size_t i = 0; i < a->n && i < nitems(l->addr); i++)
		if (inet_ntop(a->records[i].type == DNS_A ? AF_INET : AF_INET6,
		    a->records[i].data.p, text, sizeof(text)) != NULL)
			l->addr[l->naddrs++] = arena_str(c->arena,
			    str_of(text));
	return next_address(c);
}

static enum step
next_address(struct check *c)
{
	struct mx_list *l = c->work;
	struct str addr;

	if (l->at_addr == l->naddrs)
		return next(c);
	addr = l->addr[l->at_addr++];
	if (l->phase == NETWORKS)
		return take_address(c, match_list_addr(
		    c->s->smtpd->mx_backup, l->mx[l->at - 1].data, addr));
	return check_local(c, str_of(arena_printf(c->arena, "[%s" STRF "]",
	    str_chr(addr, ':') < addr.n ? "IPv6:" : "", STRV(addr))),
	    take_address);
}

/* Our own, or in the networks: in NETWORKS all must be. */
static enum step
take_address(struct check *c, enum found found)
{
	struct mx_list *l = c->work;

	if (l->phase != NETWORKS)
		return found == FOUND ? phase_over(c, true) : next_address(c);
	if (found == RETRY)
		return cannot_know(c, "Unable to verify host as mail "
		    "exchanger", NULL);
	return found == FOUND ? next_address(c) : NEXT;
}

static enum step
phase_over(struct check *c, bool hit)
{
	struct mx_list *l = c->work;

	switch (l->phase) {
	case PRIMARY:
		return hit || l->primaries == l->n ? NEXT :
		    begin(c, BACKUP, l->primaries, l->n);
	case BACKUP:
		if (!hit)
			return NEXT;
		if (c->s->smtpd->conf.permit_mx_backup_networks.n == 0)
			return PERMIT;
		return begin(c, NETWORKS, 0, l->primaries);
	case NETWORKS:
		break;
	}
	return hit ? PERMIT : NEXT;
}

static enum step
cannot_know(struct check *c, const char *what, const struct dns_answer *a)
{
	const char *why = a == NULL ? "" : a->found == RETRY ?
	    ": Host not found, try again" : ": Host not found";

	refuse(c, 450, "4.4.4", "<" STRF ">: Recipient address rejected: "
	    "%s%s", STRV(c->rcpt.address), what, why);
	check_defer_if_reject(c);
	return NEXT;
}
