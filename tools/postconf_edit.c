/*
 * postconf_edit - main.cf changed line by line: comments, order and all
 * that is not asked about stay as they are.
 *
 * The file is read and written under a lock on its directory, into a new
 * file beside it that is synced and renamed.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include "sys/sys.h"
#include "tools/postconf.h"

#define FILE_MAX (4 << 20)

void
edited_open(struct edited *f, struct postconf *pc, const char *name)
{
	struct stat st;
	int err;

	f->path = arena_printf(pc->mem, "%s/%s", pc->dir, name);
	f->dir = open(pc->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0 || flock(f->dir, LOCK_EX) != 0)
		postconf_fatal("open %s: %s", pc->dir, strerror(errno));
	buf_init(&f->text, FILE_MAX);
	err = file_read(AT_FDCWD, f->path, FILE_MAX, &f->text);
	if (err == 0 && stat(f->path, &st) != 0)
		err = errno;
	if (err != 0)
		postconf_fatal("open %s for reading: %s", f->path,
		    strerror(err));
	f->mode = st.st_mode & 07777;
}

void
edited_save(struct edited *f, struct str text)
{
	int err = file_replace(AT_FDCWD, f->path, text, f->mode);

	if (err != 0)
		postconf_fatal("write %s: %s", f->path, strerror(err));
	buf_free(&f->text);
	fd_close(&f->dir);
}

bool
edited_next(struct str *rest, struct buf *out, int *line,
    struct str *content)
{
	while (rest->n > 0) {
		size_t n = str_chr(*rest, '\n'), i = 0;
		struct str one = str_first(*rest, n);

		*rest = str_from(*rest, n + 1);
		++*line;
		while (i < one.n && is_blank(one.p[i]))
			i++;
		if (i < one.n && one.p[i] != '#') {
			*content = one;
			return true;
		}
		buf_str(out, one);
		buf_putc(out, '\n');
	}
	return false;
}

struct change { struct str name, value; int found; };
struct changes { struct change *v; size_t n; };

static struct change *
find(struct changes *c, struct str name)
{
	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->v[i].name, name))
			return &c->v[i];
	return NULL;
}

static void
ask(struct postconf *pc, struct changes *c, const char *arg)
{
	struct str s = str_trim(str_of(arg)), name = s, value = STR("");
	struct change *old;
	const char *why;

	if (strchr(arg, '\n') != NULL)
		postconf_fatal("-e, -X, or -# accepts no multi-line input");
	if (s.n > 0 && s.p[0] == '#')
		postconf_fatal("-e, -X, or -# accepts no comment input");
	if ((pc->mode & EDIT) != 0) {
		why = split_name_value(s, &name, &value);
		if (why != NULL)
			postconf_fatal("%s: \"%s\"", why, arg);
	} else if (s.n == 0) {
		postconf_fatal("-X or -# requires non-blank parameter names");
	} else if (str_chr(s, '=') < s.n) {
		postconf_fatal("-X or -# requires parameter names without "
		    "value");
	}
	old = find(c, name);
	if (old == NULL) {
		c->v = mem_grow(c->v, c->n + 1, sizeof(*c->v));
		old = &c->v[c->n++];
	} else if (!str_eq(old->value, value)) {
		postconf_warn("ignoring earlier request: '" STRF " = " STRF
		    "'", STRV(name), STRV(old->value));
	}
	*old = (struct change){ .name = name, .value = value };
}

static int
by_name(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static void
put_setting(struct buf *out, const struct change *c)
{
	buf_printf(out, STRF " = " STRF "\n", STRV(c->name), STRV(c->value));
}

static void
put_line(struct buf *out, const char *before, struct str line)
{
	buf_puts(out, before);
	buf_str(out, line);
	buf_putc(out, '\n');
}

static struct str
line_name(struct str line)
{
	size_t n = 0;

	while (n < line.n && !is_blank(line.p[n]) && line.p[n] != '=')
		n++;
	return str_first(line, n);
}

static void
rewrite(struct postconf *pc, struct changes *c, struct edited *f,
    struct buf *out)
{
	struct str rest = buf_view(&f->text), line;
	struct change *now = NULL;
	int number = 0;

	while (edited_next(&rest, out, &number, &line)) {
		bool more = is_blank(line.p[0]);

		if (!more) {
			now = find(c, line_name(line));
			if (now != NULL && now->found++ == 1)
				postconf_warn("%s: multiple entries for \""
				    STRF "\"", f->path, STRV(now->name));
		}
		if (now == NULL)
			put_line(out, "", line);
		else if ((pc->mode & COMMENT_OUT) != 0)
			put_line(out, "#", line);
		else if ((pc->mode & EDIT) != 0 && !more)
			put_setting(out, now);
	}
}

/* main.cf.d/NAME.cf is read behind main.cf, and wins. */
static void
warn_drop_ins(struct postconf *pc, const struct changes *c,
    const char *main_cf)
{
	struct problems ps = { NULL, 0 };
	struct conf *conf = conf_load(pc->dir, &ps);

	for (size_t i = 0; i < c->n; i++) {
		int line;
		const char *file = conf_where(conf, c->v[i].name, &line);

		if (file != NULL && strcmp(file, main_cf) != 0)
			postconf_warn("%s, line %d sets " STRF " too, and "
			    "wins", file, line, STRV(c->v[i].name));
	}
	problems_free(&ps);
	conf_free(&conf);
}

void
edit_main(struct postconf *pc, char **args)
{
	struct changes c = { NULL, 0 };
	struct edited f;
	struct buf out;

	for (; *args != NULL; args++)
		ask(pc, &c, *args);
	edited_open(&f, pc, "main.cf");
	buf_init(&out, 2 * FILE_MAX);
	rewrite(pc, &c, &f, &out);
	if ((pc->mode & EDIT) != 0) {
		qsort(c.v, c.n, sizeof(*c.v), by_name);
		for (size_t i = 0; i < c.n; i++)
			if (c.v[i].found == 0)
				put_setting(&out, &c.v[i]);
	}
	if (out.full)
		postconf_fatal("%s: file is too large", f.path);
	edited_save(&f, buf_view(&out));
	warn_drop_ins(pc, &c, f.path);
	buf_free(&out);
	mem_free(c.v);
}
