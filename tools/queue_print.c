/*
 * queue_print - messages of the queue, for people and (--json) for programs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "address/address.h"
#include "tools/json.h"
#include "tools/postern_queue.h"

#define LINE_BYTES ((size_t)1 << 30)

static void
put_line(struct buf *b)
{
	buf_putc(b, '\n');
	fwrite(b->p, 1, b->n, stdout);
	buf_free(b);
}

/* Printable, and as a header would show it; <> for none. */
static void
put_address(struct buf *b, struct str addr)
{
	struct buf quoted;

	if (addr.n == 0) {
		buf_puts(b, "<>");
		return;
	}
	buf_init(&quoted, 4 * ADDRESS_MAX);
	address_quote_822(addr, &quoted);
	log_escape(buf_view(&quoted), b);
	buf_free(&quoted);
}

/* "45s", "12m", "3h", "5d". */
static void
put_age(struct buf *b, int64_t s)
{
	static const struct { int64_t below, unit; char letter; } t[] = {
		{ 120, 1, 's' }, { 7200, 60, 'm' }, { 172800, 3600, 'h' },
		{ INT64_MAX, 86400, 'd' },
	};
	size_t i = 0;

	while (s >= t[i].below)
		i++;
	buf_printf(b, "%" PRId64 "%c", (s < 0 ? 0 : s) / t[i].unit,
	    t[i].letter);
}

