/*
 * report - one request of qmgr: which reports are due, and their way into
 * the queue.
 *
 * A request makes up to two mails, one after the other: to the sender, and a
 * copy to postmaster where notify_classes asks. It is answered MAIL_OK only
 * when the first is safely in the queue or was not due; whatever else
 * happens qmgr keeps the message and asks again. Failures of mail with VERP
 * senders make these two for each recipient, and report_told behind each.
 * Who gets what is Postfix's bounce_notify_service, bounce_notify_verp and
 * bounce_warn_service. bounce runs it.
 */
#include <errno.h>
#include "address/address.h"
#include "qmgr/bounce.h"

#define CLEANUP_WAIT_MS	10000	/* for a cleanup to come back */
#define CLEANUP_MS	300000	/* for its answer */
#define LOCKED_MS	60000	/* for cleanup's sync of an early offer */
#define LOCKED_STEP_MS	10
#define ARENA_MAX	((size_t)16 << 30)

struct mail {
	bool		 to_postmaster;
	bool		 needed;	/* else its failure is only logged */
	struct str	 from, to;
	const char	*log;		/* "sender non-delivery notification" */
};

struct request {
	struct list	 link;
	struct bounce	*b;
	struct talk	*qmgr;
	struct arena	*arena;
	struct queue_message msg;
	int		 fd;
	enum report_kind kind;
	struct mail	 mails[2];
	size_t		 nmails, at;
	bool		 verp;		/* the mails are of recipient rcpt */
	size_t		 rcpt;
	struct buf	 verp_to;	/* the sender that was made for it */
	struct report	 report;	/* the mail at hand */
	struct timer	*locked;	/* looks again */
	int64_t		 locked_until;
	struct wait_peer *wait;
	struct talk	*cleanup;
	bool		 ended;		/* mail_end was sent */
};

static void	on_report(void *, struct talk *, enum msg, const void *);
static void	on_qmgr_gone(void *, struct talk *, const char *);
static void	on_answer(void *, struct talk *, enum msg, const void *);
static void	on_cleanup_gone(void *, struct talk *, const char *);
static void	next_mail(struct request *);
static void	read_message(void *);

static const struct talk_ops qmgr_ops = { on_report, on_qmgr_gone };
static const struct talk_ops cleanup_ops = { on_answer, on_cleanup_gone };

void
request_new(struct bounce *b, struct talk *talk)
{
	struct request *q = mem_new(sizeof(*q));

	q->b = b;
	q->qmgr = talk;
	q->fd = -1;
	list_append(&b->requests, &q->link);
	talk_set(talk, &qmgr_ops, q);
}

static void
request_free(struct request *q)
{
	list_remove(&q->link);
	timer_free(&q->locked);
	service_wait_cancel(&q->wait);
	talk_close(&q->cleanup);
	talk_close(&q->qmgr);
	fd_close(&q->fd);
	buf_free(&q->verp_to);
	arena_free(&q->arena);
	mem_free(q);
}

static void
answer(struct request *q, enum mail_status status, const char *reason)
{
	struct talk *talk = q->qmgr;

	q->qmgr = NULL;
	talk_send(talk, MSG_report_done, &(struct msg_report_done){
	    .status = status, .queue_id = STR(""), .reason = str_of(reason) });
	request_free(q);
}

static void
on_qmgr_gone(void *ctx, struct talk *talk, const char *why)
{
	struct request *q = ctx;

	(void)talk;
	(void)why;
	q->qmgr = NULL;
	request_free(q);	/* qmgr asks again when it is back */
}

/* --- which mails --- */

static void
add_mail(struct request *q, bool to_postmaster, bool needed, struct str to,
    const char *log)
{
	q->mails[q->nmails++] = (struct mail){
		.to_postmaster = to_postmaster, .needed = needed,
		.from = to_postmaster ? q->b->notices.sender : STR(""),
		.to = to, .log = log };
}

/* What was asked for about a report of ours goes to postmaster, if at all. */
static void
plan_success(struct request *q)
{
	static const char log[] = "sender delivery status notification";
	const struct bounce *b = q->b;

	if (q->msg.sender.n > 0) {
		add_mail(q, false, true, q->msg.sender, log);
	} else if (b->notify_2bounce) {
		add_mail(q, false, true, b->twobounce_recipient, log);
		q->mails[q->nmails - 1].from = b->notices.sender;
	} else {
		log_info("%s: not sending trace/success notification for "
		    "single-bounce message", q->msg.id);
	}
}

