/*
 * names - the names in one directory, by inode.
 *
 * Files are made one after another, so their inodes and what they hold lie
 * in that order on the disk, while a directory gives them by hash: a look at
 * each of 100,000 files in its order is several times as slow when nothing
 * of them is in memory. Holds the names of one directory, nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "queue/queue.h"

struct name { uint64_t ino; size_t at; };

struct queue_names {
	struct name *v;
	size_t	     n, cap, next;
	struct buf   text;
};

static int
by_ino(const void *one, const void *other)
{
	const struct name *a = one, *b = other;

	return a->ino < b->ino ? -1 : a->ino > b->ino;
}

static void
add(struct queue_names *names, const struct dirent *e)
{
	if (names->n == names->cap) {
		names->cap = names->cap == 0 ? 64 : names->cap * 2;
		names->v = mem_grow(names->v, names->cap, sizeof(*names->v));
	}
	names->v[names->n++] = (struct name){ e->d_ino, names->text.n };
	buf_add(&names->text, e->d_name, strlen(e->d_name) + 1);
}

struct queue_names *
queue_names_read(int dir_fd)
{
	struct queue_names *names;
	const struct dirent *e;
	int err, fd = dup(dir_fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		err = errno;
		if (fd >= 0)
			close(fd);
		errno = err;
		return NULL;
	}
	names = mem_new(sizeof(*names));
	buf_init(&names->text, QUEUE_NAMES_MAX);
	rewinddir(dir);
	for (errno = 0; (e = readdir(dir)) != NULL && !names->text.full;)
		if (e->d_name[0] != '.')
			add(names, e);
	err = errno;
	closedir(dir);
	if (names->text.full && names->n > 0)
		names->n--;		/* the rest the next time */
	if (err != 0)
		queue_names_free(&names);
	else if (names->n > 0)
		qsort(names->v, names->n, sizeof(*names->v), by_ino);
	errno = err;
	return names;
}

const char *
queue_names_next(struct queue_names *names)
{
	return names->next < names->n ?
	    names->text.p + names->v[names->next++].at : NULL;
}

void
queue_names_free(struct queue_names **np)
{
	struct queue_names *names = *np;

	*np = NULL;
	if (names == NULL)
		return;
	mem_free(names->v);
	buf_free(&names->text);
	mem_free(names);
}