static void
put_time(struct buf *b, int64_t when_s)
{
	char text[64] = "?";
	time_t t = (time_t)when_s;
	struct tm tm;

	if (localtime_r(&t, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	buf_puts(b, text);
}

static int64_t
age(const struct queue_command *c, const struct queued *q)
{
	return c->now_s - q->msg.arrival_us / 1000000;
}

/* --- JSON --- */

static void
json_text(struct buf *b, const char *name, struct str value)
{
	struct buf shown;

	buf_init(&shown, LINE_BYTES);
	log_escape(value, &shown);
	buf_printf(b, "\"%s\": \"", name);
	json_escape(buf_view(&shown), b);
	buf_puts(b, "\"");
	buf_free(&shown);
}

static void
json_rcpt(struct buf *b, const struct queue_rcpt *r, bool whole)
{
	static const char *const states[] = { "todo", "deferred", "sent",
	    "bounced", "reported" };

	buf_putc(b, '{');
	json_text(b, "address", r->address);
	if (r->status == RCPT_DEFERRED) {
		buf_puts(b, ", ");
		json_text(b, "delay_reason", r->text);
	}
	if (r->original.n > 0) {
		buf_puts(b, ", ");
		json_text(b, "original", r->original);
	}
	if (whole) {
		buf_printf(b, ", \"status\": \"%s\", \"tries\": %u, "
		    "\"last_try\": %" PRId64 ", ", r->status < nitems(states) ?
		    states[r->status] : "?", r->tries, r->tried_s);
		json_text(b, "dsn", r->dsn);
		buf_puts(b, ", ");
		json_text(b, "text", r->text);
		buf_puts(b, ", ");
		json_text(b, "transport", r->transport);
	}
	buf_putc(b, '}');
}

/* postqueue -j's object, and more. */
static void
json_message(const struct queue_command *c, const struct queued *q,
    bool whole)
{
	const char *gap = "";
	struct buf b;

	buf_init(&b, LINE_BYTES);
	buf_printf(&b, "{\"queue_name\": \"%s\", \"queue_id\": \"%s\", "
	    "\"arrival_time\": %" PRId64 ", \"message_size\": %" PRIu64
	    ", \"forced_expire\": %s, ", queue_dir_names[q->dir], q->id,
	    q->msg.arrival_us / 1000000, q->msg.size,
	    q->st.st_mode & S_IXGRP ? "true" : "false");
	json_text(&b, "sender", q->msg.sender);
	buf_printf(&b, ", \"age\": %" PRId64, age(c, q));
	if (q->dir == Q_DEFERRED)
		buf_printf(&b, ", \"next_try\": %" PRId64,
		    (int64_t)q->st.st_mtime);
	buf_puts(&b, ", \"recipients\": [");
	for (size_t i = 0; i < q->msg.nrcpts; i++) {
		if (!whole && !queue_rcpt_waits(&q->msg.rcpts[i]))
			continue;
		buf_puts(&b, gap);
		gap = ", ";
		json_rcpt(&b, &q->msg.rcpts[i], whole);
	}
	buf_puts(&b, "]}");
	put_line(&b);
}

/* --- for people --- */

void
queue_print_heading(struct queue_command *c)
{
	if (!c->json)
		printf("%-17s %-9s %5s %9s  %s\n", "id", "queue", "age",
		    "size", "sender > recipients that wait: why");
}

static void
put_waiting(struct buf *b, const struct queued *q)
{
	const struct queue_rcpt *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < q->msg.nrcpts; i++)
		if (queue_rcpt_waits(&q->msg.rcpts[i]) && n++ == 0)
			first = &q->msg.rcpts[i];
	if (first == NULL)
		return;
	put_address(b, first->address);
	if (n > 1)
		buf_printf(b, " and %zu more", n - 1);
	if (first->text.n > 0) {
		buf_puts(b, ": ");
		log_escape(str_first(first->text, 200), b);
	}
}

void
queue_print_line(struct queue_command *c, const struct queued *q)
{
	struct buf b, when;

	c->shown += c->dry_run ? 0 : 1;
	c->bytes += q->msg.size;
	if (c->json) {
		json_message(c, q, false);
		return;
	}
	buf_init(&b, LINE_BYTES);
	buf_init(&when, 64);
	put_age(&when, age(c, q));
	buf_printf(&b, "%-17s %-9s %5s %9" PRIu64 "  ", q->id,
	    queue_dir_names[q->dir], buf_cstr(&when), q->msg.size);
	put_address(&b, q->msg.sender);
	buf_puts(&b, " > ");
	put_waiting(&b, q);
	put_line(&b);
	buf_free(&when);
}

void
queue_print_sum(struct queue_command *c)
{
	if (!c->json)
		printf("%zu message%s, %" PRIu64 " bytes\n", c->shown,
		    c->shown == 1 ? "" : "s", c->bytes);
}

static void
print_rcpt(const struct queue_rcpt *r)
{
	static const char *const states[] = { "waits", "deferred", "sent",
	    "bounced", "reported" };
	struct buf b;

	buf_init(&b, LINE_BYTES);
	buf_puts(&b, "  to      ");
	put_address(&b, r->address);
	if (r->original.n > 0) {
		buf_puts(&b, " (was ");
		put_address(&b, r->original);
		buf_putc(&b, ')');
	}
	put_line(&b);
	buf_init(&b, LINE_BYTES);
	buf_printf(&b, "          %s", r->status < nitems(states) ?
	    states[r->status] : "?");
	if (r->tries > 0) {
		buf_printf(&b, ", %u tr%s, the last at ", r->tries,
		    r->tries == 1 ? "y" : "ies");
		put_time(&b, r->tried_s);
		buf_puts(&b, ": ");
		log_escape(r->dsn, &b);
		buf_putc(&b, ' ');
		log_escape(r->text, &b);
	}
	put_line(&b);
}

void
queue_print_whole(struct queue_command *c, const struct queued *q)
{
	struct buf b;

	if (c->json) {
		json_message(c, q, true);
		return;
	}
	buf_init(&b, LINE_BYTES);
	buf_printf(&b, "%s  in %s%s, %" PRIu64 " bytes\n  arrived ", q->id,
	    queue_dir_names[q->dir], q->st.st_mode & S_IXGRP ?
	    ", to be returned" : "", q->msg.size);
	put_time(&b, q->msg.arrival_us / 1000000);
	buf_puts(&b, " (");
	put_age(&b, age(c, q));
	buf_puts(&b, " ago)\n");
	if (q->dir == Q_DEFERRED) {
		buf_puts(&b, "  next    ");
		put_time(&b, q->st.st_mtime);
		buf_putc(&b, '\n');
	}
	if (q->msg.warned_s != 0) {
		buf_puts(&b, "  warned  ");
		put_time(&b, q->msg.warned_s);
		buf_putc(&b, '\n');
	}
	buf_puts(&b, "  from    ");
	put_address(&b, q->msg.sender);
	put_line(&b);
	for (size_t i = 0; i < q->msg.nrcpts; i++)
		print_rcpt(&q->msg.rcpts[i]);
}

/* --- by domain and age --- */

void
queue_count_shape(struct queue_command *c, const struct queued *q)
{
	for (size_t i = 0; i < q->msg.nrcpts; i++)
		if (queue_rcpt_waits(&q->msg.rcpts[i]))
			shape_add(c->shape,
			    address_domain(q->msg.rcpts[i].address),
			    age(c, q));
}

static void
shape_json(const struct shape_row *r, unsigned nbuckets)
{
	struct buf b;

	buf_init(&b, LINE_BYTES);
	buf_putc(&b, '{');
	json_text(&b, "domain", r->site);
	buf_printf(&b, ", \"total\": %" PRIu64 ", \"by_age\": [", r->total);
	for (unsigned i = 0; i < nbuckets; i++)
		buf_printf(&b, "%s%" PRIu64, i > 0 ? ", " : "", r->by_age[i]);
	buf_puts(&b, "]}");
	put_line(&b);
}

/* As qshape(1) prints it: minutes. */
void
queue_print_shape(struct queue_command *c)
{
	enum { BUCKETS = 10, WIDTH = 40 };
	size_t n;
	const struct shape_row *rows = shape_rows(c->shape, &n);

	if (!c->json) {
		printf("%*s %6s", WIDTH, "", "T");
		for (unsigned i = 0; i + 1 < BUCKETS; i++)
			printf(" %5" PRId64, shape_edge_s(c->shape, i) / 60);
		printf(" %4" PRId64 "+\n", shape_edge_s(c->shape,
		    BUCKETS - 2) / 60);
	}
	for (size_t i = 0; i < n; i++) {
		struct buf b;

		if (c->json) {
			shape_json(&rows[i], BUCKETS);
			continue;
		}
		buf_init(&b, LINE_BYTES);
		log_escape(rows[i].site, &b);
		printf("%*s %6" PRIu64, WIDTH, buf_cstr(&b), rows[i].total);
		for (unsigned k = 0; k < BUCKETS; k++)
			printf(" %5" PRIu64, rows[i].by_age[k]);
		putchar('\n');
		buf_free(&b);
	}
}
