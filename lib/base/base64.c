/*
 * base64 - RFC 4648 4, as SASL (RFC 4954 4) and password files use it.
 */
#include "base/base.h"

static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct str in, struct buf *out)
{
	const unsigned char *p = (const void *)in.p;
	uint32_t word;
	char quad[4];
	size_t n;

	for (size_t i = 0; i < in.n; i += 3) {
		n = in.n - i < 3 ? in.n - i : 3;
		word = (uint32_t)p[i] << 16;
		if (n > 1)
			word |= (uint32_t)p[i + 1] << 8;
		if (n > 2)
			word |= p[i + 2];
		for (size_t k = 0; k < 4; k++)
			quad[k] = k <= n ?
			    letters[word >> (18 - 6 * k) & 63] : '=';
		buf_add(out, quad, 4);
	}
}

static bool
value_of(char c, uint32_t *value)
{
	if (c >= 'A' && c <= 'Z')
		*value = (uint32_t)(c - 'A');
	else if (c >= 'a' && c <= 'z')
		*value = (uint32_t)(c - 'a') + 26;
	else if (c >= '0' && c <= '9')
		*value = (uint32_t)(c - '0') + 52;
	else if (c == '+' || c == '/')
		*value = c == '+' ? 62 : 63;
	else
		return false;
	return true;
}

/* False on a quad that is wrong; last: padding may stand in it. */
static bool
decode_quad(const char *quad, bool last, struct buf *out)
{
	uint32_t word = 0, v;
	size_t n = 4;
	char three[3];

	if (last && quad[3] == '=')
		n = quad[2] == '=' ? 2 : 3;
	for (size_t k = 0; k < 4; k++) {
		v = 0;
		if (k < n && !value_of(quad[k], &v))
			return false;
		word = word << 6 | v;
	}
	if ((n == 2 && (word & 0xffff)) || (n == 3 && (word & 0xff)))
		return false;
	three[0] = (char)(word >> 16);
	three[1] = (char)(word >> 8 & 255);
	three[2] = (char)(word & 255);
	buf_add(out, three, n - 1);
	return true;
}

bool
base64_decode(struct str in, struct buf *out)
{
	if (in.n % 4 != 0)
		return false;
	for (size_t i = 0; i < in.n; i += 4)
		if (!decode_quad(in.p + i, i + 4 == in.n, out))
			return false;
	return !out->full;
}
