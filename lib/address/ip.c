/*
 * ip - addresses and networks as text (RFC 4291 2.2, RFC 4632 3.1).
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "address/internal.h"

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* was_mapped: whether it was ::ffff:a.b.c.d; may be NULL. */
static int
parse(struct str s, uint8_t out[16], bool *was_mapped)
{
	char text[INET6_ADDRSTRLEN];

	if (was_mapped != NULL)
		*was_mapped = false;
	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return 0;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	memset(out, 0, 16);
	if (inet_pton(AF_INET, text, out) == 1)
		return AF_INET;
	if (inet_pton(AF_INET6, text, out) != 1)
		return 0;
	if (memcmp(out, mapped, sizeof(mapped)) != 0)
		return AF_INET6;
	memmove(out, out + 12, 4);
	memset(out + 4, 0, 12);
	if (was_mapped != NULL)
		*was_mapped = true;
	return AF_INET;
}

int
ip_parse(struct str s, uint8_t out[16])
{
	return parse(s, out, NULL);
}

static void
mask(uint8_t ip[16], unsigned prefix)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = prefix > i * 8 ? prefix - i * 8 : 0;

		if (keep < 8)
			ip[i] = (uint8_t)(ip[i] & (0xff00U >> keep));
	}
}

/* Takes [] off; false where only one of them is there. */
static bool
unbracket(struct str *s)
{
	bool open = s->n > 0 && s->p[0] == '[';
	bool close = s->n > 0 && s->p[s->n - 1] == ']';

	if (open && close)
		*s = str_first(str_from(*s, 1), s->n - 2);
	return open == close;
}

bool
ip_in_net(const uint8_t addr[16], int family, struct str net, bool *valid)
{
	size_t slash = str_rchr(net, '/');
	struct str host = str_first(net, slash);
	uint8_t base[16], masked[16];
	uint64_t prefix;
	bool was_mapped;
	int base_family;

	*valid = false;
	if (!unbracket(&host) ||
	    (base_family = parse(host, base, &was_mapped)) == 0)
		return false;
	prefix = base_family == AF_INET ? 32 : 128;
	if (slash < net.n) {
		uint64_t most = was_mapped ? 128 : prefix;

		if (!str_number(str_from(net, slash + 1), &prefix) ||
		    prefix > most || (was_mapped && prefix < 96))
			return false;
		if (was_mapped)
			prefix -= 96;
	}
	memcpy(masked, base, 16);
	mask(masked, (unsigned)prefix);
	if (memcmp(masked, base, 16) != 0)
		return false;		/* host bits set: a slip */
	*valid = true;
	if (family != base_family)
		return false;
	memcpy(masked, addr, 16);
	if (family == AF_INET)
		memset(masked + 4, 0, 12);
	mask(masked, (unsigned)prefix);
	return memcmp(masked, base, 16) == 0;
}

void
ip_mask_print(const uint8_t addr[16], int family, unsigned prefix,
    struct buf *out)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	memcpy(ip, addr, 16);
	if (family == AF_INET)
		memset(ip + 4, 0, 12);
	mask(ip, prefix);
	if (inet_ntop(family, ip, text, sizeof(text)) != NULL)
		buf_puts(out, text);
}
