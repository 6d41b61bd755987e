/*
 * put - walk the queue and write what is in it.
 *
 * Reads queue files and submissions of maildrop/, which may be anything:
 * what does not read well is passed by. Values never hold a NUL.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "address/address.h"
#include "maildrop/maildrop.h"
#include "showq/showq.h"
#include "sys/sys.h"

#define DEPTH_MAX	6	/* of hashed directories */
#define ARENA_MAX	((size_t)1 << 32)
#define ENVELOPE_MAX	((size_t)64 << 20)	/* of a submission */
#define READ_SIZE	65536

static const enum queue_dir order[] = { Q_MAILDROP, Q_ACTIVE, Q_INCOMING,
	Q_DEFERRED, Q_HOLD };

struct showq_walk {
	const struct queue *queue;
	const char	   *null_sender;
	size_t		    dir;	/* in order */
	struct { int fd; struct queue_names *names; } stack[DEPTH_MAX];
	size_t		    depth;	/* 0: not in a directory */
	bool		    opened;	/* this dir was begun */
};

struct entry {			/* one message, as it is shown */
	struct showq_walk *walk;
	enum queue_dir	   dir;
	const char	  *id;
	struct stat	   st;
	struct buf	  *out;
};

static void
put(struct buf *out, const char *name, struct str value)
{
	buf_add(out, name, strlen(name) + 1);
	for (size_t i = 0; i < value.n; i++)
		buf_putc(out, value.p[i] == '\0' ? '?' : value.p[i]);
	buf_putc(out, '\0');
}

static void
put_number(struct buf *out, const char *name, int64_t value)
{
	buf_add(out, name, strlen(name) + 1);
	buf_printf(out, "%lld", (long long)value);
	buf_putc(out, '\0');
}

void
showq_put_start(struct buf *out)
{
	put(out, "protocol", STR("mail_queue_list_protocol"));
	buf_putc(out, '\0');
}

void
showq_put_end(struct buf *out)
{
	buf_putc(out, '\0');
}

/* As a header would show it, printable. */
static void
put_address(struct buf *out, const char *name, struct str addr)
{
	struct buf quoted, shown;

	buf_init(&quoted, 4 * MAILDROP_VALUE_MAX);
	buf_init(&shown, 16 * MAILDROP_VALUE_MAX);
	address_quote_822(addr, &quoted);
	log_escape(buf_view(&quoted), &shown);
	put(out, name, buf_view(&shown));
	buf_free(&quoted);
	buf_free(&shown);
}

static void
put_message(struct entry *e, int64_t time_s, int64_t size, struct str sender)
{
	put(e->out, "queue_name", str_of(queue_dir_names[e->dir]));
	put(e->out, "queue_id", str_of(e->id));
	put_number(e->out, "time", time_s);
	put_number(e->out, "size", size);
	put_number(e->out, "forced_expire", (e->st.st_mode & S_IXGRP) != 0 &&
	    e->dir != Q_MAILDROP);
	if (sender.n == 0)
		sender = str_of(e->walk->null_sender);
	put_address(e->out, "sender", sender);
}

static void
put_rcpt(struct entry *e, struct str addr, struct str reason)
{
	struct buf shown;

	put_address(e->out, "recipient", addr.n > 0 ? addr :
	    str_of(e->walk->null_sender));
	buf_init(&shown, SHOWQ_VALUE_MAX);
	log_escape(str_first(reason, 4096), &shown);
	put(e->out, "reason", buf_view(&shown));
	buf_free(&shown);
}

/* Recipients that had their delivery are not shown, as with Postfix. */
static void
put_queue_file(struct entry *e, int fd)
{
	struct arena *a = arena_new(ARENA_MAX);
	struct queue_message m;
	enum queue_result r = e->dir == Q_DEFERRED || e->dir == Q_HOLD ?
	    queue_read_settled(fd, &e->st, a, &m) :
	    queue_read(fd, a, false, &m);

	if (r == QUEUE_OK) {
		put_message(e, m.arrival_us / 1000000, (int64_t)m.size,
		    m.sender);
		for (size_t i = 0; i < m.nrcpts; i++) {
			const struct queue_rcpt *q = &m.rcpts[i];

			if (q->status == RCPT_TODO ||
			    q->status == RCPT_DEFERRED)
				put_rcpt(e, q->address,
				    q->status == RCPT_DEFERRED ? q->text :
				    STR(""));
		}
		buf_putc(e->out, '\0');
	} else if (r == QUEUE_BAD) {
		log_warn("%s/%s: damaged queue file",
		    queue_dir_names[e->dir], e->id);
	}
	arena_free(&a);
}

