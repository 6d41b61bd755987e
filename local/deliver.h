/*
 * deliver - what local, virtual, error and discard have in common: a
 * delivery request of qmgr, its recipients, their results and log lines.
 *
 * deliver.c  requests and results            (start here)
 * agents.c   stores sent to the agents of users
 * main_virtual.c, main_error.c, main_discard.c  one program each
 * main.c     local: starts; expand.c decides, alias.c and user.c look up
 * main_agent.c  the agent: lib/store behind a channel
 */
#ifndef LOCAL_DELIVER_H
#define LOCAL_DELIVER_H
#include "request/request.h"
#include "service/service.h"

struct delivery;
struct tables;
struct recipient;
struct front {				/* one of a program */
	struct service *service;
	struct requests requests;
	const char     *relay;		/* as the log has it */
	/* A recipient has come: end it with deliver_result, now or later. */
	void	(*begin)(void *ctx, struct recipient *);
	/* All recipients that will come have come. May be NULL. */
	void	(*complete)(void *ctx, struct delivery *);
	/* The request ends: free what delivery->own holds. May be NULL. */
	void	(*end)(void *ctx, struct delivery *);
	void	       *ctx;
	bool		original;	/* enable_original_recipient */
	bool		soft;		/* soft_bounce */
	unsigned	delay_decimals;	/* delay_logging_resolution_limit */
	struct tables  *filter;		/* <name>_delivery_status_filter */
};
/* Sets service and what main.cf says; the rest is the program's. */
void	 deliver_front(struct front *, struct service *);
/* Before privileges go: the tables of the parameter that is named. */
void	 deliver_filter(struct front *, struct service *,
	    const char *parameter);

struct delivery {			/* one request */
	struct front	 *front;
	struct talk	 *talk;		/* NULL: qmgr is gone */
	struct arena	 *arena;
	struct msg_deliver msg;		/* strings in the arena */
	int64_t		  start_us;
	struct list	  rcpts;	/* that came, in order */
	size_t		  have;		/* so many */
	size_t		  open;		/* without a result, come or not */
	void		 *own;		/* the program's */
};

struct recipient {
	struct list	 link;		/* in delivery.rcpts */
	struct delivery	*delivery;
	uint64_t	 index;
	struct str	 address;
	struct str	 original;	/* as given; "" where it is the same */
	struct str	 dsn_orcpt;
	uint64_t	 dsn_notify;
	void		*own;		/* the program's */
	struct {			/* of what it turned into, the worst */
		bool		     any;
		enum delivery_status status;
		struct str	     dsn, text, remote_mta, diagnostic, action;
	} sum;
};

/* service_def.on_talk of all of them. */
void	 deliver_on_talk(struct front *, struct talk *, enum msg);
/* Logs and reports; the recipient, and with the last one its request, end. */
void	 deliver_result(struct recipient *, enum delivery_status,
	    const char *dsn, struct str text);
/*
 * For a recipient that turns into several things: each outcome is logged
 * with its own address; deliver_end() reports the worst of them.
 */
void	 deliver_note(struct recipient *, struct str address,
	    enum delivery_status, const char *dsn, struct str text);
void	 deliver_notef(struct recipient *, struct str address,
	    enum delivery_status, const char *dsn, const char *fmt, ...)
	    PRINTF(5, 6);
/* An outcome that another program has logged, or an attempt before this. */
void	 deliver_take(struct recipient *, const struct msg_rcpt_result *);
void	 deliver_end(struct recipient *);
/* The same for literals and answers that are put together. */
void	 deliver_printf(struct recipient *, enum delivery_status,
	    const char *dsn, const char *fmt, ...) PRINTF(4, 5);
/* X-Original-To of a mailbox, or "" where that is switched off. */
struct str deliver_x_original(const struct recipient *);
/* A store of its message below base; the path's last byte says the kind. */
struct msg_store *deliver_job(const struct recipient *, struct str path,
	    struct str base);
/* ASCII letters in lower case; in the delivery's arena. */
struct str deliver_folded(const struct recipient *, struct str);
/*
 * "5.1.1 text" parted. dsn is the status that stands there, but always of
 * preset's class (its first digit), since the outcome is given; without one
 * it is the preset.
 */
#define DELIVER_DSN_SIZE 16
void	 deliver_split(struct str nexthop, const char *preset,
	    char dsn[DELIVER_DSN_SIZE], struct str *text);
/* "fcntl, dotlock" as LOCK_ bits; unknown words are named in a warning. */
uint64_t deliver_locks(struct str words, const char *parameter);
/* Is the limit at least message_size_limit? Else warns and says false. */
bool	 deliver_limit_valid(struct service *, int64_t limit,
	    const char *parameter);
#endif
