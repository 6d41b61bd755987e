/*
 * alias - what a local name stands for: aliases(5). One name of this
 * machine ("root: alice") is told from other addresses, and both from
 * commands, files and :include:, which are not followed yet.
 */
#include "address/address.h"
#include "local/local.h"

#define VALUE_MAX	102400

/* Room for the addresses of a value: each takes a byte and a comma. */
static void
add(struct alias *alias, struct arena *arena, struct str addr, size_t room)
{
	if (alias->rcpts == NULL)
		alias->rcpts = arena_alloc(arena,
		    room * sizeof(alias->rcpts[0]));
	assert(alias->n < room);
	alias->rcpts[alias->n++] = addr;
}

static bool
is_ours(struct local *l, struct str addr)
{
	struct str domain = address_domain(addr);

	return match_list_domain(l->destinations, domain) == FOUND;
}

/*
 * Items that begin with these are no addresses, quoted or not (aliases(5)).
 * Told by the whole value, before the address parser may make sense of it.
 */
static bool
has_others(struct str value)
{
	bool start = true;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (start && (c == '|' || c == '/' || c == ':' || c == '\\'))
			return true;
		if (c == ',' || c == '\n')
			start = true;
		else if (c != ' ' && c != '\t' && c != '"')
			start = false;
	}
	return false;
}

static enum alias_kind
read_value(struct local *l, struct arena *arena, struct alias *alias)
{
	size_t room = alias->value.n + 1;
	struct str rest = alias->value, addr;

	if (has_others(alias->value))
		return ALIAS_OTHER;
	while (address_list_next(&rest, arena, &addr)) {
		if (addr.n == 0)
			continue;
		if (address_domain(addr).n == 0)
			addr = str_of(arena_printf(arena, STRF "@" STRF,
			    STRV(address_local(addr)), STRV(l->myorigin)));
		add(alias, arena, addr, room);
	}
	if (alias->n == 0)
		return ALIAS_EMPTY;
	if (alias->n > 1 || alias->owner.n > 0 ||
	    !is_ours(l, alias->rcpts[0]))
		return ALIAS_FORWARD;
	alias->rcpts[0] = address_local(alias->rcpts[0]);
	return ALIAS_LOCAL;
}

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

/* owner-NAME is an alias too: it gets what cannot be delivered. */
static enum found
find_owner(struct local *l, struct arena *arena, struct str name,
    struct alias *alias)
{
	struct buf value;
	enum found found;
	char *owner;

	if (!l->owner_special)
		return NONE;
	buf_init(&value, VALUE_MAX);
	owner = arena_printf(arena, "owner-" STRF, STRV(name));
	found = look_up(l, str_of(owner), &value);
	if (found == FOUND)
		alias->owner = str_of(arena_printf(arena, "%s@" STRF, owner,
		    STRV(l->myorigin)));
	buf_free(&value);
	return found;
}

enum alias_kind
alias_find(struct local *l, struct arena *arena, struct str name,
    struct alias *alias)
{
	enum alias_kind kind = ALIAS_RETRY;
	struct buf got;

	*alias = (struct alias){ .value = STR(""), .owner = STR("") };
	buf_init(&got, VALUE_MAX);
	switch (look_up(l, name, &got)) {
	case FOUND:
		alias->value = arena_str(arena, str_trim(buf_view(&got)));
		if (find_owner(l, arena, name, alias) != RETRY)
			kind = read_value(l, arena, alias);
		break;
	case NONE:
		kind = ALIAS_NONE;
		break;
	case RETRY:
		break;
	}
	if (kind == ALIAS_RETRY)
		log_warn("alias_maps: lookup of '" STRF "' failed: %s",
		    STRV(name), tables_error(l->aliases));
	buf_free(&got);
	return kind;
}
