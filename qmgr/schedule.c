/*
 * schedule - round robin over transports, destinations and jobs; windows.
 *
 * Owns transports, destinations and jobs. A destination stands in its
 * transport's ready list exactly while it may start a delivery, a transport
 * in the schedule's while it may: schedule_next takes the first of each and
 * puts it last. The rules of the window are Postfix's qmgr_queue.c in
 * meaning. qmgr runs it.
 */
#include "qmgr/schedule.h"

struct schedule {
	struct map	*by_name;
	struct list	 all;
	struct list	 ready;		/* transports that may start one */
	struct list	 dead;		/* destinations */
	size_t		 busy, ndests;
};

static void	dest_update(struct dest *);
static void	transport_update(struct transport *);
static void	dest_free_if_idle(struct dest *);
static void	dest_live(struct dest *);
static void	dest_die(struct dest *, int64_t now_ms, struct str dsn,
		    struct str why);
static void	succeed(struct dest *);
static void	fail(struct dest *);

static char *
copy(struct str s)
{
	char *p = mem_new(s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

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

/* --- transports --- */

struct schedule *
schedule_new(void)
{
	struct schedule *s = mem_new(sizeof(*s));

	s->by_name = map_new();
	list_init(&s->all);
	list_init(&s->ready);
	list_init(&s->dead);
	return s;
}

static void
job_free(struct job *j)
{
	struct dest *d = j->dest;

	list_remove(&j->in_dest);
	list_remove(&j->in_owner);
	if (d->last == j)
		d->last = NULL;
	d->njobs--;
	if (j->rcpt != j->few)
		mem_free(j->rcpt);
	mem_free(j);
}

static void
dest_free(struct dest *d)
{
	struct transport *t = d->transport;

	list_remove(&d->ready_link);
	list_remove(&d->dead_link);
	map_set(t->dests, str_of(d->key), NULL);
	t->schedule->ndests--;
	mem_free(d->key);
	mem_free(d->nexthop);
	mem_free(d->why);
	mem_free(d->dsn);
	mem_free(d);
	transport_update(t);
}

void
schedule_free(struct schedule **sp)
{
	struct schedule *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	list_each(l, &s->all) {
		struct transport *t = container_of(l, struct transport, all);
		size_t pos = 0;
		void *d;
		struct str key;

		while (map_next(t->dests, &pos, &key, &d)) {
			struct dest *dest = d;

			list_each(j, &dest->jobs)
				job_free(container_of(j, struct job, in_dest));
			assert(dest->njobs == 0);
			dest_free(dest);
			pos = 0;
		}
		map_free(&t->dests);
		list_remove(&t->ready_link);
		mem_free(t->name);
		mem_free(t->why);
		mem_free(t->dsn);
		mem_free(t);
	}
	map_free(&s->by_name);
	mem_free(s);
}

struct transport *
schedule_transport(struct schedule *s, struct str name)
{
	return map_get(s->by_name, name);
}

struct transport *
schedule_add_transport(struct schedule *s, struct str name,
    const struct schedule_limits *limits, void *user)
{
	struct transport *t = mem_new(sizeof(*t));

	assert(schedule_transport(s, name) == NULL);
	t->name = copy(name);
	t->user = user;
	t->limits = *limits;
	t->schedule = s;
	t->dests = map_new();
	list_init(&t->ready);
	list_init(&t->ready_link);
	list_append(&s->all, &t->all);
	map_set(s->by_name, name, t);
	return t;
}

static unsigned
window_first(const struct schedule_limits *l)
{
	unsigned w = l->window_first > 0 ? l->window_first : 1;

	return l->window_max > 0 && w > l->window_max ? l->window_max : w;
}

void
transport_set_limits(struct transport *t, const struct schedule_limits *l)
{
	size_t pos = 0;
	struct str key;
	void *v;

	t->limits = *l;
	while (map_next(t->dests, &pos, &key, &v)) {
		struct dest *d = v;

		if (l->window_max > 0 && d->window > l->window_max)
			d->window = l->window_max;
		dest_update(d);
	}
	transport_update(t);
}

void
transport_hold(struct transport *t, bool held)
{
	t->held = held;
	transport_update(t);
}

void
transport_kill(struct transport *t, int64_t now_ms, int64_t rest_ms,
    struct str dsn, struct str why)
{
	mem_free(t->why);
	mem_free(t->dsn);
	t->why = copy(why);
	t->dsn = copy(dsn);
	t->dead_until = now_ms + rest_ms;
	t->held = false;
	transport_update(t);
}

bool
transport_dead(struct transport *t, int64_t now_ms)
{
	if (t->dead_until == 0 || now_ms < t->dead_until)
		return t->dead_until != 0;
	t->dead_until = 0;
	transport_update(t);
	return false;
}

static void
transport_update(struct transport *t)
{
	bool may = !t->held && t->dead_until == 0 && !list_empty(&t->ready) &&
	    (t->limits.process_max == 0 || t->busy < t->limits.process_max);
	bool is = !list_empty(&t->ready_link);

	if (may && !is) {
		list_append(&t->schedule->ready, &t->ready_link);
	} else if (!may && is) {
		list_remove(&t->ready_link);
	}
}

/* --- destinations --- */

struct dest *
schedule_dest(struct transport *t, struct str key, struct str nexthop,
    int64_t now_ms)
{
	struct dest *d = map_get(t->dests, key);

	if (d != NULL) {
		if (dest_dead(d) && now_ms >= d->dead_until)
			dest_live(d);
		return d;
	}
	d = mem_new(sizeof(*d));
	d->key = copy(key);
	d->nexthop = copy(nexthop);
	d->transport = t;
	d->window = window_first(&t->limits);
	list_init(&d->jobs);
	list_init(&d->ready_link);
	list_init(&d->dead_link);
	map_set(t->dests, key, d);
	t->schedule->ndests++;
	return d;
}

bool
dest_dead(const struct dest *d)
{
	return d->window == 0;
}

static void
dest_update(struct dest *d)
{
	bool may = d->busy < d->window && !list_empty(&d->jobs);
	bool is = !list_empty(&d->ready_link);

	if (may && !is) {
		list_append(&d->transport->ready, &d->ready_link);
	} else if (!may && is) {
		list_remove(&d->ready_link);
	}
	transport_update(d->transport);
}

static void
dest_free_if_idle(struct dest *d)
{
	if (d->njobs == 0 && d->busy == 0 && !dest_dead(d))
		dest_free(d);
}

/* Back from the grave: what concurrency suits it is anyone's guess. */
static void
dest_live(struct dest *d)
{
	list_remove(&d->dead_link);
	d->window = d->busy > 0 ? d->busy : window_first(&d->transport->limits);
	d->success = d->failure = d->failed_cohorts = 0;
	d->dead_until = 0;
	dest_update(d);
}

static void
dest_die(struct dest *d, int64_t now_ms, struct str dsn, struct str why)
{
	mem_free(d->why);
	mem_free(d->dsn);
	d->why = copy(why);
	d->dsn = copy(dsn);
	d->window = 0;
	d->dead_until = now_ms + d->transport->limits.rest_ms;
	list_append(&d->transport->schedule->dead, &d->dead_link);
}

/* --- jobs --- */

void
schedule_add(struct dest *d, void *owner, struct list *jobs, uint32_t rcpt)
{
	struct job *j = d->last;

	if (j == NULL || j->owner != owner) {
		j = mem_new(sizeof(*j));
		j->dest = d;
		j->owner = owner;
		j->rcpt = j->few;
		j->cap = nitems(j->few);
		list_init(&j->in_dest);
		list_append(jobs, &j->in_owner);
		d->last = j;
		d->njobs++;
	}
	if (j->n == j->cap) {
		uint32_t *p = j->rcpt == j->few ? NULL : j->rcpt;

		p = mem_grow(p, j->cap * 2, sizeof(*p));
		if (j->rcpt == j->few)
			memcpy(p, j->few, sizeof(j->few));
		j->rcpt = p;
		j->cap *= 2;
	}
	if (j->at == j->n)
		list_append(&d->jobs, &j->in_dest);
	j->rcpt[j->n++] = rcpt;
	dest_update(d);
}

uint32_t
portion_rcpt(const struct portion *p, size_t i)
{
	assert(i < p->n);
	return p->job->rcpt[p->first + i];
}

/* The first max recipients of the job that wait; 0: all. */
static void
take(struct job *j, size_t max, struct portion *p)
{
	size_t n = j->n - j->at;

	assert(n > 0);
	if (max > 0 && n > max)
		n = max;
	*p = (struct portion){ j, j->at, n };
	j->at += n;
	j->busy++;
	j->dest->busy++;
	j->dest->transport->busy++;
	j->dest->transport->schedule->busy++;
	list_remove(&j->in_dest);
	if (j->at < j->n)
		list_append(&j->dest->jobs, &j->in_dest);
}

bool
schedule_next(struct schedule *s, struct portion *p)
{
	struct transport *t;
	struct dest *d;

	if (list_empty(&s->ready))
		return false;
	t = container_of(s->ready.next, struct transport, ready_link);
	list_remove(&t->ready_link);
	list_append(&s->ready, &t->ready_link);
	d = container_of(t->ready.next, struct dest, ready_link);
	list_remove(&d->ready_link);
	list_append(&t->ready, &d->ready_link);
	take(container_of(d->jobs.next, struct job, in_dest),
	    t->limits.rcpt_max, p);
	dest_update(d);
	return true;
}

static void
unbusy(struct job *j)
{
	assert(j->busy > 0 && j->dest->busy > 0);
	j->busy--;
	j->dest->busy--;
	j->dest->transport->busy--;
	j->dest->transport->schedule->busy--;
}

void
schedule_untake(const struct portion *p)
{
	struct job *j = p->job;

	assert(p->first + p->n == j->at);
	if (j->at == j->n)
		list_prepend(&j->dest->jobs, &j->in_dest);
	j->at -= p->n;
	unbusy(j);
	dest_update(j->dest);
}

bool
schedule_done(const struct portion *p, enum outcome outcome, int64_t now_ms,
    struct str dsn, struct str why)
{
	struct job *j = p->job;
	struct dest *d = j->dest;
	bool died = false;

	switch (outcome) {
	case OUTCOME_OK:
		if (dest_dead(d))
			dest_live(d);
		else
			succeed(d);
		break;
	case OUTCOME_DOWN:
		if (dest_dead(d))
			break;
		fail(d);
		if (dest_dead(d)) {
			dest_die(d, now_ms, dsn, why);
			died = true;
		}
		break;
	case OUTCOME_NONE:
		break;
	}
	unbusy(j);
	if (j->at == j->n && j->busy == 0)
		job_free(j);
	dest_update(d);
	dest_free_if_idle(d);
	return died;
}

bool
schedule_take_dest(struct dest *d, struct portion *p)
{
	if (list_empty(&d->jobs))
		return false;
	take(container_of(d->jobs.next, struct job, in_dest), 0, p);
	dest_update(d);
	return true;
}

bool
schedule_take_transport(struct transport *t, struct portion *p)
{
	size_t pos = 0;
	struct str key;
	void *d;

	/* Most stand in the ready list; those with a full window do not. */
	if (!list_empty(&t->ready))
		return schedule_take_dest(container_of(t->ready.next,
		    struct dest, ready_link), p);
	while (map_next(t->dests, &pos, &key, &d))
		if (schedule_take_dest(d, p))
			return true;
	return false;
}

/* --- the window --- */

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
static void
succeed(struct dest *d)
{
	const struct schedule_limits *l = &d->transport->limits;
	double v;

	d->failed_cohorts = 0;
	if (l->window_max > 0 && d->window >= l->window_max)
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
	if (l->window_max > 0 && d->window > l->window_max)
		d->window = l->window_max;
}

/* Shrinks at the start of each unit of negative feedback; 0 is dead. */
static void
fail(struct dest *d)
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

/* --- the dead --- */

void
schedule_revive(struct schedule *s)
{
	list_each(l, &s->dead) {
		struct dest *d = container_of(l, struct dest, dead_link);

		dest_live(d);
		dest_free_if_idle(d);
	}
	list_each(l, &s->all) {
		struct transport *t = container_of(l, struct transport, all);

		t->dead_until = 0;
		transport_update(t);
	}
}

void
schedule_sweep(struct schedule *s, int64_t now_ms)
{
	list_each(l, &s->dead) {
		struct dest *d = container_of(l, struct dest, dead_link);

		if (d->dead_until > now_ms)
			continue;
		dest_live(d);
		dest_free_if_idle(d);
	}
	list_each(l, &s->all)
		transport_dead(container_of(l, struct transport, all), now_ms);
}

void
schedule_each_transport(struct schedule *s,
    void (*fn)(void *ctx, struct transport *), void *ctx)
{
	list_each(l, &s->all)
		fn(ctx, container_of(l, struct transport, all));
}

size_t
schedule_busy(const struct schedule *s)
{
	return s->busy;
}

size_t
schedule_dests(const struct schedule *s)
{
	return s->ndests;
}
