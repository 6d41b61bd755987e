/*
 * window - how many deliveries to a destination may run at once.
 *
 * Postfix's concurrency feedback (SCHEDULER README, qmgr_queue.c in
 * meaning): each success adds the positive feedback, each failure the
 * negative; the window moves by one when a whole unit has gathered, and is
 * then steady for a unit either way (hysteresis). qmgr runs it.
 */
#include "qmgr/schedule.h"

bool
feedback_parse(struct str text, struct feedback *fb)
{
	struct str num = str_trim(text), by;
	size_t slash = str_chr(num, '/'), dot;
	uint64_t whole, part = 0, div = 1;
	double scale = 1;

	by = str_trim(str_from(num, slash + 1));
	num = str_trim(str_first(num, slash));
	dot = str_chr(num, '.');
	if (!str_number(str_first(num, dot), &whole))
		return false;
	if (dot < num.n && !str_number(str_from(num, dot + 1), &part))
		return false;
	for (size_t i = dot + 1; i < num.n; i++)
		scale *= 10;
	fb->base = (double)whole + (double)part / scale;
	fb->by = BY_NOTHING;
	if (str_eq(by, STR("concurrency")))
		fb->by = BY_WINDOW;
	else if (str_eq(by, STR("sqrt_concurrency")))
		fb->by = BY_SQRT_WINDOW;
	else if (by.n > 0 && (!str_number(by, &div) || div == 0))
		return false;
	fb->base /= (double)div;
	return fb->base <= 1;
}

/* With a rate delay deliveries go one by one. */
unsigned
window_most(const struct schedule_limits *l)
{
	return l->dest_pause_ms > 0 ? 1 : l->window_max;
}

unsigned
window_first(const struct schedule_limits *l)
{
	unsigned w = l->window_first > 0 ? l->window_first : 1;
	unsigned most = window_most(l);

	return most > 0 && w > most ? most : w;
}

static double
value(const struct feedback *fb, unsigned window)
{
	double root = window > 1 ? window / 2.0 : 1;

	switch (fb->by) {
	case BY_NOTHING:
		return fb->base;
	case BY_WINDOW:
		return fb->base / window;
	case BY_SQRT_WINDOW:
		for (int i = 0; i < 20; i++)	/* Newton */
			root = (root + window / root) / 2;
		return fb->base / root;
	}
	return fb->base;
}

/* The window grows by one for each full unit of positive feedback, and stays
 * within reach of what is really under way. */
void
window_succeed(struct dest *d)
{
	const struct schedule_limits *l = &d->transport->limits;
	unsigned most = window_most(l);
	double v;

	d->failed_cohorts = 0;
	if (most > 0 && d->window >= most)
		return;
	if (d->window >= d->busy + window_first(l))
		return;
	v = value(&l->positive, d->window);
	d->success += v;
	while (v > 0 && d->success + v / 2 >= 1) {
		d->window++;
		d->success -= 1;
		d->failure = 0;
	}
	if (most > 0 && d->window > most)
		d->window = most;
}

/* Shrinks at the start of each unit of negative feedback; 0 is dead. */
void
window_fail(struct dest *d)
{
	const struct schedule_limits *l = &d->transport->limits;
	double v;

	d->failed_cohorts += 1.0 / d->window;
	/* A hair less: n times 1/n may add up to 0.999... */
	if (l->cohort_max > 0 && d->failed_cohorts >= l->cohort_max - 1e-9) {
		d->window = 0;
		return;
	}
	v = value(&l->negative, d->window);
	d->failure -= v;
	while (v > 0 && d->failure - v / 2 < 0) {
		if (d->window > 1)
			d->window--;
		d->success = 0;
		d->failure += 1;
	}
}

