/*
 * session - one SMTP client, from greeting to goodbye (RFC 5321).
 *
 * All that the protocol allows is in two tables: commands[] says what a
 * client may say and when, states[] who reads what it sends next. refusals[]
 * says what it hears when it is not allowed. A handler returns after it has
 * posted a reply, or has entered WAIT for another process whose answer will.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "smtpd/smtpd.h"

enum {				/* what a command needs */
	NEED_HELO = 1 << 0,	/* where smtpd_helo_required */
	NEED_MAIL = 1 << 1,	/* a transaction, for RCPT */
	NEED_TX	  = 1 << 8,	/* a transaction, for content */
	NEED_RCPT = 1 << 2,	/* and somebody in it */
	NOT_IN_TX = 1 << 3,
	NOT_BDAT  = 1 << 4,	/* not between the chunks of a message */
	NO_ARG	  = 1 << 5,
	NEED_TLS  = 1 << 10,	/* where smtpd_tls_security_level = encrypt */
	LAST	  = 1 << 6,	/* ends a pipelined group: RFC 2920 3.1 */
	JUNK	  = 1 << 7,	/* does nothing: counted */
	NO_MAIL	  = 1 << 9,	/* not in a transaction, for AUTH */
	NO_ETRN	  = 1 << 11,	/* nor for ETRN, in other words */
};

static size_t	on_command(struct session *, struct str in);
static size_t	on_discard(struct session *, struct str in);

/* read: takes bytes, returns how many; 0: not yet enough. NULL: reads none. */
static const struct state_def {
	const char *name;
	size_t	  (*read)(struct session *, struct str in);
} states[] = {
	[GREET]	  = { "greet",	 NULL },
	[COMMAND] = { "command", on_command },
	[AUTH]	  = { "auth",	 on_auth_line },
	[DATA]	  = { "data",	 on_data },
	[BDAT]	  = { "bdat",	 on_chunk },
	[SKIP]	  = { "skip",	 on_skipped },
	[TLS]	  = { "tls",	 NULL },
	[WAIT]	  = { "wait",	 NULL },
	[CLOSE]	  = { "close",	 on_discard },
};

static const struct command {
	const char *verb;
	void	  (*run)(struct session *, struct str arg);
	unsigned    flags;
} commands[] = {
	/* In the order of the line "disconnect from". */
	{ "HELO",     cmd_helo,	    LAST },
	{ "EHLO",     cmd_ehlo,	    LAST },
	{ "LHLO",     cmd_lhlo,	    LAST },
	{ "STARTTLS", cmd_starttls, LAST },
	{ "AUTH",     cmd_auth,	    NEED_TLS | NEED_HELO | NO_MAIL },
	{ "XCLIENT",  cmd_xclient,  NO_MAIL },
	{ "XFORWARD", cmd_xforward, NO_MAIL },
	{ "MAIL",     cmd_mail,	    NEED_TLS | NEED_HELO | NOT_IN_TX },
	{ "RCPT",     cmd_rcpt,	    NEED_TLS | NEED_MAIL | NOT_BDAT },
	{ "DATA",     cmd_data,	    NEED_TLS | NEED_TX | NOT_BDAT |
				    NEED_RCPT | NO_ARG | LAST },
	{ "BDAT",     cmd_bdat,	    NEED_TLS },
	{ "RSET",     cmd_rset,	    NEED_TLS | NO_ARG | JUNK },
	{ "NOOP",     cmd_noop,	    LAST | JUNK },
	{ "VRFY",     cmd_vrfy,	    NEED_TLS | NEED_HELO | LAST | JUNK },
	{ "EXPN",     cmd_expn,	    NEED_TLS | NEED_HELO | LAST | JUNK },
	{ "ETRN",     cmd_etrn,	    NEED_TLS | NEED_HELO | NO_ETRN | JUNK },
	{ "HELP",     cmd_help,	    JUNK },
	{ "QUIT",     cmd_quit,	    0 },
};
#define UNKNOWN nitems(commands)	/* its place in the tally */
_Static_assert(UNKNOWN < TALLY_MAX, "TALLY_MAX is too small");

