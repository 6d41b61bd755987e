/*
 * name - domain names as text, and what log lines say of them.
 */
#include "dns/internal.h"

#define LABEL_MAX 63		/* RFC 1035 2.3.4 */

static const struct { enum dns_type type; const char *name; } types[] = {
	{ DNS_A, "A" },		{ DNS_NS, "NS" },	{ DNS_CNAME, "CNAME" },
	{ DNS_PTR, "PTR" },	{ DNS_MX, "MX" },	{ DNS_TXT, "TXT" },
	{ DNS_AAAA, "AAAA" },	{ DNS_TLSA, "TLSA" },	{ DNS_SRV, "SRV" },
};

/* As Postfix's dns_strerror() and its relatives; readers look for them. */
static const char *const lacks[] = {
	[DNS_LACK_NAME]	   = "Host not found",
	[DNS_LACK_RECORDS] = "Host found but no data record of requested type",
	[DNS_LACK_ANSWER]  = "Host not found, try again",
	[DNS_LACK_SENSE]   = "Malformed or unexpected name server reply",
	[DNS_LACK_SYNTAX]  = "Host or domain name is invalid",
};

bool
dns_name_canon(struct str s, struct buf *out)
{
	size_t label = 0;

	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n > DNS_NAME_MAX - 2)	/* a length before, the root behind */
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '.' ? label == 0 || i + 1 == s.n :
		    label == LABEL_MAX || !((c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '_' ||
		    (c == '-' && label > 0)))
			return false;
		label = c == '.' ? 0 : label + 1;
		buf_putc(out, c);
	}
	return true;
}

void
dns_name_reverse(const uint8_t addr[16], int family, struct buf *out)
{
	static const char hex[] = "0123456789abcdef";

	if (family == AF_INET) {
		buf_printf(out, "%u.%u.%u.%u.in-addr.arpa", addr[3], addr[2],
		    addr[1], addr[0]);
		return;
	}
	for (size_t i = 16; i-- > 0;)
		buf_printf(out, "%c.%c.", hex[addr[i] & 15],
		    hex[addr[i] >> 4]);
	buf_puts(out, "ip6.arpa");
}

const char *
dns_type_name(enum dns_type type)
{
	for (size_t i = 0; i < nitems(types); i++)
		if (types[i].type == type)
			return types[i].name;
	return NULL;
}

bool
dns_type_parse(struct str name, enum dns_type *type)
{
	for (size_t i = 0; i < nitems(types); i++)
		if (str_eq_nocase(name, str_of(types[i].name))) {
			*type = types[i].type;
			return true;
		}
	return false;
}

void
dns_why(struct str name, enum dns_type type, enum dns_lack lack,
    struct buf *out)
{
	buf_printf(out, "Host or domain name not found. Name service error "
	    "for name=" STRF " type=%s: %s", STRV(str_first(name,
	    DNS_NAME_MAX)), dns_type_name(type) ? dns_type_name(type) : "?",
	    lacks[lack]);
}
