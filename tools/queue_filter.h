/*
 * queue_filter - which messages postern queue is asked about. Pure.
 */
#ifndef TOOLS_QUEUE_FILTER_H
#define TOOLS_QUEUE_FILTER_H
#include "queue/queue.h"

struct queue_filter {
	struct str sender;	/* address, "@domain", or "<>"; "": all */
	struct str recipient;	/* the same, of one that still waits */
	struct str domain;	/* of a recipient that still waits */
	struct str reason;	/* a part of why one waits, any case */
	int64_t	   older_s, younger_s;	/* age; -1: any */
	int64_t	   size_least, size_most;	/* bytes; -1: any */
	unsigned   dirs;	/* 1 << enum queue_dir; 0: all */
};
void		 queue_filter_init(struct queue_filter *);
/*
 * Sets what an option says; name without its dashes. NULL, or what is wrong
 * with the value. ENOENT-like: queue_filter_knows() says which names exist.
 */
bool		 queue_filter_knows(struct str name);
const char	*queue_filter_set(struct queue_filter *, struct str name,
		    struct str value);
/* True where nothing is asked: every message of every directory. */
bool		 queue_filter_is_open(const struct queue_filter *);
bool		 queue_filter_match(const struct queue_filter *,
		    enum queue_dir, const struct queue_message *,
		    int64_t now_s);
/* A recipient that still waits. */
bool		 queue_rcpt_waits(const struct queue_rcpt *);
#endif
