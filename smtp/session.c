/*
 * session - one server, from connect to close (RFC 5321, RFC 2033).
 *
 * states[] is the protocol: what a reply answers, how long it may take, who
 * handles it. Replies are matched to commands by the queue await: what comes
 * when nothing is awaited is an error. A handler posts what follows; nothing
 * else reads or writes. A session that fails tells its delivery once.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "smtp/tls.h"

static void	on_goodbye(struct session *, struct awaited,
		    const struct esmtp_reply *);

#define TIME_OF(member) offsetof(struct smtp_conf, member)

static const struct state_def {
	const char *doing;	/* "lost connection with X while ..." */
	const char *request;	/* "in reply to ..." */
	size_t	    timeout;	/* of struct smtp_conf */
	void	  (*on_reply)(struct session *, struct awaited,
		    const struct esmtp_reply *);
} states[] = {
	[GREETING] = { "receiving the initial server greeting", "greeting",
	    TIME_OF(helo_timeout), on_greeting },
	[EHLO]	   = { "performing the EHLO handshake", "EHLO command",
	    TIME_OF(helo_timeout), on_hello },
	[HELO]	   = { "performing the HELO handshake", "HELO command",
	    TIME_OF(helo_timeout), on_hello },
	[LHLO]	   = { "performing the LHLO handshake", "LHLO command",
	    TIME_OF(helo_timeout), on_hello },
	[STARTTLS] = { "performing the STARTTLS handshake",
	    "STARTTLS command", TIME_OF(starttls_timeout), on_starttls },
	[HANDSHAKE] = { "performing the TLS handshake", "STARTTLS command",
	    TIME_OF(starttls_timeout), NULL },
	[AUTH]	   = { "performing SASL authentication", "AUTH command",
	    TIME_OF(helo_timeout), on_auth },
	[XFORWARD] = { "sending XFORWARD name/address",
	    "XFORWARD name/address command", TIME_OF(xforward_timeout),
	    on_xforward },
	[MAIL]	   = { "sending MAIL FROM", "MAIL FROM command",
	    TIME_OF(mail_timeout), on_mail },
	[RCPT]	   = { "sending RCPT TO", "RCPT TO command",
	    TIME_OF(rcpt_timeout), on_rcpt },
	[DATA]	   = { "sending DATA command", "DATA command",
	    TIME_OF(data_init_timeout), on_data },
	[CONTENT]  = { "sending message body", "end of DATA command",
	    TIME_OF(data_xfer_timeout), NULL },
	[END]	   = { "sending end of data -- message may be sent more than "
	    "once", "end of DATA command", TIME_OF(data_done_timeout),
	    on_end },
	[RSET]	   = { "sending final RSET", "final RSET command",
	    TIME_OF(rset_timeout), on_rset },
	[QUIT]	   = { "sending QUIT", "QUIT command", TIME_OF(quit_timeout),
	    on_goodbye },
	[REST]	   = { "resting", "", TIME_OF(connection_cache_time_limit),
	    NULL },
};
_Static_assert(nitems(states) == STATE__MAX, "a row for each state");

static size_t	on_input(void *ctx, struct str in);
static void	on_eof(void *ctx);
static void	on_error(void *ctx, int err);
static void	on_timeout(void *ctx);
static void	on_drained(void *ctx);

static const struct stream_ops stream_ops = {
	.on_input = on_input, .on_eof = on_eof, .on_error = on_error,
	.on_timeout = on_timeout, .on_drained = on_drained,
};

#define SESSION_MEMORY	(1 << 20)
#define OTHERS_MAX	100	/* deliveries that are looked at for company */
#define LINE_SIZE	4096	/* a command: addresses, ORCPT, ENVID */

/* smtp_reply_filter: a table's word for what the server said. */
static struct str
filter_reply(void *ctx, struct str line)
{
	struct session *s = ctx;
	struct buf *b = &s->smtp->filtered;

	if (tables_get(s->smtp->reply_filter, line, b) != FOUND || b->n == 0)
		return line;
	log_info("filtered reply from " STRF ": \"" STRF "\" to \"" STRF "\"",
	    STRV(s->name), STRV(line), STRV(buf_view(b)));
	return str_first(buf_view(b), ESMTP_LINE_MAX);
}

