/*
 * service, inside: the state that service.c and peers.c share.
 */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H
#include "priv/priv.h"
#include "service/service.h"

#define SERVICE_CHANNEL_FD 3
#define SERVICE_LOG_FD	   4

/* What the command line says. */
struct service_args {
	const char	 *dir;		/* NULL: the built-in place */
	const char	 *name;
	const char	**overrides;	/* "name=value" */
	size_t		  noverrides;
	uid_t		  uid;		/* agents: whose */
	gid_t		  gid;
	const char	 *user;		/* "" without a login name */
	const char	 *root;		/* -r: command agents; NULL: / */
	bool		  has_uid;
	bool		  check;	/* -t */
	char		**rest;
	int		  nrest;
};
/* False: *why tells what is wrong with it. */
bool	 service_args_parse(struct service_args *, int argc, char **argv,
	    const char **why);

struct service {
	const struct service_def *def;
	struct service_args	  args;
	struct conf		 *conf, *conf_before;
	struct loop		 *loop;
	struct pool		 *pool;
	struct channel		 *master;
	struct list		  peers;	/* struct peer */
	struct list		  waits;	/* struct wait_peer */
	struct list		  lost;		/* struct peer: see peers.c */
	struct timer		 *lost_timer;
	int64_t			  busy_ms;	/* a talk was open then */
	int64_t			  log_asked_ms;	/* master, for syslog's socket */
	bool			  begun, draining, parted;
};

struct peer {
	struct list	 link;
	struct service	*service;
	struct channel	*channel;	/* NULL: lost */
	char		*name;
	enum role	 role;
	uint64_t	 instance;
	unsigned	 side, tries;	/* tries: to get it back */
	bool		 leaving;
};
void	 peers_add(struct service *, const struct msg_peer *);
/* Tells all that we leave; have all heard it? */
void	 peers_leave(struct service *);
bool	 peers_parted(struct service *);
size_t	 peers_talks(struct service *);
size_t	 peers_unsent(struct service *);	/* bytes, all together */
#endif
