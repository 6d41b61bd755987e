/*
 * rule_dns - clients without a name, HELO names and domains that are not in
 * the DNS.
 */
#include "address/address.h"
#include "smtpd/access.h"

struct domain {			/* of an address, or a HELO name */
	struct party party;
	struct str   name;
	bool	     retry;	/* one of the questions had no answer */
	bool	     policy;	/* or smtpd_dns_reply_filter left nothing */
};

static enum step unnamed(struct check *, enum found, const char *dsn,
		    const char *what);
static void	note(struct domain *, const struct dns_answer *);
static bool	is_policy(const struct domain *, const char *what);
static enum step helo_address(struct check *, const struct dns_answer *);
static enum step helo_mx(struct check *, const struct dns_answer *);
static enum step unknown_address(struct check *, const struct rule *,
		    bool sender);
static enum step sender_resolved(struct check *, const struct rule *);
static enum step rcpt_resolved(struct check *, const struct rule *);
static enum step resolved(struct check *, const struct answer *, bool sender);
static enum step domain_mx(struct check *, const struct dns_answer *);
static enum step domain_address(struct check *, const struct dns_answer *);

/* --- the client --- */

/* RFC 7372 3.3. A forged name is as none; a failure is for now. */
enum step
rule_reject_unknown_client(struct check *c, const struct rule *r)
{
	(void)r;
	return unnamed(c, c->s->name_found, "4.7.25", "hostname");
}

enum step
rule_reject_unknown_reverse(struct check *c, const struct rule *r)
{
	(void)r;
	return unnamed(c, c->s->reverse_found, "4.7.1", "reverse hostname");
}

enum step
rule_reject_unknown_forward(struct check *c, const struct rule *r)
{
	(void)r;
	return unnamed(c, c->s->forward_found, "4.7.1", "forward hostname");
}

static enum step
unnamed(struct check *c, enum found found, const char *dsn, const char *what)
{
	int64_t code = c->s->smtpd->conf.unknown_client_reject_code;

	if (found == FOUND)
		return NEXT;
	return refuse(c, found == NONE ? code : 450, dsn, "Client host "
	    "rejected: cannot find your %s, [" STRF "]", what,
	    STRV(c->s->addr));
}

/* --- HELO --- */

enum step
rule_reject_unknown_helo(struct check *c, const struct rule *r)
{
	struct domain *d = arena_alloc(c->arena, sizeof(*d));
	struct str addr;

	(void)r;
	if (!check_party(c, THE_HELO, &d->party))
		return NEXT;
	d->name = d->party.value;
	c->work = d;
	if (d->name.p[0] == '[') {
		if (address_literal(d->name, &addr))
			return NEXT;
		return refuse(c,
		    c->s->smtpd->conf.invalid_hostname_reject_code, "5.5.2",
		    "<%s>: %s rejected: invalid ip address", d->party.shown,
		    d->party.class);
	}
	return check_dns(c, DNS_A, d->name, helo_address);
}

static void
note(struct domain *d, const struct dns_answer *a)
{
	d->policy = d->policy || a->filtered;
	d->retry = d->retry || (a->found == RETRY && !a->filtered);
}

/* Nobody's fault but the filter's: no reason to refuse. */
static bool
is_policy(const struct domain *d, const char *what)
{
	if (!d->policy || d->retry)
		return false;
	log_warn(STRF ": %s lookup error: DNS reply filter drops all results",
	    STRV(d->name), what);
	return true;
}

/* A, then AAAA, then MX: any will do, a null MX too. */
static enum step
helo_address(struct check *c, const struct dns_answer *a)
{
	struct domain *d = c->work;
	bool first = c->dns_type == DNS_A;

	if (a->found == FOUND)
		return NEXT;
	note(d, a);
	return first ? check_dns(c, DNS_AAAA, d->name, helo_address) :
		       check_dns(c, DNS_MX, d->name, helo_mx);
}

static enum step
helo_mx(struct check *c, const struct dns_answer *a)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;
	struct domain *d = c->work;

	note(d, a);
	/* A null MX does, where all addresses could be asked for. */
	if ((a->found == FOUND && !(d->retry && dns_null_mx(a))) ||
	    is_policy(d, "address or MX"))
		return NEXT;
	refuse(c, d->retry ? 450 : conf->unknown_hostname_reject_code, "4.7.1",
	    "<%s>: %s rejected: Host not found", d->party.shown,
	    d->party.class);
	return d->retry ? check_tempfail(c,
	    conf->unknown_helo_hostname_tempfail_action) : REFUSE;
}

/* --- domains of addresses --- */

enum step
rule_reject_unknown_sender(struct check *c, const struct rule *r)
{
	return unknown_address(c, r, true);
}

enum step
rule_reject_unknown_recipient(struct check *c, const struct rule *r)
{
	return unknown_address(c, r, false);
}

static enum step
unknown_address(struct check *c, const struct rule *r, bool sender)
{
	return ask_address(c, sender, r,
	    sender ? sender_resolved : rcpt_resolved);
}

static enum step
sender_resolved(struct check *c, const struct rule *r)
{
	(void)r;
	return resolved(c, &c->sender, true);
}

static enum step
rcpt_resolved(struct check *c, const struct rule *r)
{
	(void)r;
	return resolved(c, &c->rcpt, false);
}

/* Mail that ends here needs no DNS. */
static enum step
resolved(struct check *c, const struct answer *a, bool sender)
{
	struct domain *d = arena_alloc(c->arena, sizeof(*d));

	(void)check_party(c, sender ? THE_SENDER : THE_RECIPIENT, &d->party);
	if (a->recipient.n == 0)
		return check_lookup_failed(c, d->party.shown);
	d->name = address_domain(a->recipient);
	if (d->name.n == 0 || d->name.p[0] == '[')
		return NEXT;
	switch (a->cls) {
	case CLASS_LOCAL:
	case CLASS_ALIAS:
	case CLASS_VIRTUAL:
		return NEXT;
	case CLASS_RELAY:
	case CLASS_DEFAULT:
		break;
	}
	c->work = d;
	return check_dns(c, DNS_MX, d->name, domain_mx);
}

static bool
is_sender(const struct domain *d)
{
	return strcmp(d->party.class, "Sender address") == 0;
}

static enum step
domain_mx(struct check *c, const struct dns_answer *a)
{
	struct domain *d = c->work;

	if (dns_null_mx(a))
		return refuse(c, is_sender(d) ? 550 : 556,	/* RFC 7505 */
		    is_sender(d) ? "5.7.27" : "5.1.10", "<%s>: %s rejected: "
		    "Domain " STRF " does not accept mail (nullMX)",
		    d->party.shown, d->party.class, STRV(d->name));
	note(d, a);
	if (a->found == FOUND || is_policy(d, "MX or address"))
		return NEXT;
	return check_dns(c, DNS_A, d->name, domain_address);
}

static enum step
domain_address(struct check *c, const struct dns_answer *a)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;
	struct domain *d = c->work;

	if (a->found == FOUND)
		return NEXT;
	note(d, a);
	if (c->dns_type == DNS_A)
		return check_dns(c, DNS_AAAA, d->name, domain_address);
	if (is_policy(d, "MX or address"))
		return NEXT;
	refuse(c, d->retry ? 450 : conf->unknown_address_reject_code,
	    is_sender(d) ? "4.1.8" : "4.1.2", "<%s>: %s rejected: Domain not "
	    "found", d->party.shown, d->party.class);
	return d->retry ? check_tempfail(c,
	    conf->unknown_address_tempfail_action) : REFUSE;
}
