/*
 * store - deliveries into mailboxes: begin, wait, end, and how an errno
 * reads as a delivery status (mbox_dsn of Postfix, but that a local fault
 * never bounces).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include "store/internal.h"

#define STRINGS_MAX	65536	/* of one job */

/* "/" and ":" may not stand in a Maildir name: \057 and \072. */
static void
escape_host(const char *host, char *out, size_t size)
{
	size_t n = 0;

	for (; *host != '\0' && n + 5 < size; host++) {
		if (*host == '/' || *host == ':')
			n += (size_t)snprintf(out + n, size - n, "\\%03o",
			    (unsigned)*host);
		else if (*host > ' ' && *host < 0x7f)
			out[n++] = *host;
	}
	out[n] = '\0';
}

struct store *
store_new(const struct store_conf *conf)
{
	struct store *s = mem_new(sizeof(*s));

	s->conf = *conf;
	s->pid = getpid();
	escape_host(conf->hostname, s->host, sizeof(s->host));
	list_init(&s->waiting);
	list_init(&s->recent);
	s->maildirs = map_new();
	s->boxes = map_new();
	return s;
}

void
store_free(struct store **sp)
{
	struct store *s = *sp;

	if (s == NULL)
		return;
	assert(s->running == 0 && s->nwaiting == 0);
	maildirs_free(s);
	map_free(&s->maildirs);
	map_free(&s->boxes);
	mem_free(s);
	*sp = NULL;
}

size_t
store_busy(const struct store *s)
{
	return s->running + s->nwaiting;
}

static struct store_delivery *
delivery_new(struct store *s, const struct msg_store *job)
{
	struct store_delivery *d = mem_new(sizeof(*d));

	d->store = s;
	d->arena = arena_new(STRINGS_MAX * 2);
	d->job = *job;
	d->job.queue_id = arena_str(d->arena, job->queue_id);
	d->job.path = arena_str(d->arena, job->path);
	d->job.base = arena_str(d->arena, job->base);
	d->job.sender = arena_str(d->arena, job->sender);
	d->job.recipient = arena_str(d->arena, job->recipient);
	d->job.original = arena_str(d->arena, job->original);
	list_init(&d->link);
	if (job->base.n == 0)
		d->full = arena_cstr(d->arena, job->path);
	else
		d->full = arena_printf(d->arena, STRF "/" STRF,
		    STRV(job->base), STRV(job->path));
	d->dir = d->fd = d->lock_fd = -1;
	return d;
}

static void
delivery_free(struct store_delivery *d)
{
	fd_close(&d->job.queue_file);
	fd_close(&d->dir);
	fd_close(&d->fd);
	fd_close(&d->lock_fd);
	timer_free(&d->timer);
	arena_free(&d->arena);
	mem_free(d);
}

static void
begin(struct store_delivery *d)
{
	struct store *s = d->store;

	s->running++;
	d->number = s->number++;
	if (!store_path_valid(d->job.base, d->job.path))
		store_refuse(d, "4.3.5", "mail system configuration error");
	else if (d->job.kind == STORE_MAILDIR)
		maildir_deliver(d);
	else if (d->job.kind == STORE_MH)
		mh_deliver(d);
	else
		mbox_deliver(d);
}

static bool
strings_sane(const struct msg_store *job)
{
	return job->kind <= STORE_MH && job->queue_file >= 0 &&
	    job->queue_id.n + job->path.n + job->base.n + job->sender.n +
	    job->recipient.n + job->original.n < STRINGS_MAX;
}

static void
answer(const struct store_delivery *d, enum delivery_status status,
    const char *dsn, const char *text)
{
	struct msg_store_done m = { .status = status, .dsn = str_of(dsn),
		.text = str_of(text) };

	d->done(d->ctx, &m);
}

void
store_deliver(struct store *s, const struct msg_store *job,
    void (*done)(void *, const struct msg_store_done *), void *ctx)
{
	struct store_delivery none = { .done = done, .ctx = ctx }, *d;
	int fd = job->queue_file;

	if (!strings_sane(job) || s->nwaiting >= s->conf.waiting_max) {
		fd_close(&fd);
		answer(&none, DEFERRED, "4.3.0", strings_sane(job) ?
		    "too many deliveries wait for this user's mailboxes" :
		    "bad delivery request");
		return;
	}
	d = delivery_new(s, job);
	d->done = done;
	d->ctx = ctx;
	if (s->running >= s->conf.running_max) {
		list_append(&s->waiting, &d->link);
		s->nwaiting++;
		return;
	}
	begin(d);
}

/* One place is free: who waits longest gets it. */
static void
end(struct store_delivery *d)
{
	struct store *s = d->store;
	struct store_delivery *next;

	delivery_free(d);
	s->running--;
	if (list_empty(&s->waiting))
		return;
	next = container_of(s->waiting.next, struct store_delivery, link);
	list_remove(&next->link);
	s->nwaiting--;
	begin(next);
}

void
store_refuse(struct store_delivery *d, const char *dsn, const char *text)
{
	answer(d, DEFERRED, dsn, text);
	end(d);
}

/* Postfix's mbox_dsn(); its 5.2.2 for EDQUOT is a local fault here. */
static const char *
dsn_of(int err)
{
	if (err == ENOSPC)
		return "4.3.0";
	if (err == EDQUOT)
		return "4.2.2";
	if (err == EIO || err == EMFILE || err == ENFILE || err == ENOMEM ||
	    err == EROFS)
		return "4.3.0";
	return "4.2.0";
}

int
store_fail(struct store_delivery *d, int err, const char *fmt, ...)
{
	va_list ap;

	errno = err;
	va_start(ap, fmt);
	vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
	return err;
}

void
store_finish(struct store_delivery *d, int err)
{
	if (err == 0)
		answer(d, SENT, "2.0.0", d->job.kind == STORE_MAILDIR ?
		    "delivered to maildir" : d->job.kind == STORE_MH ?
		    "delivered to MH folder" : "delivered to mailbox");
	else if (d->full_box)	/* not a fault: it has its size */
		answer(d, BOUNCED, "5.2.2", d->why);
	else
		answer(d, DEFERRED, dsn_of(err), d->why);
	end(d);
}

void
store_key(const struct msg_store *job, struct buf *out)
{
	buf_str(out, job->base);
	buf_putc(out, '\0');
	buf_str(out, job->path);
}
