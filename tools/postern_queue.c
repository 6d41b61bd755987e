/*
 * postern queue - the queue seen and changed by what messages are.
 *
 *   postern queue list | shape [FILTER]...
 *   postern queue show ID...
 *   postern queue hold | release | delete | requeue | expire
 *       [--dry-run] ID... | FILTER... | --all
 *
 * Reads the files itself, beside a running qmgr, one at a time; what moves
 * away meanwhile is not there. Changes are postsuper's (superintend.c). For
 * root and the queue's owner.
 */
#include <sys/stat.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/postern_queue.h"

#define ARENA_MAX	((size_t)1 << 32)
#define IDS_MAX		((size_t)1 << 30)	/* bytes of names */
#define PROGRESS_MS	500	/* before a bar is worth the while */
#define PROGRESS_WIDTH	40

static const struct queue_word {
	const char    *word;
	bool	       acts;
	enum action    action;
	const char    *would;
} words[] = {
	{ "list", false, ACTION__MAX, NULL },
	{ "show", false, ACTION__MAX, NULL },
	{ "shape", false, ACTION__MAX, NULL },
	{ "hold", true, HOLD, "hold" },
	{ "release", true, RELEASE, "release" },
	{ "delete", true, DELETE, "delete" },
	{ "requeue", true, REQUEUE, "requeue" },
	{ "expire", true, EXPIRE, "expire" },
};

static _Noreturn void
usage(void)
{
	fputs("usage: postern [-c config_dir] queue list | shape "
	    "[--json] [filter]...\n"
	    "       postern [-c config_dir] queue show [--json] ID...\n"
	    "       postern [-c config_dir] queue hold | release | delete | "
	    "requeue | expire\n"
	    "           [--dry-run] ID... | filter... | --all\n"
	    "filters:\n"
	    "  --sender ADDRESS | @DOMAIN | '<>'  --recipient ADDRESS | "
	    "@DOMAIN\n"
	    "  --domain DOMAIN (of a recipient)   --reason TEXT\n"
	    "  --older TIME  --younger TIME (5m, 2h, 3d)\n"
	    "  --size BYTES | -BYTES (at least, at most)\n"
	    "  --queue NAME (incoming, active, deferred, hold)\n", stderr);
	exit(EX_USAGE);
}

/* --- progress, on a terminal alone --- */

static void
progress(struct queue_command *c, size_t done, size_t all)
{
	int64_t now = clock_steady_ms();
	size_t bar = all == 0 ? 0 : done * PROGRESS_WIDTH / all;

	if (!c->terminal || now < c->progress_at)
		return;
	c->progress_at = now + PROGRESS_MS / 4;
	c->progress_shown = true;
	fprintf(stderr, "\r[%.*s%*s] %zu of %zu", (int)bar,
	    "########################################",
	    PROGRESS_WIDTH - (int)bar, "", done, all);
}

static void
progress_end(struct queue_command *c)
{
	if (c->progress_shown)
		fprintf(stderr, "\r%*s\r", PROGRESS_WIDTH + 40, "");
	c->progress_shown = false;
}

/* --- every message that is meant --- */

static bool
note_id(void *ctx, const char *id)
{
	struct buf *ids = ctx;

	buf_puts(ids, id);
	buf_putc(ids, '\0');
	return !ids->full;
}

static bool
read_one(struct queue_command *c, enum queue_dir dir, const char *id,
    struct arena *arena, struct queued *q)
{
	int fd = queue_open_file(&c->does.queue, dir, id, O_RDONLY, 0);
	bool ok;

	if (fd < 0)
		return false;
	*q = (struct queued){ .dir = dir, .id = id };
	ok = fstat(fd, &q->st) == 0 && S_ISREG(q->st.st_mode) &&
	    queue_read_in(dir, fd, &q->st, arena, &q->msg) == QUEUE_OK;
	close(fd);
	return ok;
}

/* Of one directory. maildrop/ has another form: its files have no filter. */
static void
walk_dir(struct queue_command *c, enum queue_dir dir,
    void (*fn)(struct queue_command *, const struct queued *))
{
	struct buf ids;
	size_t n = 0, at = 0, all = 0;

	buf_init(&ids, IDS_MAX);
	if (c->does.queue.dir[dir] >= 0)
		(void)queue_scan(&c->does.queue, dir, note_id, &ids);
	for (size_t i = 0; i < ids.n; i++)
		all += ids.p[i] == '\0';
	for (; at < ids.n; at += strlen(ids.p + at) + 1) {
		struct arena *arena = arena_new(ARENA_MAX);
		struct queued q;

		if (read_one(c, dir, ids.p + at, arena, &q) &&
		    queue_filter_match(&c->filter, dir, &q.msg, c->now_s))
			fn(c, &q);
		arena_free(&arena);
		progress(c, ++n, all);
	}
	buf_free(&ids);
}

static void
walk(struct queue_command *c,
    void (*fn)(struct queue_command *, const struct queued *))
{
	static const enum queue_dir order[] = { Q_INCOMING, Q_ACTIVE,
	    Q_DEFERRED, Q_HOLD };

	c->progress_at = clock_steady_ms() + PROGRESS_MS;
	for (size_t i = 0; i < nitems(order); i++)
		if (c->filter.dirs == 0 || c->filter.dirs & 1U << order[i])
			walk_dir(c, order[i], fn);
	progress_end(c);
}

