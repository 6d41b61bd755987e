/*
 * alias - what a local name stands for: aliases(5), as far as one name of
 * this machine goes ("root: alice"). Lists, other addresses, commands,
 * files, :include: and owner- aliases need a new message per recipient and
 * are told apart here, so that none of them is delivered wrongly.
 */
#include "address/address.h"
#include "local/local.h"

#define VALUE_MAX	102400

/* Is that one plain name of this machine? */
static bool
is_local_name(struct local *l, struct str addr)
{
	struct str domain = address_domain(addr);

	if (addr.n == 0 || strchr("|/:\\", addr.p[0]) != NULL)
		return false;
	if (domain.n == 0)
		domain = l->myorigin;
	return match_list_domain(l->destinations, domain) == FOUND;
}

static enum alias_kind
read_value(struct local *l, struct arena *arena, struct str value,
    struct str *target)
{
	struct str rest = value, addr, second;

	/* "|command", :include: and the like are no addresses. */
	for (size_t i = 0; i < value.n; i++)
		if (strchr("|/:\"\\<>()", value.p[i]) != NULL)
			return ALIAS_OTHER;
	if (!address_list_next(&rest, arena, &addr) ||
	    address_list_next(&rest, arena, &second) ||
	    !is_local_name(l, addr))
		return ALIAS_OTHER;
	*target = address_local(addr);
	return ALIAS_LOCAL;
}

static bool
has_owner(struct local *l, struct str name, enum alias_kind *kind)
{
	struct buf key, value;
	enum found found;

	if (!l->owner_special)
		return false;
	buf_init(&key, VALUE_MAX);
	buf_init(&value, VALUE_MAX);
	buf_puts(&key, "owner-");
	buf_str(&key, name);
	found = tables_get(l->aliases, buf_view(&key), &value);
	buf_free(&key);
	buf_free(&value);
	if (found != NONE)
		*kind = found == FOUND ? ALIAS_OTHER : ALIAS_RETRY;
	return found != NONE;
}

enum alias_kind
alias_find(struct local *l, struct arena *arena, struct str name,
    struct str *value, struct str *target)
{
	enum alias_kind kind = ALIAS_RETRY;
	struct buf key, got;

	buf_init(&key, VALUE_MAX);
	buf_init(&got, VALUE_MAX);
	address_quote_822(name, &key);
	switch (tables_get(l->aliases, buf_view(&key), &got)) {
	case FOUND:
		*value = arena_str(arena, str_trim(buf_view(&got)));
		if (!has_owner(l, name, &kind))
			kind = read_value(l, arena, *value, target);
		break;
	case NONE:
		kind = ALIAS_NONE;
		break;
	case RETRY:
		log_warn("alias_maps: lookup of '" STRF "' failed: %s",
		    STRV(name), tables_error(l->aliases));
		break;
	}
	buf_free(&key);
	buf_free(&got);
	return kind;
}
