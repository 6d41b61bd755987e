/*
 * find - the keys of an address, a domain, a client, in Postfix's order.
 *
 * canonical(5), virtual(5), transport(5), access(5) TABLE SEARCH ORDER. An
 * address is looked up in its external (quoted) form first and then, where
 * that differs, in internal form. Tables of patterns get whole keys only.
 */
#include "address/address.h"
#include "table/internal.h"

/* One search: what is asked, and where answers go. */
struct search {
	struct tables	*tables;
	struct buf	*value;
	struct buf	*key;		/* NULL: nobody asks what matched */
	struct buf	 quoted, scratch;
	struct buf	 bare;		/* without extension */
	struct str	 address;
	size_t		 at;		/* of '@' in address; n: none */
	size_t		 bare_at;	/* the same in bare; bare.n 0: none */
	struct str	 extension;
	bool		 used_bare;
};

static void	  begin(struct search *, struct tables *, struct str address,
		    const struct find_conf *, unsigned strategy);
static void	  end(struct search *);
static enum found get(struct search *, struct str key, bool whole);
static enum found get_address(struct search *, struct str key, bool whole,
		    bool has_domain);
static enum found get_full(struct search *, unsigned strategy);
static enum found get_local(struct search *, const struct find_conf *,
		    unsigned strategy);
static enum found get_local_part(struct search *, size_t more);
static enum found get_names(struct search *, struct str name,
		    unsigned strategy);
static enum found run(struct search *, const struct find_conf *,
		    unsigned strategy);

enum found
tables_find_address(struct tables *ts, const struct find_conf *c,
    unsigned strategy, struct str address, struct buf *value,
    struct str *extension)
{
	struct search s = { .value = value };
	enum found found;

	if (extension != NULL)
		*extension = (struct str){ address.p, 0 };
	buf_clear(value);
	if (tables_empty(ts) || address.n == 0)
		return NONE;
	begin(&s, ts, address, c, strategy);
	found = run(&s, c, strategy);
	if (found == FOUND && s.used_bare && extension != NULL)
		*extension = s.extension;
	end(&s);
	return found;
}

enum found
tables_find_access_address(struct tables *ts, const struct find_conf *c,
    bool parents, struct str address, struct buf *key, struct buf *value)
{
	unsigned strategy = FIND_FULL | FIND_NOEXT | FIND_NAME |
	    FIND_LOCAL_AT | (parents ? FIND_PARENTS : FIND_DOT_PARENTS);
	struct search s = { .value = value, .key = key };
	enum found found;

	buf_clear(value);
	if (tables_empty(ts) || address.n == 0)
		return NONE;
	begin(&s, ts, address, c, strategy);
	found = run(&s, c, strategy);
	end(&s);
	return found;
}

enum found
tables_find_access_domain(struct tables *ts, bool parents, struct str name,
    struct buf *key, struct buf *value)
{
	struct search s = { .tables = ts, .value = value, .key = key };
	uint8_t ip[16];
	enum found found;

	buf_clear(value);
	if (name.n == 0)
		return NONE;
	found = get(&s, name, true);
	/* No parent domains of "192.0.2.1". */
	if (found != NONE || ip_parse(name, ip) != 0)
		return found;
	for (size_t dot = str_chr(str_from(name, 1), '.');
	    found == NONE && 1 + dot < name.n;
	    dot = str_chr(str_from(name, 1), '.')) {
		name = str_from(name, 1 + dot + (parents ? 1 : 0));
		if (name.n == 0)
			break;
		found = get(&s, name, false);
	}
	return found;
}

enum found
tables_find_access_addr(struct tables *ts, struct str addr, struct buf *key,
    struct buf *value)
{
	struct search s = { .tables = ts, .value = value, .key = key };
	char sep = str_chr(addr, ':') < addr.n ? ':' : '.';
	bool whole = true;
	enum found found;

	buf_clear(value);
	while (addr.n > 0) {
		found = get(&s, addr, whole);
		if (found != NONE)
			return found;
		whole = false;
		if (str_rchr(addr, sep) == addr.n)
			break;
		addr = str_first(addr, str_rchr(addr, sep));
	}
	return NONE;
}

