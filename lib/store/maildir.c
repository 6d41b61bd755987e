/*
 * maildir - delivery into new/ of a Maildir (cr.yp.to/proto/maildir.html).
 *
 * Keeps tmp/ and new/ of recently used Maildirs open, so that a delivery
 * walks no path: open, fstat, read, write, fsync, close. Those that are
 * written when the last ones are done go into new/ together: their renames
 * one after another, so that they do not fight for the directories' locks,
 * then one fsync of new/. One that comes alone goes all the way in one job.
 * Once a second it is checked that the path still leads there.
 *
 * Names: seconds.VdevIinoMmicroseconds.host,S=bytes,W=bytes with CRLF.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/internal.h"

#define CHECK_MS	1000
#define TRIES_MAX	2	/* of opening a Maildir that vanished */
#define KEY_MAX		32768

struct maildir {
	struct list	  link;		/* in store.recent while it is known */
	struct store	 *store;
	struct buf	  key;
	char		 *full;		/* path */
	bool		  known;	/* in store.maildirs */
	bool		  opening, moving;
	bool		  ordered;	/* is_ordered() */
	int		  tmp, new;
	unsigned	  refs;		/* deliveries */
	unsigned	  writing, waiting; /* in the pool; in for_new */
	int64_t		  checked_ms;
	struct list	  for_open;	/* deliveries */
	struct list	  for_new;	/* whole in tmp/; theirs is next */
	struct list	  in_new;	/* on their way: a thread's meanwhile */
};

static void
maildir_free(struct maildir *m)
{
	fd_close(&m->tmp);
	fd_close(&m->new);
	buf_free(&m->key);
	mem_free(m->full);
	mem_free(m);
}

/* No more found by its path; lives until its deliveries end. */
static void
forget(struct maildir *m)
{
	if (!m->known)
		return;
	m->known = false;
	map_set(m->store->maildirs, buf_view(&m->key), NULL);
	list_remove(&m->link);
	if (m->refs == 0)
		maildir_free(m);
}

static void
unref(struct store_delivery *d)
{
	struct maildir *m = d->maildir;

	d->maildir = NULL;
	if (--m->refs == 0 && !m->known)
		maildir_free(m);
}

void
maildirs_free(struct store *s)
{
	list_each(l, &s->recent)
		forget(container_of(l, struct maildir, link));
}

static void
forget_oldest(struct store *s)
{
	list_each(l, &s->recent) {
		struct maildir *m = container_of(l, struct maildir, link);

		if (m->refs == 0) {
			forget(m);
			return;
		}
	}
}

static struct maildir *
maildir_find(struct store_delivery *d)
{
	struct store *s = d->store;
	struct maildir *m;
	struct buf key;

	buf_init(&key, KEY_MAX * 2);
	store_key(&d->job, &key);
	m = map_get(s->maildirs, buf_view(&key));
	if (m != NULL) {
		buf_free(&key);
		list_remove(&m->link);
		list_append(&s->recent, &m->link);
		return m;
	}
	if (map_count(s->maildirs) >= s->conf.maildirs_max)
		forget_oldest(s);
	m = mem_new(sizeof(*m));
	m->store = s;
	m->key = key;
	m->full = mem_strdup(d->full);
	m->tmp = m->new = -1;
	list_init(&m->for_open);
	list_init(&m->for_new);
	list_init(&m->in_new);
	m->known = true;
	map_set(s->maildirs, buf_view(&m->key), m);
	list_append(&s->recent, &m->link);
	return m;
}

/* Does full/new still lead to the directory that is open? In the pool. */
static int
check_same(const char *full, int new_fd)
{
	struct stat open_st, path_st;
	char *path = mem_grow(NULL, strlen(full) + sizeof("/new"), 1);
	int err = 0;

	memcpy(path, full, strlen(full));
	memcpy(path + strlen(full), "/new", sizeof("/new"));
	if (stat(path, &path_st) < 0)
		err = errno;
	else if (fstat(new_fd, &open_st) < 0)
		err = errno;
	else if (open_st.st_dev != path_st.st_dev ||
	    open_st.st_ino != path_st.st_ino)
		err = ENOENT;
	mem_free(path);
	return err;
}

