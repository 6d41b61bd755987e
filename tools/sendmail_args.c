/*
 * sendmail_args - the command line of sendmail, mailq and newaliases.
 *
 * Postfix's options, and -n and -X FILE, which others take (ignored). What
 * getopt cannot read (-q alone, -V as -XV once was) is seen to before.
 */
#include <stdlib.h>
#include <unistd.h>

#include "ipc/ipc.h"
#include "tools/sendmail.h"

#define OPTIONS "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx"
#define ENVID_MAX 100

static void
set_encoding(struct sendmail *s, const char *v)
{
	if (str_eq_nocase(str_of(v), STR("8BITMIME")))
		s->encoding = "8bit";
	else if (str_eq_nocase(str_of(v), STR("7BIT")))
		s->encoding = "7bit";
	else
		tool_fail(&s->tool, EX_USAGE,
		    "-B option needs 8BITMIME or 7BIT");
}

/* RFC 3461 4.1: "never", or a list of the others. */
static void
set_notify(struct sendmail *s, const char *v)
{
	static const struct { const char *name; uint32_t bit; } names[] = {
		{ "never", DSN_NOTIFY_NEVER },
		{ "success", DSN_NOTIFY_SUCCESS },
		{ "failure", DSN_NOTIFY_FAILURE },
		{ "delay", DSN_NOTIFY_DELAY },
	};
	struct str rest = str_of(v), word;
	uint32_t mask = 0;
	bool good = true;

	while (str_token(&rest, ", \t", &word)) {
		uint32_t bit = 0;

		for (size_t i = 0; i < nitems(names); i++)
			if (str_eq_nocase(word, str_of(names[i].name)))
				bit = names[i].bit;
		good = good && bit != 0;
		mask |= bit;
	}
	if (!good || mask == 0 ||
	    ((mask & DSN_NOTIFY_NEVER) && mask != DSN_NOTIFY_NEVER))
		tool_warn(&s->tool, "bad -N option value: '%s' -- ignored", v);
	else
		s->notify = mask;
}

static void
set_ret(struct sendmail *s, const char *v)
{
	if (str_eq_nocase(str_of(v), STR("full")))
		s->ret = "full";
	else if (str_eq_nocase(str_of(v), STR("hdrs")))
		s->ret = "hdrs";
	else
		tool_warn(&s->tool, "bad -R option value -- ignored");
}