static const struct {
	unsigned    flag;
	const char *reply;
} refusals[] = {
	{ NEED_TLS,  "530 5.7.0 Must issue a STARTTLS command first" },
	{ NEED_HELO, "503 5.5.1 Error: send HELO/EHLO first" },
	{ NOT_BDAT,  "503 5.5.1 Error: %s after BDAT" },
	{ NOT_IN_TX, "503 5.5.1 Error: nested MAIL command" },
	{ NO_MAIL,   "503 5.5.1 Error: MAIL transaction in progress" },
	{ NO_ETRN,   "503 Error: MAIL transaction in progress" },
	{ NEED_MAIL, "503 5.5.1 Error: need MAIL command" },
	{ NEED_TX,   "503 5.5.1 Error: need RCPT command" },
	{ NEED_RCPT, "554 5.5.1 Error: no valid recipients" },
	{ NO_ARG,    "501 5.5.4 Syntax: %s" },
};

static size_t	on_input(void *ctx, struct str in);
static void	on_eof(void *ctx);
static void	on_error(void *ctx, int err);
static void	on_timeout(void *ctx);
static void	on_drained(void *ctx);
static void	on_delay(void *ctx);

static const struct stream_ops stream_ops = {
	.on_input = on_input, .on_eof = on_eof, .on_error = on_error,
	.on_timeout = on_timeout, .on_drained = on_drained,
};

#define SESSION_MEMORY	(256 * 1024)	/* helo, addresses, held replies */
#define CLOSE_WAIT_MS	5000		/* for the peer to take a last reply */
#define UNSENT_MAX	65536		/* replies that a client won't read */

static void	session_named(struct session *);
static bool	holds(const struct session *, unsigned flag, struct str arg);
static void	refuse(struct session *, const char *text, const char *verb);
static void	read_command(struct session *, struct str line);
static void	run_command(struct session *, struct str line);
static bool	sent_ahead(struct session *, unsigned flags);
static void	put_reply(struct session *, struct str text);
static void	put_line(struct session *, struct str text);
static void	hold_reply(struct session *, struct str line);
static void	too_many_errors(struct session *);
static void	flush(struct session *);
static void	log_end(struct session *);
static void	log_snippet(struct session *, const char *what, struct str);

struct session *
session_new(struct smtpd *d, int fd, const struct sockaddr_storage *from)
{
	struct arena *a = arena_new(SESSION_MEMORY);
	struct session *s = arena_alloc(a, sizeof(*s));

	s->arena = a;
	s->smtpd = d;
	s->state = GREET;
	s->where = STR("CONNECT");
	s->stream = stream_accepted(d->loop, fd, &stream_ops, s);
	stream_cork(s->stream, true);
	stream_pause(s->stream, true);
	list_append(&d->sessions, &s->link);
	d->nsessions++;
	peer_find(s, from, session_named);
	return s;
}

static void
session_named(struct session *s)
{
	log_info("connect from " STRF, STRV(s->who));
	if (s->smtpd->conf.smtpd_tls_wrappermode)
		starttls_wrap(s);
	else
		greet(s);
}

void
session_close(struct session *s, const char *why)
{
	struct smtpd *d = s->smtpd;
	struct arena *a = s->arena;

	if (why != NULL && s->tx != NULL &&
	    (s->state == DATA || s->state == BDAT))
		log_info("%s after " STRF " (%llu bytes) from " STRF, why,
		    STRV(s->where), (unsigned long long)s->tx->content.size,
		    STRV(s->who));
	else if (why != NULL)
		log_info("%s after " STRF " from " STRF, why, STRV(s->where),
		    STRV(s->who));
	log_end(s);
	transcript_end(s, why);
	limit_gone(s);
	access_cancel(s);
	auth_cancel(s);
	xforward_reset(s);
	said_free(&s->said);
	talk_close(&s->ask);
	dns_cancel(&s->naming);
	transaction_reset(s);
	timer_free(&s->delay);
	timer_free(&s->tls_wait);
	keep(&s->helo, STR(""));
	keep(&s->held, STR(""));
	keep(&s->site, STR(""));
	keep(&s->defer_client, STR(""));
	keep(&s->defer_helo, STR(""));
	stream_free(&s->stream);
	list_remove(&s->link);
	d->nsessions--;
	arena_free(&a);
}

