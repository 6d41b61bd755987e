/*
 * pickup_job - one message of maildrop/ on its way to cleanup.
 *
 * Envelope, then a wait for the queue id, for the line "uid= from=", then
 * content as the channel has room. The file goes away only after cleanup
 * says that the message is on disk: a crash in between sends it twice, never
 * loses it. What cleanup will never take is returned to its sender by a
 * report that goes the same way; what makes no sense moves to corrupt/.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "address/address.h"
#include "cleanup/pickup.h"

#define JOB_MEMORY	((size_t)1 << 26)
#define WAIT_MS		20000	/* for a cleanup to be there */
#define ANSWER_MS	600000
#define HEADER_MAX	65536	/* of a refused message, in its report */
#define RCPTS_MAX	2048	/* bytes of recipients in a report */
#define REASON_MAX	500
#define REPORT_MAX	(4 << 20)
#define FUTURE_S	7200

enum job_state { JOB_ENVELOPE, JOB_ID, JOB_CONTENT, JOB_ANSWER };

struct job {
	struct list	  link;
	struct pickup	 *p;
	char		  name[QUEUE_ID_MAX];
	struct source	  source;
	struct arena	 *arena;
	enum job_state	  state;
	struct talk	 *talk;
	struct wait_peer *wait;
	struct msg_mail_begin begin;
	struct str	  id;
	bool		  begun;
	struct source_part held;	/* content that waits for the id */
	enum source_item  held_item;
	bool		  reporting;
	struct refusal	  refusal;
	struct buf	  header, rcpts;	/* for a report */
	bool		  header_done;
};

static void	 on_cleanup(void *, struct channel *);
static void	 on_message(void *, struct talk *, enum msg, const void *);
static void	 on_gone(void *, struct talk *, const char *);
static void	 pump(struct job *);

static const struct talk_ops job_ops = {
	.on_message = on_message,
	.on_gone = on_gone,
};

static void
finish(struct job *j, bool retry)
{
	struct pickup *p = j->p;
	struct str name = arena_str(j->arena, str_of(j->name));
	struct arena *arena = j->arena;

	talk_close(&j->talk);
	service_wait_cancel(&j->wait);
	source_close(&j->source);
	buf_free(&j->header);
	buf_free(&j->rcpts);
	list_remove(&j->link);
	p->njobs--;
	map_set(p->busy, name, NULL);
	pickup_job_done(p, name, retry);
	mem_free(j);
	arena_free(&arena);
}

static void
remove_file(struct job *j)
{
	pickup_remove(j->p, j->name);
	finish(j, false);
}

/* Out of the way, kept for a person to look at. */
static void
quarantine(struct job *j, const char *why)
{
	const struct queue *q = &j->p->queue;
	bool moved = q->dir[Q_CORRUPT] >= 0 && renameat(q->dir[Q_MAILDROP],
	    j->name, q->dir[Q_CORRUPT], j->name) == 0;

	log_warn("maildrop/%s: uid=%u: %s; %s%s", j->name,
	    (unsigned)j->source.st.st_uid, why, moved ? "moved to corrupt/" :
	    "could not be moved to corrupt/: ", moved ? "" : strerror(errno));
	finish(j, !moved);
}

static struct str
keep(struct job *j, struct str s)
{
	return arena_str(j->arena, s);
}

static void
take_attr(struct job *j, struct str name, struct str value)
{
	struct msg_mail_begin *b = &j->begin;

	if (str_eq(name, STR("full_name")))
		b->full_name = keep(j, value);
	else if (str_eq(name, STR("encoding")))
		b->encoding = keep(j, value);
	else if (str_eq(name, STR("dsn_envid")))
		b->dsn_envid = keep(j, value);
	else if (str_eq(name, STR("dsn_ret")))
		b->dsn_ret = str_eq(value, STR("full")) ? DSN_RET_FULL :
		    str_eq(value, STR("hdrs")) ? DSN_RET_HDRS : DSN_RET_NONE;
	else if (str_eq(name, STR("rewrite")) &&
	    str_eq(value, STR("remote"))) {
		b->flags &= ~(uint64_t)MAIL_LOCAL_CLIENT;
		b->rewrite_domain = STR("");
	} else if (str_eq(name, STR("trace")))
		b->flags |= str_eq(value, STR("verify")) ? MAIL_VERIFY :
		    MAIL_TRACE;
	else if (str_eq(name, STR("extract")))
		b->flags |= MAIL_EXTRACT;
	else if (str_eq(name, STR("smtputf8")))
		b->flags |= MAIL_SMTPUTF8;
	else if (str_eq(name, STR("verp")))
		b->verp = keep(j, value);
}

