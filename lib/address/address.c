/*
 * address - parts of an internal-form address, names, quoting.
 *
 * Quoting is that of RFC 5321 4.1.2 and RFC 5322 3.4.1:
 *
 *   Local-part    = Dot-string / Quoted-string
 *   Dot-string    = Atom *("."  Atom)
 *   Quoted-string = DQUOTE *QcontentSMTP DQUOTE
 */
#include "address/internal.h"

#define HOSTNAME_MAX	255	/* RFC 1035 2.3.4 */
#define LABEL_MAX	63

struct str
address_local(struct str addr)
{
	return str_first(addr, str_rchr(addr, '@'));
}

struct str
address_domain(struct str addr)
{
	size_t at = str_rchr(addr, '@');

	return at == addr.n ? STR("") : str_from(addr, at + 1);
}

static bool
never_split(struct str local, struct str delimiters)
{
	static const char *const whole[] = { "postmaster", "mailer-daemon",
	    "double-bounce" };

	for (size_t i = 0; i < nitems(whole); i++)
		if (str_eq_nocase(local, str_of(whole[i])))
			return true;
	/* owner_request_special: only '-' could take these apart. */
	return str_chr(delimiters, '-') < delimiters.n &&
	    (str_starts_nocase(local, STR("owner-")) ||
	    (local.n > 8 && str_ends_nocase(local, STR("-request"))));
}

struct str
address_split(struct str local, struct str delimiters, struct str *extension)
{
	size_t i = 0;

	*extension = STR("");
	while (i < local.n && str_chr(delimiters, local.p[i]) == delimiters.n)
		i++;
	if (i == 0 || i == local.n || never_split(local, delimiters))
		return local;
	*extension = str_from(local, i + 1);
	return str_first(local, i);
}

bool
byte_is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

bool
byte_is_special(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' ||
	    (c != '\0' && strchr("()<>[]:;@\\,\"", c) != NULL);
}

static bool
is_name_byte(char c, bool utf8)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	    (utf8 && (unsigned char)c >= 0x80);
}

bool
hostname_valid(struct str s, bool utf8)
{
	size_t label = 0;
	bool numeric = true;

	if (s.n == 0 || s.n > HOSTNAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.') {
			if (label == 0 || s.p[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_name_byte(s.p[i], utf8) || ++label > LABEL_MAX ||
		    (label == 1 && s.p[i] == '-'))
			return false;
		if (s.p[i] < '0' || s.p[i] > '9')
			numeric = false;
	}
	/* "1.2.3.4" is an address that lost its brackets, not a name. */
	return label > 0 && s.p[s.n - 1] != '-' && !numeric;
}

bool
address_hostname_valid(struct str s)
{
	return hostname_valid(s, false);
}

bool
address_literal(struct str domain, struct str *addr)
{
	uint8_t ip[16];
	struct str in;

	if (domain.n < 3 || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
		return false;
	in = str_first(str_from(domain, 1), domain.n - 2);
	if (str_starts_nocase(in, STR("IPv6:"))) {	/* RFC 5321 4.1.3 */
		in = str_from(in, 5);
		if (str_chr(in, ':') == in.n)
			return false;
	} else if (str_chr(in, ':') < in.n) {
		return false;
	}
	if (ip_parse(in, ip) == 0)
		return false;
	*addr = in;
	return true;
}

static bool
is_dot_string(struct str s)
{
	if (s.n == 0 || s.p[0] == '.' || s.p[s.n - 1] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (byte_is_special(s.p[i]) || byte_is_control(s.p[i]) ||
		    (s.p[i] == '.' && s.p[i + 1] == '.'))
			return false;
	return true;
}

static void
quote(struct str addr, struct buf *out)
{
	struct str local = address_local(addr);

	if (is_dot_string(local) || addr.n == 0) {
		buf_str(out, addr);
		return;
	}
	buf_putc(out, '"');
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '"' || local.p[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, local.p[i]);
	}
	buf_putc(out, '"');
	buf_str(out, str_from(addr, local.n));
}

void
address_quote_821(struct str addr, struct buf *out)
{
	quote(addr, out);
}

/* The two grammars agree on what a bare local part may be. */
void
address_quote_822(struct str addr, struct buf *out)
{
	quote(addr, out);
}
