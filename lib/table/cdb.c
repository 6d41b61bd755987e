/*
 * cdb - constant databases: cdb:NAME is NAME.cdb. libcdb lives here and in
 * cdb_make.c.
 *
 * The library checks each offset against the file's size, so that a damaged
 * file is an error and not a crash. As with LMDB, keys and values may have a
 * NUL behind them or not: the first hit shows which.
 */
#include <cdb.h>
#include <errno.h>

#include "sys/sys.h"
#include "table/internal.h"

#define CDB_HEAD	2048	/* bytes of a file's first table */

enum nul { NUL_UNKNOWN, NUL_NONE, NUL_BEHIND };
struct cdb_table {
	struct cdb cdb;
	int	   fd;
	enum nul   nul;
};

static bool	  cdb_open(struct table *, struct buf *why);
static void	  cdb_close(struct table *);
static enum found cdb_get_key(struct table *, struct str, struct buf *);
static enum found cdb_each(struct table *, table_each_fn *, void *ctx);
static int	  look_up(struct cdb_table *, struct str key, size_t more,
		    struct buf *value);
static enum found fault(struct table *);
static struct str text_of(const struct cdb *, unsigned at, unsigned n);

const struct table_ops cdb_ops = {
	.suffix = ".cdb", .open = cdb_open, .close = cdb_close,
	.get = cdb_get_key, .each = cdb_each,
};

static bool
cdb_open(struct table *t, struct buf *why)
{
	int fd = table_file_open(t, why);
	struct cdb_table *c;

	if (fd < 0)
		return false;
	c = mem_new(sizeof(*c));
	c->fd = fd;
	errno = EPROTO;
	if (t->file.size < CDB_HEAD || cdb_init(&c->cdb, fd) != 0) {
		buf_printf(why, "open database %s: %s", t->file.path,
		    errno == EPROTO ? "damaged (run postmap to build it anew)"
		    : strerror(errno));
		fd_close(&c->fd);
		mem_free(c);
		return false;
	}
	t->state = c;
	return true;
}

static void
cdb_close(struct table *t)
{
	struct cdb_table *c = t->state;

	cdb_free(&c->cdb);
	fd_close(&c->fd);
	mem_free(c);
}

static enum found
cdb_get_key(struct table *t, struct str key, struct buf *value)
{
	struct cdb_table *c = t->state;
	int found = 0;

	if (c->nul != NUL_BEHIND) {
		found = look_up(c, key, 0, value);
		if (found > 0)
			c->nul = NUL_NONE;
	}
	if (found == 0 && c->nul != NUL_NONE) {
		found = look_up(c, key, 1, value);
		if (found > 0)
			c->nul = NUL_BEHIND;
	}
	if (found < 0)
		return fault(t);
	return found > 0 ? FOUND : NONE;
}

/* 1: it is there; 0: it is not; -1: the file is bad. more: bytes of NUL. */
static int
look_up(struct cdb_table *c, struct str key, size_t more, struct buf *value)
{
	struct buf k;
	int found;

	buf_init(&k, key.n + 1);
	buf_str(&k, key);
	(void)buf_cstr(&k);
	found = cdb_find(&c->cdb, k.p, (unsigned)(key.n + more));
	buf_free(&k);
	if (found > 0) {
		struct str v = text_of(&c->cdb, cdb_datapos(&c->cdb),
		    cdb_datalen(&c->cdb));

		if (v.p == NULL)
			return -1;
		buf_str(value, v);
	}
	return found;
}

static enum found
cdb_each(struct table *t, table_each_fn *fn, void *ctx)
{
	struct cdb_table *c = t->state;
	unsigned at;
	int more;

	cdb_seqinit(&at, &c->cdb);
	while ((more = cdb_seqnext(&at, &c->cdb)) > 0) {
		struct str key = text_of(&c->cdb, cdb_keypos(&c->cdb),
		    cdb_keylen(&c->cdb));
		struct str value = text_of(&c->cdb, cdb_datapos(&c->cdb),
		    cdb_datalen(&c->cdb));

		if (key.p == NULL || value.p == NULL)
			return fault(t);
		if (!fn(ctx, key, value))
			break;
	}
	return more < 0 ? fault(t) : FOUND;
}

static enum found
fault(struct table *t)
{
	buf_printf(&t->error, "error reading %s: %s is damaged (run postmap "
	    "to build it anew)", t->spec, t->file.path);
	return RETRY;
}

static struct str
text_of(const struct cdb *c, unsigned at, unsigned n)
{
	const void *p = cdb_get(c, n, at);

	return p == NULL ? (struct str){ NULL, 0 } :
	    (struct str){ p, strnlen(p, n) };
}
