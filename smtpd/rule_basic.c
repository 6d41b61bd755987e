/*
 * rule_basic - restrictions that know their answer at once.
 */
#include "address/address.h"
#include "smtpd/access.h"

static void	     on_slept(void *ctx);
static struct str    address_or_empty(const struct check *, bool sender);
static enum step     non_fqdn(struct check *, bool sender);
static bool	     is_fqdn(struct str domain);
static enum step     by_network(struct check *, enum found);

enum step
rule_permit(struct check *c, const struct rule *r)
{
	(void)c;
	(void)r;
	return PERMIT;
}

enum step
rule_reject(struct check *c, const struct rule *r)
{
	(void)r;
	return refuse(c, c->s->smtpd->conf.reject_code, "5.7.1",
	    "%s: %s rejected: Access denied", check_subject(c),
	    check_class(c));
}

enum step
rule_defer(struct check *c, const struct rule *r)
{
	(void)r;
	return refuse(c, c->s->smtpd->conf.defer_code, "4.3.2",
	    "%s: %s rejected: Try again later", check_subject(c),
	    check_class(c));
}

enum step
rule_defer_if_permit(struct check *c, const struct rule *r)
{
	(void)r;
	refuse(c, 450, "4.7.0", "%s: %s rejected: defer_if_permit requested",
	    check_subject(c), check_class(c));
	return check_tempfail(c, STR("defer_if_permit"));
}

enum step
rule_defer_if_reject(struct check *c, const struct rule *r)
{
	(void)r;
	refuse(c, 450, "4.7.0", "%s: %s rejected: defer_if_reject requested",
	    check_subject(c), check_class(c));
	check_defer_if_reject(c);
	return NEXT;
}

enum step
rule_warn_if_reject(struct check *c, const struct rule *r)
{
	(void)r;
	c->warn_next = true;
	return NEXT;
}

/* Refused when the configuration is read: never evaluated. */
enum step
rule_later(struct check *c, const struct rule *r)
{
	return refuse(c, 451, "4.3.5", "Server configuration error: %s",
	    r->def->name);
}

enum step
rule_removed(struct check *c, const struct rule *r)
{
	(void)r;
	return check_config_error(c);
}

enum step
rule_sleep(struct check *c, const struct rule *r)
{
	uint64_t seconds;

	if (!str_number(r->arg, &seconds) || seconds > 1000)
		return refuse(c, 451, "4.3.5", "Server configuration error");
	c->timer = timer_new(c->s->smtpd->loop, on_slept, c);
	timer_set(c->timer, (int64_t)seconds * 1000);
	return WAITS;
}

static void
on_slept(void *ctx)
{
	struct check *c = ctx;

	timer_free(&c->timer);
	check_resume(c, NEXT);
}

enum step
rule_permit_mynetworks(struct check *c, const struct rule *r)
{
	(void)r;
	return by_network(c, match_list_addr(c->s->smtpd->mynetworks,
	    c->s->name, c->s->addr));
}

enum step
rule_permit_inet_interfaces(struct check *c, const struct rule *r)
{
	(void)r;
	return by_network(c, match_list_addr(c->s->smtpd->interfaces,
	    c->s->name, c->s->addr));
}

static enum step
by_network(struct check *c, enum found found)
{
	switch (found) {
	case FOUND:
		return PERMIT;
	case NONE:
		return NEXT;
	case RETRY:
		break;
	}
	return refuse(c, 451, "4.3.0", "%s: Temporary lookup failure",
	    check_subject(c));
}

enum step
rule_reject_unauth_pipelining(struct check *c, const struct rule *r)
{
	(void)r;
	if (!c->s->pipelined)
		return NEXT;
	return refuse(c, 503, "5.5.0", "%s: %s rejected: Improper use of SMTP "
	    "command pipelining", check_subject(c), check_class(c));
}

enum step
rule_reject_invalid_helo(struct check *c, const struct rule *r)
{
	struct str helo = c->s->helo.str, addr;

	(void)r;
	if (helo.n == 0 || address_literal(helo, &addr) ||
	    address_hostname_valid(helo))
		return NEXT;
	return refuse(c, c->s->smtpd->conf.invalid_hostname_reject_code,
	    "5.5.2", "<" STRF ">: Helo command rejected: Invalid name",
	    STRV(helo));
}

enum step
rule_reject_non_fqdn_helo(struct check *c, const struct rule *r)
{
	struct str helo = c->s->helo.str, addr;

	(void)r;
	if (helo.n == 0 || address_literal(helo, &addr) || is_fqdn(helo))
		return NEXT;
	return refuse(c, c->s->smtpd->conf.non_fqdn_reject_code, "5.5.2",
	    "<" STRF ">: Helo command rejected: need fully-qualified hostname",
	    STRV(helo));
}

enum step
rule_reject_non_fqdn_sender(struct check *c, const struct rule *r)
{
	(void)r;
	return non_fqdn(c, true);
}

enum step
rule_reject_non_fqdn_recipient(struct check *c, const struct rule *r)
{
	(void)r;
	return non_fqdn(c, false);
}

/* RFC 5321 4.5.1: postmaster alone is fully qualified. */
static enum step
non_fqdn(struct check *c, bool sender)
{
	struct str a = address_or_empty(c, sender), literal;
	struct str domain = address_domain(a);

	if (a.n == 0 || address_literal(domain, &literal) ||
	    is_fqdn(domain) || (!sender && domain.n == 0 &&
	    str_eq_nocase(a, STR("postmaster"))))
		return NEXT;
	return refuse(c, c->s->smtpd->conf.non_fqdn_reject_code, "5.5.2",
	    "<" STRF ">: %s address rejected: need fully-qualified address",
	    STRV(a), sender ? "Sender" : "Recipient");
}

enum step
rule_reject_multi_bounce(struct check *c, const struct rule *r)
{
	const struct transaction *tx = c->s->tx;
	size_t n = tx == NULL ? 0 : tx->nrcpts + (tx->pending != NULL);

	(void)r;
	if (tx == NULL || tx->sender.n > 0 || n <= 1)
		return NEXT;
	return refuse(c, c->s->smtpd->conf.multi_recipient_bounce_reject_code,
	    "5.5.3", "%s: %s rejected: Multi-recipient bounce",
	    check_subject(c), check_class(c));
}

static struct str
address_or_empty(const struct check *c, bool sender)
{
	const struct transaction *tx = c->s->tx;

	if (!sender)
		return check_rcpt(c);
	return tx != NULL ? tx->sender : STR("");
}

static bool
is_fqdn(struct str domain)
{
	return address_hostname_valid(domain) &&
	    str_chr(domain, '.') < domain.n;
}
