/*
 * master_cf - master.cf: one service a logical line (master(5)).
 *
 *   name type private unprivileged chroot wakeup maxproc command [argument]
 *
 * "-" takes the default. Arguments: -o name=value, -o { name = value }, -v,
 * -D, then words, { } around those with blanks. All columns are checked
 * here, so that who reads an entry need not.
 */
#include <fcntl.h>
#include "conf/internal.h"
#include "conf/syntax.h"
#include "sys/sys.h"

#define BLANKS	" \t\r\n"
#define COLUMNS	8

struct reader {
	struct conf	*c;
	struct problems	*ps;
	const char	*file;
	int		 line;
	bool		 bad;		/* this entry is of no use */
};

static void
complain(struct reader *r, const char *column, struct str value,
    const char *hint)
{
	problem_add(r->ps, true, r->file, r->line, "invalid %s field \"" STRF
	    "\": %s", column, STRV(str_first(value, 100)), hint);
	r->bad = true;
}

static bool
yes_or_no(struct reader *r, const char *column, struct str s, bool preset)
{
	if (str_eq(s, STR("-")))
		return preset;
	if (!str_eq(s, STR("y")) && !str_eq(s, STR("n")))
		complain(r, column, s, "say y, n or -");
	return str_eq(s, STR("y"));
}

static void
parse_type(struct reader *r, struct master_entry *e, struct str s)
{
	static const char *const types[] = {
		"inet", "unix", "unix-dgram", "fifo", "pass",
	};

	e->type = s;
	for (size_t i = 0; i < nitems(types); i++)
		if (str_eq(s, str_of(types[i])))
			return;
	complain(r, "type", s, "say inet, unix, unix-dgram, fifo or pass");
}

static void
parse_wakeup(struct reader *r, struct master_entry *e, struct str s)
{
	uint64_t v = 0;
	struct str digits = s;

	if (str_eq(s, STR("-")))
		return;
	e->wakeup_if_used = s.n > 0 && s.p[s.n - 1] == '?';
	if (e->wakeup_if_used)
		digits.n--;
	if (!str_number(digits, &v) || v > INT32_MAX)
		complain(r, "wakeup", s,
		    "give seconds, with ? behind where the service must have "
		    "been used, or -");
	e->wakeup_s = (int64_t)v;
}

static void
parse_limit(struct reader *r, struct master_entry *e, struct str s)
{
	uint64_t v = 0;

	e->limit = -1;
	if (str_eq(s, STR("-")))
		return;
	if (!str_number(s, &v) || v > INT32_MAX)
		complain(r, "process_limit", s,
		    "give a number, 0 for no limit, or -");
	e->limit = (int64_t)v;
}

static void
add_argument(struct master_entry *e, struct str s)
{
	e->argv = mem_grow(e->argv, e->argc + 1, sizeof(*e->argv));
	e->argv[e->argc++] = s;
}

static void
add_override(struct reader *r, struct master_entry *e, struct str s)
{
	struct str name, value;
	const char *why;

	if (s.n > 0 && s.p[0] == '{' && !word_unwrap(s, &s)) {
		complain(r, "command", s, "text behind the closing }");
		return;
	}
	why = split_name_value(s, &name, &value);
	if (why != NULL) {
		complain(r, "command", s, why);
		return;
	}
	e->overrides = mem_grow(e->overrides, e->noverrides + 1,
	    sizeof(*e->overrides));
	e->overrides[e->noverrides].name = name;
	e->overrides[e->noverrides++].value = value;
}

/* Options of the daemon: one word each, but -o, which has a value. */
static bool
parse_option(struct reader *r, struct master_entry *e, struct str word,
    struct str *rest)
{
	struct str value;
	size_t o = str_chr(word, 'o');

	if (word.n < 2 || word.p[0] != '-' || str_eq(word, STR("--")))
		return false;
	add_argument(e, word);
	if (o == word.n)
		return true;
	if (o + 1 < word.n) {			/* -oname=value, -vo... */
		add_override(r, e, str_from(word, o + 1));
	} else if (word_next(rest, BLANKS, &value)) {
		add_argument(e, value);
		add_override(r, e, value);
	} else {
		complain(r, "command", word, "-o needs name=value behind it");
	}
	return true;
}

