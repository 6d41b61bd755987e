/*
 * starttls - TLS with a server: STARTTLS (RFC 3207) or from the first byte
 * (RFC 8314), and what its certificate proves.
 *
 * What the server said before the handshake is dropped, and it is greeted
 * anew (RFC 3207 4.2). Where TLS is no must, a handshake that failed is tried
 * without it when the message has waited for minimal_backoff_time: as
 * Postfix, so that one fault does not give a message away.
 */
#include <fcntl.h>
#include <stdio.h>

#include "smtp/tls.h"

static void	on_handshake(void *ctx, bool ok);
static void	go(struct session *);

static const struct tls_ops tls_ops = { on_handshake };

#define WORDS_MAX	64	/* names or fingerprints to match */
#define ANCHORS_MAX	(1 << 20)	/* bytes of smtp_tls_trust_anchor_file */

/* --- what main.cf says --- */

static bool
has_certificate(struct smtp *s, struct conf *conf)
{
	static const char *const names[] = { "tls_chain_files",
		"tls_cert_file", "tls_eccert_file", "tls_dcert_file" };
	char name[64];

	for (size_t i = 0; i < nitems(names); i++) {
		snprintf(name, sizeof(name), "%s_%s", s->lmtp ? "lmtp" :
		    "smtp", names[i]);
		if (conf_get(conf, name).n > 0)
			return true;
	}
	return false;
}

/* Before privileges go: the root is empty then. */
static void
read_anchors(struct smtp *s, struct problems *p)
{
	struct str rest = s->conf.tls_trust_anchor_file, path;
	struct arena *arena;
	struct buf pem, why;
	int error = 0;

	if (rest.n == 0)
		return;
	arena = arena_new(ANCHORS_MAX * 4);	/* stays */
	buf_init(&pem, ANCHORS_MAX);
	buf_init(&why, 1000);
	while (error == 0 && conf_list_next(&rest, &path)) {
		error = file_read(AT_FDCWD, arena_cstr(arena, path),
		    ANCHORS_MAX, &pem);
		buf_putc(&pem, '\n');
		if (error != 0)
			buf_printf(&why, STRF ": %s", STRV(path),
			    strerror(error));
	}
	if (error == 0)
		s->nanchors = tls_anchors_read(buf_view(&pem), arena,
		    &s->anchors, &why);
	if (s->nanchors == 0)
		problem_add(p, true, NULL, 0, "%s_tls_trust_anchor_file: %s",
		    s->lmtp ? "lmtp" : "smtp", buf_cstr(&why));
	buf_free(&pem);
	buf_free(&why);
}

void
starttls_open(struct smtp *s, struct problems *p)
{
	const struct smtp_conf *c = &s->conf;
	struct conf *conf = service_conf(s->service);
	struct tls_conf tc = { .grade = STR("medium"), .ca_file = c->tls_CAfile,
		.ca_path = c->tls_CApath,
		.verify_depth = c->tls_scert_verifydepth,
		.session_s = c->tls_session_cache_timeout,
		.digest = c->tls_fingerprint_digest };
	const char *me = s->lmtp ? "lmtp" : "smtp";
	struct buf why;

	s->tls_level = tls_level_of(c);
	if (s->tls_level == LEVEL_INVALID)
		problem_add(p, true, NULL, 0, "%s_tls_security_level: unknown "
		    "level: " STRF, me, STRV(c->tls_security_level));
	if (!str_number(c->tls_loglevel, &s->tls_loglevel))
		problem_add(p, true, NULL, 0, "%s_tls_loglevel: give a number "
		    "from 0 to 4", me);
	if (c->tls_policy_maps.n > 0 && c->tls_per_site.n > 0)
		log_warn("%s_tls_per_site is ignored, since %s_tls_policy_maps "
		    "is not empty", me, me);
	if (s->tls_level <= LEVEL_NONE && c->tls_policy_maps.n == 0 &&
	    c->tls_per_site.n == 0 && !c->tls_wrappermode)
		return;
	read_anchors(s, p);
	buf_init(&why, 2000);
	if (has_certificate(s, conf))
		s->tls_agent = tls_agent_new(s->service);
	s->tls = tls_client_new(&tc, conf, s->tls_agent != NULL ?
	    tls_agent_keys() : NULL, s->tls_agent, &why);
	if (s->tls != NULL && (!tls_words_valid(conf, c->tls_protocols,
	    c->tls_ciphers, c->tls_exclude_ciphers, &why) ||
	    !tls_words_valid(conf, c->tls_mandatory_protocols,
	    c->tls_mandatory_ciphers, c->tls_mandatory_exclude_ciphers, &why)))
		tls_side_free(&s->tls);
	if (s->tls == NULL)
		problem_add(p, true, NULL, 0, "%s_tls: %s", me,
		    buf_cstr(&why));
	if (s->tls_agent != NULL)
		tls_agent_side(s->tls_agent, s->tls);
	buf_free(&why);
}

