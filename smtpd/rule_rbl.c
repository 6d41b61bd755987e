/*
 * rule_rbl - DNS block and allow lists, by address (RFC 5782) and by domain.
 *
 * A record of type A is a match, where the filter lets it through; TXT is
 * the reason. A list that does not answer blocks nobody.
 */
#include <netinet/in.h>

#include "address/address.h"
#include "smtpd/access.h"

#define REASON_MAX 500		/* bytes of all TXT records; Postfix's limit */

struct dnsbl {
	struct str   arg;	/* "domain=filter" */
	struct str   query;	/* name that is asked for */
	const char  *what;	/* that is listed: address, name, mail address */
	const char  *class;
	struct str   reason;
	struct str   maps;	/* of rbl_reply_maps, not yet asked */
	struct str   map, key;	/* under way */
};

static enum step by_address(struct check *, const struct rule *, dns_step *);
static enum step by_domain(struct check *, const struct rule *,
		    enum party_kind, dns_step *);
static enum step ask_list(struct check *, const struct rule *, struct str what,
		    dns_step *);
static enum step block_a(struct check *, const struct dns_answer *);
static enum step block_txt(struct check *, const struct dns_answer *);
static enum step allow_a(struct check *, const struct dns_answer *);
static enum step allow_address(struct check *, const struct rule *);
static enum step allow_name(struct check *, const struct rule *);
static enum step next_map(struct check *);
static enum step take_map(struct check *, const struct msg_access_answer *);

/* --- the rules --- */

enum step
rule_reject_rbl_client(struct check *c, const struct rule *r)
{
	return by_address(c, r, block_a);
}

enum step
rule_reject_rhsbl_client(struct check *c, const struct rule *r)
{
	return by_domain(c, r, THE_CLIENT, block_a);
}

enum step
rule_reject_rhsbl_reverse(struct check *c, const struct rule *r)
{
	return by_domain(c, r, THE_REVERSE_CLIENT, block_a);
}

enum step
rule_reject_rhsbl_helo(struct check *c, const struct rule *r)
{
	return by_domain(c, r, THE_HELO, block_a);
}

enum step
rule_reject_rhsbl_sender(struct check *c, const struct rule *r)
{
	return by_domain(c, r, THE_SENDER, block_a);
}

enum step
rule_reject_rhsbl_recipient(struct check *c, const struct rule *r)
{
	return by_domain(c, r, THE_RECIPIENT, block_a);
}

/* Never for relaying: as Postfix, only where the recipient may be taken. */
enum step
rule_permit_dnswl_client(struct check *c, const struct rule *r)
{
	if (check_rcpt(c).n == 0)
		return allow_address(c, r);
	return ask_address(c, false, r, allow_address);
}

enum step
rule_permit_rhswl_client(struct check *c, const struct rule *r)
{
	if (check_rcpt(c).n == 0)
		return allow_name(c, r);
	return ask_address(c, false, r, allow_name);
}

static enum step
allow_address(struct check *c, const struct rule *r)
{
	if (check_rcpt(c).n > 0 && !c->rcpt.authorized)
		return NEXT;
	return by_address(c, r, allow_a);
}

static enum step
allow_name(struct check *c, const struct rule *r)
{
	if (check_rcpt(c).n > 0 && !c->rcpt.authorized)
		return NEXT;
	return by_domain(c, r, THE_CLIENT, allow_a);
}

/* --- what is asked --- */

/* RFC 5782 2.1, 2.4: octets or nibbles, the last first. */
static enum step
by_address(struct check *c, const struct rule *r, dns_step *then)
{
	struct dnsbl *l = arena_alloc(c->arena, sizeof(*l));
	uint8_t addr[16];
	int family = ip_parse(c->s->addr, addr);
	struct buf name;
	enum step step;

	if (family == 0)
		return NEXT;
	l->what = arena_cstr(c->arena, c->s->addr);
	l->class = "Client host";
	c->work = l;
	buf_init(&name, 128);
	if (family == AF_INET)
		buf_printf(&name, "%u.%u.%u.%u", addr[3], addr[2], addr[1],
		    addr[0]);
	else
		for (size_t i = 16; i-- > 0;)
			buf_printf(&name, "%x.%x%s", addr[i] & 15U,
			    addr[i] >> 4U, i > 0 ? "." : "");
	step = ask_list(c, r, buf_view(&name), then);
	buf_free(&name);
	return step;
}

/* Names that end in a number are addresses: lists reject such questions. */
static bool
is_numeric(struct str domain)
{
	size_t dot = str_rchr(domain, '.');
	struct str last = dot < domain.n ? str_from(domain, dot + 1) : domain;
	uint64_t n;

	return last.n == 0 || str_number(last, &n);
}

