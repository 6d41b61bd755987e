/*
 * cidr - tables of networks: cidr_table(5).
 *
 *   pattern = address ["/" bits] / "[" address "]" ["/" bits]
 *
 * A key that is no address has no answer; a network of the other family
 * matches nothing, also where it is negated.
 */
#include <sys/socket.h>

#include "address/address.h"
#include "table/pattern.h"

struct net { int family; unsigned bits; uint8_t bytes[16]; };

const struct table_ops cidr_ops = {
	.suffix = "", .open = pattern_open, .close = pattern_close,
	.get = pattern_get,
};

static bool
take_brackets(const struct pattern_source *at, struct str *s,
    struct str *address, struct str *mask)
{
	size_t close = str_chr(*s, ']');

	if (close == s->n) {
		pattern_warn(at, "missing ']' character after \"" STRF
		    "\": skipping this rule", STRV(*s));
		return false;
	}
	*address = (struct str){ s->p + 1, close - 1 };
	*mask = str_from(*s, close + 1);
	if (mask->n > 0 && mask->p[0] != '/') {
		pattern_warn(at, "garbage after \"" STRF "\": skipping this "
		    "rule", STRV(str_first(*s, close + 1)));
		return false;
	}
	return true;
}

/* The bits of "/24"; false with a warning. */
static bool
take_mask(const struct pattern_source *at, struct str whole, struct str mask,
    unsigned most, unsigned *bits)
{
	uint64_t n;

	*bits = most;
	if (mask.n == 0)
		return true;
	if (!str_number(str_from(mask, 1), &n)) {
		pattern_warn(at, "bad mask value in \"" STRF "\": skipping "
		    "this rule", STRV(whole));
		return false;
	}
	if (n > most) {
		pattern_warn(at, "bad mask length in \"" STRF "\": skipping "
		    "this rule", STRV(whole));
		return false;
	}
	*bits = (unsigned)n;
	return true;
}

/* Takes the bits off that are behind the prefix; were there any? */
static bool
mask_bytes(uint8_t *bytes, unsigned bits, unsigned most)
{
	bool any = false;

	for (unsigned i = bits; i < most; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i % 8));

		any = any || (bytes[i / 8] & bit) != 0;
		bytes[i / 8] = (uint8_t)(bytes[i / 8] & ~bit);
	}
	return any;
}

static bool
read_net(const struct pattern_source *at, struct str whole, struct net *net)
{
	struct str address = str_first(whole, str_chr(whole, '/'));
	struct str mask = str_from(whole, address.n);
	struct buf better;
	unsigned most;

	if (whole.p[0] == '[' && !take_brackets(at, &whole, &address, &mask))
		return false;
	net->family = str_chr(address, '/') < address.n ? 0 :
	    ip_parse(address, net->bytes);
	most = net->family == AF_INET6 ? 128 : 32;
	if (net->family == 0 && mask.n == 0) {
		pattern_warn(at, "bad address pattern: \"" STRF "\": skipping "
		    "this rule", STRV(whole));
		return false;
	}
	if (net->family == 0) {
		pattern_warn(at, "bad network value in \"" STRF "\": skipping "
		    "this rule", STRV(whole));
		return false;
	}
	if (!take_mask(at, whole, mask, most, &net->bits))
		return false;
	if (!mask_bytes(net->bytes, net->bits, most))
		return true;
	buf_init(&better, 100);
	ip_mask_print(net->bytes, net->family, net->bits, &better);
	buf_printf(&better, "/%u", net->bits);
	pattern_warn(at, "non-null host address bits in \"" STRF "\", perhaps "
	    "you should use \"" STRF "\" instead: skipping this rule",
	    STRV(whole), STRV(buf_view(&better)));
	buf_free(&better);
	return false;
}

static void *
cidr_parse(const struct pattern_source *at, struct str *rest)
{
	struct net net = { 0 }, *kept;
	struct str whole;
	size_t n = 0;

	while (n < rest->n && (unsigned char)rest->p[n] > ' ')
		n++;
	/* Behind an IF all belongs to the pattern. */
	whole = at->in_if ? *rest : str_first(*rest, n);
	*rest = str_from(*rest, whole.n);
	if (whole.n == 0) {
		pattern_warn(at, "no address pattern: skipping this rule");
		return NULL;
	}
	if (!read_net(at, whole, &net))
		return NULL;
	kept = mem_new(sizeof(*kept));
	*kept = net;
	return kept;
}

static void
cidr_free(void *pattern)
{
	mem_free(pattern);
}

/* The address that is asked for. */
static void *
cidr_begin(void)
{
	return mem_new(sizeof(struct net));
}

static bool
cidr_look(void *state, struct str subject)
{
	struct net *asked = state;

	asked->family = ip_parse(subject, asked->bytes);
	return asked->family != 0;
}

static enum pattern_match
cidr_match(struct table *t, void *state, void *pattern, struct str subject,
    struct pattern_groups *groups)
{
	const struct net *net = pattern, *asked = state;
	unsigned whole = net->bits / 8, left = net->bits % 8;

	(void)t;
	(void)subject;
	(void)groups;
	if (asked->family != net->family)
		return PATTERN_NEVER;
	if (memcmp(asked->bytes, net->bytes, whole) != 0)
		return PATTERN_MISS;
	if (left > 0 && ((asked->bytes[whole] ^ net->bytes[whole]) >>
	    (8 - left)) != 0)
		return PATTERN_MISS;
	return PATTERN_HIT;
}

const struct pattern_kind cidr_kind = {
	.name = "cidr", .parse = cidr_parse, .drop = cidr_free,
	.begin = cidr_begin, .end = cidr_free, .look = cidr_look,
	.match = cidr_match,
};
