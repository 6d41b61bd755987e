/*
 * message - a queue file that is active: from offer or file to memory.
 *
 * Owns struct message, its arena and descriptors. The writable descriptor
 * stays here; agents get a read-only one. Which file is whole, torn or bad
 * is lib/queue's word. qmgr runs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>
#include "address/address.h"
#include "qmgr/qmgr.h"

#define ARENA_MAX	((size_t)16 << 30)	/* of one message */
#define LOCKED_MS	10000	/* until a file in writing is looked at again */
#define YOUNG_MS	1000	/* its writer may just be about to lock it */
#define FAULT_MS_MAX	60000

struct early { struct channel *from; const struct msg_offer *offer; };

static void	begin(struct qmgr *, struct slot *, struct arena *,
		    const struct queue_message *, int fd, const struct early *);

/* A local fault: the same again, later and later. */
static void
wait_longer(struct qmgr *q, struct slot *s, const char *what, int err)
{
	int64_t ms = 1000LL << (s->faults < 6 ? s->faults : 6);

	s->faults++;
	log_warn("%s: %s: %s", s->id, what, strerror(err));
	slot_wait(q, s, s->dir, clock_steady_ms() +
	    (ms < FAULT_MS_MAX ? ms : FAULT_MS_MAX));
}

void
message_corrupt(struct qmgr *q, struct slot **sp)
{
	struct slot *s = *sp;
	int err = queue_move(&q->queue, s->id, s->dir, Q_CORRUPT);

	if (err == 0)
		log_warn("saving corrupt file \"%s\" from queue \"%s\" to "
		    "queue \"%s\"", s->id, queue_dir_names[s->dir],
		    queue_dir_names[Q_CORRUPT]);
	if (err == 0 || err == ENOENT)
		slot_free(q, sp);
	else
		wait_longer(q, s, "cannot move a corrupt file away", err);
	*sp = NULL;
}

static void
remove_torn(struct qmgr *q, struct slot *s)
{
	switch (queue_remove_torn(&q->queue, s->dir, s->id)) {
	case QUEUE_OK:
		log_warn("%s: removed: its writer died before it was "
		    "complete, and nobody was told that we have it", s->id);
		slot_free(q, &s);
		break;
	case QUEUE_GONE:
		slot_free(q, &s);
		break;
	case QUEUE_TORN:
	case QUEUE_BAD:
	case QUEUE_LOCKED:
		slot_wait(q, s, s->dir, clock_steady_ms() + LOCKED_MS);
		break;
	case QUEUE_RETRY:
		wait_longer(q, s, "cannot remove a torn file", errno);
		break;
	}
}

/* Into active/. False: the slot went elsewhere. */
static bool
activate(struct qmgr *q, struct slot *s)
{
	int err;

	if (s->dir == Q_ACTIVE)
		return true;
	err = queue_move(&q->queue, s->id, s->dir, Q_ACTIVE);
	/* An early offer that a qmgr before us had moved already. */
	if (err == ENOENT && s->dir == Q_INCOMING &&
	    queue_find(&q->queue, s->id) == Q_ACTIVE)
		err = 0;
	if (err == ENOENT) {
		slot_free(q, &s);
		return false;
	}
	if (err != 0) {
		wait_longer(q, s, "cannot move it to active", err);
		return false;
	}
	slot_unwait(q, s);
	s->dir = Q_ACTIVE;
	return true;
}

static bool
is_young(int fd)
{
	int64_t now_us = clock_wall_us(), made_us;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	made_us = (int64_t)st.st_mtim.tv_sec * 1000000 +
	    st.st_mtim.tv_nsec / 1000;
	return made_us <= now_us && now_us - made_us < YOUNG_MS * 1000;
}

/* After a crash, what was never synced may be whole in parts. */
static enum queue_result
read_file(const struct slot *s, int fd, struct arena *arena,
    struct queue_message *msg)
{
	struct stat st;

	if (queue_is_held(fd))
		return QUEUE_LOCKED;
	if (s->dir != Q_DEFERRED)
		return queue_read(fd, arena, true, msg);
	return fstat(fd, &st) != 0 ? QUEUE_RETRY :
	    queue_read_in(Q_DEFERRED, fd, &st, arena, msg);
}

