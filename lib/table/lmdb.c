/*
 * lmdb - the indexed table type: hash:, btree: and lmdb: NAME is NAME.lmdb.
 *
 * Files are built anew and renamed (lmdb_make.c), never changed in place, so
 * they are read without locks. One that Postfix made is read as well, with
 * or without a NUL behind keys and values. Before LMDB sees a file its tree
 * is checked (lmdb_check.c): LMDB itself dies on damage.
 */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <sys/mman.h>

#include "sys/sys.h"
#include "table/internal.h"

#define LMDB_KEY_MAX	511	/* bytes; LMDB stores no longer one */

enum nul { NUL_UNKNOWN, NUL_NONE, NUL_BEHIND };

struct lmdb {
	MDB_env	*env;
	MDB_dbi	 dbi;
	enum nul nul;
};

static bool	  lmdb_open(struct table *, struct buf *why);
static void	  lmdb_close(struct table *);
static enum found lmdb_get(struct table *, struct str, struct buf *);
static enum found lmdb_each(struct table *, table_each_fn *, void *ctx);
static bool	  map_and_check(struct table *, int fd, struct buf *why);
static int	  open_env(struct lmdb *, struct table *, int fd);
static int	  look_up(struct lmdb *, MDB_txn *, struct str key,
		    struct buf *value);
static struct str text_of(const MDB_val *);

const struct table_ops lmdb_ops = {
	.suffix = ".lmdb", .open = lmdb_open, .close = lmdb_close,
	.get = lmdb_get, .each = lmdb_each,
};

static bool
lmdb_open(struct table *t, struct buf *why)
{
	int fd = table_file_open(t, why), err;
	struct lmdb *l;

	if (fd < 0)
		return false;
	if (!map_and_check(t, fd, why)) {
		fd_close(&fd);
		return false;
	}
	l = mem_new(sizeof(*l));
	err = open_env(l, t, fd);
	fd_close(&fd);
	t->state = l;
	if (err == 0)
		return true;
	buf_printf(why, "open database %s: %s", t->file.path,
	    mdb_strerror(err));
	lmdb_close(t);
	t->state = NULL;
	return false;
}

static void
lmdb_close(struct table *t)
{
	struct lmdb *l = t->state;

	if (l->env != NULL)
		mdb_env_close(l->env);
	mem_free(l);
}

static bool
map_and_check(struct table *t, int fd, struct buf *why)
{
	size_t size = (size_t)t->file.size;
	void *map;
	bool ok;

	map = size == 0 ? MAP_FAILED :
	    mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		buf_printf(why, "open database %s: %s", t->file.path,
		    size == 0 ? "empty file" : strerror(errno));
		return false;
	}
	buf_printf(why, "%s is damaged: ", t->file.path);
	ok = lmdb_check(map, size, why);
	munmap(map, size);
	if (ok)
		buf_clear(why);
	else
		buf_printf(why, " (run \"postmap %s\" to build it anew)",
		    t->spec);
	return ok;
}

/* Opens the very file that was checked, whatever stands there by now. */
static int
open_env(struct lmdb *l, struct table *t, int fd)
{
	unsigned flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS;
	char path[64];
	MDB_txn *txn;
	int err;

	err = mdb_env_create(&l->env);
	if (err != 0)
		return err;
	/* The file alone, not the size that its writer reserved. */
	err = mdb_env_set_mapsize(l->env, (size_t)t->file.size);
	if (err != 0)
		return err;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = mdb_env_open(l->env, path, flags, 0);
	if (err == ENOENT)	/* no /proc here */
		err = mdb_env_open(l->env, t->file.path, flags, 0);
	if (err == 0)
		err = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (err != 0)
		return err;
	err = mdb_dbi_open(txn, NULL, 0, &l->dbi);
	mdb_txn_abort(txn);
	return err;
}

static enum found
lmdb_get(struct table *t, struct str key, struct buf *value)
{
	struct lmdb *l = t->state;
	MDB_txn *txn;
	int err;

	if (key.n >= LMDB_KEY_MAX)
		return NONE;
	err = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (err == 0) {
		err = look_up(l, txn, key, value);
		mdb_txn_abort(txn);
	}
	if (err == 0)
		return FOUND;
	if (err == MDB_NOTFOUND)
		return NONE;
	buf_printf(&t->error, "error reading %s: %s", t->spec,
	    mdb_strerror(err));
	return RETRY;
}

/* As Postfix: the first hit shows whether a NUL stands behind the keys. */
static int
look_up(struct lmdb *l, MDB_txn *txn, struct str key, struct buf *value)
{
	char with_nul[LMDB_KEY_MAX + 1] = { 0 };
	MDB_val k, v;
	int err = MDB_NOTFOUND;

	memcpy(with_nul, key.p, key.n);
	k.mv_data = with_nul;
	if (l->nul != NUL_BEHIND) {
		k.mv_size = key.n;
		err = mdb_get(txn, l->dbi, &k, &v);
		if (err == 0)
			l->nul = NUL_NONE;
	}
	if (err == MDB_NOTFOUND && l->nul != NUL_NONE) {
		k.mv_size = key.n + 1;
		err = mdb_get(txn, l->dbi, &k, &v);
		if (err == 0)
			l->nul = NUL_BEHIND;
	}
	if (err == 0)
		buf_str(value, text_of(&v));
	return err;
}

static enum found
lmdb_each(struct table *t, table_each_fn *fn, void *ctx)
{
	struct lmdb *l = t->state;
	MDB_cursor *cursor = NULL;
	MDB_val k, v;
	MDB_txn *txn;
	int err;

	err = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (err == 0) {
		err = mdb_cursor_open(txn, l->dbi, &cursor);
		while (err == 0) {
			err = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
			if (err == 0 && !fn(ctx, text_of(&k), text_of(&v)))
				break;
		}
		if (cursor != NULL)
			mdb_cursor_close(cursor);
		mdb_txn_abort(txn);
	}
	if (err == 0 || err == MDB_NOTFOUND)
		return FOUND;
	buf_printf(&t->error, "error reading %s: %s", t->spec,
	    mdb_strerror(err));
	return RETRY;
}

static struct str
text_of(const MDB_val *v)
{
	return (struct str){ v->mv_data, strnlen(v->mv_data, v->mv_size) };
}
