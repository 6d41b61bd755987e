/*
 * command - the greeting and the small commands.
 *
 * RFC 5321 4.1.1.1 (EHLO, HELO), 4.1.1.5 to 4.1.1.10; RFC 1985 (ETRN);
 * RFC 2033 (LHLO). Keywords of the reply to EHLO stand in Postfix's order.
 */
#include "address/address.h"
#include "smtpd/smtpd.h"

#define SAID_LINE 200	/* of EHLO: XCLIENT and its names */

static void greet_counted(struct session *, bool ok);
static void greet_checked(struct session *, enum outcome);
static void hello(struct session *, struct str name, bool esmtp, bool lmtp);
static void hello_checked(struct session *, enum outcome);
static void hello_listed(struct session *);
static void log_discards(const struct session *);
static void capabilities(struct session *);
static void etrn_checked(struct session *, enum outcome);
static void etrn_ask(struct session *);
static void etrn_answer(void *ctx, struct talk *, enum msg, const void *);
static void etrn_lost(void *ctx, struct talk *, const char *why);

void
greet(struct session *s)
{
	struct smtpd *d = s->smtpd;

	s->command = 0;
	if (d->conf.service_session_limit > 0 &&
	    d->nsessions > (size_t)d->conf.service_session_limit) {
		log_warn("too many sessions, limit %lld: " STRF,
		    (long long)d->conf.service_session_limit, STRV(s->who));
		reply_close(s, "421 4.3.2 " STRF
		    " Error: too many connections", STRV(d->myhostname));
		return;
	}
	wait_begin(s);
	limit_event(s, CLIENT_CONNECT, greet_counted);
}

static void
greet_counted(struct session *s, bool ok)
{
	if (ok)
		access_check(s, AT_CLIENT, STR(""), greet_checked);
}

static void
greet_checked(struct session *s, enum outcome outcome)
{
	/* Refused: the reply stands in for the greeting, RFC 5321 3.1. */
	if (outcome != REFUSED)
		reply_more(s, "220 " STRF, STRV(s->smtpd->conf.smtpd_banner));
	wait_over(s, COMMAND);
}

void
cmd_helo(struct session *s, struct str arg)
{
	hello(s, arg, false, false);
}

void
cmd_ehlo(struct session *s, struct str arg)
{
	hello(s, arg, true, false);
}

void
cmd_lhlo(struct session *s, struct str arg)
{
	if (!s->smtpd->conf.smtpd_lmtp_enable) {
		reply(s, "500 5.5.2 Error: command not recognized");
		return;
	}
	hello(s, arg, true, true);
}

/* RFC 5321 4.1.4: a new greeting ends the transaction. */
static void
hello(struct session *s, struct str name, bool esmtp, bool lmtp)
{
	/* Names with blanks come from simple devices: the first word counts. */
	name = str_first(name, str_chr(name, ' '));
	if (name.n == 0) {
		reply(s, "501 Syntax: " STRF " hostname", STRV(s->where));
		return;
	}
	transaction_reset(s);
	s->esmtp = esmtp;
	s->lmtp = lmtp;
	keep(&s->helo, str_first(name, 1000));
	wait_begin(s);
	access_check(s, AT_HELO, s->helo.str, hello_checked);
}

static void
hello_checked(struct session *s, enum outcome outcome)
{
	if (outcome == REFUSED)
		keep(&s->helo, STR(""));
	else if (s->esmtp) {
		s->mechanisms_known = false;
		auth_list(s, hello_listed);
		return;
	} else
		reply(s, "250 " STRF, STRV(s->smtpd->myhostname));
	wait_over(s, COMMAND);
}

static void
hello_listed(struct session *s)
{
	log_discards(s);
	if (s->no_discards) {
		log_warn("don't know what EHLO features to announce to " STRF,
		    STRV(s->who));
		session_data_error(s);
		return;
	}
	capabilities(s);
	wait_over(s, COMMAND);
}

void
keywords_known(struct session *s)
{
	struct smtpd *d = s->smtpd;
	struct buf words;

	s->discards = d->conf.smtpd_discard_ehlo_keywords;
	s->no_discards = false;
	if (tables_empty(d->discards))
		return;
	buf_init(&words, TABLE_VALUE_MAX);
	switch (tables_get(d->discards, s->addr, &words)) {
	case FOUND:
		s->discards = arena_str(s->arena, buf_view(&words));
		break;
	case NONE:
		break;
	case RETRY:
		log_warn("smtpd_discard_ehlo_keyword_address_maps: %s",
		    tables_error(d->discards));
		s->no_discards = true;
		break;
	}
	buf_free(&words);
}