/* A queue file's attributes say where it came from at first. */
static void
take_old_attr(struct job *j, struct str name, struct str value)
{
	struct msg_mail_begin *b = &j->begin;
	const struct { struct str name; struct str *to; } table[] = {
		{ STR("client_name"), &b->client_name },
		{ STR("client_addr"), &b->client_addr },
		{ STR("client_port"), &b->client_port },
		{ STR("helo"), &b->helo },
		{ STR("sasl_method"), &b->sasl_method },
		{ STR("sasl_user"), &b->sasl_user },
		{ STR("encoding"), &b->encoding },
		{ STR(QUEUE_VERP), &b->verp },
	};

	for (size_t i = 0; i < nitems(table); i++)
		if (str_eq(name, table[i].name))
			*table[i].to = keep(j, value);
}

static int64_t
arrival_us(struct job *j)
{
	const struct timespec *m = &j->source.st.st_mtim;
	int64_t now = clock_wall_us();
	int64_t us = (int64_t)m->tv_sec * 1000000 + m->tv_nsec / 1000;

	if (j->source.requeued)
		return now;
	if (us > now + FUTURE_S * INT64_C(1000000))
		log_warn("maildrop/%s: dated %lld seconds into the future",
		    j->name, (long long)((us - now) / 1000000));
	return us > now || us < 0 ? now : us;
}

static void
prepare(struct job *j)
{
	struct msg_mail_begin *b = &j->begin;
	unsigned flags = j->source.msg.flags;

	*b = (struct msg_mail_begin){
		.flags = MAIL_LOCAL_CLIENT | j->p->overrides,
		.filter = j->p->content_filter,
		.client_name = STR("localhost"),
		.client_addr = STR("127.0.0.1"),
		.rewrite_domain = STR("local"),
		.arrival_us = (uint64_t)arrival_us(j),
		.size_hint = (uint64_t)j->source.st.st_size,
		.received_from = str_of(arena_printf(j->arena, "userid %u",
		    (unsigned)j->source.st.st_uid)),
	};
	if (!j->source.requeued)
		return;
	b->flags = j->p->overrides |
	    (flags & QMF_SMTPUTF8 ? MAIL_SMTPUTF8 : 0) |
	    (flags & QMF_BOUNCE ? MAIL_BOUNCE : 0) |
	    (flags & QMF_VERIFY ? MAIL_VERIFY : 0) |
	    (flags & QMF_TRACE ? MAIL_TRACE : 0);
	b->dsn_envid = j->source.msg.dsn_envid;
	b->dsn_ret = j->source.msg.dsn_ret;
}

void
pickup_job_start(struct pickup *p, const char *name)
{
	struct job *j = mem_new(sizeof(*j));
	struct channel *channel;
	int err;

	j->p = p;
	j->arena = arena_new(JOB_MEMORY);
	memcpy(j->name, name, strlen(name) + 1);
	buf_init(&j->header, HEADER_MAX);
	buf_init(&j->rcpts, RCPTS_MAX);
	list_append(&p->jobs, &j->link);
	p->njobs++;
	map_set(p->busy, str_of(j->name), j);
	err = source_open(&j->source, p, j->name);
	if (err == EBADMSG) {
		quarantine(j, j->source.why);
		return;
	}
	if (err != 0) {
		if (err == EAGAIN && j->source.stale) {
			log_warn("removed maildrop/%s: its writer died, and "
			    "nobody was told that we have it", j->name);
			pickup_remove(p, j->name);
		}
		if (err != EAGAIN && err != ENOENT)
			log_warn("open maildrop/%s: %s", j->name,
			    strerror(err));
		finish(j, err != ENOENT && err != EAGAIN);
		return;
	}
	prepare(j);
	channel = service_peer(p->service, ROLE_CLEANUP, STR(""));
	if (channel != NULL)
		on_cleanup(j, channel);
	else
		j->wait = service_wait_peer(p->service, ROLE_CLEANUP, STR(""),
		    WAIT_MS, on_cleanup, j);
}

