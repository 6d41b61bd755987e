/*
 * transaction - one message to one server: XFORWARD, MAIL, RCPT, DATA or BDAT.
 *
 * What may be sent now is sent (advance): everything at once to a server with
 * PIPELINING (RFC 2920), else a command after each reply. A handler of a
 * reply settles its recipients and calls advance. RFC 5321 3.3, 4.1.1;
 * RFC 3030; RFC 3461 4; RFC 2033 4.2.
 */
#include "address/address.h"
#include "smtp/smtp.h"

enum step { SEND_RSET, SEND_XFORWARD, SEND_MAIL, SEND_RCPT, SEND_DATA,
	SEND_NOTHING };

/* A connection that rested so long may be closed by now, unseen. */
#define FRESH_MS	100
#define PARAMS_MAX	4096	/* ENVID, ORCPT: bounded by their reader */

static void	advance(struct session *);
static void	send_xforward(struct session *);
static void	send_mail(struct session *);
static void	send_rcpt(struct session *, size_t at);
static bool	send_data(struct session *);
static void	settle(struct session *);

static bool
has(const struct session *s, unsigned feature)
{
	return (s->offer.features & feature) != 0;
}

static bool
is_ascii(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] & 0x80)
			return false;
	return true;
}

/* A probe (verify(8), sendmail -bv) needs no content: where does it end? */
static bool
ends_at_data(const struct session *s)
{
	return (s->d->msg.flags & DELIVER_VERIFY) != 0 &&
	    str_eq_nocase(s->smtp->conf.address_verify_target, STR("data"));
}

static bool
ends_at_rcpt(const struct session *s)
{
	return (s->d->msg.flags & DELIVER_VERIFY) != 0 && !ends_at_data(s);
}

/* RFC 6531 3.6: is there something that no other server could take? */
static bool
needs_utf8(struct session *s)
{
	struct delivery *d = s->d;

	if ((d->msg.flags & DELIVER_SMTPUTF8) == 0)
		return false;
	if (!is_ascii(d->msg.sender))
		return true;
	for (size_t i = 0; i < d->n; i++)
		if (delivery_rcpt_left(&d->rcpts[i]) &&
		    !is_ascii(d->rcpts[i].address))
			return true;
	return (d->msg.flags & DELIVER_8BIT) != 0 && !content_header_is_ascii(d);
}

/* This message can't go to this server; with it nothing is wrong. */
static void
unfit(struct session *s, const struct why *why)
{
	trouble_all(s->d, why);
	route_next(s->d);
}

/* generic(5) in MAIL and RCPT. False: a table failed. */
static bool
map_envelope(struct session *s)
{
	struct delivery *d = s->d;

	s->sender = d->msg.sender;
	if (convert_address(s->smtp, d->arena, &s->sender) == RETRY)
		return false;
	for (size_t i = 0; i < d->n; i++) {
		struct recipient *r = &d->rcpts[i];

		if (r->mapped.n > 0 || !delivery_rcpt_left(r))
			continue;
		r->mapped = r->address;
		if (convert_address(s->smtp, d->arena, &r->mapped) == RETRY) {
			r->mapped = STR("");
			return false;
		}
	}
	return true;
}

void
transaction_begin(struct session *s)
{
	struct delivery *d = s->d;
	struct why why;

	s->heard = s->handed = s->bdat = s->dot_waited = false;
	s->naccepted = s->nended = s->next_rcpt = 0;
	s->step = s->dirty ? SEND_RSET : SEND_XFORWARD;
	if (d->connected_us == 0)
		d->connected_us = clock_wall_us();
	if (s->offer.size_max > 0 && d->msg.size > s->offer.size_max) {
		why = why_printf(d, "5.3.4", "message size %llu exceeds size "
		    "limit %llu of server " STRF,
		    (unsigned long long)d->msg.size,
		    (unsigned long long)s->offer.size_max, STRV(s->name));
		unfit(s, &why);
		return;
	}
	s->utf8 = needs_utf8(s);
	if (s->utf8 && !has(s, OFFER_SMTPUTF8)) {
		why = why_printf(d, "5.6.7", "SMTPUTF8 is required, but was "
		    "not offered by host " STRF, STRV(s->name));
		unfit(s, &why);
		return;
	}
	if (convert_breaks_signature(s)) {
		why = why_printf(d, "5.6.3", "8BITMIME is required for signed "
		    "content, but was not offered by host " STRF,
		    STRV(s->name));
		unfit(s, &why);
		return;
	}
	if (!map_envelope(s)) {
		why = why_printf(d, "4.3.0", "table lookup problem");
		unfit(s, &why);
		return;
	}
	advance(s);
}

