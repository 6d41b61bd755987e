/*
 * read - a queue file's head, envelope and journal, from disk or bytes.
 *
 * Every byte is hostile: disks rot, and a torn file holds anything. TORN is
 * what a writer that died leaves: too short, or zeros where the head or the
 * COMMIT frame belongs. Whatever else does not add up is BAD: it may have
 * been acknowledged, so it is kept for a person to look at.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "queue/internal.h"
#include "queue/record.h"
#include "sys/sys.h"

#define NOTIFY_MAX	31	/* all DSN_NOTIFY_ bits of ipc.h, and ours */
#define RET_MAX		2	/* DSN_RET_HDRS */
#define CONTENT_PIECE	65536
#define SMALL_FILE	((size_t)32 << 10) /* of content, more does not pay */
#define ARENA_MAX	(16 * (size_t)QUEUE_ENVELOPE_MAX)

struct str
queue_attr(const struct queue_message *m, const char *name)
{
	for (size_t i = 0; i < m->nattrs; i++)
		if (str_eq(m->attrs[i].name, str_of(name)))
			return m->attrs[i].value;
	return STR("");
}

struct str
queue_verp(const struct queue_message *m)
{
	struct str delimiters = queue_attr(m, QUEUE_VERP);

	return delimiters.n == 2 && m->sender.n > 0 ? delimiters : STR("");
}

static bool
all_zero(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\0')
			return false;
	return true;
}

/* Is the last frame of in a whole COMMIT that fits what stands before? */
static enum queue_result
check_commit(struct str in, struct rec_commit *commit)
{
	struct str last = str_from(in, in.n - record_commit_size());
	union rec_any rec;
	enum record type;

	if (all_zero(last))
		return QUEUE_TORN;
	if (!record_decode(&last, &type, &rec) || type != REC_commit ||
	    last.n != 0)
		return QUEUE_BAD;
	*commit = rec.commit;
	return commit->envelope_crc ==
	    crc32c(0, in.p, in.n - record_commit_size()) ?
	    QUEUE_OK : QUEUE_BAD;
}

static bool
take_sender(struct queue_message *m, const struct rec_sender *r)
{
	m->sender = r->address;
	m->dsn_envid = r->dsn_envid;
	m->dsn_ret = (unsigned)r->dsn_ret;
	return r->dsn_ret <= RET_MAX && record_text_clean(r->address) &&
	    record_text_clean(r->dsn_envid);
}

static bool
take_attr(struct queue_message *m, const struct rec_attr *r)
{
	m->attrs[m->nattrs++] = (struct queue_attr){ r->name, r->value };
	return r->name.n > 0 && record_text_clean(r->name) &&
	    record_text_clean(r->value);
}

static bool
take_rcpt(struct queue_message *m, const struct rec_rcpt *r)
{
	m->rcpts[m->nrcpts++] = (struct queue_rcpt){ .address = r->address,
		.original = r->original, .dsn_orcpt = r->dsn_orcpt,
		.dsn_notify = (unsigned)r->dsn_notify };
	if (r->dsn_notify & QUEUE_NOTIFY_EXPANDED) {
		m->rcpts[m->nrcpts - 1].status = RCPT_SENT;
		m->rcpts[m->nrcpts - 1].dsn = STR("2.0.0");
		m->rcpts[m->nrcpts - 1].text = STR("alias expanded");
		m->rcpts[m->nrcpts - 1].action = STR("expanded");
	}
	return r->dsn_notify <= NOTIFY_MAX && r->address.n > 0 &&
	    record_text_clean(r->address) && record_text_clean(r->original) &&
	    record_text_clean(r->dsn_orcpt);
}

/* Counts first, so that both tables are made in one size. */
static bool
count_frames(struct str frames, size_t *attrs, size_t *rcpts)
{
	unsigned type;

	*attrs = *rcpts = 0;
	while (frames.n > 0) {
		if (!record_skip(&frames, &type))
			return false;
		*attrs += type == REC_attr;
		*rcpts += type == REC_rcpt;
	}
	return true;
}

static enum queue_result
take_frames(struct str frames, struct arena *arena, uint64_t nrcpts,
    struct queue_message *m)
{
	size_t attrs, rcpts, senders = 0;
	union rec_any rec;
	enum record type;
	bool good = true;

