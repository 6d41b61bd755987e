/*
 * starttls - TLS for clients: STARTTLS (RFC 3207) and from the first byte
 * (RFC 8314, smtpd_tls_wrappermode).
 *
 * Nothing that came before the handshake is used after it (RFC 3207 4.2, 6;
 * CVE-2011-0411): the stream drops what it has read, and the session begins
 * anew. Keys are tlskey's.
 */
#include "smtpd/smtpd.h"

static void	on_handshake(void *ctx, bool ok);
static void	new_session_counted(struct session *, bool ok);
static void	on_listed(void *ctx, struct talk *, enum msg, const void *);
static void	on_listed_gone(void *ctx, struct talk *, const char *why);
static void	begin(struct session *);
static void	go_on(struct session *);

static const struct tls_ops tls_ops = { on_handshake };
static const struct talk_ops listed_ops = { on_listed, on_listed_gone };

#define WAIT_MS		50	/* between two looks */
#define WAITS_MAX	200

/* --- what main.cf wants --- */

static enum tls_level
level_of(const struct smtpd_conf *conf, struct problems *p)
{
	struct str level = conf->smtpd_tls_security_level;

	/* No client of such a port can say anything without it. */
	if (conf->smtpd_tls_wrappermode)
		return LEVEL_ENCRYPT;
	if (level.n == 0 && conf->smtpd_enforce_tls)
		return LEVEL_ENCRYPT;
	if (level.n == 0)
		return conf->smtpd_use_tls ? LEVEL_MAY : LEVEL_NONE;
	if (str_eq_nocase(level, STR("none")))
		return LEVEL_NONE;
	if (str_eq_nocase(level, STR("may")))
		return LEVEL_MAY;
	if (!str_eq_nocase(level, STR("encrypt")))
		problem_add(p, true, NULL, 0, "smtpd_tls_security_level: "
		    STRF ": say none, may or encrypt", STRV(level));
	return LEVEL_ENCRYPT;
}

/* The stricter values hold where TLS is a must; both exclude. */
static void
fill_conf(struct smtpd *d, struct tls_conf *tc)
{
	const struct smtpd_conf *conf = &d->conf;
	bool must = d->tls_level == LEVEL_ENCRYPT;

	*tc = (struct tls_conf){
		.protocols = must ? conf->smtpd_tls_mandatory_protocols :
		    conf->smtpd_tls_protocols,
		.grade = must ? conf->smtpd_tls_mandatory_ciphers :
		    conf->smtpd_tls_ciphers,
		.exclude = conf->smtpd_tls_exclude_ciphers,
		.eecdh_grade = conf->smtpd_tls_eecdh_grade,
		.ca_file = conf->smtpd_tls_CAfile,
		.ca_path = conf->smtpd_tls_CApath,
		.verify_depth = conf->smtpd_tls_ccert_verifydepth,
		.session_s = conf_number(service_conf(d->service),
		    "smtpd_tls_session_cache_timeout"),
		.digest = conf->smtpd_tls_fingerprint_digest,
		.service = str_of(service_name(d->service)),
		.ask_cert = conf->smtpd_tls_ask_ccert,
		/* As Postfix: a must only where TLS is one. */
		.need_cert = must && conf->smtpd_tls_req_ccert,
	};
	if (must)
		tc->exclude = str_of(arena_printf(d->arena, STRF " " STRF,
		    STRV(conf->smtpd_tls_exclude_ciphers),
		    STRV(conf->smtpd_tls_mandatory_exclude_ciphers)));
}

void
starttls_open(struct smtpd *d, struct problems *p)
{
	struct tls_conf tc;
	struct buf why;

	d->tls_level = level_of(&d->conf, p);
	if (!str_number(d->conf.smtpd_tls_loglevel, &d->tls_loglevel))
		problem_add(p, true, NULL, 0, "smtpd_tls_loglevel: give a "
		    "number from 0 to 4");
	if (d->tls_level == LEVEL_NONE)
		return;
	fill_conf(d, &tc);
	buf_init(&why, 2000);
	d->tls_agent = tls_agent_new(d->service);
	d->tls = tls_server_new(&tc, service_conf(d->service),
	    tls_agent_keys(), d->tls_agent, &why);
	if (d->tls == NULL)
		problem_add(p, true, NULL, 0, "smtpd_tls: %s",
		    buf_cstr(&why));
	tls_agent_side(d->tls_agent, d->tls);
	buf_free(&why);
}

