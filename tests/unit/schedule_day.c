/*
 * schedule_day - a day of traffic to the living, the slow and the dead: each
 * recipient is handed out once, or taken back once.
 */
#include "qmgr/schedule.h"
#include "tests/unit/schedule_rig.h"

/*
 * A day in seconds: 4,000 messages of 1 to 30 recipients to 60 destinations.
 * Every tenth is down, every seventh takes 30 s for each delivery, the rest
 * one second. Each recipient is handed out once or taken back once; mail for
 * the living is done although the dead and the slow have as much.
 */
enum { MESSAGES = 4000, DESTS = 60, FLIGHTS = 256, SECONDS = 7200 };
struct flight { struct portion p; int dest; int64_t ends; };

struct world {
	struct schedule	*s;
	struct owner	 owners[MESSAGES];
	unsigned	 handed[MESSAGES][30];
	unsigned	 count[MESSAGES];
	int		 dest[MESSAGES];
	struct flight	 flights[FLIGHTS];
	size_t		 nflights, put_off, sent, most_slow;
	int64_t		 last_fast;
};

static bool
is_down(int dest)
{
	return dest % 10 == 0;
}

static bool
is_slow(int dest)
{
	return dest % 7 == 3;
}

static void
world_mark(struct world *w, const struct portion *p)
{
	size_t m = (size_t)((struct owner *)p->job->mail->owner - w->owners);

	for (size_t i = 0; i < p->n; i++)
		w->handed[m][portion_rcpt(p, i)]++;
}

static void
world_land(struct world *w, struct flight *f, int64_t now)
{
	bool down = is_down(f->dest);
	struct portion p;

	world_mark(w, &f->p);
	if (down)
		w->put_off += f->p.n;
	else
		w->sent += f->p.n;
	if (!down && !is_slow(f->dest))
		w->last_fast = now;
	if (!done(&f->p, down ? OUTCOME_DOWN : OUTCOME_OK, now))
		return;
	while (take_dying(w->s, &p)) {
		world_mark(w, &p);
		w->put_off += p.n;
		done(&p, OUTCOME_NONE, now);
	}
}

static void
world_step(struct world *w, int64_t now)
{
	struct portion p;
	size_t slow = 0;

	for (size_t i = 0; i < w->nflights;) {
		struct flight f = w->flights[i];

		if (f.ends > now) {
			i++;
			continue;
		}
		w->flights[i] = w->flights[--w->nflights];
		world_land(w, &f, now);
	}
	while (schedule_next(w->s, now, &p)) {
		struct owner *o = p.job->mail->owner;
		int dest = w->dest[o - w->owners];

		assert_true(w->nflights < FLIGHTS);
		w->flights[w->nflights++] = (struct flight){ p, dest,
			now + (is_slow(dest) ? 30000 : 1000) };
	}
	for (size_t i = 0; i < w->nflights; i++)
		slow += is_slow(w->flights[i].dest);
	if (slow > w->most_slow)
		w->most_slow = slow;
}

static void
test_day(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	struct schedule_limits l = usual;
	unsigned seed = 1;
	size_t total = 0;
	int64_t now = 0;

	(void)state;
	l.rcpt_max = 10;
	l.process_max = 250;
	w->s = schedule_new();
	for (size_t m = 0; m < MESSAGES; m++) {
		char name[32];
		struct dest *d;

		seed = seed * 1103515245 + 12345;
		w->dest[m] = (int)(seed >> 16) % DESTS;
		w->count[m] = 1 + (seed >> 8) % 30;
		total += w->count[m];
		owner_init(&w->owners[m], NULL);
		snprintf(name, sizeof(name), "d%d", w->dest[m]);
		d = dest_named(w->s, "smtp", name, &l, now);
		if (dest_dead(d)) {
			w->put_off += w->count[m];
			for (uint32_t i = 0; i < w->count[m]; i++)
				w->handed[m][i]++;
		} else {
			add(d, &w->owners[m], 0, w->count[m]);
		}
		if (m % 4 == 0)
			world_step(w, now += 100);
	}
	for (int i = 0; i < SECONDS && (w->nflights > 0 ||
	    schedule_dests(w->s) > DESTS / 10); i++)
		world_step(w, now += 1000);
	for (size_t m = 0; m < MESSAGES; m++)
		for (size_t i = 0; i < 30; i++)
			assert_int_equal(w->handed[m][i], i < w->count[m]);
	assert_int_equal(w->sent + w->put_off, total);
	assert_int_equal(w->nflights, 0);
	/* The slow never got more than their windows. */
	assert_true(w->most_slow <= 9 * 20);
	/* What is fast was through soon after it came (100 s). */
	assert_true(w->last_fast < 160000);
	schedule_sweep(w->s, now + l.rest_ms, 100);
	assert_int_equal(schedule_dests(w->s), 0);
	schedule_free(&w->s);
	mem_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
