/*
 * login - AUTH at servers (RFC 4954): the lines are auth's, the password is
 * nothing that this process knows before it says it.
 */
#include <stdio.h>

#include "smtp/smtp.h"

#define PEER_WAIT_MS	10000	/* for auth to (re)start */
#define ANSWER_MS	60000	/* SCRAM may take a while */

static void	on_channel(void *ctx, struct channel *);
static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	failed(struct session *, const char *reason);
static void	cached(struct session *, const struct msg_login_cached *);
static struct str softened(struct session *, struct str dsn);
static unsigned	refused_bits(const struct session *);

static const struct talk_ops talk_ops = { on_message, on_gone };

/* --- configuration --- */

/* A parameter behind "smtp_" or "lmtp_". */
static unsigned
options(struct smtp *s, const char *name, struct problems *p)
{
	char parameter[64];

	snprintf(parameter, sizeof(parameter), "%s_%s", s->lmtp ? "lmtp" :
	    "smtp", name);
	return service_sasl_options(s->service, parameter, p);
}

void
login_open(struct smtp *s, struct problems *p)
{
	const struct smtp_conf *c = &s->conf;
	const char *name = s->lmtp ? "lmtp" : "smtp";
	struct buf why;

	if (!c->sasl_auth_enable)
		return;
	if (c->sasl_password_maps.n == 0)
		problem_add(p, true, NULL, 0, "%s_sasl_auth_enable is set, "
		    "but %s_sasl_password_maps is empty", name, name);
	if (!str_eq(c->sasl_type, STR("cyrus")))
		problem_add(p, true, NULL, 0, "%s_sasl_type: unknown type "
		    STRF ": say cyrus", name, STRV(c->sasl_type));
	s->refused = options(s, "sasl_security_options", p);
	s->tls_refused = options(s, "sasl_tls_security_options", p);
	s->verified_refused = options(s, "sasl_tls_verified_security_options",
	    p);
	buf_init(&why, 2000);
	s->login_filter = c->sasl_mechanism_filter.n == 0 ? NULL :
	    match_list_open(c->sasl_mechanism_filter,
	    conf_dir(service_conf(s->service)),
	    MATCH_WHOLE | MATCH_FIXED, &why);
	if (why.n > 0)
		problem_add(p, true, NULL, 0, "%s_sasl_mechanism_filter: %s",
		    name, buf_cstr(&why));
	buf_free(&why);
}

/* --- a login --- */

bool
login_next(struct session *s)
{
	struct wait_peer *w;

	if (!s->smtp->conf.sasl_auth_enable || s->logged_in ||
	    s->offer.auth.n == 0)
		return false;
	w = service_wait_peer(s->smtp->service, ROLE_AUTH, STR(""),
	    PEER_WAIT_MS, on_channel, s);
	if (w != NULL)
		s->login_wait = w;
	return true;
}

void
login_ask(struct session *s)
{
	struct wait_peer *w;

	s->login_asked = true;
	w = service_wait_peer(s->smtp->service, ROLE_AUTH, STR(""),
	    PEER_WAIT_MS, on_channel, s);
	if (w != NULL)
		s->login_wait = w;
}

static unsigned
refused_bits(const struct session *s)
{
	if (s->tls == NULL)
		return s->smtp->refused;
	return session_trust(s) == TLS_VERIFIED ?
	    s->smtp->verified_refused : s->smtp->tls_refused;
}

