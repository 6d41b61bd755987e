/*
 * event/internal - what the files of this room share.
 */
#ifndef EVENT_INTERNAL_H
#define EVENT_INTERNAL_H
#include <event2/event.h>
#include <event2/event_struct.h>
#include "event/event.h"

struct hook {
	struct list	 link;
	void		(*fn)(void *);
	void		*ctx;
};

struct signal_watch {
	struct list	 link;
	struct event	 event;
	void		(*fn)(void *ctx, int signo);
	void		*ctx;
};

struct loop {
	struct event_base *base;
	bool		 stop;
	uint64_t	 round;		/* how many there were */
	struct event	 log_again;	/* the log's sink was full */
	struct list	 hooks;		/* struct hook, in order of coming */
	struct list	 signals;	/* struct signal_watch */
	char		*input;		/* STREAM_INPUT_MAX, of all streams */
};

/* Puts an event of this loop in memory that its owner holds. */
void	event_place(struct loop *, struct event *, int fd, short what,
	    event_callback_fn fn, void *ctx);
void	event_want(struct event *, bool on);	/* no timeout; dies on error */
#endif
