/*
 * postconf_print - master.cf as lines, fields, and -o parameters.
 */
#include <stdio.h>
#include <stdlib.h>
#include "tools/json.h"
#include "tools/postconf.h"

#define LINE_LIMIT	80	/* Postfix's own numbers */
#define INDENT		"    "
#define INDENT_LEN	4
#define TEXT_MAX	(1 << 20)

struct writer {
	struct postconf	*pc;
	const struct entry *e;
	unsigned	 mode;
	struct buf	*out;
	size_t		 length;	/* of the line so far */
};

static void
put(struct writer *w, struct str s)
{
	buf_str(w->out, s);
	w->length += s.n;
}

/* A blank, or a new line where the next item does not fit. */
static void
part(struct writer *w, size_t next)
{
	if (w->length <= INDENT_LEN)
		return;
	if ((w->mode & FOLD) == 0 || w->length + 1 + next < LINE_LIMIT) {
		put(w, STR(" "));
	} else {
		buf_puts(w->out, "\n" INDENT);
		w->length = INDENT_LEN;
	}
}

static bool
has_blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_blank(s.p[i]))
			return true;
	return false;
}

static void
put_word(struct writer *w, struct str s, bool braces)
{
	if (braces)
		put(w, STR("{"));
	put(w, s);
	if (braces)
		put(w, STR("}"));
}

/* Options with their values on one line each, then the other words. */
static void
put_arguments(struct writer *w, size_t extra)
{
	const struct words *v = &w->e->w;
	bool options = true;

	for (size_t i = FIELDS; i < v->n; i++) {
		struct str arg = v->v[i], value;
		bool braces;

		if (arg.n == 0 || arg.p[0] != '-' ||
		    str_eq(arg, STR("--")))
			options = false;
		if (options && arg.n > 1 && arg.p[1] == 'o' && i + 1 < v->n) {
			value = v->v[++i];
			if (str_eq(arg, STR("-o")) &&
			    (w->mode & EVALUATE) != 0)
				value = value_expand(w->pc, w->e, value);
			braces = has_blank(value);
			w->length = LINE_LIMIT;
			part(w, arg.n + value.n + extra + (braces ? 2 : 0));
			put(w, arg);
			put(w, STR(" "));
			put_word(w, value, braces);
			w->length = LINE_LIMIT;
		} else {
			part(w, arg.n);
			put_word(w, arg, !options && has_blank(arg));
		}
	}
}

void
entry_format(struct postconf *pc, const struct entry *e, unsigned mode,
    struct buf *out)
{
	static const size_t columns[FIELDS] = {
		0, 11, 17, 25, 33, 41, 49, 57,
	};
	struct writer w = { pc, e, mode, out, 0 };

	for (size_t i = 0; i < FIELDS; i++) {
		if (w.length > 0)
			do
				put(&w, STR(" "));
			while ((mode & AS_JSON) == 0 &&
			    w.length < columns[i]);
		put(&w, e->w.v[i]);
	}
	put_arguments(&w, 3);
}

static void
show_entry(struct postconf *pc, const struct entry *e)
{
	struct buf out;

	buf_init(&out, TEXT_MAX);
	entry_format(pc, e, pc->mode, &out);
	if ((pc->mode & AS_JSON) != 0) {
		json_print_pair(e->space, buf_view(&out));
	} else {
		fwrite(out.p, 1, out.n, stdout);
		putchar('\n');
	}
	buf_free(&out);
}

static void
show_field(struct postconf *pc, const struct entry *e, int field)
{
	struct buf out;
	struct writer w = { pc, e, pc->mode, &out, 0 };
	struct str name = str_of(arena_printf(pc->mem, STRF "/%s",
	    STRV(e->space), field_names[field]));

	buf_init(&out, TEXT_MAX);
	if ((pc->mode & (HIDE_NAME | AS_JSON)) == 0)
		put(&w, name);
	if ((pc->mode & (HIDE_NAME | HIDE_VALUE | AS_JSON)) == 0)
		put(&w, STR(" = "));
	if ((pc->mode & HIDE_VALUE) == 0) {
		if (w.length > 0 &&
		    w.length + e->w.v[field].n > LINE_LIMIT) {
			buf_puts(&out, "\n" INDENT);
			w.length = INDENT_LEN;
		}
		put(&w, e->w.v[field]);
		if (field == FIELD_COMMAND)
			put_arguments(&w, 1);
	}
	if ((pc->mode & AS_JSON) != 0) {
		json_print_pair(name, buf_view(&out));
	} else {
		fwrite(out.p, 1, out.n, stdout);
		putchar('\n');
	}
	buf_free(&out);
}

static void
show_param(struct postconf *pc, const struct entry *e, struct str name,
    struct str value)
{
	struct str full = str_of(arena_printf(pc->mem, STRF "/" STRF,
	    STRV(e->space), STRV(name)));

