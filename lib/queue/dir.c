/*
 * dir - the queue's directories: open, find, move, remove.
 *
 * Everything goes by *at() calls from descriptors that queue_open holds, so
 * it works after privileges are gone. A hashed directory is a tree of
 * one-character directories named by the start of the id, made when needed
 * and synced into its parent. A file that stands at another depth (the
 * setting was changed) is still found.
 */
#include <sys/stat.h>
#include <sys/vfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "queue/internal.h"
#include "sys/sys.h"

#define PATH_ROOM	(2 * HASH_DEPTH_MAX + QUEUE_ID_MAX + 1)

const char *const queue_dir_names[Q__MAX] = { "maildrop", "incoming", "active",
	"deferred", "hold", "corrupt" };

/* Of these, fsync of a new file makes its name durable too. DESIGN 4. */
static const unsigned long file_sync_is_enough[] = {
	0xEF53,			/* ext4 */
	0x58465342,		/* xfs */
	0x9123683E,		/* btrfs */
	0x01021994,		/* tmpfs: nothing is */
};

static bool
needs_dir_sync(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return true;
	for (size_t i = 0; i < nitems(file_sync_is_enough); i++)
		if ((unsigned long)fs.f_type == file_sync_is_enough[i])
			return false;
	return true;
}

int
queue_open(struct queue *q, const char *spool, struct str hash_names,
    unsigned depth, const char **bad)
{
	struct str name;

	*q = (struct queue){ .root = open(spool, DIR_FLAGS & ~O_NOFOLLOW) };
	for (int d = 0; d < Q__MAX; d++)
		q->dir[d] = -1;
	*bad = spool;
	if (q->root < 0)
		return errno;
	for (int d = 0; d < Q__MAX; d++) {
		*bad = queue_dir_names[d];
		q->dir[d] = openat(q->root, *bad, DIR_FLAGS);
		if (q->dir[d] < 0 && errno != ENOENT && errno != EACCES)
			return errno;
	}
	while (str_token(&hash_names, ", \t\r\n", &name))
		for (int d = 0; d < Q__MAX; d++)
			if (str_eq(name, str_of(queue_dir_names[d])))
				q->hashed |= 1U << d;
	q->depth = depth < HASH_DEPTH_MAX ? depth : HASH_DEPTH_MAX;
	q->dir_sync = needs_dir_sync(q->root);
	*bad = NULL;
	return 0;
}

void
queue_close(struct queue *q)
{
	for (int d = 0; d < Q__MAX; d++)
		fd_close(&q->dir[d]);
	fd_close(&q->root);
}

static unsigned
depth_of(const struct queue *q, enum queue_dir dir)
{
	return q->hashed & 1U << dir ? q->depth : 0;
}

/* "A/1/A1B2C3" for depth 2. */
static void
place(const char *id, unsigned depth, char path[PATH_ROOM])
{
	char hash[HASH_DEPTH_MAX];
	char *p = path;

	queue_id_hash(id, hash);
	for (unsigned i = 0; i < depth; i++) {
		*p++ = hash[i];
		*p++ = '/';
	}
	memcpy(p, id, strlen(id) + 1);
}

/* Makes the directories that path stands in; each synced into its parent. */
static int
make_hash_dirs(int top, char *path)
{
	int parent = dup(top), child, err = 0;

	if (parent < 0)
		return errno;
	for (char *p = path; p[1] == '/' && err == 0; p += 2) {
		char name[2] = { p[0], '\0' };

		if (mkdirat(parent, name, 0700) == 0) {
			if (fsync(parent) != 0)
				err = errno;
		} else if (errno != EEXIST) {
			err = errno;
		}
		child = err ? -1 : openat(parent, name, DIR_FLAGS);
		if (child < 0 && err == 0)
			err = errno;
		close(parent);
		parent = child;
	}
	fd_close(&parent);
	return err;
}

/* A name that came from nowhere we know opens nothing. */
static bool
usable(const struct queue *q, enum queue_dir dir, const char *id)
{
	errno = ENOENT;
	return dir < Q__MAX && q->dir[dir] >= 0 &&
	    queue_id_valid(str_of(id));
}

