/*
 * qmgr - the index of slots: always the one that is due first, whatever is
 * put in, moved and taken out between; two heaps, one map. And how long mail
 * waits for its turn at a next host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "qmgr/qmgr.h"

enum { SLOTS = 5000 };

static void
start(struct qmgr *q)
{
	memset(q, 0, sizeof(*q));
	q->slots = map_new();
}

static void
stop(struct qmgr *q)
{
	map_free(&q->slots);
	mem_free(q->incoming.v);
	mem_free(q->deferred.v);
}

static struct slot *
make(struct qmgr *q, unsigned i)
{
	char id[32];

	snprintf(id, sizeof(id), "%08X", i);
	assert_null(slot_get(q, str_of(id)));
	return slot_new(q, str_of(id));
}

static void
test_order(void **state)
{
	struct slot *all[SLOTS], *s;
	unsigned seed = 7;
	struct qmgr q;
	int64_t last = 0;
	size_t n = 0;

	(void)state;
	start(&q);
	for (unsigned i = 0; i < SLOTS; i++) {
		seed = seed * 1103515245 + 12345;
		all[i] = make(&q, i);
		slot_wait(&q, all[i], Q_DEFERRED, seed >> 8);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		seed = seed * 1103515245 + 12345;
		if (i % 3 == 0)		/* at another time */
			slot_wait(&q, all[i], Q_DEFERRED, seed >> 8);
		else if (i % 3 == 1)	/* not at all */
			slot_free(&q, &all[i]);
	}
	assert_int_equal(map_count(q.slots), q.deferred.n);
	while ((s = slot_first(&q.deferred)) != NULL) {
		assert_true(s->due.key >= last);
		assert_ptr_equal(slot_get(&q, str_of(s->id)), s);
		last = s->due.key;
		slot_free(&q, &s);
		n++;
	}
	assert_int_equal(n, SLOTS - (SLOTS + 1) / 3);
	assert_int_equal(map_count(q.slots), 0);
	stop(&q);
}

static void
test_folders(void **state)
{
	struct slot *s;
	struct qmgr q;

	(void)state;
	start(&q);
	s = make(&q, 1);
	slot_wait(&q, s, Q_DEFERRED, 10);
	assert_int_equal(q.deferred.n, 1);
	slot_wait(&q, s, Q_INCOMING, 10);	/* moves */
	assert_int_equal(q.deferred.n, 0);
	assert_int_equal(q.incoming.n, 1);
	slot_unwait(&q, s);
	slot_unwait(&q, s);			/* twice is harmless */
	assert_int_equal(q.incoming.n, 0);
	assert_ptr_equal(slot_get(&q, STR("00000001")), s);
	slot_free(&q, &s);
	assert_null(slot_get(&q, STR("00000001")));
	stop(&q);
}

/* DESIGN: 50,000 deferred messages must cost little memory. */
static void
test_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct slot) + sizeof("4FdvXy1VZWz9fW9") <= 64);
}

/* A jump of ten years ahead ages no mail that was there; new mail ages. */
static void
test_age(void **state)
{
	static const int64_t years = 10LL * 365 * 86400 * 1000000;
	int64_t now = clock_wall_us();
	struct qmgr q;

	(void)state;
	start(&q);
	age_start(&q);
	assert_int_equal(age_s(&q, now - 7000000), 7);
	q.wall0_us -= years;		/* as if the wall clock had leapt */
	assert_in_range(age_s(&q, now - years - 7000000), 6, 9);
	assert_in_range(age_s(&q, now - 5000000), 4, 7);
	assert_int_equal(age_s(&q, now + 3600LL * 1000000), 0);
	q.wall0_us += years;		/* and back */
	assert_in_range(age_s(&q, now - 7000000), 6, 9);
	stop(&q);
}

/* Rounds of what stands before it, here and in the whole transport. */
static void
test_early_wait(void **state)
{
	static const struct {
		unsigned window, busy; size_t waiting;
		unsigned all_max, all_busy; size_t all_waiting;
		int takes_ms;		/* of one that takes 8 */
	} t[] = {
		{ 20, 0, 0, 100, 0, 0, 8 },
		{ 20, 19, 0, 100, 19, 0, 8 },
		{ 20, 20, 3, 100, 20, 3, 9 },
		{ 20, 20, 19, 100, 20, 19, 16 },
		{ 20, 20, 179, 100, 20, 179, 80 },
		{ 1, 1, 0, 100, 1, 0, 16 },
		{ 5, 0, 0, 100, 100, 199, 24 },	/* others are before it */
		{ 5, 0, 0, 0, 5000, 5000, 8 },	/* no limit */
	};
	struct transport tr = { .name = NULL };
	struct dest d = { .transport = &tr };

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		d.window = t[i].window;
		d.busy = t[i].busy;
		d.waiting = t[i].waiting;
		tr.limits.process_max = t[i].all_max;
		tr.busy = t[i].all_busy;
		tr.waiting = t[i].all_waiting;
		assert_int_equal((int)early_takes_ms(&d, 8), t[i].takes_ms);
	}
	d.paused = true;
	assert_true(early_takes_ms(&d, 8) > 1e9);
	d.paused = false;
	tr.held = true;
	assert_true(early_takes_ms(&d, 8) > 1e9);
	tr.held = false;
	tr.paused_until = 1;
	assert_true(early_takes_ms(&d, 8) > 1e9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_early_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
