/*
 * pipe_args - "flags=DRhu user=vmail argv=/usr/bin/x -d ${recipient}": the
 * attributes of a pipe(8) line of master.cf. Pure.
 */
#include "conf/conf.h"
#include "local/pipe.h"

static const struct { char letter; uint64_t bit; } flags[] = {
	{ 'B', RUN_BLANK }, { 'D', RUN_DELIVERED }, { 'F', RUN_FROM },
	{ 'O', RUN_ORIGINAL }, { 'R', RUN_RETURN_PATH }, { 'X', PIPE_FINAL },
	{ '.', RUN_DOTS }, { '>', RUN_QUOTE_FROM }, { 'h', PIPE_FOLD_HOST },
	{ 'q', PIPE_QUOTE }, { 'u', PIPE_FOLD_USER },
};

static bool
take_flags(struct pipe_args *a, struct str letters)
{
	for (size_t n = 0; n < letters.n; n++) {
		size_t i = 0;

		while (i < nitems(flags) && flags[i].letter != letters.p[n])
			i++;
		if (i == nitems(flags))
			return false;
		a->flags |= flags[i].bit;
	}
	return true;
}

/* Up to three octal digits, or the letter of a C escape. */
static char
escape(struct str *rest)
{
	static const char letters[] = "abfnrtv", bytes[] = "\a\b\f\n\r\t\v";
	struct str s = *rest;
	unsigned v = 0;
	size_t n = 0;
	const char *at;

	for (; n < 3 && n < s.n && s.p[n] >= '0' && s.p[n] <= '7'; n++)
		v = v * 8 + (unsigned)(s.p[n] - '0');
	if (n > 0) {
		*rest = str_from(s, n);
		return (char)v;
	}
	*rest = str_from(s, 1);
	at = s.n > 0 && s.p[0] != '\0' ? strchr(letters, s.p[0]) : NULL;
	return at != NULL ? bytes[at - letters] : s.n > 0 ? s.p[0] : '\\';
}

static bool
take_eol(struct pipe_args *a, struct arena *arena, struct str s)
{
	char *out = arena_alloc(arena, s.n + 1);
	size_t n = 0;

	while (s.n > 0) {
		char c = s.p[0];

		s = str_from(s, 1);
		out[n++] = c == '\\' ? escape(&s) : c;
	}
	a->eol = (struct str){ out, n };
	return n <= 16;
}

static bool
take_user(struct pipe_args *a, struct str s)
{
	size_t colon = str_chr(s, ':');

	a->user = str_first(s, colon);
	a->group = str_from(s, colon + 1);
	return a->user.n > 0;
}

static bool
take_size(struct pipe_args *a, struct str s)
{
	int64_t n;

	if (!conf_parse_size(s, &n) || n < 0)
		return false;
	a->size_max = (uint64_t)n;
	return true;
}

/* One attribute; what is wrong with it, or NULL. */
static const char *
take(struct pipe_args *a, struct arena *arena, struct str word)
{
	size_t eq = str_chr(word, '=');
	struct str name = str_first(word, eq), value = str_from(word, eq + 1);

	if (eq == word.n)
		return "unknown attribute name";
	if (str_eq_nocase(name, STR("flags")))
		return take_flags(a, value) ? NULL : "unknown flag";
	if (str_eq_nocase(name, STR("user")))
		return take_user(a, value) ? NULL : "no user name";
	if (str_eq_nocase(name, STR("size")))
		return take_size(a, value) ? NULL : "bad size= value";
	if (str_eq_nocase(name, STR("eol")))
		return take_eol(a, arena, value) ? NULL : "eol= is too long";
	if (str_eq_nocase(name, STR("directory")))
		a->directory = value;
	else if (str_eq_nocase(name, STR("chroot")))
		a->chroot = value;
	else if (str_eq_nocase(name, STR("null_sender")))
		a->null_sender = value;
	else
		return "unknown attribute name";
	return NULL;
}

bool
pipe_args_parse(struct pipe_args *a, struct arena *arena, int argc,
    char **argv, const char **why, struct str *what)
{
	const struct str command = STR("argv=");

	*a = (struct pipe_args){ .eol = STR("\n"),
		.null_sender = STR("MAILER-DAEMON") };
	*what = STR("");
	for (int i = 0; i < argc; i++) {
		struct str word = str_of(argv[i]);

		*what = word;
		if (str_starts_nocase(word, command)) {
			a->argc = (size_t)(argc - i);
			a->argv = arena_alloc(arena,
			    (a->argc + 1) * sizeof(*a->argv));
			for (size_t n = 0; n < a->argc; n++)
				a->argv[n] = argv[(size_t)i + n];
			a->argv[0] += command.n;
			break;
		}
		*why = take(a, arena, word);
		if (*why != NULL)
			return false;
	}
	*what = STR("");
	*why = a->user.n == 0 ? "missing user= command-line attribute" :
	    "missing argv= command-line attribute";
	return a->user.n > 0 && a->argc > 0 && a->argv[0][0] != '\0';
}
