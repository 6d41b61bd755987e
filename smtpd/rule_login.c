/*
 * rule_login - restrictions by who is logged in, and as whom one may send.
 *
 * smtpd_sender_login_maps: sender address to the logins that own it, as
 * Postfix's SMTPD_ACCESS and SASL_README say.
 */
#include "address/address.h"
#include "smtpd/access.h"

static enum step ask_owner(struct check *, bool known_only);
static enum step owner_answer(struct check *,
		    const struct msg_access_answer *);
static enum step known_answer(struct check *,
		    const struct msg_access_answer *);
static enum step judge(struct check *, const struct msg_access_answer *,
		    bool known_only);

enum step
rule_permit_sasl_authenticated(struct check *c, const struct rule *r)
{
	(void)r;
	return c->s->sasl_user.str.n > 0 &&
	    !str_eq_nocase(c->s->sasl_method.str, STR("ANONYMOUS")) ?
	    PERMIT : NEXT;
}

enum step
rule_sender_login_mismatch(struct check *c, const struct rule *r)
{
	(void)r;
	return ask_owner(c, false);
}

enum step
rule_authenticated_mismatch(struct check *c, const struct rule *r)
{
	(void)r;
	return c->s->sasl_user.str.n > 0 ? ask_owner(c, false) : NEXT;
}

enum step
rule_unauthenticated_mismatch(struct check *c, const struct rule *r)
{
	(void)r;
	return c->s->sasl_user.str.n > 0 ? NEXT : ask_owner(c, false);
}

enum step
rule_known_mismatch(struct check *c, const struct rule *r)
{
	(void)r;
	return ask_owner(c, true);
}

/* The null sender has no owner: bounces must pass. */
static enum step
ask_owner(struct check *c, bool known_only)
{
	const struct transaction *tx = c->s->tx;

	if (tx == NULL || tx->sender.n == 0 ||
	    c->s->smtpd->conf.smtpd_sender_login_maps.n == 0 ||
	    !c->s->smtpd->conf.smtpd_sasl_auth_enable)
		return NEXT;
	return check_table(c, STR("smtpd_sender_login_maps"), ACCESS_OWNER,
	    tx->sender, known_only ? known_answer : owner_answer);
}

static enum step
owner_answer(struct check *c, const struct msg_access_answer *m)
{
	return judge(c, m, false);
}

static enum step
known_answer(struct check *c, const struct msg_access_answer *m)
{
	return judge(c, m, true);
}

static bool
is_owner(struct str owners, struct str user)
{
	struct str item;

	while (str_token(&owners, ", \t\r\n", &item))
		if (str_eq_nocase(item, user))
			return true;
	return false;
}

/* known_only: an address without owners is anybody's who is logged in. */
static enum step
judge(struct check *c, const struct msg_access_answer *m, bool known_only)
{
	struct session *s = c->s;
	struct str sender = s->tx->sender, user = s->sasl_user.str;

	if (m->found != FOUND && m->found != NONE)
		return check_lookup_failed(c, arena_cstr(c->arena, sender));
	if (user.n > 0) {
		if (m->found == FOUND ? is_owner(m->value, user) : known_only)
			return NEXT;
		return refuse(c, 553, "5.7.1", "<" STRF ">: Sender address "
		    "rejected: not owned by user " STRF, STRV(sender),
		    STRV(user));
	}
	if (m->found != FOUND)
		return NEXT;
	return refuse(c, 553, "5.7.1", "<" STRF ">: Sender address rejected: "
	    "not logged in", STRV(sender));
}
