/*
 * mbox - appends to a mailbox file under its locks.
 *
 * Locks as mailbox_delivery_lock says: NAME.lock, fcntl, flock; tried again
 * by a timer, never waited for. fcntl locks are taken as open file
 * description locks: others see them like any fcntl lock, but closing some
 * other descriptor of the same file does not drop them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/internal.h"

#define KEY_MAX	65536

struct box {
	struct list	waiting;	/* deliveries to the same path */
	struct buf	key;
};

static int
unlock(struct store_delivery *d, int err)
{
	if (d->lock_fd >= 0)
		(void)unlinkat(d->dir, d->lock, 0);
	fd_close(&d->fd);
	fd_close(&d->lock_fd);
	return err;
}

/* Its directory, name and lock name. */
static int
open_parent(struct store_delivery *d)
{
	const char *slash = strrchr(d->full, '/');
	size_t n = slash != NULL ? strlen(slash + 1) : 0;
	char *parent;

	if (n == 0 || n + sizeof(".lock") > sizeof(d->lock))
		return store_fail(d, ENAMETOOLONG, "cannot open file: %s",
		    strerror(n == 0 ? EISDIR : ENAMETOOLONG));
	memcpy(d->name, slash + 1, n + 1);
	memcpy(d->lock, d->name, n);
	memcpy(d->lock + n, ".lock", sizeof(".lock"));
	n = (size_t)(slash - d->full) + 1;
	parent = mem_grow(NULL, n + 1, 1);
	memcpy(parent, d->full, n);
	parent[n] = '\0';
	d->dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mem_free(parent);
	if (d->dir < 0)
		return store_fail(d, errno, "cannot open file: %m");
	return 0;
}