bool
starttls_offered(const struct session *s)
{
	const struct smtpd *d = s->smtpd;

	return d->tls_level != LEVEL_NONE && s->tls == NULL &&
	    (d->tls_level == LEVEL_ENCRYPT || tls_side_ready(d->tls) ||
	    !tls_agent_heard(d->tls_agent));
}

/*
 * Right after a start tlskey still reads its files: whoever wants TLS waits
 * for it, so that no client learns that there is none.
 */
static void
on_wait(void *ctx)
{
	struct session *s = ctx;

	if (!tls_side_ready(s->smtpd->tls) &&
	    !tls_agent_heard(s->smtpd->tls_agent) &&
	    ++s->tls_waits < WAITS_MAX)
		timer_set(s->tls_wait, WAIT_MS);
	else
		begin(s);
}

static void
begin_when_heard(struct session *s)
{
	if (tls_side_ready(s->smtpd->tls) ||
	    tls_agent_heard(s->smtpd->tls_agent)) {
		begin(s);
		return;
	}
	wait_begin(s);
	s->tls_wait = timer_new(s->smtpd->loop, on_wait, s);
	timer_set(s->tls_wait, WAIT_MS);
}

/* There are chains, or there will be none: say so, or begin. */
static void
begin(struct session *s)
{
	bool wrap = s->smtpd->conf.smtpd_tls_wrappermode;

	if (tls_side_ready(s->smtpd->tls)) {
		if (!wrap)
			reply(s, "220 2.0.0 Ready to start TLS");
		session_enter(s, TLS);
		session_begin_tls(s);
		return;
	}
	log_warn("TLS is not available: there is no certificate; see "
	    "smtpd_tls_chain_files, smtpd_tls_cert_file");
	if (wrap) {
		session_close(s, "lost connection");
		return;
	}
	reply(s, "454 4.7.0 TLS not available due to local problem");
	if (s->state == WAIT)
		wait_over(s, COMMAND);
}

/* --- the command --- */

void
cmd_starttls(struct session *s, struct str arg)
{
	struct smtpd *d = s->smtpd;

	if (arg.n > 0) {
		reply(s, "501 5.5.4 Syntax: STARTTLS");
		return;
	}
	if (s->tls != NULL) {
		reply(s, "554 5.5.1 Error: TLS already active");
		return;
	}
	if (d->tls_level == LEVEL_NONE ||
	    keyword_discarded(s, "STARTTLS")) {
		reply(s, "502 5.5.1 Error: command not implemented");
		return;
	}
	if (!session_injected(s))
		begin_when_heard(s);
}

/* smtpd_tls_loglevel_maps: by name, by address; DUNNO ends the search. */
static uint64_t
loglevel_of(struct session *s)
{
	struct smtpd *d = s->smtpd;
	uint64_t level = d->tls_loglevel;
	enum found found = NONE;
	struct buf key, value;

	if (tables_empty(d->tls_loglevels))
		return level;
	buf_init(&key, 2000);
	buf_init(&value, TABLE_VALUE_MAX);
	if (!str_eq(s->name, STR("unknown")))
		found = tables_find_access_domain(d->tls_loglevels,
		    d->tls_parents, s->name, &key, &value);
	if (found == NONE)
		found = tables_find_access_addr(d->tls_loglevels, s->addr,
		    &key, &value);
	if (found == RETRY)
		log_warn("smtpd_tls_loglevel_maps: %s",
		    tables_error(d->tls_loglevels));
	if (found == FOUND &&
	    !str_eq_nocase(buf_view(&value), STR("DUNNO")) &&
	    !str_number(buf_view(&value), &level)) {
		log_warn("smtpd_tls_loglevel_maps: bad level: %s",
		    buf_cstr(&value));
		level = d->tls_loglevel;
	}
	buf_free(&key);
	buf_free(&value);
	return level;
}

