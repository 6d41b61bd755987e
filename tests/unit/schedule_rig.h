/*
 * schedule_rig - messages, destinations and their ends for the tests of the
 * schedule.
 */
#ifndef SCHEDULE_RIG_H
#define SCHEDULE_RIG_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "qmgr/schedule.h"

static const struct schedule_limits usual = {
	.process_max = 100, .window_first = 5, .window_max = 20,
	.rcpt_max = 50, .cohort_max = 1, .positive = { 1, BY_NOTHING },
	.negative = { 1, BY_NOTHING }, .rest_ms = 300000,
	.slot_cost = 5, .small_max = 3,
};

/* A message. Owners of a test are one sender unless they say otherwise. */
struct owner { struct mail mail; unsigned *seen; };

static void
owner_from(struct owner *o, const char *sender)
{
	mail_init(&o->mail, o, str_of(sender));
	o->seen = NULL;
}

static void
owner_init(struct owner *o, unsigned *seen)
{
	owner_from(o, "sender@here.example");
	o->seen = seen;
}

static struct dest *
dest_named(struct schedule *s, const char *transport, const char *key,
    const struct schedule_limits *l, int64_t now)
{
	struct transport *t = schedule_transport(s, str_of(transport));

	if (t == NULL)
		t = schedule_add_transport(s, str_of(transport), l, NULL);
	return schedule_dest(t, str_of(key), str_of(key), now);
}

static void
add(struct dest *d, struct owner *o, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		schedule_add(d, &o->mail, first + i);
}

static bool
done(struct portion *p, enum outcome outcome, int64_t now)
{
	struct dest *d = p->job->dest;
	bool was_dead = dest_dead(d), died;

	schedule_judge(p, outcome, now, STR("4.4.1"), STR("why"));
	died = !was_dead && dest_dead(d);
	schedule_done(p, true, now);
	return died;
}

static bool
take_dying(struct schedule *s, struct portion *p)
{
	struct str dsn, why;

	return schedule_take_dying(s, p, &dsn, &why);
}
#endif
