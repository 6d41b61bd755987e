/*
 * content - DATA and BDAT: content to cleanup, its verdict to the client.
 *
 * RFC 5321 4.1.1.4, RFC 3030. A talk with cleanup opens at DATA or the first
 * BDAT; its verdict is the reply. When it has become clear that the message
 * fails, tx->failed holds the reply: what the client still sends is taken and
 * thrown away, since a reply may come only where the protocol has its place.
 */
#include "smtpd/smtpd.h"

/* After this much more than the limit, no reply is worth the traffic. */
#define OVERSIZE_FACTOR 3 / 2
#define PEER_WAIT_MS	10000	/* for cleanup to (re)start */

static const char *const no_queue =
    "451 4.3.0 Error: queue file write error";
static const char *const too_big = "552 5.3.4 Error: message file too big";

static void	data_checked(struct session *, enum outcome);
static void	bdat_checked(struct session *, enum outcome);
static void	cleanup_ready(void *ctx, struct channel *);
static void	begin(struct session *, struct channel *);
static void	begin_content(struct session *);
static void	send_envelope(struct session *, struct talk *);
static void	send_attrs(struct session *, struct talk *);
static void	emit(void *ctx, struct str span);
static void	fail(struct session *, const char *reply);
static void	finish(struct session *);
static void	finish_checked(struct session *, enum outcome);
static void	chunk_over(struct session *);
static void	on_verdict(void *ctx, struct talk *, enum msg, const void *);
static void	on_cleanup_gone(void *ctx, struct talk *, const char *why);
static void	say(struct session *, const char *text);
static void	say_failed(struct session *);

static const struct talk_ops cleanup_ops = { on_verdict, on_cleanup_gone };

void
cmd_data(struct session *s, struct str arg)
{
	(void)arg;
	wait_begin(s);
	access_check(s, AT_DATA, STR("DATA"), data_checked);
}

static void
data_checked(struct session *s, enum outcome outcome)
{
	if (outcome == REFUSED) {
		wait_over(s, COMMAND);
		return;
	}
	content_init(&s->tx->content, true);
	s->tx->content.lf_ends = s->lf_lines;
	begin_content(s);
}

/*
 * A chunk for nobody: its bytes are on their way, and are no commands
 * (RFC 3030 2). Then the reply.
 */
static void
skip_chunk(struct session *s, uint64_t size, const char *text)
{
	s->skip_left = size;
	s->skip_reply = text;
	if (size > 0)
		session_enter(s, SKIP);
	else
		(void)on_skipped(s, STR(""));
}

size_t
on_skipped(struct session *s, struct str in)
{
	size_t n = in.n < s->skip_left ? in.n : (size_t)s->skip_left;

	s->skip_left -= n;
	if (s->skip_left == 0) {
		session_enter(s, COMMAND);
		reply(s, "%s", s->skip_reply);
	}
	return n;
}

/* BDAT SP size [SP LAST] (RFC 3030 2). */
void
cmd_bdat(struct session *s, struct str arg)
{
	struct transaction *tx = s->tx;
	struct str size, last, all = arg;
	int64_t limit = s->smtpd->message_size_limit;
	uint64_t bytes = 0;
	bool bad, large, is_last;

	if (keyword_discarded(s, "CHUNKING")) {
		/* What follows is content: no way to go on. */
		reply(s, "521 5.5.1 Error: command not implemented");
		return;
	}
	bad = !str_token(&arg, " ", &size);
	is_last = str_token(&arg, " ", &last);
	bad = bad || (is_last && !str_eq_nocase(last, STR("LAST"))) ||
	    str_trim(arg).n > 0;
	for (size_t i = 0; i < size.n; i++)
		bad = bad || size.p[i] < '0' || size.p[i] > '9';
	large = !bad && !str_number(size, &bytes);
	if (bad) {
		log_warn("NOQUEUE: malformed BDAT command syntax from " STRF
		    ": BDAT " STRF, STRV(s->who),
		    STRV(str_first(all, SNIPPET_MAX)));
		/* Where its content ends is unknown: no way to go on. */
		reply_close(s, "521 5.5.4 Syntax: BDAT count [LAST]");
		return;
	}
	if (large || (limit > 0 && bytes >
	    (uint64_t)limit * OVERSIZE_FACTOR)) {
		reply_close(s, "552 5.3.4 Chunk exceeds message size limit");
		return;
	}
	if (tx == NULL || tx->nrcpts == 0) {
		if (is_last)
			transaction_reset(s);
		skip_chunk(s, bytes, tx == NULL ?
		    "503 5.5.1 Error: need RCPT command" :
		    "554 5.5.1 Error: no valid recipients");
		return;
	}
	tx->chunk_last = is_last;
	tx->chunk_left = tx->chunk_size = bytes;
	wait_begin(s);
	if (tx->bdat) {
		chunk_over(s);
		return;
	}
	tx->bdat = true;
	access_check(s, AT_DATA, STR("BDAT"), bdat_checked);
}

