/*
 * fold - keys in lower case.
 *
 * Postfix folds by Unicode where smtputf8_enable is on. Without
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