void
keep(struct kept *k, struct str text)
{
	mem_free(k->mem);
	*k = (struct kept){ 0 };
	if (text.n == 0)
		return;
	k->mem = mem_copy(text);
	k->str = (struct str){ k->mem, text.n };
}

/* Sessions go on after a reload. At a stop, idle ones are told so. */
void
session_stop(struct session *s)
{
	if (s->state == COMMAND && s->tx == NULL && !session_has_input(s))
		reply_close(s, "421 4.3.2 " STRF
		    " Error: service is restarting, please try again",
		    STRV(s->smtpd->myhostname));
}

/* --- input --- */

static size_t
on_input(void *ctx, struct str in)
{
	struct session *s = ctx;
	size_t used = 0, n;

	s->in_input = true;
	while (used < in.n && states[s->state].read != NULL) {
		n = states[s->state].read(s, str_from(in, used));
		if (n == 0)
			break;
		used += n;
	}
	s->in_input = false;
	if (s->state == CLOSE && s->quit && stream_unsent(s->stream) == 0) {
		session_close(s, NULL);
		return used;
	}
	if (s->state == TLS && s->tls == NULL)
		session_begin_tls(s);
	else if (s->state != WAIT && s->state != CLOSE) {
		flush(s);
		session_timer(s);
		if (stream_unsent(s->stream) > UNSENT_MAX)
			stream_pause(s->stream, true);
	}
	return used;
}

/* One line, one command. RFC 5321 2.3.8: only CRLF ends it. */
static size_t
on_command(struct session *s, struct str in)
{
	struct str rest = in, line;

	switch (esmtp_line(&rest, (size_t)s->smtpd->line_max, &line)) {
	case LINE_OK:
		s->ahead = rest;
		read_command(s, line);
		break;
	case LINE_MORE:
		break;
	case LINE_BARE_LF:
		if (s->lf_lines) {
			s->ahead = rest;
			read_command(s, line);
			break;
		}
		log_snippet(s, "bare <LF> received", line);
		reply_close(s, "550 5.5.2 " STRF
		    " Error: bare <LF> received", STRV(s->smtpd->myhostname));
		return in.n;
	case LINE_LONG:
		log_snippet(s, "command line too long", in);
		reply_close(s, "500 5.5.2 " STRF
		    " Error: command line too long",
		    STRV(s->smtpd->myhostname));
		return in.n;
	}
	return in.n - rest.n;
}

static size_t
on_discard(struct session *s, struct str in)
{
	(void)s;
	return in.n;
}

static void
read_command(struct session *s, struct str line)
{
	struct buf other;

	transcript_flush(s);
	transcript_in(s, line);
	/* Nothing behind us need cope with less. */
	if (s->smtpd->smtputf8 && !utf8_valid(line)) {
		s->command = UNKNOWN;
		s->tally[UNKNOWN].all++;
		s->where = STR("UNKNOWN");
		reply(s, "500 5.5.2 Error: bad UTF-8 syntax");
		return;
	}
	buf_init(&other, TABLE_VALUE_MAX);
	if (words_filter(s, &line, &other))
		run_command(s, line);
	buf_free(&other);
}