static void
on_cleanup(void *ctx, struct channel *channel)
{
	struct job *j = ctx;

	j->wait = NULL;
	if (channel == NULL) {
		finish(j, true);
		return;
	}
	j->talk = talk_open(channel, &job_ops, j);
	talk_deadline(j->talk, ANSWER_MS);
	pump(j);
}

static void
begin(struct job *j)
{
	if (j->begun)
		return;
	j->begun = true;
	talk_send(j->talk, MSG_mail_begin, &j->begin);
}

static void
send_content(struct job *j, struct str bytes)
{
	while (bytes.n > 0) {
		struct msg_mail_content m = {
		    .bytes = str_first(bytes, IPC_CONTENT_MAX) };

		talk_send(j->talk, MSG_mail_content, &m);
		bytes = str_from(bytes, m.bytes.n);
	}
}

/* The header, as far as a report will want it. */
static void
note_header(struct job *j, struct str bytes)
{
	static const char end[] = "\r\n\r\n";
	const char *p;

	if (j->header_done)
		return;
	buf_str(&j->header, str_first(bytes, HEADER_MAX - j->header.n));
	p = memmem(j->header.p, j->header.n, end, sizeof(end) - 1);
	if (p != NULL)
		j->header.n = (size_t)(p - j->header.p) + 2;
	j->header_done = p != NULL || j->header.n == HEADER_MAX;
}

static void
send_rcpt(struct job *j, const struct source_part *part)
{
	struct msg_mail_rcpt m = { .address = part->text,
	    .dsn_orcpt = part->orcpt, .dsn_notify = part->notify };

	begin(j);
	talk_send(j->talk, MSG_mail_rcpt, &m);
	if (j->rcpts.n + part->text.n + 1 < RCPTS_MAX) {
		buf_str(&j->rcpts, part->text);
		buf_putc(&j->rcpts, '\n');
	}
}

/* True: go on. False: it waits, or the job is over. */
static bool
pass_on(struct job *j, enum source_item item, const struct source_part *part)
{
	switch (item) {
	case SRC_SENDER:
		j->begin.sender = keep(j, part->text);
		return true;
	case SRC_ATTR:
		if (j->source.requeued)
			take_old_attr(j, part->name, part->text);
		else
			take_attr(j, part->name, part->text);
		return true;
	case SRC_RCPT:
		send_rcpt(j, part);
		return true;
	case SRC_CONTENT:
	case SRC_END:
		begin(j);
		if (j->state == JOB_ENVELOPE) {
			j->held = *part;
			j->held_item = item;
			j->state = JOB_ID;
			return false;
		}
		if (item == SRC_CONTENT) {
			note_header(j, part->text);
			send_content(j, part->text);
			return true;
		}
		j->state = JOB_ANSWER;
		talk_send(j->talk, MSG_mail_end, &(struct msg_mail_end){ 0 });
		return false;
	case SRC_RETRY:
		log_warn("read maildrop/%s: %s", j->name, strerror(errno));
		finish(j, true);
		return false;
	case SRC_BAD:
		quarantine(j, j->source.why);
		return false;
	}
	return false;
}

static void
pump(struct job *j)
{
	struct source_part part;
	enum source_item item;
	bool more = true;

	while (more && (j->state == JOB_ENVELOPE || j->state == JOB_CONTENT)) {
		if (channel_unsent(talk_channel(j->talk)) > IPC_UNSENT_HIGH)
			return;		/* pickup_job_resume goes on */
		item = source_next(&j->source, &part);
		more = pass_on(j, item, &part);
	}
}

void
pickup_job_resume(struct pickup *p, struct channel *channel)
{
	list_each(l, &p->jobs) {
		struct job *j = container_of(l, struct job, link);

		if (j->talk != NULL && talk_channel(j->talk) == channel &&
		    !j->reporting)
			pump(j);
	}
}

