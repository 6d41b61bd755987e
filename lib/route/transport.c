/*
 * transport - transport(5): which way for an address or a domain.
 */
#include "route/internal.h"

static void	apply(struct str value, struct str domain,
		    struct str *transport, struct str *nexthop);

enum found
transport_find(struct router *r, struct str recipient, struct str *transport,
    struct str *nexthop)
{
	unsigned strategy = FIND_FULL | FIND_NOEXT | FIND_NAME |
	    (r->transport_parents ? FIND_PARENTS : FIND_DOT_PARENTS);
	size_t at = str_rchr(recipient, '@');
	enum found found;

	if (tables_empty(r->transport))
		return NONE;
	found = tables_find_address(r->transport, &r->find, strategy,
	    recipient, &r->value, NULL);
	if (found == NONE)
		found = tables_get(r->transport, STR("*"), &r->value);
	if (found == FOUND)
		apply(arena_str(r->arena, buf_view(&r->value)),
		    str_from(recipient, at + 1), transport, nexthop);
	if (found == RETRY)
		return route_fault(r, "transport_maps", r->transport);
	return found;
}

/*
 * ":" changes nothing, ":nexthop" the next hop alone; "transport:" sets the
 * next hop back to the domain.
 */
static void
apply(struct str value, struct str domain, struct str *transport,
    struct str *nexthop)
{
	size_t colon = str_chr(value, ':');
	struct str way = str_first(value, colon);
	struct str hop = str_from(value, colon + 1);

	if (hop.n > 0)
		*nexthop = hop;
	if (way.n == 0)
		return;
	*transport = way;
	if (hop.n > 0)
		return;
	if (str_eq(way, STR("error")) || str_eq(way, STR("retry")))
		*nexthop = STR("Address is undeliverable");
	else
		*nexthop = domain;
}
