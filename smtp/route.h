/*
 * route, inside: a destination on its way from text to addresses.
 *
 * route.c     its sites, one after another; their addresses, likewise
 * servers.c   a site's addresses, by DNS
 */
#ifndef SMTP_ROUTE_H
#define SMTP_ROUTE_H
#include "smtp/smtp.h"

struct mx_host {		/* of MX or SRV, or a site that is a host */
	struct delivery	 *d;
	struct dns_query *query;
	struct str	  name;
	unsigned	  preference, rank, port;
};

struct destination {
	struct str	*sites;
	size_t		 nsites, own_sites, site;	/* site: the next */
	/* Of the site under way: */
	struct str	 name, key;	/* its host or domain */
	struct str	 srv;		/* "_smtp._tcp.example", or "" */
	unsigned	 port, best;	/* best: lowest MX preference */
	bool		 mx, mx_secure;	/* MX or SRV records name its hosts */
	bool		 plain;		/* the next connection is without TLS */
	struct dns_query *query;
	struct mx_host	*hosts;
	size_t		 nhosts, open;	/* open: lookups under way */
	struct why	 lookup;	/* of a host without addresses */
	struct address	*v;
	size_t		 n, at, cap, tried, spoken;
	bool		 enough;	/* smtp_mx_session_limit of them spoke */
	struct connecting *connecting;
	struct ask	*ask;		/* for a UNIX socket */
	/* Reused connections to these failed somebody: not again. */
	struct str	*used;
	size_t		 nused;
};

/* --- servers.c: goes on by route_ready or route_no_site, maybe at once --- */
/* True: this service (a port's name or number) is found by SRV records. */
bool		 servers_by_service(struct delivery *, struct str service);
void		 servers_of_domain(struct delivery *);	/* MX, else as below */
void		 servers_of_host(struct delivery *);
void		 servers_cancel(struct destination *);

/* --- route.c --- */
void		 route_ready(struct delivery *);	/* it has addresses */
void		 route_no_site(struct delivery *, struct why);
#endif
