/*
 * showq_print - the queue as mailq and postqueue -j show it.
 *
 * Byte for byte as Postfix prints it: scripts and monitors read columns.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "tools/json.h"
#include "tools/showq_print.h"

#define ENTRY_MEMORY	((size_t)1 << 30)
#define LINE_MAX_BYTES	(8 * SHOWQ_VALUE_MAX)
#define REASON_END	76	/* column where "(reason)" ends */
#define ASCTIME_MAX	64

/* Headings for short ids and, wide, for long ones. */
static const char *const headings[2][4] = {
	{ "-Queue ID-", "--Size--", "----Arrival Time----",
	    "-Sender/Recipient-------" },
	{ "----Queue ID-----", "--Size--", "---Arrival Time----",
	    "--Sender/Recipient------" },
};

struct printer {
	struct showq_reader *reader;
	struct arena	    *arena;	/* of one message */
	bool		     wide;
	int		     failed;	/* errno of standard output */
};

static void
say(struct printer *p, int result)
{
	if (result < 0 && p->failed == 0)
		p->failed = errno != 0 ? errno : EIO;
}

static void
print_columns(struct printer *p, const char *a, const char *b, const char *c,
    const char *d)
{
	say(p, p->wide ? printf("%-17s %8s %-19s %s\n", a, b, c, d) :
	    printf("%-11s %7s %-20s %s\n", a, b, c, d));
}

/* "Sun Nov 22 06:53:12 2026", as asctime() without its line end. */
static void
format_time(int64_t when_s, char text[ASCTIME_MAX])
{
	time_t t = (time_t)when_s;
	struct tm tm;

	text[0] = '\0';
	if (localtime_r(&t, &tm) != NULL)
		(void)strftime(text, ASCTIME_MAX, "%a %b %e %H:%M:%S %Y", &tm);
}

static void
print_sender(struct printer *p, const struct showq_message *m)
{
	const char *mark = str_eq(m->queue_name, STR("active")) ? "*" :
	    str_eq(m->queue_name, STR("hold")) ? "!" : "";
	const char *id = arena_printf(p->arena, STRF "%s%s",
	    STRV(m->queue_id), mark, m->forced_expire ? "#" : "");
	char when[ASCTIME_MAX];

	format_time(m->time_s, when);
	say(p, p->wide ?
	    printf("%-17s %8lld %19.19s " STRF "\n", id, (long long)m->size,
		when, STRV(m->sender)) :
	    printf("%-11s %7lld %20.20s " STRF "\n", id, (long long)m->size,
		when, STRV(m->sender)));
}

/* The reason stands above the first of those who share it. */
static bool
print_rcpts(struct printer *p)
{
	struct str before = STR(""), shown;
	struct showq_rcpt r;
	enum showq_item item;
	struct arena *kept = NULL;

	while ((item = showq_read_rcpt(p->reader, p->arena, &r)) ==
	    SHOWQ_ITEM) {
		if (!str_eq(before, r.reason)) {
			arena_free(&kept);
			kept = arena_new(ENTRY_MEMORY);
			before = arena_str(kept, r.reason);
			shown = before.n > 0 ? before :
			    STR("reason unavailable");
			say(p, printf("%*s(" STRF ")\n", shown.n < REASON_END ?
			    REASON_END - (int)shown.n : 0, "", STRV(shown)));
		}
		print_columns(p, "", "", "", arena_cstr(p->arena, r.address));
		if (arena_used(p->arena) > LINE_MAX_BYTES) {
			arena_free(&p->arena);
			p->arena = arena_new(ENTRY_MEMORY);
		}
	}
	arena_free(&kept);
	return item == SHOWQ_END;
}

static enum showq_print
result(const struct printer *p, bool well_formed)
{
	if (fflush(stdout) != 0 || p->failed != 0) {
		int err = p->failed != 0 ? p->failed : errno;

		errno = err;
		return err == EPIPE ? PRINT_PIPE : PRINT_ERROR;
	}
	return well_formed ? PRINT_OK : PRINT_MALFORMED;
}

enum showq_print
showq_print_mailq(struct showq_reader *reader, bool wide)
{
	const char *const *heading = headings[wide];
	struct printer p = { .reader = reader, .wide = wide };
	struct showq_message m;
	unsigned long files = 0;
	uint64_t bytes = 0;
	bool good = showq_read_start(reader), more = good;

	while (more && p.failed == 0) {
		enum showq_item item;

		p.arena = arena_new(ENTRY_MEMORY);
		item = showq_read_message(reader, p.arena, &m);
		good = item != SHOWQ_BAD;
		more = item == SHOWQ_ITEM;
		if (more) {
			if (files++ > 0)
				say(&p, printf("\n"));
			else
				print_columns(&p, heading[0], heading[1],
				    heading[2], heading[3]);
			print_sender(&p, &m);
			bytes += (uint64_t)m.size;
			good = more = print_rcpts(&p);
		}
		arena_free(&p.arena);
	}
	if (good && files == 0)
		say(&p, printf("Mail queue is empty\n"));
	else if (good)
		say(&p, printf("\n-- %llu Kbytes in %lu Request%s.\n",
		    (unsigned long long)(bytes / 1024), files,
		    files == 1 ? "" : "s"));
	return result(&p, good);
}

static void
json_text(struct buf *line, const char *name, struct str value)
{
	buf_printf(line, "\"%s\": \"", name);
	json_escape(value, line);
	buf_putc(line, '"');
}

static void
json_flush(struct printer *p, struct buf *line)
{
	if (fwrite(line->p, 1, line->n, stdout) != line->n)
		say(p, -1);
	buf_clear(line);
}

static bool
json_message(struct printer *p, const struct showq_message *m,
    struct buf *line)
{
	struct showq_rcpt r;
	enum showq_item item;
	const char *gap = "";

	buf_putc(line, '{');
	json_text(line, "queue_name", m->queue_name);
	buf_puts(line, ", ");
	json_text(line, "queue_id", m->queue_id);
	buf_printf(line, ", \"arrival_time\": %lld, \"message_size\": %lld, "
	    "\"forced_expire\": %s, ", (long long)m->time_s,
	    (long long)m->size, m->forced_expire ? "true" : "false");
	json_text(line, "sender", m->sender);
	buf_puts(line, ", \"recipients\": [");
	while ((item = showq_read_rcpt(p->reader, p->arena, &r)) ==
	    SHOWQ_ITEM) {
		buf_printf(line, "%s{", gap);
		gap = ", ";
		json_text(line, "address", r.address);
		if (r.reason.n > 0) {
			buf_puts(line, ", ");
			json_text(line, "delay_reason", r.reason);
		}
		buf_putc(line, '}');
		json_flush(p, line);
		arena_free(&p->arena);
		p->arena = arena_new(ENTRY_MEMORY);
	}
	buf_puts(line, "]}\n");
	json_flush(p, line);
	return item == SHOWQ_END;
}

enum showq_print
showq_print_json(struct showq_reader *reader)
{
	struct printer p = { .reader = reader };
	struct showq_message m;
	struct buf line;
	bool good = showq_read_start(reader), more = good;

	buf_init(&line, 2 * LINE_MAX_BYTES);
	while (more && p.failed == 0) {
		enum showq_item item;

		p.arena = arena_new(ENTRY_MEMORY);
		item = showq_read_message(reader, p.arena, &m);
		good = item != SHOWQ_BAD;
		more = item == SHOWQ_ITEM;
		if (more)
			good = more = json_message(&p, &m, &line);
		arena_free(&p.arena);
	}
	buf_free(&line);
	return result(&p, good);
}
