/*
 * qmgr - the index of slots: always the one that is due first, whatever is
 * put in, moved and taken out between; two heaps, one map. And how long mail
 * waits for its turn at a next host.
 */
#include <sys/stat.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
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

/* --- scans --- */

enum { FILES = 4500 };		/* more than one turn looks at */

static void
put_file(struct qmgr *q, unsigned i, int64_t due_s)
{
	const struct timespec due[2] = { { due_s, 0 }, { due_s, 0 } };
	char id[32];
	int fd;

	snprintf(id, sizeof(id), "%08X", i * 2654435761U);
	fd = queue_open_file(&q->queue, Q_DEFERRED, id, O_WRONLY | O_CREAT,
	    0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(futimens(fd, due), 0);
	close(fd);
}

static void
start_scan(struct qmgr *q, char *spool)
{
	const char *bad;
	char path[96];

	start(q);
	list_init(&q->asked);
	q->conf.maximal_backoff_time = 4000;
	assert_non_null(mkdtemp(spool));
	for (int d = 0; d < Q__MAX; d++) {
		snprintf(path, sizeof(path), "%s/%s", spool,
		    queue_dir_names[d]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(queue_open(&q->queue, spool, STR("deferred"), 1,
	    &bad), 0);
	for (unsigned i = 0; i < FILES; i++)
		put_file(q, i, clock_wall_s() + (i % 2 ? 1000 : 1000000));
}

static void
end_scan(struct qmgr *q, const char *spool)
{
	char cmd[128];

	while (q->deferred.n > 0) {
		struct slot *s = container_of(q->deferred.v[0], struct slot,
		    due);

		slot_unwait(q, s);
		slot_free(q, &s);
	}
	queue_close(&q->queue);
	stop(q);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", spool);
	assert_int_equal(system(cmd), 0);
}

/* How many wait until now, for a try later, and for one much later. */
static void
count_due(const struct qmgr *q, size_t due[3])
{
	int64_t now = clock_steady_ms();

	memset(due, 0, 3 * sizeof(due[0]));
	for (size_t i = 0; i < q->deferred.n; i++) {
		const struct slot *s = container_of(q->deferred.v[i],
		    struct slot, due);
		int64_t wait = s->due.key - now;

		assert_true(s->flush == (wait <= 0) && wait <= 4000 * 1000);
		due[wait <= 0 ? 0 : wait <= 1000 * 1000 ? 1 : 2]++;
	}
}

/* In portions; each is due at its mtime, but not later than any back-off. */
static void
test_scan(void **state)
{
	char spool[] = "/tmp/qmgr-test-XXXXXX";
	struct qmgr q;
	size_t due[3], before = 0, turns = 0;

	(void)state;
	start_scan(&q, spool);
	scan_again(&q);
	for (; scan_is_running(&q); turns++) {
		assert_true(q.deferred.n == FILES || turns == 0 ||
		    q.deferred.n > before);
		before = q.deferred.n;
		scan_more(&q);
	}
	assert_true(turns > 1);
	count_due(&q, due);
	assert_int_equal(due[0], 0);
	assert_int_equal(due[1], FILES / 2);
	assert_int_equal(due[2], FILES - FILES / 2);
	scan_again(&q);
	while (scan_is_running(&q))
		scan_more(&q);
	assert_int_equal(q.deferred.n, FILES);
	end_scan(&q, spool);
}

/* A flush amid a scan means all: what was found, what is yet to be, and what
 * came where the scan has been. */
static void
test_flush_amid_scan(void **state)
{
	char spool[] = "/tmp/qmgr-test-XXXXXX";
	struct qmgr q;
	size_t due[3];

	(void)state;
	start_scan(&q, spool);
	scan_again(&q);
	scan_more(&q);
	assert_in_range(q.deferred.n, 1, FILES - 1);
	scan_flush(&q);
	for (unsigned i = 0; i < 100; i++)
		put_file(&q, FILES + i, clock_wall_s() + 1000);
	while (scan_is_running(&q))
		scan_more(&q);
	count_due(&q, due);
	assert_int_equal(due[0], FILES + 100);
	put_file(&q, FILES + 100, clock_wall_s() + 1000);
	scan_again(&q);			/* and later ones are not meant */
	while (scan_is_running(&q))
		scan_more(&q);
	count_due(&q, due);
	assert_int_equal(due[1], 1);
	end_scan(&q, spool);
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
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_flush_amid_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
