/*
 * postconf_master - master.cf read for showing and editing: words as they
 * stand, with "-" for defaults, in one normal form.
 */
#include <errno.h>
#include <fcntl.h>
#include "sys/sys.h"
#include "tools/postconf.h"

#define FILE_MAX (4 << 20)

const char *const field_names[FIELDS] = {
	"service", "type", "private", "unprivileged", "chroot", "wakeup",
	"process_limit", "command",
};

int
field_number(struct str name)
{
	if (str_eq(name, STR("*")))
		return -1;
	for (int i = 0; i < FIELDS; i++)
		if (str_eq(name, str_of(field_names[i])))
			return i;
	postconf_fatal("invalid service attribute name: \"" STRF "\"",
	    STRV(name));
}

static struct str
unwrap(struct postconf *pc, struct str word)
{
	struct str inside;
	const char *why = brace_open(pc, word, &inside);

	if (why != NULL)
		postconf_warn("master.cf: %s", why);
	return blank_trim(inside);
}

/* -vofoo=bar becomes -v -o foo=bar; braces go. */
void
entry_normalize(struct postconf *pc, struct words *w)
{
	struct str name, value;
	size_t i = FIELDS;

	for (; i < w->n; i++) {
		struct str arg = w->v[i];
		size_t o = str_chr(arg, 'o');

		if (arg.n < 2 || arg.p[0] != '-' || str_eq(arg, STR("--")))
			break;
		if (o == arg.n)
			continue;
		if (o > 1) {
			w->v[i] = str_first(arg, o);
			words_insert(w, i + 1, str_of(arena_printf(pc->mem,
			    "-" STRF, STRV(str_from(arg, o)))));
			continue;
		}
		if (arg.n > 2) {
			w->v[i] = str_first(arg, 2);
			words_insert(w, i + 1, str_from(arg, 2));
		} else if (i + 1 == w->n) {
			continue;
		}
		i++;
		if (w->v[i].p[0] != '{')
			continue;
		w->v[i] = unwrap(pc, w->v[i]);
		if (split_name_value(w->v[i], &name, &value) == NULL)
			w->v[i] = words_join_pair(pc->mem, name, value);
	}
	for (; i < w->n; i++)
		if (w->v[i].p[0] == '{')
			w->v[i] = unwrap(pc, w->v[i]);
}

static bool
is_number(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

static void
bad_field(int field, const struct words *w, struct str raw)
{
	postconf_fatal("invalid %s field \"" STRF "\" in \"" STRF "\"",
	    field_names[field], STRV(w->v[field]), STRV(str_trim(raw)));
}

void
entry_check(const struct words *w, struct str raw)
{
	static const char *const types[] = {
		"unix", "fifo", "inet", "pass", "unix-dgram",
	};
	struct str s = w->v[5];
	bool known = false;

	for (size_t i = 0; i < nitems(types); i++)
		known = known || str_eq(w->v[1], str_of(types[i]));
	if (!known)
		bad_field(1, w, raw);
	for (int i = 2; i <= 4; i++)
		if (w->v[i].n != 1 ||
		    str_chr(STR("yn-"), w->v[i].p[0]) == 3)
			bad_field(i, w, raw);
	if (s.n > 0 && s.p[s.n - 1] == '?')
		s.n--;
	if (!str_eq(s, STR("-")) && !is_number(s))
		bad_field(5, w, raw);
	if (!str_eq(w->v[6], STR("-")) && !is_number(w->v[6]))
		bad_field(6, w, raw);
}

void
entry_free(struct entry *e)
{
	mem_free(e->w.v);
	mem_free(e->fixed.v);
	mem_free(e->params.v);
	mem_free(e->valid.v);
	*e = (struct entry){ .w = { NULL, 0 } };
}

static struct str
base_name(struct str path)
{
	size_t at = str_rchr(path, '/');

	return at < path.n ? str_from(path, at + 1) : path;
}

const char *
entry_parse(struct postconf *pc, struct str text, struct entry *e)
{
	struct str process, name, value;

	*e = (struct entry){ .w = { NULL, 0 } };
	text = arena_str(pc->mem, text);
	words_split(&e->w, text);
	if (e->w.n < FIELDS)
		return "bad field count";
	entry_check(&e->w, text);
	entry_normalize(pc, &e->w);
	e->space = str_of(arena_printf(pc->mem, STRF "/" STRF,
	    STRV(e->w.v[0]), STRV(e->w.v[1])));
	process = base_name(e->w.v[FIELD_COMMAND]);
	pairs_set(&e->fixed, STR("process_name"), process);
	pairs_set(&e->fixed, STR("service_name"), e->w.v[0]);
	for (size_t i = FIELDS; i + 1 < e->w.n && e->w.v[i].n > 1 &&
	    e->w.v[i].p[0] == '-' && !str_eq(e->w.v[i], STR("--")); i++) {
		if (!str_eq(e->w.v[i], STR("-o")))
			continue;
		i++;
		if (split_name_value(e->w.v[i], &name, &value) == NULL)
			pairs_set(&e->params, name, value);
	}
	return NULL;
}

void
master_read(struct postconf *pc, bool must)
{
	const char *path = arena_printf(pc->mem, "%s/master.cf", pc->dir);
	struct lines l = { .line = 0 };
	struct buf text, line;
	const char *why;
	int err;

	buf_init(&text, FILE_MAX);
	buf_init(&line, FILE_MAX);
	err = file_read(AT_FDCWD, path, FILE_MAX, &text);
	if (err != 0 && must)
		postconf_fatal("open %s: %s", path, strerror(err));
	if (err != 0)
		postconf_warn("open %s: %s", path, strerror(err));
	l.rest = buf_view(&text);
	while (lines_next(&l, &line)) {
		if (l.orphan) {
			postconf_warn("%s: logical line must not start with "
			    "whitespace: \"" STRF "\"", path,
			    STRV(str_first(buf_view(&line), 30)));
			continue;
		}
		pc->entries = mem_grow(pc->entries, pc->nentries + 1,
		    sizeof(*pc->entries));
		why = entry_parse(pc, buf_view(&line),
		    &pc->entries[pc->nentries]);
		if (why != NULL)
			postconf_fatal("file %s: line %d: %s", path, l.first,
			    why);
		pc->nentries++;
	}
	buf_free(&line);
	buf_free(&text);
}