/* Sends what may be sent before the next reply. */
static void
advance(struct session *s)
{
	bool waits = !has(s, OFFER_PIPELINING), more = true;

	session_hold(s);
	while (more && !(waits && session_awaits(s))) {
		switch ((enum step)s->step) {
		case SEND_RSET:
			session_say(s, "RSET");
			session_await(s, RSET, 0);
			s->step = SEND_XFORWARD;
			break;
		case SEND_XFORWARD:
			send_xforward(s);
			s->step = SEND_MAIL;
			break;
		case SEND_MAIL:
			s->dirty = true;
			send_mail(s);
			s->step = SEND_RCPT;
			break;
		case SEND_RCPT:
			while (s->next_rcpt < s->d->n && !delivery_rcpt_left(
			    &s->d->rcpts[s->next_rcpt]))
				s->next_rcpt++;
			if (s->next_rcpt < s->d->n)
				send_rcpt(s, s->next_rcpt++);
			else
				s->step = SEND_DATA;
			break;
		case SEND_DATA:
			more = send_data(s);
			break;
		case SEND_NOTHING:
			more = false;
			break;
		}
	}
	if (s->d != NULL && s->out == NULL && stream_unsent(s->stream) > 0)
		session_flush(s);
	session_unhold(s);
}

/* --- commands --- */

/* XFORWARD_README: xtext; what is not known is not said. */
static void
forward(struct buf *line, const char *name, struct str value)
{
	if (value.n == 0 || str_eq_nocase(value, STR("unknown")))
		return;
	buf_printf(line, " %s=", name);
	xtext_encode(value, line);
}

static void
send_xforward(struct session *s)
{
	const struct msg_deliver *m = &s->d->msg;
	unsigned words = s->offer.xforward;
	struct buf line;

	if (!s->smtp->conf.send_xforward_command || !has(s, OFFER_XFORWARD))
		return;
	buf_init(&line, PARAMS_MAX);
	if (words & XFORWARD_NAME)
		forward(&line, "NAME", m->client_name);
	if (words & XFORWARD_ADDR)
		forward(&line, "ADDR", m->client_addr);
	if (words & XFORWARD_PORT)
		forward(&line, "PORT", m->client_port);
	if (line.n > 0) {
		session_say(s, "XFORWARD%s", buf_cstr(&line));
		session_await(s, XFORWARD, 0);
	}
	buf_clear(&line);
	if (words & XFORWARD_PROTO)
		forward(&line, "PROTO", m->protocol);
	if (words & XFORWARD_HELO)
		forward(&line, "HELO", m->helo);
	if (words & XFORWARD_IDENT)
		forward(&line, "IDENT", m->ident);
	if (words & XFORWARD_SOURCE)
		forward(&line, "SOURCE", m->source);
	if (line.n > 0) {
		session_say(s, "XFORWARD%s", buf_cstr(&line));
		session_await(s, XFORWARD, 0);
	}
	buf_free(&line);
}

static void
put_path(const struct session *s, struct str address, struct buf *line)
{
	buf_putc(line, '<');
	if (s->smtp->conf.quote_rfc821_envelope)
		address_quote_821(address, line);
	else
		buf_str(line, address);
	buf_putc(line, '>');
}