bool
starttls_varies(const struct smtp *s)
{
	return s->conf.tls_policy_maps.n > 0 || s->conf.tls_per_site.n > 0 ||
	    s->tls_level >= LEVEL_PROVED;
}

/* --- the command --- */

bool
starttls_next(struct session *s)
{
	bool offered = (s->offer.features & OFFER_STARTTLS) != 0;
	enum tls_level level;

	if (s->tls != NULL || s->no_tls)
		return false;
	if (s->tls_policy == NULL) {
		tls_find(s);
		return true;
	}
	level = s->tls_policy->level;
	if (level == LEVEL_NONE && offered &&
	    s->smtp->conf.tls_note_starttls_offer)
		log_info("Host offered STARTTLS: [" STRF "]", STRV(s->host));
	if (level == LEVEL_NONE || (level == LEVEL_MAY && !offered)) {
		s->no_tls = true;
		s->tls_status = TLS_KEPT;
		return false;
	}
	if (!offered) {
		s->tls_status = TLS_BROKEN;
		tls_refused(s, "4.7.4", "TLS is required, but was not offered "
		    "by host " STRF, STRV(s->name));
		return true;
	}
	session_say(s, "STARTTLS");
	session_await(s, STARTTLS, 0);
	session_flush(s);
	return true;
}

void
on_starttls(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	struct why why;

	(void)a;
	if (r->code / 100 == 2) {
		go(s);
		return;
	}
	if (s->tls_policy->level == LEVEL_MAY && !s->broken) {
		s->no_tls = true;
		s->tls_status = TLS_KEPT;
		policy_go(s);
		return;
	}
	if (s->tls_policy->level > LEVEL_MAY)
		s->tls_status = TLS_BROKEN;
	why = why_reply(s, r, "STARTTLS command");
	tls_refused(s, "4.7.4", "TLS is required, but host " STRF
	    " refused to start TLS: " STRF, STRV(s->name), STRV(why.reply));
}

/* smtp_tls_wrappermode: the policy first, then TLS, then the greeting. */
void
starttls_wrap(struct session *s)
{
	s->wrap = true;
	stream_pause(s->stream, true);
	tls_find(s);
}

void
starttls_wrapped(struct session *s)
{
	go(s);
}

/* --- the handshake --- */

struct words { struct str v[WORDS_MAX]; size_t n; };

static void
add_word(struct words *w, struct str word)
{
	if (w->n < WORDS_MAX && word.n > 0)
		w->v[w->n++] = word;
}

/* "nexthop, dot-nexthop:mx.example" as names. */
static void
read_match(struct session *s, struct words *w)
{
	const struct tls_policy *p = s->tls_policy;
	const char *between = p->level == LEVEL_FINGERPRINT ? ", |\t" :
	    ", :\t";
	struct str rest = p->match, nexthop = route_domain(s->d), word;

	while (str_token(&rest, between, &word)) {
		if (p->level == LEVEL_FINGERPRINT)
			add_word(w, word);
		else if (str_eq_nocase(word, STR("hostname")))
			add_word(w, s->host);
		else if (str_eq_nocase(word, STR("nexthop")))
			add_word(w, nexthop);
		else if (str_eq_nocase(word, STR("dot-nexthop")))
			add_word(w, str_of(arena_printf(s->arena, "." STRF,
			    STRV(nexthop))));
		else
			add_word(w, word);
	}
}