	if (!count_frames(frames, &attrs, &rcpts) || rcpts != nrcpts)
		return QUEUE_BAD;
	m->attrs = arena_alloc(arena, (attrs + 1) * sizeof(*m->attrs));
	m->rcpts = arena_alloc(arena, (rcpts + 1) * sizeof(*m->rcpts));
	while (good && frames.n > 0) {
		if (!record_decode(&frames, &type, &rec))
			return QUEUE_BAD;
		switch (type) {
		case REC_sender:
			good = take_sender(m, &rec.sender) && senders++ == 0;
			break;
		case REC_attr:
			good = take_attr(m, &rec.attr);
			break;
		case REC_rcpt:
			good = take_rcpt(m, &rec.rcpt);
			break;
		case REC_commit:
		case REC_event:
			good = false;
			break;
		}
	}
	return good && senders == 1 ? QUEUE_OK : QUEUE_BAD;
}

static void
take_head(const struct queue_head *h, struct queue_message *m)
{
	*m = (struct queue_message){ .arrival_us = (int64_t)h->arrival_us,
		.size = h->size, .flags = (unsigned)h->flags,
		.body_off = QUEUE_HEAD_SIZE, .body_len = h->body_len,
		.header_off = QUEUE_HEAD_SIZE + h->body_len,
		.header_len = h->header_len, .envelope_len = h->envelope_len };
	memcpy(m->id, h->id, sizeof(m->id));
	m->envelope_off = m->header_off + m->header_len;
	m->journal_off = m->envelope_off + m->envelope_len;
}

/* bytes: head and envelope, in the arena already. */
static enum queue_result
parse(struct str bytes, struct arena *arena, struct queue_message *m,
    struct rec_commit *commit)
{
	size_t frames = QUEUE_HEAD_SIZE + record_commit_size();
	enum queue_result result;
	struct queue_head head;

	switch (head_decode(bytes.p, &head)) {
	case HEAD_EMPTY:
		return QUEUE_TORN;
	case HEAD_BAD:
		return QUEUE_BAD;
	case HEAD_OK:
		break;
	}
	take_head(&head, m);
	if (bytes.n - QUEUE_HEAD_SIZE < head.envelope_len)
		return QUEUE_TORN;
	bytes = str_first(bytes, QUEUE_HEAD_SIZE + (size_t)head.envelope_len);
	result = check_commit(bytes, commit);
	if (result != QUEUE_OK)
		return result;
	return take_frames((struct str){ bytes.p + QUEUE_HEAD_SIZE,
		bytes.n - frames }, arena, commit->nrcpts, m);
}

enum queue_result
queue_parse(struct str in, struct arena *arena, struct queue_message *m)
{
	struct rec_commit commit;

	*m = (struct queue_message){ 0 };
	if (in.n < QUEUE_HEAD_SIZE)
		return QUEUE_TORN;
	return parse(arena_str(arena, in), arena, m, &commit);
}

static bool
take_event(struct queue_message *m, const struct rec_event *e)
{
	struct queue_rcpt *r;

	if (!record_text_clean(e->dsn) || !record_text_clean(e->text) ||
	    !record_text_clean(e->remote_mta) ||
	    !record_text_clean(e->diagnostic) ||
	    !record_text_clean(e->action) || !record_text_clean(e->transport))
		return false;
	if (e->rcpt == UINT64_MAX && e->status == JOURNAL_WARNED) {
		m->warned_s = (int64_t)e->time_s;
		return true;
	}
	if (e->rcpt >= m->nrcpts || e->status > RCPT_REPORTED)
		return false;
	r = &m->rcpts[e->rcpt];
	r->status = (unsigned)e->status;
	r->tries++;
	r->tried_s = (int64_t)e->time_s;
	/* That a report is queued says nothing new of why. */
	if (e->status == RCPT_REPORTED)
		return true;
	r->dsn = e->dsn;
	r->text = e->text;
	r->remote_mta = e->remote_mta;
	r->diagnostic = e->diagnostic;
	r->action = e->action;
	r->transport = e->transport;
	return true;
}

/* What the last event of each recipient said moves into the arena. */
static void
keep_texts(struct queue_message *m, struct arena *arena)
{
	for (size_t i = 0; i < m->nrcpts; i++) {
		struct queue_rcpt *r = &m->rcpts[i];

		if (r->tries == 0)
			continue;
		r->dsn = arena_str(arena, r->dsn);
		r->text = arena_str(arena, r->text);
		r->remote_mta = arena_str(arena, r->remote_mta);
		r->diagnostic = arena_str(arena, r->diagnostic);
		r->action = arena_str(arena, r->action);
		r->transport = arena_str(arena, r->transport);
	}
}