static enum step
by_domain(struct check *c, const struct rule *r, enum party_kind whose,
    dns_step *then)
{
	struct dnsbl *l = arena_alloc(c->arena, sizeof(*l));
	struct party party;
	struct buf ascii;
	struct str name;
	size_t at;
	enum step step = NEXT;

	if (!check_party(c, whose, &party))
		return NEXT;
	at = str_rchr(party.value, '@');
	name = at < party.value.n ? str_from(party.value, at + 1) :
				    party.value;
	if (name.n == 0 || name.p[0] == '[' || is_numeric(name))
		return NEXT;
	l->what = arena_cstr(c->arena, party.value);
	l->class = party.class;
	c->work = l;
	buf_init(&ascii, DNS_NAME_MAX);
	if (address_domain_ascii(name, &ascii) &&
	    address_hostname_valid(buf_view(&ascii)))
		step = ask_list(c, r, buf_view(&ascii), then);
	buf_free(&ascii);
	return step;
}

static enum step
ask_list(struct check *c, const struct rule *r, struct str what,
    dns_step *then)
{
	struct dnsbl *l = c->work;

	l->arg = r->arg;
	l->query = str_of(arena_printf(c->arena, STRF "." STRF, STRV(what),
	    STRV(dnsbl_domain(r->arg))));
	return check_dns(c, DNS_A, l->query, then);
}

/* --- the answers --- */

/* FOUND: it is listed, and one of its codes counts. */
static enum found
listed(const struct dnsbl *l, const struct dns_answer *a)
{
	struct str prefix = STR("Host or domain name not found. ");

	if (a->found == RETRY)
		log_warn(STRF ": RBL lookup error: " STRF, STRV(l->query),
		    STRV(str_starts(a->why, prefix) ? str_from(a->why,
		    prefix.n) : a->why));
	if (a->found != FOUND)
		return a->found;
	for (size_t i = 0; i < a->n; i++)
		if (dnsbl_match(l->arg, (const uint8_t *)a->records[i].data.p))
			return FOUND;
	return NONE;
}

static enum step
block_a(struct check *c, const struct dns_answer *a)
{
	struct dnsbl *l = c->work;

	if (listed(l, a) != FOUND)
		return NEXT;
	return check_dns(c, DNS_TXT, l->query, block_txt);
}

static enum step
block_txt(struct check *c, const struct dns_answer *a)
{
	struct dnsbl *l = c->work;
	struct buf reason;

	if (a->filtered)
		log_warn(STRF ": TXT lookup error: DNS reply filter drops all "
		    "results", STRV(l->query));
	buf_init(&reason, REASON_MAX + 3);
	for (size_t i = 0; i < a->n && reason.n < REASON_MAX; i++) {
		if (i > 0)
			buf_puts(&reason, " / ");
		buf_str(&reason, str_first(a->records[i].data,
		    REASON_MAX - (reason.n < REASON_MAX ? reason.n :
		    REASON_MAX)));
	}
	l->reason = arena_str(c->arena, buf_view(&reason));
	buf_free(&reason);
	l->maps = c->s->smtpd->conf.rbl_reply_maps;
	l->key = l->arg;
	return next_map(c);
}

static enum step
allow_a(struct check *c, const struct dns_answer *a)
{
	const struct dnsbl *l = c->work;

	switch (listed(l, a)) {
	case FOUND:
		return PERMIT;
	case NONE:
		return NEXT;
	case RETRY:
		break;
	}
	refuse(c, 450, "4.7.1", "<%s>: %s rejected: Service unavailable",
	    l->what, l->class);
	check_defer_if_reject(c);
	return NEXT;
}

/* --- the reply --- */

/* First all maps by "domain=filter", then by the domain alone. */
static enum step
next_map(struct check *c)
{
	struct dnsbl *l = c->work;
	struct str domain = dnsbl_domain(l->arg);

	if (conf_list_next(&l->maps, &l->map))
		return check_table(c, l->map, ACCESS_KEY, l->key, take_map);
	if (l->key.n > domain.n && c->s->smtpd->conf.rbl_reply_maps.n > 0) {
		l->key = domain;
		l->maps = c->s->smtpd->conf.rbl_reply_maps;
		return next_map(c);
	}
	return rbl_reply(c, &(struct rbl_listing){ domain, l->what, l->class,
	    l->reason }, c->s->smtpd->conf.default_rbl_reply);
}

static enum step
take_map(struct check *c, const struct msg_access_answer *m)
{
	struct dnsbl *l = c->work;

	if (m->found == NONE)
		return next_map(c);
	if (m->found != FOUND)
		return check_config_error(c);
	return rbl_reply(c, &(struct rbl_listing){ dnsbl_domain(l->arg),
	    l->what, l->class, l->reason }, m->value);
}