static void
begin(struct search *s, struct tables *ts, struct str address,
    const struct find_conf *c, unsigned strategy)
{
	struct str local, extension;

	s->tables = ts;
	s->address = address;
	s->at = str_rchr(address, '@');
	buf_init(&s->quoted, 2 * ADDRESS_MAX + 3);
	buf_init(&s->scratch, ADDRESS_MAX + 1);
	buf_init(&s->bare, ADDRESS_MAX + 1);
	if (c == NULL || c->delimiter.n == 0 || (strategy & FIND_NOEXT) == 0)
		return;
	local = address_split(str_first(address, s->at), c->delimiter,
	    &extension);
	if (local.n == s->at)
		return;
	s->extension = extension;
	s->bare_at = local.n;
	buf_str(&s->bare, local);
	buf_str(&s->bare, str_from(address, s->at));
}

static void
end(struct search *s)
{
	buf_free(&s->quoted);
	buf_free(&s->scratch);
	buf_free(&s->bare);
}

static enum found
run(struct search *s, const struct find_conf *c, unsigned strategy)
{
	struct str domain = str_from(s->address, s->at + 1);
	enum found found;

	found = get_full(s, strategy);
	if (found == NONE && s->at < s->address.n)
		found = get_local(s, c, strategy);
	if (found == NONE && s->at < s->address.n &&
	    (strategy & FIND_DOMAIN) != 0)
		found = get(s, str_from(s->address, s->at), false);
	if (found == NONE && (strategy & FIND_NAME) != 0)
		found = get_names(s, domain, strategy);
	if (found == NONE && s->at < s->address.n &&
	    (strategy & FIND_LOCAL_AT) != 0)
		found = get_local_part(s, 1);
	return found;
}

/* user+ext@domain, then user@domain. */
static enum found
get_full(struct search *s, unsigned strategy)
{
	enum found found = NONE;

	if ((strategy & FIND_FULL) != 0)
		found = get_address(s, s->address, true, true);
	if (found == NONE && s->bare.n > 0) {
		found = get_address(s, buf_view(&s->bare), false, true);
		s->used_bare = found == FOUND;
	}
	return found;
}

/* user+ext, then user, where the domain is this site's. */
static enum found
get_local(struct search *s, const struct find_conf *c, unsigned strategy)
{
	struct str domain = str_from(s->address, s->at + 1);
	enum found ours = NONE;

	if ((strategy & (FIND_LOCAL | FIND_LOCAL_NOEXT)) == 0 || c == NULL)
		return NONE;
	if (c->myorigin.n > 0 && str_eq_nocase(domain, c->myorigin))
		ours = FOUND;
	else if (c->local != NULL)
		ours = match_list_domain(c->local, domain);
	return ours == FOUND ? get_local_part(s, 0) : ours;
}

/* The part before @, and more bytes: 0, or 1 for the @ itself. */
static enum found
get_local_part(struct search *s, size_t more)
{
	enum found found;

	found = get_address(s, str_first(s->address, s->at + more), false,
	    more > 0);
	if (found == NONE && s->bare.n > 0) {
		found = get_address(s, str_first(buf_view(&s->bare),
		    s->bare_at + more), false, more > 0);
		s->used_bare = found == FOUND;
	}
	return found;
}

/* The domain and, by strategy, those above it. */
static enum found
get_names(struct search *s, struct str name, unsigned strategy)
{
	enum found found = NONE;
	size_t dot;

	while (name.n > 0) {
		found = get(s, name, false);
		if (found != NONE ||
		    (strategy & (FIND_PARENTS | FIND_DOT_PARENTS)) == 0)
			return found;
		dot = 1 + str_chr(str_from(name, 1), '.');
		if (dot >= name.n)
			break;
		if ((strategy & FIND_DOT_PARENTS) == 0)
			dot++;
		name = str_from(name, dot);
	}
	return found;
}

/* In quoted form and, where that is another, as it is. */
static enum found
get_address(struct search *s, struct str key, bool whole, bool has_domain)
{
	enum found found;

	buf_clear(&s->quoted);
	if (has_domain)
		address_quote_822(key, &s->quoted);
	else {		/* a bare local part may itself hold an '@' */
		buf_clear(&s->scratch);
		buf_str(&s->scratch, key);
		buf_putc(&s->scratch, '@');
		address_quote_822(buf_view(&s->scratch), &s->quoted);
		if (s->quoted.n > 0)
			s->quoted.n--;
	}
	found = get(s, buf_view(&s->quoted), whole);
	if (found == NONE && !str_eq(buf_view(&s->quoted), key))
		found = get(s, key, whole);
	return found;
}

static enum found
get(struct search *s, struct str key, bool whole)
{
	enum found found = whole ? tables_get(s->tables, key, s->value) :
	    tables_get_part(s->tables, key, s->value);

	if (found == FOUND && s->key != NULL) {
		buf_clear(s->key);
		buf_str(s->key, key);
	}
	return found;
}