/* --- what is done with them --- */

static void
act(struct queue_command *c, const struct queued *q)
{
	if (!c->dry_run) {
		(void)superintend_act(&c->does, c->word->action, q->dir,
		    q->id);
		return;
	}
	progress_end(c);
	printf("would %s ", c->word->would);
	queue_print_line(c, q);
	c->shown++;
}

static void
act_on_id(struct queue_command *c, const char *id)
{
	enum queue_dir dir = queue_id_valid(str_of(id)) ?
	    queue_find(&c->does.queue, id) : Q__MAX;
	struct arena *arena = arena_new(ARENA_MAX);
	struct queued q;

	if (dir == Q__MAX)
		tool_warn(&c->p->tool, "%s: no such message", id);
	else if (c->dry_run && read_one(c, dir, id, arena, &q))
		act(c, &q);
	else if (!c->dry_run && !superintend_act(&c->does, c->word->action,
	    dir, id))
		tool_warn(&c->p->tool, "%s: is in %s: nothing to %s", id,
		    queue_dir_names[dir], c->word->would);
	arena_free(&arena);
}

static int
run_action(struct queue_command *c, char **ids)
{
	bool open = queue_filter_is_open(&c->filter);

	if (*ids != NULL ? !open || c->all : open && !c->all)
		usage();		/* nothing is ever all by mistake */
	for (; *ids != NULL; ids++)
		act_on_id(c, *ids);
	if (c->all || !open)
		walk(c, act);
	superintend_close(&c->does);
	if (c->dry_run)
		fprintf(stderr, "would %s %zu message%s\n", c->word->would,
		    c->shown, c->shown == 1 ? "" : "s");
	else
		superintend_total(&c->does, c->word->action);
	return 0;
}

static int
run_show(struct queue_command *c, char **ids)
{
	int status = 0;

	if (*ids == NULL)
		usage();
	for (; *ids != NULL; ids++) {
		enum queue_dir dir = queue_id_valid(str_of(*ids)) ?
		    queue_find(&c->does.queue, *ids) : Q__MAX;
		struct arena *arena = arena_new(ARENA_MAX);
		struct queued q;

		if (dir == Q__MAX || !read_one(c, dir, *ids, arena, &q)) {
			tool_warn(&c->p->tool, "%s: no such message", *ids);
			status = 1;
		} else {
			queue_print_whole(c, &q);
		}
		arena_free(&arena);
	}
	return status;
}

static int
run_word(struct queue_command *c, char **rest)
{
	if (c->word->acts)
		return run_action(c, rest);
	if (strcmp(c->word->word, "show") == 0)
		return run_show(c, rest);
	if (*rest != NULL)
		usage();
	if (strcmp(c->word->word, "shape") == 0) {
		c->shape = shape_new(10, 300, false);
		walk(c, queue_count_shape);
		queue_print_shape(c);
		shape_free(&c->shape);
		return 0;
	}
	queue_print_heading(c);
	walk(c, queue_print_line);
	queue_print_sum(c);
	return 0;
}

/* Options may stand anywhere; what is left are ids. */
static char **
read_options(struct queue_command *c, int argc, char **argv)
{
	char **ids = mem_new(((size_t)argc + 1) * sizeof(*ids));
	size_t n = 0;

	for (int i = 0; i < argc; i++) {
		struct str name = str_of(argv[i]);
		const char *wrong;

		if (!str_starts(name, STR("--"))) {
			ids[n++] = argv[i];
			continue;
		}
		name = str_from(name, 2);
		if (str_eq(name, STR("json"))) {
			c->json = true;
		} else if (str_eq(name, STR("all"))) {
			c->all = true;
		} else if (str_eq(name, STR("dry-run"))) {
			c->dry_run = true;
		} else {
			if (!queue_filter_knows(name) || argv[++i] == NULL)
				usage();
			wrong = queue_filter_set(&c->filter, name,
			    str_of(argv[i]));
			if (wrong != NULL)
				tool_fail(&c->p->tool, EX_USAGE,
				    "--" STRF " %s: %s", STRV(name), argv[i],
				    wrong);
		}
	}
	return ids;
}

int
postern_queue(struct postern *p, int argc, char **argv)
{
	struct queue_command c = { .p = p, .terminal = isatty(2) != 0,
		.now_s = clock_wall_s() };
	char **ids;
	int status;

	queue_filter_init(&c.filter);
	for (size_t i = 0; argc > 1 && i < nitems(words); i++)
		if (strcmp(argv[1], words[i].word) == 0)
			c.word = &words[i];
	if (c.word == NULL)
		usage();
	ids = read_options(&c, argc - 2, argv + 2);
	tool_conf(&p->tool, p->dir, EX_CONFIG);
	superintend_open(&c.does, &p->tool);
	status = run_word(&c, ids);
	mem_free(ids);
	if (fflush(stdout) != 0)
		status = EX_IOERR;
	return status;
}
