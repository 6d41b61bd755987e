/*
 * fold - keys in lower case: of UTF-8 by Unicode, as Postfix does where
 * smtputf8_enable is on (the default), of anything else the ASCII letters.
 * libunistring lives here alone.
 */
#include <unicase.h>
#include "table/internal.h"

static bool
is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((signed char)s.p[i] < 0)
			return false;
	return true;
}

static void
fold_utf8(struct str key, struct buf *out)
{
	size_t n = key.n * TABLE_FOLD_GROWTH;
	char *p = buf_space(out, n);
	uint8_t *got;

	if (p == NULL)
		return;
	got = u8_casefold((const uint8_t *)key.p, key.n, NULL, NULL,
	    (uint8_t *)p, &n);
	if (got == NULL)
		die("no memory to fold a key");
	assert((char *)got == p);	/* it fits: nothing was allocated */
	out->n += n;
}

void
table_fold(struct str key, struct buf *out)
{
	char *p;

	if (!is_ascii(key) && utf8_valid(key)) {
		fold_utf8(key, out);
		return;
	}
	p = buf_space(out, key.n);
	if (p == NULL)
		return;
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		p[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	out->n += key.n;
}
