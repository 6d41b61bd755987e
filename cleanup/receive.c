/*
 * receive - talks with smtpd, pickup and bounce, the sync, the offer.
 *
 * mail_begin opens; mail_id is our first answer, mail_done the last. Many
 * messages sync at once in the pool. A peer that closes or dies before it
 * heard mail_done has not handed over: its file goes.
 *
 * Early offers (qmgr/early.c): qmgr hears of the message before the sync,
 * and where every mailbox has it durably within early_delivery_wait_ms,
 * that was the commit. In all other cases the sync is.
 */
#include <sys/statvfs.h>
#include <errno.h>
#include <unistd.h>
#include "cleanup/cleanup.h"
#include "sys/sys.h"

#define FREE_TTL_MS	1000	/* how old a look at free space may be */
#define OFFER_MAX	(IPC_PACKET_MAX - 1024)	/* envelope in an offer */
#define EARLY_REST_MS	50	/* without early offers, after one was slow */
#define EARLY_REST_MAX	1600	/* the same, when one after another is */
#define SPARE_MS	1000	/* how long spare files outlive the last mail */

struct receiver {		/* until mail_begin there is no mail */
	struct cleanup	*c;
	struct talk	*talk;
	struct mail	*m;
	struct list	 early;	/* in c->early */
	int64_t		 due_ms; /* early: sync it then */
	struct channel	*qmgr;	/* that it was offered to early, if still there */
	bool		 shown;	/* the same, whatever became of that qmgr */
	bool		 delivered, unread, again; /* what that qmgr said */
};

static void	 on_message(void *, struct talk *, enum msg, const void *);
static void	 on_gone(void *, struct talk *, const char *);

static void	 start_sync(struct receiver *);
static void	 sync_done(void *, int);

static const struct talk_ops ops = { on_message, on_gone };

void
receive_talk(struct cleanup *c, struct talk *talk, enum msg msg)
{
	struct receiver *r = mem_new(sizeof(*r));

	(void)msg;
	r->c = c;
	r->talk = talk;
	list_init(&r->early);
	talk_set(talk, &ops, r);
}

static void
receiver_free(struct receiver **rp)
{
	if ((*rp)->qmgr != NULL && (*rp)->m != NULL)
		map_set((*rp)->c->early_ids, (*rp)->m->id, NULL);
	mail_free(&(*rp)->m);
	mem_free(*rp);
	*rp = NULL;
}

static bool
has_space(struct cleanup *c)
{
	int64_t now = clock_steady_ms();
	struct statvfs fs;

	if (c->free_ms != 0 && now - c->free_ms < FREE_TTL_MS)
		return c->free_bytes >= (uint64_t)c->minfree;
	if (fstatvfs(c->queue.root, &fs) != 0)
		return true;	/* the write will tell */
	c->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	c->free_ms = now;
	if (c->free_bytes >= (uint64_t)c->minfree)
		return true;
	log_warn("not enough free space in mail queue: %llu bytes < %lld",
	    (unsigned long long)c->free_bytes, (long long)c->minfree);
	return false;
}

/* The last word; the talk ends with it. */
static void
answer(struct receiver *r)
{
	struct mail *m = r->m;
	struct msg_mail_done done = { .status = m->status, .queue_id = m->id,
		.dsn = m->dsn, .reason = m->reason };

	talk_send(r->talk, MSG_mail_done, &done);
	receiver_free(&r);
}

static void
begin(struct receiver *r, const struct msg_mail_begin *b)
{
	struct msg_mail_id id;

	r->m = mail_new(r->c, b);
	r->m->finds_utf8 = r->c->utf8_roles >> channel_peer(talk_channel(
	    r->talk)) & 1;
	if (r->m->status == MAIL_OK && !has_space(r->c))
		mail_fail(r->m, MAIL_NO_SPACE, "4.3.1",
		    "Insufficient system storage");
	if (r->m->status != MAIL_OK) {
		answer(r);
		return;
	}
	id = (struct msg_mail_id){ .queue_id = r->m->id };
	talk_send(r->talk, MSG_mail_id, &id);
}

/* --- custody --- */

static void
offer(struct cleanup *c, struct str id, struct str envelope, int fd)
{
	struct channel *qmgr = service_peer(c->service, ROLE_QMGR, STR(""));
	struct msg_offer msg = { .queue_id = id, .queue_file = fd };

	if (qmgr == NULL || channel_unsent(qmgr) > IPC_UNSENT_HIGH) {
		char name[QUEUE_ID_MAX] = "";

		/* It is safe where it is: qmgr finds it, or hears later. */
		fd_close(&fd);
		memcpy(name, id.p, id.n < sizeof(name) ? id.n :
		    sizeof(name) - 1);
		buf_add(&c->missed, name, sizeof(name));
		return;
	}
	if (envelope.n <= OFFER_MAX)
		msg.envelope = envelope;
	channel_send(qmgr, MSG_offer, &msg);
}

