/*
 * schedule_sim - the queue played with up to a million messages, no clock.
 *
 * A hundred destinations: one is dead, one slow, 98 are fast. The model has
 * what qmgr has: a heap of what waits, an active limit, the schedule, a
 * back-off for what is put off. Costs are counted in moves within heaps and
 * in what is alive at once, never in time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "qmgr/schedule.h"

enum {
	DESTS = 100, DEAD = 7, SLOW = 42, SENDERS = 1000, ACTIVE = 20000,
	FLIGHTS = 100, FAST_MS = 100, SLOW_MS = 30000, TIMEOUT_MS = 30000,
	BACK_OFF_MS = 300000,
};

static const struct schedule_limits limits = {
	.process_max = FLIGHTS, .window_first = 5, .window_max = 20,
	.rcpt_max = 50, .cohort_max = 1, .positive = { 1, BY_NOTHING },
	.negative = { 1, BY_NOTHING }, .rest_ms = BACK_OFF_MS,
	.slot_cost = 5, .small_max = 3,
};

struct item {			/* a message, active or waiting */
	struct mail	 mail;
	struct heap_node due;
	struct list	 link;	/* of those not in use */
	char		 sender[24];
	size_t		 dest;
};

struct flight { struct heap_node ends; struct portion p; };

struct sim {
	struct schedule	 *s;
	struct transport *smtp;
	size_t		  n, come, nactive, most_active, fast_left, sent;
	size_t		  put_off, rest, items;
	bool		  alone;	/* without the dead and the slow */
	struct heap	  deferred, air;
	uint64_t	  steps;	/* of those two */
	struct flight	  flights[FLIGHTS];
	struct list	  unused;
	int64_t		  now, fast_done;
};

static bool
is_fast(size_t dest)
{
	return dest != DEAD && dest != SLOW;
}

static struct item *
item_new(struct sim *sim, size_t i)
{
	struct item *it;

	if (list_empty(&sim->unused)) {
		it = mem_new(sizeof(*it));
		sim->items++;
	} else {
		it = container_of(sim->unused.next, struct item, link);
		list_remove(&it->link);
		*it = (struct item){ .dest = 0 };
	}
	/* Some spread, the same in each run. */
	it->dest = (i * 7919 + i / DESTS * 31) % DESTS;
	snprintf(it->sender, sizeof(it->sender), "s%zu@here",
	    i * 2654435761U % SENDERS);
	it->due.seq = i;
	mail_init(&it->mail, it, str_of(it->sender));
	return it;
}

static void
item_done(struct sim *sim, struct item *it)
{
	mail_end(&it->mail);
	list_prepend(&sim->unused, &it->link);
	sim->nactive--;
}

static void
put_off(struct sim *sim, struct item *it)
{
	mail_end(&it->mail);
	sim->nactive--;
	sim->put_off++;
	heap_put(&sim->deferred, &it->due, sim->now + BACK_OFF_MS);
}

static void
admit(struct sim *sim, struct item *it)
{
	struct dest *d;
	char name[24];

	sim->nactive++;
	if (sim->nactive > sim->most_active)
		sim->most_active = sim->nactive;
	snprintf(name, sizeof(name), "d%zu.example", it->dest);
	d = schedule_dest(sim->smtp, str_of(name), str_of(name), sim->now);
	if (dest_dead(d))
		put_off(sim, it);
	else
		schedule_add(d, &it->mail, 0);
}

static void
come(struct sim *sim, struct item *it)
{
	if (sim->alone && !is_fast(it->dest)) {
		sim->nactive++;
		item_done(sim, it);
		sim->rest++;
		return;
	}
	sim->fast_left += is_fast(it->dest);
	admit(sim, it);
}

/* New mail and deferred mail, while there is room. */
static void
fill(struct sim *sim)
{
	struct heap_node *due;

	while (sim->nactive < ACTIVE) {
		due = heap_first(&sim->deferred);
		if (due != NULL && due->key <= sim->now) {
			heap_take(&sim->deferred, due);
			admit(sim, container_of(due, struct item, due));
			continue;
		}
		if (sim->come == sim->n)
			break;
		come(sim, item_new(sim, sim->come++));
	}
}

static void
bury(struct sim *sim)
{
	struct portion p;
	struct str dsn, why;

	while (schedule_take_dying(sim->s, &p, &dsn, &why)) {
		struct item *it = p.job->mail->owner;

		schedule_done(&p, false, sim->now);
		put_off(sim, it);
	}
}

static void
start(struct sim *sim)
{
	struct portion p;
	size_t at = 0;

	while (schedule_next(sim->s, sim->now, &p)) {
		const struct item *it = p.job->mail->owner;
		int64_t ms = it->dest == SLOW ? SLOW_MS : it->dest == DEAD ?
		    TIMEOUT_MS : FAST_MS;

		while (heap_has(&sim->flights[at].ends))
			at++;
		assert_true(at < FLIGHTS);
		sim->flights[at].p = p;
		sim->flights[at].ends.seq = at;
		heap_put(&sim->air, &sim->flights[at].ends, sim->now + ms);
	}
}