static void
run_command(struct session *s, struct str line)
{
	struct str rest = line, verb;
	const struct command *c;

	if (!str_token(&rest, " ", &verb)) {
		s->command = UNKNOWN;
		s->tally[UNKNOWN].all++;
		reply(s, "500 5.5.2 Error: bad syntax");
		return;
	}
	rest = str_trim(rest);
	for (c = commands; c < commands + nitems(commands); c++)
		if (str_eq_nocase(verb, str_of(c->verb)))
			break;
	s->command = (unsigned)(c - commands);
	s->tally[s->command].all++;
	if (s->command == UNKNOWN) {
		if (words_forbidden(s, verb, line))
			return;
		s->where = STR("UNKNOWN");
		if (words_noop(s, verb))
			reply(s, "250 2.0.0 Ok");
		else
			reply(s, "500 5.5.2 Error: command not recognized");
		return;
	}
	s->where = str_of(c->verb);
	if (c->flags & JUNK && ++s->junk > s->smtpd->conf.smtpd_junk_command_limit)
		s->errors++;
	for (size_t i = 0; i < nitems(refusals); i++)
		if (c->flags & refusals[i].flag &&
		    !holds(s, refusals[i].flag, rest)) {
			refuse(s, refusals[i].reply, c->verb);
			return;
		}
	if (!sent_ahead(s, c->flags))
		c->run(s, rest);
}

static bool
holds(const struct session *s, unsigned flag, struct str arg)
{
	switch (flag) {
	case NO_ARG:
		return arg.n == 0;
	case NEED_TLS:
		return s->tls != NULL || s->smtpd->tls_level != LEVEL_ENCRYPT;
	case NEED_HELO:
		return s->helo.str.n > 0 || !s->smtpd->conf.smtpd_helo_required;
	case NEED_MAIL:
	case NEED_TX:
		return s->tx != NULL;
	case NEED_RCPT:
		return s->tx->nrcpts > 0;
	case NOT_IN_TX:
	case NO_MAIL:
	case NO_ETRN:
		return s->tx == NULL;
	case NOT_BDAT:
		return s->tx == NULL || !s->tx->bdat;
	default:
		return true;
	}
}

/* A row of refusals[]; "%s" in it is the verb. */
static void
refuse(struct session *s, const char *text, const char *verb)
{
	struct str t = str_of(text);
	size_t at = str_chr(t, '%');

	if (at == t.n)
		reply(s, "%s", text);
	else
		reply(s, STRF "%s" STRF, STRV(str_first(t, at)), verb,
		    STRV(str_from(t, at + 2)));
}

/*
 * What was sent before the client could know the answer (RFC 2920 3.1), or
 * before EHLO said that it may. True: the session is over.
 */
static bool
sent_ahead(struct session *s, unsigned flags)
{
	if (s->ahead.n == 0 || s->pipelined ||
	    (s->esmtp && (flags & LAST) == 0))
		return false;
	log_snippet(s, "improper command pipelining", s->ahead);
	s->pipelined = true;
	if (!s->smtpd->conf.smtpd_forbid_unauth_pipelining)
		return false;
	reply_close(s, "554 5.5.0 Error: SMTP protocol synchronization");
	return true;
}

bool
session_injected(struct session *s)
{
	if (s->ahead.n == 0)
		return false;
	log_info("improper command pipelining after STARTTLS from " STRF,
	    STRV(s->who));
	if (!s->smtpd->conf.smtpd_forbid_unauth_pipelining)
		return false;		/* it will be dropped */
	reply_close(s, "554 5.5.0 Error: SMTP protocol synchronization");
	return true;
}

void
session_begin_tls(struct session *s)
{
	if (s->in_input)
		return;			/* at its end */
	flush(s);
	stream_drop_input(s->stream);
	if (stream_unsent(s->stream) == 0)
		starttls_go(s);
}

void
session_forget(struct session *s)
{
	transaction_reset(s);
	auth_cancel(s);
	keep(&s->helo, STR(""));
	keep(&s->defer_helo, STR(""));
	s->esmtp = s->lmtp = s->pipelined = false;
}

bool
session_has_input(const struct session *s)
{
	return stream_leftover(s->stream).n > 0;
}

/* --- output --- */

void
reply(struct session *s, const char *fmt, ...)
{
	struct smtpd *d = s->smtpd;
	va_list ap;
	char line[1024];
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert(n > 3);
	if (line[0] == '2' || line[0] == '3') {
		s->tally[s->command].good += line[0] == '2';
		put_reply(s, str_of(line));
		return;
	}
	s->errors++;
	if (s->errors > d->conf.smtpd_soft_error_limit &&
	    d->conf.smtpd_error_sleep_time > 0 && s->state != CLOSE)
		hold_reply(s, str_of(line));
	else
		put_reply(s, str_of(line));
	too_many_errors(s);
}

