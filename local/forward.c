/*
 * forward - a message that goes on to other addresses: handed to cleanup as
 * a new one, so that each recipient has a state of its own on disk. Its
 * first line is Delivered-To: with the address that stood for them, by
 * which loop.c knows it again. Postfix's deliver_forward().
 *
 * Reads the queue file a piece at a time, and only while the channel takes
 * it: memory does not grow with the message.
 */
#include <stdio.h>
#include <unistd.h>
#include "address/address.h"
#include "local/local.h"

#define FORWARD_MS	600000	/* for cleanup to take it */
#define WHY_MAX		2000
#define LINE_MAX_BYTES	(4 * ADDRESS_MAX + 64)

struct forward {
	struct list	  link;		/* in local.forwards */
	struct local	 *local;
	struct recipient *recipient;
	void		(*done)(void *, enum delivery_status, struct str);
	void		 *ctx;
	struct talk	 *talk;
	struct channel	 *channel;
	uint64_t	  at;		/* of header and body together */
	bool		  ended;	/* all was sent */
};

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);

static const struct talk_ops forward_ops = { on_message, on_gone };

static void
finish(struct forward *f, enum delivery_status status, struct str text)
{
	list_remove(&f->link);
	f->done(f->ctx, status, text);
	mem_free(f);
}

static void
put_off(struct forward *f, const char *text)
{
	talk_close(&f->talk);
	finish(f, DEFERRED, str_of(text));
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct forward *f = ctx;
	const struct msg_mail_done *m = msg;
	char why[WHY_MAX];

	if (id != MSG_mail_done) {	/* mail_id */
		talk_deadline(talk, FORWARD_MS);
		return;
	}
	if (m->status == MAIL_OK) {
		finish(f, SENT, m->queue_id);
		return;
	}
	snprintf(why, sizeof(why), "unable to forward message: " STRF,
	    STRV(m->reason));
	finish(f, DEFERRED, str_of(why));
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct forward *f = ctx;

	(void)talk;
	(void)why;
	f->talk = NULL;
	put_off(f, "unable to forward message");
}

static void
send_content(struct forward *f, struct str bytes)
{
	talk_send(f->talk, MSG_mail_content,
	    &(struct msg_mail_content){ .bytes = bytes });
}

/* The next piece of header, then body. False: it cannot be read. */
static bool
send_piece(struct forward *f)
{
	const struct msg_deliver *m = &f->recipient->delivery->msg;
	static const size_t most = IPC_CONTENT_MAX;
	char *piece = mem_grow(NULL, most, 1);
	bool header = f->at < m->header_len;
	uint64_t off = header ? m->header_off + f->at :
	    m->body_off + (f->at - m->header_len);
	uint64_t left = (header ? 0 : m->body_len) + m->header_len - f->at;
	size_t want = left < most ? (size_t)left : most;
	ssize_t got = fd_pread_all(m->queue_file, piece, want, (off_t)off);

	if (got > 0 && (size_t)got == want) {
		send_content(f, (struct str){ piece, want });
		f->at += want;
	}
	mem_free(piece);
	return got > 0 && (size_t)got == want;
}

static void
send_more(struct forward *f)
{
	const struct msg_deliver *m = &f->recipient->delivery->msg;

	while (f->at < m->header_len + m->body_len) {
		if (channel_unsent(f->channel) > IPC_UNSENT_HIGH)
			return;		/* forward_drained goes on */
		if (!send_piece(f)) {
			put_off(f, "error reading message");
			return;
		}
	}
	f->ended = true;
	talk_send(f->talk, MSG_mail_end, &(struct msg_mail_end){ 0 });
}

void
forward_drained(struct local *l, struct channel *channel)
{
	list_each(ln, &l->forwards) {
		struct forward *f = container_of(ln, struct forward, link);

		if (f->channel == channel && !f->ended)
			send_more(f);
	}
}

static void
send_envelope(struct forward *f, const struct forward_to *to)
{
	const struct recipient *r = f->recipient;
	const struct msg_deliver *d = &r->delivery->msg;
	bool list = to->list;		/* RFC 3461 5.2.7.1 */
	struct msg_mail_begin m = {
		.flags = MAIL_NO_CHECKS | MAIL_NO_BCC |
		    ((d->flags & DELIVER_SMTPUTF8) != 0 ? MAIL_SMTPUTF8 : 0),
		.sender = to->sender,
		.dsn_envid = list ? STR("") : d->dsn_envid,
		.dsn_ret = list ? DSN_RET_NONE : d->dsn_ret,
		.encoding = d->encoding, .size_hint = d->size };

	talk_send(f->talk, MSG_mail_begin, &m);
	for (size_t i = 0; i < to->n; i++) {
		struct msg_mail_rcpt rcpt = { .address = to->rcpts[i],
			.dsn_orcpt = list ? STR("") : r->dsn_orcpt,
			.dsn_notify = r->dsn_notify };

		/* RFC 3461 5.2.7.2: success was told by "expanded". */
		rcpt.dsn_notify &= ~(uint64_t)DSN_NOTIFY_SUCCESS;
		if (rcpt.dsn_notify == 0 && r->dsn_notify != 0)
			rcpt.dsn_notify = DSN_NOTIFY_NEVER;
		talk_send(f->talk, MSG_mail_rcpt, &rcpt);
	}
}

/* Its first line, by which loop.c knows it again. */
static void
send_delivered(struct forward *f, const struct forward_to *to)
{
	struct buf line;

	if (to->delivered.n == 0)
		return;
	buf_init(&line, LINE_MAX_BYTES);
	buf_puts(&line, "Delivered-To: ");
	address_quote_822(deliver_folded(f->recipient, to->delivered), &line);
	buf_puts(&line, "\r\n");
	send_content(f, buf_view(&line));
	buf_free(&line);
}

void
forward_mail(struct local *l, struct recipient *r,
    const struct forward_to *to,
    void (*done)(void *, enum delivery_status, struct str), void *ctx)
{
	struct channel *channel = service_peer(l->service, ROLE_CLEANUP,
	    STR(""));
	struct forward *f;

	if (channel == NULL) {
		done(ctx, DEFERRED, STR("unable to forward message"));
		return;
	}
	f = mem_new(sizeof(*f));
	f->local = l;
	f->recipient = r;
	f->channel = channel;
	f->done = done;
	f->ctx = ctx;
	list_append(&l->forwards, &f->link);
	f->talk = talk_open(channel, &forward_ops, f);
	talk_deadline(f->talk, FORWARD_MS);
	send_envelope(f, to);
	if ((l->delivered_to & PUT_FORWARD) != 0 || to->again)
		send_delivered(f, to);
	send_more(f);
}