static void
plan(struct request *q)
{
	const struct bounce *b = q->b;
	struct str sender = q->msg.sender;

	if (str_eq_nocase(sender, b->notices.sender)) {
		log_warn("%s: undeliverable postmaster notification "
		    "discarded", q->msg.id);
		return;
	}
	switch (q->kind) {
	case REPORT_FAILURE:
		q->verp = queue_verp(&q->msg).n > 0 &&
		    !b->conf.disable_verp_bounces;
		if (sender.n > 0)
			add_mail(q, false, true, sender,
			    "sender non-delivery notification");
		else if (b->notify_bounce || b->notify_2bounce)
			add_mail(q, true, true, b->twobounce_recipient,
			    "postmaster non-delivery notification");
		if (sender.n > 0 && b->notify_bounce)
			add_mail(q, true, false,
			    b->conf.bounce_notice_recipient,
			    "postmaster non-delivery notification");
		break;
	case REPORT_DELAY:
		if (sender.n > 0)
			add_mail(q, false, true, sender,
			    "sender delay notification");
		if (b->notify_delay)
			add_mail(q, true, sender.n == 0,
			    b->conf.delay_notice_recipient,
			    "postmaster delay notification");
		break;
	case REPORT_SUCCESS:
	case REPORT_VERIFY:
		plan_success(q);
		break;
	}
}

static void
on_report(void *ctx, struct talk *talk, enum msg id, const void *m)
{
	const struct msg_report *r = m;
	struct request *q = ctx;

	(void)talk;
	if (id != MSG_report)
		return;
	if (q->fd >= 0 || r->kind > REPORT_VERIFY || r->queue_file < 0) {
		int fd = r->queue_file;

		fd_close(&fd);
		answer(q, MAIL_RETRY, "no such report");
		return;
	}
	q->fd = r->queue_file;
	q->kind = (enum report_kind)r->kind;
	q->arena = arena_new(ARENA_MAX);
	q->locked_until = clock_steady_ms() + LOCKED_MS;
	read_message(q);
}

/*
 * A message that was offered early is locked until its file is synced, and
 * its client had an answer: no report before that.
 */
static void
read_message(void *ctx)
{
	struct request *q = ctx;
	enum queue_result got;

	got = queue_read(q->fd, q->arena, false, &q->msg);
	if (got == QUEUE_LOCKED && clock_steady_ms() < q->locked_until) {
		if (q->locked == NULL)
			q->locked = timer_new(service_loop(q->b->service),
			    read_message, q);
		timer_set(q->locked, LOCKED_STEP_MS);
		return;
	}
	if (got != QUEUE_OK) {
		answer(q, MAIL_RETRY, "its queue file cannot be read");
		return;
	}
	plan(q);
	next_mail(q);
}

/* --- one mail --- */

static bool
headers_only(const struct request *q, const struct mail *mail)
{
	if (q->kind == REPORT_SUCCESS || q->kind == REPORT_VERIFY)
		return true;
	if (mail->to_postmaster)
		return q->msg.sender.n > 0;
	if (q->kind == REPORT_DELAY)
		return true;
	return q->msg.dsn_ret == DSN_RET_HDRS;
}

static struct str
verp_to(struct request *q)
{
	const struct queue_rcpt *r = &q->msg.rcpts[q->rcpt];

	if (q->verp_to.max == 0)
		buf_init(&q->verp_to, 2 * ADDRESS_MAX + 2);
	buf_clear(&q->verp_to);
	address_verp(queue_verp(&q->msg), q->msg.sender, r->original.n > 0 ?
	    r->original : r->address, &q->verp_to);
	return buf_view(&q->verp_to);
}

static void
start_report(struct request *q)
{
	struct mail *mail = &q->mails[q->at];

	if (q->verp && !mail->to_postmaster)
		mail->to = verp_to(q);
	q->report = (struct report){ .site = &q->b->site, .msg = &q->msg,
		.fd = q->fd, .kind = q->kind,
		.postmaster = mail->to_postmaster,
		.headers_only = headers_only(q, mail),
		.of_one = q->verp, .one = q->rcpt, .to = mail->to,
		.now_s = clock_wall_s() };
}

/* The mail at hand came to nothing. */
static void
mail_failed(struct request *q, const char *why)
{
	const struct mail *mail = &q->mails[q->at];

	log_warn("%s: %s notification failed: %s", q->msg.id,
	    mail->to_postmaster ? "postmaster" : "sender", why);
	if (mail->needed) {
		answer(q, MAIL_RETRY, why);
		return;
	}
	q->at++;
	next_mail(q);
}

static void
send_content(struct talk *talk, struct str s)
{
	while (s.n > 0) {
		struct str part = str_first(s, IPC_CONTENT_MAX);

		talk_send(talk, MSG_mail_content,
		    &(struct msg_mail_content){ .bytes = part });
		s = str_from(s, part.n);
	}
}

