/*
 * schedule - days of traffic played without a clock: windows, fairness,
 * dead destinations, limits, and that each recipient is handed out once.
 */
#include "qmgr/schedule.h"
#include "tests/unit/schedule_rig.h"

/* Plays all that waits to its end; how many deliveries came before o's. */
static size_t
before(struct schedule *s, const struct owner *o)
{
	struct portion p;
	size_t n = 0, found = SIZE_MAX;

	while (schedule_next(s, 0, &p)) {
		if (p.job->mail == &o->mail && found == SIZE_MAX)
			found = n;
		n++;
		schedule_done(&p, true, 0);
	}
	return found;
}

static void
test_feedback(void **state)
{
	static const struct {
		const char *in; bool ok; double base; enum feedback_by by;
	} t[] = {
		{ "1", true, 1, BY_NOTHING }, { "0", true, 0, BY_NOTHING },
		{ "0.5", true, 0.5, BY_NOTHING },
		{ "1/8", true, 0.125, BY_NOTHING },
		{ "1/concurrency", true, 1, BY_WINDOW },
		{ " 1 / sqrt_concurrency ", true, 1, BY_SQRT_WINDOW },
		{ "2", false, 0, BY_NOTHING }, { "", false, 0, BY_NOTHING },
		{ "1/0", false, 0, BY_NOTHING }, { "x", false, 0, BY_NOTHING },
		{ "-1", false, 0, BY_NOTHING }, { "1/x", false, 0, BY_NOTHING },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct feedback fb;
		bool ok = feedback_parse(str_of(t[i].in), &fb);

		assert_int_equal(ok, t[i].ok);
		if (!ok)
			continue;
		assert_true(fb.base > t[i].base - 1e-9 &&
		    fb.base < t[i].base + 1e-9);
		assert_int_equal(fb.by, t[i].by);
	}
}

/* A job of 120 recipients leaves as 50, 50, 20. */
static void
test_portions(void **state)
{
	static const size_t want[] = { 50, 50, 20 };
	struct schedule *s = schedule_new();
	struct portion p[3], none;
	struct owner o;

	(void)state;
	owner_init(&o, NULL);
	add(dest_named(s, "smtp", "example.org", &usual, 0), &o, 7, 120);
	for (size_t i = 0; i < nitems(want); i++) {
		assert_true(schedule_next(s, 0, &p[i]));
		assert_int_equal(p[i].n, want[i]);
		assert_int_equal(portion_rcpt(&p[i], 0), 7 + 50 * i);
	}
	assert_false(schedule_next(s, 0, &none));
	assert_int_equal(schedule_busy(s), 3);
	for (size_t i = 0; i < nitems(want); i++)
		assert_false(done(&p[i], OUTCOME_OK, 0));
	assert_int_equal(schedule_dests(s), 0);
	assert_true(list_empty(&o.mail.jobs));
	schedule_free(&s);
}

/* More recipients may come while a portion of the same job is out. */
static void
test_retry_in_flight(void **state)
{
	struct schedule *s = schedule_new();
	struct dest *d = dest_named(s, "smtp", "a", &usual, 0);
	struct portion p, q;
	struct owner o;

	(void)state;
	owner_init(&o, NULL);
	add(d, &o, 0, 3);
	assert_true(schedule_next(s, 0, &p));
	add(d, &o, 100, 500);
	assert_int_equal(portion_rcpt(&p, 2), 2);
	assert_true(schedule_next(s, 0, &q));
	assert_int_equal(portion_rcpt(&q, 0), 100);
	schedule_untake(&q);
	assert_true(schedule_next(s, 0, &q));
	assert_int_equal(portion_rcpt(&q, 0), 100);
	done(&p, OUTCOME_OK, 0);
	done(&q, OUTCOME_OK, 0);
	while (schedule_next(s, 0, &p))
		done(&p, OUTCOME_OK, 0);
	assert_true(list_empty(&o.mail.jobs));
	schedule_free(&s);
}

/* A list of 5,000 recipients does not hold up a letter to the same place. */
static void
test_fair_jobs(void **state)
{
	struct schedule *s = schedule_new();
	struct dest *d = dest_named(s, "smtp", "big.example", &usual, 0);
	struct owner list, letter;

	(void)state;
	owner_init(&list, NULL);
	owner_init(&letter, NULL);
	add(d, &list, 0, 5000);
	add(d, &letter, 0, 1);
	assert_in_range(before(s, &letter), 0, 3);
	mail_end(&list.mail);
	mail_end(&letter.mail);
	schedule_free(&s);
}