bool
message_open(struct qmgr *q, struct slot *s)
{
	struct queue_message msg = { 0 };
	struct arena *arena;
	enum queue_result r;
	bool young;
	int err, fd = queue_open_file(&q->queue, s->dir, s->id,
	    O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);

	slot_unwait(q, s);
	if (fd < 0) {
		if (errno == ENOENT)	/* somebody removed or moved it */
			slot_free(q, &s);
		else
			wait_longer(q, s, "cannot open it", errno);
		return false;
	}
	arena = arena_new(ARENA_MAX);
	r = read_file(s, fd, arena, &msg);
	err = errno;
	r = queue_judge(r, s->dir, s->id, &msg);
	young = r == QUEUE_TORN && is_young(fd);
	if (r == QUEUE_OK && activate(q, s)) {
		begin(q, s, arena, &msg, fd, NULL);
		return true;
	}
	fd_close(&fd);
	arena_free(&arena);
	switch (r) {
	case QUEUE_OK:
		break;			/* activate() has seen to it */
	case QUEUE_GONE:
		slot_free(q, &s);
		break;
	case QUEUE_TORN:
		if (young)
			slot_wait(q, s, s->dir, clock_steady_ms() + YOUNG_MS);
		else
			remove_torn(q, s);
		break;
	case QUEUE_BAD:
		message_corrupt(q, &s);
		break;
	case QUEUE_LOCKED:		/* its cleanup will offer it, or a
					 * qmgr before us has it in hand */
		slot_wait(q, s, s->dir, clock_steady_ms() + LOCKED_MS);
		break;
	case QUEUE_RETRY:
		wait_longer(q, s, "cannot read it", err);
		break;
	}
	return false;
}

void
message_offer(struct qmgr *q, struct channel *from, const struct msg_offer *o)
{
	struct queue_message msg = { 0 };
	struct arena *arena = NULL;
	struct slot *s;
	int fd = o->queue_file;

	if (!queue_id_valid(o->queue_id))
		goto out;
	s = slot_get(q, o->queue_id);
	if (s == NULL)
		s = slot_new(q, o->queue_id);
	else if (s->state != SLOT_WAITS || s->dir != Q_INCOMING)
		goto out;		/* a scan was faster */
	slot_wait(q, s, Q_INCOMING, clock_steady_ms());
	if (fd < 0 || o->envelope.n == 0 || !qmgr_has_room(q) ||
	    slot_first(&q->incoming) != s)
		goto out;		/* the pump reads it in its turn */
	arena = arena_new(ARENA_MAX);
	if (queue_parse(o->envelope, arena, &msg) != QUEUE_OK ||
	    !str_eq(str_of(msg.id), o->queue_id))
		goto out;
	if (o->early_ms > 0) {		/* into active/ if it takes longer */
		slot_unwait(q, s);
		begin(q, s, arena, &msg, fd, &(struct early){ from, o });
		return;
	}
	if (activate(q, s)) {
		begin(q, s, arena, &msg, fd, NULL);
		return;
	}
out:
	if (o->early_ms > 0)
		channel_send(from, MSG_settled, &(struct msg_settled){
		    .queue_id = o->queue_id, .again = 1 });
	arena_free(&arena);
	fd_close(&fd);
}

static void
log_active(const struct message *m)
{
	struct buf from;

	buf_init(&from, 4 * ADDRESS_MAX);
	address_quote_822(m->msg.sender, &from);
	log_mail(str_of(m->msg.id), "from=<" STRF ">, size=%" PRIu64
	    ", nrcpt=%zu (queue active)", STRV(buf_view(&from)), m->msg.size,
	    m->pending);
	buf_free(&from);
}

/* Which recipients still want something. */
static void
count_pending(struct message *m)
{
	m->first = true;
	for (size_t i = 0; i < m->msg.nrcpts; i++) {
		const struct queue_rcpt *r = &m->msg.rcpts[i];

		if (r->tries > 0)
			m->first = false;
		if (r->tried_s > m->tried_s)
			m->tried_s = r->tried_s;
		if (r->status == RCPT_TODO || r->status == RCPT_DEFERRED)
			m->pending++;
		else
			m->note[i] |= NOTE_DONE;
	}
}

/*
 * Who takes a turn by it: the login, else the sender's address without an
 * extension, so that a list that writes each recipient from an address of
 * its own (VERP, "list+user=host@") is one sender.
 */
