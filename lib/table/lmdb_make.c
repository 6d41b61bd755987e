/*
 * lmdb_make - what make.c needs to build NAME.lmdb.
 */
#include <errno.h>
#include <lmdb.h>

#include "sys/sys.h"
#include "table/make.h"

/* Address space to grow in, first what is asked for and less if refused. */
#define MAP_MOST	((size_t)1 << 36)
#define MAP_LEAST	((size_t)1 << 26)
/*
 * Bytes put between two commits into the file beside: keeps LMDB from
 * spilling dirty pages, where Debian 12's 0.9.24 has known faults.
 */
#define BATCH		((size_t)128 << 20)

struct making {
	MDB_env	*env;
	MDB_txn	*txn;
	MDB_dbi	 dbi;
	size_t	 uncommitted;	/* bytes */
};

static int
open_env(struct making *l, const char *path, size_t map, mode_t mode)
{
	int err;

	err = mdb_env_create(&l->env);
	if (err == 0)
		err = mdb_env_set_mapsize(l->env, map);
	if (err == 0)
		err = mdb_env_open(l->env, path, MDB_NOSUBDIR | MDB_NOLOCK |
		    MDB_NOSYNC, mode);
	if (err != 0 && l->env != NULL) {
		mdb_env_close(l->env);
		l->env = NULL;
	}
	return err;
}

static int
begin(struct table_maker *m, int *fd, mode_t mode)
{
	struct making *l = mem_new(sizeof(*l));
	int err = ENOMEM;

	m->state = l;
	fd_close(fd);
	for (size_t map = MAP_MOST; err == ENOMEM && map >= MAP_LEAST;
	    map /= 4)
		err = open_env(l, m->beside, map, mode);
	if (err == 0)
		err = mdb_txn_begin(l->env, NULL, 0, &l->txn);
	if (err == 0)
		err = mdb_dbi_open(l->txn, NULL, 0, &l->dbi);
	return err;
}

static int
put(struct table_maker *m, struct str key, struct str value, bool *was_there)
{
	struct making *l = m->state;
	union { const char *c; void *v; } uk = { .c = key.p },
	    uv = { .c = value.p };
	MDB_val k = { key.n, uk.v }, v = { value.n, uv.v };
	int err = mdb_put(l->txn, l->dbi, &k, &v,
	    was_there != NULL ? MDB_NOOVERWRITE : 0);

	if (err == MDB_KEYEXIST && was_there != NULL) {
		*was_there = true;
		return 0;
	}
	l->uncommitted += key.n + value.n;
	if (err != 0 || l->uncommitted < BATCH)
		return err;
	l->uncommitted = 0;
	err = mdb_txn_commit(l->txn);
	l->txn = NULL;
	if (err == 0)
		err = mdb_txn_begin(l->env, NULL, 0, &l->txn);
	return err;
}

static int
remove_key(struct table_maker *m, struct str key, bool *was_there)
{
	struct making *l = m->state;
	union { const char *c; void *v; } u = { .c = key.p };
	MDB_val k = { key.n, u.v };
	int err = mdb_del(l->txn, l->dbi, &k, NULL);

	*was_there = err == 0;
	return err == MDB_NOTFOUND ? 0 : err;
}

static int
finish(struct table_maker *m)
{
	struct making *l = m->state;
	int err = mdb_txn_commit(l->txn);

	l->txn = NULL;
	return err == 0 ? mdb_env_sync(l->env, 1) : err;
}

static void
end(struct table_maker *m)
{
	struct making *l = m->state;

	if (l == NULL)
		return;
	if (l->txn != NULL)
		mdb_txn_abort(l->txn);
	if (l->env != NULL)
		mdb_env_close(l->env);
	mem_free(l);
	m->state = NULL;
}

static const char *
error(int err)
{
	return mdb_strerror(err);
}

const struct maker_ops lmdb_maker = { begin, put, remove_key, finish, end,
	error };
