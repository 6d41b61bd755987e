/*
 * pickup - what the parts of the pickup daemon share.
 *
 * main_pickup.c    the process: scans, pokes, jobs      (start here)
 * pickup_job.c     one message on its way to cleanup
 * pickup_source.c  a file of maildrop/, of either form, read and checked
 * pickup_report.c  the report to a sender whose mail cleanup refused
 */
#ifndef CLEANUP_PICKUP_H
#define CLEANUP_PICKUP_H
#include <sys/stat.h>
#include <dirent.h>

#include "maildrop/maildrop.h"
#include "queue/queue.h"
#include "service/service.h"
#include "template/template.h"

struct pickup_conf {
#define PARAM PARAM_MEMBER
#include "cleanup/params_pickup.def"
#undef PARAM
};

struct pickup {
	struct service	  *service;
	struct loop	  *loop;
	struct queue	   queue;
	struct pickup_conf conf;
	int64_t		   size_max;	/* message_size_limit, 0: none */
	struct str	   myhostname, mail_name, content_filter;
	uint64_t	   overrides;	/* MAIL_ bits */
	struct template	   failure;	/* its text as it is sent */
	struct list	   jobs;
	size_t		   njobs;
	struct map	  *busy;	/* name: its job */
	struct map	  *later;	/* names that wait for a wakeup */
	struct map	  *handed;	/* as later: cleanup has it, but the
					 * file could not be removed */
	DIR		  *scan;	/* under way, or NULL */
	bool		   again;	/* scan once more when done */
	struct timer	  *wakeup;	/* once a minute */
	struct timer	  *next;	/* goes on with the scan */
	struct listener	  *listener;
	bool		   draining;
};
/* A job has ended: look for the next. retry: at the next wakeup. */
void		 pickup_job_done(struct pickup *, struct str name, bool retry);
/* Cleanup has it: the file goes, if not now then at a later scan. */
void		 pickup_remove(struct pickup *, const char *name);

/* --- pickup_source.c --- */
enum source_item { SRC_SENDER, SRC_ATTR, SRC_RCPT, SRC_CONTENT, SRC_END,
	SRC_BAD, SRC_RETRY };
struct source {
	int	     fd;
	struct stat  st;
	bool	     requeued;		/* a queue file: postsuper -r */
	bool	     stale;		/* begun a day ago, never ended */
	int64_t	     size_max;
	const char  *why;		/* SRC_BAD */
	/* of a submission: */
	struct maildrop_reader reader;
	struct buf   in;
	off_t	     at;
	size_t	     used;		/* of in, by what was handed out */
	bool	     cr, newline;	/* content so far ends so */
	/* of a queue file: */
	struct arena *arena;
	struct queue_message msg;
	unsigned     step;
	size_t	     next;
	uint64_t     sent;		/* bytes of content */
	struct buf   out;		/* content with CRLF */
};
/* One thing of the message; strings are good until the next call. */
struct source_part { struct str name, text, orcpt; uint32_t notify; };
/*
 * Opens maildrop/NAME. 0; EAGAIN where it isn't complete; EBADMSG with why:
 * not a file that belongs there; another errno for local faults.
 */
int		 source_open(struct source *, const struct pickup *,
		    const char *name) MUST_USE;
void		 source_close(struct source *);
/* Order: sender, attributes, recipients, content, end. */
enum source_item source_next(struct source *, struct source_part *) MUST_USE;
/* Submission content: lines end in CRLF, no other CR or LF. */
void		 source_to_crlf(struct source *, struct str in);

/* --- pickup_job.c --- */
void		 pickup_job_start(struct pickup *, const char *name);
/* The channel has room again. */
void		 pickup_job_resume(struct pickup *, struct channel *);

/* --- pickup_report.c --- */
struct refusal {
	struct str   name, sender;	/* file; to whom */
	unsigned     status;		/* enum mail_status */
	struct str   dsn, reason;
	int64_t	     arrival_s;
	unsigned     uid;
};
/* Appends the whole report, CRLF line ends; header: of the message. */
void		 pickup_report(const struct pickup *, const struct refusal *,
		    struct str header, struct str rcpts, int64_t now_s,
		    struct buf *out);
#endif