static void
bdat_checked(struct session *s, enum outcome outcome)
{
	if (outcome == REFUSED) {
		/* The reply was given: the chunk that follows is thrown away. */
		s->tx->failed = "503 5.5.1 Error: message was refused";
		s->tx->replied = true;
		chunk_over(s);
		return;
	}
	content_init(&s->tx->content, false);
	begin_content(s);
}

/* In WAIT: a channel to cleanup, then the envelope goes out. */
static void
begin_content(struct session *s)
{
	struct wait_peer *w = service_wait_peer(s->smtpd->service,
	    ROLE_CLEANUP, STR(""), PEER_WAIT_MS, cleanup_ready, s);

	if (w != NULL)			/* else it was called already */
		s->tx->waiting = w;
}

static void
cleanup_ready(void *ctx, struct channel *c)
{
	struct session *s = ctx;

	s->tx->waiting = NULL;
	begin(s, c);
}

static void
begin(struct session *s, struct channel *c)
{
	struct transaction *tx = s->tx;

	if (c != NULL) {
		tx->cleanup = talk_open(c, &cleanup_ops, s);
		send_envelope(s, tx->cleanup);
	} else
		fail(s, no_queue);
	if (tx->bdat) {
		chunk_over(s);
		return;
	}
	if (tx->failed != NULL) {
		say(s, tx->failed);
		transaction_reset(s);
		wait_over(s, COMMAND);
		return;
	}
	reply_more(s, "354 End data with <CR><LF>.<CR><LF>");
	wait_over(s, DATA);
}

/* For Received: RFC 3848, RFC 6531 4.3. */
static struct str
protocol(const struct session *s, const struct transaction *tx)
{
	const char *base = s->lmtp ? "LMTP" : tx->smtputf8 ? "UTF8SMTP" :
	    "ESMTP";

	if (!s->esmtp)
		return STR("SMTP");
	return str_of(arena_printf(tx->arena, "%s%s%s", base,
	    session_has_tls(s) ? "S" : "",
	    s->sasl_user.str.n > 0 ? "A" : ""));
}

/*
 * What XFORWARD told goes to the next hop in place of what we know: of its
 * client, that is, who is not ours. What it left out is unknown.
 */
static void
send_forwarded(struct session *s, struct talk *t)
{
	const struct said *said = s->forwarded;

	if (said == NULL)
		return;
	const struct { const char *name; struct str value, preset; } all[] = {
		{ "forward_name", said->name, STR("unknown") },
		{ "forward_addr", said->addr, STR("unknown") },
		{ "forward_port", said->port, STR("unknown") },
		{ "forward_helo", said->helo, STR("unknown") },
		{ "forward_proto", said->proto, STR("unknown") },
		{ "forward_ident", said->ident, STR("") },
		{ "forward_source", said->source, STR("") },
	};

	for (size_t i = 0; i < nitems(all); i++)
		if (all[i].value.n + all[i].preset.n > 0)
			talk_send(t, MSG_mail_attr, &(struct msg_mail_attr){
			    .name = str_of(all[i].name),
			    .value = all[i].value.n > 0 ? all[i].value :
			    all[i].preset });
}

