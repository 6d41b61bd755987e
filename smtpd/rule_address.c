/*
 * rule_address - restrictions that ask lookup whose an address is.
 *
 * One question per address: its answer is kept for the rules that follow. Of
 * a domain whose addresses are all alike it is kept for a moment, too: so a
 * list of thousands for few domains needs few questions.
 */
#include "address/address.h"
#include "dsn/dsn.h"
#include "route/route.h"
#include "smtpd/access.h"

#define ALIKE_MS 1000	/* as tables are looked at again after that time */

static enum step auth_destination(struct check *, const struct rule *);
static enum step unauth_destination(struct check *, const struct rule *);
static enum step defer_unauth(struct check *, const struct rule *);
static enum step unlisted_rcpt(struct check *, const struct rule *);
static enum step unlisted_sender(struct check *, const struct rule *);
static enum step refuse_relay(struct check *, int64_t code);
static enum step refuse_unlisted(struct check *, const struct answer *,
		    bool sender);
static enum step refuse_routed(struct check *, const struct answer *,
		    bool sender);
static void	 send_question(struct check *, struct talk *);
static enum step take_answer(struct check *, const void *msg);
static enum step no_answer(struct check *);

static const struct question question = { send_question, take_answer,
	no_answer };

enum step
rule_permit_auth_destination(struct check *c, const struct rule *r)
{
	return ask_address(c, false, r, auth_destination);
}

enum step
rule_reject_unauth_destination(struct check *c, const struct rule *r)
{
	return ask_address(c, false, r, unauth_destination);
}

enum step
rule_defer_unauth_destination(struct check *c, const struct rule *r)
{
	return ask_address(c, false, r, defer_unauth);
}

enum step
rule_reject_unlisted_recipient(struct check *c, const struct rule *r)
{
	return ask_address(c, false, r, unlisted_rcpt);
}

enum step
rule_reject_unlisted_sender(struct check *c, const struct rule *r)
{
	return ask_address(c, true, r, unlisted_sender);
}

static enum step
auth_destination(struct check *c, const struct rule *r)
{
	(void)r;
	return c->rcpt.authorized ? PERMIT : NEXT;
}

static enum step
unauth_destination(struct check *c, const struct rule *r)
{
	(void)r;
	return refuse_relay(c, c->s->smtpd->conf.relay_domains_reject_code);
}

static enum step
defer_unauth(struct check *c, const struct rule *r)
{
	(void)r;
	return refuse_relay(c,
	    c->s->smtpd->conf.relay_domains_reject_code - 100);
}

static enum step
refuse_relay(struct check *c, int64_t code)
{
	if (c->rcpt.authorized)
		return NEXT;
	/* A table failed: whether it is ours is not known. */
	if (c->rcpt.found == RETRY)
		return refuse(c, 451, "4.3.0",
		    "<" STRF ">: Temporary lookup failure",
		    STRV(c->rcpt.address));
	return refuse(c, code, "5.7.1", "<" STRF ">: Relay access denied",
	    STRV(c->rcpt.address));
}

static enum step
unlisted_rcpt(struct check *c, const struct rule *r)
{
	(void)r;
	return refuse_unlisted(c, &c->rcpt, false);
}

static enum step
unlisted_sender(struct check *c, const struct rule *r)
{
	(void)r;
	return refuse_unlisted(c, &c->sender, true);
}

static enum step
refuse_unlisted(struct check *c, const struct answer *a, bool sender)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;
	int64_t code = conf->unknown_local_recipient_reject_code;
	struct str table = a->table;

	switch (a->found) {
	case FOUND:
		return NEXT;
	case RETRY:
		return refuse(c, 451, "4.3.0",
		    "<" STRF ">: Temporary lookup failure", STRV(a->address));
	case NONE:
		break;
	}
	if (a->text.n > 0)
		return refuse_routed(c, a, sender);
	switch (a->cls) {
	case CLASS_ALIAS:
		code = conf->unknown_virtual_alias_reject_code;
		break;
	case CLASS_VIRTUAL:
		code = conf->unknown_virtual_mailbox_reject_code;
		break;
	case CLASS_RELAY:
		code = conf->unknown_relay_recipient_reject_code;
		break;
	case CLASS_LOCAL:
	case CLASS_DEFAULT:
		break;
	}
	if (!conf->show_user_unknown_table_name)
		table = STR("");
	return refuse(c, code, sender ? "5.1.0" : "5.1.1", "<" STRF ">: %s "
	    "address rejected: User unknown%s" STRF, STRV(a->address),
	    sender ? "Sender" : "Recipient", table.n > 0 ? " in " : "",
	    STRV(table));
}

