/*
 * local - the parts of the local delivery dispatcher, and what they share.
 *
 * main.c    the process: configuration, tables, messages
 * expand.c  from a recipient to a mailbox of a user     (start here)
 * alias.c   alias_maps: what one name stands for
 * forward.c  a new message to other addresses
 * user.c    the system's users, looked up in the pool, kept for a moment
 * loop.c    Delivered-To: lines, which tell of forwarding loops
 */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H
#include "local/agents.h"
#include "local/deliver.h"
#include "table/table.h"

struct local_conf {
#define PARAM PARAM_MEMBER
#include "local/params.def"
#undef PARAM
};

struct users;
struct local {				/* the process */
	struct front	   front;
	struct local_conf  conf;
	struct service	  *service;
	struct agents	  *agents;
	struct list	   forwards;	/* messages on their way to cleanup */
	struct tables	  *aliases;
	struct users	  *users;
	struct match_list *destinations;	/* mydestination */
	struct str	   delimiter, myorigin;
	uint64_t	   locks;
	bool		   owner_special;	/* owner_request_special */
	bool		   delivered_to;	/* put before a mailbox's mail */
	bool		   sane;		/* the limit can be used */
	bool		   alone;	/* not root: serves its own uid */
	uid_t		   own_uid;
};

/* A user of the system, as far as delivery cares. */
struct user {
	struct str name, home;
	uid_t	   uid;
	gid_t	   gid;
	gid_t	   spool_gid;	/* the group that may write in the spool */
};

/* --- user.c --- */
struct users	*users_new(struct service *, struct str spool);
/* fn is called once, perhaps at once; user lives until it returns. */
void		 users_find(struct users *, struct str name,
		    void (*fn)(void *ctx, enum found, const struct user *),
		    void *ctx);

/* --- forward.c --- */
struct forward_to {
	struct str  delivered;	/* Delivered-To: */
	struct str  owner;	/* sender from now on; "" where it stays */
	struct str *rcpts;
	size_t	    n;
};
/* Ends the recipient: EXPANDED once the new message is on disk. */
void		 forward_mail(struct local *, struct recipient *,
		    const struct forward_to *);
void		 forward_drained(struct local *, struct channel *);

/* --- alias.c --- */
enum alias_kind {
	ALIAS_NONE,	/* no such alias */
	ALIAS_LOCAL,	/* one name of this machine: rcpts[0], no domain */
	ALIAS_FORWARD,	/* addresses: rcpts */
	ALIAS_OTHER,	/* commands, files, :include: not yet */
	ALIAS_EMPTY,	/* nobody */
	ALIAS_RETRY,	/* a table is out of order */
};
struct alias {
	struct str  value;	/* the right-hand side */
	struct str  owner;	/* owner-NAME@origin where there is one */
	struct str *rcpts;	/* with domain, but for ALIAS_LOCAL */
	size_t	    n;
};
/* Strings live in the arena. */
enum alias_kind	 alias_find(struct local *, struct arena *, struct str name,
		    struct alias *);

/* --- loop.c --- */
/* Pure: does some Delivered-To: in these header lines name address? */
bool		 loop_in_header(struct str header, struct str address);
/* The same for a request's message. RETRY: it cannot be read. */
enum found	 loop_find(const struct delivery *, struct str address);

/* --- expand.c --- */
void		 local_begin(void *ctx, struct recipient *);
#endif
