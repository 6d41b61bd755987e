/*
 * utf8 - characters of UTF-8, one by one. Pure.
 *
 * RFC 3629 4: no overlong form, no surrogate, nothing above U+10FFFF.
 */
#include "base/base.h"

size_t
utf8_first(struct str s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t c = s.n > 0 ? (uint8_t)s.p[0] : 0;
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 :
	    c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (n == 0 || n > s.n)		/* an empty s too */
		return 0;
	*code = n == 1 ? c : c & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		c = (uint8_t)s.p[i];
		if ((c & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (c & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff ||
	    (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return n;
}

bool
utf8_valid(struct str s)
{
	uint32_t code;
	size_t n;

	for (size_t i = 0; i < s.n; i += n) {
		if ((uint8_t)s.p[i] < 0x80) {
			n = 1;
			continue;
		}
		n = utf8_first(str_from(s, i), &code);
		if (n == 0)
			return false;
	}
	return true;
}