/* Pieces until the channel is full; goes on when it has drained. */
static void
produce(struct request *q)
{
	enum report_next next = REPORT_MORE;
	struct buf piece;

	buf_init(&piece, 4 * REPORT_PIECE_MAX);
	while (next == REPORT_MORE &&
	    channel_unsent(talk_channel(q->cleanup)) < IPC_UNSENT_HIGH) {
		buf_clear(&piece);
		next = report_next(&q->report, &piece);
		if (next != REPORT_FAULT)
			send_content(q->cleanup, buf_view(&piece));
	}
	buf_free(&piece);
	switch (next) {
	case REPORT_MORE:
		break;
	case REPORT_END:
		talk_send(q->cleanup, MSG_mail_end,
		    &(struct msg_mail_end){ 0 });
		talk_deadline(q->cleanup, CLEANUP_MS);
		q->ended = true;
		break;
	case REPORT_FAULT:
		talk_close(&q->cleanup);
		mail_failed(q, strerror(errno));
		break;
	}
}

static void
begin_mail(void *ctx, struct channel *ch)
{
	struct request *q = ctx;
	const struct mail *mail = &q->mails[q->at];
	unsigned flags = MAIL_BOUNCE | MAIL_LOCAL_CLIENT;

	q->wait = NULL;
	if (ch == NULL) {
		mail_failed(q, "no cleanup process");
		return;
	}
	if (q->msg.flags & QMF_SMTPUTF8)
		flags |= MAIL_SMTPUTF8;
	start_report(q);
	q->ended = false;
	q->cleanup = talk_open(ch, &cleanup_ops, q);
	talk_send(q->cleanup, MSG_mail_begin, &(struct msg_mail_begin){
	    .flags = flags, .sender = mail->from,
	    .rewrite_domain = STR("local"),
	    .encoding = report_encoding(&q->report) });
	talk_send(q->cleanup, MSG_mail_rcpt, &(struct msg_mail_rcpt){
	    .address = mail->to });
	produce(q);
}

/* Those of one recipient are through (VERP): on to the next. */
static bool
next_rcpt(struct request *q)
{
	if (!q->verp || q->rcpt + 1 >= q->msg.nrcpts)
		return false;
	q->rcpt++;
	q->at = 0;
	return true;
}

/* The next mail that tells of anybody; the answer after the last. */
static void
next_mail(struct request *q)
{
	struct wait_peer *w;

	do {
		for (; q->at < q->nmails; q->at++) {
			start_report(q);
			if (report_count(&q->report) > 0)
				break;
		}
	} while (q->at == q->nmails && next_rcpt(q));
	if (q->at == q->nmails) {
		answer(q, MAIL_OK, "");
		return;
	}
	w = service_wait_peer(q->b->service, ROLE_CLEANUP, STR(""),
	    CLEANUP_WAIT_MS, begin_mail, q);
	if (w != NULL)			/* else it was called: q may be gone */
		q->wait = w;
}

static void
on_answer(void *ctx, struct talk *talk, enum msg id, const void *m)
{
	struct request *q = ctx;
	const struct msg_mail_done *done = m;

	(void)talk;
	if (id == MSG_mail_id) {
		const struct msg_mail_id *name = m;

		log_mail(str_of(q->msg.id), "%s: " STRF,
		    q->mails[q->at].log, STRV(name->queue_id));
		if (q->ended)
			talk_deadline(q->cleanup, CLEANUP_MS);
		return;
	}
	if (id != MSG_mail_done)
		return;
	q->cleanup = NULL;
	if (done->status != MAIL_OK || !q->ended) {
		struct buf why;

		buf_init(&why, 1024);
		buf_str(&why, str_first(done->reason, 512));
		mail_failed(q, buf_cstr(&why));
		buf_free(&why);
		return;
	}
	if (q->verp && !q->mails[q->at].to_postmaster)
		talk_send(q->qmgr, MSG_report_told, &(struct msg_report_told){
		    .rcpt = q->rcpt });
	q->at++;
	next_mail(q);
}

static void
on_cleanup_gone(void *ctx, struct talk *talk, const char *why)
{
	struct request *q = ctx;

	(void)talk;
	q->cleanup = NULL;
	mail_failed(q, why);
}

void
requests_resume(struct bounce *b, struct channel *ch)
{
	list_each(l, &b->requests) {
		struct request *q = container_of(l, struct request, link);

		if (q->cleanup != NULL && !q->ended &&
		    talk_channel(q->cleanup) == ch)
			produce(q);
	}
}
