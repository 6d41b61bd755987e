/*
 * canonical - addresses by canonical(5), masquerading, copies by address.
 *
 * For each use of an address (envelope or header, sender or recipient) main.cf
 * says which of these apply. Lookups go on until an address stands for itself
 * or for nothing. A table that fails puts the message off.
 */
#include "cleanup/cleanup.h"
#include "sys/sys.h"

#define ROUNDS_MAX 1000

static bool	map_by(struct mail *, struct tables *, const char *parameter,
		    struct str *address);
static bool	masquerade(struct mail *, struct str *address);

/* --- results of tables, also for alias.c --- */

static struct str
join3(struct arena *a, struct str left, struct str mid, struct str right)
{
	char *p = arena_alloc(a, left.n + mid.n + right.n + 1);

	if (left.n > 0)
		memcpy(p, left.p, left.n);
	if (mid.n > 0)
		memcpy(p + left.n, mid.p, mid.n);
	if (right.n > 0)
		memcpy(p + left.n + mid.n, right.p, right.n);
	return (struct str){ p, left.n + mid.n + right.n };
}

struct str
canonical_extension(struct arena *a, struct str from, struct str ext)
{
	struct str local = address_local(from);
	struct str end = str_from(local, local.n - ext.n - 1);

	if (ext.n == 0 || ext.n + 1 > local.n ||
	    !str_eq(str_from(end, 1), ext))
		return ext.n == 0 ? ext : arena_str(a, ext);
	return arena_str(a, end);
}

struct str
canonical_result(struct mail *m, struct str from, struct str to,
    struct str ext, bool spread)
{
	struct arena *a = m->arena;
	struct str local;
	size_t at;

	if (to.n > 0 && to.p[0] == '@') {
		local = address_local(from);
		to = join3(a, str_first(local, local.n - ext.n), STR(""), to);
	}
	at = str_rchr(to, '@');
	if (ext.n > 0 && spread)
		to = join3(a, str_first(to, at), ext, str_from(to, at));
	return rewrite_address(&m->c->local, a, to);
}

/* --- canonical(5) --- */

bool
canonical_wanted(const struct cleanup *c, unsigned use)
{
	return ((c->canonical_uses | c->sender_canonical_uses |
	    c->rcpt_canonical_uses | c->masquerade_uses) & use) != 0;
}

bool
canonical_map(struct mail *m, unsigned use, struct str *address)
{
	struct cleanup *c = m->c;

	if ((m->begin.flags & MAIL_NO_REWRITE) != 0 ||
	    !canonical_wanted(c, use) || address->n == 0)
		return m->status == MAIL_OK;
	if ((c->sender_canonical_uses & use) != 0 &&
	    !map_by(m, c->sender_canonical, "sender_canonical_maps", address))
		return false;
	if ((c->rcpt_canonical_uses & use) != 0 &&
	    !map_by(m, c->rcpt_canonical, "recipient_canonical_maps",
	    address))
		return false;
	if ((c->canonical_uses & use) != 0 &&
	    !map_by(m, c->canonical, "canonical_maps", address))
		return false;
	return (c->masquerade_uses & use) == 0 || masquerade(m, address);
}

static bool
put_off(struct mail *m, struct str address, const char *what,
    const char *parameter)
{
	log_at(LL_WARN, m->id, "%s %s for " STRF " -- message not accepted, "
	    "try again later", parameter, what, STRV(address));
	mail_fail(m, MAIL_RETRY, "4.3.0", "address lookup problem");
	return false;
}

/* The first address of a result; false: there is none. */
static bool
first_address(struct mail *m, struct str value, const char *parameter,
    struct str from, struct str *to)
{
	struct str more;

	value = str_trim(value);
	if (value.n > 0 && value.p[0] == '@') {
		*to = arena_str(m->arena, str_first(value,
		    str_chr(value, ',')));
		return true;
	}
	if (!address_list_next(&value, m->arena, to))
		return false;
	if (address_list_next(&value, m->arena, &more))
		log_at(LL_WARN, m->id, "multi-valued %s entry for " STRF,
		    parameter, STRV(from));
	return true;
}

static bool
map_by(struct mail *m, struct tables *ts, const char *parameter,
    struct str *address)
{
	struct cleanup *c = m->c;

	for (int round = 0; round < ROUNDS_MAX; round++) {
		struct str from = *address, to, ext;

		switch (tables_find_address(ts, &c->find, FIND_DEFAULT, from,
		    &c->value, &ext)) {
		case NONE:
			return true;
		case RETRY:
			return put_off(m, from, arena_printf(m->arena,
			    "lookup problem (%s)", tables_error(ts)),
			    parameter);
		case FOUND:
			break;
		}
		if (!first_address(m, buf_view(&c->value), parameter, from,
		    &to))
			return put_off(m, from, "non-address result",
			    parameter);
		ext = canonical_extension(m->arena, from, ext);
		*address = canonical_result(m, from, to, ext,
		    c->spread_canonical);
		if (address->n > ADDRESS_MAX)
			return put_off(m, from, "unreasonable result",
			    parameter);
		if (str_eq_nocase(from, *address))
			return true;
	}
	return put_off(m, *address, "unreasonable map nesting", parameter);
}

/* --- masquerading --- */

/*
 * Takes host names off below the domains of the list. The first that the
 * address is in decides, "!domain" that it stays.
 */
static bool
masquerade(struct mail *m, struct str *address)
{
	struct cleanup *c = m->c;
	struct str list = c->conf.masquerade_domains, item;
	size_t at = str_rchr(*address, '@');
	struct str domain = str_from(*address, at + 1);

	if (at == address->n)
		return true;
	switch (match_list_domain(c->masquerade_exceptions,
	    str_first(*address, at))) {
	case FOUND:
		return true;
	case RETRY:
		return put_off(m, *address, "lookup problem",
		    "masquerade_exceptions");
	case NONE:
		break;
	}
	while (conf_list_next(&list, &item)) {
		bool strip = true;
		struct str end;

		for (; item.n > 0 && item.p[0] == '!'; strip = !strip)
			item = str_from(item, 1);
		if (item.n == 0 || item.n > domain.n)
			continue;
		end = str_from(domain, domain.n - item.n);
		if (!str_eq_nocase(end, item) ||
		    (item.n < domain.n && end.p[-1] != '.'))
			continue;
		if (strip && item.n < domain.n)
			*address = join3(m->arena, str_first(*address, at + 1),
			    STR(""), lower_copy(m->arena, item));
		return true;
	}
	return true;
}

/* --- copies --- */

void
canonical_copy(struct mail *m, struct tables *ts, const char *parameter,
    struct str address)
{
	struct cleanup *c = m->c;
	struct str value, to;

	if ((m->begin.flags & MAIL_NO_BCC) != 0 || tables_empty(ts) ||
	    address.n == 0 || m->status != MAIL_OK)
		return;
	switch (tables_find_address(ts, &c->find, FIND_DEFAULT, address,
	    &c->value, NULL)) {
	case NONE:
		return;
	case RETRY:
		(void)put_off(m, address, arena_printf(m->arena,
		    "lookup problem (%s)", tables_error(ts)), parameter);
		return;
	case FOUND:
		break;
	}
	value = buf_view(&c->value);
	if (address_list_next(&value, m->arena, &to))
		addresses_add(&m->copies, to);
}