/* The last plaintext is on its way; what the client sent is dropped. */
void
starttls_go(struct session *s)
{
	s->tls_loglevel = loglevel_of(s);
	if (s->tls_loglevel >= 2)
		log_info("setting up TLS connection from " STRF, STRV(s->who));
	s->tls = tls_accept(s->smtpd->tls, s->stream, &tls_ops, s);
	session_timer(s);
}

void
starttls_wrap(struct session *s)
{
	begin_when_heard(s);
}

static void
log_session(struct session *s)
{
	static const char *const words[] = {
		[TLS_ANONYMOUS] = "Anonymous", [TLS_UNTRUSTED] = "Untrusted",
		[TLS_TRUSTED] = "Trusted", [TLS_VERIFIED] = "Verified",
	};
	const struct tls_info *i = tls_info(s->tls);
	struct buf text;

	buf_init(&text, 1000);
	tls_print(s->tls, " ", &text);
	if (s->tls_loglevel >= 2 && i->trust != TLS_ANONYMOUS)
		log_info(STRF ": subject_CN=" STRF ", issuer_CN=" STRF
		    ", fingerprint=" STRF ", pkey_fingerprint=" STRF,
		    STRV(s->who), STRV(i->subject),
		    STRV(i->issuer), STRV(i->cert_print), STRV(i->key_print));
	if (s->tls_loglevel >= 1)
		log_info("%s TLS connection established from " STRF "%s" STRF
		    ": %s", words[i->trust], STRV(s->who),
		    i->server_name.n > 0 ? " to " : "",
		    STRV(i->server_name), buf_cstr(&text));
	buf_free(&text);
}

static void
on_handshake(void *ctx, bool ok)
{
	struct session *s = ctx;

	if (!ok) {
		log_info("SSL_accept error from " STRF ": %s", STRV(s->who),
		    tls_error(s->tls));
		tls_log_errors();
		session_close(s, "lost connection");
		return;
	}
	log_session(s);
	wait_begin(s);
	if (tls_info(s->tls)->resumed)
		new_session_counted(s, true);
	else
		limit_event(s, CLIENT_TLS, new_session_counted);
}

static void
new_session_counted(struct session *s, bool ok)
{
	const struct smtpd *d = s->smtpd;
	const struct tls_info *i = tls_info(s->tls);
	struct channel *c;

	if (!ok)
		return;
	if (d->tls_level == LEVEL_ENCRYPT && d->conf.smtpd_tls_req_ccert &&
	    i->trust < TLS_TRUSTED) {
		log_info("NOQUEUE: abort: TLS from " STRF ": %s",
		    STRV(s->who), i->trust == TLS_ANONYMOUS ?
		    "No client certificate presented" :
		    "Client certificate not trusted");
		reply_close(s, "421 4.7.1 " STRF " Error: %s",
		    STRV(d->myhostname), i->trust == TLS_ANONYMOUS ?
		    "No client certificate presented" :
		    "Client certificate not trusted");
		return;
	}
	c = service_peer(d->service, ROLE_LOOKUP, STR(""));
	if (!peer_has_cert(s) || c == NULL) {
		go_on(s);
		return;
	}
	s->ask = talk_open(c, &listed_ops, s);
	talk_deadline(s->ask, d->conf.ipc_timeout * 1000);
	talk_send(s->ask, MSG_access_ask, &(struct msg_access_ask){
	    .tables = STR("relay_clientcerts"), .kind = ACCESS_EXACT,
	    .subject = i->cert_print, .subject_addr = i->key_print,
	    .service = str_of(service_name(d->service)) });
}

/* Of local_header_rewrite_clients: without an answer it is a stranger. */
static void
on_listed(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_access_answer *m = msg;
	struct session *s = ctx;

	(void)t;
	(void)id;
	s->ask = NULL;
	s->local |= m->found == FOUND;
	go_on(s);
}

static void
on_listed_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	log_warn("lookup: %s", why);
	s->ask = NULL;
	go_on(s);
}

/* RFC 3207 4.2: all that was known of the client is forgotten. */
static void
go_on(struct session *s)
{
	if (s->smtpd->conf.smtpd_tls_wrappermode) {
		greet(s);
		return;
	}
	session_forget(s);
	wait_over(s, COMMAND);
}