static void
send_envelope(struct session *s, struct talk *t)
{
	struct transaction *tx = s->tx;
	struct msg_mail_begin m = {
		.flags = tx->flags | s->smtpd->overrides,
		.sender = tx->sender,
		.client_name = s->name, .client_addr = s->addr,
		.client_port = s->port, .helo = s->helo.str,
		.dsn_envid = tx->dsn_envid, .dsn_ret = tx->dsn_ret,
		.encoding = tx->encoding, .filter = tx->filter.n > 0 ?
		    tx->filter : s->smtpd->content_filter,
		.size_hint = tx->size_hint, .verp = tx->verp,
		.sasl_method = s->sasl_method.str,
		.sasl_user = s->sasl_user.str, .sasl_sender = tx->sasl_sender,
	};
	struct buf tls;

	m.protocol = protocol(s, tx);
	if (s->smtpd->conf.smtpd_sasl_authenticated_header)
		m.flags |= MAIL_AUTH_HEADER;
	buf_init(&tls, 2000);
	if (s->tls != NULL && s->smtpd->conf.smtpd_tls_received_header)
		tls_print_received(s->tls, &tls);
	m.tls = buf_view(&tls);
	if (s->local)
		m.flags |= MAIL_LOCAL_CLIENT;
	m.rewrite_domain = s->local ? STR("local") :
	    s->smtpd->conf.remote_header_rewrite_domain;
	if (s->smtpd->conf.smtpd_hide_client_session)
		m.flags |= MAIL_NO_RECEIVED;
	talk_send(t, MSG_mail_begin, &m);
	buf_free(&tls);
	list_each(l, &tx->rcpts) {
		struct rcpt *r = container_of(l, struct rcpt, link);

		talk_send(t, MSG_mail_rcpt, &(struct msg_mail_rcpt){
		    .address = r->address, .dsn_orcpt = r->dsn_orcpt,
		    .dsn_notify = r->dsn_notify });
	}
	tx->sent_flags = tx->flags;
	tx->sent_filter = tx->filter;
	send_forwarded(s, t);
	send_attrs(s, t);
}

/* What access tables ask of the message, and has not been sent yet. */
static void
send_attrs(struct session *s, struct talk *t)
{
	struct transaction *tx = s->tx;
	uint64_t more = tx->flags & ~tx->sent_flags;
	struct msg_mail_attr m;

	list_each(l, &tx->attrs) {
		struct attr *a = container_of(l, struct attr, link);

		m = (struct msg_mail_attr){ .name = a->name,
		    .value = a->value };
		talk_send(t, MSG_mail_attr, &m);
	}
	list_init(&tx->attrs);
	m = (struct msg_mail_attr){ .name = STR("hold") };
	if ((more & MAIL_HOLD) != 0)
		talk_send(t, MSG_mail_attr, &m);
	m.name = STR("discard");
	if ((more & MAIL_DISCARD) != 0)
		talk_send(t, MSG_mail_attr, &m);
	m = (struct msg_mail_attr){ .name = STR("filter"),
	    .value = tx->filter };
	if (!str_eq(tx->filter, tx->sent_filter))
		talk_send(t, MSG_mail_attr, &m);
	tx->sent_flags = tx->flags;
	tx->sent_filter = tx->filter;
}

/* --- content --- */

size_t
on_data(struct session *s, struct str in)
{
	struct transaction *tx = s->tx;
	size_t n = content_feed(&tx->content, in, emit, s);

	if (tx->content.done)
		finish(s);
	return n;
}

size_t
on_chunk(struct session *s, struct str in)
{
	struct transaction *tx = s->tx;
	struct str part = in;

	if (part.n > tx->chunk_left)
		part = str_first(in, tx->chunk_left);
	content_feed(&tx->content, part, emit, s);
	tx->chunk_left -= part.n;
	if (tx->chunk_left == 0) {
		wait_begin(s);
		chunk_over(s);
	}
	return part.n;
}