/* Whoever makes errors waits for each reply. */
static void
hold_reply(struct session *s, struct str line)
{
	keep(&s->held, line);
	if (s->state != WAIT) {
		s->after_wait = s->state;
		session_enter(s, WAIT);
	}
	if (s->delay == NULL)
		s->delay = timer_new(s->smtpd->loop, on_delay, s);
	timer_set(s->delay, s->smtpd->conf.smtpd_error_sleep_time * 1000);
}

static void
on_delay(void *ctx)
{
	struct session *s = ctx;

	put_reply(s, s->held.str);
	keep(&s->held, STR(""));
	too_many_errors(s);
	wait_over(s, s->after_wait);
}

static void
too_many_errors(struct session *s)
{
	if (s->held.str.n > 0 || s->state == CLOSE ||
	    s->errors < s->smtpd->conf.smtpd_hard_error_limit)
		return;
	log_info("too many errors after " STRF " from " STRF, STRV(s->where),
	    STRV(s->who));
	reply_close(s, "421 4.7.0 " STRF " Error: too many errors",
	    STRV(s->smtpd->myhostname));
}

void
reply_more(struct session *s, const char *fmt, ...)
{
	va_list ap;
	char line[1024];

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put_reply(s, str_of(line));
}

void
reply_line(struct session *s, struct str line)
{
	put_reply(s, line);
}

void
reply_close(struct session *s, const char *fmt, ...)
{
	va_list ap;
	char line[1024];

	if (s->state == CLOSE)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put_reply(s, str_of(line));
	if (s->state != CLOSE)
		session_enter(s, CLOSE);
}

void
session_data_error(struct session *s)
{
	char text[300];

	snprintf(text, sizeof(text), "421 4.3.0 " STRF
	    " Server local data error", STRV(s->smtpd->myhostname));
	log_info("NOQUEUE: reject: " STRF " from " STRF ": %s", STRV(s->where),
	    STRV(s->who), text);
	reply_close(s, "%s", text);
}

/* Refusals with what main.cf makes of them; 421 and 521 end the session. */
static void
put_reply(struct session *s, struct str text)
{
	struct buf lines;
	struct str rest, line;

	if (text.p[0] != '4' && text.p[0] != '5') {
		put_line(s, text);
		return;
	}
	refusal_print(s, text, &lines);
	text = rest = buf_view(&lines);
	while (str_token(&rest, "\n", &line))
		put_line(s, line);
	if (s->state != CLOSE && (str_starts(text, STR("421")) ||
	    str_starts(text, STR("521"))))
		session_enter(s, CLOSE);
	buf_free(&lines);
}

/* The one place that writes to a client; its own bytes come back escaped. */
static void
put_line(struct session *s, struct str text)
{
	struct buf out;

	transcript_out(s, text);
	buf_init(&out, 32768);
	log_escape(text, &out);
	buf_puts(&out, "\r\n");
	stream_write(s->stream, buf_view(&out));
	buf_free(&out);
}

/* --- states --- */

void
session_enter(struct session *s, enum state to)
{
	log_debug("session " STRF ": %s -> %s", STRV(s->who),
	    states[s->state].name, states[to].name);
	s->state = to;
	stream_pause(s->stream, states[to].read == NULL);
	if (to == WAIT)
		stream_timeout(s->stream, 0);
	else if (to == CLOSE) {
		stream_cork(s->stream, false);
		stream_timeout(s->stream, CLOSE_WAIT_MS);
		if (stream_unsent(s->stream) == 0)
			on_drained(s);
	} else if (!s->in_input)
		session_timer(s);
}

void
wait_begin(struct session *s)
{
	if (s->state != CLOSE)
		session_enter(s, WAIT);
}

void
wait_over(struct session *s, enum state next)
{
	if (s->state == CLOSE)
		return;
	if (s->held.str.n > 0) {		/* after the delay, then */
		s->after_wait = next;
		return;
	}
	session_enter(s, next);
	if (!s->in_input && !session_has_input(s))
		flush(s);
}

