/*
 * postconf_dbms - settings of databases: ldap:foo in a value makes foo_NAME
 * in main.cf a name that is used; ldap:/path names a file whose settings are
 * looked at for ones that nobody reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "sys/sys.h"
#include "tools/postconf.h"

#define SEPARATORS	", \t\r\n"
#define FILE_MAX	(1 << 20)

static const struct { const char *type, *names; } databases[] = {
#define DBMS(type, names) { #type, names },
#include "tools/dbms.def"
#undef DBMS
};

struct scan {
	struct postconf	*pc;
	struct entry	*e;		/* NULL: main.cf */
	bool		 patterns;	/* within pcre:{...}: no braces inside */
};

const char *
brace_open(struct postconf *pc, struct str word, struct str *inside)
{
	const char *said = NULL;
	struct buf why;

	buf_init(&why, FILE_MAX);
	if (!word_open(word, inside, &why))
		said = arena_cstr(pc->mem, buf_view(&why));
	buf_free(&why);
	return said;
}

/* "main.cf", or "master.cf:name/type". */
static const char *
place(const struct scan *s, bool service)
{
	if (s->e == NULL)
		return arena_printf(s->pc->mem, "%s/main.cf", s->pc->dir);
	if (!service)
		return arena_printf(s->pc->mem, "%s/master.cf", s->pc->dir);
	return arena_printf(s->pc->mem, "%s/master.cf:" STRF, s->pc->dir,
	    STRV(s->e->space));
}

static struct str
unbrace(const struct scan *s, struct str word)
{
	struct str inside;
	const char *why = brace_open(s->pc, word, &inside);

	if (why != NULL)
		postconf_warn("%s: %s", place(s, true), why);
	return inside;
}

/* The names of a database of this type, or NULL. */
static const char *
names_of(struct str type)
{
	for (size_t i = 0; i < nitems(databases); i++)
		if (str_eq(type, str_of(databases[i].type)))
			return databases[i].names;
	return NULL;
}

static bool
is_name_of(const char *names, struct str name)
{
	struct str rest = str_of(names), one;

	while (word_next(&rest, " ", &one))
		if (str_eq(one, name))
			return true;
	return false;
}

static void
check_lines(struct postconf *pc, const char *spec, const char *path,
    const char *names, struct str text)
{
	struct lines l = { .rest = text };
	struct pairs set = { NULL, 0 };
	struct str name, value;
	struct buf line;
	const char *why;

	buf_init(&line, FILE_MAX);
	while (lines_next(&l, &line)) {
		struct str raw = arena_str(pc->mem, buf_view(&line));

		why = split_name_value(raw, &name, &value);
		if (why != NULL) {
			postconf_warn("%s, line %d: %s: \"" STRF "\"", path,
			    l.first, why, STRV(raw));
			continue;
		}
		if (pairs_get(&set, name) != NULL)
			postconf_warn("%s, line %d: overriding earlier entry: "
			    STRF "=" STRF, path, l.first, STRV(name),
			    STRV(*pairs_get(&set, name)));
		pairs_set(&set, name, value);
	}
	for (size_t i = 0; i < set.n && !pc->quiet; i++)
		if (!is_name_of(names, set.v[i].name))
			postconf_warn("%s: unused parameter: " STRF "=" STRF,
			    spec, STRV(set.v[i].name), STRV(set.v[i].value));
	buf_free(&line);
	mem_free(set.v);
}

/* Once for each; a file with passwords may be unreadable. */
static void
check_file(struct postconf *pc, struct str type, struct str path)
{
	const char *spec = arena_printf(pc->mem, STRF ":" STRF, STRV(type),
	    STRV(path));
	const char *file = arena_cstr(pc->mem, path);
	struct stat st;
	struct buf text;
	int err;

	if (words_have(&pc->clients, str_of(spec)))
		return;
	words_insert(&pc->clients, pc->clients.n, str_of(spec));
	if (stat(file, &st) == 0 && !S_ISREG(st.st_mode)) {
		postconf_warn("open \"" STRF "\" configuration \"%s\": not a "
		    "regular file", STRV(type), file);
		return;
	}
	buf_init(&text, FILE_MAX);
	err = file_read(AT_FDCWD, file, FILE_MAX, &text);
	if (err != 0 && err != EACCES)
		postconf_warn("open \"" STRF "\" configuration \"%s\": %s",
		    STRV(type), file, strerror(err));
	else if (err == 0)
		check_lines(pc, spec, file, names_of(type), buf_view(&text));
	buf_free(&text);
}

static void
use_names(const struct scan *s, struct str table, const char *names)
{
	struct str rest = str_of(names), one;

	while (word_next(&rest, " ", &one))
		names_use(s->pc, s->e, str_of(arena_printf(s->pc->mem,
		    STRF "_" STRF, STRV(table), STRV(one))), false);
}

static void	scan_text(struct scan, struct str);

/* type:table, where the word has a colon at all. */
static void
scan_word(struct scan s, struct str word)
{
	struct str type, table = word;
	const char *names;
	size_t colon;

	do {
		colon = str_chr(table, ':');
		if (colon == table.n)
			return;
		type = str_first(table, colon);
		table = str_from(table, colon + 1);
	} while (str_eq(type, STR("proxy")) || str_eq(type, STR("debug")));
	names = names_of(type);
	if (table.n == 0 || table.p[0] == '.')
		return;
	if (table.p[0] == '{') {
		s.patterns = s.patterns || str_eq(type, STR("regexp")) ||
		    str_eq(type, STR("pcre"));
		scan_text(s, unbrace(&s, table));
	} else if (names != NULL && table.p[0] == '/') {
		check_file(s.pc, type, table);
	} else if (names != NULL) {
		use_names(&s, table, names);
	}
}

static void
scan_text(struct scan s, struct str text)
{
	struct str word;

	while (word_next(&text, SEPARATORS, &word)) {
		if (word.p[0] == '#') {
			text = text.n > 0 ? str_from(text, 1) : text;
			postconf_warn("%s: #comment after other text is not "
			    "allowed: " STRF " " STRF "...", place(&s, false),
			    STRV(word), STRV(str_first(text, 20)));
			return;
		}
		if (word.p[0] == '{') {
			struct str inside = unbrace(&s, word);

			if (!s.patterns)
				scan_text(s, inside);
		} else {
			scan_word(s, word);
		}
	}
}

void
dbms_scan(struct postconf *pc, struct entry *e, struct str value)
{
	struct scan s = { .pc = pc, .e = e };

	scan_text(s, value_expand(pc, e, value));
}
