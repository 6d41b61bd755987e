/*
 * template - a report's text as it is sent, and the file it comes from.
 *
 * $name is main.cf's. delay_warning_time and maximal_queue_lifetime with
 * _seconds to _weeks behind them are numbers of that unit (bounce(5)).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include "conf/syntax.h"
#include "sys/sys.h"
#include "template/template.h"

#define LINE_EXPANDED	((size_t)1 << 16)

static const char *const times[] = { "delay_warning_time",
	"maximal_queue_lifetime" };
static const struct { const char *suffix; int64_t s; } units[] = {
	{ "_seconds", 1 }, { "_minutes", 60 }, { "_hours", 3600 },
	{ "_days", 86400 }, { "_weeks", 604800 },
};

struct scope {
	struct conf	*conf;
	struct problems	*problems;
	const char	*file, *template;
	struct str	 undefined;	/* the first name without a value */
	bool		 wrong;
	char		 number[32];
};

/* Postfix's warnings about numbers that tell the reader little. */
static void
check_number(struct scope *s, struct str name, int64_t value, int64_t all,
    int64_t unit)
{
	if (value > 999 && unit < 86400)
		problem_add(s->problems, false, s->file, 0, "excessive "
		    "result \"%" PRId64 "\" of $" STRF " in the %s template: "
		    "please increase its time unit, see bounce(5)", value,
		    STRV(name), s->template);
	else if (value == 0 && all > 0)
		problem_add(s->problems, false, s->file, 0, "zero result of "
		    "$" STRF " in the %s template: please reduce its time "
		    "unit, see bounce(5)", STRV(name), s->template);
}

static bool
time_value(struct scope *s, struct str name, struct str *value)
{
	for (size_t t = 0; t < nitems(times); t++) {
		struct str suffix = str_from(name, strlen(times[t]));

		if (!str_starts(name, str_of(times[t])) ||
		    !str_starts(suffix, STR("_")))
			continue;
		for (size_t u = 0; u < nitems(units); u++) {
			int64_t all = conf_number(s->conf, times[t]);
			int n;

			if (!str_eq(suffix, str_of(units[u].suffix)))
				continue;
			check_number(s, name, all / units[u].s, all,
			    units[u].s);
			n = snprintf(s->number, sizeof(s->number),
			    "%" PRId64, all / units[u].s);
			*value = (struct str){ s->number, (size_t)n };
			return true;
		}
	}
	return false;
}

static bool
lookup(void *ctx, struct str name, struct str *value, bool *raw)
{
	struct scope *s = ctx;
	char text[128];

	*raw = true;
	if (time_value(s, name, value))
		return true;
	if (name.n >= sizeof(text))
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	if (param_find(name) == NULL && conf_raw(s->conf, name) == NULL) {
		s->undefined = name;
		return false;
	}
	*value = conf_get(s->conf, text);
	return true;
}

static void
wrong_syntax(void *ctx, const char *text)
{
	struct scope *s = ctx;

	s->wrong = true;
	problem_add(s->problems, true, s->file, 0,
	    "bad $name syntax in %s template: %s", s->template, text);
}

bool
template_expand(const struct templates *t, enum template_kind kind,
    struct conf *conf, struct buf *out, struct problems *problems)
{
	const struct template *template = &t->v[kind];
	struct scope s = { .conf = conf, .problems = problems,
		.file = t->file, .template = template->name };
	const struct expander x = { .ctx = &s, .lookup = lookup,
		.error = wrong_syntax };
	struct str rest = template->text;

	while (!s.wrong && rest.n > 0) {
		size_t eol = str_chr(rest, '\n');
		struct str line = str_first(rest, eol);
		struct buf text;

		buf_init(&text, LINE_EXPANDED);
		if (expand_text(&x, line, &text) == EXPAND_UNDEFINED) {
			s.wrong = true;
			problem_add(problems, true, t->file, 0, "undefined "
			    "$name in %s template: " STRF, template->name,
			    STRV(s.undefined));
		}
		buf_str(out, buf_view(&text));
		buf_putc(out, '\n');
		buf_free(&text);
		rest = str_from(rest, eol + 1);
	}
	return !s.wrong && !out->full;
}

void
template_print(const struct template *t, struct buf *out)
{
	buf_printf(out, "Charset: " STRF "\nFrom: " STRF "\nSubject: " STRF
	    "\n", STRV(t->charset), STRV(t->from), STRV(t->subject));
	if (t->postmaster_subject.n > 0)
		buf_printf(out, "Postmaster-Subject: " STRF "\n",
		    STRV(t->postmaster_subject));
	buf_putc(out, '\n');
	buf_str(out, t->text);
	buf_putc(out, '\n');
}

void
templates_load(struct templates *t, struct conf *conf, struct arena *arena,
    struct problems *problems)
{
	struct str path = conf_get(conf, "bounce_template_file");
	const char *file = arena_cstr(arena, path);
	struct buf text;
	int err;

	templates_builtin(t, str_eq_nocase(conf_get(conf,
	    "header_from_format"), STR("obsolete")));
	if (path.n == 0)
		return;
	buf_init(&text, TEMPLATE_FILE_MAX);
	err = file_read(AT_FDCWD, file, TEMPLATE_FILE_MAX, &text);
	if (err != 0)
		problem_add(problems, true, file, 0, "open: %s",
		    strerror(err));
	else
		templates_parse(t, arena_str(arena, buf_view(&text)), file,
		    problems);
	buf_free(&text);
}