static enum queue_result
take_journal(struct str journal, struct queue_message *m, size_t *whole)
{
	size_t all = journal.n;
	union rec_any rec;
	enum record type;

	*whole = 0;
	while (journal.n > 0 && record_decode(&journal, &type, &rec)) {
		if (type != REC_event || !take_event(m, &rec.event))
			return QUEUE_BAD;
		*whole = all - journal.n;
	}
	return QUEUE_OK;
}

/* A file that is read: a small one in one go, for calls are what costs. */
struct source {
	int	   fd;
	uint64_t   size;
	struct buf whole;	/* of a small one */
};

static bool
source_open(struct source *s, int fd, uint64_t size)
{
	ssize_t n;

	*s = (struct source){ fd, size, { 0 } };
	buf_init(&s->whole, SMALL_FILE);
	if (size > SMALL_FILE)
		return true;
	n = fd_pread_all(fd, buf_space(&s->whole, (size_t)size),
	    (size_t)size, 0);
	if (n < 0)
		return false;
	s->whole.n = (size_t)n;
	return true;
}

/* As fd_pread_all. */
static ssize_t
get(const struct source *s, char *to, size_t n, uint64_t at)
{
	struct str part = str_first(str_from(buf_view(&s->whole),
	    (size_t)at), n);

	if (s->size > SMALL_FILE)
		return fd_pread_all(s->fd, to, n, (off_t)at);
	if (part.n > 0)
		memcpy(to, part.p, part.n);
	return (ssize_t)part.n;
}

static enum queue_result
read_journal(const struct source *s, struct arena *arena,
    struct queue_message *m)
{
	uint64_t size = s->size - m->journal_off;
	enum queue_result result;
	struct buf journal;
	size_t whole;
	ssize_t n;

	if (size == 0)
		return QUEUE_OK;
	if (size > QUEUE_ENVELOPE_MAX)
		return QUEUE_BAD;
	buf_init(&journal, (size_t)size);
	n = get(s, buf_space(&journal, (size_t)size), (size_t)size,
	    m->journal_off);
	if (n < 0) {
		buf_free(&journal);
		return QUEUE_RETRY;
	}
	result = take_journal((struct str){ journal.p, (size_t)n }, m, &whole);
	if (result == QUEUE_OK) {
		keep_texts(m, arena);
		if (whole < size &&
		    (fcntl(s->fd, F_GETFL) & O_ACCMODE) == O_RDWR &&
		    ftruncate(s->fd, (off_t)(m->journal_off + whole)) != 0)
			result = QUEUE_RETRY;
	}
	buf_free(&journal);
	return result;
}

static enum queue_result
check_content(const struct source *s, const struct queue_message *m,
    uint32_t want)
{
	uint64_t at = m->body_off, end = m->envelope_off;
	enum queue_result result = QUEUE_OK;
	struct buf piece;
	uint32_t crc = 0;

	buf_init(&piece, CONTENT_PIECE);
	while (result == QUEUE_OK && at < end) {
		size_t most = end - at < CONTENT_PIECE ? (size_t)(end - at) :
		    CONTENT_PIECE;
		ssize_t n = get(s, buf_space(&piece, most), most, at);

		if (n < 0)
			result = QUEUE_RETRY;
		else if ((size_t)n < most)
			result = QUEUE_BAD;
		else
			crc = crc32c(crc, piece.p, most);
		at += most;
	}
	buf_free(&piece);
	return result == QUEUE_OK && crc != want ? QUEUE_BAD : result;
}

/* Head and envelope into one piece of the arena. */
static enum queue_result
read_envelope(const struct source *s, struct arena *arena,
    struct str *bytes)
{
	char first[QUEUE_HEAD_SIZE], *all;
	struct queue_message m;
	struct queue_head head;
	ssize_t n;

	if (s->size < QUEUE_HEAD_SIZE)
		return QUEUE_TORN;
	n = get(s, first, sizeof(first), 0);
	if (n < (ssize_t)sizeof(first))
		return n < 0 ? QUEUE_RETRY : QUEUE_TORN;
	*bytes = arena_str(arena, (struct str){ first, sizeof(first) });
	if (head_decode(first, &head) != HEAD_OK)
		return QUEUE_OK;	/* parse() says why */
	take_head(&head, &m);
	if (s->size < m.journal_off)
		return QUEUE_TORN;
	all = arena_alloc(arena, QUEUE_HEAD_SIZE + (size_t)m.envelope_len);
	memcpy(all, first, sizeof(first));
	n = get(s, all + QUEUE_HEAD_SIZE, (size_t)m.envelope_len,
	    m.envelope_off);
	if (n < (ssize_t)m.envelope_len)
		return n < 0 ? QUEUE_RETRY : QUEUE_TORN;
	*bytes = (struct str){ all, QUEUE_HEAD_SIZE + (size_t)m.envelope_len };
	return QUEUE_OK;
}

