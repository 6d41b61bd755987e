/*
 * schedule - transports, destinations, jobs: what may start, and what next.
 *
 * Owns transports, destinations and jobs. A destination stands in its
 * transport's ready heap exactly while it may start a delivery, a transport
 * in the schedule's ready list while it may. One heap by time has those that
 * are dead, or pause, or failed lately: so three failures in a row make a
 * dead one, though it had no other mail meanwhile. qmgr runs it.
 */
#include "qmgr/schedule.h"

struct schedule {
	struct map	*by_name;
	struct list	 all;
	struct list	 ready;		/* transports that may start one */
	struct heap	 asleep;	/* destinations, by when they wake */
	struct list	 dead;		/* destinations, oldest first */
	struct list	 dying;		/* dests with jobs to be put off */
	size_t		 busy, ndests, ndead;
	uint64_t	 seq, steps;
};

static void	dest_update(struct dest *);
static void	transport_update(struct transport *);
static void	transport_update_all(struct transport *);
static void	dest_free_if_idle(struct dest *);
static void	dest_live(struct dest *);
static void	dest_die(struct dest *, int64_t now_ms, struct str dsn,
		    struct str why);

/* --- transports --- */

struct schedule *
schedule_new(void)
{
	struct schedule *s = mem_new(sizeof(*s));

	s->by_name = map_new();
	list_init(&s->all);
	list_init(&s->ready);
	list_init(&s->dead);
	list_init(&s->dying);
	s->asleep.steps = &s->steps;
	return s;
}

static void
job_free(struct job *j)
{
	struct dest *d = j->dest;

	if (heap_has(&j->tag)) {
		heap_take(&d->jobs, &j->tag);
		turn_waits(j->turn, false);
	}
	list_remove(&j->in_mail);
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

	heap_take(&t->ready, &d->ready);
	heap_take(&t->schedule->asleep, &d->wake);
	list_remove(&d->wanted_link);
	list_remove(&d->dead_link);
	list_remove(&d->dying_link);
	heap_free(&d->jobs);
	(void)map_set(t->dests, str_of(d->key), NULL);
	t->schedule->ndests--;
	mem_free(d->key);
	mem_free(d->nexthop);
	mem_free(d->why);
	mem_free(d->dsn);
	mem_free(d);
	transport_update(t);
}

static void
free_jobs(struct dest *d)
{
	while (heap_first(&d->jobs) != NULL)
		job_free(container_of(heap_first(&d->jobs), struct job, tag));
	assert(d->njobs == 0);
}

static void
transport_free(struct transport *t)
{
	size_t pos = 0;
	struct str key;
	void *d;

	while (map_next(t->dests, &pos, &key, &d)) {
		free_jobs(d);
		dest_free(d);
		pos = 0;
	}
	turn_free_all(t);
	map_free(&t->dests);
	heap_free(&t->ready);
	list_remove(&t->ready_link);
	mem_free(t->name);
	mem_free(t->why);
	mem_free(t->dsn);
	mem_free(t);
}

void
schedule_free(struct schedule **sp)
{
	struct schedule *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	list_each(l, &s->all)
		transport_free(container_of(l, struct transport, all));
	map_free(&s->by_name);
	heap_free(&s->asleep);
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
	t->name = mem_copy(name);
	t->user = user;
	t->limits = *limits;
	t->schedule = s;
	t->dests = map_new();
	t->flows = map_new();
	t->ready.steps = &s->steps;
	list_init(&t->wanted);
	list_init(&t->ready_link);
	list_append(&s->all, &t->all);
	(void)map_set(s->by_name, name, t);
	return t;
}