/* 300 destinations share 100 processes evenly; each gets its first window. */
static void
test_fair_dests(void **state)
{
	struct schedule *s = schedule_new();
	struct owner o[300];
	unsigned got[300] = { 0 };
	struct portion p[100];
	char name[32];

	(void)state;
	for (size_t i = 0; i < nitems(o); i++) {
		snprintf(name, sizeof(name), "d%zu.example", i);
		owner_from(&o[i], name);
		o[i].seen = &got[i];
		add(dest_named(s, "smtp", name, &usual, 0), &o[i], 0, 500);
	}
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < nitems(p); i++) {
			assert_true(schedule_next(s, 0, &p[i]));
			(*((struct owner *)p[i].job->mail->owner)->seen)++;
		}
		assert_false(schedule_next(s, 0, &(struct portion){ 0 }));
		for (size_t i = 0; i < nitems(p); i++)
			done(&p[i], OUTCOME_OK, 0);
	}
	for (size_t i = 0; i < nitems(got); i++)
		assert_int_equal(got[i], 1);
	while (schedule_next(s, 0, &p[0]))
		done(&p[0], OUTCOME_OK, 0);
	schedule_free(&s);
}

/* 5 at first, one more with each success, 20 at most. */
static void
test_window(void **state)
{
	struct schedule *s = schedule_new();
	struct schedule_limits l = usual;
	struct dest *d;
	struct portion p[32];
	struct owner o;
	size_t n = 0;

	(void)state;
	l.rcpt_max = 1;
	d = dest_named(s, "smtp", "a", &l, 0);
	owner_init(&o, NULL);
	add(d, &o, 0, 500);
	while (schedule_next(s, 0, &p[n]))
		n++;
	assert_int_equal(n, 5);
	for (int i = 0; i < 100; i++) {
		done(&p[0], OUTCOME_OK, 0);
		memmove(p, p + 1, --n * sizeof(*p));
		while (n < nitems(p) && schedule_next(s, 0, &p[n]))
			n++;
	}
	assert_int_equal(n, 20);
	while (n > 0) {
		done(&p[--n], OUTCOME_OK, 0);
		while (schedule_next(s, 0, &p[n]))
			n++;
	}
	assert_int_equal(schedule_dests(s), 0);
	schedule_free(&s);
}

/*
 * 1/5 + 1/3 + 1/2 is a cohort, as the window shrinks: three failures in a
 * row, then dead for 300 s, then alive with 5 again.
 */
static void
test_dead(void **state)
{
	struct schedule *s = schedule_new();
	struct dest *d = dest_named(s, "smtp", "down", &usual, 0);
	struct owner o[10];
	struct portion p[6];
	size_t out = 0, taken = 0;
	bool died = false;

	(void)state;
	for (size_t i = 0; i < nitems(o); i++) {
		owner_init(&o[i], NULL);
		add(d, &o[i], 0, 60);
	}
	for (size_t i = 0; i < 5; i++) {
		assert_true(schedule_next(s, 0, &p[i]));
		out += p[i].n;
	}
	for (size_t i = 0; i < 3; i++) {
		assert_false(died);
		died = done(&p[i], OUTCOME_DOWN, 1000);
	}
	assert_true(died);
	for (size_t i = 3; i < 5; i++)
		assert_false(done(&p[i], OUTCOME_DOWN, 1000));
	assert_true(dest_dead(d));
	assert_string_equal(d->why, "why");
	assert_false(schedule_next(s, 0, &p[0]));
	while (take_dying(s, &p[0])) {
		taken += p[0].n;
		done(&p[0], OUTCOME_NONE, 1000);
	}
	assert_int_equal(taken, 10 * 60 - out);
	assert_true(dest_dead(schedule_dest(d->transport, STR("down"),
	    STR("down"), 300999)));
	d = schedule_dest(d->transport, STR("down"), STR("down"), 301000);
	assert_false(dest_dead(d));
	assert_int_equal(d->window, 5);
	add(d, &o[0], 0, 1);
	assert_true(schedule_next(s, 0, &p[0]));
	done(&p[0], OUTCOME_OK, 301000);
	assert_int_equal(schedule_dests(s), 0);
	schedule_free(&s);
}

