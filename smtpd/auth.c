/*
 * auth - AUTH (RFC 4954): opaque steps between the client and auth.
 *
 * This process reads none of it: which mechanisms there are, what a step
 * means and whether it was right is auth's word. Replies and log lines are
 * Postfix's; fail2ban and others read them.
 */
#include <stdio.h>

#include "smtpd/smtpd.h"

#define PEER_WAIT_MS	10000	/* for auth to (re)start */
#define LIST_WAIT_MS	10000
#define LIST_GOOD_MS	1000	/* as long as a table is taken for unchanged */

static const char *const lost = "Connection lost to authentication server";

static bool	session_may(const struct session *);
static unsigned	refused_bits(const struct session *);
static unsigned	kind_of(const struct session *);
static void	listed(struct session *);
static void	auth_counted(struct session *, bool ok);
static void	auth_known(struct session *);
static void	on_list_channel(void *ctx, struct channel *);
static void	on_list(void *ctx, struct talk *, enum msg, const void *);
static void	on_list_gone(void *ctx, struct talk *, const char *why);
static void	on_channel(void *ctx, struct channel *);
static void	on_answer(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	logged_in(struct session *, struct str user);
static void	refused(struct session *, enum auth_result, struct str user,
		    struct str reason);
static void	over(struct session *);

static const struct talk_ops list_ops = { on_list, on_list_gone };
static const struct talk_ops login_ops = { on_answer, on_gone };

void
auth_open(struct smtpd *d, struct problems *p)
{
	struct smtpd_conf *conf = &d->conf;

	d->sasl_refused = service_sasl_options(d->service,
	    "smtpd_sasl_security_options", p);
	d->sasl_tls_refused = service_sasl_options(d->service,
	    "smtpd_sasl_tls_security_options", p);
	if (!str_eq(conf->smtpd_sasl_type, STR("cyrus")) &&
	    !str_eq(conf->smtpd_sasl_type, STR("dovecot")))
		problem_add(p, true, NULL, 0, "smtpd_sasl_type: unknown type "
		    STRF ": say cyrus (auth's own stores) or dovecot",
		    STRV(conf->smtpd_sasl_type));
}

/* --- which mechanisms there are --- */

static bool
session_may(const struct session *s)
{
	const struct smtpd_conf *conf = &s->smtpd->conf;

	return conf->smtpd_sasl_auth_enable && !keyword_discarded(s, "AUTH");
}

bool
auth_is_offered(const struct session *s)
{
	struct smtpd *d = s->smtpd;

	return session_may(s) && s->mechanisms.str.n > 0 &&
	    (!d->conf.smtpd_tls_auth_only || session_has_tls(s)) &&
	    match_list_addr(d->sasl_exceptions, s->name, s->addr) == NONE;
}

static unsigned
refused_bits(const struct session *s)
{
	return session_has_tls(s) ? s->smtpd->sasl_tls_refused :
				    s->smtpd->sasl_refused;
}

/* Busy, it asks once a second for each kind of session, not for each. */
void
auth_list(struct session *s, void (*done)(struct session *))
{
	const struct mechanisms *m = &s->smtpd->mechanisms[kind_of(s)];
	struct wait_peer *w;

	s->auth_listed = done;
	if (!session_may(s) || s->mechanisms_known) {
		listed(s);
		return;
	}
	if (clock_steady_ms() < m->until_ms) {
		keep(&s->mechanisms, m->text.str);
		s->mechanisms_known = true;
		listed(s);
		return;
	}
	w = service_wait_peer(s->smtpd->service, ROLE_AUTH, STR(""),
	    PEER_WAIT_MS, on_list_channel, s);
	if (w != NULL)
		s->auth_wait = w;
}

static unsigned
kind_of(const struct session *s)
{
	if (!session_has_tls(s))
		return 0;
	return (unsigned)AUTH_HAS_TLS |
	    (tls_has_exporter(s->tls) ? AUTH_HAS_BINDING : 0u) |
	    (session_cert_name(s).n > 0 ? AUTH_HAS_CERT : 0u);
}

static void
listed(struct session *s)
{
	void (*done)(struct session *) = s->auth_listed;

	s->auth_listed = NULL;
	if (done != NULL)
		done(s);
}

static void
on_list_channel(void *ctx, struct channel *c)
{
	struct session *s = ctx;
	const struct smtpd_conf *conf = &s->smtpd->conf;

	s->auth_wait = NULL;
	if (c == NULL) {
		on_list_gone(s, NULL, "does not answer");
		return;
	}
	s->login = talk_open(c, &list_ops, s);
	talk_deadline(s->login, LIST_WAIT_MS);
	talk_send(s->login, MSG_auth_list, &(struct msg_auth_list){
	    .type = conf->smtpd_sasl_type, .path = conf->smtpd_sasl_path,
	    .refused = refused_bits(s),
	    .has_binding = (kind_of(s) & AUTH_HAS_BINDING) != 0,
	    .has_cert = (kind_of(s) & AUTH_HAS_CERT) != 0 });
}

static void
on_list(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct session *s = ctx;
	const struct msg_auth_listed *m = msg;
	struct mechanisms *last = &s->smtpd->mechanisms[kind_of(s)];
	struct str rest = m->mechanisms, name;
	struct buf out;

	(void)t;
	s->login = NULL;
	if (id != MSG_auth_listed || m->found != FOUND) {
		on_list_gone(s, NULL, "has no mechanisms for now");
		return;
	}
	buf_init(&out, 1000);
	while (str_token(&rest, " ", &name))
		if (match_list_domain(s->smtpd->sasl_filter, name) == FOUND)
			buf_printf(&out, "%s" STRF, out.n > 0 ? " " : "",
			    STRV(name));
	if (out.n == 0)
		log_warn("no SASL authentication mechanisms: auth has \""
		    STRF "\" for this session", STRV(m->mechanisms));
	keep(&s->mechanisms, buf_view(&out));
	keep(&last->text, buf_view(&out));
	last->until_ms = out.n > 0 ? clock_steady_ms() + LIST_GOOD_MS : 0;
	s->mechanisms_known = out.n > 0;
	buf_free(&out);
	listed(s);
}

static void
on_list_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	log_warn("auth: %s", why);
	s->login = NULL;
	keep(&s->mechanisms, STR(""));
	listed(s);
}

