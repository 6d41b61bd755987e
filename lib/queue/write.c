/*
 * write - one new queue file, from its name to its COMMIT frame.
 *
 * A small message is one pwritev: nothing touches the file before its end
 * is known. A larger body goes out in pieces of BODY_HELD bytes, so memory
 * does not grow with the message. Run by cleanup.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include "queue/internal.h"
#include "queue/record.h"
#include "sys/sys.h"

#define BODY_HELD	65536
#define NEW_TRIES	100	/* names taken, or scanned away, in a row */

struct queue_writer {
	struct queue   *queue;
	enum queue_dir	dir;
	char		id[QUEUE_ID_MAX];
	char		name[QUEUE_ID_MAX]; /* of the file: id, or a spare's */
	int		fd;
	struct buf	held;		/* body bytes not yet in the file */
	uint64_t	written;	/* body bytes in the file */
	uint64_t	old_size;	/* of a spare: what may lie behind */
	uint32_t	crc;		/* of body, then headers */
	struct buf	envelope;	/* head and frames */
};

/* Lock it; then see that no scan took the empty file for a torn one. */
static int
lock_new(int fd)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? EEXIST : errno;
	if (fstat(fd, &st) != 0)
		return errno;
	return st.st_nlink > 0 ? 0 : EEXIST;
}