static void
send_mail(struct session *s)
{
	const struct msg_deliver *m = &s->d->msg;
	struct buf line;

	buf_init(&line, PARAMS_MAX);
	put_path(s, s->sender, &line);
	if (has(s, OFFER_SIZE))
		buf_printf(&line, " SIZE=%llu", (unsigned long long)m->size);
	if (has(s, OFFER_8BITMIME) && ((m->flags & DELIVER_8BIT) != 0 ||
	    str_eq_nocase(m->encoding, STR("8bit"))))
		buf_puts(&line, " BODY=8BITMIME");
	else if (has(s, OFFER_8BITMIME) &&
	    str_eq_nocase(m->encoding, STR("7bit")))
		buf_puts(&line, " BODY=7BIT");
	if (has(s, OFFER_DSN) && m->dsn_ret != DSN_RET_NONE)
		buf_puts(&line, m->dsn_ret == DSN_RET_HDRS ? " RET=HDRS" :
		    " RET=FULL");
	if (has(s, OFFER_DSN) && m->dsn_envid.n > 0) {
		buf_puts(&line, " ENVID=");
		xtext_encode(m->dsn_envid, &line);
	}
	if (s->utf8)
		buf_puts(&line, " SMTPUTF8");
	if (has(s, OFFER_AUTH) && s->smtp->conf.send_dummy_mail_auth)
		buf_puts(&line, " AUTH=<>");
	session_say(s, "MAIL FROM:%s", buf_cstr(&line));
	session_await(s, MAIL, 0);
	buf_free(&line);
}

