/*
 * limit - how much one client may do, over all smtpd processes (anvil).
 *
 * Without limits, or for clients that smtpd_client_event_limit_exceptions
 * names, anvil is not asked. If anvil does not answer, the client goes on:
 * a limit is no reason to refuse mail.
 */
#include "smtpd/smtpd.h"

static int64_t	rate_limit(const struct session *, enum client_event);
static void	on_counts(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	refuse(struct session *, const char *what, uint64_t n);

static void	ask(struct session *, struct channel *, enum client_event,
		    struct str client);
static void	count_account(struct session *);
static void	on_account(void *ctx, struct talk *, enum msg, const void *);

static const struct talk_ops anvil_ops = { on_counts, on_gone };
static const struct talk_ops account_ops = { on_account, on_gone };

static const struct {
	const char *what, *reply;
} events[] = {
	[CLIENT_CONNECT] = { "Connection rate",
	    "421 4.7.0 %s Error: too many connections from %s" },
	[CLIENT_MAIL] = { "Message delivery request rate",
	    "450 4.7.1 %s Error: too much mail from %s" },
	[CLIENT_RCPT] = { "Recipient address rate",
	    "450 4.7.1 %s Error: too many recipients from %s" },
	[CLIENT_AUTH] = { "AUTH command rate",
	    "450 4.7.1 %s Error: too many AUTH commands from %s" },
	[CLIENT_TLS] = { "New TLS session rate",
	    "421 4.7.0 %s Error: too many new TLS sessions from %s" },
};

void
limit_event(struct session *s, enum client_event event,
    void (*done)(struct session *, bool ok))
{
	struct smtpd *d = s->smtpd;
	struct channel *c = NULL;

	if (s->limited && rate_limit(s, event) > 0)
		c = service_peer(d->service, ROLE_ANVIL, STR(""));
	s->event = event;
	s->counted = done;
	if (c == NULL) {
		count_account(s);
		return;
	}
	ask(s, c, event, s->anvil_key);
	if (event == CLIENT_CONNECT && !s->in_anvil) {
		s->in_anvil = true;
		s->anvil_open = s->anvil_key;
	}
}

static void
ask(struct session *s, struct channel *c, enum client_event event,
    struct str client)
{
	struct smtpd *d = s->smtpd;
	bool account = event >= ACCOUNT_MAIL;

	s->ask = talk_open(c, account ? &account_ops : &anvil_ops, s);
	talk_deadline(s->ask, d->conf.ipc_timeout * 1000);
	talk_send(s->ask, MSG_client_event, &(struct msg_client_event){
	    .event = event, .client = client, .service = account ?
	    STR("account") : str_of(service_name(d->service)) });
}

void
limit_gone(struct session *s)
{
	struct smtpd *d = s->smtpd;
	struct channel *c;

	if (!s->in_anvil)
		return;
	c = service_peer(d->service, ROLE_ANVIL, STR(""));
	if (c != NULL)
		channel_send(c, MSG_client_gone, &(struct msg_client_gone){
		    .service = str_of(service_name(d->service)),
		    .client = s->anvil_open });
	s->in_anvil = false;
}

/* 0: nothing to count. A count limit makes connections worth counting. */
static int64_t
rate_limit(const struct session *s, enum client_event event)
{
	const struct smtpd_conf *conf = &s->smtpd->conf;

	switch (event) {
	case CLIENT_CONNECT:
		return conf->smtpd_client_connection_rate_limit +
		    conf->smtpd_client_connection_count_limit;
	case CLIENT_MAIL:
		return conf->smtpd_client_message_rate_limit;
	case CLIENT_RCPT:
		return conf->smtpd_client_recipient_rate_limit;
	case CLIENT_AUTH:
		return conf->smtpd_client_auth_rate_limit;
	case CLIENT_TLS:
		return conf->smtpd_client_new_tls_session_rate_limit;
	case ACCOUNT_MAIL:
	case ACCOUNT_RCPT:
		break;
	}
	return 0;
}

static void
on_counts(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct session *s = ctx;
	const struct smtpd_conf *conf = &s->smtpd->conf;
	const struct msg_client_counts *m = msg;
	int64_t limit = rate_limit(s, s->event);
	int64_t open = conf->smtpd_client_connection_count_limit;

	(void)t;
	(void)id;
	s->ask = NULL;
	if (s->event == CLIENT_CONNECT) {
		limit = conf->smtpd_client_connection_rate_limit;
		if (open > 0 && m->connections > (uint64_t)open) {
			refuse(s, "Connection concurrency", m->connections);
			return;
		}
	}
	if (limit > 0 && m->rate > (uint64_t)limit) {
		refuse(s, events[s->event].what, m->rate);
		return;
	}
	count_account(s);
}

/* --- who is logged in: over all services, by the hour --- */

static int64_t
account_limit(const struct session *s)
{
	const struct smtpd_conf *conf = &s->smtpd->conf;

	if (s->sasl_user.str.n == 0)
		return 0;
	if (s->event == CLIENT_MAIL)
		return conf->smtpd_account_message_limit;
	return s->event == CLIENT_RCPT ? conf->smtpd_account_recipient_limit :
					 0;
}

/* The client may; may the account? */
static void
count_account(struct session *s)
{
	struct channel *c = NULL;

	if (account_limit(s) > 0)
		c = service_peer(s->smtpd->service, ROLE_ANVIL, STR(""));
	if (c == NULL)
		s->counted(s, true);
	else
		ask(s, c, s->event == CLIENT_MAIL ? ACCOUNT_MAIL :
		    ACCOUNT_RCPT, s->sasl_user.str);
}

static void
on_account(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct session *s = ctx;
	const struct msg_client_counts *m = msg;
	int64_t limit = account_limit(s);
	const char *what = s->event == CLIENT_MAIL ? "messages" :
	    "recipients";

	(void)t;
	(void)id;
	s->ask = NULL;
	if (limit == 0 || m->rate <= (uint64_t)limit) {
		s->counted(s, true);
		return;
	}
	log_warn("account limit exceeded: %llu %s of sasl_username=" STRF
	    " from " STRF, (unsigned long long)m->rate, what,
	    STRV(s->sasl_user.str), STRV(s->who));
	reply(s, "450 4.7.1 Error: too many %s from " STRF ": the limit is "
	    "%lld in an hour; try again later", what,
	    STRV(s->sasl_user.str), (long long)limit);
	s->counted(s, false);
	wait_over(s, COMMAND);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	log_warn("anvil: %s", why);
	s->ask = NULL;
	s->counted(s, true);
}

static void
refuse(struct session *s, const char *what, uint64_t n)
{
	struct smtpd *d = s->smtpd;
	const char *text = events[s->event].reply;
	char host[256], addr[64];

	log_warn("%s limit exceeded: %llu from " STRF " for service %s", what,
	    (unsigned long long)n, STRV(s->who), service_name(d->service));
	snprintf(host, sizeof(host), STRF, STRV(d->myhostname));
	snprintf(addr, sizeof(addr), STRF, STRV(s->addr));
	if (text[1] == '2')
		reply_close(s, text, host, addr);
	else {
		reply(s, text, host, addr);
		s->counted(s, false);
		wait_over(s, COMMAND);
	}
}
