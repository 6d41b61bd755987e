/*
 * rule_verify - reject_unverified_sender, reject_unverified_recipient: what
 * the verify process knows of an address, or finds out by a probe.
 *
 * Postfix asks poll_count times, poll_delay apart; here one question waits
 * as long, and no longer than the probe takes.
 */
#include "smtpd/access.h"

static enum step ask(struct check *, enum party_kind);
static void	 send_question(struct check *, struct talk *);
static enum step take_answer(struct check *, const void *msg);
static enum step lost(struct check *);
static enum step unverified(struct check *, int64_t code, struct str why);

static const struct question question = { send_question, take_answer, lost };

enum step
rule_reject_unverified_recipient(struct check *c, const struct rule *r)
{
	(void)r;
	return ask(c, THE_RECIPIENT);
}

enum step
rule_reject_unverified_sender(struct check *c, const struct rule *r)
{
	(void)r;
	return ask(c, THE_SENDER);
}

static enum step
ask(struct check *c, enum party_kind whose)
{
	if (!check_party(c, whose, &c->party))
		return NEXT;
	return check_ask_role(c, ROLE_VERIFY, &question);
}

static bool
is_sender(const struct check *c)
{
	return c->rule->def->run == rule_reject_unverified_sender;
}

static const char *
dsn(const struct check *c)
{
	return is_sender(c) ? "4.1.7" : "4.1.1";
}

static struct str
tempfail_action(const struct check *c)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;

	return is_sender(c) ? conf->unverified_sender_tempfail_action :
	    conf->unverified_recipient_tempfail_action;
}

static void
send_question(struct check *c, struct talk *t)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;

	talk_send(t, MSG_verify_ask, &(struct msg_verify_ask){
	    .address = c->party.value,
	    .wait_ms = (uint64_t)((conf->address_verify_poll_count - 1) *
	    conf->address_verify_poll_delay * 1000) });
}

static enum step
take_answer(struct check *c, const void *msg)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;
	const struct msg_verify_answer *m = msg;
	int64_t defer = is_sender(c) ? conf->unverified_sender_defer_code :
	    conf->unverified_recipient_defer_code;
	int64_t reject = is_sender(c) ? conf->unverified_sender_reject_code :
	    conf->unverified_recipient_reject_code;

	switch ((enum verify_status)m->status) {
	case VERIFY_OK:
		return NEXT;
	case VERIFY_BOUNCE:
		return unverified(c, reject, m->text);
	case VERIFY_DEFER:
	case VERIFY_TODO:
		return unverified(c, defer, m->text);
	}
	return lost(c);
}

/* A code of 2xx lets it pass. */
static enum step
unverified(struct check *c, int64_t code, struct str why)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;
	struct str own = is_sender(c) ? conf->unverified_sender_reject_reason :
	    conf->unverified_recipient_reject_reason;

	if (code < 400)
		return NEXT;
	if (own.n > 0)
		why = own;
	if (code >= 500)
		return refuse(c, code, dsn(c), "<%s>: %s rejected: "
		    "undeliverable address: " STRF, c->party.shown,
		    c->party.class, STRV(why));
	refuse(c, code, dsn(c), "<%s>: %s rejected: unverified address: " STRF,
	    c->party.shown, c->party.class, STRV(str_first(why, 250)));
	return check_tempfail(c, tempfail_action(c));
}

static enum step
lost(struct check *c)
{
	log_warn("verify service failure");
	refuse(c, 450, dsn(c), "<%s>: %s rejected: address verification "
	    "problem", c->party.shown, c->party.class);
	return check_tempfail(c, tempfail_action(c));
}