/* Postfix's line, then the content may go. */
static void
take_id(struct job *j, struct str id)
{
	struct buf from;
	enum source_item item = j->held_item;

	if (j->reporting)
		return;
	j->id = keep(j, id);
	buf_init(&from, 2 * ADDRESS_MAX + 16);
	address_quote_822(j->begin.sender, &from);
	if (j->source.requeued)
		log_mail(id, "uid=%u from=<" STRF "> orig_id=%s",
		    (unsigned)j->source.st.st_uid, STRV(buf_view(&from)),
		    j->name);
	else
		log_mail(id, "uid=%u from=<" STRF ">",
		    (unsigned)j->source.st.st_uid, STRV(buf_view(&from)));
	buf_free(&from);
	/* Much content leaves at once: this line comes before cleanup's. */
	if (j->source.st.st_size > IPC_CONTENT_MAX)
		log_flush();
	if (j->state != JOB_ID)
		return;
	j->state = JOB_CONTENT;
	if (pass_on(j, item, &j->held))
		pump(j);
}

static void
send_report(struct job *j, struct channel *channel)
{
	struct msg_mail_begin b = { .flags = MAIL_BOUNCE | MAIL_LOCAL_CLIENT,
	    .encoding = STR("8bit"), .client_name = STR("localhost"),
	    .rewrite_domain = STR("local") };
	struct msg_mail_rcpt r = { .address = j->refusal.sender };
	struct buf text;

	buf_init(&text, REPORT_MAX);
	pickup_report(j->p, &j->refusal, buf_view(&j->header),
	    buf_view(&j->rcpts), clock_wall_s(), &text);
	j->talk = talk_open(channel, &job_ops, j);
	talk_deadline(j->talk, ANSWER_MS);
	talk_send(j->talk, MSG_mail_begin, &b);
	talk_send(j->talk, MSG_mail_rcpt, &r);
	send_content(j, buf_view(&text));
	talk_send(j->talk, MSG_mail_end, &(struct msg_mail_end){ 0 });
	buf_free(&text);
}

/* For good: the sender is told, and only then the file goes. */
static void
refused(struct job *j, const struct msg_mail_done *m, struct channel *channel)
{
	if (j->reporting) {
		quarantine(j, "neither it nor a report of it was accepted");
		return;
	}
	j->refusal = (struct refusal){
		.name = str_of(j->name), .sender = j->begin.sender,
		.status = (unsigned)m->status, .dsn = keep(j, m->dsn),
		.reason = keep(j, str_first(m->reason, REASON_MAX)),
		.arrival_s = (int64_t)(j->begin.arrival_us / 1000000),
		.uid = (unsigned)j->source.st.st_uid };
	log_mail(j->id, "uid=%u from=<" STRF ">: rejected: " STRF " " STRF,
	    (unsigned)j->source.st.st_uid, STRV(j->begin.sender),
	    STRV(m->dsn), STRV(m->reason));
	if (j->begin.sender.n == 0) {
		quarantine(j, "refused, and there is no sender to tell");
		return;
	}
	j->reporting = true;
	j->state = JOB_ANSWER;
	send_report(j, channel);
}

static void
take_answer(struct job *j, const struct msg_mail_done *m,
    struct channel *channel)
{
	/* mail_done has ended the talk. */
	j->talk = NULL;
	switch ((enum mail_status)m->status) {
	case MAIL_OK:
		if (j->reporting)
			log_mail(j->id, "sender non-delivery notification: "
			    STRF, STRV(m->queue_id));
		remove_file(j);
		return;
	case MAIL_RETRY:
	case MAIL_NO_SPACE:
		finish(j, true);
		return;
	case MAIL_NO_RCPT:
		if (j->source.requeued) {	/* all were done */
			remove_file(j);
			return;
		}
		refused(j, m, channel);
		return;
	case MAIL_TOO_BIG:
	case MAIL_TOO_MANY_HOPS:
	case MAIL_REJECTED:
	case MAIL_BAD_CONTENT:
		refused(j, m, channel);
		return;
	}
	finish(j, true);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct job *j = ctx;

	if (id == MSG_mail_id) {
		const struct msg_mail_id *m = msg;

		talk_deadline(talk, ANSWER_MS);
		take_id(j, m->queue_id);
	} else if (id == MSG_mail_done) {
		take_answer(j, msg, talk_channel(talk));
	}
}

/* cleanup died or is silent: the file is still there. */
static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct job *j = ctx;

	(void)talk;
	j->talk = NULL;
	log_warn("maildrop/%s: cleanup went away (%s); will try again",
	    j->name, why);
	finish(j, true);
}