/*
 * Routed to error or retry: the reply is what that transport would say, with
 * the enhanced code that it may begin with (trivial-rewrite(8)).
 */
static enum step
refuse_routed(struct check *c, const struct answer *a, bool sender)
{
	const char *dsn = a->routed_retry ? "4.1.1" : "5.1.1";
	size_t n = dsn_status_length(a->text);
	struct str text = a->text;

	if (n > 0) {
		dsn = arena_cstr(c->arena, str_first(text, n));
		text = str_trim(str_from(text, n));
	}
	return refuse(c, a->routed_retry || dsn[0] == '4' ? 450 : 550, dsn,
	    "<" STRF ">: %s address rejected: " STRF, STRV(a->address),
	    sender ? "Sender" : "Recipient", STRV(text));
}

/* --- the question --- */

/* What lookup said of another one of that domain is the answer. */
static bool
is_alike(struct check *c, struct answer *a)
{
	const int64_t *until = c->s->tx->alike == NULL ? NULL :
	    map_get(c->s->tx->alike, address_domain(a->address));

	if (until == NULL || *until < clock_steady_ms() ||
	    !route_is_plain(a->address))
		return false;
	a->known = true;
	a->found = FOUND;
	a->cls = CLASS_DEFAULT;
	a->recipient = a->address;
	return true;
}

static void
remember_alike(struct check *c, const struct answer *a)
{
	struct transaction *tx = c->s->tx;
	struct str domain = address_domain(a->address);
	int64_t *until;

	if (!str_eq(a->recipient, a->address) || !route_is_plain(a->address))
		return;
	if (tx->alike == NULL)
		tx->alike = map_new();
	until = map_get(tx->alike, domain);
	if (until == NULL) {
		until = arena_alloc(tx->arena, sizeof(*until));
		map_set(tx->alike, domain, until);
	}
	*until = clock_steady_ms() + ALIKE_MS;
}

enum step
ask_address(struct check *c, bool sender, const struct rule *r,
    enum step (*then)(struct check *, const struct rule *))
{
	struct answer *a = sender ? &c->sender : &c->rcpt;

	if (a->known)
		return then(c, r);
	if (sender)
		a->address = c->s->tx != NULL ? c->s->tx->sender : STR("");
	else
		a->address = check_rcpt(c);
	if (a->address.n == 0)		/* none yet, or the null sender */
		return NEXT;
	if (!sender && is_alike(c, a))
		return then(c, r);
	c->rule = r;
	c->then = then;
	c->asked = a;
	return check_ask(c, &question);
}

static void
send_question(struct check *c, struct talk *t)
{
	talk_send(t, MSG_address_ask, &(struct msg_address_ask){
	    .is_sender = c->asked == &c->sender,
	    .address = c->asked->address,
	    .service = str_of(service_name(c->s->smtpd->service)) });
}

static enum step
take_answer(struct check *c, const void *msg)
{
	const struct msg_address_answer *m = msg;
	struct answer *a = c->asked;

	a->known = true;
	a->found = m->found == FOUND ? FOUND : m->found == NONE ? NONE : RETRY;
	a->cls = m->class <= CLASS_DEFAULT ? (enum address_class)m->class :
					     CLASS_DEFAULT;
	a->authorized = m->authorized != 0;
	a->table = arena_str(c->arena, m->table);
	a->recipient = arena_str(c->arena, m->recipient);
	a->routed_retry = str_eq(m->transport, STR("retry"));
	if (a->routed_retry || str_eq(m->transport, STR("error")))
		a->text = arena_str(c->arena, m->nexthop);
	if (m->alike && a == &c->rcpt && a->found == FOUND)
		remember_alike(c, a);
	if (a->found == RETRY)
		log_warn("lookup of <" STRF ">: " STRF, STRV(a->address),
		    STRV(m->error));
	return c->then(c, c->rule);
}

static enum step
no_answer(struct check *c)
{
	return refuse(c, 451, "4.3.0",
	    "<" STRF ">: Temporary lookup failure", STRV(c->asked->address));
}