/* Never over an existing file; 0 or errno. */
static int
move(int from_dir, const char *from, int to_dir, const char *to)
{
	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	/* A file system that cannot: link and unlink. */
	if (linkat(from_dir, from, to_dir, to, 0) < 0)
		return errno;
	(void)unlinkat(from_dir, from, 0);	/* else tmp/ is swept later */
	return 0;
}

/*
 * On the disk before it has its name in new/. Where that order is kept, the
 * bytes alone are waited for: the sync of new/ will cover all.
 */
static int
settle(const struct store_delivery *d, int fd)
{
	const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE |
	    SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

	if (d->maildir->ordered)
		return sync_file_range(fd, 0, 0, all) < 0 ? errno : 0;
	return fsync(fd) < 0 ? errno : 0;
}

static int
write_tmp(struct store_delivery *d, int fd)
{
	struct copy c = { .job = &d->job, .to = fd };
	int64_t now = clock_wall_us();
	struct stat st;
	int err;

	if (fstat(fd, &st) < 0)
		return store_fail(d, errno, "error writing message: %m");
	err = copy_message(&c);
	d->full_box = c.over;
	if (err == 0)
		err = settle(d, fd);
	if (err != 0)
		return store_fail(d, err, c.reading ?
		    "error reading message: %m" :
		    "error writing message: %m");
	snprintf(d->name, sizeof(d->name),
	    "%lld.V%lxI%lxM%lld.%s,S=%llu,W=%llu",
	    (long long)(now / 1000000), (unsigned long)st.st_dev,
	    (unsigned long)st.st_ino, (long long)(now % 1000000),
	    d->store->host, (unsigned long long)c.written,
	    (unsigned long long)(c.written + c.lines));
	return 0;
}

static int
move_one(struct store_delivery *d)
{
	struct maildir *m = d->maildir;
	int err = move(m->tmp, d->tmp, m->new, d->name);

	if (err == 0)
		return 0;
	d->again = err == ENOENT;
	(void)unlinkat(m->tmp, d->tmp, 0);
	return store_fail(d, err, "create maildir file %snew/%s: %m",
	    m->full, d->name);
}

/* The last step of one that went alone. It would come again: not two. */
static int
finish_alone(struct store_delivery *d)
{
	struct maildir *m = d->maildir;
	int err = move_one(d);

	if (err != 0)
		return err;
	if (fsync(m->new) == 0)
		return 0;
	err = store_fail(d, errno, "error writing message: %m");
	(void)unlinkat(m->new, d->name, 0);
	return err;
}