/* The path below dir at which id stands; false: nowhere. */
static bool
locate(const struct queue *q, enum queue_dir dir, const char *id,
    char path[PATH_ROOM])
{
	struct stat st;

	if (!usable(q, dir, id))
		return false;
	place(id, depth_of(q, dir), path);
	if (fstatat(q->dir[dir], path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	for (unsigned d = 0; errno == ENOENT && d <= HASH_DEPTH_MAX; d++) {
		place(id, d, path);
		if (fstatat(q->dir[dir], path, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/*
 * Whose mtime lies ahead (its next attempt) would have its inode written anew
 * for each look at it, relatime or not. Only the owner may ask for less.
 */
static int
open_at(int dir, const char *path, int flags, mode_t mode)
{
	int fd;

	flags |= O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	fd = openat(dir, path, flags | O_NOATIME, mode);
	if (fd >= 0 || errno != EPERM)
		return fd;
	return openat(dir, path, flags, mode);
}

int
queue_open_file(const struct queue *q, enum queue_dir dir, const char *id,
    int flags, mode_t mode)
{
	char path[PATH_ROOM];
	int fd, err;

	if (!usable(q, dir, id))
		return -1;
	place(id, depth_of(q, dir), path);
	fd = open_at(q->dir[dir], path, flags, mode);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (!(flags & O_CREAT)) {
		if (!locate(q, dir, id, path))
			return -1;
		return open_at(q->dir[dir], path, flags, mode);
	}
	if ((err = make_hash_dirs(q->dir[dir], path)) != 0) {
		errno = err;
		return -1;
	}
	return open_at(q->dir[dir], path, flags, mode);
}

int
queue_stat(const struct queue *q, enum queue_dir dir, const char *id,
    struct stat *st)
{
	char path[PATH_ROOM];

	if (!usable(q, dir, id))
		return ENOENT;
	place(id, depth_of(q, dir), path);
	if (fstatat(q->dir[dir], path, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT || !locate(q, dir, id, path))
		return errno;
	return fstatat(q->dir[dir], path, st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 :
	    errno;
}

int
queue_move(const struct queue *q, const char *id, enum queue_dir from,
    enum queue_dir to)
{
	return queue_move_as(q, id, from, id, to);
}

int
queue_move_as(const struct queue *q, const char *name, enum queue_dir from,
    const char *id, enum queue_dir to)
{
	char old[PATH_ROOM], new[PATH_ROOM];
	int err;

	if (!usable(q, from, name) || !usable(q, to, id))
		return errno;
	place(name, depth_of(q, from), old);
	place(id, depth_of(q, to), new);
	for (int tries = 0;; tries++) {
		if (renameat2(q->dir[from], old, q->dir[to], new,
			RENAME_NOREPLACE) == 0)
			return 0;
		err = errno;
		if (err != ENOENT || tries > 0 || !locate(q, from, name, old))
			return err;
		if ((err = make_hash_dirs(q->dir[to], new)) != 0)
			return err;
	}
}

int
queue_rename(const struct queue *q, enum queue_dir dir, const char *id,
    const char *new_id)
{
	char old[PATH_ROOM], new[PATH_ROOM];

	if (!usable(q, dir, id) || !usable(q, dir, new_id))
		return errno;
	place(id, depth_of(q, dir), old);
	place(new_id, depth_of(q, dir), new);
	return renameat2(q->dir[dir], old, q->dir[dir], new,
	    RENAME_NOREPLACE) == 0 ? 0 : errno;
}

int
queue_remove(const struct queue *q, enum queue_dir dir, const char *id)
{
	char path[PATH_ROOM];

	if (!usable(q, dir, id))
		return errno;
	place(id, depth_of(q, dir), path);
	if (unlinkat(q->dir[dir], path, 0) == 0)
		return 0;
	if (errno != ENOENT || !locate(q, dir, id, path))
		return errno;
	return unlinkat(q->dir[dir], path, 0) == 0 ? 0 : errno;
}

enum queue_dir
queue_find(const struct queue *q, const char *id)
{
	char path[PATH_ROOM];

	/* Twice: it may move to a directory that was looked at already. */
	for (int tries = 0; tries < 2; tries++)
		for (int d = 0; d < Q__MAX; d++)
			if (locate(q, (enum queue_dir)d, id, path))
				return (enum queue_dir)d;
	return Q__MAX;
}

int
queue_sync_dir(const struct queue *q, enum queue_dir dir, const char *id)
{
	char path[PATH_ROOM];
	int fd, err = 0;

	place(id, depth_of(q, dir), path);
	path[2 * depth_of(q, dir)] = '\0';
	fd = openat(q->dir[dir], path[0] ? path : ".", DIR_FLAGS);
	if (fd < 0)
		return errno;
	if (fsync(fd) != 0)
		err = errno;
	close(fd);
	return err;
}

int
queue_tidy(const struct queue *q, enum queue_dir dir, const char *id)
{
	return queue_move(q, id, dir, dir);
}

/* Below parent, at that depth: what holds nothing and is not needed. */
static void
prune(int parent, unsigned depth, unsigned needed)
{
	static const char names[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz";

	for (const char *c = names; *c != '\0'; c++) {
		char name[2] = { *c, '\0' };
		int fd = openat(parent, name, DIR_FLAGS);

		if (fd < 0)
			continue;
		if (depth < HASH_DEPTH_MAX)
			prune(fd, depth + 1, needed);
		close(fd);
		if (depth >= needed)	/* fails where files are left */
			(void)unlinkat(parent, name, AT_REMOVEDIR);
	}
}

void
queue_prune(const struct queue *q, enum queue_dir dir)
{
	if (q->dir[dir] >= 0)
		prune(q->dir[dir], 0, depth_of(q, dir));
}
