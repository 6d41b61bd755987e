/*
 * mh - delivery into an MH folder: a file for each message, named by a
 * number (mh-mail(5), as nmh and Claws Mail have it).
 *
 * Durable order: write ,tmp (names with a comma are no messages), fsync,
 * link(2) under the next free number, fsync of the folder. link never
 * replaces a file, so two who take the same number do no harm.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/internal.h"

#define TRIES_MAX	1000	/* numbers that others took meanwhile */

static int
write_file(struct store_delivery *d, int fd)
{
	struct copy c = { .job = &d->job, .to = fd };
	int err = copy_message(&c);

	if (err != 0)
		store_fail(d, err, c.reading ? "error reading message: %m" :
		    "error writing message: %m");
	else if (fsync(fd) < 0) {
		err = errno;
		store_fail(d, err, "error writing message: %m");
	}
	d->full_box = c.over;
	return err;
}

/* The highest number in the folder; 0 for none. */
static uint64_t
highest(int dir)
{
	uint64_t most = 0, n;
	struct dirent *e;
	DIR *list;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (list = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return 0;
	}
	while ((e = readdir(list)) != NULL)
		if (str_number(str_of(e->d_name), &n) && n > most &&
		    n < UINT32_MAX)
			most = n;
	(void)closedir(list);
	return most;
}

static int
give_number(struct store_delivery *d)
{
	uint64_t n = highest(d->dir);

	for (unsigned i = 0; i < TRIES_MAX; i++) {
		snprintf(d->name, sizeof(d->name), "%llu",
		    (unsigned long long)++n);
		if (linkat(d->dir, d->tmp, d->dir, d->name, 0) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return store_fail(d, errno, "cannot create file %s/%s: %m", d->full,
	    d->name);
}

static int
deliver(void *ctx)
{
	struct store_delivery *d = ctx;
	int fd, err;

	if ((err = dirs_make(d->full, &d->dir)) != 0)
		return store_fail(d, err, "create folder %s: %m", d->full);
	snprintf(d->tmp, sizeof(d->tmp), ",postern.%lld.%d.%u",
	    (long long)clock_wall_us(), (int)d->store->pid, d->number);
	fd = openat(d->dir, d->tmp,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return store_fail(d, errno, "cannot create file %s/%s: %m",
		    d->full, d->tmp);
	err = write_file(d, fd);
	if (close(fd) < 0 && err == 0 && errno != EINTR)
		err = store_fail(d, errno, "error writing message: %m");
	if (err == 0)
		err = give_number(d);
	(void)unlinkat(d->dir, d->tmp, 0);
	if (err == 0 && (err = dir_sync(d->dir)) != 0) {
		store_fail(d, err, "error writing message: %m");
		(void)unlinkat(d->dir, d->name, 0);
	}
	return err;
}

static void
delivered(void *ctx, int err)
{
	store_finish(ctx, err);
}

void
mh_deliver(struct store_delivery *d)
{
	pool_run(d->store->conf.pool, deliver, delivered, d);
}
