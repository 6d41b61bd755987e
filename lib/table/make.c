/*
 * make - builds the file of a table: written beside, synced, renamed.
 *
 * Readers see the old table or the new, never half of one; a crash leaves
 * the old. What is in the file is the type's (lmdb_make.c, cdb_make.c). Runs
 * in postmap and postalias.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/make.h"

static int	sync_folder(const char *path);
static void	name_files(struct table_maker *, struct str spec,
		    struct str name, const char *suffix);

static const struct maker_ops *
ops_of(const struct table_type *type)
{
	return type->ops == &cdb_ops ? &cdb_maker : &lmdb_maker;
}

/* NULL with *why: no type that can be built. */
static const struct table_type *
find_type(struct str spec, struct str *name, struct buf *why)
{
	const struct table_type *type;
	struct str word;

	if (str_starts(spec, STR("proxy:"))) {
		buf_puts(why, "can't create maps via the proxy service");
		return NULL;
	}
	if (!table_spec_split(spec, &word, name) ||
	    (type = table_type_find(word)) == NULL) {
		buf_printf(why, "unsupported dictionary type: " STRF,
		    STRV(word));
		return NULL;
	}
	if ((type->traits & CAN_MAKE) != 0)
		return type;
	buf_printf(why, "unsupported map type for this operation: " STRF,
	    STRV(word));
	return NULL;
}

const char *
table_suffix(struct str spec)
{
	const struct table_type *type;
	struct str word, name;

	if (!table_spec_split(spec, &word, &name) ||
	    (type = table_type_find(word)) == NULL)
		return "";
	return type->ops->suffix;
}

struct table_maker *
table_make(struct str spec, mode_t mode, struct buf *why)
{
	struct str name;
	const struct table_type *type = find_type(spec, &name, why);
	struct table_maker *m;
	struct stat old;
	int err = 0, fd;

	if (type == NULL)
		return NULL;
	m = mem_new(sizeof(*m));
	m->ops = ops_of(type);
	name_files(m, spec, name, type->ops->suffix);
	/* Ours alone: never through a link that somebody else put there. */
	unlink(m->beside);
	fd = open(m->beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	/* Root's new file stays whose the old one was. */
	if (fd < 0 || (stat(m->path, &old) == 0 && geteuid() == 0 &&
	    fchown(fd, old.st_uid, old.st_gid) != 0) || fchmod(fd, mode) != 0)
		err = errno;
	if (err == 0)
		err = m->ops->begin(m, &fd, mode);
	fd_close(&fd);
	if (err == 0)
		return m;
	buf_printf(why, "open database %s: %s", m->path,
	    m->ops->error(err));
	table_abandon(&m);
	return NULL;
}

static void
name_files(struct table_maker *m, struct str spec, struct str name,
    const char *suffix)
{
	struct buf path;

	buf_init(&path, 8192);
	buf_str(&path, spec);
	m->spec = mem_strdup(buf_cstr(&path));
	buf_clear(&path);
	buf_printf(&path, STRF "%s", STRV(name), suffix);
	m->path = mem_strdup(buf_cstr(&path));
	buf_printf(&path, ".new.%ld", (long)getpid());
	m->beside = mem_strdup(buf_cstr(&path));
	buf_free(&path);
}

static bool
changed(struct table_maker *m, int err, const char *what, struct buf *why)
{
	if (err == 0)
		return true;
	m->failed = true;
	buf_printf(why, "error %s %s: %s", what, m->spec, m->ops->error(err));
	return false;
}

bool
table_put(struct table_maker *m, struct str key, struct str value,
    bool *was_there, struct buf *why)
{
	*was_there = false;
	return changed(m, m->ops->put(m, key, value, was_there), "updating",
	    why);
}

bool
table_replace(struct table_maker *m, struct str key, struct str value,
    struct buf *why)
{
	return changed(m, m->ops->put(m, key, value, NULL), "updating", why);
}

bool
table_remove(struct table_maker *m, struct str key, bool *was_there,
    struct buf *why)
{
	*was_there = false;
	return changed(m, m->ops->remove(m, key, was_there), "deleting from",
	    why);
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
	err = m->ops->finish(m);
	if (err == 0 && rename(m->beside, m->path) != 0)
		err = errno;
	if (err == 0)
		err = sync_folder(m->path);
	if (err != 0)
		buf_printf(why, "error updating %s: %s", m->spec,
		    m->ops->error(err));
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
	m->ops->end(m);
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
