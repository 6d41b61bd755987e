/*
 * listed - is there such a recipient? smtpd(8) reject_unlisted_recipient.
 *
 * Postfix's order: tables that rewrite an address make it known; then the
 * table of its class. A class without a table knows everybody.
 */
#include "address/address.h"
#include "route/internal.h"

static bool	  always_there(const struct router *, struct str local);
static enum found by_class(struct router *, const struct route *,
		    struct str *table);
static enum found look(struct router *, struct tables *,
		    const char *parameter, struct str address);

enum found
router_listed(struct router *r, struct arena *arena,
    const struct route *route, bool sender, struct listing *listing)
{
	const struct { struct tables *tables; const char *parameter; }
	rewriting[] = {
		{ r->rcpt_canonical, "recipient_canonical_maps" },
		{ sender ? r->sender_canonical : NULL,
		    "sender_canonical_maps" },
		{ r->canonical, "canonical_maps" },
		{ r->virtual_alias, "virtual_alias_maps" },
	};
	enum found found;

	r->arena = arena;
	r->why = listing->table = listing->why = STR("");
	for (size_t i = 0; i < nitems(rewriting); i++) {
		found = look(r, rewriting[i].tables, rewriting[i].parameter,
		    route->recipient);
		if (found != NONE) {
			listing->why = r->why;
			return found;
		}
	}
	if (route->cls != CLASS_ALIAS &&
	    (str_eq(route->transport, STR("error")) ||
	    str_eq(route->transport, STR("retry"))))
		return NONE;
	found = by_class(r, route, &listing->table);
	listing->why = r->why;
	return found;
}

static enum found
by_class(struct router *r, const struct route *route, struct str *table)
{
	switch (route->cls) {
	case CLASS_LOCAL:
		*table = STR("local recipient table");
		if (tables_empty(r->local_rcpts) || always_there(r,
		    address_local(route->recipient)))
			return FOUND;
		return look(r, r->local_rcpts, "local_recipient_maps",
		    route->recipient);
	case CLASS_ALIAS:
		*table = STR("virtual alias table");
		return NONE;
	case CLASS_VIRTUAL:
		*table = STR("virtual mailbox table");
		if (tables_empty(r->virtual_rcpts))
			return FOUND;
		return look(r, r->virtual_rcpts,
		    "virtual_mailbox_maps", route->recipient);
	case CLASS_RELAY:
		*table = STR("relay recipient table");
		if (tables_empty(r->relay_rcpts))
			return FOUND;
		return look(r, r->relay_rcpts, "relay_recipient_maps",
		    route->recipient);
	case CLASS_DEFAULT:
		return FOUND;
	}
	return FOUND;
}

static enum found
look(struct router *r, struct tables *tables, const char *parameter,
    struct str address)
{
	enum found found = tables_find_address(tables, &r->find,
	    FIND_DEFAULT, address, &r->value, NULL);

	return found == RETRY ? route_fault(r, parameter, tables) : found;
}

/* postmaster (RFC 5321 4.5.1) and the names that reports come from. */
static bool
always_there(const struct router *r, struct str local)
{
	return str_eq_nocase(local, STR("postmaster")) ||
	    str_eq_nocase(local, STR("mailer-daemon")) ||
	    str_eq_nocase(local, r->double_bounce);
}
