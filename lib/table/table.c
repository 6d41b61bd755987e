/*
 * table - what all lookup tables share: types, prefixes, folding, files.
 *
 * A table that has a file looks once a second whether another stands in its
 * place and opens that. The directory is held open, so that a process which
 * gave up its privileges can still find the file below directories that it
 * may no longer search.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/internal.h"

#define LOOK_AGAIN_MS	1000	/* between two stat calls of one table */
#define LOOK_NONE_MS	1	/* the same, before a "no such key" */
#define ERROR_MAX	32768	/* bytes of a table's last error */
#define KEY_MAX		8192	/* bytes of a whole key; no longer one is found */
#define LOOK_THROUGH_MAX 10000	/* keys of which we ask whether they have an @ */

#define TABLE_TYPE(name, ops, traits) { #name, &ops, traits },
static const struct table_type types[] = {
#include "table/types.def"
};
#undef TABLE_TYPE
#define TABLE_TYPE(name, ops, traits) #name,
static const char *const type_names[] = {
#include "table/types.def"
};
#undef TABLE_TYPE

static struct table *open_at(struct str spec, const char *conf_dir,
		    unsigned flags, unsigned depth, struct buf *why);
static bool	  start(struct table *, struct buf *why);
static void	  stop(struct table *);
static bool	  is_ready(struct table *);
static bool	  file_changed(struct table *);
static bool	  was_replaced(struct table *);
static void	  file_init(struct table *, const char *conf_dir);
static enum found fault(struct table *, const char *text);
static void	  say_unknown(struct str type, struct buf *out);

/* Types of Postfix that can block, or that need a server: not yet. */
static const char *const not_yet[] = {
	"dbm", "ldap", "memcache", "mongodb", "mysql", "netinfo", "nis",
	"nisplus", "pgsql", "redis", "sdbm", "socketmap", "sqlite", "tcp",
};

const struct table_type *
table_type_find(struct str name)
{
	for (size_t i = 0; i < nitems(types); i++) {
		if (str_eq(name, str_of(types[i].name)))
			return &types[i];
	}
	return NULL;
}

const char *const *
table_types(size_t *n)
{
	*n = nitems(type_names);
	return type_names;
}

bool
table_spec_split(struct str spec, struct str *type, struct str *name)
{
	size_t colon;

	while (str_starts(spec, STR("proxy:")))
		spec = str_from(spec, strlen("proxy:"));
	colon = str_chr(spec, ':');
	*type = str_first(spec, colon);
	*name = str_from(spec, colon + 1);
	return colon < spec.n && colon > 0;
}

struct table *
table_open_lazy(struct str spec, const char *conf_dir, unsigned flags,
    struct buf *why)
{
	return open_at(spec, conf_dir, flags, 0, why);
}

struct table *
table_open_in(const struct table *outer, struct str spec, struct buf *why)
{
	struct table *t;

	if (outer->depth >= TABLE_DEPTH_MAX) {
		buf_printf(why, "%.200s: tables are nested too deeply",
		    outer->spec);
		return NULL;
	}
	t = open_at(spec, outer->conf_dir, outer->flags, outer->depth + 1,
	    why);
	if (!t->is_open)
		table_free(&t);
	return t;
}

static struct table *
open_at(struct str spec, const char *conf_dir, unsigned flags, unsigned depth,
    struct buf *why)
{
	struct table *t = mem_new(sizeof(*t));
	struct str type;

	t->spec = mem_copy(spec);
	t->flags = flags;
	t->depth = depth;
	t->file.dir = -1;
	buf_init(&t->error, ERROR_MAX);
	buf_init(&t->folded, KEY_MAX * TABLE_FOLD_GROWTH);
	if (!table_spec_split(str_of(t->spec), &type, &t->name))
		buf_printf(&t->error, TABLE_NO_NAME, t->spec);
	else if ((t->type = table_type_find(type)) == NULL)
		say_unknown(type, &t->error);
	else if ((flags & TABLE_NO_PROXY) != 0 &&
	    str_starts(spec, STR("proxy:")))
		buf_printf(&t->error, "%.200s: the proxy prefix is not allowed "
		    "here", t->spec);
	if (t->error.n > 0) {
		t->type = NULL;
		buf_str(why, buf_view(&t->error));
		return t;
	}
	t->traits = t->type->traits;
	if ((t->traits & IN_BRACES) != 0 && t->name.n > 0 &&
	    t->name.p[0] == '{')
		t->traits &= ~(unsigned)HAS_FILE;
	t->conf_dir = conf_dir == NULL ? NULL : mem_strdup(conf_dir);
	if ((t->traits & HAS_FILE) != 0)
		file_init(t, conf_dir);
	if (!start(t, &t->error))
		buf_str(why, buf_view(&t->error));
	if ((flags & TABLE_FIXED) != 0 && t->is_open)
		t->traits &= ~(unsigned)HAS_FILE;
	return t;
}

