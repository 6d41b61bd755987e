/*
 * log_escape - one event is one line of printable UTF-8.
 *
 * Becomes '?': C0 and DEL, C1, the bidi controls (they could show a reader
 * another line than the one written), the line and paragraph separators, and
 * each byte that is no part of valid UTF-8 (RFC 3629 4).
 */
#include "sys/sys.h"

/* Bytes of the character at p, 0 where it is not valid; sets its number. */
static size_t
decode(const unsigned char *p, size_t n, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	*code = p[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3fu);
	}
	if (*code < least[len] || *code > 0x10ffff ||
	    (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return len;
}

static bool
is_shown(uint32_t code)
{
	if (code <= 0x9f)			/* C1 */
		return false;
	if (code == 0x61c || code == 0x200e || code == 0x200f)
		return false;
	if (code >= 0x2028 && code <= 0x202e)	/* separators, bidi */
		return false;
	return code < 0x2066 || code > 0x2069;	/* bidi isolates */
}

void
log_escape(struct str s, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, plain = 0;

	while (i < s.n) {
		uint32_t code = 0;
		size_t len = 1;

		if (p[i] >= 0x20 && p[i] < 0x7f) {
			i++;
			continue;
		}
		if (p[i] >= 0x80) {
			size_t valid = decode(p + i, s.n - i, &code);

			len = valid == 0 ? 1 : valid;
			if (valid != 0 && is_shown(code)) {
				i += len;
				continue;
			}
		}
		buf_add(out, s.p + plain, i - plain);
		buf_putc(out, '?');
		i += len;
		plain = i;
	}
	buf_add(out, s.p + plain, s.n - plain);
}
