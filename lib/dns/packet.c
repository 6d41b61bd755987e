/*
 * packet - questions and replies of DNS (RFC 1035 4), bytes to structs.
 *
 * A reply is a stranger's: each length is checked, compression pointers only
 * go backward (so they end), names and counts are capped, records that do not
 * belong to the question are passed over.
 */
#include "dns/serve.h"

#define HEADER	   12
#define CLASS_IN   1
#define TYPE_SOA   6
#define TYPE_OPT   41
#define UDP_SIZE   1232		/* RFC 6891 6.2.5; DNS flag day 2020 */
#define ABSENT_MAX 10800	/* seconds, RFC 2308 5 */
#define RECORDS_READ_MAX 4096	/* of a reply, whatever it counts */

enum { FLAG_QR = 0x8000, FLAG_TC = 0x0200, FLAG_RD = 0x0100, FLAG_AD = 0x0020,
	RCODE = 0x000f, RCODE_NXDOMAIN = 3 };

struct reader { struct str in; size_t at; bool bad; };

struct rr {				/* one record, as it stands */
	char	   owner[DNS_NAME_MAX + 1];
	bool	   owner_ok;
	unsigned   type, class;
	uint32_t   ttl_s;
	size_t	   at, end;		/* its data */
};

static void
put16(struct buf *b, unsigned v)
{
	buf_putc(b, (char)(v >> 8));
	buf_putc(b, (char)v);
}

void
dns_packet_ask(enum dns_type type, struct str name, struct buf *out)
{
	struct str rest = name, label;

	put16(out, 0);			/* the wire chooses the id */
	put16(out, FLAG_RD | FLAG_AD);
	put16(out, 1);
	put16(out, 0);
	put16(out, 0);
	put16(out, 1);
	while (str_token(&rest, ".", &label)) {
		buf_putc(out, (char)label.n);
		buf_str(out, label);
	}
	buf_putc(out, 0);
	put16(out, (unsigned)type);
	put16(out, CLASS_IN);
	buf_putc(out, 0);		/* OPT: the root, our size, no flags */
	put16(out, TYPE_OPT);
	put16(out, UDP_SIZE);
	put16(out, 0);
	put16(out, 0);
	put16(out, 0);
}

static unsigned
get(struct reader *r, size_t bytes)
{
	unsigned value = 0;

	if (r->in.n - r->at < bytes) {
		r->bad = true;
		r->at = r->in.n;
		return 0;
	}
	while (bytes-- > 0)
		value = value << 8 | (uint8_t)r->in.p[r->at++];
	return value;
}

/*
 * A name at r->at, which moves behind it. *ok: it is one that host names are
 * made of. False: not a name at all. RFC 1035 4.1.4: pointers point back.
 */
static bool
get_name(struct reader *r, char out[DNS_NAME_MAX + 1], bool *ok)
{
	size_t at = r->at, back = r->at, n = 0, length;
	struct buf canon;
	bool jumped = false;

	for (;;) {
		if (at >= r->in.n)
			return false;
		length = (uint8_t)r->in.p[at++];
		if (length >= 0xc0) {
			if (at >= r->in.n)
				return false;
			length = (length & 0x3f) << 8 | (uint8_t)r->in.p[at++];
			if (!jumped)
				r->at = at;
			jumped = true;
			if (length >= back)
				return false;
			at = back = length;
			continue;
		}
		if (length == 0)
			break;
		if (length > 63 || length > r->in.n - at ||
		    n + length + 1 > DNS_NAME_MAX - 1)
			return false;
		memcpy(out + n, r->in.p + at, length);
		/* A dot within a label would read as two labels. */
		for (size_t i = n; i < n + length; i++)
			if (out[i] == '.')
				out[i] = '\\';
		n += length;
		out[n++] = '.';
		at += length;
	}
	if (!jumped)
		r->at = at;
	n -= n > 0;
	buf_init(&canon, DNS_NAME_MAX);
	*ok = dns_name_canon((struct str){ out, n }, &canon);
	if (*ok && n > 0)
		memcpy(out, canon.p, n);
	buf_free(&canon);
	out[n] = '\0';
	return true;
}

