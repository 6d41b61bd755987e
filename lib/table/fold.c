/*
 * fold - keys in lower case, and what is valid UTF-8 (RFC 3629 4).
 *
 * TODO(ICU): Postfix folds by Unicode where smtputf8_enable is on. Without
 * ICU only ASCII is folded; the two agree on every ASCII key.
 */
#include "table/internal.h"

void
table_fold(struct str key, struct buf *out)
{
	char *p = buf_space(out, key.n);

	if (p == NULL)
		return;
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		p[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	out->n += key.n;
}

bool
table_text_valid(struct str s)
{
	size_t i = 0;

	while (i < s.n) {
		uint8_t c = (uint8_t)s.p[i++];
		uint8_t low = 0x80, high = 0xbf;
		size_t more;

		if (c < 0x80)
			continue;
		if (c < 0xc2 || c > 0xf4)
			return false;
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (c == 0xe0)
			low = 0xa0;
		else if (c == 0xed)	/* surrogates */
			high = 0x9f;
		else if (c == 0xf0)
			low = 0x90;
		else if (c == 0xf4)
			high = 0x8f;
		for (; more > 0; more--, low = 0x80, high = 0xbf) {
			if (i == s.n || (uint8_t)s.p[i] < low ||
			    (uint8_t)s.p[i] > high)
				return false;
			i++;
		}
	}
	return true;
}
