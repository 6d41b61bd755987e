/*
 * conf - main.cf, its drop-ins and overrides: the settings and their values.
 *
 * A conf owns the text of its files and all values ever asked for. Values
 * are expanded when first asked for. Used by every program.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include "conf/internal.h"
#include "conf/syntax.h"
#include "sys/sys.h"

#define MEM_MAX		(1u << 30)

static void
set(struct conf *c, struct map *where, struct setting s)
{
	struct setting *mine = map_get(where, s.name);

	if (mine == NULL) {
		mine = arena_alloc(c->mem, sizeof(*mine));
		mine->name = arena_str(c->mem, s.name);
		if (conf_setting(c, s.name) == NULL) {
			c->names = mem_grow(c->names, c->nnames + 1,
			    sizeof(*c->names));
			c->names[c->nnames++] = mine->name;
		}
		map_set(where, s.name, mine);
	}
	mine->value = arena_str(c->mem, s.value);
	mine->file = s.file;
	mine->line = s.line;
}

/* Later wins; within one file that is hardly meant. */
static void
warn_twice(const struct conf *c, const struct setting *s,
    struct problems *ps)
{
	const struct setting *old = map_get(c->set, s->name);

	if (old != NULL && old->file == s->file &&
	    !str_eq(old->value, s->value))
		problem_add(ps, false, s->file, s->line, "overriding earlier "
		    "entry: " STRF "=" STRF, STRV(old->name),
		    STRV(old->value));
}

void
conf_read_text(struct conf *c, const char *file, struct str text,
    struct problems *ps)
{
	struct lines l = { .rest = text };
	struct setting s = { .file = file };
	struct buf line;
	const char *why;

	buf_init(&line, CONF_FILE_MAX);
	while (lines_next(&l, &line)) {
		struct str all = buf_view(&line);

		if (l.orphan) {
			problem_add(ps, false, file, l.first, "logical line "
			    "must not start with whitespace, and is left "
			    "out: \"" STRF "\"", STRV(str_first(all, 30)));
			continue;
		}
		if (l.nul) {
			problem_add(ps, true, file, l.first,
			    "NUL byte: remove it");
			continue;
		}
		why = split_name_value(all, &s.name, &s.value);
		if (why != NULL) {
			problem_add(ps, true, file, l.first, "%s: \"" STRF
			    "\"", why, STRV(str_first(all, 100)));
			continue;
		}
		s.line = l.first;
		warn_twice(c, &s, ps);
		set(c, c->set, s);
	}
	buf_free(&line);
}

static bool
read_file(struct conf *c, const char *path, struct problems *ps)
{
	struct buf text;
	int err;

	buf_init(&text, CONF_FILE_MAX);
	err = file_read(AT_FDCWD, path, CONF_FILE_MAX, &text);
	if (err != 0)
		problem_add(ps, true, path, 0, "open %s: %s", path,
		    strerror(err));
	else
		conf_read_text(c, path, buf_view(&text), ps);
	buf_free(&text);
	return err == 0;
}

static bool
is_drop_in(struct str name)
{
	return name.n > 3 && name.p[0] != '.' &&
	    str_ends_nocase(name, STR(".cf"));
}

/* Names are few: each goes to its place among those before it. */
static void
insert_sorted(struct str **v, size_t n, struct str name)
{
	*v = mem_grow(*v, n + 1, sizeof(**v));
	for (; n > 0 && str_cmp((*v)[n - 1], name) > 0; n--)
		(*v)[n] = (*v)[n - 1];
	(*v)[n] = name;
}

/* main.cf.d/NAME.cf in order of name; what comes later wins. */
static void
read_drop_ins(struct conf *c, struct problems *ps)
{
	const char *path = arena_printf(c->mem, "%s/main.cf.d", c->dir);
	const struct dirent *d;
	struct str *names = NULL;
	size_t n = 0;
	DIR *dir = opendir(path);

	if (dir == NULL) {
		if (errno != ENOENT)
			problem_add(ps, true, path, 0, "open %s: %s", path,
			    strerror(errno));
		return;
	}
	while ((d = readdir(dir)) != NULL)
		if (is_drop_in(str_of(d->d_name)))
			insert_sorted(&names, n++, arena_str(c->mem,
			    str_of(d->d_name)));
	closedir(dir);
	for (size_t i = 0; i < n; i++)
		(void)read_file(c, arena_printf(c->mem, "%s/" STRF, path,
		    STRV(names[i])), ps);
	mem_free(names);
}

struct conf *
conf_empty(const char *dir)
{
	struct conf *c = mem_new(sizeof(*c));

	if (dir == NULL)
		dir = secure_getenv("MAIL_CONFIG");
	if (dir == NULL || dir[0] == '\0')
		dir = CONF_DIR;
	c->mem = arena_new(MEM_MAX);
	c->dir = arena_cstr(c->mem, str_of(dir));
	c->set = map_new();
	c->over = map_new();
	c->known = map_new();
	return c;
}

struct conf *
conf_load(const char *dir, struct problems *ps)
{
	struct conf *c = conf_empty(dir);

	(void)read_file(c, arena_printf(c->mem, "%s/main.cf", c->dir), ps);
	read_drop_ins(c, ps);
	return c;
}

void
conf_free(struct conf **cp)
{
	struct conf *c = *cp;

	if (c == NULL)
		return;
	map_free(&c->set);
	map_free(&c->over);
	map_free(&c->known);
	mem_free(c->names);
	problems_free(&c->late);
	arena_free(&c->mem);
	mem_free(c);
	*cp = NULL;
}