struct session *
session_new(struct delivery *d, const struct server *p)
{
	struct arena *a = arena_new(SESSION_MEMORY);
	struct session *s = arena_alloc(a, sizeof(*s));

	s->arena = a;
	s->smtp = d->smtp;
	s->d = d;
	d->session = s;
	s->host = arena_str(a, p->host);
	s->addr = arena_str(a, p->addr);
	s->port = p->port;
	s->dest_key = arena_str(a, p->dest_key);
	s->addr_key = arena_str(a, p->addr_key);
	s->name = str_of(arena_printf(a, STRF "[" STRF "]", STRV(p->host),
	    STRV(p->addr)));
	s->relay = p->port == 0 ? s->name : str_of(arena_printf(a, STRF ":%u",
	    STRV(s->name), p->port));
	s->opened_ms = clock_steady_ms();
	s->debug = match_list_addr(d->smtp->debug_peers, p->host, p->addr) ==
	    FOUND;
	buf_init(&s->reply.text, ESMTP_REPLY_TEXT_MAX);
	if (!tables_empty(s->smtp->reply_filter))
		s->reply.filter = filter_reply;
	s->reply.filter_ctx = s;
	list_init(&s->in_dest);
	list_init(&s->in_addr);
	list_append(&s->smtp->sessions, &s->link);
	s->stream = stream_new(s->smtp->loop, p->fd, &stream_ops, s);
	stream_cork(s->stream, true);
	session_await(s, GREETING, 0);
	session_timer(s, GREETING);
	s->no_tls = p->plain;
	if (starttls_varies(s->smtp))
		s->addr_key = STR("");
	if (s->smtp->conf.tls_wrappermode && s->port != 0)
		starttls_wrap(s);
	return s;
}

void
session_hold(struct session *s)
{
	s->busy++;
}

void
session_unhold(struct session *s)
{
	if (--s->busy == 0 && s->closed)
		session_close(s);
}

void
session_close(struct session *s)
{
	struct arena *a = s->arena;

	assert(s->d == NULL);
	s->closed = true;
	if (s->busy > 0)
		return;
	pool_remove(s);
	ask_cancel(&s->ask);
	tls_find_cancel(s);
	login_cancel(s);
	content_free(s);
	timer_free(&s->pause);
	stream_free(&s->stream);
	esmtp_script_clear(&s->script);
	buf_free(&s->reply.text);
	mem_free(s->await);
	list_remove(&s->link);
	arena_free(&a);
}

const char *
state_request(enum state state)
{
	return states[state].request;
}

/* --- words that go out --- */

void
session_say(struct session *s, const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line) - 2)
		n = sizeof(line) - 3;	/* all parts are bounded: a bug */
	script_out(s, (struct str){ line, (size_t)n });
	memcpy(line + n, "\r\n", 2);
	stream_write(s->stream, (struct str){ line, (size_t)n + 2 });
}

void
session_await(struct session *s, enum state state, size_t rcpt)
{
	if (s->await_at > 0 && s->await_at == s->await_n)
		s->await_at = s->await_n = 0;
	if (s->await_n == s->await_cap) {
		s->await_cap = s->await_cap == 0 ? 16 : s->await_cap * 2;
		s->await = mem_grow(s->await, s->await_cap, sizeof(*s->await));
	}
	s->await[s->await_n++] = (struct awaited){ state, (uint32_t)rcpt };
	if (s->await_n - s->await_at == 1)
		s->state = state;
}

bool
session_awaits(const struct session *s)
{
	return s->await_at < s->await_n;
}

/* What was gathered goes out; the wait for its first answer begins. */
void
session_flush(struct session *s)
{
	stream_cork(s->stream, false);
	stream_cork(s->stream, true);
	session_timer(s, s->state);
}

/*
 * A reply must be whole in time, however it trickles in: the timer is set by
 * commands and by whole replies alone.
 */
void
session_timer(struct session *s, enum state state)
{
	const char *conf = (const char *)&s->smtp->conf;
	conf_TIME seconds;

	s->state = state;
	memcpy(&seconds, conf + states[state].timeout, sizeof(seconds));
	stream_timeout(s->stream, seconds * 1000);
}

/* --- replies --- */

/* The answer to the first that is awaited. */
static void
take_reply(struct session *s)
{
	struct awaited a = s->await[s->await_at++];

	if (session_awaits(s))
		s->state = s->await[s->await_at].state;
	s->heard = true;
	script_in(s);
	if (s->reply.code == 421)	/* RFC 5321 3.8: it closes */
		s->broken = true;
	states[a.state].on_reply(s, a, &s->reply);
	if (!s->closed && session_awaits(s) && s->out == NULL)
		session_timer(s, s->state);
}

static size_t
on_input(void *ctx, struct str in)
{
	struct session *s = ctx;
	struct str rest = in, begin;
	/* To what is said from here on nothing of this can be the answer. */
	size_t due = s->await_n - s->await_at;

	session_hold(s);
	while (rest.n > 0 && !s->closed) {
		enum reply_end end;

		if (!session_awaits(s)) {
			session_fail(s, GARBAGE);
			break;
		}
		begin = rest;
		end = esmtp_reply_feed(&s->reply, &rest);
		if (end == REPLY_MORE)
			break;
		/* A refusal is believed, however early. */
		if (end == REPLY_BAD || (due == 0 && s->reply.code < 400)) {
			script_garbage(s, begin);
			session_fail(s, GARBAGE);
			break;
		}
		due -= due > 0;
		take_reply(s);
	}
	rest = s->closed ? STR("") : rest;
	session_unhold(s);
	return in.n - rest.n;
}

