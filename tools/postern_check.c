/*
 * postern check - parses everything, opens every table, and says of each
 * problem where it is and what to do. What concerns sockets and the spool is
 * master's to say (master -t), and it asks each daemon (-t). Several find the
 * same: each line is printed once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "route/route.h"
#include "table/table.h"
#include "tools/postern.h"

#define SAID_MAX	(1 << 20)	/* bytes of master's stderr */

/* Parameters whose values are tables that some daemon opens. */
static const struct checked {
	const char *name;
	unsigned    flags;
} tables[] = {
	{ "alias_maps", TABLE_FOLD | TABLE_NO_REGSUB },
	{ "local_recipient_maps", TABLE_FOLD },
	{ "virtual_alias_maps", TABLE_FOLD },
	{ "virtual_mailbox_maps", TABLE_FOLD },
	{ "virtual_uid_maps", TABLE_FOLD | TABLE_NO_REGSUB },
	{ "virtual_gid_maps", TABLE_FOLD | TABLE_NO_REGSUB },
	{ "transport_maps", TABLE_FOLD },
	{ "relay_recipient_maps", TABLE_FOLD },
	{ "canonical_maps", TABLE_FOLD },
	{ "sender_canonical_maps", TABLE_FOLD },
	{ "recipient_canonical_maps", TABLE_FOLD },
	{ "relay_clientcerts", TABLE_FOLD },
	{ "smtp_tls_policy_maps", TABLE_FOLD },
	{ "lmtp_tls_policy_maps", TABLE_FOLD },
};

static void
check_table(struct postern *p, struct conf *conf, const struct checked *c,
    struct problems *problems)
{
	const char *name = c->name;
	struct tables *t;
	struct buf why;
	const char *file;
	int line = 0;

	buf_init(&why, 4096);
	t = tables_open(conf_get(conf, name), p->dir, c->flags, &why);
	file = conf_where(conf, str_of(name), &line);
	if (why.n > 0)
		problem_add(problems, true, file, line, "%s: " STRF, name,
		    STRV(buf_view(&why)));
	tables_free(&t);
	buf_free(&why);
}

/* Routing opens some of the same tables: each fault is said once. */
static void
check_router(struct conf *conf, struct problems *problems)
{
	struct problems found = { 0 };
	struct router *router = router_new(conf, &found);
	size_t before = problems->n;
	bool known;

	router_free(&router);
	for (size_t i = 0; i < found.n; i++) {
		known = false;
		for (size_t j = 0; j < before; j++)
			known |= strcmp(problems->v[j].text,
			    found.v[i].text) == 0;
		if (!known)
			problem_add(problems, found.v[i].fatal,
			    found.v[i].file, found.v[i].line, "%s",
			    found.v[i].text);
	}
	problems_free(&found);
}

static void
check_owner(struct conf *conf, struct problems *problems)
{
	const char *names[] = { "mail_owner", "postern_net_user",
		"postern_auth_user", "postern_pam_user" };

	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < nitems(names); i++)
		for (size_t j = i + 1; j < nitems(names); j++)
			if (str_eq(conf_get(conf, names[i]),
			    conf_get(conf, names[j])))
				problem_add(problems, false, NULL, 0, "%s and "
				    "%s are the same user: they are parted so "
				    "that the one cannot touch what is the "
				    "other's", names[i], names[j]);
}

/*
 * Prints the lines of a text that were not printed before; what was an error
 * to one is no warning of another.
 */
static void
print_new(struct map *printed, struct str text)
{
	struct str line, what;
	bool warning;

	while (str_token(&text, "\n", &line)) {
		warning = str_starts(line, STR("warning: "));
		what = str_from(line, str_chr(line, ':'));
		if (map_get(printed, line) != NULL ||
		    (warning && map_get(printed, what) != NULL))
			continue;
		fprintf(stderr, STRF "\n", STRV(line));
		map_set(printed, line, printed);
		if (!warning)
			map_set(printed, what, printed);
	}
}

static void
print_problems(struct postern *p, struct map *printed,
    const struct problems *problems)
{
	size_t room = 1;
	char *text;
	FILE *f;

	for (size_t i = 0; i < problems->n; i++)
		room += strlen(problems->v[i].file) +
		    strlen(problems->v[i].text) + 64;
	text = arena_alloc(p->tool.arena, room);
	f = fmemopen(text, room, "w");
	if (f == NULL)
		tool_fail(&p->tool, EX_OSERR, "fmemopen: %s",
		    strerror(errno));
	problems_print(problems, f);
	fclose(f);
	print_new(printed, str_of(text));
}

/* All that comes until the last writer closes. */
static struct str
read_all(struct postern *p, int fd)
{
	struct buf b;
	struct str text;
	char *room;
	ssize_t n;

	buf_init(&b, SAID_MAX);
	while ((room = buf_space(&b, 4096)) != NULL &&
	    ((n = read(fd, room, 4096)) > 0 || (n < 0 && errno == EINTR)))
		b.n += n > 0 ? (size_t)n : 0;
	text = arena_str(p->tool.arena, buf_view(&b));
	buf_free(&b);
	return (text);
}

/* master -t says what it and its daemons find; the exit status is all else. */
static bool
master_agrees(struct postern *p, struct map *printed)
{
	int status = 1, fd[2];
	pid_t pid;

	fflush(stdout);
	if (pipe2(fd, O_CLOEXEC) != 0)
		tool_fail(&p->tool, EX_OSERR, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		if (dup2(fd[1], STDERR_FILENO) < 0)
			_exit(1);
		_exit(postern_run_master(p, "-t") ? 0 : 1);
	}
	fd_close(&fd[1]);
	print_new(printed, read_all(p, fd[0]));
	fd_close(&fd[0]);
	return (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

int
postern_check(struct postern *p)
{
	struct problems problems = { 0 };
	struct map *printed;
	struct conf *conf;
	bool fatal;

	conf = conf_load(p->dir, &problems);
	if (conf == NULL || problems_fatal(&problems)) {
		problems_print(&problems, stderr);
		return (1);
	}
	printed = map_new();
	conf_check_names(conf, &problems);
	for (size_t i = 0; i < nitems(tables); i++)
		check_table(p, conf, &tables[i], &problems);
	check_router(conf, &problems);
	check_owner(conf, &problems);
	print_problems(p, printed, &problems);
	fatal = problems_fatal(&problems);
	problems_free(&problems);
	conf_free(&conf);
	postern_conf(p);
	if (!master_agrees(p, printed))
		fatal = true;
	map_free(&printed);
	return (fatal ? 1 : 0);
}
