/*
 * postsuper - the queue's superintendent: delete, hold, release, requeue,
 * expire; look for what is damaged or was left behind.
 *
 * Works beside a running qmgr: a file may move while we look, so a name that
 * was not found is looked for once more. Root becomes mail_owner first.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/superintend.h"

#define OPTIONS		"c:d:e:f:h:H:pr:sSv"
#define TEMP_AGE_S	(7 * 24 * 60 * 60)
#define ARENA_MAX	((size_t)1 << 32)
#define USAGE "usage: postsuper [-c config_dir] [-d queue_id (delete)] " \
	"[-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] " \
	"[-h queue_id (hold)] [-H queue_id (un-hold)] " \
	"[-p (purge temporary files)] [-r queue_id (requeue)] " \
	"[-s (structure fix)] [-S (redundant structure fix)]" \
	"[-v (verbose)] [queue...]"

struct postsuper {
	struct tool  tool;
	struct superintend does;
	enum queue_dir dirs[Q__MAX];	/* where to act, in order */
	size_t	     ndirs;
	bool	     asked[ACTION__MAX];
	bool	     purge, check;
};

static void
act_on_id(struct postsuper *p, enum action a, struct str name)
{
	char id[QUEUE_ID_MAX];

	if (!queue_id_valid(name) || name.n >= sizeof(id)) {
		tool_warn(&p->tool, "invalid mail queue id: " STRF,
		    STRV(name));
		return;
	}
	memcpy(id, name.p, name.n);
	id[name.n] = '\0';
	for (int tries = 0; tries < 2; tries++)	/* it may be moving */
		for (size_t i = 0; i < p->ndirs; i++)
			if (superintend_act(&p->does, a, p->dirs[i], id))
				return;
}

struct sweep { struct postsuper *p; enum action a; enum queue_dir dir; };

static bool
act_on_each(void *ctx, const char *id)
{
	const struct sweep *s = ctx;

	(void)superintend_act(&s->p->does, s->a, s->dir, id);
	return true;
}

static void
each(struct postsuper *p, enum queue_dir dir,
    bool (*fn)(void *, const char *), void *ctx)
{
	int err = p->does.queue.dir[dir] < 0 ? 0 :
	    queue_scan(&p->does.queue, dir, fn, ctx);

	if (err != 0)
		tool_warn(&p->tool, "scan %s: %s", queue_dir_names[dir],
		    strerror(err));
}

static void
act_on_all(struct postsuper *p, enum action a)
{
	for (size_t i = 0; i < p->ndirs; i++) {
		struct sweep s = { p, a, p->dirs[i] };

		each(p, p->dirs[i], act_on_each, &s);
	}
}

static void
act_on_input(struct postsuper *p, enum action a)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct str id = str_trim(str_of(line));

		if (id.n > 0)
			act_on_id(p, a, id);
	}
}

static void
act_on(struct postsuper *p, enum action a, const char *arg)
{
	if (strcmp(arg, "ALL") == 0)
		act_on_all(p, a);
	else if (strcmp(arg, "-") == 0)
		act_on_input(p, a);
	else
		act_on_id(p, a, str_of(arg));
}

/* --- -p: what was begun and never ended, after a week --- */

static bool
is_old_remnant(struct postsuper *p, enum queue_dir dir, const char *id)
{
	int fd = queue_open_file(&p->does.queue, dir, id, O_RDONLY | O_NONBLOCK, 0);
	struct queue_message m;
	struct arena *a;
	struct stat st;
	bool old = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    clock_wall_s() - st.st_mtime > TEMP_AGE_S) {
		a = arena_new(ARENA_MAX);
		old = dir == Q_MAILDROP ? (st.st_mode & 0700) == 0600 &&
		    queue_read(fd, a, false, &m) != QUEUE_OK :
		    queue_read(fd, a, false, &m) == QUEUE_TORN;
		arena_free(&a);
	}
	close(fd);
	return old;
}

static bool
purge_one(void *ctx, const char *id)
{
	const struct sweep *s = ctx;

	if (is_old_remnant(s->p, s->dir, id) &&
	    queue_remove(&s->p->does.queue, s->dir, id) == 0)
		log_info("removed file %s/%s", queue_dir_names[s->dir], id);
	return true;
}

/* --- -s: each file is what it should be --- */