/* True while the envelope goes on. */
static bool
put_frames(struct entry *e, struct maildrop_reader *r, struct buf *in)
{
	struct maildrop_frame f;
	struct str rest = buf_view(in);
	enum maildrop_result result;

	while ((result = maildrop_read(r, &rest, &f)) == MAILDROP_FRAME &&
	    f.type != MD_CONTENT) {
		if (f.type == MD_SENDER)
			put_message(e, e->st.st_mtime, e->st.st_size, f.text);
		else if (f.type == MD_RCPT)
			put_rcpt(e, f.text, STR(""));
	}
	buf_drop(in, in->n - rest.n);
	return result == MAILDROP_MORE;
}

static void
put_submission(struct entry *e, int fd)
{
	struct maildrop_reader r = { .stage = 0 };
	size_t before = e->out->n;
	struct buf in;
	off_t at = 0;
	char *p;
	ssize_t n;

	buf_init(&in, 4 * READ_SIZE);
	do {
		p = buf_space(&in, READ_SIZE);
		n = p == NULL ? -1 : pread(fd, p, READ_SIZE, at);
		if (n <= 0)
			break;
		in.n += (size_t)n;
		at += n;
	} while (put_frames(e, &r, &in) && (size_t)at < ENVELOPE_MAX);
	if (e->out->n > before)
		buf_putc(e->out, '\0');
	buf_free(&in);
}

static bool
is_queue_file(int fd)
{
	char magic[8];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	    memcmp(magic, "PSTRNQ01", sizeof(magic)) == 0;
}

static void
put_file(struct showq_walk *w, const char *id, struct buf *out)
{
	struct entry e = { .walk = w, .dir = order[w->dir], .id = id,
	    .out = out };
	int fd = openat(w->stack[w->depth - 1].fd, id, O_RDONLY |
	    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return;			/* it moved on */
	if (fstat(fd, &e.st) == 0 && S_ISREG(e.st.st_mode)) {
		if (e.dir != Q_MAILDROP || is_queue_file(fd))
			put_queue_file(&e, fd);
		else if ((e.st.st_mode & 0700) == 0700)
			put_submission(&e, fd);
	}
	close(fd);
}

struct showq_walk *
showq_walk_new(const struct queue *q, const char *null_sender)
{
	struct showq_walk *w = mem_new(sizeof(*w));

	w->queue = q;
	w->null_sender = null_sender;
	return w;
}

static void
leave(struct showq_walk *w)
{
	w->depth--;
	queue_names_free(&w->stack[w->depth].names);
	close(w->stack[w->depth].fd);
}

void
showq_walk_free(struct showq_walk **wp)
{
	struct showq_walk *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	while (w->depth > 0)
		leave(w);
	mem_free(w);
}

static void
enter(struct showq_walk *w, int parent, const char *name)
{
	struct queue_names *names;
	int fd;

	if (w->depth == DEPTH_MAX)
		return;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	names = fd < 0 ? NULL : queue_names_read(fd);
	if (names == NULL) {
		fd_close(&fd);
		return;
	}
	w->stack[w->depth].fd = fd;
	w->stack[w->depth++].names = names;
}

/* The next name of the directory at hand; false when all are done. */
static bool
next_name(struct showq_walk *w, const char **name)
{
	while (w->dir < nitems(order)) {
		if (!w->opened) {
			w->opened = true;
			if (w->queue->dir[order[w->dir]] >= 0)
				enter(w, w->queue->dir[order[w->dir]], ".");
		}
		if (w->depth == 0) {
			w->dir++;
			w->opened = false;
			continue;
		}
		*name = queue_names_next(w->stack[w->depth - 1].names);
		if (*name != NULL)
			return true;
		leave(w);
	}
	return false;
}

bool
showq_walk_next(struct showq_walk *w, struct buf *out)
{
	size_t before = out->n;
	const char *name;

	while (out->n == before) {
		if (!next_name(w, &name))
			return false;
		if (name[0] != '\0' && name[0] != '.' && name[1] == '\0' &&
		    order[w->dir] != Q_MAILDROP)
			enter(w, w->stack[w->depth - 1].fd, name);
		else if (queue_id_valid(str_of(name)))
			put_file(w, name, out);
	}
	return true;
}
