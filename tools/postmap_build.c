/*
 * postmap_build - makes a table from its source, or changes one.
 *
 * The file is always built anew and renamed, also to add (-i) or remove (-d)
 * one entry, so that no reader ever sees half of it. As root it is built
 * with the rights of the source's owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "priv/priv.h"
#include "sys/sys.h"
#include "tools/postmap.h"

#define SOURCE_MAX	((size_t)1 << 30)

struct build {
	const struct job   *job;
	char		   *spec;	/* type:name */
	const char	   *name;	/* in spec */
	const char	   *source;	/* for messages: file or stdin */
	struct table_maker *maker;
	int		    line;
	struct buf	    key, value, why;
};

static void	begin(struct build *, const struct job *, const char *arg);
static void	refuse_fail(const struct build *, const char *what);
static void	end(struct build *);
static void	read_source(struct build *, struct buf *text, struct stat *);
static void	take_rights(struct build *, const struct stat *source);
static mode_t	mode_of(const struct build *, const struct stat *source);
static void	make(struct build *, mode_t);
static bool	copy_old(struct build *);
static bool	keep_entry(void *ctx, struct str key, struct str value);
static void	add_lines(struct build *, struct str text);
static bool	parse_line(struct build *, struct str line);
static void	add(struct build *, struct str key, struct str value);
static void	finish(struct build *);
static bool	stat_old(const struct build *, struct stat *);

void
postmap_build(const struct job *job, const char *arg)
{
	struct build b;
	struct buf text;
	struct stat st;
	mode_t mode;

	begin(&b, job, arg);
	refuse_fail(&b, "write");
	buf_init(&text, SOURCE_MAX);
	read_source(&b, &text, &st);
	mode = mode_of(&b, &st);
	take_rights(&b, &st);
	make(&b, mode);
	if (job->update)
		(void)copy_old(&b);
	add_lines(&b, buf_view(&text));
	if (job->tool->aliases) {	/* sendmail's mark: it is whole */
		enum duplicates d = job->duplicates;
		struct job replace = *job;

		replace.duplicates = job->update ? DUP_REPLACE : d;
		b.job = &replace;
		add(&b, STR("@"), STR("@"));
		b.job = job;
	}
	finish(&b);
	buf_free(&text);
	end(&b);
}

bool
postmap_delete(const struct job *job, const char *arg, struct str key)
{
	bool found = false;
	struct build b;
	struct stat st;

	begin(&b, job, arg);
	refuse_fail(&b, "delete");
	if (!stat_old(&b, &st))
		postmap_fatal("open database %s: %s", b.spec,
		    strerror(errno));
	take_rights(&b, &st);
	make(&b, st.st_mode & 07777);
	if (copy_old(&b)) {
		buf_clear(&b.key);
		if (job->fold)
			table_fold(key, &b.key);
		else
			buf_str(&b.key, key);
		if (job->nul)
			buf_putc(&b.key, '\0');
		if (!table_remove(b.maker, buf_view(&b.key), &found, &b.why))
			postmap_fatal("table %s: delete error: %s", b.spec,
			    buf_cstr(&b.why));
	}
	if (found)
		finish(&b);
	else
		table_abandon(&b.maker);
	if (priv_act_as(0, 0) != 0)
		postmap_fatal("can't become root again");
	end(&b);
	return found;
}

static void
begin(struct build *b, const struct job *job, const char *arg)
{
	*b = (struct build){ .job = job };
	b->spec = postmap_spec(job, arg);
	b->name = strchr(b->spec, ':') + 1;
	b->source = job->update ? "stdin" : b->name;
	buf_init(&b->key, ENTRY_MAX);
	buf_init(&b->value, ENTRY_MAX);
	buf_init(&b->why, 4000);
	if (str_starts(str_of(b->spec), STR("proxy:")))
		postmap_fatal("can't create maps via the proxy service");
}

