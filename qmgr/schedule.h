/*
 * schedule - which recipients of which message go out next.
 *
 * Pure: no I/O, no clock (times are passed in, steady milliseconds), so a
 * test can play days of traffic. A transport has destinations; a destination
 * has jobs, one for each message that waits for it; a job has recipients
 * that were not handed out yet.
 *
 * Whose turn it is (turn.c): each delivery that waits has a tag, its place in
 * its transport's virtual time. A sender's mail is spaced out, so that
 * senders share a transport evenly; so are the deliveries of one message, so
 * that small mail passes a list; and so are deliveries to one destination,
 * by the time that they take, so that a slow one does not sit on all the
 * processes. The least tag that may start is next. A choice costs a walk
 * down two heaps, however much waits.
 *
 * A destination's window is how many deliveries to it may run at once. It
 * moves with success and failure as Postfix's qmgr moves it (SCHEDULER
 * README; window.c); a destination that fails for whole cohorts is dead for
 * a while. Dead or resting ones stand in a heap by time and cost nothing.
 */
#ifndef QMGR_SCHEDULE_H
#define QMGR_SCHEDULE_H
#include "qmgr/heap.h"

struct schedule;

enum feedback_by { BY_NOTHING, BY_WINDOW, BY_SQRT_WINDOW };
struct feedback { double base; enum feedback_by by; };
/* "1", "1/8", "1/concurrency", "1/sqrt_concurrency"; base from 0 to 1. */
bool		 feedback_parse(struct str, struct feedback *) MUST_USE;

struct schedule_limits {
	unsigned process_max;	/* deliveries at once; 0: no limit */
	unsigned window_first;	/* initial_destination_concurrency */
	unsigned window_max;	/* 0: no limit */
	unsigned rcpt_max;	/* in one delivery; 0: no limit */
	unsigned cohort_max;	/* failed cohorts until dead; 0: never */
	struct feedback positive, negative;
	int64_t  rest_ms;	/* how long the dead rest */
	int64_t  dest_pause_ms;	/* destination_rate_delay; window is 1 then */
	int64_t  pause_ms;	/* transport_rate_delay; one delivery then */
	unsigned slot_cost;	/* delivery_slot_cost; 0: first come only */
	unsigned small_max;	/* minimum_delivery_slots: small mail */
};

struct schedule_stats {		/* since start */
	uint64_t deliveries, rcpts, failed, deaths;
};

struct transport {
	char		*name;
	void		*user;		/* the caller's */
	struct schedule_limits limits;
	unsigned	 busy;		/* deliveries under way */
	size_t		 waiting;	/* recipients not handed out */
	size_t		 in_flight;	/* recipients handed out */
	bool		 held;		/* see transport_hold */
	int64_t		 dead_until;	/* 0: alive */
	int64_t		 paused_until;	/* 0: not */
	char		*why, *dsn;	/* of the dead */
	struct schedule	*schedule;
	struct schedule_stats stats;
	struct map	*dests;
	struct map	*flows;		/* by sender: turn.c */
	int64_t		 clock;		/* virtual time: the tag served last */
	double		 usual_ms;	/* what a delivery takes, on average */
	struct list	 all;		/* of transports */
	struct list	 ready_link;
	struct heap	 ready;		/* destinations that may start one */
	struct list	 wanted;	/* destinations with jobs that wait */
};

struct dest {
	char		*key, *nexthop;
	struct transport *transport;
	struct heap_node ready;		/* in transport->ready */
	struct heap_node wake;		/* see schedule.c: when that is over */
	bool		 paused;	/* by a rate delay */
	struct list	 wanted_link;
	struct list	 dead_link, dying_link;
	struct heap	 jobs;		/* with recipients left, by tag */
	struct job	*last;		/* most recently added to */
	unsigned	 window, busy, njobs; /* njobs: all that live */
	size_t		 waiting;	/* recipients not handed out */
	int64_t		 next;		/* tag of its next delivery at least */
	double		 success, failure, failed_cohorts;
	int64_t		 dead_until;
	int64_t		 warned_ms;	/* the caller's: clogged.c */
	char		*why, *dsn;
	struct schedule_stats stats;
};

/* What a message keeps for the schedule. sender: whose turn it takes. */
struct mail {
	void		*owner;
	struct str	 sender;	/* lives as long as the mail */
	bool		 alone;		/* each recipient in its own delivery */
	struct list	 jobs, turns;
};
void		 mail_init(struct mail *, void *owner, struct str sender);
void		 mail_end(struct mail *);	/* it has no jobs any more */

