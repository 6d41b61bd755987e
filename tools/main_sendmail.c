/*
 * sendmail - the mail program's interface that all others expect.
 *
 * Also mailq and newaliases, by those names. It has no rights of its own:
 * mail goes through postdrop, the queue is shown by postqueue, tables are
 * built by postalias, the system is started by postern.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "priv/priv.h"
#include "tools/sendmail.h"

static char *
word(const char *s)
{
	return mem_strdup(s);
}

/* For modes that take no recipient. */
static void
want_no_args(struct sendmail *s, const char *what)
{
	if (*s->rcpts != NULL)
		tool_fail(&s->tool, EX_USAGE, "%s requires no recipient",
		    what);
}

static _Noreturn void
run_postqueue(struct sendmail *s, const char *flag, const char *value)
{
	char *argv[] = { word("postqueue"), word("-c"),
	    word(conf_dir(s->tool.conf)), word(flag),
	    value ? word(value) : NULL, NULL };

	tool_exec(&s->tool, argv);
}

static _Noreturn void
start_system(struct sendmail *s)
{
	char *argv[] = { word("postern"), word("-c"),
	    word(conf_dir(s->tool.conf)), word("start"), NULL };

	want_no_args(s, "daemon mode");
	tool_exec(&s->tool, argv);
}

static _Noreturn void
new_aliases(struct sendmail *s)
{
	struct str rest = s->aliases ? str_of(s->aliases) :
	    conf_get(s->tool.conf, "alias_database");
	char **argv = NULL;
	size_t n = 0;
	struct str item;

	want_no_args(s, "alias initialization mode");
	argv = mem_grow(argv, rest.n + 6, sizeof(*argv));
	argv[n++] = word("postalias");
	argv[n++] = word("-c");
	argv[n++] = word(conf_dir(s->tool.conf));
	argv[n++] = word("--");
	while (conf_list_next(&rest, &item))
		argv[n++] = word(arena_cstr(s->tool.arena, item));
	argv[n] = NULL;
	if (n == 4)
		exit(EX_OK);
	tool_exec(&s->tool, argv);
}

static _Noreturn void
run_mode(struct sendmail *s)
{
	switch (s->mode) {
	case MODE_ENQUEUE:
		if (s->site != NULL) {
			want_no_args(s, "flush site");
			run_postqueue(s, "-s", s->site);
		}
		if (s->id != NULL) {
			want_no_args(s, "flush queue_id");
			run_postqueue(s, "-i", s->id);
		}
		enqueue(s);
	case MODE_NEWALIASES:
		new_aliases(s);
	case MODE_MAILQ:
		want_no_args(s, "display queue mode");
		run_postqueue(s, "-p", NULL);
	case MODE_DAEMON:
		start_system(s);
	case MODE_DIALOGUE:
		want_no_args(s, "stand-alone mode");
		dialogue(s);
	case MODE_FLUSH:
		want_no_args(s, "flush queue mode");
		run_postqueue(s, "-f", NULL);
	case MODE_IGNORE:
		break;
	}
	exit(EX_OK);
}

static const char *
base_name(const char *path)
{
	const char *slash = path == NULL ? NULL : strrchr(path, '/');

	if (slash != NULL)
		path = slash + 1;
	return path == NULL || *path == '\0' ? "sendmail" : path;
}

int
main(int argc, char **argv)
{
	struct sendmail s = { .mode = MODE_ENQUEUE };
	const char *name = base_name(argc > 0 ? argv[0] : NULL);

	tool_start(&s.tool, "sendmail");
	if (strcmp(name, "mailq") == 0) {
		s.mode = MODE_MAILQ;
		s.tool.name = "mailq";
	} else if (strcmp(name, "newaliases") == 0) {
		s.mode = MODE_NEWALIASES;
		s.tool.name = "newaliases";
	}
	/* Set-uid programs run it; it wants no more than the caller has. */
	priv_give_back();
	s.tool.borrowed = false;
	if (argc > 0)
		sendmail_args(&s, argc, argv);
	tool_conf(&s.tool, s.dir, EX_CONFIG);
	/* -q15m without -bd: the system does that by itself. */
	if (s.interval && s.mode != MODE_DAEMON)
		exit(EX_OK);
	if ((s.mode == MODE_ENQUEUE || s.mode == MODE_DIALOGUE) &&
	    s.site == NULL && s.id == NULL &&
	    !tool_authorized(&s.tool, "authorized_submit_users", getuid()))
		tool_fail(&s.tool, EX_NOPERM,
		    "User %s(%u) is not allowed to submit mail",
		    tool_user(&s.tool, getuid()), (unsigned)getuid());
	run_mode(&s);
}