static void
set_envid(struct sendmail *s, const char *v)
{
	bool printable = true;

	for (const char *p = v; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			printable = false;
	if (strlen(v) > ENVID_MAX)
		tool_warn(&s->tool, "too long -V option value -- ignored");
	else if (!printable)
		tool_warn(&s->tool, "bad syntax in -V option value -- ignored");
	else
		s->envid = v;
}

static void
set_mode(struct sendmail *s, const char *v)
{
	switch (*v) {
	case 'd': case 'l':
		if (s->mode == MODE_FLUSH)
			tool_warn(&s->tool,
			    "ignoring -q option in daemon mode");
		s->mode = MODE_DAEMON;
		break;
	case 'h': case 'H':
		s->mode = MODE_IGNORE;
		break;
	case 'i':
		s->mode = MODE_NEWALIASES;
		break;
	case 'm':
		s->mode = MODE_ENQUEUE;
		break;
	case 'p':
		s->mode = MODE_MAILQ;
		break;
	case 's':
		s->mode = MODE_DIALOGUE;
		break;
	case 'v':
		s->verify = true;
		break;
	default:
		tool_fail(&s->tool, EX_USAGE, "unsupported: -b%c", *v);
	}
}

static void
set_queue_run(struct sendmail *s, const char *v)
{
	if (*v >= '0' && *v <= '9') {
		s->interval = true;
	} else if (*v == 'R' && v[1] != '\0') {
		s->site = v + 1;
	} else if (*v == 'I' && v[1] != '\0') {
		s->id = v + 1;
	} else if (*v == 'R' || *v == 'I') {
		tool_fail(&s->tool, EX_USAGE, "specify: -q%c%s", *v,
		    *v == 'R' ? "sitename" : "queueid");
	} else {
		tool_fail(&s->tool, EX_USAGE, "-q%c is not implemented", *v);
	}
}

/* -o7 -o8 -om -oo -oeX -odX ...: sendmail's, without a meaning here. */
static void
set_old_option(struct sendmail *s, const char *v)
{
	if (*v == 'i')
		s->ignore_dots = true;
	else if (*v == 'A' && v[1] == '\0')
		tool_fail(&s->tool, EX_USAGE, "-oA requires pathname");
	else if (*v == 'A')
		s->aliases = v + 1;
}

static void
set_long_option(struct sendmail *s, const char *v)
{
	struct str option = str_of(v), value;
	bool yes, no;

	value = str_from(option, str_chr(option, '=') + 1);
	option.n -= value.n;
	yes = str_eq_nocase(value, STR("yes"));
	no = str_eq_nocase(value, STR("no"));
	if (str_eq_nocase(option, STR("SMTPUTF8=")) && (yes || no))
		s->smtputf8 = yes;
	/* Whoever asks for that must not get less (RFC 8689). */
	else if (str_eq_nocase(option, STR("REQUIRETLS=")) && yes)
		tool_fail(&s->tool, EX_UNAVAILABLE,
		    "-O %s is not supported yet", v);
	else if (!no && (str_eq_nocase(option, STR("SMTPUTF8=")) ||
	    str_eq_nocase(option, STR("REQUIRETLS="))))
		tool_warn(&s->tool, "bad -O option: '%s' -- ignored", v);
}

/* "mail" of "/etc/postern/main.cf": -C takes the file's name too. */
static void
set_dir(struct sendmail *s, const char *v)
{
	struct str path = str_of(v);
	size_t slash = str_rchr(path, '/');

	if (slash < path.n &&
	    str_eq(str_from(path, slash + 1), STR("main.cf")))
		s->dir = arena_cstr(s->tool.arena, str_first(path, slash));
	else
		s->dir = v;
}

static void
set_option(struct sendmail *s, int c, const char *v)
{
	switch (c) {
	case 'B': set_encoding(s, v); break;
	case 'C': set_dir(s, v); break;
	case 'F': s->full_name = v; break;
	case 'G': s->gateway = true; break;
	case 'I': s->mode = MODE_NEWALIASES; break;
	case 'N': set_notify(s, v); break;
	case 'O': set_long_option(s, v); break;
	case 'R': set_ret(s, v); break;
	case 'V': set_envid(s, v); break;
	case 'X':		/* -X FILE, of others: no log of the kind */
		if (*v == 'V')
			s->verp = v + 1;
		break;
	case 'b': set_mode(s, v); break;
	case 'f': case 'r': s->sender = v; break;
	case 'i': s->ignore_dots = true; break;
	case 'o': set_old_option(s, v); break;
	case 'q': set_queue_run(s, v); break;
	case 't': s->extract = true; break;
	case 'v': s->tool.verbose++; break;
	case '?':
		tool_fail(&s->tool, EX_USAGE, "usage: %s [options]",
		    s->tool.name);
	}
}

static void
check_conflicts(struct sendmail *s)
{
	if (s->extract && s->mode != MODE_ENQUEUE)
		tool_fail(&s->tool, EX_USAGE,
		    "-t can be used only in delivery mode");
	if (s->verify && s->extract)
		tool_fail(&s->tool, EX_USAGE,
		    "-t option cannot be used with -bv");
	if (s->verify && s->notify != 0)
		tool_fail(&s->tool, EX_USAGE,
		    "-N option cannot be used with -bv");
	if (s->verify && s->ret != NULL)
		tool_fail(&s->tool, EX_USAGE,
		    "-R option cannot be used with -bv");
	if (s->verify && s->tool.verbose == 1)
		tool_fail(&s->tool, EX_USAGE,
		    "-v option cannot be used with -bv");
	/* Once: a report by mail. More often: talkative, as Postfix. */
	s->report = s->tool.verbose == 1 && s->mode == MODE_ENQUEUE;
}

/* -Vxy, and -V before another option, were VERP before DSN came. */
static bool
is_old_verp(struct sendmail *s, const char *arg, const char *next)
{
	if (strncmp(arg, "-V", 2) != 0 || (strlen(arg) != 4 &&
	    (arg[2] != '\0' || next == NULL || strlen(next) != 2)))
		return false;
	tool_warn(&s->tool, "option %s is deprecated with Postfix 2.3; "
	    "specify -X%s instead", arg, arg + 1);
	return true;
}

void
sendmail_args(struct sendmail *s, int argc, char **argv)
{
	int c;

	opterr = 0;
	while (argv[optind] != NULL) {
		const char *arg = argv[optind];

		if (strcmp(arg, "-q") == 0) {
			if (s->mode == MODE_DAEMON)
				tool_warn(&s->tool,
				    "ignoring -q option in daemon mode");
			else
				s->mode = MODE_FLUSH;
			optind++;
			continue;
		}
		if (is_old_verp(s, arg, argv[optind + 1])) {
			s->verp = arg + 2;
			optind++;
			continue;
		}
		c = getopt(argc, argv, OPTIONS);
		if (c == -1)
			break;
		set_option(s, c, optarg);
	}
	s->rcpts = argv + optind;
	check_conflicts(s);
}