static void
emit(void *ctx, struct str span)
{
	struct session *s = ctx;
	struct transaction *tx = s->tx;
	int64_t limit = s->smtpd->message_size_limit;
	int64_t code = s->smtpd->conf.smtpd_forbid_bare_newline_reject_code;

	if (tx->cleanup == NULL)
		return;			/* it has failed */
	if (limit > 0 && tx->content.size > (uint64_t)limit) {
		fail(s, too_big);
		return;
	}
	if (tx->content.bare_lf && !s->lf_lines && str_eq_nocase(STR("reject"),
	    s->smtpd->conf.smtpd_forbid_bare_newline)) {
		fail(s, arena_printf(tx->arena, "%lld %c.5.2 Error: bare <LF> "
		    "received", (long long)code, (char)('0' + code / 100)));
		return;
	}
	while (span.n > 0) {
		struct str part = str_first(span, IPC_CONTENT_MAX);

		talk_send(tx->cleanup, MSG_mail_content,
		    &(struct msg_mail_content){ .bytes = part });
		span = str_from(span, part.n);
	}
	if (channel_unsent(talk_channel(tx->cleanup)) > IPC_UNSENT_HIGH)
		stream_pause(s->stream, true);	/* content_drained() */
}

void
content_drained(struct smtpd *d)
{
	list_each(l, &d->sessions) {
		struct session *s = container_of(l, struct session, link);

		if (s->state == DATA || s->state == BDAT)
			stream_pause(s->stream, false);
	}
}

/* This message fails with that reply, when its time has come. */
static void
fail(struct session *s, const char *text)
{
	if (s->tx->failed == NULL)
		s->tx->failed = text;
	talk_close(&s->tx->cleanup);
}

/*
 * A chunk is complete, or (BDAT 0) had nothing in it, or (at first) its
 * content is yet to come. In WAIT.
 */
static void
chunk_over(struct session *s)
{
	struct transaction *tx = s->tx;

	if (tx->chunk_left > 0) {
		wait_over(s, BDAT);
		return;
	}
	if (tx->chunk_last) {
		finish(s);
		return;
	}
	if (tx->failed != NULL)
		say_failed(s);
	else
		reply_more(s, "250 2.0.0 Ok: %llu bytes",
		    (unsigned long long)tx->chunk_size);
	wait_over(s, COMMAND);
}

/* All content has arrived. */
static void
finish(struct session *s)
{
	struct transaction *tx = s->tx;

	s->where = STR("END-OF-MESSAGE");
	wait_begin(s);
	if (tx->content.bare_lf && !s->lf_lines)
		log_info("bare <LF> received after %s from " STRF,
		    tx->bdat ? "BDAT" : "DATA", STRV(s->who));
	if (tx->cleanup == NULL) {
		say_failed(s);
		transaction_reset(s);
		wait_over(s, COMMAND);
		return;
	}
	access_check(s, AT_END_OF_DATA, STR("END-OF-MESSAGE"), finish_checked);
}

static void
finish_checked(struct session *s, enum outcome outcome)
{
	struct transaction *tx = s->tx;

	if (tx->cleanup == NULL && outcome != REFUSED) {
		say(s, tx->failed);	/* lost meanwhile */
		outcome = REFUSED;
	}
	if (outcome == REFUSED) {
		transaction_reset(s);
		wait_over(s, COMMAND);
		return;
	}
	tx->ending = true;
	send_attrs(s, tx->cleanup);
	talk_deadline(tx->cleanup, s->smtpd->conf.ipc_timeout * 1000);
	talk_send(tx->cleanup, MSG_mail_end, &(struct msg_mail_end){ 0 });
}

/* --- what cleanup says --- */