void
receive_offer_missed(struct cleanup *c)
{
	while (c->missed.n >= QUEUE_ID_MAX) {
		struct channel *qmgr = service_peer(c->service, ROLE_QMGR,
		    STR(""));
		struct msg_offer msg = { .queue_file = -1 };

		if (qmgr == NULL || channel_unsent(qmgr) > IPC_UNSENT_HIGH)
			return;
		c->missed.n -= QUEUE_ID_MAX;
		msg.queue_id = str_of(c->missed.p + c->missed.n);
		channel_send(qmgr, MSG_offer, &msg);
	}
	c->missed.full = false;
}

/* --- early offers --- */

static void
leave_early(struct receiver *r)
{
	list_remove(&r->early);
}

/* qmgr has it, and shall not: its file is bad, or its client went. */
static void
withdraw(struct receiver *r)
{
	leave_early(r);
	if (r->qmgr == NULL)
		return;
	channel_send(r->qmgr, MSG_withdraw, &(struct msg_withdraw){
	    .queue_id = r->m->id });
	close(queue_writer_keep(&r->m->writer));	/* qmgr removes it */
}

/* Twice as long while none comes in time. */
static void
rest_from_early(struct cleanup *c, int64_t now)
{
	c->early_rest_ms *= 2;
	if (c->early_rest_ms < EARLY_REST_MS)
		c->early_rest_ms = EARLY_REST_MS;
	if (c->early_rest_ms > EARLY_REST_MAX)
		c->early_rest_ms = EARLY_REST_MAX;
	c->early_from_ms = now + c->early_rest_ms;
}

/* All that waited long enough is synced. */
static void
on_early_timer(void *ctx)
{
	struct cleanup *c = ctx;
	int64_t now = clock_steady_ms();
	bool late = false;

	list_each(l, &c->early) {
		struct receiver *r = container_of(l, struct receiver, early);

		if (r->due_ms > now) {
			timer_set(c->early_timer, r->due_ms - now);
			break;
		}
		late = true;
		leave_early(r);
		start_sync(r);
	}
	if (late)
		rest_from_early(c, now);
}

/* False: this one is synced first, and then offered. */
static bool
offer_early(struct receiver *r)
{
	struct cleanup *c = r->c;
	struct str envelope = queue_writer_envelope(r->m->writer);
	struct channel *qmgr = service_peer(c->service, ROLE_QMGR, STR(""));
	int64_t wait = c->conf.early_delivery_wait_ms;
	int64_t now = clock_steady_ms();
	int fd;

	/* Where a file's sync does not cover its name, the name may move. */
	if (wait == 0 || r->m->hold || c->queue.dir_sync || qmgr == NULL ||
	    now < c->early_from_ms || envelope.n > OFFER_MAX ||
	    channel_unsent(qmgr) > IPC_UNSENT_HIGH ||
	    (fd = queue_writer_dup(r->m->writer)) < 0)
		return false;
	channel_send(qmgr, MSG_offer, &(struct msg_offer){ .queue_id = r->m->id,
	    .early_ms = (uint64_t)wait, .envelope = envelope,
	    .file = str_of(queue_writer_file(r->m->writer)),
	    .queue_file = fd });
	r->qmgr = qmgr;
	r->shown = true;
	r->due_ms = now + wait;
	list_append(&c->early, &r->early);
	map_set(c->early_ids, r->m->id, r);
	if (c->early_timer == NULL)
		c->early_timer = timer_new(service_loop(c->service),
		    on_early_timer, c);
	if (!timer_is_set(c->early_timer))
		timer_set(c->early_timer, wait);
	return true;
}

static void
remove_file(struct cleanup *c, struct str id)
{
	char name[QUEUE_ID_MAX] = "";
	int err;

	memcpy(name, id.p, id.n < sizeof(name) ? id.n : sizeof(name) - 1);
	err = queue_remove(&c->queue, Q_INCOMING, name);
	if (err != 0 && err != ENOENT)
		log_warn("%s: cannot remove it: %s", name, strerror(err));
}

void
receive_settled(struct cleanup *c, const struct msg_settled *s)
{
	struct receiver *r = map_get(c->early_ids, s->queue_id);
	bool waits = r != NULL && !list_empty(&r->early);

	if (r == NULL) {	/* it was synced and answered meanwhile */
		if (s->delivered && queue_id_valid(s->queue_id))
			remove_file(c, s->queue_id);
		else if (s->again)
			offer(c, s->queue_id, STR(""), -1);
		return;
	}
	r->delivered = s->delivered != 0;
	r->unread = s->unread != 0;
	r->again = s->again != 0;
	leave_early(r);
	if (waits && r->delivered) {
		c->early_rest_ms = 0;
		sync_done(r, 0);	/* delivered: that is durable */
	} else if (waits)
		start_sync(r);
}

static void
drop_spares(void *ctx)
{
	struct cleanup *c = ctx;

	queue_spares_drop(&c->queue);
}

