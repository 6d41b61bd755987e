/*
 * cdb_make - what make.c needs to build NAME.cdb.
 */
#include <cdb.h>
#include <errno.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/make.h"

struct making {
	struct cdb_make cdb;
	int		fd;
	bool		open;		/* cdb has memory */
};

/* libcdb sets errno, mostly. */
static int
why(void)
{
	return errno != 0 ? errno : EIO;
}

static int
begin(struct table_maker *m, int *fd, mode_t mode)
{
	struct making *c = mem_new(sizeof(*c));

	(void)mode;
	m->state = c;
	c->fd = *fd;
	*fd = -1;
	errno = 0;
	if (cdb_make_start(&c->cdb, c->fd) != 0)
		return why();
	c->open = true;
	return 0;
}

static int
put(struct table_maker *m, struct str key, struct str value, bool *was_there)
{
	struct making *c = m->state;
	int put;

	errno = 0;
	put = cdb_make_put(&c->cdb, key.p, (unsigned)key.n, value.p,
	    (unsigned)value.n, was_there != NULL ? CDB_PUT_INSERT :
	    CDB_PUT_REPLACE);
	if (put < 0)
		return why();
	if (was_there != NULL)
		*was_there = put > 0;
	return 0;
}

static int
remove_key(struct table_maker *m, struct str key, bool *was_there)
{
	struct making *c = m->state;
	int found;

	errno = 0;
	found = cdb_make_find(&c->cdb, key.p, (unsigned)key.n,
	    CDB_FIND_REMOVE);
	*was_there = found > 0;
	return found < 0 ? why() : 0;
}

static int
finish(struct table_maker *m)
{
	struct making *c = m->state;

	errno = 0;
	c->open = false;
	if (cdb_make_finish(&c->cdb) != 0 || fsync(c->fd) != 0)
		return why();
	return 0;
}

static void
end(struct table_maker *m)
{
	struct making *c = m->state;

	if (c == NULL)
		return;
	/* The library frees its memory only when it finishes. */
	if (c->open)
		(void)!cdb_make_finish(&c->cdb);
	fd_close(&c->fd);
	mem_free(c);
	m->state = NULL;
}

static const char *
error(int err)
{
	return strerror(err);
}

const struct maker_ops cdb_maker = { begin, put, remove_key, finish, end,
	error };
