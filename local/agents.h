/*
 * agents - work sent to the agents that run as users: stores and files of
 * destinations to the mailbox agent, commands to the command agent.
 *
 * master starts an agent when it is first wanted; until its channel comes,
 * work waits here, boundedly and not for ever. A store whose agent died is
 * sent once more, to the next one: the mail may then be there twice, but it
 * is there. A command is not: it is the queue manager's to try again.
 */
#ifndef LOCAL_AGENTS_H
#define LOCAL_AGENTS_H
#include <sys/types.h>
#include "service/service.h"

struct agents;
/* commands_max: of one user, that run at once. */
struct agents	*agents_new(struct service *, size_t commands_max);

struct agent_id {
	uid_t	    uid;
	gid_t	    gid;
	struct str  user;	/* login name for groups, or "" */
	struct str  root;	/* of commands; "": / */
};

/* What a .forward or :include: file held. */
struct item {
	enum item_kind kind;
	struct str     value;
};
struct items {
	struct item *v;
	size_t	     n;
};

/*
 * For each: strings and descriptor must stay until done was called: once,
 * and perhaps at once. A descriptor of its own is sent. What done gets lives
 * until it returns.
 */
void		 agents_store(struct agents *, const struct agent_id *,
		    const struct msg_store *job,
		    void (*done)(void *ctx, const struct msg_store_done *,
			const struct items *), void *ctx);
void		 agents_expand(struct agents *, const struct agent_id *,
		    const struct msg_expand *job,
		    void (*done)(void *ctx, const struct msg_expand_done *,
			const struct items *), void *ctx);
void		 agents_run(struct agents *, const struct agent_id *,
		    const struct msg_run *job,
		    void (*done)(void *ctx, const struct msg_run_done *),
		    void *ctx);
/* master's answer: there will be none. */
void		 agents_refused(struct agents *,
		    const struct msg_agent_refused *);
#endif
