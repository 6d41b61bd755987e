/*
 * put - walk the queue and write what is in it.
 *
 * One walks and hands out parts: the names of some files. Whoever reads a
 * part touches nothing else, so threads may. A part's files are opened and
 * asked for from the disk together, and then read. Queue files and submissions
 * of maildrop/ may be anything: what does not read well is passed by. Values
 * never hold a NUL.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "address/address.h"
#include "maildrop/maildrop.h"
#include "showq/showq.h"
#include "sys/sys.h"

#define ARENA_MAX	((size_t)1 << 32)
#define ENVELOPE_MAX	((size_t)64 << 20)	/* of a submission */
#define READ_SIZE	65536
#define PART_FILES	64
#define OPEN_FILES	32	/* of a part, at once */
#define PART_BYTES	65536	/* written before the reader pauses */
#define OUT_MAX		((size_t)1 << 30)

/* As mail goes through them: what moves on meanwhile is met again. */
static const enum queue_dir order[] = { Q_MAILDROP, Q_INCOMING, Q_ACTIVE,
	Q_DEFERRED, Q_HOLD };

struct showq_walk {
	const struct queue *queue;
	const char	   *null_sender;
	size_t		    dir;	/* in order */
	struct queue_walk  *walk;	/* of it; NULL: not begun */
	const char	   *id;		/* the next one; NULL: not looked */
};

struct showq_part {
	const struct queue *queue;
	const char	   *null_sender;
	enum queue_dir	    dir;
	struct buf	    ids;	/* NUL ends each */
	size_t		    at;		/* of ids: read */
	struct buf	    out;
	struct buf	    damaged;	/* ids */
};

struct entry {			/* one message, as it is shown */
	struct showq_part *part;
	enum queue_dir	   dir;		/* where it is now */
	const char	  *id;
	int		   fd;		/* -1: nothing to show */
	struct stat	   st;
	struct buf	  *out;
};

static void
put(struct buf *out, const char *name, struct str value)
{
	size_t nul;

	buf_add(out, name, strlen(name) + 1);
	while ((nul = str_chr(value, '\0')) < value.n) {
		buf_str(out, str_first(value, nul));
		buf_putc(out, '?');
		value = str_from(value, nul + 1);
	}
	buf_str(out, value);
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
		sender = str_of(e->part->null_sender);
	put_address(e->out, "sender", sender);
}

static void
put_rcpt(struct entry *e, struct str addr, struct str reason)
{
	struct buf shown;

	put_address(e->out, "recipient", addr.n > 0 ? addr :
	    str_of(e->part->null_sender));
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
	enum queue_result r = queue_read_in(e->dir, fd, &e->st, a, &m);

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
		buf_add(&e->part->damaged, e->id, strlen(e->id) + 1);
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

/* Its file, to be read soon; false: we have too many files open for that. */
static bool
open_entry(struct entry *e, struct showq_part *p, const char *id)
{
	*e = (struct entry){ .part = p, .dir = p->dir, .id = id,
		.out = &p->out };
	e->fd = queue_open_file(p->queue, e->dir, id, O_RDONLY, 0);
	/* It moved on, maybe to where we have been: twice is better than not. */
	if (e->fd < 0 && errno == ENOENT && p->dir != Q_MAILDROP &&
	    (e->dir = queue_find(p->queue, id)) != Q__MAX)
		e->fd = queue_open_file(p->queue, e->dir, id, O_RDONLY, 0);
	if (e->fd < 0)
		return errno != EMFILE && errno != ENFILE;
	if (e->dir == Q_CORRUPT || fstat(e->fd, &e->st) != 0 ||
	    !S_ISREG(e->st.st_mode))
		fd_close(&e->fd);
	else
		queue_read_ahead(e->fd, &e->st);
	return true;
}

static void
put_entry(struct entry *e)
{
	if (e->fd < 0)
		return;
	if (e->dir != Q_MAILDROP || is_queue_file(e->fd))
		put_queue_file(e, e->fd);
	else if ((e->st.st_mode & 0700) == 0700)
		put_submission(e, e->fd);
}

/* --- the walk --- */

struct showq_walk *
showq_walk_new(const struct queue *q, const char *null_sender)
{
	struct showq_walk *w = mem_new(sizeof(*w));

	w->queue = q;
	w->null_sender = null_sender;
	return w;
}

void
showq_walk_free(struct showq_walk **wp)
{
	struct showq_walk *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	queue_walk_free(&w->walk);
	mem_free(w);
}

/* To the next id; false: that was all. */
static bool
step(struct showq_walk *w)
{
	for (; w->dir < nitems(order); w->dir++) {
		if (w->walk == NULL)
			w->walk = queue_walk_new(w->queue, order[w->dir]);
		w->id = queue_walk_next(w->walk);
		if (w->id != NULL)
			return true;
		queue_walk_free(&w->walk);
	}
	w->id = NULL;
	return false;
}

struct showq_part *
showq_walk_next(struct showq_walk *w)
{
	struct showq_part *p;
	size_t dir, n = 0;

	if (w->id == NULL && !step(w))
		return NULL;
	p = mem_new(sizeof(*p));
	p->queue = w->queue;
	p->null_sender = w->null_sender;
	p->dir = order[w->dir];
	buf_init(&p->ids, PART_FILES * QUEUE_ID_MAX);
	buf_init(&p->damaged, PART_FILES * QUEUE_ID_MAX);
	buf_init(&p->out, OUT_MAX);
	dir = w->dir;
	do {
		buf_add(&p->ids, w->id, strlen(w->id) + 1);
	} while (step(w) && w->dir == dir && ++n < PART_FILES);
	return p;
}

/* The next files, until there is text enough. */
static void
read_some(struct showq_part *p)
{
	struct entry v[OPEN_FILES];
	size_t n = 0, at = p->at;

	while (n < OPEN_FILES && at < p->ids.n) {
		const char *id = p->ids.p + at;

		if (!open_entry(&v[n], p, id) && n > 0)
			break;
		at += strlen(id) + 1;
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		if (p->out.n < PART_BYTES) {
			put_entry(&v[i]);
			p->at += strlen(v[i].id) + 1;
		}
		fd_close(&v[i].fd);
	}
}

bool
showq_part_read(struct showq_part *p)
{
	buf_clear(&p->out);
	while (p->at < p->ids.n && p->out.n < PART_BYTES)
		read_some(p);
	return p->at < p->ids.n;
}

struct str
showq_part_text(const struct showq_part *p)
{
	return buf_view(&p->out);
}

void
showq_part_free(struct showq_part **pp)
{
	struct showq_part *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	for (size_t at = 0; at < p->damaged.n;
	    at += strlen(p->damaged.p + at) + 1)
		log_warn("%s/%s: damaged queue file",
		    queue_dir_names[p->dir], p->damaged.p + at);
	buf_free(&p->ids);
	buf_free(&p->damaged);
	buf_free(&p->out);
	mem_free(p);
}