/* One message after another, each alone: the failures are remembered. */
static void
test_dead_one_by_one(void **state)
{
	struct schedule *s = schedule_new();
	struct owner o;
	struct portion p;
	int64_t now = 0;

	(void)state;
	owner_init(&o, NULL);
	for (int i = 0; i < 3; i++) {
		add(dest_named(s, "smtp", "a", &usual, now), &o, 0, 1);
		assert_true(schedule_next(s, now, &p));
		assert_int_equal(done(&p, OUTCOME_DOWN, now), i == 2);
		schedule_sweep(s, now += usual.rest_ms / 2, 100);
	}
	schedule_sweep(s, now += usual.rest_ms, 100);
	assert_int_equal(schedule_dests(s), 0);
	for (int i = 0; i < 5; i++) {		/* too far apart */
		add(dest_named(s, "smtp", "a", &usual, now), &o, 0, 1);
		assert_true(schedule_next(s, now, &p));
		assert_false(done(&p, OUTCOME_DOWN, now));
		schedule_sweep(s, now += usual.rest_ms, 100);
		assert_int_equal(schedule_dests(s), 0);
	}
	for (int i = 0; i < 2; i++) {		/* a success between */
		add(dest_named(s, "smtp", "a", &usual, now), &o, 0, 1);
		assert_true(schedule_next(s, now, &p));
		assert_false(done(&p, OUTCOME_DOWN, now));
	}
	add(dest_named(s, "smtp", "a", &usual, now), &o, 0, 1);
	assert_true(schedule_next(s, now, &p));
	assert_false(done(&p, OUTCOME_OK, now));
	assert_int_equal(schedule_dests(s), 0);
	mail_end(&o.mail);
	schedule_free(&s);
}

static void
test_sweep_and_revive(void **state)
{
	struct schedule *s = schedule_new();
	struct schedule_limits l = usual;
	struct owner o;
	struct portion p;

	(void)state;
	l.window_first = 1;
	owner_init(&o, NULL);
	for (int i = 0; i < 2; i++) {
		add(dest_named(s, "smtp", "a", &l, 0), &o, 0, 1);
		assert_true(schedule_next(s, 0, &p));
		assert_true(done(&p, OUTCOME_DOWN, 0));
		schedule_sweep(s, l.rest_ms - 1, 100);
		assert_int_equal(schedule_dests(s), 1);
		if (i == 0)
			schedule_sweep(s, l.rest_ms, 100);
		else
			schedule_revive(s);
		assert_int_equal(schedule_dests(s), 0);
	}
	schedule_free(&s);
}

/* The list takes its share too: small mail of its sender passes one in five. */
static void
test_slot_cost(void **state)
{
	enum { LETTERS = 100 };
	struct schedule *s = schedule_new();
	struct schedule_limits l = usual;
	struct owner list, letters[LETTERS];
	struct portion p;
	size_t passed = 0;

	(void)state;
	l.window_max = l.process_max = 0;
	l.window_first = 1000;
	owner_init(&list, NULL);
	add(dest_named(s, "smtp", "big", &l, 0), &list, 0, 5000);
	for (int i = 0; i < 10; i++) {	/* the list is under way */
		assert_true(schedule_next(s, 0, &p));
		done(&p, OUTCOME_OK, 0);
	}
	for (size_t i = 0; i < LETTERS; i++) {
		owner_init(&letters[i], NULL);
		add(dest_named(s, "smtp", i % 2 ? "a" : "b", &l, 0),
		    &letters[i], 0, 1);
	}
	for (size_t i = 0; i < 60; i++) {
		assert_true(schedule_next(s, 0, &p));
		passed += p.job->mail != &list.mail;
		done(&p, OUTCOME_OK, 0);
	}
	assert_in_range(passed, 60 / 5 - 3, 60 / 5 + 3);
	assert_true(before(s, &letters[LETTERS - 1]) < SIZE_MAX);
	for (size_t i = 0; i < LETTERS; i++)
		mail_end(&letters[i].mail);
	mail_end(&list.mail);
	schedule_free(&s);
}

/* slot_cost 0: strictly in order, whatever the size. */
static void
test_first_come(void **state)
{
	struct schedule *s = schedule_new();
	struct schedule_limits l = usual;
	struct owner list, letter;

	(void)state;
	l.slot_cost = 0;
	owner_init(&list, NULL);
	owner_from(&letter, "other@here.example");
	add(dest_named(s, "smtp", "a", &l, 0), &list, 0, 5000);
	add(dest_named(s, "smtp", "a", &l, 0), &letter, 0, 1);
	assert_int_equal(before(s, &letter), 100);
	mail_end(&list.mail);
	mail_end(&letter.mail);
	schedule_free(&s);
}

