/*
 * qmgr - what the parts of the queue manager share.
 *
 * Every file of the queue that is not held has a slot: its id and when it is
 * due, some 150 bytes. A slot that is due becomes a message (envelope read,
 * recipients resolved into jobs of the schedule) while the limits allow; a
 * message that is done is unlinked, deferred or returned and its memory
 * freed. All of it can be rebuilt from the folders at any time.
 */
#ifndef QMGR_QMGR_H
#define QMGR_QMGR_H
#include <sys/stat.h>
#include "dsn/dsn.h"
#include "qmgr/schedule.h"
#include "queue/queue.h"
#include "route/route.h"
#include "service/service.h"
#include "table/table.h"

struct qmgr_conf {
#define PARAM PARAM_MEMBER
#include "qmgr/params.def"
#undef PARAM
};

struct message;

/* slot: one file of the queue. */
enum slot_state { SLOT_NEW, SLOT_WAITS, SLOT_ACTIVE };
struct slot {
	struct heap_node due;		/* steady clock, ms */
	union {
		struct message	*m;	/* SLOT_ACTIVE */
		struct site_ref	*sites;	/* SLOT_WAITS: site.c; NULL: unread */
	};
	uint16_t	 faults;	/* local faults in a row */
	uint8_t		 dir;		/* enum queue_dir */
	uint8_t		 state;
	bool		 flush;		/* somebody asked for it: see message */
	char		 id[];
};

/* note[i] of a recipient in this attempt. */
enum {
	NOTE_CRASHES  = 3,	/* mask: deliveries that died with it */
	NOTE_DONE     = 1 << 2,	/* has its result, or needs none */
	NOTE_DELIVERY = 1 << 3,	/* in a delivery, or waits for one */
	NOTE_PASS     = 1 << 4,	/* another way: best_mx_transport */
	NOTE_PASSED   = 1 << 5,	/* it was given that way */
};

enum step { STEP_DELIVER, STEP_JOURNAL, STEP_REPORT, STEP_SETTLE };

struct message {
	struct qmgr	*q;
	struct slot	*slot;
	struct list	 link;		/* q->messages */
	struct list	 dirty;		/* q->dirty */
	struct list	 resolving;	/* q->resolving, or its transport's */
	struct list	 report_turn;	/* q->report_turns */
	struct arena	*arena;
	struct queue_message msg;
	uint8_t		*note;
	uint32_t	*unwritten;	/* results not in the journal yet */
	size_t		 nunwritten;
	struct mail	 mail;		/* in the schedule */
	int		 rw_fd;		/* -1: opened when it is needed */
	int64_t		 active_us;
	int64_t		 tried_s;	/* the attempt before this */
	size_t		 resolved;	/* recipients below are resolved */
	size_t		 scheduled;	/* recipients in the schedule */
	struct mail_transport *parked;	/* has no room for its next one */
	int64_t		 parked_ms;	/* since when */
	size_t		 pending;	/* without a result */
	size_t		 deliveries;	/* under way */
	enum step	 step;
	unsigned	 reports;	/* 1 << enum report_kind: due */
	bool		 first;		/* first attempt of all */
	bool		 flush;		/* also by defer_transports */
	bool		 forced;	/* back to its sender, untried */
	bool		 report_failed;	/* try its report later */
	bool		 report_again;	/* a second bounce is at it */
	bool		 gone;		/* somebody removed the file */
	enum report_kind reporting;
	struct talk	*report;
	struct wait_peer *wait;
	struct timer	*again;		/* after a local fault */
	unsigned	 faults;
	struct channel	*early;		/* of cleanup, which waits: early.c */
	uint64_t	 early_ms;	/* so long */
	char		 file[QUEUE_ID_MAX]; /* its name; "": its id */
};

struct mail_transport {		/* behind a struct transport */
	struct qmgr	*q;
	struct transport *t;
	enum role	 role;
	bool		 known;		/* stands in master.cf and has a role */
	bool		 deferred;	/* defer_transports */
	struct wait_peer *wait;
	int64_t		 rcpts_max, rcpts_extra, refill_min, refill_ms;
	struct list	 parked;	/* messages, by resolving */
	struct map	*paces;		/* early.c: of next hosts */
};