/* Pool: into tmp/, all bytes, on disk; alone: into new/. */
static int
write_message(void *ctx)
{
	struct store_delivery *d = ctx;
	struct maildir *m = d->maildir;
	int fd, err = 0;

	snprintf(d->tmp, sizeof(d->tmp), "%lld.P%ldQ%u.%s",
	    (long long)clock_wall_s(), (long)d->store->pid, d->number,
	    d->store->host);
	if ((fd = openat(m->tmp, d->tmp, O_WRONLY | O_CREAT |
	    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
		err = errno;
	d->again = err == ENOENT;
	if (err != 0)
		return store_fail(d, err, "create maildir file %stmp/%s: %m",
		    m->full, d->tmp);
	err = write_tmp(d, fd);
	if (err != 0)
		(void)unlinkat(m->tmp, d->tmp, 0);
	else if (d->alone)
		err = finish_alone(d);
	(void)close(fd);	/* has nothing left to write */
	return err;
}

/* Pool: all of in_new into new/, on disk. What went wrong stands in d->err. */
static int
move_to_new(void *ctx)
{
	struct maildir *m = ctx;

	list_each(l, &m->in_new) {
		struct store_delivery *d =
		    container_of(l, struct store_delivery, link);

		d->err = move_one(d);
	}
	return fsync(m->new) < 0 ? errno : 0;
}

static void	new_maybe(struct maildir *);
static void	failed(struct store_delivery *, int err);

static void
new_done(void *ctx, int err)
{
	struct maildir *m = ctx;

	m->refs++;		/* it must live to the end of this function */
	list_each(l, &m->in_new) {
		struct store_delivery *d =
		    container_of(l, struct store_delivery, link);

		list_remove(&d->link);
		if (d->err != 0) {
			failed(d, d->err);
			continue;
		}
		if (err != 0) {
			/* Will come again: do not leave two. */
			store_fail(d, err, "error writing message: %m");
			(void)unlinkat(m->new, d->name, 0);
		}
		unref(d);
		store_finish(d, err);
	}
	m->moving = false;
	new_maybe(m);
	if (--m->refs == 0 && !m->known)
		maildir_free(m);
}

static void
new_begin(struct maildir *m)
{
	list_each(l, &m->for_new) {
		list_remove(l);
		list_append(&m->in_new, l);
	}
	m->moving = true;
	m->waiting = 0;
	pool_run(m->store->conf.pool, move_to_new, new_done, m);
}

/*
 * One fsync for many: it waits until as many are written as are still being
 * written, so a slow one holds up no more than its equal.
 */
static void
new_maybe(struct maildir *m)
{
	if (!m->moving && m->waiting > 0 && m->waiting >= m->writing)
		new_begin(m);
}

static void
write_done(void *ctx, int err)
{
	struct store_delivery *d = ctx;
	struct maildir *m = d->maildir;

	m->writing--;
	if (err == 0 && !d->alone) {
		list_append(&m->for_new, &d->link);
		m->waiting++;
	}
	new_maybe(m);
	if (err != 0)
		failed(d, err);
	else if (d->alone) {
		unref(d);
		store_finish(d, 0);
	}
}

static void
failed(struct store_delivery *d, int err)
{
	struct maildir *m = d->maildir;

	if (d->again) {		/* the Maildir was moved away or removed */
		forget(m);
		unref(d);
		if (++d->tries < TRIES_MAX) {
			maildir_deliver(d);
			return;
		}
	} else
		unref(d);
	if (err == EACCES)
		log_at(LL_WARN, d->job.queue_id, "maildir access problem for "
		    "UID/GID=%lu/%lu: " STRF ": perhaps you need to create "
		    "the maildirs in advance", (unsigned long)geteuid(),
		    (unsigned long)getegid(), STRV(d->job.path));
	store_finish(d, err);
}

static void
write_begin(struct store_delivery *d)
{
	struct maildir *m = d->maildir;

	d->alone = m->writing == 0 && m->waiting == 0 && !m->moving;
	m->writing++;
	pool_run(d->store->conf.pool, write_message, write_done, d);
}

static int
open_work(void *ctx)
{
	struct maildir *m = ctx;
	int err = maildir_open(m->full, &m->tmp, &m->new);

	m->ordered = err == 0 && is_ordered(m->new);
	return err;
}

static void
open_done(void *ctx, int err)
{
	struct maildir *m = ctx;

	m->opening = false;
	m->checked_ms = clock_steady_ms();
	m->refs++;
	if (err != 0)
		forget(m);
	list_each(l, &m->for_open) {
		struct store_delivery *d =
		    container_of(l, struct store_delivery, link);

		list_remove(&d->link);
		if (err == 0) {
			write_begin(d);
			continue;
		}
		unref(d);
		store_fail(d, err, "create maildir %s: %m", m->full);
		store_finish(d, err);
	}
	if (--m->refs == 0 && !m->known)
		maildir_free(m);
}

static int
check_work(void *ctx)
{
	struct maildir *m = ctx;

	return check_same(m->full, m->new);
}

/* It was moved or removed: who waits begins anew, by its path. */
static void
check_done(void *ctx, int err)
{
	struct maildir *m = ctx;

	if (err == 0) {
		open_done(m, 0);
		return;
	}
	m->opening = false;
	m->refs++;
	forget(m);
	list_each(l, &m->for_open) {
		struct store_delivery *d =
		    container_of(l, struct store_delivery, link);

		list_remove(&d->link);
		unref(d);
		maildir_deliver(d);
	}
	if (--m->refs == 0)
		maildir_free(m);
}

void
maildir_deliver(struct store_delivery *d)
{
	struct maildir *m = maildir_find(d);
	bool open = m->new >= 0;

	d->maildir = m;
	m->refs++;
	/* While it is opened or checked, its descriptors are a thread's. */
	if (!m->opening && open &&
	    clock_steady_ms() - m->checked_ms < CHECK_MS) {
		write_begin(d);
		return;
	}
	list_append(&m->for_open, &d->link);
	if (m->opening)
		return;
	m->opening = true;
	if (open)
		pool_run(d->store->conf.pool, check_work, check_done, m);
	else
		pool_run(d->store->conf.pool, open_work, open_done, m);
}
