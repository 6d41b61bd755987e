/*
 * route/internal - what a router knows; one for each set of parameters.
 */
#ifndef ROUTE_INTERNAL_H
#define ROUTE_INTERNAL_H
#include "route/route.h"

/* "transport:nexthop" of a parameter; nexthop empty: the domain. */
struct way { const char *parameter; struct str transport, nexthop; };

struct router {
	struct arena	*memory;
	const char	*dir;		/* of the configuration */
	struct str	 myorigin, myhostname, mydomain;
	struct str	 delimiter, relayhost, empty_recipient;
	struct str	 double_bounce, empty_relay_key, empty_transport_key;
	struct way	 local_way, virtual_way, relay_way, default_way;
	bool		 append_myorigin, append_mydomain, percent_hack;
	bool		 swap_bangpath, dequote, null_domain, numeric_domain;
	bool		 show_table, untrusted_routing, min_user, utf8;
	bool		 relocated_prefix, transport_parents;
	bool		 probes;	/* by address_verify_* where there is one */

	struct match_list *local;	/* mydestination and own literals */
	struct match_list *alias_domains, *virtual_domains, *relay_domains;
	struct tables	*transport, *relayhosts, *sender_transports;
	struct tables	*relocated, *virtual_alias, *canonical;
	struct tables	*rcpt_canonical, *sender_canonical;
	struct tables	*local_rcpts, *virtual_rcpts, *relay_rcpts;
	struct find_conf find;
	struct buf	 value;		/* the last answer of a table */
	struct arena	*arena;		/* of the caller, during a call */
	struct str	 why;		/* of the fault, during a call */
};

/* A literal as own_literals writes it, or domain itself. */
struct str own_literal_form(struct str domain, struct arena *);

/*
 * The recipient in its last form: local domains and routes through this
 * machine taken off. *is_local: its domain is mydestination or a literal of
 * this machine. NONE: no valid address. canon.c
 */
enum found canon_address(struct router *, struct str address,
	    struct str *recipient, bool *is_local) MUST_USE;

/* transport(5): changes *transport and *nexthop. transport.c */
enum found transport_find(struct router *, struct str recipient,
	    struct str *transport, struct str *nexthop) MUST_USE;
/* RETRY; says which parameter's table failed. tables may be NULL. */
enum found route_fault(struct router *, const char *parameter,
	    struct tables *);
#endif
