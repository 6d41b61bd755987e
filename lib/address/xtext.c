/*
 * xtext - the encoding of ENVID= and ORCPT=.
 *
 * RFC 3461 4:
 *   xtext   = *( xchar / hexchar )
 *   xchar   = any ASCII CHAR between "!" (33) and "~" (126) inclusive,
 *             except for "+" and "="
 *   hexchar = ASCII "+" immediately followed by two upper case
 *             hexadecimal digits
 */
#include "address/internal.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')	/* seen in the wild */
		return c - 'a' + 10;
	return -1;
}

bool
xtext_decode(struct str s, struct arena *a, struct str *out)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	*out = STR("");
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '+') {
			int high, low;

			if (s.n - i < 3)
				return false;
			high = hex_value(s.p[i + 1]);
			low = hex_value(s.p[i + 2]);
			if (high < 0 || low < 0)
				return false;
			p[n++] = (char)(high << 4 | low);
			i += 2;
		} else if (c > ' ' && c != '=' && c != 0x7f) {
			p[n++] = (char)c;
		} else {
			return false;
		}
		/* What it hides goes into reports and logs: no controls. */
		if (byte_is_control(p[n - 1]))
			return false;
	}
	if (!utf8_valid((struct str){ p, n }))
		return false;
	*out = (struct str){ p, n };
	return true;
}

void
xtext_encode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > ' ' && c < 0x7f && c != '+' && c != '=')
			buf_putc(out, (char)c);
		else
			buf_printf(out, "+%02X", c);
	}
}