/* Replies to pipelined commands leave together (RFC 2920 3.2). */
static void
flush(struct session *s)
{
	stream_cork(s->stream, false);
	stream_cork(s->stream, true);
}

void
session_greet(struct session *s)
{
	limit_gone(s);			/* it was counted as another */
	greet(s);
}

/* For each read, or (smtpd_per_request_deadline) for a whole command. */
void
session_timer(struct session *s)
{
	struct smtpd_conf *conf = &s->smtpd->conf;
	int64_t now, ms = conf->smtpd_timeout * 1000;

	if (conf->smtpd_per_request_deadline && s->tx != NULL &&
	    (s->state == DATA || s->state == BDAT)) {
		now = clock_steady_ms();
		if (s->deadline_ms == 0)
			s->deadline_ms = now + ms;
		ms = s->deadline_ms - now + (int64_t)s->tx->content.size *
		    1000 / conf->smtpd_min_data_rate;
		if (ms < 1)
			ms = 1;
	} else
		s->deadline_ms = 0;
	if (s->state == TLS)
		ms = conf->smtpd_starttls_timeout * 1000;
	stream_timeout(s->stream, ms);
}

static void
on_eof(void *ctx)
{
	struct session *s = ctx;

	session_close(s, s->state == CLOSE ? NULL : "lost connection");
}

static void
on_error(void *ctx, int err)
{
	struct session *s = ctx;

	(void)err;
	session_close(s, s->state == CLOSE ? NULL : "lost connection");
}

static void
on_timeout(void *ctx)
{
	struct session *s = ctx;

	if (s->state == CLOSE) {
		session_close(s, NULL);
		return;
	}
	if (s->state == TLS) {
		log_info("SSL_accept error from " STRF
		    ": Connection timed out", STRV(s->who));
		session_close(s, "lost connection");
		return;
	}
	log_info("timeout after " STRF " from " STRF, STRV(s->where),
	    STRV(s->who));
	reply_close(s, "421 4.4.2 " STRF " Error: timeout exceeded",
	    STRV(s->smtpd->myhostname));
}

/*
 * The last reply is out: our side is closed, and what the client still sends
 * is thrown away until it closes too. An instant close would reset the
 * connection, and the reply might never be read; but who said QUIT sends
 * nothing any more (RFC 5321 4.1.1.10).
 */
static void
on_drained(void *ctx)
{
	struct session *s = ctx;

	if (s->state == CLOSE && s->quit) {
		if (!s->in_input)	/* else on_input does it */
			session_close(s, NULL);
	} else if (s->state == CLOSE)
		stream_shut(s->stream);
	else if (s->state == TLS)
		starttls_go(s);
	else if (states[s->state].read != NULL)
		stream_pause(s->stream, false);
}

/* --- logs --- */

static void
log_end(struct session *s)
{
	unsigned good = 0, all = 0;
	struct buf line;

	buf_init(&line, 1024);
	for (size_t i = 0; i <= UNKNOWN; i++) {
		const struct tally *t = &s->tally[i];
		const char *verb = i < UNKNOWN ? commands[i].verb : "unknown";

		if (t->all == 0)
			continue;
		good += t->good;
		all += t->all;
		buf_putc(&line, ' ');
		for (const char *p = verb; *p != '\0'; p++)
			buf_putc(&line, (char)(*p | 0x20));
		buf_printf(&line, t->good == t->all ? "=%u" : "=%u/%u",
		    t->good, t->all);
	}
	buf_printf(&line, good == all ? " commands=%u" : " commands=%u/%u",
	    good, all);
	log_info("disconnect from " STRF "%s", STRV(s->who), buf_cstr(&line));
	buf_free(&line);
}

/* "what after VERB from client: first bytes of text". */
static void
log_snippet(struct session *s, const char *what, struct str text)
{
	struct buf shown;

	words_show(str_first(text, SNIPPET_MAX), &shown);
	log_info("%s after " STRF " from " STRF ": %s", what, STRV(s->where),
	    STRV(s->who), buf_cstr(&shown));
	buf_free(&shown);
}