static void
log_client(struct session *s)
{
	struct transaction *tx = s->tx;
	const struct said *said = s->forwarded;
	struct buf line;

	buf_init(&line, 8192);
	buf_printf(&line, "client=" STRF, STRV(s->who));
	if (said != NULL && said->ident.n > 0)
		buf_printf(&line, ", orig_queue_id=" STRF, STRV(said->ident));
	if (said != NULL && said->name.n + said->addr.n > 0)
		buf_printf(&line, ", orig_client=" STRF "[" STRF "]",
		    STRV(said->name.n > 0 ? said->name : STR("unknown")),
		    STRV(said->addr.n > 0 ? said->addr : STR("unknown")));
	log_login(s, &line, ",");
	log_mail(tx->queue_id, "%s", buf_cstr(&line));
	buf_free(&line);
}

static void
on_verdict(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct session *s = ctx;
	struct transaction *tx = s->tx;
	const struct msg_mail_done *done = msg;
	char text[512];

	(void)t;
	if (id == MSG_mail_id) {
		tx->queue_id = arena_str(tx->arena,
		    ((const struct msg_mail_id *)msg)->queue_id);
		log_client(s);
		return;
	}
	tx->cleanup = NULL;
	switch ((enum mail_status)done->status) {
	case MAIL_OK:
		transcript_forget(s);
		if (tx->bdat)
			snprintf(text, sizeof(text), "250 2.0.0 Ok: %llu bytes "
			    "queued as " STRF,
			    (unsigned long long)tx->chunk_size,
			    STRV(done->queue_id));
		else
			snprintf(text, sizeof(text), "250 2.0.0 Ok: queued as "
			    STRF, STRV(done->queue_id));
		break;
	case MAIL_NO_SPACE:
		snprintf(text, sizeof(text),
		    "452 4.3.1 Insufficient system storage");
		break;
	case MAIL_TOO_BIG:
		snprintf(text, sizeof(text), "%s", too_big);
		break;
	case MAIL_TOO_MANY_HOPS:
		snprintf(text, sizeof(text), "554 5.4.0 Error: too many hops");
		break;
	case MAIL_REJECTED:
	case MAIL_BAD_CONTENT:
		snprintf(text, sizeof(text), "550 " STRF " " STRF,
		    STRV(done->dsn), STRV(done->reason));
		break;
	case MAIL_NO_RCPT:
		snprintf(text, sizeof(text),
		    "554 5.5.1 Error: no valid recipients");
		break;
	case MAIL_RETRY:
		/* A fault of this machine, or a rule's own words. */
		if (done->dsn.n > 0 && done->reason.n > 0)
			snprintf(text, sizeof(text), "451 " STRF " %s" STRF,
			    STRV(done->dsn), str_starts(done->dsn,
			    STR("4.3.")) ? "Error: " : "",
			    STRV(done->reason));
		else
			snprintf(text, sizeof(text), "%s", no_queue);
		break;
	}
	if (tx->ending) {
		say(s, text);
		transaction_reset(s);
		wait_over(s, COMMAND);
	} else				/* early: the rest is thrown away */
		tx->failed = arena_cstr(tx->arena, str_of(text));
}

static void
on_cleanup_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;
	struct transaction *tx = s->tx;

	(void)t;
	log_warn("cleanup: %s", why);
	tx->cleanup = NULL;
	if (tx->failed == NULL)
		tx->failed = no_queue;
	if (tx->ending) {
		say(s, tx->failed);
		transaction_reset(s);
		wait_over(s, COMMAND);
	} else if (s->state == DATA || s->state == BDAT)
		stream_pause(s->stream, false);	/* no on_drained will come */
}

/* Unless a restriction's reply was the one to this very chunk. */
static void
say_failed(struct session *s)
{
	if (!s->tx->replied)
		say(s, s->tx->failed);
	s->tx->replied = false;
}

/* The verdict on the message; in LMTP once a recipient (RFC 2033 4.2). */
static void
say(struct session *s, const char *text)
{
	size_t n = s->lmtp && s->tx->nrcpts > 1 ? s->tx->nrcpts : 1;

	while (--n > 0)
		reply_more(s, "%s", text);
	reply(s, "%s", text);
}