bool
keyword_discarded(const struct session *s, const char *name)
{
	struct str list = s->discards, item;

	while (conf_list_next(&list, &item))
		if (str_eq_nocase(item, str_of(name)))
			return true;
	return false;
}

/* In Postfix's order and words. */
static void
log_discards(const struct session *s)
{
	static const char *const all[] = { "8BITMIME", "AUTH", "ETRN",
		"PIPELINING", "SIZE", "VERP", "VRFY", "XCLIENT", "XFORWARD",
		"STARTTLS", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8",
		"CHUNKING", "REQUIRETLS" };
	struct buf words;

	if (s->discards.n == 0 || keyword_discarded(s, "ENHANCEDSTATUSCODES") ||
	    keyword_discarded(s, "SILENT-DISCARD"))
		return;
	buf_init(&words, 1024);
	for (size_t i = 0; i < nitems(all); i++)
		if (keyword_discarded(s, all[i]))
			buf_printf(&words, " %s", all[i]);
	if (words.n > 0)
		log_info("discarding EHLO keywords:%s", buf_cstr(&words));
	buf_free(&words);
}

static void
said_lines(char *xclient, char *xforward)
{
	struct buf b;

	buf_init(&b, SAID_LINE - 16);
	xclient_names(false, &b);
	snprintf(xclient, SAID_LINE, "XCLIENT%s", buf_cstr(&b));
	buf_clear(&b);
	xclient_names(true, &b);
	snprintf(xforward, SAID_LINE, "XFORWARD%s", buf_cstr(&b));
	buf_free(&b);
}

/* Each line waits until it is known whether it is the last. */
static void
capabilities(struct session *s)
{
	struct smtpd *d = s->smtpd;
	char size[32] = "SIZE", auth[1020], old_auth[1020];
	char xclient[SAID_LINE], xforward[SAID_LINE];
	const struct { const char *keyword, *line; bool on; } all[] = {
		{ "PIPELINING", "PIPELINING", true },
		{ "SIZE", size, true },
		{ "VRFY", "VRFY", !d->conf.disable_vrfy_command },
		{ "EXPN", "EXPN", d->conf.smtpd_expn_enable },
		{ "ETRN", "ETRN", !s->lmtp },
		{ "STARTTLS", "STARTTLS", starttls_offered(s) },
		{ "AUTH", auth, auth_is_offered(s) },
		{ "AUTH", old_auth, auth_is_offered(s) &&
		    d->conf.broken_sasl_auth_clients },
		{ "VERP", "XVERP", verp_allowed(s) },
		{ "ENHANCEDSTATUSCODES", "ENHANCEDSTATUSCODES", true },
		{ "8BITMIME", "8BITMIME", true },
		{ "DSN", "DSN", true },
		{ "SMTPUTF8", "SMTPUTF8", d->smtputf8 },
		{ "XCLIENT", xclient, xclient_allowed(s) },
		{ "XFORWARD", xforward, xforward_allowed(s) },
		{ "CHUNKING", "CHUNKING", true },
	};
	char host[256];

	snprintf(host, sizeof(host), STRF, STRV(d->myhostname));
	if (d->message_size_limit > 0)
		snprintf(size, sizeof(size), "SIZE %lld",
		    (long long)d->message_size_limit);
	said_lines(xclient, xforward);
	snprintf(auth, sizeof(auth), "AUTH " STRF, STRV(s->mechanisms.str));
	snprintf(old_auth, sizeof(old_auth), "AUTH=" STRF,
	    STRV(s->mechanisms.str));
	const char *held = host;

	for (size_t i = 0; i < nitems(all); i++) {
		if (!all[i].on || keyword_discarded(s, all[i].keyword))
			continue;
		reply_more(s, "250-%s", held);
		held = all[i].line;
	}
	reply(s, "250 %s", held);
}

void
cmd_rset(struct session *s, struct str arg)
{
	(void)arg;
	transaction_reset(s);
	reply(s, "250 2.0.0 Ok");
}

void
cmd_noop(struct session *s, struct str arg)
{
	(void)arg;
	reply(s, "250 2.0.0 Ok");
}

