/*
 * postconf_medit - master.cf changed entry by entry; other lines stay.
 */
#include <stdlib.h>
#include "tools/postconf.h"

#define FILE_MAX (4 << 20)

/* service/type[/what][=value] of the command line. */
struct request {
	const char	*text;
	struct words	 pattern;
	int		 field;
	struct str	 value;
	struct entry	 fresh;		/* -Me: the entry to put there */
	int		 matches;
};

struct editor {
	struct postconf	*pc;
	struct request	*r;
	size_t		 n;
	struct edited	 f;
	struct str	 rest;
	int		 line;
	struct buf	 out;
};

static bool
has_blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (str_chr(STR(BLANKS), s.p[i]) < sizeof(BLANKS) - 1)
			return true;
	return false;
}

static void
ask_field(struct postconf *pc, struct request *r, struct str pattern)
{
	if (!pattern_parse(pattern, 3, 3, &r->pattern))
		postconf_fatal("-Fe or -FX requires "
		    "service_name/type/field_name");
	r->field = field_number(r->pattern.v[2]);
	if (r->field < 0)
		postconf_fatal("-Fe does not accept wild-card field name");
	if ((pc->mode & EDIT) != 0 && r->field < FIELD_COMMAND &&
	    has_blank(r->value))
		postconf_fatal("-Fe does not accept whitespace in "
		    "non-command field");
}

static void
ask_param(struct postconf *pc, struct request *r, struct str pattern)
{
	if (!pattern_parse(pattern, 3, 3, &r->pattern))
		postconf_fatal("-Pe or -PX requires "
		    "service_name/type/parameter");
	if (str_eq(r->pattern.v[2], STR("*")))
		postconf_fatal("-Pe does not accept wild-card parameter name");
	if ((pc->mode & EDIT) != 0 && has_blank(r->value))
		postconf_fatal("-Pe does not accept whitespace in parameter "
		    "value");
}

static void
ask(struct postconf *pc, struct request *r, const char *arg)
{
	struct str s = str_trim(str_of(arg)), pattern = s;
	const char *why;

	*r = (struct request){ .text = arg };
	if (strchr(arg, '\n') != NULL)
		postconf_fatal("-Me, -Fe, -Pe, -X, or -# accept no "
		    "multi-line input");
	if (s.n > 0 && s.p[0] == '#')
		postconf_fatal("-Me, -Fe, -Pe, -X, or -# accept no comment "
		    "input");
	if ((pc->mode & EDIT) != 0) {
		why = split_name_value(s, &pattern, &r->value);
		if (why != NULL)
			postconf_fatal("%s: \"%s\"", why, arg);
	} else if (str_chr(s, '=') < s.n) {
		postconf_fatal("-X or -# requires names without value");
	}
	if ((pc->mode & MASTER_FIELD) != 0) {
		ask_field(pc, r, pattern);
	} else if ((pc->mode & MASTER_PARAM) != 0) {
		ask_param(pc, r, pattern);
	} else if (!pattern_parse(pattern, 2, 2, &r->pattern)) {
		postconf_fatal("-Me, -MX or -M# requires service_name/type");
	} else if ((pc->mode & EDIT) != 0) {
		why = entry_parse(pc, r->value, &r->fresh);
		if (why != NULL)
			postconf_fatal("%s: \"%s\"", why, arg);
	}
}

static void
put_entry(struct editor *ed, const struct entry *e)
{
	entry_format(ed->pc, e, FOLD, &ed->out);
	buf_putc(&ed->out, '\n');
}

static void
put_line(struct editor *ed, const char *before, struct str line)
{
	buf_puts(&ed->out, before);
	buf_str(&ed->out, line);
	buf_putc(&ed->out, '\n');
}

/* The entry that starts with line, its continuations taken in. */
static void
take_entry(struct editor *ed, struct str line, struct entry *e)
{
	struct buf all;
	const char *why;
	int first = ed->line;

	buf_init(&all, FILE_MAX);
	buf_str(&all, line);
	while (ed->rest.n > 0 &&
	    (ed->rest.p[0] == '#' || is_blank(ed->rest.p[0]))) {
		size_t n = str_chr(ed->rest, '\n');
		struct str one = str_first(ed->rest, n), bare = one;

		ed->rest = str_from(ed->rest, n + 1);
		ed->line++;
		bare = str_trim(one);
		if (bare.n == 0 || bare.p[0] == '#') {
			put_line(ed, "", one);
		} else {
			buf_putc(&all, ' ');
			buf_str(&all, one);
		}
	}
	why = entry_parse(ed->pc, buf_view(&all), e);
	if (why != NULL)
		postconf_fatal("file %s: line %d: %s", ed->f.path, first,
		    why);
	buf_free(&all);
}

static void
set_field(struct editor *ed, struct entry *e, const struct request *r)
{
	if (r->field == FIELD_COMMAND) {
		e->w.n = FIELD_COMMAND;
		words_split(&e->w, arena_str(ed->pc->mem, r->value));
		if (e->w.n < FIELDS)
			postconf_fatal("bad field count: \"%s\"", r->text);
		entry_normalize(ed->pc, &e->w);
	} else {
		e->w.v[r->field] = r->value;
	}
	entry_check(&e->w, r->value);
}

