/*
 * base64 - RFC 4648 4.
 */
#include "base/base.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "abcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i += 3) {
		struct str part = str_first(str_from(s, i), 3);
		uint8_t b[3] = { 0 };

		memcpy(b, part.p, part.n);
		buf_putc(out, digits[b[0] >> 2]);
		buf_putc(out, digits[(b[0] & 3) << 4 | b[1] >> 4]);
		buf_putc(out, part.n < 2 ? '=' :
		    digits[(b[1] & 15) << 2 | b[2] >> 6]);
		buf_putc(out, part.n < 3 ? '=' : digits[b[2] & 63]);
	}
}

bool
base64_decode(struct str s, struct buf *out)
{
	if (s.n % 4 != 0)
		return false;
	for (size_t i = 0; i < s.n; i += 4) {
		unsigned bits = 0, n = 3;

		for (size_t k = 0; k < 4; k++) {
			const char *at = s.p[i + k] == '\0' ? NULL :
			    strchr(digits, s.p[i + k]);

			if (s.p[i + k] == '=' && i + 4 == s.n && k >= 2 &&
			    (k == 3 || s.p[i + 3] == '=')) {
				n = k == 2 ? 1 : n < 2 ? n : 2;
				at = digits;
			}
			if (at == NULL)
				return false;
			bits = bits << 6 | (unsigned)(at - digits);
		}
		for (unsigned k = 0; k < n; k++)
			buf_putc(out, (char)(bits >> (16 - 8 * k) & 0xff));
	}
	return !out->full;
}
