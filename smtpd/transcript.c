/*
 * transcript - what was said in a session, for postmaster where it went
 * wrong (notify_classes, error_notice_recipient).
 *
 * Each error reply has a class, told by its enhanced status code. At the end
 * of a session with an error of a class that is asked for, its lines go to
 * cleanup as a mail. That is no important mail: what can't be sent at once is
 * not sent. Words are Postfix's smtpd_chat_notify(); passwords are left out.
 */
#include "dsn/dsn.h"
#include "smtpd/smtpd.h"

#define TRANSCRIPT_MAX	131072	/* bytes; what is older goes */
#define LINE_SHOWN	1000	/* bytes of a line in the log */
#define NOTICES_MAX	20	/* under way */
#define NOTICE_MS	300000	/* for cleanup's answer */

struct notice { struct smtpd *smtpd; };

static const struct { const char *name; unsigned bit; } classes[] = {
	{ "bounce", NOTE_BOUNCE }, { "data", NOTE_DATA },
	{ "policy", NOTE_POLICY }, { "protocol", NOTE_PROTOCOL },
	{ "resource", NOTE_RESOURCE }, { "software", NOTE_SOFTWARE },
};

void
transcript_configure(struct smtpd *d, struct conf *conf)
{
	struct str list = conf_get(conf, "notify_classes"), item;
	struct buf sender;

	while (conf_list_next(&list, &item))
		for (size_t i = 0; i < nitems(classes); i++)
			if (str_eq_nocase(item, str_of(classes[i].name)))
				d->notify |= classes[i].bit;
	d->bounce_notice_recipient = conf_get(conf,
	    "bounce_notice_recipient");
	d->error_notice_recipient = conf_get(conf, "error_notice_recipient");
	d->mail_name = conf_get(conf, "mail_name");
	buf_init(&sender, 2048);
	buf_str(&sender, conf_get(conf, "double_bounce_sender"));
	if (str_chr(buf_view(&sender), '@') == sender.n) {
		buf_putc(&sender, '@');
		buf_str(&sender, conf_get(conf, "myorigin"));
	}
	d->double_bounce = arena_str(d->arena, buf_view(&sender));
	buf_free(&sender);
}

static bool
contains(struct str s, const char *part)
{
	return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* RFC 3463: x.5.x is the protocol, x.3.x the system, x.7.x what is allowed. */
unsigned
transcript_class(struct str line)
{
	struct str code = str_from(line, 4);

	if (line.n < 4 || (line.p[0] != '4' && line.p[0] != '5'))
		return 0;
	code = str_first(code, dsn_status_length(code));
	if (code.n < 5)
		return NOTE_PROTOCOL;
	if (contains(line, "Temporary lookup failure"))
		return NOTE_DATA;
	code = str_from(code, 2);
	if (str_starts(code, STR("5.")))
		return NOTE_PROTOCOL;
	if (str_eq(code, STR("3.4")) || str_eq(code, STR("4.0")) ||
	    str_eq(code, STR("4.6")))	/* too big, too many hops */
		return NOTE_BOUNCE;
	if (str_eq(code, STR("3.1")))
		return NOTE_RESOURCE;
	if (str_starts(code, STR("3.")))
		return NOTE_SOFTWARE;
	return NOTE_POLICY;
}

/* --- what is said --- */

static void
add(struct session *s, const char *who, struct str line)
{
	if (s->smtpd->notify != 0)
		esmtp_script_add(&s->script, TRANSCRIPT_MAX, who, line);
}

/* debug_peer_list, or a daemon's -v. */
static void
show(const struct session *s, const char *direction, struct str line)
{
	log_at(s->debug ? LL_INFO : LL_DEBUG, STR(""), "%s " STRF ": " STRF,
	    direction, STRV(s->who), STRV(str_first(line, LINE_SHOWN)));
}

void
transcript_in(struct session *s, struct str line)
{
	struct str rest = line, verb;

	if (str_token(&rest, " ", &verb) &&
	    str_eq_nocase(verb, STR("AUTH")) && str_token(&rest, " ", &verb))
		line = str_first(line, (size_t)(verb.p + verb.n - line.p));
	show(s, "<", line);
	add(s, "In:  ", line);
}

void
transcript_out(struct session *s, struct str line)
{
	if (s->state == AUTH || str_starts(line, STR("334")))
		return;
	show(s, ">", line);
	s->noted |= transcript_class(line);
	add(s, "Out: ", line);
}

/* Mail was taken: the next one begins a new story. */
void
transcript_forget(struct session *s)
{
	if ((s->noted & s->smtpd->notify) == 0)
		esmtp_script_clear(&s->script);
}

void
transcript_flush(struct session *s)
{
	if (s->script.lines <= s->smtpd->conf.smtpd_history_flush_threshold)
		return;
	transcript_end(s, NULL);
	s->noted = 0;
}

/* --- the mail --- */

static void
put_mail(const struct session *s, const char *why, struct buf *out)
{
	buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON>\r\n"
	    "To: Postmaster <" STRF ">\r\n"
	    "Subject: " STRF " SMTP server: errors from " STRF "\r\n\r\n"
	    "Transcript of session follows.\r\n\r\n",
	    STRV(s->smtpd->error_notice_recipient),
	    STRV(s->smtpd->mail_name), STRV(s->who));
	esmtp_script_print(&s->script, out);
	if (why != NULL)
		buf_printf(out, "\r\nSession aborted, reason: %s\r\n", why);
	buf_puts(out, "\r\nFor other details, see the local mail logfile\r\n");
}

static void
over(struct notice *n)
{
	n->smtpd->nnotices--;
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

static const struct talk_ops ops = { on_message, on_gone };

static void
send_mail(struct smtpd *d, struct channel *to, struct str rcpt, struct str text)
{
	struct notice *n = mem_new(sizeof(*n));
	struct talk *talk = talk_open(to, &ops, n);

	n->smtpd = d;
	d->nnotices++;
	talk_deadline(talk, NOTICE_MS);
	talk_send(talk, MSG_mail_begin, &(struct msg_mail_begin){
	    .flags = MAIL_BOUNCE | MAIL_LOCAL_CLIENT,
	    .sender = d->double_bounce, .rewrite_domain = STR("local") });
	talk_send(talk, MSG_mail_rcpt, &(struct msg_mail_rcpt){
	    .address = rcpt });
	for (; text.n > 0; text = str_from(text, IPC_CONTENT_MAX))
		talk_send(talk, MSG_mail_content, &(struct msg_mail_content){
		    .bytes = str_first(text, IPC_CONTENT_MAX) });
	talk_send(talk, MSG_mail_end, &(struct msg_mail_end){ 0 });
}

void
transcript_end(struct session *s, const char *why)
{
	struct smtpd *d = s->smtpd;
	unsigned noted = s->noted & d->notify;
	struct channel *cleanup;
	struct buf mail;

	if (noted != 0 && d->nnotices < NOTICES_MAX &&
	    (cleanup = service_peer(d->service, ROLE_CLEANUP,
	    STR(""))) != NULL) {
		buf_init(&mail, 16 * TRANSCRIPT_MAX);
		put_mail(s, why, &mail);
		send_mail(d, cleanup, noted & NOTE_BOUNCE ?
		    d->bounce_notice_recipient :
		    d->error_notice_recipient, buf_view(&mail));
		buf_free(&mail);
	} else if (noted != 0) {
		log_warn("postmaster notify: not now");
	}
	esmtp_script_clear(&s->script);
}