/* Every mailbox has it. */
static void
remove_delivered(struct receiver *r)
{
	struct cleanup *c = r->c;

	if (!r->unread) {
		queue_writer_drop(&r->m->writer);
		return;
	}
	queue_writer_recycle(&r->m->writer);
	if (c->spare_timer == NULL)
		c->spare_timer = timer_new(service_loop(c->service),
		    drop_spares, c);
	if (!timer_is_set(c->spare_timer))
		timer_set(c->spare_timer, SPARE_MS);
}

/* A new qmgr finds the files; those that it should sync wait no longer. */
void
receive_qmgr_gone(struct cleanup *c, const struct channel *qmgr)
{
	struct map *others = map_new();
	struct receiver *r;
	struct str id;
	size_t pos = 0;
	void *value;
	bool waits;

	while (map_next(c->early_ids, &pos, &id, &value)) {
		r = value;
		if (r->qmgr != qmgr) {
			map_set(others, id, r);
			continue;
		}
		r->qmgr = NULL;
		waits = !list_empty(&r->early);
		leave_early(r);
		if (waits)
			start_sync(r);
	}
	map_free(&c->early_ids);
	c->early_ids = others;
}

/* --- the sync --- */

static int
sync_work(void *ctx)
{
	struct receiver *r = ctx;

	return queue_writer_sync(r->m->writer);
}

static void
sync_done(void *ctx, int err)
{
	struct receiver *r = ctx;
	struct cleanup *c = r->c;
	struct mail *m = r->m;
	struct msg_mail_done done = { .status = MAIL_OK, .queue_id = m->id };
	struct arena *arena;
	struct str envelope = STR("");

	m->syncing = false;
	if (r->delivered) {
		remove_delivered(r);
		if (r->talk != NULL)
			talk_send(r->talk, MSG_mail_done, &done);
		receiver_free(&r);
		return;
	}
	if (r->talk == NULL) {		/* nobody heard: never acknowledged */
		withdraw(r);
		receiver_free(&r);
		return;
	}
	if (err != 0) {
		withdraw(r);
		mail_fault(m, "sync queue file", err);
		answer(r);
		return;
	}
	if (m->hold || (r->qmgr != NULL && !r->again)) {
		close(queue_writer_keep(&m->writer));
	} else {
		arena = arena_new(OFFER_MAX + 64);
		if (queue_writer_envelope(m->writer).n <= OFFER_MAX)
			envelope = arena_str(arena,
			    queue_writer_envelope(m->writer));
		offer(c, m->id, envelope, queue_writer_keep(&m->writer));
		arena_free(&arena);
	}
	talk_send(r->talk, MSG_mail_done, &done);
	receiver_free(&r);
}

static void
start_sync(struct receiver *r)
{
	int err = queue_writer_name(r->m->writer);

	/* qmgr may have moved it, delivered it and be done with it. */
	if (err == ENOENT && r->shown && !r->again)
		err = 0;
	if (err != 0) {
		sync_done(r, err);
		return;
	}
	pool_run(service_pool(r->c->service), sync_work, sync_done, r);
}

static void
finish(struct receiver *r)
{
	struct mail *m = r->m;

	if (mail_finish(m) != MAIL_OK || m->discard) {
		if (m->discard)
			log_mail(m->id, "removed (discarded)");
		answer(r);
		return;
	}
	m->syncing = true;
	if (!offer_early(r))
		start_sync(r);
}

/* --- the talk --- */

/* A peer that breaks the order of the talk: it is over. */
static void
break_off(struct receiver *r, enum msg id)
{
	log_warn("message %d out of order", (int)id);
	talk_close(&r->talk);
	if (r->m == NULL || !r->m->syncing)
		receiver_free(&r);
}

static void
take_recipient(struct mail *m, const struct msg_mail_rcpt *rcpt)
{
	if (m->given++ == 0)
		m->last_given = arena_str(m->arena,
		    str_first(rcpt->address, ADDRESS_MAX));
	recipient_add(m, rcpt->address, rcpt->dsn_orcpt,
	    (unsigned)rcpt->dsn_notify & 15);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct receiver *r = ctx;
	const struct msg_mail_attr *attr = msg;
	const struct msg_mail_content *content = msg;

	(void)talk;
	if ((r->m == NULL) != (id == MSG_mail_begin) ||
	    (r->m != NULL && r->m->syncing)) {
		break_off(r, id);
		return;
	}
	if (id == MSG_mail_begin)
		begin(r, msg);
	else if (id == MSG_mail_rcpt)
		take_recipient(r->m, msg);
	else if (id == MSG_mail_attr)
		mail_attr(r->m, attr->name, attr->value);
	else if (id == MSG_mail_content)
		content_take(r->m, content->bytes);
	else if (id == MSG_mail_end)
		finish(r);
	else
		break_off(r, id);
}

static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct receiver *r = ctx;

	(void)talk;
	(void)why;
	r->talk = NULL;
	if (r->m != NULL && !list_empty(&r->early))
		withdraw(r);		/* not yet in the pool */
	else if (r->m != NULL && r->m->syncing)
		return;
	receiver_free(&r);
}
