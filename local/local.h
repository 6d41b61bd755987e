/*
 * local - the parts of the local delivery dispatcher, and what they share.
 *
 * main.c    the process: configuration, tables, messages
 * expand.c  from a recipient to destinations: deliver_switch of Postfix
 *           (start here)
 * list.c    the items of aliases, .forward and :include: files
 * mailbox.c a user's .forward, mailbox, mailbox_command, mailbox_transport
 * leaf.c    one command or file
 * command_env.c  what a command finds in its environment
 * alias.c   alias_maps: what one name stands for, and who owns it
 * forward.c  a new message to other addresses
 * pass.c    a recipient for another transport
 * user.c    the system's users, looked up in the pool, kept for a moment
 * loop.c    Delivered-To: lines, which tell of forwarding loops
 */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H
#include "local/agents.h"
#include "local/deliver.h"
#include "route/route.h"
#include "table/table.h"

struct local_conf {
#define PARAM PARAM_MEMBER
#include "local/params.def"
#undef PARAM
};

/* A user of the system, as far as delivery cares. */
struct user {
	struct str name, home, shell;
	uid_t	   uid;
	gid_t	   gid;
	gid_t	   spool_gid;	/* the group that may write in the spool */
};

/* What brought a destination here; bits of allow_mail_to_*. */
enum { HOW_ALIAS = 1 << 0, HOW_FORWARD = 1 << 1, HOW_INCLUDE = 1 << 2 };
/* Where Delivered-To: is put; bits of prepend_delivered_header. */
enum { PUT_COMMAND = 1 << 0, PUT_FILE = 1 << 1, PUT_FORWARD = 1 << 2 };
/* owner_request_special's kin: which expansions take the extension along. */
enum { EXT_ALIAS = 1 << 0, EXT_FORWARD = 1 << 1, EXT_INCLUDE = 1 << 2 };

struct users;
struct local {				/* the process */
	struct front	   front;
	struct local_conf  conf;
	struct service	  *service;
	struct agents	  *agents;
	struct list	   forwards;	/* messages on their way to cleanup */
	struct tables	  *aliases, *commands, *transports, *fallbacks;
	struct router	  *router;
	struct users	  *users;
	struct user	   nobody;	/* default_privs: no home, no shell */
	struct map	  *done;	/* parts of recipients put off */
	struct str	   delimiter, myorigin, environment;
	uint64_t	   locks;
	unsigned	   commands_from, files_from;	/* HOW_ */
	unsigned	   delivered_to;		/* PUT_ */
	unsigned	   extensions;			/* EXT_ */
	bool		   owner_special;	/* owner_request_special */
	bool		   sane;		/* limits can be used */
	bool		   mmdf;		/* mailbox_file_format */
	bool		   alone;	/* not root: serves its own uid */
	uid_t		   own_uid;
};

/* Whose rights commands and files get: DELIVERY RIGHTS of local(8). */
struct rights {
	bool	    known;		/* else default_privs */
	struct user user;
};

/* A point on the way from a recipient to its destinations. */
struct place {
	struct str    address;		/* the recipient here */
	struct str    local;		/* user+extension, folded */
	struct str    user, extension, domain;
	struct str    unmatched;	/* extension to pass on */
	struct str    delivered;	/* Delivered-To: */
	struct str    sender;
	struct str    owner;		/* who expands: owner-x@here, or the user
					 * of a .forward; "" none */
	struct str    from;		/* the name whose expansion this is */
	unsigned      how;		/* HOW_ */
	bool	      apart;		/* users here are others' business */
	unsigned      level;
	struct rights rights;
};

/* All that one recipient of a request turns into. */
struct forward_to;
struct spread {				/* recipient->own */
	struct local	  *local;
	struct recipient  *recipient;
	struct arena	  *arena;	/* the delivery's */
	struct map	  *seen;	/* duplicates; NULL: none yet */
	struct list	   leaves;
	size_t		   open;	/* leaves and steps under way */
	struct forward_to *forwards;	/* begun when all else is done */
	bool		   forwarding;
};

/* One destination, while somebody works on it. */
struct leaf {
	struct list	   link;	/* in spread.leaves */
	struct spread	  *x;
	struct place	   p;
	struct str	   what;	/* a name for it, for done */
	struct str	   value;	/* command or path */
	enum found	   found;	/* of its user */
	struct user	   user;
	struct str	  *paths;	/* .forward candidates */
	uint64_t	   bare;	/* bit i: paths[i] names no extension */
	struct msg_store   store;
	struct msg_expand  expand;
	struct msg_run	   run;
	bool		   sent;
};

