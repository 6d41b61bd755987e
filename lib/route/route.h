/*
 * route - whose an address is and how it leaves: class, transport, nexthop.
 *
 * Postfix's ADDRESS_CLASS_README and trivial-rewrite(8), used in process by
 * qmgr (to deliver) and lookup (to answer smtpd).
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H
#include "conf/conf.h"
#include "table/table.h"

enum address_class {
	CLASS_LOCAL,		/* mydestination, inet_interfaces, ... */
	CLASS_ALIAS,		/* virtual_alias_domains */
	CLASS_VIRTUAL,		/* virtual_mailbox_domains */
	CLASS_RELAY,		/* relay_domains */
	CLASS_DEFAULT,		/* everywhere else */
};

struct router;
/* Opens the tables that main.cf names. Problems tell of what fails. */
struct router	*router_new(struct conf *, struct problems *);
/*
 * The one for address probes, by address_verify_transport_maps and the like
 * where main.cf sets one of them; else NULL.
 */
struct router	*router_new_probe(struct conf *, struct problems *);
void		 router_free(struct router **);
/* Delimiter, myorigin and own domains, for tables_find_address. */
const struct find_conf *router_find_conf(const struct router *);

/*
 * This machine's addresses, by inet_interfaces and proxy_interfaces, as
 * literals: " [192.0.2.1] [ipv6:2001:db8::1]". Before privileges go. own.c
 */
void		 own_literals(struct conf *, struct buf *list,
		    struct problems *);
/* The sender of address probes; local "": the null one. */
struct probe_sender { struct str local, domain; int64_t ttl_s; };
void		 probe_sender_read(struct conf *, struct arena *,
		    struct probe_sender *);
void		 probe_sender_print(const struct probe_sender *, int64_t now_s,
		    struct buf *);
/* Is it that sender, now or a moment ago? Never of the null one. */
bool		 probe_sender_is(const struct probe_sender *,
		    struct str address, int64_t now_s);

struct route {
	enum address_class cls;
	struct str	   transport;	/* "virtual", "local", "smtp", "error" */
	struct str	   nexthop;	/* "example.org", "[10.0.0.1]:25", text */
	struct str	   recipient;	/* internal form */
	bool		   authorized;	/* this machine is its destination */
};
/*
 * Resolves internal-form address. FOUND fills route (strings in arena);
 * RETRY where a table failed, *why says which; NONE: no valid address.
 */
enum found	 router_resolve(struct router *, struct arena *,
		    struct str address, struct str sender, struct route *,
		    struct str *why) MUST_USE;
/*
 * Do all addresses of its domain resolve as this one did, and are listed?
 * Of those that are plain: a local part of letters, digits and "._=+-", no
 * "-" first.
 */
bool		 router_is_alike(struct router *, const struct route *);
bool		 route_is_plain(struct str address);
/*
 * Is the recipient (sender) listed in the table of its class? FOUND also
 * where that class has no table. *table names it for the reply:
 * "local recipient table", "virtual alias table", "virtual mailbox table",
 * "relay recipient table". NONE with an empty *table: the route's transport
 * is error or retry, and its nexthop has the text ("5.1.6 User has moved").
 */
struct listing { struct str table, why; };
enum found	 router_listed(struct router *, struct arena *,
		    const struct route *, bool sender, struct listing *)
		    MUST_USE;
#endif