/* EEXIST: try another id. */
static int
open_new(struct queue *q, enum queue_dir dir, const char *id, int *fd)
{
	int err, gone;

	*fd = queue_open_file(q, dir, id, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (*fd < 0)
		return errno;
	if ((err = lock_new(*fd)) == 0)
		return 0;
	gone = queue_remove(q, dir, id);
	fd_close(fd);
	return gone == 0 || gone == ENOENT ? err : gone;
}

struct queue_writer *
queue_writer_new(struct queue *q, enum queue_dir dir)
{
	struct queue_writer *w;
	uint64_t old_size = 0;
	char id[QUEUE_ID_MAX], name[QUEUE_ID_MAX];
	int fd = -1, err = EEXIST;

	queue_id_new(q, id);
	if (dir == Q_INCOMING &&
	    (fd = queue_spare_take(q, name, &old_size)) >= 0)
		err = 0;
	for (int i = 0; err == EEXIST && i < NEW_TRIES; i++) {
		if (i > 0)
			queue_id_new(q, id);
		memcpy(name, id, sizeof(name));
		err = open_new(q, dir, id, &fd);
	}
	if (err != 0) {
		errno = err;
		return NULL;
	}
	w = mem_new(sizeof(*w));
	w->queue = q;
	w->dir = dir;
	w->fd = fd;
	w->old_size = old_size;
	memcpy(w->id, id, sizeof(w->id));
	memcpy(w->name, name, sizeof(w->name));
	buf_init(&w->held, BODY_HELD);
	buf_init(&w->envelope, QUEUE_HEAD_SIZE + QUEUE_ENVELOPE_MAX);
	return w;
}

const char *
queue_writer_id(const struct queue_writer *w)
{
	return w->id;
}

const char *
queue_writer_file(const struct queue_writer *w)
{
	return w->name;
}

/* Not there: somebody moved it, and gave it its name, or removed it. */
int
queue_writer_name(struct queue_writer *w)
{
	int err = strcmp(w->name, w->id) == 0 ? 0 :
	    queue_rename(w->queue, w->dir, w->name, w->id);
	struct stat st;

	if (err == ENOENT && fstat(w->fd, &st) == 0 && st.st_nlink > 0)
		err = 0;
	if (err != 0)
		return err;
	memcpy(w->name, w->id, sizeof(w->name));
	return 0;
}

/* Body so far. */
static uint64_t
body_size(const struct queue_writer *w)
{
	return w->written + w->held.n;
}

static int
flush_body(struct queue_writer *w)
{
	int err = fd_pwrite_all(w->fd, w->held.p, w->held.n,
	    (off_t)(QUEUE_HEAD_SIZE + w->written));

	if (err != 0)
		return err;
	w->written += w->held.n;
	buf_clear(&w->held);
	return 0;
}

int
queue_write_body(struct queue_writer *w, struct str s)
{
	int err;

	w->crc = crc32c(w->crc, s.p, s.n);
	while (s.n > 0) {
		struct str part = str_first(s, BODY_HELD - w->held.n);

		buf_str(&w->held, part);
		s = str_from(s, part.n);
		if (s.n > 0 && (err = flush_body(w)) != 0)
			return err;
	}
	return 0;
}

/* pwritev that goes on after a short write. Changes iov. */
static int
write_vector(int fd, struct iovec *iov, int n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pwritev(fd, iov, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? errno : EIO;
		at += (size_t)done;
		for (; n > 0 && (size_t)done >= iov->iov_len; iov++, n--)
			done -= (ssize_t)iov->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
		while (n > 0 && iov->iov_len == 0)
			iov++, n--;
	}
	return 0;
}

static void
put_envelope(struct buf *out, const struct queue_message *msg)
{
	struct rec_sender sender = { msg->sender, msg->dsn_envid,
		msg->dsn_ret };

	record_encode(REC_sender, &sender, out);
	for (size_t i = 0; i < msg->nattrs; i++) {
		struct rec_attr attr = { msg->attrs[i].name,
			msg->attrs[i].value };

		record_encode(REC_attr, &attr, out);
	}
	for (size_t i = 0; i < msg->nrcpts; i++) {
		const struct queue_rcpt *r = &msg->rcpts[i];
		struct rec_rcpt rcpt = { r->address, r->original,
			r->dsn_orcpt, r->dsn_notify };

		record_encode(REC_rcpt, &rcpt, out);
	}
}

/* Builds w->envelope: head, frames, COMMIT. */
static int
build_envelope(struct queue_writer *w, size_t header_len,
    const struct queue_message *msg)
{
	struct queue_head head = { .arrival_us = (uint64_t)msg->arrival_us,
		.flags = msg->flags, .body_len = body_size(w),
		.header_len = header_len };
	struct rec_commit commit = { .content_crc = w->crc,
		.nrcpts = msg->nrcpts };
	char *room = buf_space(&w->envelope, QUEUE_HEAD_SIZE);

	memset(room, 0, QUEUE_HEAD_SIZE);
	w->envelope.n = QUEUE_HEAD_SIZE;
	put_envelope(&w->envelope, msg);
	if (w->envelope.full)
		return EFBIG;
	head.size = head.body_len + header_len;
	head.envelope_len = w->envelope.n - QUEUE_HEAD_SIZE +
	    record_commit_size();
	memcpy(head.id, w->id, sizeof(head.id));
	head_encode(&head, w->envelope.p);
	commit.envelope_crc = crc32c(0, w->envelope.p, w->envelope.n);
	record_encode(REC_commit, &commit, &w->envelope);
	return w->envelope.full ? EFBIG : 0;
}

static struct iovec
part(const char *p, size_t n)
{
	union { const char *in; char *out; } u = { .in = p };

	return (struct iovec){ u.out, n };
}

int
queue_write_rest(struct queue_writer *w, struct str headers,
    const struct queue_message *msg)
{
	uint64_t at = QUEUE_HEAD_SIZE + w->written, end;
	struct iovec iov[4];
	int n = 0, err;

	w->crc = crc32c(w->crc, headers.p, headers.n);
	if ((err = build_envelope(w, headers.n, msg)) != 0)
		return err;
	if (w->written == 0) {
		iov[n++] = part(w->envelope.p, QUEUE_HEAD_SIZE);
		at = 0;
	}
	if (w->held.n > 0)
		iov[n++] = part(w->held.p, w->held.n);
	if (headers.n > 0)
		iov[n++] = part(headers.p, headers.n);
	iov[n++] = part(w->envelope.p + QUEUE_HEAD_SIZE,
	    w->envelope.n - QUEUE_HEAD_SIZE);
	if ((err = write_vector(w->fd, iov, n, at)) != 0)
		return err;
	/* The journal begins where the envelope ends: nothing old there. */
	end = body_size(w) + headers.n + w->envelope.n;
	if (w->old_size > end && ftruncate(w->fd, (off_t)end) != 0)
		return errno;
	/* The body is in the file: its memory goes before the sync's wait. */
	w->written += w->held.n;
	buf_free(&w->held);
	return at == 0 ? 0 :
	    fd_pwrite_all(w->fd, w->envelope.p, QUEUE_HEAD_SIZE, 0);
}

int
queue_writer_move(struct queue_writer *w, enum queue_dir to)
{
	int err = queue_writer_name(w);

	if (err == 0 && w->dir != to)
		err = queue_move(w->queue, w->id, w->dir, to);
	if (err == 0)
		w->dir = to;
	return err;
}

int
queue_writer_sync(struct queue_writer *w)
{
	if (fsync(w->fd) != 0)
		return errno;
	return w->queue->dir_sync ?
	    queue_sync_dir(w->queue, w->dir, w->id) : 0;
}

struct str
queue_writer_envelope(const struct queue_writer *w)
{
	return buf_view(&w->envelope);
}

static void
writer_free(struct queue_writer **wp)
{
	struct queue_writer *w = *wp;

	*wp = NULL;
	buf_free(&w->held);
	buf_free(&w->envelope);
	mem_free(w);
}

int
queue_writer_dup(const struct queue_writer *w)
{
	return fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
}

int
queue_writer_keep(struct queue_writer **wp)
{
	int fd = (*wp)->fd;

	(void)flock(fd, LOCK_UN);
	writer_free(wp);
	return fd;
}

void
queue_writer_recycle(struct queue_writer **wp)
{
	struct queue_writer *w = *wp;

	if (!queue_spare_keep(w->queue, w->name, w->fd)) {
		queue_writer_drop(wp);
		return;
	}
	writer_free(wp);
}

void
queue_writer_drop(struct queue_writer **wp)
{
	struct queue_writer *w = *wp;
	int err;

	if (w == NULL)
		return;
	/* While it is locked: nobody has taken it up. */
	if ((err = queue_remove(w->queue, w->dir, w->name)) != 0)
		log_warn("remove %s %s: %s", queue_dir_names[w->dir], w->name,
		    strerror(err));
	close(w->fd);
	writer_free(wp);
}