void
cmd_quit(struct session *s, struct str arg)
{
	(void)arg;
	s->tally[s->command].good++;
	/* TLS says farewell before it closes. */
	s->quit = s->ahead.n == 0 && !session_has_tls(s);
	reply_close(s, "221 2.0.0 Bye");
}

void
cmd_help(struct session *s, struct str arg)
{
	(void)arg;
	reply_more(s, "214-2.0.0 HELO EHLO MAIL RCPT DATA BDAT AUTH RSET NOOP "
	    "VRFY ETRN HELP QUIT");
	reply(s, "214 2.0.0 Questions about this server: postmaster@" STRF,
	    STRV(s->smtpd->myhostname));
}

/* RFC 5321 3.5.3, 7.3: always 252, so that nobody can list our users. */
void
cmd_vrfy(struct session *s, struct str arg)
{
	struct arena *a;
	struct str address, in = arg;

	if (s->smtpd->conf.disable_vrfy_command) {
		reply(s, "502 5.5.1 VRFY command is disabled");
		return;
	}
	a = arena_new(8192);
	/* SMTPUTF8 may follow the address: RFC 6531 3.7.4.2. */
	if (str_ends_nocase(in, STR(" SMTPUTF8")))
		in = str_trim(str_first(in, in.n - 9));
	if (in.n == 0)
		reply(s, "501 5.5.4 Syntax: VRFY address%s",
		    s->smtpd->smtputf8 ? " [SMTPUTF8]" : "");
	else if (address_read_path(&in, false, s->smtpd->smtputf8, a, &address) !=
	    PATH_OK || address.n == 0 || in.n > 0)
		reply(s, "501 5.1.3 Bad recipient address syntax");
	else
		reply(s, "252 2.0.0 " STRF, STRV(address));
	arena_free(&a);
}

void
cmd_expn(struct session *s, struct str arg)
{
	if (!s->smtpd->conf.smtpd_expn_enable) {
		reply(s, "502 5.5.1 EXPN command is disabled");
		return;
	}
	cmd_vrfy(s, arg);
}

/* RFC 1985: "@domain" asks for subdomains, "#name" for a queue: not here. */
void
cmd_etrn(struct session *s, struct str arg)
{
	struct str site = arg;

	if (arg.n == 0 || str_chr(arg, ' ') < arg.n) {
		reply(s, "500 Syntax: ETRN domain");
		return;
	}
	if (site.n > 0 && site.p[0] == '@')
		site = str_from(site, 1);
	if (!address_hostname_valid(site)) {
		reply(s, "501 Error: invalid parameter syntax");
		return;
	}
	keep(&s->site, site);
	wait_begin(s);
	access_check(s, AT_ETRN, s->site.str, etrn_checked);
}

static void
etrn_checked(struct session *s, enum outcome outcome)
{
	if (outcome == REFUSED)
		wait_over(s, COMMAND);
	else
		etrn_ask(s);
}

/* qmgr knows which mail is for it, and whether it may be flushed. */
static void
etrn_ask(struct session *s)
{
	static const struct talk_ops ops = { etrn_answer, etrn_lost };
	struct channel *c =
	    service_peer(s->smtpd->service, ROLE_QMGR, STR(""));

	if (c == NULL) {
		etrn_lost(s, NULL, "no queue manager");
		return;
	}
	s->ask = talk_open(c, &ops, s);
	talk_deadline(s->ask, s->smtpd->conf.ipc_timeout * 1000);
	talk_send(s->ask, MSG_flush_site, &(struct msg_flush_site){
	    .site = s->site.str });
}

static void
etrn_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_flush_done *m = msg;
	struct session *s = ctx;

	(void)t;
	assert(id == MSG_flush_done);
	s->ask = NULL;
	if (m->status == FLUSH_OK) {
		reply(s, "250 Queuing started");
	} else if (m->status == FLUSH_DENY) {
		log_warn("reject: ETRN " STRF "... from " STRF,
		    STRV(str_first(s->site.str, 100)), STRV(s->who));
		reply(s, "459 <" STRF ">: service unavailable",
		    STRV(s->site.str));
	} else {
		reply(s, "458 Unable to queue messages");
	}
	wait_over(s, COMMAND);
}

static void
etrn_lost(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	s->ask = NULL;
	log_warn("unable to talk to fast flush service: %s", why);
	reply(s, "458 Unable to queue messages");
	wait_over(s, COMMAND);
}