/* RFC 7672 8.1: with DANE the name where the records stand. */
static struct str
server_name(const struct session *s)
{
	const struct tls_policy *p = s->tls_policy;

	if (p->ntlsa > 0)
		return p->base;
	if (str_eq_nocase(p->servername, STR("hostname")))
		return s->host;
	if (str_eq_nocase(p->servername, STR("nexthop")))
		return route_domain(s->d);
	return p->servername;
}

static void
put_records(struct buf *key, const struct tls_tlsa *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(key, " %u%u%u", v[i].usage, v[i].selector,
		    v[i].matching);
		base64_encode(v[i].data, key);
	}
}

/* All that a session's proof rests on. */
static struct str
session_key(struct session *s, const struct tls_want *w)
{
	const struct tls_policy *p = s->tls_policy;
	struct buf key;
	struct str out;

	buf_init(&key, 65536);
	buf_printf(&key, STRF ":%u %d " STRF " " STRF " " STRF " " STRF " "
	    STRF, STRV(s->name), s->port, (int)p->level, STRV(p->protocols),
	    STRV(p->grade), STRV(p->exclude), STRV(w->server_name),
	    STRV(p->match));
	for (size_t i = 0; i < w->nnames; i++)
		buf_printf(&key, " " STRF, STRV(w->names[i]));
	put_records(&key, w->tlsa, w->ntlsa);
	put_records(&key, w->anchors, w->nanchors);
	out = key.full ? STR("") : arena_str(s->arena, buf_view(&key));
	buf_free(&key);
	return out;
}

static void
go(struct session *s)
{
	const struct tls_policy *p = s->tls_policy;
	struct words match = { .n = 0 };
	struct tls_want w = { .protocols = p->protocols, .grade = p->grade,
		.tlsa = p->tlsa, .ntlsa = p->ntlsa, .base = p->base };
	struct buf why;

	read_match(s, &match);
	if (p->ntlsa > 0)
		add_word(&match, route_domain(s->d));
	w.names = w.prints = match.v;
	if (p->level == LEVEL_FINGERPRINT)
		w.nprints = match.n;
	else
		w.nnames = match.n;
	if (p->level == LEVEL_VERIFY || p->level == LEVEL_SECURE) {
		w.anchors = p->own_anchors ? p->anchors : s->smtp->anchors;
		w.nanchors = p->own_anchors ? p->nanchors : s->smtp->nanchors;
	}
	w.exclude = p->level > LEVEL_MAY && !p->own_exclude ? str_of(arena_printf(s->arena, STRF
	    " " STRF, STRV(p->exclude), STRV(
	    s->smtp->conf.tls_mandatory_exclude_ciphers))) : p->exclude;
	w.server_name = server_name(s);
	if (s->smtp->conf.tls_session_cache_timeout > 0)
		w.key = session_key(s, &w);
	if (s->smtp->tls_loglevel >= 2)
		log_info("setting up TLS connection to " STRF,
		    STRV(s->relay));
	buf_init(&why, 1000);
	s->tls = tls_connect(s->smtp->tls, s->stream, &w, &tls_ops, s, &why);
	if (s->tls == NULL) {
		log_warn("TLS to " STRF ": %s", STRV(s->relay),
		    buf_cstr(&why));
		tls_refused(s, "4.7.5", "client TLS configuration problem");
	} else
		session_timer(s, HANDSHAKE);
	buf_free(&why);
}