static bool
check_one(void *ctx, const char *id)
{
	const struct sweep *s = ctx;
	struct queue_message m;
	struct arena *a;
	enum queue_result r;
	int fd = queue_open_file(&s->p->does.queue, s->dir, id, O_RDONLY, 0);

	if (fd < 0)
		return true;
	a = arena_new(ARENA_MAX);
	/* BAD, too: restored under another name. */
	r = queue_judge(queue_read(fd, a, true, &m), s->dir, id, &m);
	arena_free(&a);
	close(fd);
	if (r == QUEUE_OK && queue_tidy(&s->p->does.queue, s->dir, id) == 0) {
		log_info("moved file %s/%s to its place",
		    queue_dir_names[s->dir], id);
	} else if (r == QUEUE_BAD) {
		tool_warn(&s->p->tool, "damaged queue file: %s/%s; moved to "
		    "corrupt", queue_dir_names[s->dir], id);
		(void)superintend_move(&s->p->does, s->dir,
		    Q_CORRUPT, id);
	} else if (r == QUEUE_RETRY) {
		tool_warn(&s->p->tool, "read %s/%s: %s",
		    queue_dir_names[s->dir], id, strerror(errno));
	}
	return true;
}

static void
maintain(struct postsuper *p)
{
	for (size_t i = 0; i < p->ndirs; i++) {
		struct sweep s = { p, ACTION__MAX, p->dirs[i] };

		if (p->purge)
			each(p, s.dir, purge_one, &s);
		if (!p->check || s.dir == Q_MAILDROP || s.dir == Q_CORRUPT)
			continue;
		each(p, s.dir, check_one, &s);
		queue_prune(&p->does.queue, s.dir);
	}
}

/* --- the command line, read twice: first what is asked, then in order --- */

static enum action
action_of(int c)
{
	switch (c) {
	case 'd': return DELETE;
	case 'e': return EXPIRE;
	case 'h': return HOLD;
	case 'H': return RELEASE;
	case 'r': return REQUEUE;
	}
	return ACTION__MAX;
}

static const char *
read_args(struct postsuper *p, int argc, char **argv)
{
	const char *dir = NULL;
	int c;

	opterr = 0;
	while ((c = getopt(argc, argv, OPTIONS)) != -1) {
		enum action a = action_of(c);

		if (a != ACTION__MAX)
			p->asked[a] = true;
		else if (c == 'f')
			p->asked[EXPIRE] = p->asked[RELEASE] = true;
		else if (c == 'c')
			dir = optarg;
		else if (c == 'p')
			p->purge = true;
		else if (c == 's' || c == 'S')
			p->check = true;
		else if (c == 'v')
			p->tool.verbose++;
		else
			tool_fail(&p->tool, EX_FAILED, USAGE);
	}
	return dir;
}

/* Postfix's queues of logs: it has them, here there is nothing in them. */
static bool
is_log_queue(const char *name)
{
	static const char *const names[] = {
		"bounce", "defer", "trace", "flush",
	};

	for (size_t i = 0; i < nitems(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void
choose_dirs(struct postsuper *p, char **names)
{
	static const enum queue_dir all[] = { Q_MAILDROP, Q_INCOMING,
	    Q_ACTIVE, Q_DEFERRED, Q_HOLD };
	bool named = *names != NULL;

	for (; *names != NULL; names++) {
		enum queue_dir d = Q_MAILDROP;

		if (is_log_queue(*names))
			continue;
		while (d < Q__MAX && strcmp(*names, queue_dir_names[d]) != 0)
			d++;
		if (d == Q__MAX || p->ndirs == Q__MAX)
			tool_fail(&p->tool, EX_FAILED,
			    "invalid directory name: %s", *names);
		p->dirs[p->ndirs++] = d;
	}
	if (named)
		return;
	memcpy(p->dirs, all, sizeof(all));
	p->ndirs = nitems(all);
}

static void
act_in_order(struct postsuper *p, int argc, char **argv)
{
	int c;

	optind = 0;			/* glibc: from the start */
	while ((c = getopt(argc, argv, OPTIONS)) != -1) {
		enum action a = action_of(c);

		if (a != ACTION__MAX) {
			act_on(p, a, optarg);
		} else if (c == 'f') {
			act_on(p, EXPIRE, optarg);
			act_on(p, RELEASE, optarg);
		}
	}
}

static void
print_totals(struct postsuper *p)
{
	static const enum action order[] = { REQUEUE, DELETE, EXPIRE, HOLD,
	    RELEASE };

	for (size_t i = 0; i < nitems(order); i++)
		if (p->asked[order[i]])
			superintend_total(&p->does, order[i]);
}

int
main(int argc, char **argv)
{
	struct postsuper p = { .ndirs = 0 };
	const char *dir;
	bool any = false;

	tool_start(&p.tool, "postsuper");
	dir = read_args(&p, argc, argv);
	tool_conf(&p.tool, dir, EX_FAILED);
	superintend_open(&p.does, &p.tool);
	choose_dirs(&p, argv + optind);
	for (size_t a = 0; a < ACTION__MAX; a++)
		any = any || p.asked[a];
	if (!any && !p.purge && !p.check)
		p.purge = p.check = true;
	maintain(&p);
	act_in_order(&p, argc, argv);
	superintend_close(&p.does);
	print_totals(&p);
	exit(EX_OK);
}