struct table *
table_open(struct str spec, const char *conf_dir, unsigned flags,
    struct buf *why)
{
	struct table *t = table_open_lazy(spec, conf_dir, flags, why);

	if (!t->is_open)
		table_free(&t);
	return t;
}

void
table_free(struct table **tp)
{
	struct table *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	stop(t);
	fd_close(&t->file.dir);
	mem_free(t->file.path);
	mem_free(t->conf_dir);
	buf_free(&t->error);
	buf_free(&t->folded);
	mem_free(t->spec);
	mem_free(t);
}

enum found
table_get(struct table *t, struct str key, struct buf *value)
{
	enum found found;

	buf_clear(value);
	if (!is_ready(t))
		return RETRY;
	if (key.n == 0 || (key.n > KEY_MAX && (t->traits & WHOLE_KEYS) != 0))
		return NONE;
	if ((t->flags & TABLE_FOLD) != 0 && (t->traits & WHOLE_KEYS) != 0) {
		buf_clear(&t->folded);
		table_fold(key, &t->folded);
		key = buf_view(&t->folded);
	}
	buf_clear(&t->error);
	found = t->type->ops->get(t, key, value);
	if (found == NONE && was_replaced(t)) {
		if (!is_ready(t))
			return RETRY;
		found = t->type->ops->get(t, key, value);
	}
	if (found == FOUND && value->full)
		found = fault(t, "an answer is too long");
	if (found != FOUND)
		buf_clear(value);
	return found;
}

enum found
table_each(struct table *t, table_each_fn *fn, void *ctx)
{
	if (!is_ready(t))
		return RETRY;
	if (t->type->ops->each == NULL)
		return NONE;
	return t->type->ops->each(t, fn, ctx);
}

struct look { size_t n; bool user; };

static bool
look_for_user(void *ctx, struct str key, struct str value)
{
	struct look *l = ctx;

	(void)value;
	l->user = ++l->n > LOOK_THROUGH_MAX || str_chr(key, '@') < key.n;
	return !l->user;
}

bool
table_has_users(struct table *t)
{
	struct look l = { .user = false };

	if (!is_ready(t))
		return true;
	if (t->users == NOT_LOOKED)
		t->users = table_each(t, look_for_user, &l) == FOUND &&
		    !l.user ? NO_USERS : HAS_USERS;
	return t->users == HAS_USERS;
}

const char *
table_spec(const struct table *t)
{
	return t->spec;
}

const char *
table_error(const struct table *t)
{
	/* The NUL is added behind the end, the content does not change. */
	union { const struct table *c; struct table *t; } u = { .c = t };

	return buf_cstr(&u.t->error);
}

/*
 * The file itself.
 */
/* A list of patterns is no database. */
static const char *
open_word(const struct table *t)
{
	return (t->traits & IN_BRACES) != 0 ? "open" : "open database";
}

int
table_file_open(struct table *t, struct buf *why)
{
	struct table_file *f = &t->file;
	struct stat st;
	int fd;

	fd = openat(f->dir < 0 ? AT_FDCWD : f->dir,
	    f->dir < 0 ? f->path : f->base,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT &&
	    (t->traits & CAN_MAKE) != 0) {
		buf_printf(why, "open database %s: No such file or directory "
		    "(run \"postmap %.200s\", or \"newaliases\" for alias "
		    "tables)", f->path, t->spec);
		return -1;
	}
	if (fd < 0) {
		buf_printf(why, "%s %s: %s%s", open_word(t), f->path,
		    strerror(errno), errno != EACCES ? "" :
		    " (let mail_owner read it, or run \"postern reload\" "
		    "after each change)");
		return -1;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		buf_printf(why, "%s %s: not a regular file", open_word(t),
		    f->path);
		fd_close(&fd);
		return -1;
	}
	if ((t->flags & TABLE_NO_UNAUTH) != 0 && (st.st_mode & S_IWOTH) != 0) {
		buf_printf(why, "%s %s: refused, since anybody may write to "
		    "it (run \"chmod o-w %s\")", open_word(t), f->path, f->path);
		fd_close(&fd);
		return -1;
	}
	f->owner = st.st_uid;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->size = st.st_size;
	f->changed = st.st_mtim;
	return fd;
}

