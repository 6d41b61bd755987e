/*
 * alias - what a local name stands for: aliases(5). Its text, who owns the
 * table that it stands in, and owner-NAME, who hears of failures.
 */
#include "address/address.h"
#include "local/local.h"

#define VALUE_MAX	102400

/* As postalias writes the key, quoted where it must be; or else as it is. */
static enum found
look_up(struct local *l, struct str name, struct buf *value)
{
	enum found found;
	struct buf key;

	buf_init(&key, VALUE_MAX);
	address_quote_822(name, &key);
	found = tables_get(l->aliases, buf_view(&key), value);
	if (found == NONE && !str_eq(buf_view(&key), name))
		found = tables_get(l->aliases, name, value);
	buf_free(&key);
	return found;
}

/*
 * owner-NAME is an alias too: it gets what cannot be delivered. The sender
 * is owner-NAME, or (expand_owner_alias) what that stands for.
 */
static enum found
find_owner(struct local *l, struct arena *arena, struct str name,
    struct alias *alias)
{
	struct str addr = STR(""), value;
	struct buf got;
	enum found found;
	char *owner;

	if (!l->owner_special)
		return NONE;
	buf_init(&got, VALUE_MAX);
	owner = arena_printf(arena, "owner-" STRF, STRV(name));
	found = look_up(l, str_of(owner), &got);
	value = buf_view(&got);
	if (found == FOUND && (!l->conf.expand_owner_alias ||
	    !address_list_next(&value, arena, &addr) || addr.n == 0))
		addr = str_of(owner);
	if (addr.n > 0 && address_domain(addr).n == 0)
		addr = str_of(arena_printf(arena, STRF "@" STRF, STRV(addr),
		    STRV(l->myorigin)));
	alias->owner = addr;
	buf_free(&got);
	return found;
}

enum found
alias_find(struct local *l, struct arena *arena, struct str name,
    struct alias *alias)
{
	enum found found;
	struct buf got;

	*alias = (struct alias){ .value = STR(""), .owner = STR("") };
	buf_init(&got, VALUE_MAX);
	found = look_up(l, name, &got);
	if (found == FOUND) {
		alias->uid = tables_owner(l->aliases);
		alias->value = arena_str(arena, str_trim(buf_view(&got)));
		if (find_owner(l, arena, name, alias) == RETRY)
			found = RETRY;
	}
	if (found == RETRY)
		log_warn("alias_maps: lookup of '" STRF "' failed: %s",
		    STRV(name), tables_error(l->aliases));
	buf_free(&got);
	return found;
}