static bool
get_rr(struct reader *r, struct rr *rr)
{
	size_t length;

	if (!get_name(r, rr->owner, &rr->owner_ok))
		return false;
	rr->type = get(r, 2);
	rr->class = get(r, 2);
	rr->ttl_s = get(r, 4);
	if (rr->ttl_s > INT32_MAX)	/* RFC 2181 8 */
		rr->ttl_s = 0;
	length = get(r, 2);
	if (r->bad || length > r->in.n - r->at)
		return false;
	rr->at = r->at;
	rr->end = r->at += length;
	return true;
}

/* A name that fills the record from at to its end, or NULL. */
static bool
get_target(struct str in, size_t at, size_t end, struct arena *arena,
    struct str *out)
{
	struct reader r = { in, at, false };
	char name[DNS_NAME_MAX + 1];
	bool ok;

	if (!get_name(&r, name, &ok) || !ok || r.at != end)
		return false;
	*out = arena_str(arena, str_of(name));
	return true;
}

/* RFC 1035 3.3.14: strings, joined here. */
static bool
get_text(struct str in, size_t at, size_t end, struct arena *arena,
    struct str *out)
{
	struct buf b;
	size_t length;
	bool ok = end > at;

	buf_init(&b, DNS_PACKET_MAX);
	while (ok && at < end) {
		length = (uint8_t)in.p[at++];
		ok = length <= end - at;
		if (ok)
			buf_add(&b, in.p + at, length);
		at += length;
	}
	*out = arena_str(arena, buf_view(&b));
	buf_free(&b);
	return ok;
}

/* False: its data is not what its type says. */
static bool
get_record(struct str in, const struct rr *rr, struct arena *arena,
    struct dns_record *out)
{
	const uint8_t *p = (const uint8_t *)in.p + rr->at;
	size_t n = rr->end - rr->at;

	*out = (struct dns_record){ .type = (enum dns_type)rr->type,
	    .ttl_s = rr->ttl_s };
	switch ((enum dns_type)rr->type) {
	case DNS_A:
	case DNS_AAAA:
		out->data = arena_str(arena, (struct str){ in.p + rr->at, n });
		return n == (rr->type == DNS_A ? 4 : 16);
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		return get_target(in, rr->at, rr->end, arena, &out->data);
	case DNS_MX:
		if (n < 3)
			return false;
		out->preference = (unsigned)(p[0] << 8 | p[1]);
		return get_target(in, rr->at + 2, rr->end, arena, &out->data);
	case DNS_SRV:			/* RFC 2782 */
		if (n < 7)
			return false;
		out->preference = (unsigned)(p[0] << 8 | p[1]);
		out->weight = (unsigned)(p[2] << 8 | p[3]);
		out->port = (unsigned)(p[4] << 8 | p[5]);
		return get_target(in, rr->at + 6, rr->end, arena, &out->data);
	case DNS_TXT:
		return get_text(in, rr->at, rr->end, arena, &out->data);
	case DNS_TLSA:			/* RFC 6698 2.1 */
		if (n < 4)
			return false;
		out->usage = p[0];
		out->selector = p[1];
		out->matching = p[2];
		out->data = arena_str(arena,
		    (struct str){ in.p + rr->at + 3, n - 3 });
		return true;
	}
	return false;
}

/*
 * The question must be the one that was asked, letters in any case: RFC 5452
 * 9.1. False: it is not.
 */
static bool
same_question(struct reader *r, enum dns_type type, struct str name)
{
	char asked[DNS_NAME_MAX + 1];
	bool ok;

	return get_name(r, asked, &ok) && ok && str_eq(str_of(asked), name) &&
	    get(r, 2) == (unsigned)type && get(r, 2) == CLASS_IN && !r->bad;
}

/* One round over the answers: where `name` goes by CNAME, or false. */
static bool
next_name(struct reader r, size_t count, struct arena *arena,
    struct dns_reading *out)
{
	struct rr rr;
	struct str target;

	while (count-- > 0 && get_rr(&r, &rr)) {
		if (rr.type != DNS_CNAME || rr.class != CLASS_IN ||
		    !rr.owner_ok || !str_eq(str_of(rr.owner), out->name) ||
		    !get_target(r.in, rr.at, rr.end, arena, &target))
			continue;
		out->name = target;
		if (rr.ttl_s < out->ttl_s)
			out->ttl_s = rr.ttl_s;
		return true;
	}
	return false;
}

/* Records of the type at out->name; *odd: some had no sense. */
static void
take_records(struct reader r, size_t count, enum dns_type type,
    struct arena *arena, struct dns_reading *out, bool *odd)
{
	struct rr rr;
	struct dns_record record;