struct qmgr {
	struct qmgr_conf conf;
	struct service	*service;
	struct loop	*loop;
	struct conf	*main_cf;
	struct master_cf master_cf;
	struct router	*router, *probe_router; /* the latter may be NULL */
	struct queue	 queue;
	struct schedule	*schedule;
	struct map	*slots;		/* by id */
	struct heap	 incoming;	/* Q_INCOMING and Q_ACTIVE */
	struct heap	 deferred;
	uint64_t	 seq;		/* of slots, in the order they wait */
	bool		 deferred_turn;	/* whose turn to be admitted */
	struct {			/* of deferred/: scan.c */
		struct queue_walk *walk;
		bool	 again;		/* a walk is to begin */
		bool	 flush;		/* what it finds is due */
	} scan;
	struct list	 messages, dirty, resolving;
	size_t		 nparked;	/* messages: see refill.c */
	struct list	 report_turns;	/* messages that wait for theirs */
	size_t		 reports;	/* under way */
	size_t		 nmessages, nrcpts, fds, fds_max;
	struct timer	*pump;
	struct timer	*rescan;
	struct listener	*control;
	struct list	 controls;	/* connections */
	struct map	*sites;		/* site.c: by domain */
	struct list	 asked;		/* sites, while unread ones are read */
	struct buf	 unread;	/* ids, NUL ends each */
	size_t		 unread_at;
	struct match_list *flush_domains; /* fast_flush_domains; or NULL */
	bool		 soft_bounce, draining, begun;
	bool		 released;	/* draining: leave.c */
	bool		 confirm_delay_cleared;
	int64_t		 silence_ms;	/* most between words of a delivery */
	char		*double_bounce;
	unsigned	 delay_decimals; /* delay_logging_resolution_limit */
	int64_t		 wall0_us, steady0_ms;	/* the clock that we trust */
	int64_t		 jump_us;	/* the wall clock jumped ahead by this */
	int64_t		 jump_at_us;	/* mail that is older: take it off */
	char		(*settled)[QUEUE_ID_MAX]; /* early.c: the last ones */
	size_t		 nsettled;
	uint64_t	 sent, put_off, bounced, removed; /* since start */
};

/* clock.c: age of mail, safe against jumps of the wall clock */
void		 age_start(struct qmgr *);
int64_t		 age_s(struct qmgr *, int64_t arrival_us);

/* slot.c */
struct slot	*slot_get(struct qmgr *, struct str id);
struct slot	*slot_new(struct qmgr *, struct str id);
/* In dir, due at that time; a slot that waits already is moved. */
void		 slot_wait(struct qmgr *, struct slot *, enum queue_dir,
		    int64_t due_ms);
void		 slot_unwait(struct qmgr *, struct slot *);
/* One that waits: due now, defer_transports or not. */
void		 slot_flush(struct qmgr *, struct slot *);
/* The same for all of a heap. */
void		 slot_flush_all(struct heap *);
void		 slot_free(struct qmgr *, struct slot **);
struct slot	*slot_first(const struct heap *);	/* or NULL */

/* site.c: deferred mail by domain */
enum flush_status site_flush(struct qmgr *, struct str domain);
/* A slot that waits is for the domains of these recipients. */
void		 site_file(struct qmgr *, struct slot *,
		    const struct queue_message *);
void		 site_forget(struct qmgr *, struct slot *);
/* The scan has found one: is it for one that was asked for? */
void		 site_found(struct qmgr *, const struct slot *);
bool		 site_is_reading(const struct qmgr *);
void		 site_read_more(struct qmgr *);		/* a few files on */

/* scan.c: the folders, and who becomes active */
void		 scan_start(struct qmgr *);	/* all folders, at begin */
/* incoming/ at once, deferred/ from now on; one that runs is run once more. */
void		 scan_again(struct qmgr *);
void		 scan_flush(struct qmgr *);	/* and all of it is due */
void		 scan_incoming(struct qmgr *);
bool		 scan_is_running(const struct qmgr *);
void		 scan_more(struct qmgr *);	/* of deferred/, some names */
/* Admits what is due, hands out what may start, sets the next wake-up. */
void		 qmgr_pump(struct qmgr *);
void		 qmgr_wake(struct qmgr *);	/* sets the wake-up alone */
bool		 qmgr_has_room(const struct qmgr *);

/* message.c */
/* From a file that is due. False: no message of it (slot may be gone). */
bool		 message_open(struct qmgr *, struct slot *);
/* From cleanup's offer; owns fd (-1: none). */
void		 message_offer(struct qmgr *, struct channel *,
		    const struct msg_offer *);
