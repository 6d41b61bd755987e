/*
 * pack - the records of an answer, as they travel in one TEXT of dns_answer.
 *
 * A record: type 2, ttl 4, preference 2, weight 2, port 2, usage 1, selector 1,
 * matching 1, length 2 bytes, all big-endian, then its data.
 */
#include "dns/internal.h"

#define HEAD 17

static void
put(struct buf *b, size_t bytes, uint64_t value)
{
	while (bytes-- > 0)
		buf_putc(b, (char)(value >> bytes * 8));
}

static unsigned
get(struct str *s, size_t bytes)
{
	unsigned value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | (uint8_t)s->p[i];
	*s = str_from(*s, bytes);
	return value;
}

size_t
dns_pack(const struct dns_record *r, size_t n, struct buf *out)
{
	size_t i;

	for (i = 0; i < n && out->n + HEAD + r[i].data.n <= DNS_BYTES_MAX;
	    i++) {
		put(out, 2, (uint64_t)r[i].type);
		put(out, 4, r[i].ttl_s);
		put(out, 2, r[i].preference);
		put(out, 2, r[i].weight);
		put(out, 2, r[i].port);
		put(out, 1, r[i].usage);
		put(out, 1, r[i].selector);
		put(out, 1, r[i].matching);
		put(out, 2, r[i].data.n);
		buf_str(out, r[i].data);
	}
	return i;
}

bool
dns_unpack(struct str in, struct arena *arena, const struct dns_record **out,
    size_t *n)
{
	struct dns_record *v = arena_alloc(arena, DNS_RECORDS_MAX * sizeof(*v));
	size_t count = 0, length;

	while (in.n > 0) {
		struct dns_record *r = &v[count];

		if (in.n < HEAD || count++ == DNS_RECORDS_MAX)
			return false;
		r->type = (enum dns_type)get(&in, 2);
		r->ttl_s = get(&in, 4);
		r->preference = get(&in, 2);
		r->weight = get(&in, 2);
		r->port = get(&in, 2);
		r->usage = get(&in, 1);
		r->selector = get(&in, 1);
		r->matching = get(&in, 1);
		length = get(&in, 2);
		if (dns_type_name(r->type) == NULL || length > in.n ||
		    (r->type == DNS_A && length != 4) ||
		    (r->type == DNS_AAAA && length != 16))
			return false;
		r->data = str_first(in, length);
		in = str_from(in, length);
	}
	*out = v;
	*n = count;
	return true;
}
