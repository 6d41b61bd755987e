/*
 * rbl_match - "domain=d.d.d.d": which replies of a DNS list count.
 *
 *   filter = octets 3*3( "." octets )
 *   octets = number / "[" range *( ";" range ) "]"
 *   range  = number [ ".." number ]
 */
#include "smtpd/access.h"

static bool
take_number(struct str *s, unsigned *n)
{
	size_t i = 0;

	for (*n = 0; i < s->n && i < 3 && s->p[i] >= '0' && s->p[i] <= '9';
	    i++)
		*n = *n * 10 + (unsigned)(s->p[i] - '0');
	*s = str_from(*s, i);
	return i > 0 && *n <= 255;
}

/* One of the four: is octet in it? False: bad syntax. */
static bool
take_octets(struct str *s, unsigned octet, bool *in)
{
	bool group = s->n > 0 && s->p[0] == '[', more;
	unsigned low, high;

	*in = false;
	if (group)
		*s = str_from(*s, 1);
	do {
		if (!take_number(s, &low))
			return false;
		high = low;
		if (group && str_starts(*s, STR(".."))) {
			*s = str_from(*s, 2);
			if (!take_number(s, &high) || high < low)
				return false;
		}
		*in = *in || (octet >= low && octet <= high);
		more = group && s->n > 0 && s->p[0] == ';';
		if (more)
			*s = str_from(*s, 1);
	} while (more);
	if (!group)
		return true;
	if (s->n == 0 || s->p[0] != ']')
		return false;
	*s = str_from(*s, 1);
	return true;
}

/* False: bad syntax. */
static bool
match(struct str filter, const uint8_t addr[4], bool *matches)
{
	bool in;

	*matches = true;
	for (unsigned i = 0; i < 4; i++) {
		if (i > 0) {
			if (filter.n == 0 || filter.p[0] != '.')
				return false;
			filter = str_from(filter, 1);
		}
		if (!take_octets(&filter, addr[i], &in))
			return false;
		*matches = *matches && in;
	}
	return filter.n == 0;
}

struct str
dnsbl_domain(struct str arg)
{
	return str_first(arg, str_chr(arg, '='));
}

bool
dnsbl_valid(struct str arg)
{
	static const uint8_t any[4];
	size_t eq = str_chr(arg, '=');
	bool matches;

	return eq > 0 && (eq == arg.n ||
	    match(str_from(arg, eq + 1), any, &matches));
}

bool
dnsbl_match(struct str arg, const uint8_t addr[4])
{
	size_t eq = str_chr(arg, '=');
	bool matches = true;

	return eq == arg.n ||
	    (match(str_from(arg, eq + 1), addr, &matches) && matches);
}