static void
land(struct sim *sim, struct flight *f)
{
	struct item *it = f->p.job->mail->owner;
	bool down = it->dest == DEAD;

	heap_take(&sim->air, &f->ends);
	schedule_judge(&f->p, down ? OUTCOME_DOWN : OUTCOME_OK, sim->now,
	    STR("4.4.1"), STR("timed out"));
	schedule_done(&f->p, true, sim->now);
	if (down) {
		put_off(sim, it);
		return;
	}
	sim->sent++;
	if (is_fast(it->dest) && --sim->fast_left == 0)
		sim->fast_done = sim->now;
	item_done(sim, it);
}

/* Until the last fast one is through. */
static void
play(struct sim *sim)
{
	do {
		const struct heap_node *next;

		schedule_sweep(sim->s, sim->now, ACTIVE);
		fill(sim);
		bury(sim);
		start(sim);
		next = heap_first(&sim->air);
		assert_non_null(next);
		sim->now = next->key;
		while ((next = heap_first(&sim->air)) != NULL &&
		    next->key <= sim->now)
			land(sim, &sim->flights[next->seq]);
	} while (sim->fast_left > 0 || sim->come < sim->n);
}

/* What is left is taken back: nothing may leak, nothing be lost. */
static void
sim_free(struct sim **sp)
{
	struct sim *sim = *sp;
	struct heap_node *due;
	struct portion p;

	*sp = NULL;
	for (size_t i = 0; i < FLIGHTS; i++)
		if (heap_has(&sim->flights[i].ends)) {
			struct item *it =
			    sim->flights[i].p.job->mail->owner;

			schedule_done(&sim->flights[i].p, false, sim->now);
			item_done(sim, it);
			sim->rest++;
		}
	while (schedule_next(sim->s, sim->now, &p)) {
		struct item *it = p.job->mail->owner;

		schedule_done(&p, false, sim->now);
		item_done(sim, it);
		sim->rest++;
	}
	while ((due = heap_first(&sim->deferred)) != NULL) {
		heap_take(&sim->deferred, due);
		sim->nactive++;
		item_done(sim, container_of(due, struct item, due));
		sim->rest++;
	}
	assert_int_equal(sim->nactive, 0);
	assert_int_equal(sim->sent + sim->rest, sim->n);
	list_each(l, &sim->unused)
		mem_free(container_of(l, struct item, link));
	heap_free(&sim->deferred);
	heap_free(&sim->air);
	schedule_free(&sim->s);
	mem_free(sim);
}

static struct sim *
run(size_t n, bool alone)
{
	struct sim *sim = mem_new(sizeof(*sim));

	sim->n = n;
	sim->alone = alone;
	sim->s = schedule_new();
	sim->smtp = schedule_add_transport(sim->s, STR("smtp"), &limits,
	    NULL);
	list_init(&sim->unused);
	sim->deferred.steps = sim->air.steps = &sim->steps;
	play(sim);
	return sim;
}

/*
 * The fast are done as soon as if they were alone: what the dead and the
 * slow may cost is their five first deliveries each of a hundred.
 */
static void
test_fast_as_if_alone(void **state)
{
	static const size_t sizes[] = { 1000, 10000, 100000 };

	(void)state;
	for (size_t i = 0; i < nitems(sizes); i++) {
		struct sim *alone = run(sizes[i], true);
		struct sim *mixed = run(sizes[i], false);

		assert_in_range(mixed->fast_done, alone->fast_done,
		    alone->fast_done + alone->fast_done / 8);
		sim_free(&mixed);
		sim_free(&alone);
	}
}

/* Moves a message, and what is alive at once, whatever the number. */
static void
test_flat(void **state)
{
	static const size_t sizes[] = { 1000, 30000, 1000000 };

	(void)state;
	for (size_t i = 0; i < nitems(sizes); i++) {
		struct sim *sim = run(sizes[i], false);
		uint64_t steps = schedule_steps(sim->s) + sim->steps;

		assert_in_range(steps / sizes[i], 1, 25);
		assert_true(sim->most_active <= ACTIVE);
		assert_true(schedule_dests(sim->s) <= DESTS);
		assert_true(sim->items <= ACTIVE + sizes[i] / DESTS);
		sim_free(&sim);
	}
}

/* Nearly all of the work of the dead is done by one heap entry. */
static void
test_dead_cost_nothing(void **state)
{
	struct sim *with = run(100000, false), *without = run(100000, true);
	uint64_t most = schedule_steps(without->s) + without->steps;

	(void)state;
	most += most / 20;
	assert_true(with->put_off > 0);
	assert_in_range(schedule_steps(with->s) + with->steps, 0, most);
	sim_free(&with);
	sim_free(&without);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fast_as_if_alone),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_dead_cost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