#define JOB_INLINE 4
struct job {
	struct heap_node tag;		/* in dest->jobs */
	struct list	 in_mail;
	struct dest	*dest;
	struct mail	*mail;
	struct turn	*turn;
	uint32_t	*rcpt;
	size_t		 n, at, cap;
	unsigned	 busy;
	uint32_t	 few[JOB_INLINE];
};

/* Handed out: n recipients of a job, which lives until schedule_done. */
struct portion { struct job *job; size_t first, n; int64_t tag, began_ms; };
uint32_t	 portion_rcpt(const struct portion *, size_t i);

enum outcome {
	OUTCOME_OK,	/* the destination answered, whatever it said */
	OUTCOME_DOWN,	/* the destination could not be reached */
	OUTCOME_NONE,	/* says nothing about the destination */
};

struct schedule	*schedule_new(void);
void		 schedule_free(struct schedule **); /* all jobs go */

struct transport *schedule_transport(struct schedule *, struct str name);
struct transport *schedule_add_transport(struct schedule *, struct str name,
		    const struct schedule_limits *, void *user);
void		 transport_set_limits(struct transport *,
		    const struct schedule_limits *);
/* Held: nothing of it is handed out (its process is being restarted). */
void		 transport_hold(struct transport *, bool);
/* Dead: rests; take what waits with schedule_take_dying. */
void		 transport_kill(struct transport *, int64_t now_ms,
		    int64_t rest_ms, struct str dsn, struct str why);
bool		 transport_dead(struct transport *, int64_t now_ms);

/*
 * The destination of that key, made where it is new. It stays while it has
 * jobs, is dead, pauses, or has failed lately. A dead one that has rested is
 * alive again.
 */
struct dest	*schedule_dest(struct transport *, struct str key,
		    struct str nexthop, int64_t now_ms);
bool		 dest_dead(const struct dest *);

/* Recipient of a message, to dest. */
void		 schedule_add(struct dest *, struct mail *, uint32_t rcpt);
/* The next delivery, counted as under way. False: nothing may start now. */
bool		 schedule_next(struct schedule *, int64_t now_ms,
		    struct portion *) MUST_USE;
/* Takes a portion back as if it had not been handed out. */
void		 schedule_untake(const struct portion *);
/*
 * What a delivery tells about its destination, before schedule_done. dsn and
 * why matter with OUTCOME_DOWN: the destination may die of it.
 */
void		 schedule_judge(const struct portion *, enum outcome,
		    int64_t now_ms, struct str dsn, struct str why);
/*
 * The portion is over; frees the job with its last one, and perhaps the
 * destination. tried: there was a delivery, so rate delays begin.
 */
void		 schedule_done(const struct portion *, bool tried,
		    int64_t now_ms);
/*
 * Recipients that wait for a dead destination or transport, to be put off
 * for the reason given: end each portion as not tried. False: none.
 */
bool		 schedule_take_dying(struct schedule *, struct portion *,
		    struct str *dsn, struct str *why) MUST_USE;
bool		 schedule_is_burying(const struct schedule *); /* some are */
/* Forgets which destinations and transports are dead (flush). */
void		 schedule_revive(struct schedule *);
/* Lets go on who has rested; forgets all dead ones but the latest dead_max. */
void		 schedule_sweep(struct schedule *, int64_t now_ms,
		    size_t dead_max);
/* When is the next sweep due? INT64_MAX: nobody rests. */
int64_t		 schedule_wake_ms(const struct schedule *);

void		 schedule_each_transport(struct schedule *,
		    void (*fn)(void *ctx, struct transport *), void *ctx);
size_t		 schedule_busy(const struct schedule *);	/* deliveries */
size_t		 schedule_dests(const struct schedule *);
size_t		 schedule_dead(const struct schedule *);	/* dests */
/* Moves within heaps since start: what choices cost, for tests. */
uint64_t	 schedule_steps(const struct schedule *);

/* --- among the schedule's own files --- */

/* turn.c: the tag of a message's next delivery by a transport */
struct turn;
struct turn	*turn_get(struct transport *, struct mail *);
int64_t		 turn_next(struct turn *);
void		 turn_back(struct turn *);	/* that delivery was not */
void		 turn_waits(struct turn *, bool);	/* one job more, or less */
void		 turn_free_all(struct transport *);
/* A delivery of the dest's first job begins: moves the clock. */
void		 turn_begin(struct dest *);
/* It took so long: what its destination pays for that. */
void		 turn_end(struct dest *, int64_t took_ms);
#define TURN_UNIT 64		/* tags between two deliveries of one flow */

/* window.c: concurrency feedback; fail() may leave it 0: dead */
unsigned	 window_first(const struct schedule_limits *);
unsigned	 window_most(const struct schedule_limits *); /* 0: no limit */
void		 window_succeed(struct dest *);
void		 window_fail(struct dest *);
#endif