	if ((pc->mode & HIDE_VALUE) != 0) {
		print_line(pc->mode, full);
		return;
	}
	if ((pc->mode & EVALUATE) != 0)
		value = value_expand(pc, e, value);
	if ((pc->mode & AS_JSON) != 0)
		json_print_pair(full, value);
	else if ((pc->mode & HIDE_NAME) != 0)
		print_line(pc->mode, value);
	else
		print_line(pc->mode, str_of(arena_printf(pc->mem,
		    STRF " = " STRF, STRV(full), STRV(value))));
}

/* What -P shows of a service: its own -o; with -PP all, as it sees them. */
static struct pairs
params_of(struct postconf *pc, const struct entry *e, unsigned classes)
{
	struct pairs out = { NULL, 0 };
	struct str value;

	for (size_t i = 0; (pc->mode & ALL_PARAMS) != 0 && i < pc->nlist; i++) {
		const struct name *n = pc->list[i];

		if ((n->flags & classes) == 0 ||
		    !value_lookup(pc, e, n->name, pc->mode, &value))
			continue;
		out.v = mem_grow(out.v, out.n + 1, sizeof(*out.v));
		out.v[out.n++] = (struct pair){ n->name, value };
	}
	for (size_t i = 0; i < e->params.n; i++)
		pairs_set(&out, e->params.v[i].name, e->params.v[i].value);
	if (out.n > 0)
		qsort(out.v, out.n, sizeof(*out.v), pair_by_name);
	return out;
}

static bool
show_all_params(struct postconf *pc, const struct entry *e,
    const struct pairs *params)
{
	for (size_t i = 0; i < params->n; i++)
		show_param(pc, e, params->v[i].name, params->v[i].value);
	return params->n > 0;
}

static void
show_all_fields(struct postconf *pc, const struct entry *e)
{
	for (int i = 0; i < FIELDS; i++)
		show_field(pc, e, i);
}

struct request {
	const char	*text;
	struct words	 pattern;
	bool		 matched;
};

/* The patterns of the command line; usage says what they look like. */
static struct request *
requests(char **args, size_t most, const char *usage, size_t *n)
{
	struct request *r = NULL;

	for (*n = 0; args[*n] != NULL; ++*n) {
		r = mem_grow(r, *n + 1, sizeof(*r));
		r[*n] = (struct request){ .text = args[*n] };
		if (!pattern_parse(str_of(args[*n]), 1, most,
		    &r[*n].pattern))
			postconf_fatal("%s", usage);
	}
	return r;
}

static void
requests_end(struct request *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!r[i].matched)
			postconf_warn("unmatched request: \"%s\"", r[i].text);
		mem_free(r[i].pattern.v);
	}
	mem_free(r);
}

static bool
matches(struct request *r, const struct entry *e)
{
	return pattern_match(&r->pattern, e->w.v[0], e->w.v[1]);
}

void
show_entries(struct postconf *pc, char **args)
{
	size_t n;
	struct request *r = requests(args, 2,
	    "-M option requires service_name[/type]", &n);

	for (size_t i = 0; i < pc->nentries; i++) {
		if (n == 0)
			show_entry(pc, &pc->entries[i]);
		for (size_t k = 0; k < n; k++)
			if (matches(&r[k], &pc->entries[i])) {
				r[k].matched = true;
				show_entry(pc, &pc->entries[i]);
			}
	}
	requests_end(r, n);
}

void
show_fields(struct postconf *pc, char **args)
{
	size_t n;
	struct request *r = requests(args, 3,
	    "-F option requires service_name[/type[/field]]", &n);

	for (size_t k = 0; k < n; k++)
		(void)field_number(r[k].pattern.v[2]);
	for (size_t i = 0; i < pc->nentries; i++) {
		if (n == 0)
			show_all_fields(pc, &pc->entries[i]);
		for (size_t k = 0; k < n; k++) {
			int field = field_number(r[k].pattern.v[2]);

			if (!matches(&r[k], &pc->entries[i]))
				continue;
			r[k].matched = true;
			if (field < 0)
				show_all_fields(pc, &pc->entries[i]);
			else
				show_field(pc, &pc->entries[i], field);
		}
	}
	requests_end(r, n);
}

/* Did the service have what was asked for? */
static bool
show_requested(struct postconf *pc, const struct entry *e,
    const struct pairs *params, struct str name)
{
	const struct str *value = pairs_get(params, name);

	if (str_eq(name, STR("*")))
		return show_all_params(pc, e, params);
	if (value != NULL)
		show_param(pc, e, name, *value);
	return value != NULL;
}

void
show_params(struct postconf *pc, char **args)
{
	size_t n;
	struct request *r = requests(args, 3,
	    "-P option requires service_name[/type[/parameter]]", &n);

	for (size_t i = 0; i < pc->nentries; i++) {
		const struct entry *e = &pc->entries[i];
		struct pairs params = params_of(pc, e,
		    n > 0 ? NAME_ANY : pc->classes);

		if (n == 0)
			(void)show_all_params(pc, e, &params);
		for (size_t k = 0; k < n; k++)
			if (matches(&r[k], e) && show_requested(pc, e,
			    &params, r[k].pattern.v[2]))
				r[k].matched = true;
		mem_free(params.v);
	}
	requests_end(r, n);
}
