/*
 * agents - stores sent to the agents that run as the mailboxes' owners.
 *
 * master starts an agent when it is first wanted; until its channel comes,
 * stores wait here, boundedly and not for ever. A store whose agent died is
 * sent once more, to the next one: the mail may then be there twice, but it
 * is there.
 */
#ifndef LOCAL_AGENTS_H
#define LOCAL_AGENTS_H
#include <sys/types.h>
#include "service/service.h"

struct agents;
struct agents	*agents_new(struct service *);

struct agent_id {
	uid_t	    uid;
	gid_t	    gid;
	struct str  user;	/* login name for groups, or "" */
};
/*
 * job's strings and descriptor must stay until done was called: once, and
 * perhaps at once. A descriptor of its own is sent.
 */
void		 agents_store(struct agents *, const struct agent_id *,
		    const struct msg_store *job,
		    void (*done)(void *ctx, const struct msg_store_done *),
		    void *ctx);
/* master's answer: there will be none. */
void		 agents_refused(struct agents *,
		    const struct msg_agent_refused *);
#endif
