/*
 * tbs - what a handshake has signed, and nothing else.
 *
 * The key process signs for whoever has its channel: these checks keep a
 * process that was taken over from getting a signature under something else
 * (another certificate, a CSR, a DKIM key's text). Pure.
 *
 * RFC 8446 4.4.3   64 * 0x20, "TLS 1.3, server CertificateVerify", 0, hash
 * RFC 8422 5.4     client random, server random, curve_type 3, group, point
 * RFC 5246 7.4.3   client random, server random, dh_p, dh_g, dh_Ys
 * RFC 5246 7.4.8   (client) all handshake messages from ClientHello on
 */
#include "tls/tls.h"

#define RANDOMS		64	/* bytes of both */
#define PAD_13		64
#define CURVE_NAMED	3
#define HELLO		1	/* handshake types, RFC 5246 7.4 */
#define KEY_EXCHANGE	16

static bool
take(struct str *rest, size_t n, struct str *out)
{
	if (rest->n < n)
		return false;
	*out = str_first(*rest, n);
	*rest = str_from(*rest, n);
	return true;
}

/* A number of so many bytes, big end first. */
static bool
take_number(struct str *rest, size_t bytes, size_t *out)
{
	struct str s;

	*out = 0;
	if (!take(rest, bytes, &s))
		return false;
	for (size_t i = 0; i < bytes; i++)
		*out = *out << 8 | (unsigned char)s.p[i];
	return true;
}

/* Bytes with their length before them; not none. */
static bool
take_vector(struct str *rest, size_t bytes)
{
	struct str s;
	size_t n;

	return take_number(rest, bytes, &n) && n > 0 && take(rest, n, &s);
}

static bool
is_13(bool client, struct str tbs)
{
	struct str context = client ?
	    STR("TLS 1.3, client CertificateVerify") :
	    STR("TLS 1.3, server CertificateVerify");

	for (size_t i = 0; i < PAD_13; i++)
		if (i >= tbs.n || tbs.p[i] != 0x20)
			return false;
	tbs = str_from(tbs, PAD_13);
	if (!str_starts(tbs, context))
		return false;
	tbs = str_from(tbs, context.n);
	if (tbs.n < 1 || tbs.p[0] != '\0')
		return false;
	/* SHA-256 or SHA-384: the digests of TLS 1.3's suites. */
	return tbs.n - 1 == 32 || tbs.n - 1 == 48;
}

static bool
is_key_exchange(struct str tbs)
{
	struct str rest = str_from(tbs, RANDOMS), dh;
	size_t n;

	if (tbs.n <= RANDOMS)
		return false;
	dh = rest;
	if (take_number(&rest, 1, &n) && n == CURVE_NAMED &&
	    take_number(&rest, 2, &n) && take_vector(&rest, 1) && rest.n == 0)
		return true;
	return take_vector(&dh, 2) && take_vector(&dh, 2) &&
	    take_vector(&dh, 2) && dh.n == 0;
}

static bool
is_transcript(struct str tbs)
{
	size_t type = 0, first = 0, n, count = 0;
	struct str body;

	while (tbs.n > 0) {
		if (!take_number(&tbs, 1, &type) ||
		    !take_number(&tbs, 3, &n) || !take(&tbs, n, &body))
			return false;
		if (count++ == 0)
			first = type;
	}
	return first == HELLO && type == KEY_EXCHANGE;
}

bool
tls_tbs_valid(bool client, struct str tbs)
{
	if (tbs.n > TLS_TBS_MAX)
		return false;
	return is_13(client, tbs) ||
	    (client ? is_transcript(tbs) : is_key_exchange(tbs));
}
