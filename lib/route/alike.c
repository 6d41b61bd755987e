/*
 * alike - domains all of whose addresses have the same answer.
 *
 * Mail to the world is not looked up by user, as a rule: what is known of one
 * address holds for the next one there, and who asks need not ask again.
 */
#include "address/address.h"
#include "route/internal.h"

/*
 * No table of users decides: those that rewrite addresses or list them only
 * say of such a domain that it is right.
 */
bool
router_is_alike(struct router *r, const struct route *route)
{
	return route->cls == CLASS_DEFAULT && tables_empty(r->relocated) &&
	    !tables_have_users(r->transport) &&
	    !str_eq(route->transport, STR("error")) &&
	    !str_eq(route->transport, STR("retry"));
}

/* canon_address and resolve change nothing in it, and refuse none. */
bool
route_is_plain(struct str address)
{
	struct str local = address_local(address);

	for (size_t i = 0; i < local.n; i++) {
		char c = local.p[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
		    !(c >= '0' && c <= '9') &&
		    str_chr(STR("._=+-"), c) == strlen("._=+-"))
			return false;
	}
	return local.n > 0 && local.n < address.n && local.p[0] != '-';
}
