/*
 * notice - mail to postmaster about a server of others, or our client, that
 * broke the protocol. smtp and lmtp tell what was said; they may send no mail
 * themselves. The words are those of Postfix's smtp_chat_notify(). Like it
 * this is no important mail: where it cannot go at once it is not sent.
 */
#include "qmgr/bounce.h"

#define NOTICES_MAX	20	/* under way */
#define NOTICE_MS	300000	/* for cleanup's answer */

struct notice { struct bounce *b; };

static void
over(struct notice *n)
{
	n->b->nnotices--;
	mem_free(n);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	const struct msg_mail_done *done = msg;

	(void)talk;
	if (id != MSG_mail_done)
		return;
	if (done->status != MAIL_OK)
		log_warn("postmaster notify: " STRF, STRV(done->reason));
	over(ctx);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	(void)talk;
	log_warn("postmaster notify: %s", why);
	over(ctx);
}

static void
say(struct talk *talk, struct str bytes)
{
	talk_send(talk, MSG_mail_content, &(struct msg_mail_content){
	    .bytes = bytes });
}

static void
put_head(const struct bounce *b, const char *what, struct str server,
    struct buf *out)
{
	buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON>\r\n"
	    "To: Postmaster <" STRF ">\r\n"
	    "Subject: " STRF " %s client: errors from " STRF "\r\n\r\n"
	    "Unexpected response from " STRF ".\r\n\r\n"
	    "Transcript of session follows.\r\n\r\n",
	    STRV(b->error_recipient), STRV(b->mail_name), what, STRV(server),
	    STRV(server));
}

void
notice_send(struct bounce *b, enum role from, const struct msg_notice *m)
{
	static const struct talk_ops ops = { on_message, on_gone };
	struct channel *cleanup = service_peer(b->service, ROLE_CLEANUP,
	    STR(""));
	struct notice *n;
	struct talk *talk;
	struct buf head;

	if (cleanup == NULL || b->nnotices >= NOTICES_MAX) {
		log_warn("postmaster notify: not now");
		return;
	}
	n = mem_new(sizeof(*n));
	n->b = b;
	b->nnotices++;
	talk = talk_open(cleanup, &ops, n);
	talk_deadline(talk, NOTICE_MS);
	talk_send(talk, MSG_mail_begin, &(struct msg_mail_begin){
	    .flags = MAIL_BOUNCE | MAIL_LOCAL_CLIENT,
	    .sender = b->double_bounce, .rewrite_domain = STR("local") });
	talk_send(talk, MSG_mail_rcpt, &(struct msg_mail_rcpt){
	    .address = b->error_recipient });
	buf_init(&head, 8192);
	put_head(b, from == ROLE_LMTP ? "LMTP" : "SMTP",
	    str_first(m->server, 500), &head);
	say(talk, buf_view(&head));
	buf_free(&head);
	say(talk, str_first(m->script, IPC_CONTENT_MAX));
	say(talk, STR("\r\nFor other details, see the local mail logfile\r\n"));
	talk_send(talk, MSG_mail_end, &(struct msg_mail_end){ 0 });
}