	while (count-- > 0 && get_rr(&r, &rr)) {
		if (rr.type != (unsigned)type || rr.class != CLASS_IN ||
		    !rr.owner_ok || !str_eq(str_of(rr.owner), out->name))
			continue;
		if (out->n == DNS_RECORDS_MAX) {
			out->cut++;
			continue;
		}
		if (!get_record(r.in, &rr, arena, &record)) {
			*odd = true;
			continue;
		}
		if (rr.ttl_s < out->ttl_s)
			out->ttl_s = rr.ttl_s;
		out->records[out->n++] = record;
	}
}

/* RFC 2308 5: the SOA beside an absence says how long it holds. */
static bool
absence_ttl(struct reader r, size_t count, uint32_t *ttl_s)
{
	char name[DNS_NAME_MAX + 1];
	struct reader at;
	uint32_t least;
	struct rr rr;
	bool ok;

	while (count-- > 0 && get_rr(&r, &rr)) {
		if (rr.type != TYPE_SOA || rr.class != CLASS_IN)
			continue;
		at = (struct reader){ str_first(r.in, rr.end), rr.at, false };
		if (!get_name(&at, name, &ok) || !get_name(&at, name, &ok))
			return false;
		(void)get(&at, 4), (void)get(&at, 4), (void)get(&at, 4);
		(void)get(&at, 4);
		least = get(&at, 4);
		if (at.bad)
			return false;
		if (rr.ttl_s < least)
			least = rr.ttl_s;
		if (least > ABSENT_MAX)
			least = ABSENT_MAX;
		if (least < *ttl_s)
			*ttl_s = least;
		return true;
	}
	return false;
}

/* All `count` records must be whole; r moves behind them. */
static bool
skip_section(struct reader *r, size_t count)
{
	struct rr rr;

	while (count-- > 0)
		if (!get_rr(r, &rr))
			return false;
	return true;
}

static void
read_answer(struct reader r, size_t answers, size_t authorities,
    enum dns_type type, struct arena *arena, struct dns_reading *out,
    bool nxdomain)
{
	struct reader behind = r;
	bool odd = false, has_soa;

	if (answers + authorities > RECORDS_READ_MAX ||
	    !skip_section(&behind, answers))
		return;
	out->ttl_s = INT32_MAX;
	while (type != DNS_CNAME && next_name(r, answers, arena, out))
		if (++out->cnames > DNS_CNAMES_MAX)
			return;		/* a loop, or as good as one */
	out->records = arena_alloc(arena,
	    DNS_RECORDS_MAX * sizeof(*out->records));
	take_records(r, answers, type, arena, out, &odd);
	if (out->n > 0 && !nxdomain) {
		out->sense = DNS_RECORDS;
		return;
	}
	/* A PTR to what is no host name is as none: Postfix's native lookup. */
	if (odd && type != DNS_PTR)
		return;
	out->n = 0;
	has_soa = absence_ttl(behind, authorities, &out->ttl_s);
	if (nxdomain)
		out->sense = DNS_NO_NAME;
	else
		out->sense = out->cnames > 0 && !has_soa ? DNS_GOES_ON :
							   DNS_NO_RECORDS;
	if (!has_soa && out->sense != DNS_GOES_ON)
		out->ttl_s = 0;
}

void
dns_packet_read(struct str packet, enum dns_type type, struct str name,
    struct arena *arena, struct dns_reading *out)
{
	struct reader r = { packet, 2, false };
	unsigned flags, questions, answers, authorities;

	*out = (struct dns_reading){ .sense = DNS_NONSENSE, .name = name };
	if (packet.n < HEADER || packet.n > DNS_PACKET_MAX)
		return;
	flags = get(&r, 2);
	questions = get(&r, 2);
	answers = get(&r, 2);
	authorities = get(&r, 2);
	(void)get(&r, 2);
	if ((flags & FLAG_QR) == 0)
		return;
	out->authentic = (flags & FLAG_AD) != 0;
	if ((flags & RCODE) != 0 && (flags & RCODE) != RCODE_NXDOMAIN) {
		out->sense = DNS_FAILED;
		return;
	}
	/* Truncated even by TCP: not an answer. */
	if (questions != 1 || (flags & FLAG_TC) != 0 ||
	    !same_question(&r, type, name))
		return;
	read_answer(r, answers, authorities, type, arena, out,
	    (flags & RCODE) == RCODE_NXDOMAIN);
}