static void
on_channel(void *ctx, struct channel *c)
{
	struct session *s = ctx;
	struct smtp *smtp = s->smtp;
	struct str rest = s->login_asked ? STR("") : s->offer.auth, word;
	struct msg_login_begin m = {
		.service = str_of(service_name(smtp->service)),
		.lmtp = smtp->lmtp, .host = s->host,
		.dest = route_site(s->d), .refused = s->login_asked ? 0 : refused_bits(s),
	};
	struct buf offered;

	s->login_wait = NULL;
	if (c == NULL) {
		failed(s, "no process to ask");
		return;
	}
	if (smtp->conf.sender_dependent_authentication && !smtp->lmtp)
		m.sender = s->d->msg.sender;
	buf_init(&offered, 4096);
	while (str_token(&rest, " ", &word))
		if (smtp->login_filter == NULL || match_list_domain(
		    smtp->login_filter, word) == FOUND)
			buf_printf(&offered, STRF " ", STRV(word));
	m.mechanisms = buf_view(&offered);
	s->login = talk_open(c, &talk_ops, s);
	talk_deadline(s->login, ANSWER_MS);
	talk_send(s->login, MSG_login_begin, &m);
	buf_free(&offered);
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct session *s = ctx;
	const struct msg_login_say *say = msg;
	const struct msg_login_failed *no = msg;

	(void)t;
	if (s->login_asked) {
		if (id == MSG_login_say)
			talk_close(&s->login);
		s->login = NULL;
		starttls_plain(s, id == MSG_login_none);
	} else if (id == MSG_login_say) {
		s->login_last = say->last != 0;
		session_say(s, STRF, STRV(say->line));
		session_await(s, AUTH, 0);
		session_flush(s);
	} else if (id == MSG_login_none) {
		s->login = NULL;
		s->no_login = true;
		hello_over(s);
	} else if (id == MSG_login_cached) {
		s->login = NULL;
		cached(s, msg);
	} else if (id == MSG_login_failed) {
		s->login = NULL;
		failed(s, arena_cstr(s->arena, no->reason));
	}
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	s->login = NULL;
	failed(s, why);
}

/* Ours, or the server's lie: try again later, or the next server. */
static void
failed(struct session *s, const char *reason)
{
	struct why why;

	if (s->login_asked) {
		starttls_plain(s, false);
		return;
	}
	why = why_printf(s->d, "4.7.0", "SASL authentication "
	    "failed: %s (server " STRF ")", reason, STRV(s->name));

	why.down = true;
	session_refused(s, &why);
}

/* It has refused this before: smtp_sasl_auth_cache_name. */
static void
cached(struct session *s, const struct msg_login_cached *m)
{
	struct str text = why_line(s->d, m->text);
	struct why why = why_printf(s->d, "", "SASL [CACHED] authentication "
	    "failed; server " STRF " said: " STRF, STRV(s->host), STRV(text));

	why.dsn = softened(s, arena_str(s->d->arena, m->dsn));
	why.remote = arena_str(s->d->arena, s->host);
	why.reply = text;
	why.down = true;
	session_refused(s, &why);
}

/* smtp_sasl_auth_soft_bounce: 5.7.8 is 4.7.8. */
static struct str
softened(struct session *s, struct str dsn)
{
	if (!s->smtp->conf.sasl_auth_soft_bounce || dsn.p[0] != '5')
		return dsn;
	return str_of(arena_printf(s->d->arena, "4" STRF,
	    STRV(str_from(dsn, 1))));
}

void
on_auth(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	struct str text = buf_view(&r->text);
	struct why why;

	(void)a;
	if (r->code == 334 && s->login != NULL) {
		talk_deadline(s->login, ANSWER_MS);
		talk_send(s->login, MSG_login_challenge,
		    &(struct msg_login_challenge){
		    .data = str_trim(str_from(text, 4)) });
		return;
	}
	if (r->code / 100 == 2 && s->login_last) {
		talk_close(&s->login);
		s->logged_in = true;
		s->addr_key = STR("");	/* another destination, another login */
		hello_over(s);
		return;
	}
	if (r->code / 100 <= 3) {
		talk_close(&s->login);
		failed(s, "the server did not prove that it knows the "
		    "password");
		return;
	}
	why = why_reply(s, r, state_request(AUTH));
	why.text = why_printf(s->d, "", "SASL authentication failed; server "
	    STRF " said: " STRF, STRV(s->name), STRV(why.reply)).text;
	if (r->code == 535 && s->login != NULL)
		talk_send(s->login, MSG_login_refused,
		    &(struct msg_login_refused){ .dsn = why.dsn,
		    .text = why.reply });
	talk_close(&s->login);
	why.dsn = softened(s, why.dsn);
	why.down = true;
	session_refused(s, &why);
}

void
login_cancel(struct session *s)
{
	service_wait_cancel(&s->login_wait);
	talk_close(&s->login);
}