const char *
conf_dir(const struct conf *c)
{
	return c->dir;
}

void
conf_override(struct conf *c, struct str name, struct str value)
{
	const struct setting *service = map_get(c->over,
	    STR("service_name"));
	struct setting s = { .name = name, .value = value };

	if (service != NULL)
		s.file = arena_printf(c->mem, "%s/master.cf, service " STRF,
		    c->dir, STRV(service->value));
	set(c, c->over, s);
	/* Anything may have leaned on it. */
	map_free(&c->known);
	c->known = map_new();
}

const struct setting *
conf_setting(const struct conf *c, struct str name)
{
	const struct setting *s = map_get(c->over, name);

	return s != NULL ? s : map_get(c->set, name);
}

const char *
conf_raw(const struct conf *c, struct str name)
{
	const struct setting *s = conf_setting(c, name);

	return s != NULL ? s->value.p : NULL;
}

const char *
conf_where(const struct conf *c, struct str name, int *line)
{
	const struct setting *s = conf_setting(c, name);

	*line = 0;
	if (s == NULL)
		return NULL;
	*line = s->line;
	return s->file;
}

bool
conf_each(const struct conf *c, size_t *pos, struct str *name,
    struct str *raw)
{
	if (*pos >= c->nnames)
		return false;
	*name = c->names[(*pos)++];
	*raw = conf_setting(c, *name)->value;
	return true;
}

static struct str
preset_of(struct conf *c, struct str name, const char *preset)
{
	struct str out;

	return host_default(c, name, &out) ? out : str_of(preset);
}

struct str
conf_default(struct conf *c, struct str name)
{
	const struct param_known *k = param_find(name);

	return preset_of(c, name, k != NULL ? k->preset : "");
}

struct str
conf_unexpanded(struct conf *c, struct str name, const char *preset)
{
	const struct setting *s = conf_setting(c, name);

	if (s != NULL)
		return s->value;
	if (str_eq(name, STR("config_directory")))
		return str_of(c->dir);
	return preset_of(c, name, preset);
}

/* myorigin = /etc/mailname: the file's first line (as Debian has it). */
static struct str
file_value(struct conf *c, struct str path)
{
	struct buf text;
	struct str out = STR("");
	const char *name = arena_cstr(c->mem, path);
	int err;

	buf_init(&text, CONF_FILE_MAX);
	err = file_read(AT_FDCWD, name, CONF_FILE_MAX, &text);
	if (err != 0)
		problem_add(c->problems, true, name, 0, "myorigin: open %s: "
		    "%s", name, strerror(err));
	else
		out = arena_str(c->mem, str_trim(str_first(buf_view(&text),
		    str_chr(buf_view(&text), '\n'))));
	buf_free(&text);
	return out;
}

static bool
lookup(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct conf *c = ctx;
	const struct param_known *k = param_find(name);

	if (k == NULL && conf_setting(c, name) == NULL)
		return false;
	*value = conf_unexpanded(c, name, k != NULL ? k->preset : "");
	if (k != NULL && k->type == P_RAW)
		*raw = true;
	if (str_eq(name, STR("myorigin")) && value->n > 0 &&
	    value->p[0] == '/') {
		*value = file_value(c, *value);
		*raw = true;
	}
	return true;
}

struct where { struct conf *c; struct str name; };

static bool
lookup_where(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct where *w = ctx;

	return lookup(w->c, name, value, raw);
}

static void
report(void *ctx, const char *text)
{
	struct where *w = ctx;
	const char *file;
	int line = 0;

	file = conf_where(w->c, w->name, &line);
	problem_add(w->c->problems, true, file, line, STRF ": %s",
	    STRV(w->name), text);
}

static struct str
expand(struct conf *c, struct str name, struct str text)
{
	struct where w = { c, name };
	struct expander e = { .ctx = &w, .lookup = lookup_where,
	    .error = report };
	struct problems *kept = c->problems;
	struct buf out;
	struct str value = STR("");

	if (str_chr(text, '$') == text.n)
		return text;
	if (c->problems == NULL)
		c->problems = &c->late;
	buf_init(&out, CONF_VALUE_MAX);
	if (expand_text(&e, text, &out) != EXPAND_ERROR)
		value = arena_str(c->mem, buf_view(&out));
	buf_free(&out);
	c->problems = kept;
	return value;
}

struct str
conf_expand(struct conf *c, struct str text, struct problems *ps)
{
	struct problems *kept = c->problems;
	struct str out;

	c->problems = ps;
	out = expand(c, STR("expression"), text);
	c->problems = kept;
	return out;
}

struct str
conf_get(struct conf *c, const char *name)
{
	struct str key = str_of(name), text = STR("");
	struct problems *kept = c->problems;
	struct str *v = map_get(c->known, key);
	bool raw = false;

	if (v != NULL)
		return *v;
	if (c->problems == NULL)
		c->problems = &c->late;
	v = arena_alloc(c->mem, sizeof(*v));
	if (lookup(c, key, &text, &raw))
		*v = raw ? text : expand(c, key, text);
	if (str_eq(key, STR("myorigin")) && !raw && v->n > 0 &&
	    v->p[0] == '/')
		*v = file_value(c, *v);
	c->problems = kept;
	map_set(c->known, key, v);
	return *v;
}

struct str
conf_get_row(struct conf *c, const struct param *p)
{
	struct str name = str_of(p->name);

	if (param_find(name) != NULL || conf_setting(c, name) != NULL)
		return conf_get(c, p->name);
	return expand(c, name, str_of(p->preset));
}
