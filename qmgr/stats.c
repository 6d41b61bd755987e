/*
 * stats - transports and their busiest destinations, as a table to read.
 *
 * Counts are since qmgr's start; a destination's since it last was idle.
 * `postern status` shows it. qmgr runs it.
 */
#include <inttypes.h>
#include <stdio.h>
#include "qmgr/qmgr.h"

#define SHOWN_MAX	20	/* destinations */
#define NAME_MAX_SHOWN	200	/* bytes of a name or a reason */

struct top {
	const struct dest *v[SHOWN_MAX];
	size_t		   n, all;
};

static size_t
weight(const struct dest *d)
{
	return d->waiting + d->busy;
}

/* Into its place among the busiest; the last one falls out. */
static void
consider(struct top *top, const struct dest *d)
{
	size_t at = top->n < SHOWN_MAX ? top->n++ : SHOWN_MAX;

	top->all++;
	for (; at > 0 && weight(top->v[at - 1]) < weight(d); at--)
		if (at < SHOWN_MAX)
			top->v[at] = top->v[at - 1];
	if (at < SHOWN_MAX)
		top->v[at] = d;
}

static void
consider_all(void *ctx, struct transport *t)
{
	size_t pos = 0;
	struct str key;
	void *d;

	while (map_next(t->dests, &pos, &key, &d))
		consider(ctx, d);
}

static void
print_counts(struct buf *b, const struct schedule_stats *s)
{
	buf_printf(b, " %10" PRIu64 " %10" PRIu64 " %8" PRIu64, s->deliveries,
	    s->rcpts, s->failed);
}

static void
print_limited(struct buf *b, unsigned n, unsigned limit)
{
	char text[32];

	if (limit > 0)
		snprintf(text, sizeof(text), "%u/%u", n, limit);
	else
		snprintf(text, sizeof(text), "%u", n);
	buf_printf(b, " %9s", text);
}

static void
print_rest(struct buf *b, int64_t until_ms, const char *why)
{
	int64_t s = (until_ms - clock_steady_ms() + 999) / 1000;
	struct buf shown;

	buf_init(&shown, 16 * NAME_MAX_SHOWN);
	log_escape(str_first(str_of(why), NAME_MAX_SHOWN), &shown);
	buf_printf(b, "  rests %" PRId64 "s: " STRF, s > 0 ? s : 0,
	    STRV(buf_view(&shown)));
	buf_free(&shown);
}

static void
print_transport(void *ctx, struct transport *t)
{
	const struct mail_transport *mt = t->user;
	struct buf *b = ctx;

	buf_printf(b, "%-22s", t->name);
	print_limited(b, t->busy, t->limits.process_max);
	buf_printf(b, " %9zu", t->waiting);
	print_counts(b, &t->stats);
	if (t->dead_until != 0)
		print_rest(b, t->dead_until, t->why);
	else if (mt->deferred)
		buf_puts(b, "  deferred");
	else if (t->held)
		buf_puts(b, "  waits for its process");
	else if (t->paused_until != 0)
		buf_puts(b, "  pauses");
	buf_putc(b, '\n');
}

static void
print_dest(struct buf *b, const struct dest *d)
{
	struct buf shown;

	buf_init(&shown, 16 * NAME_MAX_SHOWN);
	log_escape(str_first(str_of(d->nexthop), NAME_MAX_SHOWN), &shown);
	buf_printf(b, "%-22.*s", STRV(buf_view(&shown)));
	buf_free(&shown);
	print_limited(b, d->busy, d->window);
	buf_printf(b, " %9zu", d->waiting);
	print_counts(b, &d->stats);
	if (dest_dead(d))
		print_rest(b, d->dead_until, d->why);
	else if (d->paused)
		buf_puts(b, "  pauses");
	buf_printf(b, "%s%s\n", "  by ", d->transport->name);
}

void
stats_print(struct qmgr *q, struct buf *b)
{
	struct top top = { .n = 0 };

	buf_printf(b, "%-22s %9s %9s %10s %10s %8s  state\n", "transport",
	    "under way", "waiting", "deliveries", "recipients", "failed");
	schedule_each_transport(q->schedule, print_transport, b);
	schedule_each_transport(q->schedule, consider_all, &top);
	if (top.all == 0)
		return;
	buf_printf(b, "%-22s %9s %9s %10s %10s %8s  state\n", "destination",
	    "under way", "waiting", "deliveries", "recipients", "failed");
	for (size_t i = 0; i < top.n; i++)
		print_dest(b, top.v[i]);
	if (top.all > top.n)
		buf_printf(b, "and %zu more\n", top.all - top.n);
}
