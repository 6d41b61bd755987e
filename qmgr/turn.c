/*
 * turn - whose turn it is: tags, in a transport's virtual time.
 *
 * Start-time fair queueing. A flow is a sender at a transport; its mail is
 * one TURN_UNIT apart, so senders get equal shares however much each has,
 * and who was silent begins at the clock: at once. A message's deliveries
 * are spaced too, so a list of thousands takes its share and no more. Small
 * mail (up to small_max deliveries) of a sender whose list is under way
 * passes the list: its tag is at the clock, and slot_cost units of the
 * sender's own time are charged for it afterwards. So of each sender's
 * deliveries at most one in slot_cost passes his list, and the list takes at
 * most 1/slot_cost longer: the bound that Postfix's nqmgr gives. Of several
 * lists of one sender each later one takes longer strides. A destination is
 * charged for the time that its deliveries hold. The clock creeps
 * on a little with every delivery: else endless mail of ever new senders
 * would starve the others. qmgr runs it.
 */
#include "qmgr/schedule.h"

#define CREEP	(TURN_UNIT / 4)	/* of the clock, with each delivery */
#define AVERAGE	64		/* deliveries whose time makes the average */
#define UNITS_MAX 10000		/* that a slow delivery is charged */

struct flow {			/* a sender at a transport */
	struct transport *transport;
	char		 *key;
	int64_t		  next;	/* tag of its next message at least */
	unsigned	  nbig;	/* turns of big mail that waits */
	struct list	  turns;
};

struct turn {			/* a message at a transport */
	struct list	  in_mail, in_flow;
	struct flow	 *flow;
	int64_t		  at;	/* tag of its next delivery at least */
	unsigned	  deliveries, waiting;
	bool		  big;	/* counted in flow->nbig */
};

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

void
mail_init(struct mail *mail, void *owner, struct str sender)
{
	*mail = (struct mail){ .owner = owner, .sender = sender };
	list_init(&mail->jobs);
	list_init(&mail->turns);
}

static struct flow *
flow_get(struct transport *t, struct str sender)
{
	struct flow *f = map_get(t->flows, sender);

	if (f != NULL)
		return f;
	f = mem_new(sizeof(*f));
	f->transport = t;
	f->key = mem_copy(sender);
	list_init(&f->turns);
	(void)map_set(t->flows, sender, f);
	return f;
}

struct turn *
turn_get(struct transport *t, struct mail *mail)
{
	struct turn *turn;

	list_each(l, &mail->turns) {	/* of one or two transports */
		turn = container_of(l, struct turn, in_mail);
		if (turn->flow->transport == t)
			return turn;
	}
	turn = mem_new(sizeof(*turn));
	turn->flow = flow_get(t, mail->sender);
	list_append(&mail->turns, &turn->in_mail);
	list_append(&turn->flow->turns, &turn->in_flow);
	return turn;
}

static void
turn_free(struct turn *turn)
{
	struct flow *f = turn->flow;

	if (turn->big && turn->waiting > 0)
		f->nbig--;
	list_remove(&turn->in_mail);
	list_remove(&turn->in_flow);
	mem_free(turn);
	if (!list_empty(&f->turns))
		return;
	(void)map_set(f->transport->flows, str_of(f->key), NULL);
	mem_free(f->key);
	mem_free(f);
}

void
mail_end(struct mail *mail)
{
	assert(list_empty(&mail->jobs));
	list_each(l, &mail->turns)
		turn_free(container_of(l, struct turn, in_mail));
}

void
turn_free_all(struct transport *t)
{
	size_t pos = 0;
	struct str key;
	void *v;

	while (map_next(t->flows, &pos, &key, &v)) {
		struct flow *f = v;

		/* The last one frees the flow. */
		while (f->turns.next != f->turns.prev)
			turn_free(container_of(f->turns.next, struct turn,
			    in_flow));
		turn_free(container_of(f->turns.next, struct turn, in_flow));
		pos = 0;
	}
	map_free(&t->flows);
}

static void
grow_big(struct turn *turn)
{
	if (turn->big)
		return;
	turn->big = true;
	if (turn->waiting > 0)
		turn->flow->nbig++;
}

int64_t
turn_next(struct turn *turn)
{
	struct flow *f = turn->flow;
	const struct schedule_limits *l = &f->transport->limits;
	int64_t tag = later(f->transport->clock,
	    turn->deliveries == 0 ? f->next : turn->at);

	if (l->slot_cost == 0)		/* all equal: first come, first served */
		return 0;
	if (turn->deliveries++ < l->small_max) {
		f->next = later(f->next, tag) + TURN_UNIT *
		    (int64_t)(f->nbig > 0 ? l->slot_cost : 1);
		turn->at = tag;		/* small mail stays together */
	} else {
		grow_big(turn);
		turn->at = tag + TURN_UNIT *
		    (int64_t)(f->nbig > 0 ? f->nbig : 1);
	}
	return tag;
}

void
turn_back(struct turn *turn)
{
	if (turn->deliveries > 0)
		turn->deliveries--;
}

void
turn_waits(struct turn *turn, bool more)
{
	assert(more || turn->waiting > 0);
	if (turn->big && turn->waiting == (more ? 0 : 1)) {
		if (more)
			turn->flow->nbig++;
		else
			turn->flow->nbig--;
	}
	if (more)
		turn->waiting++;
	else
		turn->waiting--;
}

void
turn_begin(struct dest *d)
{
	struct transport *t = d->transport;
	int64_t tag = d->ready.key;

	if (t->limits.slot_cost == 0)
		return;
	t->clock = later(t->clock, tag);
	if (t->clock + CREEP <= tag + TURN_UNIT)
		t->clock += CREEP;
	d->next = tag + TURN_UNIT;
}

void
turn_end(struct dest *d, int64_t took_ms)
{
	struct transport *t = d->transport;
	double ms = took_ms > 1 ? (double)took_ms : 1, units;

	if (t->limits.slot_cost == 0)
		return;
	if (t->usual_ms <= 0)
		t->usual_ms = ms;
	/* A few slow ones must not pass for the usual. */
	t->usual_ms += ((ms < 2 * t->usual_ms ? ms : 2 * t->usual_ms) -
	    t->usual_ms) / AVERAGE;
	units = ms / t->usual_ms - 1;	/* one was charged at its begin */
	if (units > UNITS_MAX)
		units = UNITS_MAX;
	if (units > 0)
		d->next += (int64_t)(units * TURN_UNIT);
}
