/*
 * superintend - what postsuper and postern queue do to a message.
 */
#ifndef TOOLS_SUPERINTEND_H
#define TOOLS_SUPERINTEND_H
#include "tools/tool.h"

enum action { DELETE, EXPIRE, HOLD, RELEASE, REQUEUE, ACTION__MAX };

struct superintend {
	struct tool *tool;
	struct queue queue;
	unsigned     done[ACTION__MAX];
	unsigned     told;		/* released ones that qmgr heard of */
};
/*
 * Root becomes mail_owner; anybody but the queue's owner ends here. Opens
 * the queue.
 */
void		 superintend_open(struct superintend *, struct tool *);
/* True: it was there, and it is done, logged and counted. */
bool		 superintend_act(struct superintend *, enum action,
		    enum queue_dir, const char *id);
/* Moves a file that nobody can read. 0 or errno. */
int		 superintend_move(struct superintend *, enum queue_dir from,
		    enum queue_dir to, const char *id);
/* Wakes pickup where something was requeued. */
void		 superintend_close(struct superintend *);
/* "Deleted: 2 messages", in the log and on standard error. */
void		 superintend_total(const struct superintend *, enum action);
#endif