/*
 * A list to 5,000 sites, 5,000 letters of one sender, then one letter of
 * another: it is next, though every site of it is in their mail too.
 */
static void
test_fair_senders(void **state)
{
	enum { MANY = 5000 };
	struct schedule *s = schedule_new();
	struct owner *o = mem_new(MANY * sizeof(*o)), list, letter;
	struct portion p;
	char name[32];

	(void)state;
	owner_from(&list, "list@here.example");
	owner_from(&letter, "me@here.example");
	for (size_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "d%zu.example", i % 500);
		owner_from(&o[i], "shop@here.example");
		add(dest_named(s, "smtp", name, &usual, 0), &list, 0, 1);
		add(dest_named(s, "smtp", name, &usual, 0), &o[i], 0, 1);
	}
	for (int i = 0; i < 200; i++) {
		assert_true(schedule_next(s, 0, &p));
		done(&p, OUTCOME_OK, 0);
	}
	add(dest_named(s, "smtp", "d7.example", &usual, 0), &letter, 0, 1);
	assert_in_range(before(s, &letter), 0, 4);
	for (size_t i = 0; i < MANY; i++)
		mail_end(&o[i].mail);
	mail_end(&list.mail);
	mail_end(&letter.mail);
	mem_free(o);
	schedule_free(&s);
}

/*
 * Endless letters of ever new senders, one in each of `of` turns but one:
 * what they leave is the list's; and where they leave nothing, its turn
 * comes after those that wait, not never. How many of 2,000 turns it had.
 */
static size_t
share_among_letters(size_t of)
{
	enum { TURNS = 2000 };
	struct schedule *s = schedule_new();
	struct owner *o = mem_new(TURNS * sizeof(*o)), list;
	struct portion p;
	size_t mine = 0;
	char name[32];

	owner_from(&list, "list@here.example");
	add(dest_named(s, "smtp", "a", &usual, 0), &list, 0, 50 * TURNS);
	for (size_t i = 0; i < TURNS; i++) {
		snprintf(name, sizeof(name), "s%zu@here.example", i);
		owner_from(&o[i], name);
		if (of == 0 || i % of != 0)
			add(dest_named(s, "smtp", i % 2 ? "a" : "b", &usual,
			    0), &o[i], 0, 1);
		assert_true(schedule_next(s, 0, &p));
		mine += p.job->mail == &list.mail;
		done(&p, OUTCOME_OK, 0);
	}
	(void)before(s, &list);
	for (size_t i = 0; i < TURNS; i++)
		mail_end(&o[i].mail);
	mail_end(&list.mail);
	mem_free(o);
	schedule_free(&s);
	return mine;
}

static void
test_no_starving(void **state)
{
	(void)state;
	assert_in_range(share_among_letters(5), 2000 / 5, 2000 / 4);
	assert_in_range(share_among_letters(0), 30, 2000 / 4);
}

/* Mail with VERP: each recipient has a delivery, others' mail has not. */
static void
test_alone(void **state)
{
	struct schedule *s = schedule_new();
	struct dest *d = dest_named(s, "smtp", "a", &usual, 0);
	struct owner o, other;
	struct portion p[5];
	size_t n[2] = { 0, 0 };

	(void)state;
	owner_init(&o, NULL);
	owner_init(&other, NULL);
	o.mail.alone = true;
	add(d, &o, 0, 3);
	add(d, &other, 0, 3);
	for (size_t i = 0; i < 4; i++) {
		assert_true(schedule_next(s, 0, &p[i]));
		assert_int_equal(p[i].n, p[i].job->mail == &o.mail ? 1 : 3);
		n[p[i].job->mail == &o.mail]++;
	}
	assert_int_equal(n[1], 3);
	assert_int_equal(n[0], 1);
	assert_false(schedule_next(s, 0, &p[4]));
	for (size_t i = 0; i < 4; i++)
		done(&p[i], OUTCOME_OK, 0);
	schedule_free(&s);
}