static void
put_notify(uint64_t notify, struct buf *line)
{
	static const struct { uint64_t bit; const char *word; } words[] = {
		{ DSN_NOTIFY_NEVER, "NEVER" }, { DSN_NOTIFY_SUCCESS, "SUCCESS" },
		{ DSN_NOTIFY_FAILURE, "FAILURE" }, { DSN_NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < nitems(words); i++)
		if (notify & words[i].bit) {
			buf_printf(line, "%s%s", before, words[i].word);
			before = ",";
		}
}

static void
send_rcpt(struct session *s, size_t at)
{
	const struct recipient *r = &s->d->rcpts[at];
	size_t semi = str_chr(r->dsn_orcpt, ';');
	struct buf line;

	buf_init(&line, PARAMS_MAX);
	put_path(s, r->mapped, &line);
	if (has(s, OFFER_DSN)) {
		put_notify(r->dsn_notify, &line);
		if (semi < r->dsn_orcpt.n) {	/* RFC 3461 4.2 */
			buf_printf(&line, " ORCPT=" STRF ";",
			    STRV(str_first(r->dsn_orcpt, semi)));
			xtext_encode(str_from(r->dsn_orcpt, semi + 1), &line);
		} else if (r->original.n > 0 && is_ascii(r->original)) {
			buf_puts(&line, " ORCPT=rfc822;");
			xtext_encode(r->original, &line);
		}
	}
	session_say(s, "RCPT TO:%s", buf_cstr(&line));
	session_await(s, RCPT, at);
	buf_free(&line);
}

/*
 * A message in one BDAT may follow its RCPTs unseen: if nobody was accepted,
 * it is refused (RFC 3030 2). Not so where the connection may be dead, since
 * what was handed over is not sent again; and LMTP must know how many replies
 * will come. True: there is more to send at once.
 */
static bool
send_data(struct session *s)
{
	bool bdat = has(s, OFFER_CHUNKING) && content_fits_bdat(s);
	bool probe = ends_at_data(s);
	bool fresh = !s->reused ||
	    clock_steady_ms() - s->rested_ms < FRESH_MS;
	bool early = !probe && !ends_at_rcpt(s) && !s->smtp->lmtp &&
	    (!bdat || (content_is_small(s->d) && fresh));

	if (session_awaits(s) && !early)
		return false;		/* again after the last RCPT's reply */
	s->step = SEND_NOTHING;
	if (!session_awaits(s) && s->naccepted == 0) {
		settle(s);
		return false;
	}
	if (bdat && !probe) {
		content_begin(s, true);
		return false;
	}
	session_say(s, "DATA");
	session_await(s, DATA, 0);
	return true;
}

/* --- replies --- */

/* Nothing is awaited and nothing is to be sent: who is left goes on. */
static void
settle(struct session *s)
{
	route_next(s->d);
}

static void
go_on(struct session *s)
{
	if (s->step != SEND_NOTHING)
		advance(s);
	else if (!session_awaits(s))
		settle(s);
}

void
on_rset(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	(void)a;
	if (r->code / 100 != 2)
		s->broken = true;
	s->dirty = false;
	go_on(s);
}

/* Not worth more than a warning: the filter does without. */
void
on_xforward(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	(void)a;
	if (r->code / 100 != 2)
		log_warn("host " STRF " said: " STRF " (in reply to %s)",
		    STRV(s->name), STRV(buf_view(&r->text)),
		    state_request(XFORWARD));
	go_on(s);
}

/* After a refusal of all, what was sent ahead is still answered. */
void
on_mail(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	struct why why;

	(void)a;
	if (r->code / 100 != 2) {
		why = why_reply(s, r, state_request(MAIL));
		trouble_all(s->d, &why);
		s->next_rcpt = s->d->n;
		if (!session_awaits(s))
			s->step = SEND_NOTHING;
	}
	go_on(s);
}

void
on_rcpt(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	struct recipient *rcpt = &s->d->rcpts[a.rcpt];
	struct why why;

	if (!delivery_rcpt_left(rcpt)) {
		go_on(s);
		return;
	}
	if (r->code / 100 == 2 && ends_at_rcpt(s))
		delivery_sent(s->d, rcpt, r);
	else if (r->code / 100 == 2) {
		rcpt->accepted = true;
		s->naccepted++;
	} else {
		why = why_reply(s, r, state_request(RCPT));
		/* RFC 5321 4.5.3.1.10: 552 for too many recipients. */
		if (r->code == 552)
			why.dsn = str_of(arena_printf(s->d->arena, "4" STRF,
			    STRV(str_from(why.dsn, 1))));
		trouble_rcpt(s->d, rcpt, &why);
	}
	go_on(s);
}

void
on_data(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	struct why why;

	(void)a;
	if (r->code / 100 == 3 && ends_at_data(s)) {
		s->broken = true;	/* no content will come */
		for (size_t i = 0; i < s->d->n; i++)
			if (s->d->rcpts[i].accepted &&
			    delivery_rcpt_left(&s->d->rcpts[i]))
				delivery_sent(s->d, &s->d->rcpts[i], r);
		go_on(s);
		return;
	}
	if (r->code / 100 == 3) {
		/* RFC 2920 3.1: sent ahead, and then nobody was accepted. */
		if (s->naccepted == 0) {
			session_say(s, ".");
			session_await(s, END, 0);
			session_flush(s);
		} else
			content_begin(s, false);
		return;
	}
	if (s->naccepted > 0) {
		why = why_reply(s, r, state_request(DATA));
		trouble_all(s->d, &why);
	}
	go_on(s);
}

/* The verdict for one recipient (LMTP), or for all who were accepted. */
static void
verdict(struct session *s, size_t from, size_t to, const struct esmtp_reply *r)
{
	struct delivery *d = s->d;
	struct why why = { .dsn = STR("") };

	for (size_t i = from; i < to; i++) {
		struct recipient *rcpt = &d->rcpts[i];

		if (!rcpt->accepted || !delivery_rcpt_left(rcpt))
			continue;
		if (r->code / 100 == 2) {
			delivery_sent(d, rcpt, r);
			continue;
		}
		if (why.dsn.n == 0)
			why = why_reply(s, r, state_request(END));
		trouble_rcpt(d, rcpt, &why);
	}
}

void
on_end(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	struct delivery *d = s->d;

	if (!s->handed && r->code / 100 < 4) {
		s->state = CONTENT;
		session_fail(s, GARBAGE);	/* it has not had it yet */
		return;
	}
	if (!s->handed)
		s->broken = true;	/* refused before the end: no way back */
	/* It has answered: another server may have what it refused. */
	s->handed = false;
	if (s->smtp->lmtp)
		verdict(s, a.rcpt, a.rcpt + 1, r);
	else
		verdict(s, 0, d->n, r);
	if (r->code / 100 == 2)
		s->dirty = false;
	while (s->broken && session_awaits(s)) {
		/* LMTP: it leaves, the others hear the same. */
		a = s->await[s->await_at++];
		verdict(s, a.rcpt, a.rcpt + 1, r);
	}
	if (session_awaits(s))
		s->handed = true;
	go_on(s);
}
