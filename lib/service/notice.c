/* notice - mail to postmaster, by a talk with cleanup. */
#include "service/notice.h"

#define NOTICES_MAX	20	/* under way */
#define NOTICE_MS	300000	/* for cleanup's answer */
#define HEAD_MAX	8192
#define SENDER_MAX	2048

void
notices_init(struct notices *n, struct service *service, struct arena *arena)
{
	struct conf *conf = service_conf(service);
	struct str sender = conf_get(conf, "double_bounce_sender");
	struct buf whole;

	n->service = service;
	n->mail_name = conf_get(conf, "mail_name");
	buf_init(&whole, SENDER_MAX);
	buf_str(&whole, sender);
	if (str_chr(sender, '@') == sender.n) {
		buf_putc(&whole, '@');
		buf_str(&whole, conf_get(conf, "myorigin"));
	}
	n->sender = arena_str(arena, buf_view(&whole));
	buf_free(&whole);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	const struct msg_mail_done *done = msg;
	struct notices *n = ctx;

	(void)talk;
	if (id != MSG_mail_done)
		return;
	if (done->status != MAIL_OK)
		log_warn("postmaster notify: " STRF, STRV(done->reason));
	n->under_way--;
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct notices *n = ctx;

	(void)talk;
	log_warn("postmaster notify: %s", why);
	n->under_way--;
}

static void
say(struct talk *talk, struct str text)
{
	for (; text.n > 0; text = str_from(text, IPC_CONTENT_MAX))
		talk_send(talk, MSG_mail_content, &(struct msg_mail_content){
		    .bytes = str_first(text, IPC_CONTENT_MAX) });
}

static void
say_head(const struct notices *n, struct talk *talk, struct str recipient,
    struct str subject)
{
	struct buf head;

	buf_init(&head, HEAD_MAX);
	buf_printf(&head, "From: Mail Delivery System <MAILER-DAEMON>\r\n"
	    "To: Postmaster <" STRF ">\r\n"
	    "Subject: " STRF " " STRF "\r\n\r\n", STRV(recipient),
	    STRV(n->mail_name), STRV(subject));
	say(talk, buf_view(&head));
	buf_free(&head);
}

void
notice_send(struct notices *n, struct str recipient, struct str subject,
    struct str text)
{
	static const struct talk_ops ops = { on_message, on_gone };
	struct channel *cleanup = service_peer(n->service, ROLE_CLEANUP,
	    STR(""));
	struct talk *talk;

	if (cleanup == NULL || n->under_way >= NOTICES_MAX) {
		log_warn("postmaster notify: not now");
		return;
	}
	n->under_way++;
	talk = talk_open(cleanup, &ops, n);
	talk_deadline(talk, NOTICE_MS);
	talk_send(talk, MSG_mail_begin, &(struct msg_mail_begin){
	    .flags = MAIL_BOUNCE | MAIL_LOCAL_CLIENT,
	    .sender = n->sender, .rewrite_domain = STR("local") });
	talk_send(talk, MSG_mail_rcpt, &(struct msg_mail_rcpt){
	    .address = recipient });
	say_head(n, talk, recipient, subject);
	say(talk, text);
	say(talk, STR("\r\nFor other details, see the local mail logfile\r\n"));
	talk_send(talk, MSG_mail_end, &(struct msg_mail_end){ 0 });
}