void
transport_set_limits(struct transport *t, const struct schedule_limits *l)
{
	unsigned most = window_most(l);
	size_t pos = 0;
	struct str key;
	void *v;

	t->limits = *l;
	while (map_next(t->dests, &pos, &key, &v)) {
		struct dest *d = v;

		if (most > 0 && d->window > most)
			d->window = most;
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
	t->why = mem_copy(why);
	t->dsn = mem_copy(dsn);
	t->dead_until = now_ms + rest_ms;
	t->held = false;
	t->stats.deaths++;
	transport_update_all(t);
}

bool
transport_dead(struct transport *t, int64_t now_ms)
{
	if (t->dead_until == 0 || now_ms < t->dead_until)
		return t->dead_until != 0;
	t->dead_until = 0;
	transport_update_all(t);
	return false;
}

static void
transport_update(struct transport *t)
{
	unsigned most = t->limits.pause_ms > 0 ? 1 : t->limits.process_max;
	bool may = !t->held && t->dead_until == 0 && t->paused_until == 0 &&
	    heap_first(&t->ready) != NULL && (most == 0 || t->busy < most);
	bool is = !list_empty(&t->ready_link);

	if (may && !is)
		list_append(&t->schedule->ready, &t->ready_link);
	else if (!may && is)
		list_remove(&t->ready_link);
}

/* It died or lives again: all that waits there with it. */
static void
transport_update_all(struct transport *t)
{
	list_each(l, &t->wanted)
		dest_update(container_of(l, struct dest, wanted_link));
	transport_update(t);
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
	d->key = mem_copy(key);
	d->nexthop = mem_copy(nexthop);
	d->transport = t;
	d->window = window_first(&t->limits);
	d->jobs.steps = &t->schedule->steps;
	list_init(&d->wanted_link);
	list_init(&d->dead_link);
	list_init(&d->dying_link);
	(void)map_set(t->dests, key, d);
	t->schedule->ndests++;
	return d;
}

bool
dest_dead(const struct dest *d)
{
	return d->window == 0;
}

/* In list exactly while it is to be. */
static void
enlist(struct list *list, struct list *link, bool be)
{
	bool is = !list_empty(link);

	if (be && !is)
		list_append(list, link);
	else if (!be && is)
		list_remove(link);
}

static void
dest_update(struct dest *d)
{
	struct transport *t = d->transport;
	const struct heap_node *first = heap_first(&d->jobs);
	bool dying = dest_dead(d) || t->dead_until != 0;

	enlist(&t->wanted, &d->wanted_link, first != NULL);
	enlist(&t->schedule->dying, &d->dying_link, first != NULL && dying);
	if (first != NULL && d->busy < d->window && !d->paused) {
		d->ready.seq = first->seq;
		heap_put(&t->ready, &d->ready,
		    first->key > d->next ? first->key : d->next);
	} else {
		heap_take(&t->ready, &d->ready);
	}
	transport_update(t);
}

static void
dest_free_if_idle(struct dest *d)
{
	if (d->njobs == 0 && d->busy == 0 && !heap_has(&d->wake))
		dest_free(d);
}

/* Back from the grave: what concurrency suits it is anyone's guess. */
static void
dest_live(struct dest *d)
{
	heap_take(&d->transport->schedule->asleep, &d->wake);
	list_remove(&d->dead_link);
	d->transport->schedule->ndead--;
	d->window = d->busy > 0 ? d->busy : window_first(&d->transport->limits);
	d->success = d->failure = d->failed_cohorts = 0;
	d->dead_until = 0;
	d->paused = false;
	dest_update(d);
}

static void
dest_die(struct dest *d, int64_t now_ms, struct str dsn, struct str why)
{
	struct schedule *s = d->transport->schedule;

	mem_free(d->why);
	mem_free(d->dsn);
	d->why = mem_copy(why);
	d->dsn = mem_copy(dsn);
	d->window = 0;
	d->dead_until = now_ms + d->transport->limits.rest_ms;
	d->stats.deaths++;
	heap_put(&s->asleep, &d->wake, d->dead_until);
	list_append(&s->dead, &d->dead_link);
	s->ndead++;
}

/* After a delivery: the rate delays. */
static void
pause_after(struct dest *d, int64_t now_ms)
{
	struct transport *t = d->transport;
	const struct schedule_limits *l = &t->limits;

	if (l->dest_pause_ms > 0 && !dest_dead(d)) {
		d->paused = true;
		heap_put(&t->schedule->asleep, &d->wake,
		    now_ms + l->dest_pause_ms);
	}
	if (l->pause_ms > 0)
		t->paused_until = now_ms + l->pause_ms;
}

/* --- jobs --- */

static struct job *
job_new(struct dest *d, struct mail *mail)
{
	struct job *j = mem_new(sizeof(*j));

	j->dest = d;
	j->mail = mail;
	j->turn = turn_get(d->transport, mail);
	j->rcpt = j->few;
	j->cap = nitems(j->few);
	j->tag.seq = ++d->transport->schedule->seq;
	list_append(&mail->jobs, &j->in_mail);
	d->last = j;
	d->njobs++;
	return j;
}

static void
grow(struct job *j)
{
	uint32_t *p = j->rcpt == j->few ? NULL : j->rcpt;

	p = mem_grow(p, j->cap * 2, sizeof(*p));
	if (j->rcpt == j->few)
		memcpy(p, j->few, sizeof(j->few));
	j->rcpt = p;
	j->cap *= 2;
}

/* It waits for a delivery, its next. */
static void
job_wait(struct job *j, int64_t tag)
{
	heap_put(&j->dest->jobs, &j->tag, tag);
	turn_waits(j->turn, true);
}

void
schedule_add(struct dest *d, struct mail *mail, uint32_t rcpt)
{
	struct job *j = d->last;

	if (j == NULL || j->mail != mail)
		j = job_new(d, mail);
	if (j->n == j->cap)
		grow(j);
	j->rcpt[j->n++] = rcpt;
	d->waiting++;
	d->transport->waiting++;
	if (heap_has(&j->tag))
		return;
	job_wait(j, turn_next(j->turn));
	dest_update(d);
}

uint32_t
portion_rcpt(const struct portion *p, size_t i)
{
	assert(i < p->n);
	return p->job->rcpt[p->first + i];
}

static void
count(struct job *j, size_t n, int sign)
{
	struct dest *d = j->dest;
	struct transport *t = d->transport;

	assert(sign > 0 || (j->busy > 0 && d->busy > 0));
	j->busy += (unsigned)sign;
	d->busy += (unsigned)sign;
	t->busy += (unsigned)sign;
	t->schedule->busy += (size_t)sign;
	t->in_flight += (size_t)sign * n;
}

/* The first max recipients of the job that wait; 0: all. */
static void
take(struct job *j, size_t max, struct portion *p)
{
	size_t n = j->n - j->at;

	assert(n > 0);
	if (max > 0 && n > max)
		n = max;
	*p = (struct portion){ j, j->at, n, j->tag.key, 0 };
	j->at += n;
	j->dest->waiting -= n;
	j->dest->transport->waiting -= n;
	count(j, n, 1);
	heap_take(&j->dest->jobs, &j->tag);
	turn_waits(j->turn, false);
}

bool
schedule_next(struct schedule *s, int64_t now_ms, struct portion *p)
{
	struct transport *t;
	struct dest *d;
	struct job *j;

	if (list_empty(&s->ready))
		return false;
	t = container_of(s->ready.next, struct transport, ready_link);
	list_remove(&t->ready_link);
	list_append(&s->ready, &t->ready_link);
	d = container_of(heap_first(&t->ready), struct dest, ready);
	j = container_of(heap_first(&d->jobs), struct job, tag);
	turn_begin(d);
	take(j, j->mail->alone ? 1 : t->limits.rcpt_max, p);
	p->began_ms = now_ms;
	if (j->at < j->n)
		job_wait(j, turn_next(j->turn));
	d->stats.deliveries++;
	d->stats.rcpts += p->n;
	t->stats.deliveries++;
	t->stats.rcpts += p->n;
	dest_update(d);
	return true;
}

void
schedule_untake(const struct portion *p)
{
	struct job *j = p->job;
	struct dest *d = j->dest;

	assert(p->first + p->n == j->at);
	if (heap_has(&j->tag)) {
		heap_put(&d->jobs, &j->tag, p->tag);
		turn_back(j->turn);
	} else {
		job_wait(j, p->tag);
	}
	j->at -= p->n;
	d->waiting += p->n;
	d->transport->waiting += p->n;
	d->stats.deliveries--;
	d->stats.rcpts -= p->n;
	d->transport->stats.deliveries--;
	d->transport->stats.rcpts -= p->n;
	count(j, p->n, -1);
	dest_update(d);
}

void
schedule_judge(const struct portion *p, enum outcome outcome, int64_t now_ms,
    struct str dsn, struct str why)
{
	struct dest *d = p->job->dest;

	switch (outcome) {
	case OUTCOME_OK:
		if (dest_dead(d))
			dest_live(d);
		else
			window_succeed(d);
		if (!d->paused)
			heap_take(&d->transport->schedule->asleep, &d->wake);
		break;
	case OUTCOME_DOWN:
		d->stats.failed++;
		d->transport->stats.failed++;
		if (dest_dead(d))
			break;
		window_fail(d);
		if (dest_dead(d))
			dest_die(d, now_ms, dsn, why);
		else
			heap_put(&d->transport->schedule->asleep, &d->wake,
			    now_ms + d->transport->limits.rest_ms);
		break;
	case OUTCOME_NONE:
		break;
	}
}

void
schedule_done(const struct portion *p, bool tried, int64_t now_ms)
{
	struct job *j = p->job;
	struct dest *d = j->dest;

	if (tried) {
		turn_end(d, now_ms - p->began_ms);
		pause_after(d, now_ms);
	}
	count(j, p->n, -1);
	if (j->at == j->n && j->busy == 0)
		job_free(j);
	dest_update(d);
	dest_free_if_idle(d);
}

bool
schedule_take_dying(struct schedule *s, struct portion *p, struct str *dsn,
    struct str *why)
{
	struct transport *t;
	struct dest *d;

	if (list_empty(&s->dying))
		return false;
	d = container_of(s->dying.next, struct dest, dying_link);
	t = d->transport;
	*dsn = str_of(dest_dead(d) ? d->dsn : t->dsn);
	*why = str_of(dest_dead(d) ? d->why : t->why);
	take(container_of(heap_first(&d->jobs), struct job, tag), 0, p);
	dest_update(d);
	return true;
}

bool
schedule_is_burying(const struct schedule *s)
{
	return !list_empty(&s->dying);
}

/* --- the dead and the resting --- */

static void
dest_wake(struct dest *d)
{
	if (dest_dead(d)) {
		dest_live(d);
	} else {
		heap_take(&d->transport->schedule->asleep, &d->wake);
		d->paused = false;
		dest_update(d);
	}
	dest_free_if_idle(d);
}

void
schedule_revive(struct schedule *s)
{
	list_each(l, &s->dead)
		dest_wake(container_of(l, struct dest, dead_link));
	list_each(l, &s->all) {
		struct transport *t = container_of(l, struct transport, all);

		t->dead_until = 0;
		transport_update_all(t);
	}
}

void
schedule_sweep(struct schedule *s, int64_t now_ms, size_t dead_max)
{
	struct heap_node *first;

	while ((first = heap_first(&s->asleep)) != NULL &&
	    first->key <= now_ms)
		dest_wake(container_of(first, struct dest, wake));
	while (s->ndead > dead_max)
		dest_wake(container_of(s->dead.next, struct dest, dead_link));
	list_each(l, &s->all) {
		struct transport *t = container_of(l, struct transport, all);

		(void)transport_dead(t, now_ms);
		if (t->paused_until != 0 && now_ms >= t->paused_until) {
			t->paused_until = 0;
			transport_update(t);
		}
	}
}

int64_t
schedule_wake_ms(const struct schedule *s)
{
	const struct heap_node *first = heap_first(&s->asleep);
	int64_t ms = first != NULL ? first->key : INT64_MAX;

	list_each(l, &s->all) {
		const struct transport *t = container_of(l, struct transport,
		    all);

		if (t->dead_until != 0 && t->dead_until < ms)
			ms = t->dead_until;
		if (t->paused_until != 0 && t->paused_until < ms)
			ms = t->paused_until;
	}
	return ms;
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

size_t
schedule_dead(const struct schedule *s)
{
	return s->ndead;
}

uint64_t
schedule_steps(const struct schedule *s)
{
	return s->steps;
}
