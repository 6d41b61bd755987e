/*
 * postern trace - the story of a message: from the logs, then the queue.
 *
 *   postern trace [--json] [--log FILE]... ID | MESSAGE-ID | ADDRESS
 *
 * First the ids that the logs name with what is looked for, then what came
 * of these: reports, forwards, requeued copies; until no new one is found.
 * The lines come in the order of the logs. Without --log: maillog_file, or
 * where syslog puts mail's lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/json.h"
#include "tools/trace.h"

#define PASSES_MAX	20	/* generations of reports and forwards */
#define IDS_MAX		100000
#define LINE_MEMORY	((size_t)16 << 20)
#define FILE_MEMORY	((size_t)1 << 32)

struct trace {
	struct postern	 *p;
	struct str	  what;
	struct trace_logs logs;
	struct map	 *ids;		/* those that belong to the story */
	size_t		  before;	/* of them at the last pass */
	bool		  json, print;
	size_t		  printed;
};

static void
know(struct trace *t, struct str id)
{
	if (id.n > 0 && map_count(t->ids) < IDS_MAX)
		(void)map_set(t->ids, id, t);
}

/* --- a line for people, a line for programs --- */

static void
print_json(const struct trace_line *l)
{
	const struct { const char *name; struct str value; } fields[] = {
		{ "time", l->time }, { "host", l->host },
		{ "program", l->program }, { "queue_id", l->qid },
		{ "event", str_of(trace_event_names[l->event]) },
		{ "text", l->text },
	};
	struct buf b, shown;

	buf_init(&b, LINE_MEMORY);
	for (size_t i = 0; i < nitems(fields); i++) {
		buf_init(&shown, LINE_MEMORY);
		log_escape(fields[i].value, &shown);
		buf_printf(&b, "%s\"%s\": \"", i == 0 ? "{" : ", ",
		    fields[i].name);
		json_escape(buf_view(&shown), &b);
		buf_putc(&b, '"');
		buf_free(&shown);
	}
	buf_puts(&b, "}\n");
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
}

static void
print_text(const struct trace_line *l)
{
	struct buf b;

	buf_init(&b, LINE_MEMORY);
	log_escape(l->time, &b);
	buf_puts(&b, "  ");
	log_escape(l->qid, &b);
	buf_printf(&b, "  %-10s ", trace_event_names[l->event]);
	log_escape(l->program, &b);
	buf_puts(&b, ": ");
	log_escape(l->text, &b);
	buf_putc(&b, '\n');
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
}

/* --- the passes --- */

static void
on_line(void *ctx, struct str text)
{
	struct arena *arena = arena_new(LINE_MEMORY);
	struct trace *t = ctx;
	struct trace_line l;

	if (trace_line_parse(text, arena, &l)) {
		if (trace_line_names(&l, t->what))
			know(t, l.qid);
		if (map_get(t->ids, l.qid) != NULL) {
			know(t, l.next);
			if (t->print && t->json)
				print_json(&l);
			else if (t->print)
				print_text(&l);
			t->printed += t->print;
		} else if (l.event == TRACE_SUBMITTED && l.next.n > 0 &&
		    map_get(t->ids, l.next) != NULL) {
			know(t, l.qid);	/* requeued under a new name */
		}
	}
	arena_free(&arena);
}

static void
pass(struct trace *t)
{
	for (size_t i = 0; i < t->logs.n; i++) {
		int err = trace_log_read(t->logs.v[i].path, on_line, t);

		if (err != 0 && !t->print)
			tool_warn(&t->p->tool, "%s: %s", t->logs.v[i].path,
			    strerror(err));
	}
}

static void
follow(struct trace *t)
{
	for (int n = 0; n < PASSES_MAX; n++) {
		pass(t);
		if (map_count(t->ids) == t->before)
			break;
		t->before = map_count(t->ids);
	}
	t->print = true;
	pass(t);
}

/* --- where its messages are now --- */

/* A file that holds a message, not one that is emptied for the next. */
static bool
is_message(const struct queue *queue, enum queue_dir dir, const char *id)
{
	int fd = queue_open_file(queue, dir, id, O_RDONLY, 0);
	struct arena *arena = arena_new(FILE_MEMORY);
	struct queue_message m;
	enum queue_result r = fd < 0 ? QUEUE_GONE :
	    queue_read(fd, arena, false, &m);

	fd_close(&fd);
	arena_free(&arena);
	return r == QUEUE_OK || r == QUEUE_BAD;
}

static void
print_queue(struct trace *t)
{
	struct queue queue;
	const char *bad;
	struct str id;
	size_t pos = 0;
	void *value;
	int err = queue_open(&queue, tool_param(&t->p->tool,
	    "queue_directory"), conf_get(t->p->tool.conf, "hash_queue_names"),
	    (unsigned)conf_number(t->p->tool.conf, "hash_queue_depth"), &bad);

	if (err != 0)
		return;			/* not ours to read */
	while (map_next(t->ids, &pos, &id, &value)) {
		char name[QUEUE_ID_MAX + 1] = "";
		enum queue_dir dir;

		memcpy(name, id.p, id.n < QUEUE_ID_MAX ? id.n : QUEUE_ID_MAX);
		dir = queue_find(&queue, name);
		if (dir == Q__MAX || !is_message(&queue, dir, name))
			continue;
		t->printed++;
		printf(t->json ? "{\"queue_id\": \"%s\", \"event\": \"in "
		    "queue\", \"queue_name\": \"%s\"}\n" : "now  %s  is in "
		    "%s\n", name, queue_dir_names[dir]);
	}
	queue_close(&queue);
}

static _Noreturn void
usage(void)
{
	fputs("usage: postern [-c config_dir] trace [--json] [--log FILE]... "
	    "ID | MESSAGE-ID | ADDRESS\n", stderr);
	exit(EX_USAGE);
}

static void
find_logs(struct trace *t)
{
	static const char *const usual[] = { "/var/log/mail.log",
	    "/var/log/maillog", "/var/log/syslog" };
	const char *file = tool_param(&t->p->tool, "maillog_file");

	if (t->logs.n > 0)
		return;
	if (*file != '\0' && strcmp(file, "/dev/stdout") != 0)
		trace_logs_find(&t->logs, t->p->tool.arena, file);
	for (size_t i = 0; t->logs.n == 0 && i < nitems(usual); i++)
		if (access(usual[i], R_OK) == 0)
			trace_logs_find(&t->logs, t->p->tool.arena, usual[i]);
	if (t->logs.n == 0)
		tool_fail(&t->p->tool, EX_NOINPUT, "no mail log is found: "
		    "name it with --log FILE");
}

int
postern_trace(struct postern *p, int argc, char **argv)
{
	struct trace t = { .p = p, .ids = map_new() };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			t.json = true;
		else if (strcmp(argv[i], "--log") == 0 && i + 1 < argc)
			trace_logs_add(&t.logs, argv[++i]);
		else if (argv[i][0] == '-' || t.what.n > 0)
			usage();
		else
			t.what = str_of(argv[i]);
	}
	if (t.what.n == 0)
		usage();
	tool_conf(&p->tool, p->dir, EX_CONFIG);
	find_logs(&t);
	if (queue_id_valid(t.what))
		know(&t, t.what);
	follow(&t);
	print_queue(&t);
	trace_logs_free(&t.logs);
	map_free(&t.ids);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	if (t.printed == 0)
		fprintf(stderr, "postern: nothing is known of %s\n",
		    t.what.p);
	return t.printed > 0 ? 0 : 1;
}
