/*
 * alias - virtual(5): an address and all that it stands for.
 *
 * Each address of the growing list is looked up until it stands for itself
 * or nothing; each limit's overrun refuses the message for now, so that
 * nobody's copy is lost. As Postfix's cleanup does.
 */
#include "cleanup/cleanup.h"
#include "sys/sys.h"

struct expansion {
	struct mail	 *m;
	struct str	  first;	/* what is expanded, for the log */
	struct addresses *all;
	struct map	 *selves;	/* stand for themselves, lower-case;
					 * NULL: most mail has none */
	struct buf	  value;
};

static void
refuse(struct expansion *e, const char *why)
{
	log_at(LL_WARN, e->m->id, "%s for " STRF " -- "
	    "message not accepted, try again later", why, STRV(e->first));
	mail_fail(e->m, MAIL_RETRY, "4.6.0", "Alias expansion error");
}

static bool
is_self(const struct expansion *e, struct str address)
{
	return e->selves != NULL &&
	    map_get(e->selves, lower_copy(e->m->arena, address)) != NULL;
}

static void
add_self(struct expansion *e, struct str address)
{
	if (e->selves == NULL)
		e->selves = map_new();
	(void)map_set(e->selves, lower_copy(e->m->arena, address), e);
}

/* The next item of a comma separated list; quotes and < > hide commas. */
static bool
next_item(struct str *rest, struct str *item)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < rest->n; i++) {
		char c = rest->p[i];

		if (c == '\\' && i + 1 < rest->n)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == ',' && !quoted)
			break;
	}
	*item = str_trim(str_first(*rest, i < rest->n ? i : rest->n));
	if (rest->n == 0)
		return false;
	*rest = str_from(*rest, i + 1);
	return true;
}

static bool
take_results(struct expansion *e, size_t at, struct str ext)
{
	struct str from = e->all->v[at], rest = buf_view(&e->value);
	struct arena *a = e->m->arena;
	struct str item, list, to;
	bool first = true;

	ext = canonical_extension(a, from, ext);
	while (next_item(&rest, &item)) {
		list = item;
		if (item.n == 0)
			continue;
		if (item.p[0] == '@')
			to = arena_str(a, item);
		else if (!address_list_next(&list, a, &to))
			continue;
		to = canonical_result(e->m, from, to, ext,
		    e->m->c->spread_extension);
		if (to.n > (size_t)
		    e->m->c->conf.virtual_alias_address_length_limit) {
			refuse(e, "unreasonable virtual_alias_maps result");
			return false;
		}
		if (first)
			e->all->v[at] = to;
		else
			addresses_add(e->all, to);
		first = false;
		if (str_eq_nocase(from, to))
			add_self(e, from);
		if (e->all->n > (size_t)
		    e->m->c->conf.virtual_alias_expansion_limit) {
			refuse(e, "unreasonable virtual_alias_maps map "
			    "expansion size");
			return false;
		}
	}
	/* An empty result: as if it was not found. */
	if (first)
		add_self(e, from);
	return true;
}

/* Looks all->v[at] up again and again. False: refused. */
static bool
follow(struct expansion *e, size_t at)
{
	struct cleanup *c = e->m->c;
	struct str ext;

	for (int64_t depth = 0;; depth++) {
		struct str address = e->all->v[at];

		if (is_self(e, address))
			return true;
		if (depth >= c->conf.virtual_alias_recursion_limit) {
			refuse(e, "unreasonable virtual_alias_maps map "
			    "nesting");
			return false;
		}
		buf_clear(&e->value);
		ext = STR("");
		switch (tables_find_address(c->virtual_alias, &c->find,
		    FIND_DEFAULT, address, &e->value, &ext)) {
		case FOUND:
			if (!take_results(e, at, ext))
				return false;
			break;
		case NONE:
			return true;
		case RETRY:
			log_at(LL_WARN, e->m->id, "virtual_alias_maps: %s",
			    tables_error(c->virtual_alias));
			refuse(e, "virtual_alias_maps map lookup problem");
			return false;
		}
	}
}

bool
alias_expand(struct mail *m, struct str address, struct addresses *all)
{
	struct expansion e = { .m = m, .first = address, .all = all };
	bool good = true;

	buf_init(&e.value, TABLE_VALUE_MAX + 1);
	addresses_add(all, address);
	for (size_t i = 0; good && i < all->n; i++)
		good = follow(&e, i);
	buf_free(&e.value);
	map_free(&e.selves);
	return good;
}