bool
table_file_read(struct table *t, struct buf *text, struct buf *why)
{
	int fd = table_file_open(t, why);
	size_t mark = why->n;
	ssize_t got = 0;

	if (fd < 0)
		return false;
	if (t->file.size > TABLE_TEXT_MAX) {
		buf_printf(why, "%s %s: larger than %d bytes (use a type that "
		    "postmap builds)", open_word(t), t->file.path,
		    TABLE_TEXT_MAX);
	} else if (t->file.size > 0) {
		char *p = buf_space(text, (size_t)t->file.size);

		got = fd_pread_all(fd, p, (size_t)t->file.size, 0);
		if (got >= 0)
			text->n = (size_t)got;
		else
			buf_printf(why, "read %s: can't be read",
			    t->file.path);
	}
	fd_close(&fd);
	return why->n == mark;
}

static void
file_init(struct table *t, const char *conf_dir)
{
	const char *suffix = t->type->ops->suffix;
	bool absolute = str_starts(t->name, STR("/")) || conf_dir == NULL;
	struct table_file *f = &t->file;
	struct buf path;
	char *slash;

	buf_init(&path, KEY_MAX);
	if (!absolute)
		buf_printf(&path, "%s/", conf_dir);
	buf_printf(&path, STRF "%s", STRV(t->name), suffix);
	f->path = mem_strdup(buf_cstr(&path));
	slash = strrchr(f->path, '/');
	f->base = slash == NULL ? f->path : slash + 1;
	buf_clear(&path);
	if (slash == NULL)
		buf_puts(&path, ".");
	else
		buf_add(&path, f->path, (size_t)(slash - f->path) + 1);
	f->dir = open(buf_cstr(&path), O_PATH | O_DIRECTORY | O_CLOEXEC);
	buf_free(&path);
}

/* Does another file stand there than the one that is open? */
static bool
file_changed(struct table *t)
{
	struct table_file *f = &t->file;
	struct stat st;

	if (fstatat(f->dir < 0 ? AT_FDCWD : f->dir,
	    f->dir < 0 ? f->path : f->base, &st, 0) != 0)
		return true;
	return st.st_ino != f->ino || st.st_dev != f->dev ||
	    st.st_size != f->size || st.st_mtim.tv_sec != f->changed.tv_sec ||
	    st.st_mtim.tv_nsec != f->changed.tv_nsec;
}

/* Opens what is not open, or has changed; at most once a second. */
static bool
is_ready(struct table *t)
{
	int64_t now;

	if (t->type == NULL)
		return false;
	if ((t->traits & HAS_FILE) == 0)
		return t->is_open || start(t, &t->error);
	now = clock_steady_ms();
	if (now < t->file.next_look_ms)
		return t->is_open;
	t->file.next_look_ms = now + LOOK_AGAIN_MS;
	if (t->is_open && !file_changed(t))
		return true;
	stop(t);
	if (!start(t, &t->error))
		log_warn("%s", buf_cstr(&t->error));
	return t->is_open;
}

/*
 * A key that is not there may have come with a new file: one process has
 * seen it and accepts mail, another must not bounce it.
 */
static bool
was_replaced(struct table *t)
{
	int64_t now;

	if ((t->traits & HAS_FILE) == 0)
		return false;
	now = clock_steady_ms();
	if (now < t->file.next_look_ms - LOOK_AGAIN_MS + LOOK_NONE_MS)
		return false;
	t->file.next_look_ms = now + LOOK_AGAIN_MS;
	if (!file_changed(t))
		return false;
	t->file.next_look_ms = 0;	/* is_ready() opens it */
	return true;
}

static bool
start(struct table *t, struct buf *why)
{
	buf_clear(&t->error);
	t->users = NOT_LOOKED;
	t->is_open = t->type->ops->open(t, why);
	if ((t->traits & HAS_FILE) != 0)
		t->file.next_look_ms = clock_steady_ms() + LOOK_AGAIN_MS;
	return t->is_open;
}

static void
stop(struct table *t)
{
	if (t->is_open)
		t->type->ops->close(t);
	t->is_open = false;
	t->state = NULL;
}

static enum found
fault(struct table *t, const char *text)
{
	buf_clear(&t->error);
	buf_printf(&t->error, "%.200s: %s", t->spec, text);
	return RETRY;
}

static void
say_unknown(struct str type, struct buf *out)
{
	for (size_t i = 0; i < nitems(not_yet); i++)
		if (str_eq(type, str_of(not_yet[i]))) {
			buf_printf(out, "tables of type %s are not supported "
			    "yet", not_yet[i]);
			return;
		}
	buf_printf(out, "unsupported dictionary type: " STRF,
	    STRV(str_first(type, 200)));
}
