/*
 * lmdb_make - builds NAME.lmdb: written beside, synced, renamed.
 *
 * Readers see the old table or the new, never half of one; a crash leaves
 * the old. Runs in postmap and postalias.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/internal.h"

/* Address space to grow in, first what is asked for and less if refused. */
#define MAP_MOST	((size_t)1 << 36)
#define MAP_LEAST	((size_t)1 << 26)
/*
 * Bytes put between two commits into the file beside: keeps LMDB from
 * spilling dirty pages, where Debian 12's 0.9.24 has known faults.
 */
#define BATCH		((size_t)128 << 20)

struct table_maker {
	char	*spec, *path, *beside;
	MDB_env	*env;
	MDB_txn	*txn;
	MDB_dbi	 dbi;
	size_t	 uncommitted;	/* bytes */
	bool	 failed;
};

static int	begin(struct table_maker *, mode_t mode);
static int	open_env(struct table_maker *, size_t map, mode_t mode);
static int	put(struct table_maker *, struct str key, struct str value,
		    unsigned flags);
static int	sync_folder(const char *path);

struct table_maker *
table_make(struct str spec, mode_t mode, struct buf *why)
{
	const struct table_type *type;
	struct table_maker *m;
	struct str type_name, name;
	struct buf path;
	int err;

	if (str_starts(spec, STR("proxy:"))) {
		buf_puts(why, "can't create maps via the proxy service");
		return NULL;
	}
	if (!table_spec_split(spec, &type_name, &name) ||
	    (type = table_type_find(type_name)) == NULL) {
		buf_printf(why, "unsupported dictionary type: " STRF,
		    STRV(type_name));
		return NULL;
	}
	if ((type->traits & CAN_MAKE) == 0) {
		buf_printf(why, "unsupported map type for this operation: "
		    STRF, STRV(type_name));
		return NULL;
	}
	m = mem_new(sizeof(*m));
	buf_init(&path, 8192);
	buf_str(&path, spec);
	m->spec = mem_strdup(buf_cstr(&path));
	buf_clear(&path);
	buf_printf(&path, STRF "%s", STRV(name), type->ops->suffix);
	m->path = mem_strdup(buf_cstr(&path));
	buf_printf(&path, ".new.%ld", (long)getpid());
	m->beside = mem_strdup(buf_cstr(&path));
	buf_free(&path);
	err = begin(m, mode);
	if (err == 0)
		return m;
	buf_printf(why, "open database %s: %s", m->path, mdb_strerror(err));
	table_abandon(&m);
	return NULL;
}

static int
begin(struct table_maker *m, mode_t mode)
{
	int err = ENOMEM, fd;

	/* Ours alone: never through a link that somebody else put there. */
	unlink(m->beside);
	fd = open(m->beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	if (fchmod(fd, mode) != 0)
		err = errno;
	fd_close(&fd);
	for (size_t map = MAP_MOST; err == ENOMEM && map >= MAP_LEAST;
	    map /= 4)
		err = open_env(m, map, mode);
	if (err == 0)
		err = mdb_txn_begin(m->env, NULL, 0, &m->txn);
	if (err == 0)
		err = mdb_dbi_open(m->txn, NULL, 0, &m->dbi);
	return err;
}

static int
open_env(struct table_maker *m, size_t map, mode_t mode)
{
	int err;

	err = mdb_env_create(&m->env);
	if (err == 0)
		err = mdb_env_set_mapsize(m->env, map);
	if (err == 0)
		err = mdb_env_open(m->env, m->beside, MDB_NOSUBDIR |
		    MDB_NOLOCK | MDB_NOSYNC, mode);
	if (err != 0 && m->env != NULL) {
		mdb_env_close(m->env);
		m->env = NULL;
	}
	return err;
}

bool
table_put(struct table_maker *m, struct str key, struct str value,
    bool *was_there, struct buf *why)
{
	int err = put(m, key, value, MDB_NOOVERWRITE);

	*was_there = err == MDB_KEYEXIST;
	if (err == 0 || err == MDB_KEYEXIST)
		return true;
	m->failed = true;
	buf_printf(why, "error updating %s: %s", m->spec, mdb_strerror(err));
	return false;
}

bool
table_replace(struct table_maker *m, struct str key, struct str value,
    struct buf *why)
{
	int err = put(m, key, value, 0);

	if (err == 0)
		return true;
	m->failed = true;
	buf_printf(why, "error updating %s: %s", m->spec, mdb_strerror(err));
	return false;
}

bool
table_remove(struct table_maker *m, struct str key, bool *was_there,
    struct buf *why)
{
	union { const char *c; void *v; } u = { .c = key.p };
	MDB_val k = { key.n, u.v };
	int err = mdb_del(m->txn, m->dbi, &k, NULL);

	*was_there = err == 0;
	if (err == 0 || err == MDB_NOTFOUND)
		return true;
	m->failed = true;
	buf_printf(why, "error deleting from %s: %s", m->spec,
	    mdb_strerror(err));
	return false;
}

static int
put(struct table_maker *m, struct str key, struct str value, unsigned flags)
{
	union { const char *c; void *v; } uk = { .c = key.p },
	    uv = { .c = value.p };
	MDB_val k = { key.n, uk.v }, v = { value.n, uv.v };
	int err = mdb_put(m->txn, m->dbi, &k, &v, flags);

	m->uncommitted += key.n + value.n;
	if (err != 0 || m->uncommitted < BATCH)
		return err;
	m->uncommitted = 0;
	err = mdb_txn_commit(m->txn);
	m->txn = NULL;
	if (err == 0)
		err = mdb_txn_begin(m->env, NULL, 0, &m->txn);
	return err;
}

bool
table_finish(struct table_maker **mp, struct buf *why)
{
	struct table_maker *m = *mp;
	int err;

	if (m->failed) {
		table_abandon(mp);
		buf_puts(why, "the table is not complete");
		return false;
	}
	err = mdb_txn_commit(m->txn);
	m->txn = NULL;
	if (err == 0)
		err = mdb_env_sync(m->env, 1);
	if (err == 0 && rename(m->beside, m->path) != 0)
		err = errno;
	if (err == 0)
		err = sync_folder(m->path);
	if (err != 0)
		buf_printf(why, "error updating %s: %s", m->spec,
		    mdb_strerror(err));
	table_abandon(mp);
	return err == 0;
}

void
table_abandon(struct table_maker **mp)
{
	struct table_maker *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	if (m->txn != NULL)
		mdb_txn_abort(m->txn);
	if (m->env != NULL)
		mdb_env_close(m->env);
	unlink(m->beside);	/* after a rename it is gone: ENOENT */
	mem_free(m->spec);
	mem_free(m->path);
	mem_free(m->beside);
	mem_free(m);
}

static int
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int fd, err = 0;

	if (slash == NULL)
		folder = mem_strdup(".");
	else {
		size_t n = (size_t)(slash - path) + 1;

		folder = mem_new(n + 1);
		memcpy(folder, path, n);
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mem_free(folder);
	if (fd < 0)
		return errno;
	if (fsync(fd) != 0)
		err = errno;
	fd_close(&fd);
	return err;
}
