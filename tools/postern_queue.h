/*
 * postern queue, inside: the command and what it prints.
 */
#ifndef TOOLS_POSTERN_QUEUE_H
#define TOOLS_POSTERN_QUEUE_H
#include <sys/stat.h>

#include "showq/showq.h"
#include "tools/postern.h"
#include "tools/queue_filter.h"
#include "tools/superintend.h"

struct queue_word;
struct queue_command {
	struct postern	  *p;
	struct superintend does;
	struct queue_filter filter;
	const struct queue_word *word;
	struct shape	  *shape;
	bool		   json, all, dry_run, terminal, progress_shown;
	int64_t		   now_s, progress_at;
	size_t		   shown;
	uint64_t	   bytes;
};

/* A message as it is found. */
struct queued {
	enum queue_dir	     dir;
	const char	    *id;
	struct stat	     st;
	struct queue_message msg;
};

void		 queue_print_heading(struct queue_command *);
void		 queue_print_line(struct queue_command *,
		    const struct queued *);
void		 queue_print_sum(struct queue_command *);
/* All of its recipients. */
void		 queue_print_whole(struct queue_command *,
		    const struct queued *);
void		 queue_count_shape(struct queue_command *,
		    const struct queued *);
void		 queue_print_shape(struct queue_command *);
#endif
