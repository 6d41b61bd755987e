/*
 * canon - the last form of a recipient: trivial-rewrite(8)'s resolve loop.
 *
 * Takes off this machine's own domains for as long as what is left still
 * names a destination (user@there@here, user%there@here, there!user@here),
 * so that nobody relays through quotes or routing bytes.
 */
#include "address/address.h"
#include "route/internal.h"

#define ROUNDS_MAX	100	/* domains taken off one address */

static struct str strip_dot(struct str);
static struct str rewrite(struct router *, struct str);
static struct str join(struct arena *, struct str local, struct str domain);
static enum found is_own(struct router *, struct str domain);
static enum found check_domain(struct router *, struct str *recipient,
		    bool *is_local);
static bool	  has_route(const struct router *, struct str local);

enum found
canon_address(struct router *r, struct str address, struct str *recipient,
    bool *is_local)
{
	struct str saved = STR("");
	bool has_saved = false;

	if (address.n > 0)
		address = rewrite(r, address);
	for (int round = 0; round < ROUNDS_MAX; round++) {
		size_t at;

		address = strip_dot(address);
		if (r->null_domain && address.n > 0 &&
		    address.p[address.n - 1] == '@')
			address.n--;
		at = str_rchr(address, '@');
		if (at < address.n) {
			struct str domain = str_from(address, at + 1);
			enum found own = domain.n == 0 ? FOUND :
			    is_own(r, domain);

			if (own == RETRY)
				return RETRY;
			if (own == NONE) {
				*recipient = address;
				*is_local = false;
				return check_domain(r, recipient, is_local);
			}
			saved = domain;
			has_saved = true;
			address = str_first(address, at);
		}
		if (has_route(r, address)) {
			address = rewrite(r, address);
			continue;
		}
		if (address.n == 0) {
			address = r->empty_recipient;
			continue;
		}
		if (!has_saved) {
			address = join(r->arena, address, r->myhostname);
			continue;
		}
		*recipient = join(r->arena, address, saved);
		*is_local = true;
		return check_domain(r, recipient, is_local);
	}
	return NONE;		/* far too many domains */
}

/* Is there still a destination in a local part? */
static bool
has_route(const struct router *r, struct str local)
{
	return (r->dequote && str_chr(local, '@') < local.n) ||
	    (r->swap_bangpath && str_chr(local, '!') < local.n) ||
	    (r->percent_hack && str_chr(local, '%') < local.n);
}

/* One final dot of a domain means nothing; "a@." and "a@b.." stay wrong. */
static struct str
strip_dot(struct str address)
{
	size_t n = address.n;

	if (n < 2 || address.p[n - 1] != '.' || address.p[n - 2] == '.' ||
	    address.p[n - 2] == '@' || str_chr(address, '@') == n)
		return address;
	return str_first(address, n - 1);
}

/* site!user, user%site, user, user@host: user@site in full. */
static struct str
rewrite(struct router *r, struct str address)
{
	size_t at = str_rchr(address, '@'), i;
	struct str domain;

	i = str_chr(address, '!');
	if (at == address.n && r->swap_bangpath && i < address.n)
		address = join(r->arena, str_from(address, i + 1),
		    str_first(address, i));
	at = str_rchr(address, '@');
	i = str_rchr(address, '%');
	if (at == address.n && r->percent_hack && i < address.n)
		address = join(r->arena, str_first(address, i),
		    str_from(address, i + 1));
	at = str_rchr(address, '@');
	if (at == address.n && r->append_myorigin)
		return join(r->arena, address, r->myorigin);
	domain = str_from(address, at + 1);
	if (at < address.n && r->append_mydomain && domain.n > 0 &&
	    domain.p[0] != '[' && str_chr(domain, '.') == domain.n)
		return str_of(arena_printf(r->arena, STRF "." STRF,
		    STRV(address), STRV(r->mydomain)));
	return address;
}

static struct str
join(struct arena *arena, struct str local, struct str domain)
{
	char *p = arena_alloc(arena, local.n + domain.n + 2);

	memcpy(p, local.p, local.n);
	p[local.n] = '@';
	memcpy(p + local.n + 1, domain.p, domain.n);
	return (struct str){ p, local.n + 1 + domain.n };
}

static enum found
is_own(struct router *r, struct str domain)
{
	enum found found = match_list_domain(r->local,
	    own_literal_form(domain, r->arena));

	return found == RETRY ? route_fault(r, "mydestination", NULL) : found;
}

/* RFC 6531 3.2: a domain of U-labels, which has a form for the DNS. */
static bool
is_idn(struct str domain)
{
	struct buf ascii;
	bool ok;

	buf_init(&ascii, 1000);
	ok = address_domain_ascii(domain, &ascii) &&
	    address_hostname_valid(buf_view(&ascii));
	buf_free(&ascii);
	return ok;
}

/* A host name or a literal; a bare address is neither (RFC 5321 4.1.3). */
static enum found
check_domain(struct router *r, struct str *recipient, bool *is_local)
{
	struct str domain = address_domain(*recipient), ignored;
	uint8_t ip[16];
	enum found own;

	if (domain.n > 0 && domain.p[0] == '[')
		return address_literal(domain, &ignored) ? FOUND : NONE;
	if (ip_parse(domain, ip) == 0)
		return address_hostname_valid(domain) ||
		    (r->utf8 && is_idn(domain)) ? FOUND : NONE;
	if (!r->numeric_domain)
		return NONE;
	*recipient = str_of(arena_printf(r->arena, STRF "@[" STRF "]",
	    STRV(address_local(*recipient)), STRV(domain)));
	own = is_own(r, address_domain(*recipient));
	*is_local = *is_local || own == FOUND;
	return own == RETRY ? RETRY : FOUND;
}
