/*
 * schedule - which recipients of which message go out next.
 *
 * Pure: no I/O, no clock (times are passed in, steady milliseconds), so a
 * test can play days of traffic. A transport has destinations; a destination
 * has jobs, one for each message that waits for it; a job has recipients
 * that were not handed out yet. Choice is round robin over transports, then
 * destinations, then jobs, so neither a dead site nor a mailing list holds
 * up other mail; each choice costs the same however much waits.
 *
 * A destination's window is how many deliveries to it may run at once. It
 * moves with success and failure as Postfix's qmgr moves it (SCHEDULER
 * README); a destination that fails for whole cohorts is dead for a while.
 */
#ifndef QMGR_SCHEDULE_H
#define QMGR_SCHEDULE_H
#include "base/base.h"

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
};

struct transport {
	char		*name;
	void		*user;		/* the caller's */
	struct schedule_limits limits;
	unsigned	 busy;		/* deliveries under way */
	bool		 held;		/* see transport_hold */
	int64_t		 dead_until;	/* 0: alive */
	char		*why, *dsn;	/* of the dead */
	struct schedule	*schedule;
	struct map	*dests;
	struct list	 all;		/* of transports */
	struct list	 ready_link;
	struct list	 ready;		/* destinations that may start one */
};

struct dest {
	char		*key, *nexthop;
	struct transport *transport;
	struct list	 ready_link;
	struct list	 dead_link;
	struct list	 jobs;		/* with recipients left */
	struct job	*last;		/* most recently added to */
	unsigned	 window, busy, njobs; /* njobs: all that live */
	double		 success, failure, failed_cohorts;
	int64_t		 dead_until;
	char		*why, *dsn;
};

#define JOB_INLINE 4
struct job {
	struct list	 in_dest, in_owner;
	struct dest	*dest;
	void		*owner;
	uint32_t	*rcpt;
	size_t		 n, at, cap;
	unsigned	 busy;
	uint32_t	 few[JOB_INLINE];
};

/* Handed out: n recipients of a job, which lives until schedule_done. */
struct portion { struct job *job; size_t first, n; };
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
/* Dead: rests limits.rest_ms; take what waits with schedule_take_waiting. */
void		 transport_kill(struct transport *, int64_t now_ms,
		    int64_t rest_ms, struct str dsn, struct str why);
bool		 transport_dead(struct transport *, int64_t now_ms);

/*
 * The destination of that key, made where it is new. It stays while it has
 * jobs, or is dead. A dead one that has rested is alive again.
 */
struct dest	*schedule_dest(struct transport *, struct str key,
		    struct str nexthop, int64_t now_ms);
bool		 dest_dead(const struct dest *);

/* Recipient of owner, to dest. jobs: the owner's list of its jobs. */
void		 schedule_add(struct dest *, void *owner, struct list *jobs,
		    uint32_t rcpt);
/* The next delivery, counted as under way. False: nothing may start now. */
bool		 schedule_next(struct schedule *, struct portion *) MUST_USE;
/* Takes a portion back as if it had not been handed out. */
void		 schedule_untake(const struct portion *);
/*
 * The delivery is over; frees the job with its last one. dsn and why matter
 * with OUTCOME_DOWN. True: the destination died of it: take what waits.
 */
bool		 schedule_done(const struct portion *, enum outcome,
		    int64_t now_ms, struct str dsn, struct str why);
/* Recipients that wait for a destination, to be put off: end each portion
 * with schedule_done(OUTCOME_NONE). False: none wait. */
bool		 schedule_take_dest(struct dest *, struct portion *) MUST_USE;
bool		 schedule_take_transport(struct transport *, struct portion *)
		    MUST_USE;
/* Forgets which destinations and transports are dead (flush). */
void		 schedule_revive(struct schedule *);
/* Lets live again who has rested. */
void		 schedule_sweep(struct schedule *, int64_t now_ms);

void		 schedule_each_transport(struct schedule *,
		    void (*fn)(void *ctx, struct transport *), void *ctx);
size_t		 schedule_busy(const struct schedule *);	/* deliveries */
size_t		 schedule_dests(const struct schedule *);
#endif