/* --- AUTH --- */

void
cmd_auth(struct session *s, struct str arg)
{
	struct str rest = arg, word;
	size_t n = 0;

	if (!session_may(s)) {
		reply(s, "503 5.5.1 Error: authentication not enabled");
		return;
	}
	if (s->smtpd->conf.smtpd_tls_auth_only && !session_has_tls(s)) {
		reply(s, "504 5.5.4 Encryption required for requested "
		    "authentication mechanism");	/* RFC 4954 4 */
		return;
	}
	if (s->sasl_user.str.n > 0) {
		reply(s, "503 5.5.1 Error: already authenticated");
		return;
	}
	while (str_token(&rest, " ", &word))
		n++;
	if (n < 1 || n > 2) {
		reply(s, "501 5.5.4 Syntax: AUTH mechanism");
		return;
	}
	(void)str_token(&arg, " ", &word);
	keep(&s->auth_name, word);
	s->auth_has_initial = str_token(&arg, " ", &word);
	keep(&s->auth_initial, s->auth_has_initial ? word : STR(""));
	wait_begin(s);
	limit_event(s, CLIENT_AUTH, auth_counted);
}

static void
auth_counted(struct session *s, bool ok)
{
	if (ok)
		auth_list(s, auth_known);
	else
		keep(&s->auth_initial, STR(""));
}

/* What was not announced is not tried. */
static void
auth_known(struct session *s)
{
	struct str rest = s->mechanisms.str, name;
	struct wait_peer *w;
	bool there = false;

	while (!there && str_token(&rest, " ", &name))
		there = str_eq_nocase(name, s->auth_name.str);
	if (!there) {
		if (s->mechanisms_known)
			refused(s, AUTH_FAILED, STR(""),
			    STR("no mechanism available"));
		else
			refused(s, AUTH_TEMPORARY, STR(""), str_of(lost));
		return;
	}
	w = service_wait_peer(s->smtpd->service, ROLE_AUTH, STR(""),
	    PEER_WAIT_MS, on_channel, s);
	if (w != NULL)
		s->auth_wait = w;
}

static void
on_channel(void *ctx, struct channel *c)
{
	struct session *s = ctx;
	const struct smtpd_conf *conf = &s->smtpd->conf;
	uint8_t binding[SESSION_BINDING];
	struct msg_auth_begin m = {
		.type = conf->smtpd_sasl_type, .path = conf->smtpd_sasl_path,
		.service = conf->smtpd_sasl_service,
		.realm = conf->smtpd_sasl_local_domain,
		.mechanism = s->auth_name.str,
		.has_initial = s->auth_has_initial,
		.initial = s->auth_initial.str,
		.refused = refused_bits(s), .client_addr = s->addr,
		.client_port = s->port, .server_addr = s->server_addr,
		.server_port = s->server_port,
		.tls_bits = session_tls_bits(s),
		.cert_name = session_cert_name(s),
	};

	s->auth_wait = NULL;
	if (c == NULL) {
		on_gone(s, NULL, "does not answer");
		return;
	}
	if (s->server_addr.n == 0) {
		peer_server(s);
		m.server_addr = s->server_addr;
		m.server_port = s->server_port;
	}
	if (str_starts_nocase(m.mechanism, STR("SCRAM-")) &&
	    session_binding(s, binding))
		m.binding = (struct str){ (char *)binding, sizeof(binding) };
	s->login = talk_open(c, &login_ops, s);
	talk_deadline(s->login, conf->ipc_timeout * 1000);
	talk_send(s->login, MSG_auth_begin, &m);
	keep(&s->auth_initial, STR(""));	/* a password, maybe */
}

