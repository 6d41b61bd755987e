/*
 * lookup - answers from tables for smtpd, smtp and lmtp, which may open no
 * file; connections to UNIX sockets for lmtp.
 *
 * A site is the configuration of one such service: main.cf with that
 * service's -o overrides. Only tables that a site's restrictions (smtpd) or
 * parameters (smtp, lmtp) name are looked up for it: a process that was taken
 * over learns nothing else.
 */
#ifndef LOOKUP_LOOKUP_H
#define LOOKUP_LOOKUP_H
#include "conf/conf.h"
#include "ipc/ipc.h"
#include "route/route.h"

struct site {
	struct str	 name;		/* of the service; "" for main.cf */
	struct conf	*conf;
	bool		 owns_conf;
	struct router	*router;
	struct map	*tables;	/* spec as written: struct tables */
	struct map	*maps;		/* parameter of smtp: struct tables */
	bool		 parents;	/* smtpd_access_maps match parents */
	struct str	 null_key;	/* smtpd_null_access_lookup_key */
};
struct lookup {
	struct site	*sites;		/* the first is main.cf */
	size_t		 nsites;
	struct map	*opened;	/* spec: struct tables, of all sites */
};

/* Reads main.cf's services and opens every table that they name. */
void		 sites_open(struct lookup *, struct conf *main_cf,
		    struct problems *);
void		 sites_free(struct lookup *);
/* The site of a service, or main.cf's. */
struct site	*site_find(struct lookup *, struct str service);

/* Strings of the answer are in arena, or last as long as the site. */
void		 answer_address(struct site *, struct arena *,
		    const struct msg_address_ask *,
		    struct msg_address_answer *);
/* Tables of smtp and lmtp, by the name of their parameter. client.c */
void		 client_open(struct site *, struct problems *);
void		 client_close(struct site *);
void		 answer_map(struct site *, struct arena *,
		    const struct msg_map_ask *, struct msg_map_answer *);
void		 answer_unix(struct lookup *, struct arena *,
		    const struct msg_unix_ask *, struct msg_unix_answer *);
void		 answer_access(struct site *, struct arena *,
		    const struct msg_access_ask *,
		    struct msg_access_answer *);
#endif
