/*
 * walk - the names in a directory of the queue, one after another.
 *
 * Files are made one after another, so their inodes and what they hold lie
 * in that order on the disk, while a folder gives them by hash: a look at
 * each of 100,000 files in its order is several times as slow when nothing
 * of them is in memory. So each folder's names come by inode. Holds the names
 * of the folders that it stands in, nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "queue/internal.h"
#include "sys/sys.h"

#define NAMES_MAX	((size_t)1 << 30)	/* bytes, of one folder */

struct name { uint64_t ino; size_t at; };

struct folder {
	int	     fd;
	struct name *v;
	size_t	     n, cap, next;
	struct buf   text;
};

struct queue_walk {
	struct folder stack[HASH_DEPTH_MAX + 1];
	size_t	      depth;
	bool	      flat;	/* maildrop/ has no folders */
	int	      err;	/* the first one */
};

static int
by_ino(const void *one, const void *other)
{
	const struct name *a = one, *b = other;

	return a->ino < b->ino ? -1 : a->ino > b->ino;
}

static void
add(struct folder *f, const struct dirent *e)
{
	if (f->n == f->cap) {
		f->cap = f->cap == 0 ? 64 : f->cap * 2;
		f->v = mem_grow(f->v, f->cap, sizeof(*f->v));
	}
	f->v[f->n++] = (struct name){ e->d_ino, f->text.n };
	buf_add(&f->text, e->d_name, strlen(e->d_name) + 1);
}

/* 0 or errno. Names that begin with a dot are nobody's message. */
static int
read_names(struct folder *f)
{
	const struct dirent *e;
	int err, fd = dup(f->fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		err = errno;
		fd_close(&fd);
		return err;
	}
	rewinddir(dir);
	for (errno = 0; (e = readdir(dir)) != NULL && !f->text.full;)
		if (e->d_name[0] != '.')
			add(f, e);
	err = errno;
	closedir(dir);
	if (f->text.full && f->n > 0)
		f->n--;			/* the rest the next time */
	if (f->n > 0)
		qsort(f->v, f->n, sizeof(*f->v), by_ino);
	return err;
}

static void
leave(struct queue_walk *w)
{
	struct folder *f = &w->stack[--w->depth];

	mem_free(f->v);
	buf_free(&f->text);
	fd_close(&f->fd);
}

static void
enter(struct queue_walk *w, int parent, const char *name)
{
	struct folder *f = &w->stack[w->depth];
	int err;

	if (w->depth == nitems(w->stack))
		return;
	*f = (struct folder){ .fd = openat(parent, name, DIR_FLAGS) };
	buf_init(&f->text, NAMES_MAX);
	w->depth++;
	err = f->fd < 0 ? errno : read_names(f);
	if (err == 0)
		return;
	leave(w);
	if (w->err == 0)
		w->err = err;
}

struct queue_walk *
queue_walk_new(const struct queue *q, enum queue_dir dir)
{
	struct queue_walk *w = mem_new(sizeof(*w));

	w->flat = dir == Q_MAILDROP;
	if (q->dir[dir] >= 0)
		enter(w, q->dir[dir], ".");
	else
		w->err = ENOENT;
	return w;
}

const char *
queue_walk_next(struct queue_walk *w)
{
	while (w->depth > 0) {
		struct folder *f = &w->stack[w->depth - 1];
		const char *name;

		if (f->next == f->n) {
			leave(w);
			continue;
		}
		name = f->text.p + f->v[f->next++].at;
		if (queue_id_valid(str_of(name)))
			return name;
		if (name[1] == '\0' && !w->flat)
			enter(w, f->fd, name);
	}
	return NULL;
}

int
queue_walk_error(const struct queue_walk *w)
{
	return w->err;
}

void
queue_walk_free(struct queue_walk **wp)
{
	struct queue_walk *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	while (w->depth > 0)
		leave(w);
	mem_free(w);
}

int
queue_scan(const struct queue *q, enum queue_dir dir,
    bool (*fn)(void *ctx, const char *id), void *ctx)
{
	struct queue_walk *w = queue_walk_new(q, dir);
	const char *id;
	int err;

	while ((id = queue_walk_next(w)) != NULL && fn(ctx, id))
		;
	err = queue_walk_error(w);
	queue_walk_free(&w);
	return err;
}