/* Its file, whatever it is called: 0 or errno. The slot's dir is yours. */
int		 message_move(struct message *, enum queue_dir to);
int		 message_remove(const struct message *);
/* A new read-only descriptor, to be given away; or -1 with errno. */
int		 message_open_ro(struct message *);
int		 message_rw_fd(struct message *);	/* or -1 with errno */
/* Frees it; its slot waits or is freed by the caller. */
void		 message_free(struct message **);
/* Damaged: to corrupt/, with a log line. The slot is gone then. */
void		 message_corrupt(struct qmgr *, struct slot **);

/* early.c: mail that is delivered before its file was synced */
#define LOOK_AGAIN_MS	1000	/* at incoming/, where a file may be left */
void		 early_begin(struct message *, struct channel *,
		    const struct msg_offer *);
/* A recipient goes that way: is it as fast as a sync? */
void		 early_route(struct message *, enum role);
void		 early_dest(struct message *, const struct dest *);
/* Until a delivery more is over there, where one takes that long. (pure) */
double		 early_takes_ms(const struct dest *, double pace_ms);
/* A delivery there began at that time and is over. */
void		 early_learn(const struct dest *, int64_t began_ms, bool ok);
/* Tells cleanup, once; then nobody waits any more. */
void		 early_settle(struct message *, bool delivered);
/* Untouched: to be offered anew, to another. */
void		 early_return(struct message *);
void		 early_withdraw(struct qmgr *, struct str id);
void		 early_gone(struct qmgr *, const struct channel *);
/* Ids of those that were delivered lately; cleanup is to remove them. */
struct map	*early_delivered(const struct qmgr *);
/* One of them is still in incoming/: away with it, if cleanup is not at it. */
void		 early_sweep(struct qmgr *, const char *id);

/* resolve.c */
struct mail_transport *transport_get(struct qmgr *, struct str name);
void		 transport_configure_all(struct qmgr *);
/* Some recipients more; all of a small message. */
void		 resolve_message(struct message *);
/* smtp found that this machine is the recipient's best MX. */
void		 resolve_pass(struct message *, uint32_t rcpt);
void		 resolve_more(struct qmgr *);

/* refill.c: how many recipients of a transport are in the schedule */
bool		 refill_has_room(const struct message *,
		    const struct mail_transport *);
void		 refill_park(struct message *, struct mail_transport *);
void		 refill_unpark(struct message *); /* harmless if it is not */
void		 refill_done(struct mail_transport *);	/* some are through */
void		 refill_sweep(struct qmgr *, int64_t now_ms);

/* clogged.c: warns of a destination that fills the active queue */
void		 clogged_check(struct qmgr *, struct dest *);

/* deliver.c */
void		 deliver_all(struct qmgr *);	/* what may start now */
void		 deliver_resume(struct qmgr *, enum role, struct str service);
/* Puts off some of what waits for the dead. */
void		 deliver_bury(struct qmgr *);

/* result.c: what became of a recipient */
struct result {
	enum delivery_status status;
	struct str dsn, text, remote_mta, diagnostic, action, transport;
};
void		 result_set(struct message *, uint32_t rcpt,
		    const struct result *);
/* qmgr's own verdict: result_set and the log line. */
void		 result_defer(struct message *, uint32_t rcpt, struct str dsn,
		    struct str text);
void		 result_own(struct message *, uint32_t rcpt,
		    const struct result *);
void		 result_flush(struct qmgr *);	/* before the loop sleeps */
int		 result_write(struct message *); /* 0 or errno */

/* defer.c: after the last result */
void		 message_check_done(struct message *);

/* leave.c: one qmgr after another */
void		 leave_begin(struct qmgr *);	/* nothing new is begun */
/* All have heard it: the next one may begin with what we let go. */
void		 leave_release(struct qmgr *);
/* Not in hand any more: its results go into the file, which is the next
 * one's. */
void		 leave_message(struct message *);

/* expire.c */
/* Was it asked to go back to its sender? */
bool		 expire_asked(struct message *);
/* The result of a recipient that is not tried for that reason. */
void		 expire_result(struct message *, uint32_t rcpt);
/* Too old, or asked: all that is deferred counts as bounced, with its own
 * reason. */
bool		 expire(struct message *);

/* stats.c */
void		 stats_print(struct qmgr *, struct buf *);

/* control.c */
void		 control_listen(struct qmgr *, int fd);
void		 control_flush(struct qmgr *);
#endif
