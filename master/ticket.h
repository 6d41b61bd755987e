/*
 * ticket - what auth lets a front have: the worker of one owner, once.
 *
 * Pure: no I/O; the clock is passed in. A ticket is for the very front that
 * carried the login. It is gone when it is shown, by whomever; what is not
 * shown in TICKET_MS is worth nothing any more.
 */
#ifndef MASTER_TICKET_H
#define MASTER_TICKET_H
#include "ipc/ipc.h"

/*
 * A front shows its ticket as soon as it has it, and is busy or stopped
 * (daemon_stopped_time) for seconds at most.
 */
#define TICKET_MS	30000
#define TICKETS_MAX	1000	/* of one front: logins under way at once */
#define TICKET_NAME_MAX	255	/* bytes of a user's name */
#define TICKET_PATH_MAX	4095

struct ticket {
	struct list	  link;
	struct arena	 *arena;	/* holds what `is` points to */
	struct msg_ticket is;
	int64_t		  until_ms;
};
void		 ticket_free(struct ticket **);
/* Would the same worker do for both? */
bool		 ticket_same_owner(const struct ticket *,
		    const struct ticket *);

struct tickets;
struct tickets	*tickets_new(void);
void		 tickets_free(struct tickets **);
/* NULL: it is held. Else why not; static text. */
const char	*ticket_put(struct tickets *, const struct msg_ticket *,
		    int64_t now_ms);
/*
 * The ticket of that secret, yours now; NULL with *why. Whether it was good
 * or not, that secret opens nothing after this.
 */
struct ticket	*ticket_take(struct tickets *, enum role front,
		    uint64_t instance, struct str secret, int64_t now_ms,
		    const char **why);
/* That front is gone, and its tickets with it. */
void		 tickets_forget(struct tickets *, uint64_t instance);
/* Forgets those long past; when to look again, or -1: none is left. */
int64_t		 tickets_sweep(struct tickets *, int64_t now_ms);
size_t		 tickets_count(const struct tickets *);
#endif