/* --- ends --- */

/*
 * What is left of the delivery goes on without this session. A connection of
 * the pool that had died before we spoke is no failure of the server.
 */
void
session_fail(struct session *s, enum broken how)
{
	static const struct { const char *dsn, *begin, *end; } words[] = {
		[LOST] = { "4.4.2", "lost connection with ", "" },
		[TIMED_OUT] = { "4.4.2", "conversation with ", " timed out" },
		[GARBAGE] = { "4.5.0", "remote protocol error in reply from ",
		    "" },
	};
	struct delivery *d = s->d;
	struct why why;

	s->broken = true;
	if (d == NULL) {
		session_close(s);
		return;
	}
	if (s->reused && !s->heard && !s->handed) {
		s->d = NULL;
		session_close(s);
		route_again(d);
		return;
	}
	if (how == GARBAGE)
		s->noted |= NOTE_PROTOCOL;
	why = why_printf(d, words[how].dsn, "%s" STRF "%s while %s",
	    words[how].begin, STRV(s->name), words[how].end,
	    states[s->state].doing);
	why.down = true;
	if (how != GARBAGE && starttls_retries_plain(s)) {
		trouble_note(d, why.text);
		route_plain(d);
		return;
	}
	trouble_all(d, &why);
	route_next(d);
}

void
session_refused(struct session *s, const struct why *why)
{
	s->broken = true;
	trouble_all(s->d, why);
	route_next(s->d);
}

static void
on_eof(void *ctx)
{
	session_fail(ctx, LOST);
}

static void
on_error(void *ctx, int err)
{
	struct session *s = ctx;

	session_fail(s, err == EMSGSIZE ? GARBAGE : LOST);
}

static void
on_timeout(void *ctx)
{
	struct session *s = ctx;

	if (s->state == REST)
		session_quit(s);
	else
		session_fail(s, TIMED_OUT);
}

static void
on_drained(void *ctx)
{
	struct session *s = ctx;

	if (s->state == CONTENT)
		content_drained(s);
	else if (s->state == QUIT && s->smtp->conf.skip_quit_response)
		session_close(s);
}

/* --- between deliveries --- */

/* May it serve more mail, and is more to be expected? */
static bool
is_kept(const struct session *s, const struct delivery *d)
{
	const struct smtp_conf *c = &s->smtp->conf;
	int64_t count = c->connection_reuse_count_limit;
	size_t others = 0;

	if (s->broken || session_awaits(s) || s->relaxed ||
	    (s->tls != NULL && !s->tls_policy->reuse) ||
	    c->sender_dependent_authentication ||
	    (count > 0 && s->uses + 1 >= (unsigned)count) ||
	    clock_steady_ms() - s->opened_ms >=
	    c->connection_reuse_time_limit * 1000)
		return false;
	if (match_list_domain(s->smtp->cached, s->dest_key) == FOUND ||
	    match_list_domain(s->smtp->cached, s->host) == FOUND)
		return true;
	if (!c->connection_cache_on_demand)
		return false;
	if ((d->msg.flags & DELIVER_MORE) != 0 || s->uses > 0)
		return true;
	list_each(l, &s->smtp->deliveries) {
		const struct delivery *o = container_of(l, struct delivery,
		    link);

		if (o != d && str_eq(o->msg.nexthop, d->msg.nexthop))
			return true;
		if (++others == OTHERS_MAX)
			break;
	}
	return false;
}

/* d has been parted from s. */
void
session_release(struct session *s)
{
	struct delivery *d = s->d;
	bool kept = is_kept(s, d);

	script_end(s, d);
	s->d = NULL;
	content_free(s);
	if (!kept) {
		if (s->broken || session_awaits(s))
			session_close(s);
		else
			session_quit(s);
		return;
	}
	esmtp_script_clear(&s->script);
	s->uses++;
	s->reused = true;
	s->rested_ms = clock_steady_ms();
	session_timer(s, REST);
	pool_put(s);
}

void
session_quit(struct session *s)
{
	pool_remove(s);
	session_say(s, "QUIT");
	session_await(s, QUIT, 0);
	session_flush(s);
	if (s->smtp->conf.skip_quit_response && stream_unsent(s->stream) == 0)
		session_close(s);
}

static void
on_goodbye(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	(void)a;
	(void)r;
	session_close(s);
}
