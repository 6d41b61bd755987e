/*
 * dns - any bytes as a reply: what is read lies within bounds, makes sense in
 * itself, and survives its way through pack and unpack. The first byte picks
 * the type that was asked for.
 */
#include "dns/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_records(const struct dns_reading *r, enum dns_type type,
    struct arena *arena)
{
	const struct dns_record *back;
	struct buf packed;
	size_t n, in;

	assert(r->n > 0 && r->n <= DNS_RECORDS_MAX);
	assert(r->cnames <= DNS_CNAMES_MAX);
	for (size_t i = 0; i < r->n; i++) {
		const struct dns_record *one = &r->records[i];

		assert(one->type == type);
		assert(type != DNS_A || one->data.n == 4);
		assert(type != DNS_AAAA || one->data.n == 16);
		if (type == DNS_MX || type == DNS_NS || type == DNS_PTR ||
		    type == DNS_SRV)
			assert(one->data.n <= DNS_NAME_MAX);
	}
	buf_init(&packed, DNS_BYTES_MAX);
	in = dns_pack(r->records, r->n, &packed);
	assert(dns_unpack(buf_view(&packed), arena, &back, &n) && n == in);
	buf_free(&packed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_A, DNS_NS, DNS_CNAME,
		DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA, DNS_TLSA, DNS_SRV };
	struct str in = { (const char *)data, size };
	const struct dns_record *records;
	struct arena *arena;
	struct dns_reading r;
	enum dns_type type;
	size_t n;

	if (size < 1)
		return 0;
	arena = arena_new(16 << 20);
	type = types[data[0] % nitems(types)];
	in = str_from(in, 1);
	dns_packet_read(in, type, STR("a.b"), arena, &r);
	if (r.sense == DNS_RECORDS)
		check_records(&r, type, arena);
	else
		assert(r.sense == DNS_NONSENSE || r.n == 0);
	assert(r.name.n <= DNS_NAME_MAX);
	if (dns_unpack(in, arena, &records, &n))
		assert(n <= DNS_RECORDS_MAX);
	arena_free(&arena);
	return 0;
}