/* -o name=value is changed where it stands, else added behind the others. */
static void
set_param(struct editor *ed, struct entry *e, const struct request *r)
{
	struct str name = r->pattern.v[2], pair;
	bool edit = (ed->pc->mode & EDIT) != 0, found = false;
	size_t i = FIELDS;

	pair = words_join_pair(ed->pc->mem, name, r->value);
	while (i < e->w.n && e->w.v[i].n > 1 && e->w.v[i].p[0] == '-' &&
	    !str_eq(e->w.v[i], STR("--"))) {
		struct str at;

		if (e->w.v[i].p[1] != 'o' || i + 1 == e->w.n) {
			i++;
			continue;
		}
		at = e->w.v[i + 1];
		if (!str_starts(at, name) || at.n == name.n ||
		    at.p[name.n] != '=') {
			i += 2;
		} else if (edit) {
			found = true;
			e->w.v[i + 1] = pair;
			i += 2;
		} else {
			words_remove(&e->w, i, 2);
		}
	}
	if (edit && !found) {
		words_insert(&e->w, i, STR("-o"));
		words_insert(&e->w, i + 1, pair);
	}
}

static bool
matches(struct editor *ed, const struct request *r, struct str name,
    struct str type)
{
	if (pattern_match(&r->pattern, name, type))
		return true;
	/* -M a/b='c d ...' also stands for what c/d was. */
	return (ed->pc->mode & MASTER_ENTRY) != 0 && r->fresh.w.n > 1 &&
	    str_eq(r->fresh.w.v[0], name) && str_eq(r->fresh.w.v[1], type);
}

static void
name_and_type(struct editor *ed, struct str line, struct str *name,
    struct str *type)
{
	if (!str_token(&line, BLANKS, name) ||
	    !str_token(&line, BLANKS, type))
		postconf_fatal("file %s: line %d: specify service name and "
		    "type on the same line", ed->f.path, ed->line);
	if (str_chr(*name, '=') < name->n || str_chr(*type, '=') < type->n ||
	    str_chr(*type, '/') < type->n)
		postconf_fatal("file %s: line %d: service name or type syntax "
		    "\"" STRF "\" is unsupported with -Me, -Fe, -Pe, -X, or "
		    "-#", ed->f.path, ed->line, STRV(*name));
}

/* One service's first line: true where its further lines go the same way. */
static bool
edit_entry(struct editor *ed, struct str line)
{
	bool whole = (ed->pc->mode & MASTER_ENTRY) != 0, any = false;
	bool edit = (ed->pc->mode & EDIT) != 0;
	const struct entry *put = NULL;
	struct entry mine = { .w = { NULL, 0 } };
	struct str name, type;

	name_and_type(ed, line, &name, &type);
	for (size_t i = 0; i < ed->n; i++) {
		struct request *r = &ed->r[i];

		if (!matches(ed, r, name, type))
			continue;
		any = true;
		r->matches++;
		if (whole && edit) {
			if (r->matches == 1)
				put = &r->fresh;
		} else if (!whole) {
			if (put == NULL)
				take_entry(ed, line, &mine);
			put = &mine;
			if ((ed->pc->mode & MASTER_FIELD) != 0)
				set_field(ed, &mine, r);
			else
				set_param(ed, &mine, r);
		}
	}
	if (put != NULL)
		put_entry(ed, put);
	else if (!any)
		put_line(ed, "", line);
	else if ((ed->pc->mode & COMMENT_OUT) != 0)
		put_line(ed, "#", line);
	entry_free(&mine);
	return any;
}

static void
add_missing(struct editor *ed)
{
	bool whole = (ed->pc->mode & MASTER_ENTRY) != 0;

	for (size_t i = 0; i < ed->n; i++) {
		if (ed->r[i].matches > 0)
			continue;
		if (whole && (ed->pc->mode & EDIT) != 0)
			put_entry(ed, &ed->r[i].fresh);
		else if (!whole)
			postconf_warn("unmatched service_name/type: \"%s\"",
			    ed->r[i].text);
	}
}

void
edit_master(struct postconf *pc, char **args)
{
	struct editor ed = { .pc = pc };
	struct str line;
	bool matched = false;

	for (; args[ed.n] != NULL; ed.n++) {
		ed.r = mem_grow(ed.r, ed.n + 1, sizeof(*ed.r));
		ask(pc, &ed.r[ed.n], args[ed.n]);
	}
	edited_open(&ed.f, pc, "master.cf");
	ed.rest = buf_view(&ed.f.text);
	buf_init(&ed.out, 2 * FILE_MAX);
	while (edited_next(&ed.rest, &ed.out, &ed.line, &line)) {
		if (!is_blank(line.p[0]))
			matched = edit_entry(&ed, line);
		else if (!matched)
			put_line(&ed, "", line);
		else if ((pc->mode & COMMENT_OUT) != 0)
			put_line(&ed, "#", line);
	}
	add_missing(&ed);
	if (ed.out.full)
		postconf_fatal("%s: file is too large", ed.f.path);
	edited_save(&ed.f, buf_view(&ed.out));
	buf_free(&ed.out);
	for (size_t i = 0; i < ed.n; i++) {
		mem_free(ed.r[i].pattern.v);
		entry_free(&ed.r[i].fresh);
	}
	mem_free(ed.r);
}
