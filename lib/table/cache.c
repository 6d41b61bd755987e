/*
 * cache - an LMDB file that one process writes. cache.h tells how.
 */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/cache.h"

#define MAP_SIZE	((size_t)4 << 30)	/* bytes: the most it grows to */
#define COPY_BATCH	10000			/* entries in one commit */

struct table_cache {
	MDB_env	*env;
	MDB_dbi	 dbi;
	char	*path;			/* for people */
};
struct copying {
	struct table_cache *to;
	table_keep_fn	*keep;
	void		*ctx;
	MDB_txn		*txn;
	size_t		 n;
	int		 err;
};

static bool	open_env(struct table_cache *, const char *path,
		    struct buf *why);
static void	copy_old(struct table_cache *, const char *spec,
		    table_keep_fn *, void *ctx);
static bool	complain(const struct table_cache *, const char *what,
		    int err);

static MDB_val
val(struct str s)
{
	union { const char *c; void *v; } u = { .c = s.p };

	return (MDB_val){ s.n, u.v };
}

static struct str
text(const MDB_val *v)
{
	return (struct str){ v->mv_data, v->mv_size };
}

/* The path of "type:path", with .lmdb; false: no type that can be written. */
static bool
path_of(struct str spec, char *path, size_t size, struct buf *why)
{
	static const char *const types[] = { "btree:", "hash:", "lmdb:" };

	for (size_t i = 0; i < nitems(types); i++) {
		struct str type = str_of(types[i]);

		if (!str_starts(spec, type))
			continue;
		spec = str_from(spec, type.n);
		if (spec.n == 0 || spec.p[0] != '/' ||
		    spec.n + 20 > size)
			break;
		snprintf(path, size, STRF ".lmdb", STRV(spec));
		return true;
	}
	buf_printf(why, STRF ": give btree:, hash: or lmdb: and an absolute "
	    "path, or nothing", STRV(spec));
	return false;
}

struct table_cache *
table_cache_open(struct str spec, table_keep_fn *keep, void *ctx,
    struct buf *why)
{
	struct table_cache *c = mem_new(sizeof(*c));
	char path[4096] = "/dev/shm/postern-cache", own[4200], old[4200];
	bool named = spec.n > 0;

	if (named && !path_of(spec, path, sizeof(path), why)) {
		mem_free(c);
		return NULL;
	}
	c->path = mem_strdup(path);
	snprintf(own, sizeof(own), "%s.%ld", path, (long)getpid());
	(void)unlink(own);
	if (!open_env(c, own, why)) {
		table_cache_free(&c);
		(void)unlink(own);
		return NULL;
	}
	if (!named) {
		(void)unlink(own);
		return c;
	}
	snprintf(old, sizeof(old), "lmdb:%.*s", (int)(strlen(path) -
	    strlen(".lmdb")), path);
	if (access(path, F_OK) == 0)
		copy_old(c, old, keep, ctx);
	if (mdb_env_sync(c->env, 1) != 0 || rename(own, path) != 0) {
		buf_printf(why, "%s: %s", path, strerror(errno));
		(void)unlink(own);
		table_cache_free(&c);
	}
	return c;
}

static bool
open_env(struct table_cache *c, const char *path, struct buf *why)
{
	MDB_txn *txn = NULL;
	int err = mdb_env_create(&c->env);

	if (err == 0)
		err = mdb_env_set_mapsize(c->env, MAP_SIZE);
	if (err == 0)
		err = mdb_env_open(c->env, path, MDB_NOSUBDIR | MDB_NOLOCK |
		    MDB_NOSYNC, 0600);
	if (err == 0)
		err = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (err == 0) {
		err = mdb_dbi_open(txn, NULL, 0, &c->dbi);
		if (err == 0)
			err = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
	}
	if (err != 0)
		buf_printf(why, "%s: %s", path, mdb_strerror(err));
	return err == 0;
}

void
table_cache_free(struct table_cache **cp)
{
	struct table_cache *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (c->env != NULL)
		mdb_env_close(c->env);
	mem_free(c->path);
	mem_free(c);
}

/* --- what there was --- */