static int
dotlock(struct store_delivery *d)
{
	struct stat st;
	int err;

	/* No lock file beside a device: Postfix's mbox_open(). */
	if (fstatat(d->dir, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISREG(st.st_mode))
		return 0;
	err = store_dotlock(d->dir, d->lock, d->store->conf.stale_lock_s,
	    &d->lock_fd);
	/* Beside a file that somebody names there may be no place for one. */
	if (err == 0 || ((d->job.flags & STORE_ANY_FILE) != 0 &&
	    err != EEXIST && !errno_is_local_fault(err)))
		return 0;
	d->again = err == EEXIST;
	return store_fail(d, err, "unable to create lock file %s.lock: %m",
	    d->full);
}

/* What an alias or .forward names may be a device, but no program. */
static int
check_any(struct store_delivery *d, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return 0;
	if (st->st_nlink != 1)
		return store_fail(d, EPERM, "file has %lu hard links",
		    (unsigned long)st->st_nlink);
	if ((st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0)
		return store_fail(d, EPERM, "file is executable");
	return 0;
}

static int
check(struct store_delivery *d, const struct stat *st)
{
	if ((d->job.flags & STORE_ANY_FILE) != 0)
		return check_any(d, st);
	if (!S_ISREG(st->st_mode))
		return store_fail(d, EPERM,
		    "destination %s is not a regular file", d->full);
	if (st->st_nlink != 1)
		return store_fail(d, EPERM, "file has %lu hard links",
		    (unsigned long)st->st_nlink);
	if (d->store->conf.strict_owner && st->st_uid != geteuid())
		return store_fail(d, EPERM,
		    "destination %s is not owned by recipient", d->full);
	return 0;
}

/* What /file/name of an alias may be, and a mailbox may not. */
static bool
is_device(struct store_delivery *d)
{
	struct stat st;

	return (d->job.flags & STORE_ANY_FILE) != 0 &&
	    fstatat(d->dir, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode) &&
	    !S_ISDIR(st.st_mode);
}

static int
open_box(struct store_delivery *d)
{
	const int how = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC;
	bool device = is_device(d);
	struct stat st;
	int err;

	/* Never both ways: a FIFO that nobody reads would swallow the mail. */
	d->fd = openat(d->dir, d->name, device ?
	    (how & ~O_RDWR) | O_WRONLY : how);
	if (d->fd < 0 && errno == ENOENT) {
		d->fd = openat(d->dir, d->name, how | O_CREAT | O_EXCL, 0600);
		if (d->fd < 0)
			return store_fail(d, errno,
			    "cannot create file exclusively: %m");
		/* Made durable by whoever first writes to it. */
		d->made = true;
	}
	if (d->fd < 0 && errno == ELOOP)
		return store_fail(d, EPERM, "file is a symbolic link");
	if (d->fd < 0)
		return store_fail(d, errno, "cannot open file: %m");
	if (fstat(d->fd, &st) < 0)
		return store_fail(d, errno, "cannot open file: %m");
	if ((err = check(d, &st)) != 0)
		return err;
	if (device == (S_ISREG(st.st_mode) != 0))
		return store_fail(d, EAGAIN,
		    "target file status changed unexpectedly");
	return 0;
}

static int
lock_box(struct store_delivery *d, struct stat *st)
{
	bool got = true;

	if (fstat(d->fd, st) == 0 && !S_ISREG(st->st_mode))
		return 0;		/* check_any() let it through */
	if ((d->job.locks & LOCK_FLOCK) != 0)
		got = flock(d->fd, LOCK_EX | LOCK_NB) == 0;
	if (got && (d->job.locks & LOCK_FCNTL) != 0)
		got = store_fcntl_lock(d->fd);
	if (!got) {
		d->again = errno == EAGAIN || errno == EACCES;
		return store_fail(d, errno,
		    "unable to lock for exclusive access: %m");
	}
	if (fstat(d->fd, st) < 0 ||
	    (S_ISREG(st->st_mode) && st->st_nlink != 1))
		return store_fail(d, EAGAIN,
		    "target file status changed unexpectedly");
	return 0;
}

/* How many LFs the end of the file lacks: torn mail must not eat ours. */
static int
missing_newlines(int fd, off_t size, bool empty_line, unsigned *lacks)
{
	char end[2] = { '\n', '\n' };
	off_t at = size < 2 ? 0 : size - 2;

	if (size > 0 && fd_pread_all(fd, end + 2 - (size - at),
	    (size_t)(size - at), at) < 0)
		return errno;
	if (end[1] != '\n')
		*lacks = empty_line ? 2 : 1;
	else
		*lacks = empty_line && end[0] != '\n' ? 1 : 0;
	return 0;
}

/*
 * NULs at its end go, if it is locked: else somebody may be writing there.
 * That they cannot be cut off is no reason to put mail off.
 */
static int
cut_zeros(struct store_delivery *d, off_t *size)
{
	off_t end;
	int err;

	if (d->lock_fd < 0 && (d->job.locks & (LOCK_FCNTL | LOCK_FLOCK)) == 0)
		return 0;
	err = zeros_find(d->fd, *size, &end);
	if (err == EFBIG) {
		d->kept = err;
		return 0;
	}
	if (err != 0 || end == *size)
		return err;
	if (ftruncate(d->fd, end) < 0) {
		d->kept = errno;
		return 0;
	}
	d->zeros = *size - end;
	*size = end;
	return 0;
}

/* What the last one left there: nothing of it may touch our mail. */
static int
mend_end(struct store_delivery *d, off_t *size, unsigned *lacks)
{
	int err = cut_zeros(d, size);

	if (err == 0)
		err = missing_newlines(d->fd, *size,
		    d->job.kind == STORE_MBOX, lacks);
	if (err != 0)
		store_fail(d, err, "error reading the end of the file: %m");
	return err;
}

static int
append(struct store_delivery *d, const struct stat *st)
{
	struct copy c = { .job = &d->job, .to = d->fd };
	bool device = !S_ISREG(st->st_mode);
	off_t size = st->st_size;
	int err;

	if (!device && (err = mend_end(d, &size, &c.newlines)) != 0)
		return err;
	c.at = (uint64_t)size;
	err = copy_message(&c);
	if (err == 0 && !device && fsync(d->fd) < 0)
		err = errno;
	if (err == 0 && device)
		return 0;
	if (err == 0 && (d->made || st->st_size == 0))
		err = dir_sync(d->dir);
	if (err == 0)
		return 0;
	errno = err;
	store_fail(d, err, c.reading ? "error reading message: %m" :
	    "error writing message: %m");
	d->cut = !device && ftruncate(d->fd, size) < 0 ? errno : 0;
	d->full_box = c.over;
	return err;
}

int
mbox_attempt(struct store_delivery *d)
{
	struct stat st;
	int err;

	d->again = false;
	if (d->dir < 0 && (err = open_parent(d)) != 0)
		return err;
	if ((d->job.locks & LOCK_DOTLOCK) != 0 && d->lock_fd < 0 &&
	    (err = dotlock(d)) != 0)
		return err;
	if ((d->fd < 0 && (err = open_box(d)) != 0) ||
	    (err = lock_box(d, &st)) != 0)
		return d->again ? err : unlock(d, err);
	return unlock(d, append(d, &st));
}

static int
attempt(void *ctx)
{
	return mbox_attempt(ctx);
}

static void	attempt_begin(struct store_delivery *);

static void
try_again(void *ctx)
{
	attempt_begin(ctx);
}

/* deliver_lock_delay, give or take a quarter, that two do not keep step. */
static int64_t
lock_delay(const struct store *s)
{
	int64_t delay = s->conf.lock_delay_ms;
	uint16_t dice;

	random_bytes(&dice, sizeof(dice));
	return delay - delay / 4 + delay / 2 * dice / UINT16_MAX;
}

static void
leave(struct store_delivery *d)
{
	struct store *s = d->store;
	struct box *b = d->box;
	struct store_delivery *next;

	d->box = NULL;
	if (list_empty(&b->waiting)) {
		map_set(s->boxes, buf_view(&b->key), NULL);
		buf_free(&b->key);
		mem_free(b);
		return;
	}
	next = container_of(b->waiting.next, struct store_delivery, link);
	list_remove(&next->link);
	attempt_begin(next);
}

/* What is to be known of its end, once. */
static void
tell_end(struct store_delivery *d)
{
	if (d->zeros > 0)
		log_at(LL_WARN, d->job.queue_id, "%s: cut off the %lld NULs "
		    "at its end: mail whose bytes were not on the disk when "
		    "the power failed; it was not told delivered and comes "
		    "again", d->full, (long long)d->zeros);
	if (d->kept != 0)
		log_at(LL_WARN, d->job.queue_id, "%s: cannot cut off the "
		    "NULs at its end: %s", d->full, strerror(d->kept));
	if (d->cut != 0)
		log_at(LL_WARN, d->job.queue_id, "%s: cannot cut back to its "
		    "old length after an error: %s", d->full,
		    strerror(d->cut));
	d->zeros = d->kept = d->cut = 0;
}

static void
attempt_done(void *ctx, int err)
{
	struct store_delivery *d = ctx;

	if (err != 0 && d->again &&
	    ++d->tries < d->store->conf.lock_attempts) {
		if (d->timer == NULL)
			d->timer = timer_new(d->store->conf.loop, try_again,
			    d);
		timer_set(d->timer, lock_delay(d->store));
		return;
	}
	if (err != 0)
		unlock(d, err);
	tell_end(d);
	leave(d);
	store_finish(d, err);
}

static void
attempt_begin(struct store_delivery *d)
{
	pool_run(d->store->conf.pool, attempt, attempt_done, d);
}

void
mbox_deliver(struct store_delivery *d)
{
	struct store *s = d->store;
	struct buf key;
	struct box *b;

	buf_init(&key, KEY_MAX * 2);
	store_key(&d->job, &key);
	b = map_get(s->boxes, buf_view(&key));
	if (b != NULL) {		/* one at a time */
		buf_free(&key);
		d->box = b;
		list_append(&b->waiting, &d->link);
		return;
	}
	b = mem_new(sizeof(*b));
	list_init(&b->waiting);
	b->key = key;
	map_set(s->boxes, buf_view(&b->key), b);
	d->box = b;
	attempt_begin(d);
}
