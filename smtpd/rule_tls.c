/*
 * rule_tls - restrictions that look at TLS: is there any, whose certificate.
 *
 * Fingerprints are looked up whole, the certificate's, then its key's.
 */
#include "smtpd/access.h"

static enum step take_answer(struct check *,
		    const struct msg_access_answer *);

static const struct tls_info *
info_of(const struct check *c)
{
	return c->s->tls != NULL ? tls_info(c->s->tls) : NULL;
}

enum step
rule_permit_tls_all(struct check *c, const struct rule *r)
{
	const struct tls_info *i = info_of(c);

	(void)r;
	return i != NULL && i->trust >= TLS_TRUSTED ? PERMIT : NEXT;
}

enum step
rule_permit_tls(struct check *c, const struct rule *r)
{
	const struct tls_info *i = info_of(c);

	(void)r;
	if (i == NULL || i->trust == TLS_ANONYMOUS ||
	    c->s->smtpd->conf.relay_clientcerts.n == 0)
		return NEXT;
	return check_table(c, STR("relay_clientcerts"), ACCESS_EXACT,
	    i->cert_print, take_answer);
}

static enum step
take_answer(struct check *c, const struct msg_access_answer *m)
{
	if (m->found == FOUND)
		return PERMIT;
	if (m->found == NONE)
		return NEXT;
	return refuse(c, 451, "4.3.0", "%s: Temporary lookup failure",
	    check_subject(c));
}

enum step
rule_reject_plaintext_session(struct check *c, const struct rule *r)
{
	(void)r;
	if (c->s->tls != NULL)
		return NEXT;
	return refuse(c, c->s->smtpd->conf.plaintext_reject_code, "4.7.1",
	    "Session encryption is required");
}