static bool
copy_entry(void *ctx, struct str key, struct str value)
{
	struct copying *copy = ctx;
	MDB_val k = val(key), v = val(value);

	if (key.n == 0 || key.n > TABLE_CACHE_KEY_MAX ||
	    !copy->keep(copy->ctx, key, value))
		return true;
	if (copy->txn == NULL)
		copy->err = mdb_txn_begin(copy->to->env, NULL, 0, &copy->txn);
	if (copy->err == 0)
		copy->err = mdb_put(copy->txn, copy->to->dbi, &k, &v, 0);
	if (copy->err == 0 && ++copy->n % COPY_BATCH == 0) {
		copy->err = mdb_txn_commit(copy->txn);
		copy->txn = NULL;
	}
	return copy->err == 0;
}

/* A file that can't be read is no reason to stop: it was a cache. */
static void
copy_old(struct table_cache *c, const char *spec, table_keep_fn *keep,
    void *ctx)
{
	struct copying copy = { .to = c, .keep = keep, .ctx = ctx };
	struct table *old;
	struct buf why;

	buf_init(&why, 4096);
	old = table_open(str_of(spec), NULL, 0, &why);
	if (old == NULL || table_each(old, copy_entry, &copy) != FOUND)
		log_warn("%s: a new one is begun: %s", c->path, why.n > 0 ?
		    buf_cstr(&why) : old != NULL ? table_error(old) : "");
	if (copy.txn != NULL && copy.err == 0)
		copy.err = mdb_txn_commit(copy.txn);
	else if (copy.txn != NULL)
		mdb_txn_abort(copy.txn);
	if (copy.err != 0)
		(void)complain(c, "copy", copy.err);
	table_free(&old);
	buf_free(&why);
}

/* --- use --- */

static bool
complain(const struct table_cache *c, const char *what, int err)
{
	log_warn("%s: %s: %s", c->path, what, mdb_strerror(err));
	return false;
}

enum found
table_cache_get(struct table_cache *c, struct str key, struct buf *value)
{
	MDB_val k = val(key), v;
	MDB_txn *txn;
	int err;

	buf_clear(value);
	if (key.n == 0 || key.n > TABLE_CACHE_KEY_MAX)
		return NONE;
	err = mdb_txn_begin(c->env, NULL, MDB_RDONLY, &txn);
	if (err == 0) {
		err = mdb_get(txn, c->dbi, &k, &v);
		if (err == 0)
			buf_str(value, text(&v));
		mdb_txn_abort(txn);
	}
	if (err == MDB_NOTFOUND)
		return NONE;
	if (err != 0)
		(void)complain(c, "read", err);
	return err == 0 ? FOUND : RETRY;
}

bool
table_cache_put(struct table_cache *c, struct str key, struct str value)
{
	MDB_val k = val(key), v = val(value);
	MDB_txn *txn;
	int err;

	if (key.n == 0 || key.n > TABLE_CACHE_KEY_MAX)
		return false;
	err = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (err != 0)
		return complain(c, "write", err);
	err = mdb_put(txn, c->dbi, &k, &v, 0);
	if (err == 0)
		err = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	return err == 0 || complain(c, "write", err);
}

bool
table_cache_remove(struct table_cache *c, struct str key)
{
	MDB_val k = val(key);
	MDB_txn *txn;
	int err;

	if (key.n == 0 || key.n > TABLE_CACHE_KEY_MAX)
		return false;
	err = mdb_txn_begin(c->env, NULL, 0, &txn);
	if (err != 0)
		return complain(c, "write", err);
	err = mdb_del(txn, c->dbi, &k, NULL);
	if (err == 0)
		err = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	return err == 0 || err == MDB_NOTFOUND || complain(c, "write", err);
}

void
table_cache_sweep(struct table_cache *c, table_keep_fn *keep, void *ctx,
    size_t *kept, size_t *dropped)
{
	MDB_cursor *cursor = NULL;
	MDB_txn *txn;
	MDB_val k, v;
	int err = mdb_txn_begin(c->env, NULL, 0, &txn);

	*kept = *dropped = 0;
	if (err != 0) {
		(void)complain(c, "sweep", err);
		return;
	}
	err = mdb_cursor_open(txn, c->dbi, &cursor);
	while (err == 0 &&
	    (err = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
		if (keep(ctx, text(&k), text(&v)))
			++*kept;
		else if ((err = mdb_cursor_del(cursor, 0)) == 0)
			++*dropped;
	}
	if (cursor != NULL)
		mdb_cursor_close(cursor);
	if (err == MDB_NOTFOUND)
		err = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	if (err != 0)
		(void)complain(c, "sweep", err);
}

int
table_cache_sync(void *cache)
{
	struct table_cache *c = cache;

	return mdb_env_sync(c->env, 1);
}