/* The host is what it says, but another could have been named as the MX. */
enum tls_trust
session_trust(const struct session *s)
{
	enum tls_trust trust = tls_info(s->tls)->trust;

	return trust == TLS_VERIFIED && s->forged_mx &&
	    s->tls_policy->level == LEVEL_DANE ? TLS_TRUSTED : trust;
}

void
starttls_status(const struct session *s, struct buf *out)
{
	const struct tls_policy *p = s->tls_policy;

	if (p == NULL) {		/* no greeting yet, or TLS has failed */
		buf_puts(out, s->no_tls ? "may:none" : "");
		return;
	}
	if (s->tls_status == TLS_BROKEN)
		buf_putc(out, '!');
	if (p->level == LEVEL_DANE && s->forged_mx)
		buf_puts(out, "half-dane");
	else
		buf_puts(out, tls_level_name(p->level));
	if (s->tls_status == TLS_KEPT && s->no_tls && p->level != LEVEL_NONE)
		buf_puts(out, ":none");
	if (s->tls_status == TLS_OPEN)
		buf_putc(out, '?');
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

	if (s->smtp->tls_loglevel < 1)
		return;
	buf_init(&text, 1000);
	tls_print(s->tls, " ", &text);
	log_info("%s TLS connection established to " STRF ": %s",
	    words[session_trust(s)], STRV(s->relay), buf_cstr(&text));
	if (s->smtp->tls_loglevel >= 2 && i->trust != TLS_ANONYMOUS)
		log_info(STRF ": subject_CN=" STRF ", issuer_CN=" STRF
		    ", fingerprint=" STRF ", pkey_fingerprint=" STRF,
		    STRV(s->relay), STRV(i->subject), STRV(i->issuer),
		    STRV(i->cert_print), STRV(i->key_print));
	buf_free(&text);
}

/* Has it waited so long that it may go without TLS? A probe need not. */
static bool
may_go_plain(const struct session *s)
{
	const struct msg_deliver *m = &s->d->msg;
	int64_t least = conf_number(service_conf(s->smtp->service),
	    "minimal_backoff_time");

	return s->tls_policy->level == LEVEL_MAY && !s->wrap &&
	    ((m->flags & DELIVER_VERIFY) != 0 ||
	    (m->active_us >= m->arrival_us && (int64_t)((m->active_us -
	    m->arrival_us) / 1000000) >= least));
}

bool
starttls_retries_plain(const struct session *s)
{
	return s->tls != NULL && s->tls_status == TLS_KEPT && !s->reused &&
	    !s->handed && may_go_plain(s) && delivery_left(s->d) > 0 &&
	    (!s->smtp->conf.sasl_auth_enable || s->no_login);
}

void
starttls_plain(struct session *s, bool may)
{
	if (may)
		route_plain(s->d);
	else
		tls_refused(s, "4.7.5",
		    "Cannot start TLS: handshake failure");
}

static void
on_handshake(void *ctx, bool ok)
{
	struct session *s = ctx;
	const struct tls_info *i;

	session_hold(s);
	if (!ok) {
		log_info("SSL_connect error to " STRF ": %s", STRV(s->relay),
		    tls_error(s->tls));
		tls_log_errors();
		s->broken = true;
		/* Who logs in there does not go on without TLS. */
		if (may_go_plain(s) && s->smtp->conf.sasl_auth_enable)
			login_ask(s);
		else
			starttls_plain(s, may_go_plain(s));
		session_unhold(s);
		return;
	}
	log_session(s);
	i = tls_info(s->tls);
	s->tls_status = s->tls_policy->level >= LEVEL_PROVED &&
	    i->trust != TLS_VERIFIED ? TLS_BROKEN : TLS_KEPT;
	if (s->tls_status == TLS_BROKEN)
		tls_refused(s, "4.7.5", i->trust == TLS_TRUSTED ?
		    "Server certificate not verified" :
		    "Server certificate not trusted");
	else if (s->wrap) {
		stream_pause(s->stream, false);
		session_timer(s, GREETING);
	} else
		hello_send(s, true);
	session_unhold(s);
}