/* A table of type fail is for tests of what depends on such faults. */
static void
refuse_fail(const struct build *b, const char *what)
{
	if (str_starts(str_of(b->spec), STR("fail:")))
		postmap_fatal("table %s: %s error: Application error",
		    b->spec, what);
}

static void
end(struct build *b)
{
	buf_free(&b->key);
	buf_free(&b->value);
	buf_free(&b->why);
	mem_free(b->spec);
}

static void
read_source(struct build *b, struct buf *text, struct stat *st)
{
	int fd = STDIN_FILENO;
	ssize_t got;

	if (!b->job->update)
		fd = open(b->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		postmap_fatal("open %s: %s", b->name, strerror(errno));
	if (fstat(fd, st) != 0)
		postmap_fatal("fstat %s: %s", b->name, strerror(errno));
	do {
		char *room = buf_space(text, 65536);

		if (room == NULL)
			postmap_fatal("%s: too large", b->source);
		got = read(fd, room, 65536);
		if (got < 0 && errno != EINTR)
			postmap_fatal("read %s: %s", b->source,
			    strerror(errno));
		if (got > 0)
			text->n += (size_t)got;
	} while (got != 0);
	if (fd != STDIN_FILENO)
		fd_close(&fd);
	/* What is changed keeps its owner and mode. */
	if (b->job->update && !stat_old(b, st)) {
		st->st_uid = geteuid();
		st->st_gid = getegid();
		st->st_mode = S_IFREG | 0644;
	}
}

static bool
stat_old(const struct build *b, struct stat *st)
{
	struct buf path;
	bool ok;

	buf_init(&path, 8192);
	buf_printf(&path, "%s%s", b->name,
	    table_suffix(str_of(b->spec)));
	ok = stat(buf_cstr(&path), st) == 0;
	buf_free(&path);
	return ok;
}

/* 0644, and no more for group and others than the source gives them. */
static mode_t
mode_of(const struct build *b, const struct stat *source)
{
	mode_t mask = umask(022);

	(void)umask(mask);
	if (!b->job->keep_mode || !S_ISREG(source->st_mode))
		return 0644 & ~mask;
	return 0644 & (source->st_mode | 0700);
}

static void
take_rights(struct build *b, const struct stat *source)
{
	struct buf folder;
	struct stat st;
	const char *slash = strrchr(b->name, '/');
	int err;

	if (!b->job->as_owner || !priv_is_root())
		return;
	if (source->st_uid != 0) {
		err = priv_act_as(source->st_uid, source->st_gid);
		if (err != 0)
			postmap_fatal("can't act as the owner of %s: %s",
			    b->source, strerror(err));
		return;
	}
	buf_init(&folder, 8192);
	if (slash == NULL)
		buf_putc(&folder, '.');
	else
		buf_add(&folder, b->name, slash == b->name ? 1 :
		    (size_t)(slash - b->name));
	if (stat(buf_cstr(&folder), &st) != 0)
		postmap_fatal("stat %s: %s", buf_cstr(&folder),
		    strerror(errno));
	if (st.st_uid != 0)
		log_warn("Creating root-owned database file(s) %s.* in "
		    "non-root-owned directory %s. Files %s, %s.*, and "
		    "directory %s should have the same owner. Please fix "
		    "ownership to avoid a privilege-escalation attack.",
		    b->name, buf_cstr(&folder), b->source, b->name,
		    buf_cstr(&folder));
	buf_free(&folder);
}

static void
make(struct build *b, mode_t mode)
{
	b->maker = table_make(str_of(b->spec), mode, &b->why);
	if (b->maker == NULL)
		postmap_fatal("%s", buf_cstr(&b->why));
}

/* Everything of the table as it is; false where there is none yet. */
static bool
copy_old(struct build *b)
{
	struct table *old;
	struct stat st;

	if (!stat_old(b, &st))
		return false;
	old = table_open(str_of(b->spec), NULL, 0, &b->why);
	if (old == NULL || table_each(old, keep_entry, b) != FOUND) {
		table_abandon(&b->maker);
		postmap_fatal("%s", buf_cstr(&b->why));
	}
	table_free(&old);
	return true;
}

static bool
keep_entry(void *ctx, struct str key, struct str value)
{
	struct build *b = ctx;

	buf_clear(&b->key);
	buf_clear(&b->value);
	buf_str(&b->key, key);
	buf_str(&b->value, value);
	if (b->job->nul) {
		buf_putc(&b->key, '\0');
		buf_putc(&b->value, '\0');
	}
	return table_replace(b->maker, buf_view(&b->key),
	    buf_view(&b->value), &b->why);
}

static void
add_lines(struct build *b, struct str text)
{
	struct buf line;
	int next = 1;

	buf_init(&line, 4 * ENTRY_MAX);
	while (table_next_line(&text, &next, &b->line, &line)) {
		if (line.full) {
			log_warn("%s, line %d: line too long -- ignoring "
			    "this line", b->source, b->line);
			line.full = false;
			continue;
		}
		if (b->job->utf8 && !utf8_valid(buf_view(&line))) {
			log_warn("%s, line %d: non-UTF-8 input \"" STRF
			    "\" -- ignoring this line", b->source, b->line,
			    STRV(buf_view(&line)));
			continue;
		}
		if (parse_line(b, buf_view(&line)))
			add(b, buf_view(&b->key), buf_view(&b->value));
	}
	buf_free(&line);
}

/* Key and value of a line; false with a warning. */
static bool
parse_line(struct build *b, struct str line)
{
	struct str key, value;
	const char *wrong;

	if (b->job->tool->aliases) {
		wrong = alias_split(line, &b->key, &b->value);
		if (wrong != NULL)
			log_warn("%s, line %d: %s", b->source, b->line,
			    wrong);
		return wrong == NULL && b->key.n > 0;
	}
	wrong = table_line_split(line, &key, &value);
	if (wrong != NULL) {
		table_line_warn(b->source, b->line, line, wrong);
		return false;
	}
	if (key.p[key.n - 1] == ':')
		log_warn("%s, line %d: record is in \"key: value\" format; "
		    "is this an alias file?", b->source, b->line);
	buf_clear(&b->key);
	buf_clear(&b->value);
	buf_str(&b->key, key);
	if (!b->job->values_are_files) {
		buf_str(&b->value, value);
		return true;
	}
	buf_clear(&b->why);
	if (table_files_value(value, &b->value, &b->why))
		return true;
	log_warn("%s, line %d: %s: skipping this entry", b->source, b->line,
	    buf_cstr(&b->why));
	return false;
}

static void
add(struct build *b, struct str key, struct str value)
{
	bool was_there = false, ok;
	struct buf k, v;

	buf_init(&k, ENTRY_MAX);
	buf_init(&v, ENTRY_MAX);
	if (b->job->fold)
		table_fold(key, &k);
	else
		buf_str(&k, key);
	buf_str(&v, value);
	if (b->job->nul) {
		buf_putc(&k, '\0');
		buf_putc(&v, '\0');
	}
	buf_clear(&b->why);
	if (b->job->duplicates == DUP_REPLACE)
		ok = table_replace(b->maker, buf_view(&k), buf_view(&v),
		    &b->why);
	else
		ok = table_put(b->maker, buf_view(&k), buf_view(&v),
		    &was_there, &b->why);
	if (!ok) {
		table_abandon(&b->maker);
		postmap_fatal("%s, line %d: %s", b->source, b->line,
		    buf_cstr(&b->why));
	}
	if (was_there && b->job->duplicates == DUP_WARN)
		log_warn("%s, line %d: duplicate entry: \"" STRF "\"",
		    b->source, b->line,
		    STRV(str_first(buf_view(&k), k.n - b->job->nul)));
	buf_free(&k);
	buf_free(&v);
}

static void
finish(struct build *b)
{
	buf_clear(&b->why);
	if (!table_finish(&b->maker, &b->why))
		postmap_fatal("%s", buf_cstr(&b->why));
	if (priv_act_as(0, 0) != 0)
		postmap_fatal("can't become root again");
}
