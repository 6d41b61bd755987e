/*
 * proxy - the header of the PROXY protocol (haproxy, proxy-protocol.txt).
 *
 * 2.1, text: "PROXY" SP ("TCP4" / "TCP6") SP client SP server SP port SP port
 * CRLF, or "PROXY UNKNOWN" and anything up to CRLF; at most 107 bytes.
 * 2.2, binary: 12 bytes of signature, version and command, family and
 * transport, 16 bits of length, addresses, and TLVs, which are passed over.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "esmtp/esmtp.h"

#define TEXT_MAX	107
#define BINARY_HEAD	16

static const struct str signature = {
	"\r\n\r\n\0\r\nQUIT\n", 12
};

static enum proxy_verdict read_text(struct str in, struct proxy_header *);
static enum proxy_verdict read_binary(struct str in, struct proxy_header *);

enum proxy_verdict
proxy_header_read(struct str in, struct proxy_header *h)
{
	struct str text = STR("PROXY ");
	size_t n;

	*h = (struct proxy_header){ 0 };
	n = in.n < signature.n ? in.n : signature.n;
	if (n > 0 && memcmp(in.p, signature.p, n) == 0)
		return n < signature.n ? PROXY_MORE : read_binary(in, h);
	n = in.n < text.n ? in.n : text.n;
	if (n == 0 || memcmp(in.p, text.p, n) == 0)
		return n < text.n ? PROXY_MORE : read_text(in, h);
	return PROXY_BAD;
}

/* An address of that family, as libc prints it. */
static bool
read_address(int family, struct str text, char out[46])
{
	char zero[46] = "";
	uint8_t bytes[16];

	if (text.n == 0 || text.n >= sizeof(zero))
		return false;
	memcpy(zero, text.p, text.n);
	zero[text.n] = '\0';
	return inet_pton(family, zero, bytes) == 1 &&
	    inet_ntop(family, bytes, out, 46) != NULL;
}

static bool
read_port(struct str text, unsigned *port)
{
	uint64_t n;

	if (text.n > 5 || !str_number(text, &n) || n > 65535)
		return false;
	*port = (unsigned)n;
	return true;
}

/* One word; words have one blank between. */
static struct str
word(struct str *rest)
{
	size_t end = str_chr(*rest, ' ');
	struct str w = str_first(*rest, end);

	*rest = str_from(*rest, end + 1);
	return w;
}

static enum proxy_verdict
read_text(struct str in, struct proxy_header *h)
{
	struct str line = str_first(in, TEXT_MAX), family;
	size_t end = str_chr(line, '\n');
	int af;

	if (end == line.n)
		return in.n >= TEXT_MAX ? PROXY_BAD : PROXY_MORE;
	if (end < 1 || line.p[end - 1] != '\r')
		return PROXY_BAD;
	h->n = end + 1;
	line = str_from(str_first(line, end - 1), 6);
	family = word(&line);
	if (str_eq(family, STR("UNKNOWN")))
		return PROXY_LOCAL;
	if (!str_eq(family, STR("TCP4")) && !str_eq(family, STR("TCP6")))
		return PROXY_BAD;
	af = family.p[3] == '4' ? AF_INET : AF_INET6;
	if (!read_address(af, word(&line), h->client) ||
	    !read_address(af, word(&line), h->server) ||
	    !read_port(word(&line), &h->client_port) ||
	    !read_port(line, &h->server_port))
		return PROXY_BAD;
	return PROXY_CLIENT;
}

static enum proxy_verdict
read_binary(struct str in, struct proxy_header *h)
{
	const uint8_t *p = (const void *)in.p;
	size_t length, size;
	int family;

	if (in.n < BINARY_HEAD)
		return PROXY_MORE;
	length = (size_t)p[14] << 8 | p[15];
	if (p[12] >> 4 != 2 || (p[12] & 15) > 1 ||
	    length + BINARY_HEAD > PROXY_HEADER_MAX)
		return PROXY_BAD;
	if (in.n < BINARY_HEAD + length)
		return PROXY_MORE;
	h->n = BINARY_HEAD + length;
	if ((p[12] & 15) == 0)		/* LOCAL: a health check */
		return PROXY_LOCAL;
	if (p[13] != 0x11 && p[13] != 0x21)	/* TCP over IPv4, IPv6 */
		return PROXY_BAD;
	family = p[13] == 0x11 ? AF_INET : AF_INET6;
	size = family == AF_INET ? 4 : 16;
	if (length < 2 * size + 4)
		return PROXY_BAD;
	p += BINARY_HEAD;
	if (inet_ntop(family, p, h->client, sizeof(h->client)) == NULL ||
	    inet_ntop(family, p + size, h->server, sizeof(h->server)) == NULL)
		return PROXY_BAD;
	p += 2 * size;
	h->client_port = (unsigned)p[0] << 8 | p[1];
	h->server_port = (unsigned)p[2] << 8 | p[3];
	return PROXY_CLIENT;
}