/* --- user.c --- */
struct users	*users_new(struct service *, struct str spool);
/* fn is called once, perhaps at once; user lives until it returns. */
typedef void	 user_fn(void *ctx, enum found, const struct user *);
void		 users_find(struct users *, struct str name, user_fn *,
		    void *ctx);
void		 users_find_uid(struct users *, uid_t, user_fn *, void *ctx);
struct user	 user_copy(const struct user *, struct arena *);

/* --- forward.c --- */
struct forward_to {
	struct forward_to *next;
	struct str  delivered;	/* Delivered-To:, or "" for none */
	struct str  sender;
	bool	    list;	/* the sender is an owner: RFC 3461 5.2.7.1 */
	bool	    again;	/* comes back here: Delivered-To: in any case */
	struct str *rcpts;
	size_t	    n, room;
};
/*
 * SENT: the new message is on disk, text is its id. Else DEFERRED and why.
 */
void		 forward_mail(struct local *, struct recipient *,
		    const struct forward_to *,
		    void (*done)(void *ctx, enum delivery_status,
			struct str text), void *ctx);
void		 forward_drained(struct local *, struct channel *);

/* --- pass.c --- */
/* transport[:nexthop]. The other one logs; the result becomes r's. */
void		 pass_on(struct leaf *, struct str transport);

/* --- alias.c --- */
struct alias {
	struct str  value;	/* the right-hand side */
	struct str  owner;	/* sender that owner-NAME asks for, or "" */
	uid_t	    uid;	/* who owns the table */
};
/* Strings live in the arena. RETRY was logged. */
enum found	 alias_find(struct local *, struct arena *, struct str name,
		    struct alias *);

/* --- loop.c --- */
/* Pure: does some Delivered-To: in these header lines name address? */
bool		 loop_in_header(struct str header, struct str address);
/* The same for a request's message. RETRY: it cannot be read. */
enum found	 loop_find(struct delivery *, struct str address);

/* --- expand.c --- */
void		 local_begin(void *ctx, struct recipient *);
/* A recipient that an expansion led to, on this machine. */
void		 place_enter(struct spread *, struct place);
/* Any address that an expansion led to. */
void		 place_address(struct spread *, const struct place *,
		    struct str address);
/* address of a user of this machine, in its parts. False: no user. */
bool		 place_split(struct spread *, struct place *);
/* Is it done for that user already? Notes it. */
bool		 seen_before(struct spread *, const char *fmt, ...)
		    PRINTF(2, 3);
/* An outcome that no leaf stands for. */
void		 place_fail(struct spread *, const struct place *,
		    enum delivery_status, const char *dsn, const char *fmt,
		    ...) PRINTF(5, 6);
struct leaf	*leaf_new(struct spread *, const struct place *);
void		 leaf_done(struct leaf *, enum delivery_status,
		    struct str dsn, const char *fmt, ...) PRINTF(4, 5);
/* It had no outcome of its own: it became something else, or nothing. */
void		 leaf_drop(struct leaf *);
bool		 is_probe(const struct spread *);
void		 spread_hold(struct spread *);
void		 spread_release(struct spread *);

/* --- list.c --- */
void		 list_deliver(struct spread *, const struct place *,
		    const struct items *);

/* --- mailbox.c --- */
/* .forward, then the mailbox; plain: not .forward. */
void		 mailbox_begin(struct spread *, const struct place *,
		    bool plain);
/* Values of $home and its kin; n of them. */
#define PLACE_MACROS	9
struct macro;
void		 place_macros(const struct place *, const struct local *,
		    struct macro *v);

/* --- leaf.c --- */
/* free: allow_mail_to_commands is not asked. */
void		 leaf_command(struct spread *, const struct place *,
		    struct str command, bool free);
void		 leaf_file(struct spread *, const struct place *,
		    struct str path);
/* Was leaf->value done at an attempt before this one? Then it is done. */
bool		 leaf_was_done(struct leaf *);
/* The agent for these rights; false: the spread has its outcome. */
bool		 leaf_agent(struct leaf *, struct agent_id *);

/* --- command_env.c --- */
/* NAME=value, NUL behind each. */
struct str	 command_environment(const struct leaf *);
/* export_environment of this process, and PATH. */
void		 command_exports(struct conf *, struct buf *out);
#endif