static enum queue_result
read_as(int fd, const struct stat *st, struct arena *arena, bool content,
    struct queue_message *m)
{
	struct rec_commit commit;
	enum queue_result result;
	struct source s;
	struct str bytes;
	int err;

	if (!S_ISREG(st->st_mode))
		return QUEUE_BAD;
	result = source_open(&s, fd, (uint64_t)st->st_size) ?
	    read_envelope(&s, arena, &bytes) : QUEUE_RETRY;
	if (result == QUEUE_OK)
		result = parse(bytes, arena, m, &commit);
	if (result == QUEUE_OK)
		result = read_journal(&s, arena, m);
	if (result == QUEUE_OK && content)
		result = check_content(&s, m, (uint32_t)commit.content_crc);
	err = errno;
	buf_free(&s.whole);
	errno = err;
	return result;
}

static enum queue_result
read_all(int fd, struct arena *arena, bool content, struct queue_message *m)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return QUEUE_RETRY;
	return read_as(fd, &st, arena, content, m);
}

enum queue_result
queue_read(int fd, struct arena *arena, bool content, struct queue_message *m)
{
	enum queue_result result;
	int err;

	*m = (struct queue_message){ 0 };
	/* Whole but not yet synced is not acknowledged either. */
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? QUEUE_LOCKED : QUEUE_RETRY;
	result = read_all(fd, arena, content, m);
	err = errno;
	(void)flock(fd, LOCK_UN);
	errno = err;
	return result;
}

enum queue_result
queue_read_in(enum queue_dir dir, int fd, const struct stat *st,
    struct arena *arena, struct queue_message *m)
{
	if (dir != Q_DEFERRED && dir != Q_HOLD)
		return queue_read(fd, arena, false, m);
	*m = (struct queue_message){ 0 };
	return read_as(fd, st, arena, false, m);
}

void
queue_read_ahead(int fd, const struct stat *st)
{
	/* Of a larger file only parts are read, and where is not known yet. */
	if ((uint64_t)st->st_size <= SMALL_FILE)
		(void)posix_fadvise(fd, 0, st->st_size, POSIX_FADV_WILLNEED);
}

/* A lock of the open file, beside the writer's flock(). */
int
queue_hold(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) != 0 ? errno : 0;
}

bool
queue_is_held(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int
queue_remove_left(const struct queue *q, enum queue_dir dir, const char *id)
{
	int err, fd = queue_open_file(q, dir, id, O_RDONLY, 0);

	if (fd < 0)
		return errno;
	err = flock(fd, LOCK_EX | LOCK_NB) != 0 ? errno :
	    queue_remove(q, dir, id);
	close(fd);
	return err;
}

/*
 * A spare's new message gets its own name before it is synced (spare.c): a
 * whole head (it has a CRC) under an old one was never told of, though after
 * a power cut the old message's frames may stand behind it.
 */
enum queue_result
queue_judge(enum queue_result r, enum queue_dir dir, const char *id,
    const struct queue_message *m)
{
	if ((r != QUEUE_OK && r != QUEUE_BAD) || m->id[0] == '\0' ||
	    strcmp(m->id, id) == 0)
		return r;
	return dir == Q_INCOMING ? QUEUE_TORN : QUEUE_BAD;
}

enum queue_result
queue_remove_torn(const struct queue *q, enum queue_dir dir, const char *id)
{
	int fd = queue_open_file(q, dir, id, O_RDONLY, 0);
	enum queue_result result;
	struct queue_message m;
	struct arena *arena;

	if (fd < 0)
		return errno == ENOENT ? QUEUE_GONE : QUEUE_RETRY;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		result = errno == EWOULDBLOCK ? QUEUE_LOCKED : QUEUE_RETRY;
		close(fd);
		return result;
	}
	arena = arena_new(ARENA_MAX);
	m = (struct queue_message){ 0 };
	result = read_all(fd, arena, false, &m);
	arena_free(&arena);
	result = queue_judge(result, dir, id, &m);
	if (result == QUEUE_TORN) {
		errno = queue_remove(q, dir, id);
		result = errno == 0 ? QUEUE_OK : QUEUE_RETRY;
	} else if (result == QUEUE_OK) {
		result = QUEUE_LOCKED;	/* finished meanwhile */
	}
	close(fd);
	return result;
}