static void
parse_arguments(struct reader *r, struct master_entry *e, struct str rest)
{
	struct str word;
	bool options = true;

	while (word_next(&rest, BLANKS, &word)) {
		if (options && parse_option(r, e, word, &rest))
			continue;
		options = false;
		if (word.p[0] == '{' && !word_unwrap(word, &word))
			complain(r, "command", word,
			    "braces { } do not match");
		add_argument(e, word);
	}
}

static bool
parse_entry(struct reader *r, struct str text, struct master_entry *e)
{
	struct str column[COLUMNS], rest = text;
	size_t n = 0;

	while (n < COLUMNS && word_next(&rest, BLANKS, &column[n]))
		n++;
	if (n < COLUMNS) {
		problem_add(r->ps, true, r->file, r->line, "bad field count: "
		    "a service has name, type, private, unprivileged, chroot, "
		    "wakeup, process_limit and command; - takes the default");
		return false;
	}
	r->bad = false;
	e->line = r->line;
	e->name = column[0];
	parse_type(r, e, column[1]);
	e->is_private = yes_or_no(r, "private", column[2],
	    !str_eq(e->type, STR("inet")));
	e->unprivileged = yes_or_no(r, "unprivileged", column[3], true);
	e->chroot = yes_or_no(r, "chroot", column[4], false);
	parse_wakeup(r, e, column[5]);
	parse_limit(r, e, column[6]);
	e->command = column[7];
	if (str_eq(e->type, STR("inet")) && e->is_private)
		complain(r, "private", column[2],
		    "an inet service can't be private: say n");
	parse_arguments(r, e, rest);
	return !r->bad;
}

static void
entry_free(void *ctx)
{
	struct master_entry *e = ctx;

	mem_free(e->argv);
	mem_free(e->overrides);
}

static void
list_free(void *ctx)
{
	mem_free(ctx);
}

static void
check_twice(struct reader *r, const struct master_cf *m,
    const struct master_entry *e)
{
	for (size_t i = 0; i < m->n; i++)
		if (str_eq(m->v[i].name, e->name) &&
		    str_eq(m->v[i].type, e->type))
			problem_add(r->ps, true, r->file, r->line,
			    "service " STRF "/" STRF " stands in line %d "
			    "already: remove one", STRV(e->name),
			    STRV(e->type), m->v[i].line);
}

void
master_cf_parse(struct conf *c, const char *file, struct str text,
    struct master_cf *m, struct problems *ps)
{
	struct reader r = { .c = c, .ps = ps, .file = file };
	struct lines l = { .rest = text };
	struct buf line;

	buf_init(&line, CONF_FILE_MAX);
	while (lines_next(&l, &line)) {
		struct master_entry e = { .limit = -1 };
		struct master_entry *kept;

		r.line = l.first;
		if (l.orphan || l.nul) {
			problem_add(ps, true, file, l.first, l.nul ?
			    "NUL byte: remove it" : "a line that starts with "
			    "white space continues nothing: remove it");
			continue;
		}
		if (!parse_entry(&r, arena_str(c->mem, buf_view(&line)), &e)) {
			entry_free(&e);
			continue;
		}
		check_twice(&r, m, &e);
		kept = arena_alloc(c->mem, sizeof(*kept));
		*kept = e;
		arena_defer(c->mem, entry_free, kept);
		m->v = mem_grow(m->v, m->n + 1, sizeof(*m->v));
		m->v[m->n++] = e;
	}
	buf_free(&line);
	if (m->v != NULL)
		arena_defer(c->mem, list_free, m->v);
}

bool
master_cf_load(struct conf *c, struct master_cf *m, struct problems *ps)
{
	const char *path = arena_printf(c->mem, "%s/master.cf", c->dir);
	size_t before = ps->n;
	struct buf text;
	int err;

	*m = (struct master_cf){ NULL, 0 };
	buf_init(&text, CONF_FILE_MAX);
	err = file_read(AT_FDCWD, path, CONF_FILE_MAX, &text);
	if (err != 0)
		problem_add(ps, true, path, 0, "open %s: %s", path,
		    strerror(err));
	else
		master_cf_parse(c, path, buf_view(&text), m, ps);
	buf_free(&text);
	for (size_t i = before; i < ps->n; i++)
		if (ps->v[i].fatal)
			return false;
	return true;
}