/* The client's answer to a challenge; "*" gives up (RFC 4954 4). */
size_t
on_auth_line(struct session *s, struct str in)
{
	struct str rest = in, line;

	switch (esmtp_line(&rest,
	    (size_t)s->smtpd->conf.smtpd_sasl_response_limit, &line)) {
	case LINE_MORE:
		return 0;
	case LINE_BARE_LF:
		reply_close(s, "550 5.5.2 " STRF
		    " Error: bare <LF> received", STRV(s->smtpd->myhostname));
		return in.n;
	case LINE_LONG:
		/* Where the line ends is unknown: no way to go on. */
		reply_close(s, "500 5.5.6 SASL response limit exceeded");
		return in.n;
	case LINE_OK:
		break;
	}
	if (str_eq(line, STR("*"))) {
		log_warn(STRF ": SASL " STRF " authentication aborted",
		    STRV(s->who), STRV(s->auth_name.str));
		talk_close(&s->login);
		wait_begin(s);
		reply(s, "501 5.7.0 Authentication aborted");
		over(s);
	} else {
		wait_begin(s);
		talk_deadline(s->login, s->smtpd->conf.ipc_timeout * 1000);
		talk_send(s->login, MSG_auth_step, &(struct msg_auth_step){
		    .data = line });
	}
	return in.n - rest.n;
}

static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct session *s = ctx;
	const struct msg_auth_challenge *c = msg;
	const struct msg_auth_done *d = msg;

	(void)t;
	if (id == MSG_auth_challenge) {
		struct buf line;

		buf_init(&line, 20000);
		buf_puts(&line, "334 ");
		buf_str(&line, c->data);
		reply_line(s, buf_view(&line));
		buf_free(&line);
		wait_over(s, AUTH);
		return;
	}
	s->login = NULL;
	if (d->result == AUTH_OK && d->user.n > 0)
		logged_in(s, d->user);
	else
		refused(s, d->result == AUTH_TEMPORARY ? AUTH_TEMPORARY :
		    AUTH_FAILED, d->user, d->reason);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	log_warn("auth: %s", why);
	s->login = NULL;
	refused(s, AUTH_TEMPORARY, STR(""), str_of(lost));
}

static void
logged_in(struct session *s, struct str user)
{
	struct buf shown;

	buf_init(&shown, 4096);
	log_escape(user, &shown);
	keep(&s->sasl_user, buf_view(&shown));
	buf_clear(&shown);
	log_escape(s->auth_name.str, &shown);
	keep(&s->sasl_method, buf_view(&shown));
	buf_free(&shown);
	peer_known(s);		/* a client that is logged in may be local */
	reply(s, "235 2.7.0 Authentication successful");
	over(s);
}

static void
refused(struct session *s, enum auth_result result, struct str user,
    struct str reason)
{
	if (reason.n == 0)
		reason = STR("(reason unavailable)");
	if (user.n == 0)
		user = STR("(unavailable)");
	log_warn(STRF ": SASL " STRF " authentication failed: " STRF
	    ", sasl_username=" STRF, STRV(s->who),
	    STRV(str_first(s->auth_name.str, 100)), STRV(reason),
	    STRV(str_first(user, 100)));
	if (result == AUTH_TEMPORARY)		/* RFC 4954 6 */
		reply(s, "454 4.7.0 Temporary authentication failure: " STRF,
		    STRV(reason));
	else
		reply(s, "535 5.7.8 Error: authentication failed: " STRF,
		    STRV(reason));
	over(s);
}

static void
over(struct session *s)
{
	keep(&s->auth_initial, STR(""));
	wait_over(s, COMMAND);
}

void
auth_cancel(struct session *s)
{
	service_wait_cancel(&s->auth_wait);
	talk_close(&s->login);
	s->mechanisms_known = false;
	keep(&s->auth_name, STR(""));
	keep(&s->auth_initial, STR(""));
	keep(&s->mechanisms, STR(""));
	keep(&s->sasl_user, STR(""));
	keep(&s->sasl_method, STR(""));
}

/* --- the session's TLS, as a login sees it --- */

bool
session_has_tls(const struct session *s)
{
	return s->tls != NULL;
}

unsigned
session_tls_bits(const struct session *s)
{
	return s->tls == NULL ? 0 : (unsigned)tls_info(s->tls)->bits_used;
}

/* RFC 9266 2. */
bool
session_binding(const struct session *s, uint8_t out[SESSION_BINDING])
{
	return s->tls != NULL && tls_exporter(s->tls,
	    STR("EXPORTER-Channel-Binding"), out, SESSION_BINDING);
}

struct str
session_cert_name(const struct session *s)
{
	return s->tls != NULL && tls_info(s->tls)->trust >= TLS_TRUSTED ?
	    tls_info(s->tls)->subject : STR("");
}