/* destination_rate_delay: one at a time, and a pause after each. */
static void
test_dest_pause(void **state)
{
	struct schedule *s = schedule_new();
	struct schedule_limits l = usual;
	struct owner o, other;
	struct portion p, q;

	(void)state;
	l.dest_pause_ms = 500;
	l.rcpt_max = 1;
	owner_init(&o, NULL);
	owner_init(&other, NULL);
	add(dest_named(s, "slow", "a", &l, 0), &o, 0, 2);
	add(dest_named(s, "slow", "b", &l, 0), &other, 0, 1);
	assert_int_equal(schedule_wake_ms(s), INT64_MAX);
	assert_true(schedule_next(s, 0, &p));
	assert_true(schedule_next(s, 0, &q));
	assert_false(schedule_next(s, 0, &(struct portion){ 0 }));
	done(&q, OUTCOME_OK, 900);
	done(&p, OUTCOME_OK, 1000);
	assert_false(schedule_next(s, 0, &p));
	assert_int_equal(schedule_wake_ms(s), 1400);
	schedule_sweep(s, 1499, 100);
	assert_false(schedule_next(s, 0, &p));
	assert_int_equal(schedule_dests(s), 1);	/* b has rested, and is idle */
	schedule_sweep(s, 1500, 100);
	assert_true(schedule_next(s, 0, &p));
	assert_true(done(&p, OUTCOME_DOWN, 2000));
	assert_int_equal(schedule_wake_ms(s), 2000 + l.rest_ms);
	schedule_free(&s);
}

static void
test_transport_pause(void **state)
{
	struct schedule *s = schedule_new();
	struct schedule_limits l = usual;
	struct owner o;
	struct portion p;

	(void)state;
	l.pause_ms = 250;
	owner_init(&o, NULL);
	add(dest_named(s, "slow", "a", &l, 0), &o, 0, 1);
	add(dest_named(s, "slow", "b", &l, 0), &o, 1, 1);
	assert_true(schedule_next(s, 0, &p));
	assert_false(schedule_next(s, 0, &(struct portion){ 0 }));
	done(&p, OUTCOME_OK, 1000);
	assert_int_equal(schedule_wake_ms(s), 1250);
	schedule_sweep(s, 1249, 100);
	assert_false(schedule_next(s, 0, &p));
	schedule_sweep(s, 1250, 100);
	assert_true(schedule_next(s, 0, &p));
	done(&p, OUTCOME_OK, 1300);
	mail_end(&o.mail);
	schedule_free(&s);
}

/* Of the dead only so many are remembered, the oldest are forgotten. */
static void
test_dead_max(void **state)
{
	struct schedule *s = schedule_new();
	struct schedule_limits l = usual;
	char name[32];

	(void)state;
	l.window_first = 1;
	for (int i = 0; i < 50; i++) {
		struct owner o;
		struct portion p;

		owner_init(&o, NULL);
		snprintf(name, sizeof(name), "d%d", i);
		add(dest_named(s, "smtp", name, &l, 0), &o, 0, 1);
		assert_true(schedule_next(s, 0, &p));
		assert_true(done(&p, OUTCOME_DOWN, i));
		mail_end(&o.mail);
	}
	assert_int_equal(schedule_dead(s), 50);
	schedule_sweep(s, 100, 20);
	assert_int_equal(schedule_dead(s), 20);
	assert_int_equal(schedule_dests(s), 20);
	assert_true(dest_dead(dest_named(s, "smtp", "d49", &l, 100)));
	schedule_free(&s);
}

static void
test_transport(void **state)
{
	struct schedule *s = schedule_new();
	struct dest *d = dest_named(s, "local", "a", &usual, 0);
	struct transport *t = d->transport;
	struct owner o;
	struct portion p;
	size_t n = 0;

	(void)state;
	owner_init(&o, NULL);
	add(d, &o, 0, 10);
	add(dest_named(s, "local", "b", &usual, 0), &o, 10, 10);
	transport_hold(t, true);
	assert_false(schedule_next(s, 0, &p));
	transport_hold(t, false);
	assert_true(schedule_next(s, 0, &p));
	schedule_untake(&p);
	transport_kill(t, 0, 60000, STR("4.3.0"), STR("unavailable"));
	assert_false(schedule_next(s, 0, &p));
	assert_true(transport_dead(t, 59999));
	while (take_dying(s, &p)) {
		n += p.n;
		done(&p, OUTCOME_NONE, 0);
	}
	assert_int_equal(n, 20);
	assert_false(transport_dead(t, 60000));
	schedule_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_feedback),
		cmocka_unit_test(test_portions),
		cmocka_unit_test(test_retry_in_flight),
		cmocka_unit_test(test_fair_jobs),
		cmocka_unit_test(test_fair_dests),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_dead_one_by_one),
		cmocka_unit_test(test_sweep_and_revive),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_slot_cost),
		cmocka_unit_test(test_first_come),
		cmocka_unit_test(test_fair_senders),
		cmocka_unit_test(test_no_starving),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_dest_pause),
		cmocka_unit_test(test_transport_pause),
		cmocka_unit_test(test_dead_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