static struct str
sender_of(struct message *m)
{
	struct str user = queue_attr(&m->msg, "sasl_user");
	struct str local = address_local(m->msg.sender);

	if (user.n > 0)
		return user;
	if (str_chr(local, '+') == local.n)
		return m->msg.sender;
	return str_of(arena_printf(m->arena, STRF "@" STRF,
	    STRV(str_first(local, str_chr(local, '+'))),
	    STRV(address_domain(m->msg.sender))));
}

static void
close_rw(struct message *m)
{
	if (m->rw_fd >= 0)
		m->q->fds--;
	fd_close(&m->rw_fd);
}

/* The file is in active/: from here on the message is delivered. */
static void
begin(struct qmgr *q, struct slot *s, struct arena *arena,
    const struct queue_message *msg, int fd, const struct early *early)
{
	struct message *m = mem_new(sizeof(*m));

	m->q = q;
	m->slot = s;
	m->arena = arena;
	m->msg = *msg;
	m->rw_fd = fd;
	m->active_us = clock_wall_us();
	m->note = arena_alloc(arena, msg->nrcpts + 1);
	mail_init(&m->mail, m, sender_of(m));
	m->mail.alone = queue_verp(msg).n > 0;
	list_init(&m->dirty);
	list_init(&m->resolving);
	list_init(&m->report_turn);
	list_append(&q->messages, &m->link);
	s->state = SLOT_ACTIVE;
	s->m = m;
	s->faults = 0;
	m->flush = s->flush;
	s->flush = false;
	q->nmessages++;
	q->nrcpts += msg->nrcpts;
	q->fds++;
	m->forced = early == NULL && expire_asked(m);
	count_pending(m);
	log_active(m);
	if (q->fds > q->fds_max)
		close_rw(m);
	if (early != NULL)
		early_begin(m, early->from, early->offer);
	resolve_message(m);
}

static int
open_fd(struct message *m, int flags)
{
	int fd = -1;

	flags |= O_CLOEXEC | O_NOFOLLOW;
	errno = ENOENT;
	if (m->file[0] != '\0')
		fd = queue_open_file(&m->q->queue, m->slot->dir, m->file,
		    flags, 0);
	if (fd < 0 && errno == ENOENT) {
		m->file[0] = '\0';	/* cleanup may have named it */
		fd = queue_open_file(&m->q->queue, m->slot->dir, m->slot->id,
		    flags, 0);
	}
	if (fd < 0 && errno == ENOENT)
		m->gone = true;
	return fd;
}

int
message_move(struct message *m, enum queue_dir to)
{
	const struct slot *s = m->slot;
	int err = ENOENT;

	if (m->file[0] != '\0')
		err = queue_move_as(&m->q->queue, m->file, s->dir, s->id, to);
	if (err == ENOENT)		/* cleanup may have named it */
		err = queue_move(&m->q->queue, s->id, s->dir, to);
	if (err == 0)
		m->file[0] = '\0';
	return err;
}

int
message_remove(const struct message *m)
{
	int err = ENOENT;

	if (m->file[0] != '\0')
		err = queue_remove(&m->q->queue, m->slot->dir, m->file);
	return err != ENOENT ? err :
	    queue_remove(&m->q->queue, m->slot->dir, m->slot->id);
}

int
message_open_ro(struct message *m)
{
	return open_fd(m, O_RDONLY);
}

int
message_rw_fd(struct message *m)
{
	if (m->rw_fd < 0) {
		m->rw_fd = open_fd(m, O_RDWR);
		if (m->rw_fd >= 0)
			m->q->fds++;
	}
	return m->rw_fd;
}

void
message_free(struct message **mp)
{
	struct message *m = *mp;

	*mp = NULL;
	early_settle(m, false);
	assert(m->deliveries == 0);
	mail_end(&m->mail);
	list_remove(&m->link);
	list_remove(&m->dirty);
	refill_unpark(m);
	list_remove(&m->resolving);
	list_remove(&m->report_turn);
	close_rw(m);
	talk_close(&m->report);
	service_wait_cancel(&m->wait);
	timer_free(&m->again);
	m->q->nmessages--;
	m->q->nrcpts -= m->msg.nrcpts;
	arena_free(&m->arena);
	mem_free(m);
}
