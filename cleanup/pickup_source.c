/*
 * pickup_source - a file of maildrop/, read and checked.
 *
 * Two forms stand there: submissions (lib/maildrop), which any user may have
 * made, and queue files that postsuper -r moved there, which count only if
 * they are our own user's. Each byte of the first kind is hostile. The file
 * must be regular, have one name, and be complete.
 */
#include <sys/file.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cleanup/pickup.h"

#define READ_SIZE	65536
#define IN_MAX		(MAILDROP_FRAME_MAX + MAILDROP_HEAD + READ_SIZE)
#define STALE_S		86400	/* Postfix's: a day */
#define PIECE		16384	/* of a queue file's content */
#define ARENA_MAX	((size_t)1 << 30)

enum { STEP_SENDER, STEP_ATTRS, STEP_RCPTS, STEP_HEADER, STEP_BODY, STEP_END };

static int
bad_file(struct source *s, const char *why)
{
	s->why = why;
	return EBADMSG;
}

/* Ours, and with a queue file's first bytes. */
static bool
is_requeued(const struct source *s)
{
	char magic[8];

	return s->st.st_uid == geteuid() &&
	    pread(s->fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	    memcmp(magic, "PSTRNQ01", sizeof(magic)) == 0;
}

static int
open_requeued(struct source *s)
{
	s->arena = arena_new(ARENA_MAX);
	switch (queue_read(s->fd, s->arena, true, &s->msg)) {
	case QUEUE_OK:
		s->requeued = true;
		return 0;
	case QUEUE_LOCKED:
		return EAGAIN;
	case QUEUE_GONE:
		return ENOENT;
	case QUEUE_TORN:
	case QUEUE_BAD:
		return bad_file(s, "damaged queue file");
	case QUEUE_RETRY:
		break;
	}
	return errno != 0 ? errno : EIO;
}

/* Not complete: its writer is at work, or died. */
static int
begun(struct source *s)
{
	s->stale = clock_wall_s() - s->st.st_mtime > STALE_S;
	return EAGAIN;
}

static int
check_file(struct source *s)
{
	if (fstat(s->fd, &s->st) != 0)
		return errno;
	if (!S_ISREG(s->st.st_mode))
		return bad_file(s, "not a regular file");
	if (is_requeued(s))
		return open_requeued(s);
	if ((s->st.st_mode & 0700) != 0700)
		return begun(s);
	if (s->st.st_nlink != 1)
		return bad_file(s, "more than one link");
	return 0;
}

/*
 * While a reload replaces pickup there are two: only one may hand the file
 * over, and the other must not take it up after that. EAGAIN, ENOENT.
 */
static int
lock_file(struct source *s)
{
	if (flock(s->fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? EAGAIN : errno;
	if (fstat(s->fd, &s->st) != 0)
		return errno;
	return s->st.st_nlink > 0 ? 0 : ENOENT;
}

/* postdrop opens a file to others when it is whole: until then, patience. */
static int
why_unopened(struct source *s, int dir, const char *name)
{
	int err = errno;

	if (err == ELOOP)
		return bad_file(s, "a symbolic link");
	if (err == EACCES && fstatat(dir, name, &s->st,
	    AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(s->st.st_mode) &&
	    (s->st.st_mode & 0700) != 0700 && s->st.st_nlink == 1)
		return begun(s);
	return err;
}

int
source_open(struct source *s, const struct pickup *p, const char *name)
{
	int err;

	*s = (struct source){ .size_max = p->size_max, .newline = true };
	buf_init(&s->in, IN_MAX);
	buf_init(&s->out, 2 * MAILDROP_FRAME_MAX + 16);
	s->fd = openat(p->queue.dir[Q_MAILDROP], name, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (s->fd < 0)
		return why_unopened(s, p->queue.dir[Q_MAILDROP], name);
	err = check_file(s);
	if (err == 0)
		err = lock_file(s);
	if (err != 0)
		fd_close(&s->fd);
	return err;
}

void
source_close(struct source *s)
{
	fd_close(&s->fd);
	buf_free(&s->in);
	buf_free(&s->out);
	arena_free(&s->arena);
}

static enum source_item
damaged(struct source *s, const char *why)
{
	s->why = why;
	return SRC_BAD;
}

void
source_to_crlf(struct source *s, struct str in)
{
	for (; in.n > 0; in = str_from(in, 1)) {
		size_t n = 0;

		while (n < in.n && in.p[n] != '\n' && in.p[n] != '\r')
			n++;
		if (s->cr && (n > 0 || in.p[0] == '\r'))
			buf_putc(&s->out, ' ');	/* a CR that ended nothing */
		if (n > 0 || in.p[0] == '\r')
			s->cr = false;
		buf_str(&s->out, str_first(in, n));
		if (n > 0)
			s->newline = false;
		in = str_from(in, n);
		if (in.n == 0)
			break;
		if (in.p[0] == '\r') {
			s->cr = true;
			s->newline = false;
		} else {
			buf_puts(&s->out, "\r\n");
			s->cr = false;
			s->newline = true;
		}
	}
}

/* The next frame, reading on where more is needed. */
static enum source_item
next_frame(struct source *s, struct maildrop_frame *frame)
{
	for (;;) {
		struct str rest = str_from(buf_view(&s->in), s->used);
		enum maildrop_result r = maildrop_read(&s->reader, &rest,
		    frame);
		ssize_t n;
		char *at;

		s->used = s->in.n - rest.n;
		if (r == MAILDROP_FRAME)
			return SRC_CONTENT;
		if (r == MAILDROP_END)
			return rest.n == 0 && s->at == s->st.st_size ? SRC_END :
			    damaged(s, "bytes after the end");
		if (r == MAILDROP_BAD)
			return damaged(s, s->reader.why);
		buf_drop(&s->in, s->used);
		s->used = 0;
		at = buf_space(&s->in, READ_SIZE);
		if (at == NULL)
			return damaged(s, "record too long");
		n = pread(s->fd, at, READ_SIZE, s->at);
		if (n < 0)
			return SRC_RETRY;
		if (n == 0)
			return damaged(s, "file is not complete");
		s->in.n += (size_t)n;
		s->at += n;
	}
}

static enum source_item
next_of_submission(struct source *s, struct source_part *part)
{
	struct maildrop_frame frame;
	enum source_item item;

	buf_clear(&s->out);
	item = next_frame(s, &frame);
	if (item == SRC_END && (s->cr || !s->newline)) {
		buf_puts(&s->out, "\r\n");	/* the last line's end */
		s->cr = false;
		s->newline = true;
		part->text = buf_view(&s->out);
		return SRC_CONTENT;
	}
	if (item != SRC_CONTENT)
		return item;
	part->text = frame.text;
	part->name = frame.name;
	part->notify = frame.notify;
	switch (frame.type) {
	case MD_SENDER:
		return SRC_SENDER;
	case MD_ATTR:
		return SRC_ATTR;
	case MD_RCPT:
		return SRC_RCPT;
	case MD_CONTENT:
	case MD_COMMIT:
		break;
	}
	if (s->size_max > 0 && s->reader.content > (uint64_t)s->size_max +
	    MAILDROP_FRAME_MAX)
		return damaged(s, "larger than message_size_limit");
	source_to_crlf(s, frame.text);
	part->text = buf_view(&s->out);
	return SRC_CONTENT;
}

/* Recipients that still wait; the rest had their delivery or report. */
static bool
next_rcpt(struct source *s, struct source_part *part)
{
	while (s->next < s->msg.nrcpts) {
		const struct queue_rcpt *r = &s->msg.rcpts[s->next++];

		if (r->status != RCPT_TODO && r->status != RCPT_DEFERRED)
			continue;
		part->text = r->address;
		part->orcpt = r->dsn_orcpt;
		part->notify = (uint32_t)r->dsn_notify;
		return true;
	}
	return false;
}

/* A piece of a region of a queue file: content is CRLF there already. */
static enum source_item
next_bytes(struct source *s, uint64_t off, uint64_t len,
    struct source_part *part)
{
	size_t want = len - s->sent < PIECE ? (size_t)(len - s->sent) : PIECE;
	char *at;
	ssize_t n;

	buf_clear(&s->out);
	at = buf_space(&s->out, want);
	n = at == NULL ? -1 : fd_pread_all(s->fd, at, want,
	    (off_t)(off + s->sent));
	if (n < 0)
		return SRC_RETRY;
	if ((size_t)n < want)
		return damaged(s, "queue file shrank");
	s->out.n = want;
	s->sent += want;
	part->text = buf_view(&s->out);
	return SRC_CONTENT;
}

static enum source_item
next_of_requeued(struct source *s, struct source_part *part)
{
	switch (s->step) {
	case STEP_SENDER:
		s->step = STEP_ATTRS;
		part->text = s->msg.sender;
		return SRC_SENDER;
	case STEP_ATTRS:
		if (s->next < s->msg.nattrs) {
			part->name = s->msg.attrs[s->next].name;
			part->text = s->msg.attrs[s->next++].value;
			return SRC_ATTR;
		}
		s->step = STEP_RCPTS;
		s->next = 0;
		/* FALLTHROUGH */
	case STEP_RCPTS:
		if (next_rcpt(s, part))
			return SRC_RCPT;
		s->step = STEP_HEADER;
		/* FALLTHROUGH */
	case STEP_HEADER:
		if (s->sent < s->msg.header_len)
			return next_bytes(s, s->msg.header_off,
			    s->msg.header_len, part);
		s->step = STEP_BODY;
		s->sent = 0;
		/* FALLTHROUGH */
	case STEP_BODY:
		if (s->sent < s->msg.body_len)
			return next_bytes(s, s->msg.body_off, s->msg.body_len,
			    part);
		s->step = STEP_END;
		/* FALLTHROUGH */
	case STEP_END:
		return SRC_END;
	}
	return SRC_BAD;
}

enum source_item
source_next(struct source *s, struct source_part *part)
{
	*part = (struct source_part){ .name = STR(""), .text = STR(""),
	    .orcpt = STR("") };
	return s->requeued ? next_of_requeued(s, part) :
	    next_of_submission(s, part);
}
