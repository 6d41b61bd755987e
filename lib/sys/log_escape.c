/*
 * log_escape - one event is one line of printable UTF-8.
 *
 * Becomes '?': C0 and DEL, C1, the bidi controls (they could show a reader
 * another line than the one written), the line and paragraph separators, and
 * each byte that is no part of valid UTF-8 (RFC 3629 4).
 */
#include "sys/sys.h"

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
			size_t valid = utf8_first(str_from(s, i), &code);

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
