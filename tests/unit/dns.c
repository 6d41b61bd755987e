/* dns: packets, names, records on their way, the hosts file, the cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "dns/serve.h"
#include "lookup/resolve.h"

static void
test_names(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "Example.COM", "example.com" },
		{ "example.com.", "example.com" },
		{ "_25._tcp.mx.example", "_25._tcp.mx.example" },
		{ ".", "" }, { "", "" },
		{ "a-b.c", "a-b.c" },
		{ "1.0.0.127.in-addr.arpa", "1.0.0.127.in-addr.arpa" },
		{ "a..b", NULL }, { ".a", NULL }, { "a.b..", NULL },
		{ "-a.b", NULL }, { "a b.c", NULL }, { "a/b.c", NULL },
		{ "\303\244.de", NULL }, { "a\\.b", NULL },
		{ "0123456789012345678901234567890123456789012345678901234567"
		  "89012.x", "0123456789012345678901234567890123456789012345678"
		  "90123456789012.x" },
		{ "0123456789012345678901234567890123456789012345678901234567"
		  "890123.x", NULL },
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		bool ok;

		buf_init(&out, DNS_NAME_MAX);
		ok = dns_name_canon(str_of(rows[i].in), &out);
		assert_int_equal(ok, rows[i].out != NULL);
		if (ok)
			assert_string_equal(buf_cstr(&out), rows[i].out);
		buf_free(&out);
	}
}

static void
test_reverse(void **state)
{
	static const uint8_t v4[16] = { 192, 0, 2, 1 };
	static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x1f };
	struct buf out;

	(void)state;
	buf_init(&out, DNS_NAME_MAX);
	dns_name_reverse(v4, AF_INET, &out);
	assert_string_equal(buf_cstr(&out), "1.2.0.192.in-addr.arpa");
	buf_clear(&out);
	dns_name_reverse(v6, AF_INET6, &out);
	assert_string_equal(buf_cstr(&out), "f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	    "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	buf_free(&out);
}

/* --- packets --- */

/* A reply to "a.b MX": flags, counts, then what follows the question. */
#define QUESTION "\1a\1b\0\0\17\0\1"
#define REPLY(flags, an, ns, rest) \
	{ "\x12\x34" flags "\0\1" an ns "\0\0" QUESTION rest, \
	  sizeof("\x12\x34" flags "\0\1" an ns "\0\0" QUESTION rest) - 1 }
#define OWNER	"\xc0\x0c"
#define MX10	OWNER "\0\17\0\1\0\0\0\x3c\0\7\0\12\2mx" OWNER	/* mx.a.b */
#define ALIAS	OWNER "\0\5\0\1\0\0\0\x1e\0\4\1c" OWNER	/* c.a.b */
#define MXOFC	"\1c" OWNER "\0\17\0\1\0\0\0\x3c\0\5\0\5\1m\0"	/* m */
#define SOA	"\1b\0\0\6\0\1\0\0\0\x14\0\x16\0\0\0\0\0\1\0\0\0\2\0\0\0\3" \
		"\0\0\0\4\0\0\0\12"

static const struct {
	struct str in;
	enum dns_sense sense;
	size_t	 n;
	const char *name, *data;
	unsigned ttl_s;
	bool	 authentic;
} replies[] = {
	{ REPLY("\x81\x80", "\0\1", "\0\0", MX10), DNS_RECORDS, 1, "a.b",
	  "mx.a.b", 60, false },
	{ REPLY("\x81\xa0", "\0\1", "\0\0", MX10), DNS_RECORDS, 1, "a.b",
	  "mx.a.b", 60, true },
	{ REPLY("\x81\x80", "\0\2", "\0\0", ALIAS MXOFC), DNS_RECORDS, 1,
	  "c.a.b", "m", 30, false },
	/* in any order */
	{ REPLY("\x81\x80", "\0\2", "\0\0", MXOFC ALIAS), DNS_RECORDS, 1,
	  "c.a.b", "m", 30, false },
	{ REPLY("\x81\x80", "\0\1", "\0\0", ALIAS), DNS_GOES_ON, 0, "c.a.b",
	  "", 30, false },
	{ REPLY("\x81\x80", "\0\1", "\0\1", ALIAS SOA), DNS_NO_RECORDS, 0,
	  "c.a.b", "", 10, false },
	{ REPLY("\x81\x80", "\0\0", "\0\1", SOA), DNS_NO_RECORDS, 0, "a.b", "",
	  10, false },
	{ REPLY("\x81\x80", "\0\0", "\0\0", ""), DNS_NO_RECORDS, 0, "a.b", "",
	  0, false },
	{ REPLY("\x81\x83", "\0\0", "\0\1", SOA), DNS_NO_NAME, 0, "a.b", "",
	  10, false },
	{ REPLY("\x81\x83", "\0\1", "\0\0", MX10), DNS_NO_NAME, 0, "a.b", "",
	  0, false },
	{ REPLY("\x81\x82", "\0\0", "\0\0", ""), DNS_FAILED, 0, "a.b", "", 0,
	  false },
	{ REPLY("\x81\x85", "\0\1", "\0\0", MX10), DNS_FAILED, 0, "a.b", "", 0,
	  false },
	/* a null MX: RFC 7505 */
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  OWNER "\0\17\0\1\0\0\0\1\0\3\0\0\0"), DNS_RECORDS, 1, "a.b", "", 1,
	  false },
	/* of another name, another class: passed over */
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  "\1x" OWNER "\0\17\0\1\0\0\0\1\0\5\0\5\1m\0"), DNS_NO_RECORDS, 0,
	  "a.b", "", 0, false },
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  OWNER "\0\17\0\3\0\0\0\1\0\5\0\5\1m\0"), DNS_NO_RECORDS, 0, "a.b",
	  "", 0, false },
	/* a query; truncated; a record cut off; data too short, too long */
	{ REPLY("\1\0", "\0\1", "\0\0", MX10), DNS_NONSENSE, 0, "a.b", "", 0,
	  false },
	{ REPLY("\x83\x80", "\0\1", "\0\0", MX10), DNS_NONSENSE, 0, "a.b", "",
	  0, false },
	{ REPLY("\x81\x80", "\0\1", "\0\0", OWNER "\0\17\0\1\0\0"),
	  DNS_NONSENSE, 0, "a.b", "", 0, false },
	{ REPLY("\x81\x80", "\0\2", "\0\0", MX10), DNS_NONSENSE, 0, "a.b", "",
	  0, false },
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  OWNER "\0\17\0\1\0\0\0\1\0\2\0\5"), DNS_NONSENSE, 0, "a.b", "", 0,
	  false },
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  OWNER "\0\17\0\1\0\0\0\1\0\6\0\5\1m\0\0"), DNS_NONSENSE, 0, "a.b",
	  "", 0, false },
	/* a name that is no host's; with a dot inside a label */
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  OWNER "\0\17\0\1\0\0\0\1\0\5\0\5\1 \0"), DNS_NONSENSE, 0, "a.b", "",
	  0, false },
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  OWNER "\0\17\0\1\0\0\0\1\0\7\0\5\3x.y\0"), DNS_NONSENSE, 0, "a.b",
	  "", 0, false },
	/* pointers: to itself, forward */
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  "\xc0\x15\0\17\0\1\0\0\0\1\0\3\0\5\0"), DNS_NONSENSE, 0, "a.b", "",
	  0, false },
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  "\xc0\x40\0\17\0\1\0\0\0\1\0\3\0\5\0"), DNS_NONSENSE, 0, "a.b", "",
	  0, false },
	/* CNAMEs in a ring */
	{ REPLY("\x81\x80", "\0\2", "\0\0",
	  ALIAS "\1c" OWNER "\0\5\0\1\0\0\0\1\0\2" OWNER), DNS_NONSENSE, 0,
	  NULL, "", 0, false },
	/* a TTL with its top bit set is 0: RFC 2181 8 */
	{ REPLY("\x81\x80", "\0\1", "\0\0",
	  OWNER "\0\17\0\1\xff\0\0\0\0\5\0\5\1m\0"), DNS_RECORDS, 1, "a.b",
	  "m", 0, false },
};

static void
test_packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(replies); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct dns_reading r;

		dns_packet_read(replies[i].in, DNS_MX, STR("a.b"), arena, &r);
		if (r.sense != replies[i].sense)
			fail_msg("row %zu: sense %d", i, r.sense);
		assert_int_equal(r.n, replies[i].n);
		if (replies[i].name != NULL)
			assert_true(str_eq(r.name, str_of(replies[i].name)));
		assert_int_equal(r.authentic, replies[i].authentic);
		if (r.n > 0)
			assert_true(str_eq(r.records[0].data,
			    str_of(replies[i].data)));
		if (r.sense != DNS_NONSENSE && r.sense != DNS_FAILED)
			assert_int_equal(r.ttl_s, replies[i].ttl_s);
		arena_free(&arena);
	}
}

#define SRV_ASKED "\x12\x34\x81\x80\0\1\0\1\0\0\0\0\1a\1b\0\0\41\0\1" \
		OWNER "\0\41\0\1\0\0\0\7"

static void
test_srv(void **state)
{
	static const struct { struct str in; enum dns_sense sense; } rows[] = {
		{ { SRV_ASKED "\0\11\0\1\0\2\2\x4b\1m\0", sizeof(SRV_ASKED "\0\11\0\1\0\2\2\x4b\1m\0") - 1 }, DNS_RECORDS },
		{ { SRV_ASKED "\0\7\0\1\0\2\2\x4b\0", sizeof(SRV_ASKED "\0\7\0\1\0\2\2\x4b\0") - 1 }, DNS_RECORDS },
		{ { SRV_ASKED "\0\6\0\1\0\2\2\x4b", sizeof(SRV_ASKED "\0\6\0\1\0\2\2\x4b") - 1 }, DNS_NONSENSE },
		{ { SRV_ASKED "\0\3\0\1\0", sizeof(SRV_ASKED "\0\3\0\1\0") - 1 }, DNS_NONSENSE },
		{ { SRV_ASKED "\0\12\0\1\0\2\2\x4b\1m\0\0", sizeof(SRV_ASKED "\0\12\0\1\0\2\2\x4b\1m\0\0") - 1 }, DNS_NONSENSE },
	};
	struct arena *arena = arena_new(1 << 20);
	struct dns_reading r;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		dns_packet_read(rows[i].in, DNS_SRV, STR("a.b"), arena, &r);
		assert_int_equal(r.sense, rows[i].sense);
		if (r.sense != DNS_RECORDS)
			continue;
		assert_int_equal(r.records[0].preference, 1);
		assert_int_equal(r.records[0].weight, 2);
		assert_int_equal(r.records[0].port, 587);
		assert_true(str_eq(r.records[0].data, str_of(i == 0 ? "m" : "")));
	}
	arena_free(&arena);
}

/* Another question than the one that was asked is no answer. */
static void
test_question(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	struct dns_reading r;

	(void)state;
	dns_packet_read(replies[0].in, DNS_MX, STR("a.c"), arena, &r);
	assert_int_equal(r.sense, DNS_NONSENSE);
	dns_packet_read(replies[0].in, DNS_A, STR("a.b"), arena, &r);
	assert_int_equal(r.sense, DNS_NONSENSE);
	dns_packet_read(str_first(replies[0].in, 11), DNS_MX, STR("a.b"), arena,
	    &r);
	assert_int_equal(r.sense, DNS_NONSENSE);
	arena_free(&arena);
}

static void
test_ask(void **state)
{
	static const char want[] = "\0\0\1\x20\0\1\0\0\0\0\0\1\1a\1b\0\0\17\0\1"
	    "\0\0\x29\4\xd0\0\0\0\0\0\0";
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	dns_packet_ask(DNS_MX, STR("a.b"), &out);
	assert_int_equal(out.n, sizeof(want) - 1);
	assert_memory_equal(out.p, want, out.n);
	buf_free(&out);
}

static void
test_pack(void **state)
{
	static const struct dns_record all[] = {
		{ .type = DNS_MX, .ttl_s = 7, .preference = 65535,
		    .data = { "mx.example", 10 } },
		{ .type = DNS_MX, .data = { "", 0 } },
		{ .type = DNS_A, .ttl_s = 0xffffffff, .data = { "\1\2\3\4", 4 } },
		{ .type = DNS_TLSA, .usage = 3, .selector = 1, .matching = 2,
		    .data = { "\0\1", 2 } },
		{ .type = DNS_SRV, .preference = 1, .weight = 65535,
		    .port = 587, .data = { "mx.example", 10 } },
	};
	struct arena *arena = arena_new(1 << 20);
	const struct dns_record *back;
	struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, DNS_BYTES_MAX);
	assert_int_equal(dns_pack(all, nitems(all), &b), nitems(all));
	assert_true(dns_unpack(buf_view(&b), arena, &back, &n));
	assert_int_equal(n, nitems(all));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(back[i].type, all[i].type);
		assert_int_equal(back[i].ttl_s, all[i].ttl_s);
		assert_int_equal(back[i].preference, all[i].preference);
		assert_int_equal(back[i].weight, all[i].weight);
		assert_int_equal(back[i].port, all[i].port);
		assert_int_equal(back[i].usage, all[i].usage);
		assert_int_equal(back[i].selector, all[i].selector);
		assert_int_equal(back[i].matching, all[i].matching);
		assert_true(str_eq(back[i].data, all[i].data));
	}
	for (size_t cut = 1; cut < b.n; cut++)
		if (dns_unpack(str_first(buf_view(&b), cut), arena, &back, &n))
			assert_true(n < nitems(all));
	buf_free(&b);
	arena_free(&arena);
}

static void
test_hosts(void **state)
{
	struct dns_hosts *h = dns_hosts_new(STR(
	    "# a comment\n127.0.0.1 localhost me\n192.0.2.1\tMail.Example x # y\n"
	    "2001:db8::1 mail.example\nbad line\n192.0.2.2 192 bad_name! ok\n"
	    "192.0.2.1 second\n192.0.2.9"));
	static const struct {
		enum dns_type type; const char *name, *data; size_t n;
	} rows[] = {
		{ DNS_A, "mail.example", "\300\0\2\1", 4 },
		{ DNS_A, "x", "\300\0\2\1", 4 },
		{ DNS_AAAA, "mail.example",
		    "\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16 },
		{ DNS_PTR, "1.2.0.192.in-addr.arpa", "mail.example", 12 },
		{ DNS_PTR, "1.0.0.127.in-addr.arpa", "localhost", 9 },
		{ DNS_A, "ok", "\300\0\2\2", 4 },
		{ DNS_A, "localhost", "\177\0\0\1", 4 },
		{ DNS_AAAA, "localhost", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1",
		    16 },
		{ DNS_A, "y", NULL, 0 }, { DNS_A, "bad", NULL, 0 },
		{ DNS_PTR, "9.2.0.192.in-addr.arpa", NULL, 0 },
		{ DNS_MX, "mail.example", NULL, 0 },
	};
	const struct dns_record *r;
	size_t n;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		enum found found = dns_hosts_find(h, rows[i].type,
		    str_of(rows[i].name), &r, &n);

		assert_int_equal(found, rows[i].data ? FOUND : NONE);
		if (found == FOUND)
			assert_true(str_eq(r[0].data,
			    (struct str){ rows[i].data, rows[i].n }));
	}
	dns_hosts_free(&h);
}

static void
test_cache(void **state)
{
	struct dns_cache *c = dns_cache_new(2000);
	struct reply r = { .found = FOUND, .name = STR("n"),
		.records = STR("records"), .why = STR("") };
	const struct reply *got;
	char key[16];

	(void)state;
	dns_cache_put(c, STR("A x"), &r, 1000, 500);
	got = dns_cache_get(c, STR("A x"), 1499);
	assert_non_null(got);
	assert_true(str_eq(got->records, STR("records")));
	assert_null(dns_cache_get(c, STR("A x"), 1500));
	assert_int_equal(dns_cache_bytes(c), 0);
	dns_cache_put(c, STR("A x"), &r, 1000, 0);
	assert_null(dns_cache_get(c, STR("A x"), 1000));
	/* Bounded; what was used last stays. */
	dns_cache_put(c, STR("keep"), &r, 0, 1000);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		dns_cache_put(c, str_of(key), &r, 0, 1000);
		assert_true(dns_cache_bytes(c) <= 2000);
		assert_non_null(dns_cache_get(c, STR("keep"), 1));
	}
	assert_null(dns_cache_get(c, STR("k1"), 1));
	assert_non_null(dns_cache_get(c, STR("k99"), 1));
	dns_cache_free(&c);
	c = dns_cache_new(0);
	dns_cache_put(c, STR("A x"), &r, 1000, 500);
	assert_null(dns_cache_get(c, STR("A x"), 1000));
	dns_cache_free(&c);
}

/* --- the wire: a name server in this very process --- */

struct server {
	struct loop *loop;
	int	     fd;
	unsigned     asked, answered;
	bool	     authentic;
};

/* First the answer to another number, then the right one with AD. */
static void
serve(void *ctx, unsigned what)
{
	struct server *s = ctx;
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);
	char packet[512];
	ssize_t n;

	(void)what;
	n = recvfrom(s->fd, packet, sizeof(packet), 0,
	    (struct sockaddr *)&from, &length);
	assert_true(n > 12);
	s->asked++;
	assert_int_equal(packet[2] & 1, 1);		/* RD */
	assert_int_equal(packet[3] & 0x20, 0x20);	/* AD: RFC 6840 5.7 */
	assert_int_equal(packet[11], 1);		/* OPT */
	memcpy(packet + 2, "\x81\xa0\0\1\0\1\0\0\0\0", 10);
	memcpy(packet + n - 11, MX10, sizeof(MX10) - 1);
	n += (ssize_t)sizeof(MX10) - 1 - 11;
	packet[0] ^= 1;
	assert_int_equal(sendto(s->fd, packet, (size_t)n, 0,
	    (struct sockaddr *)&from, length), n);
	packet[0] ^= 1;
	assert_int_equal(sendto(s->fd, packet, (size_t)n, 0,
	    (struct sockaddr *)&from, length), n);
}

static void
on_answer(void *ctx, struct str reply)
{
	struct arena *arena = arena_new(1 << 20);
	struct server *s = ctx;
	struct dns_reading r;

	dns_packet_read(reply, DNS_MX, STR("a.b"), arena, &r);
	assert_int_equal(r.sense, DNS_RECORDS);
	s->authentic = r.authentic;
	arena_free(&arena);
	if (++s->answered == 2)
		loop_stop(s->loop);
}

/* AD is asked for and handed on, twice: no cache of c-ares' hides it. */
static void
test_wire(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct server s = { .loop = loop_new() };
	socklen_t length = sizeof(at);
	struct dns_wire *wire;
	struct buf question, why;
	struct watch *watch;
	char servers[64];

	(void)state;
	s.fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(s.fd, (struct sockaddr *)&at, length), 0);
	assert_int_equal(getsockname(s.fd, (struct sockaddr *)&at, &length),
	    0);
	watch = watch_new(s.loop, s.fd, serve, &s);
	watch_want(watch, WATCH_READ);
	snprintf(servers, sizeof(servers), "127.0.0.1:%u",
	    ntohs(at.sin_port));
	buf_init(&why, 1000);
	wire = dns_wire_open(&(struct dns_wire_conf){ str_of(servers), 30000,
	    2 }, &why);
	assert_non_null(wire);
	assert_true(dns_wire_is_local(wire));
	dns_wire_start(wire, s.loop);
	buf_init(&question, 1000);
	dns_packet_ask(DNS_MX, STR("a.b"), &question);
	dns_wire_send(wire, buf_view(&question), on_answer, &s);
	dns_wire_send(wire, buf_view(&question), on_answer, &s);
	loop_run(s.loop);
	assert_int_equal(s.asked, 2);
	assert_true(s.authentic);
	dns_wire_free(&wire);
	watch_free(&watch);
	loop_free(&s.loop);
	close(s.fd);
	buf_free(&question);
	buf_free(&why);
}

/* Whose AD is believed, and what is no list of servers. */
static void
test_servers(void **state)
{
	static const struct { const char *list; bool ok, local; } rows[] = {
		{ "127.0.0.1", true, true }, { "127.3.2.1:5353", true, true },
		{ "[::1]:53, 127.0.0.1", true, true }, { "::1", true, true },
		{ "192.0.2.1", true, false },
		{ "127.0.0.1 192.0.2.1", true, false },
		{ "2001:db8::1", true, false }, { "x", false, false },
		{ "127.0.0.1:0", false, false }, { "1.2.3", false, false },
		{ "127.0.0.1:65536", false, false }, { "[::1", false, false },
		{ "[127.0.0.1]", false, false },
	};
	struct buf why;

	(void)state;
	buf_init(&why, 10000);
	for (size_t i = 0; i < nitems(rows); i++) {
		struct dns_wire *w = dns_wire_open(&(struct dns_wire_conf){
		    str_of(rows[i].list), 1000, 1 }, &why);

		if ((w != NULL) != rows[i].ok)
			fail_msg("%s", rows[i].list);
		if (w != NULL)
			assert_int_equal(dns_wire_is_local(w), rows[i].local);
		dns_wire_free(&w);
	}
	buf_free(&why);
}

/* Each kind of record as smtp_dns_reply_filter sees it. */
static void
test_filter(void **state)
{
	static const struct {
		struct dns_record r;
		const char *line;
	} rows[] = {
		{ { .type = DNS_A, .ttl_s = 5, .data = STR("\300\0\2\1") },
		    "x.test. 5 IN A 192.0.2.1" },
		{ { .type = DNS_AAAA, .data =
		    STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1") },
		    "x.test. 0 IN AAAA ::1" },
		{ { .type = DNS_MX, .preference = 10, .data = STR("m.test") },
		    "x.test. 0 IN MX 10 m.test." },
		{ { .type = DNS_TXT, .data = STR("some words") },
		    "x.test. 0 IN TXT some words" },
		{ { .type = DNS_TLSA, .usage = 3, .selector = 1, .matching = 2,
		    .data = STR("\0\377") }, "x.test. 0 IN TLSA 3 1 2 00ff" },
	};
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct dns_answer all = { .found = FOUND, .n = 1,
			.name = STR("x.test"), .records = &rows[i].r }, few;
		struct tables *ts;
		struct buf why;

		buf_init(&why, 1000);
		ts = tables_open(str_of(arena_printf(arena,
		    "pcre:{{/^%s$/ Ignore}}", rows[i].line)), "/", TABLE_FOLD,
		    &why);
		assert_int_equal(why.n, 0);
		dns_filter(ts, "filter", &all, arena, &few);
		if (few.found != RETRY)
			fail_msg("not dropped: %s", rows[i].line);
		assert_true(few.filtered && few.n == 0);
		all.name = STR("y.test");
		dns_filter(ts, "filter", &all, arena, &few);
		assert_true(few.found == FOUND && few.n == 1);
		tables_free(&ts);
		buf_free(&why);
	}
	arena_free(&arena);
}

/* An action that there is not is no policy; a null MX stays. */
static void
test_filter_faults(void **state)
{
	struct dns_record a = { .type = DNS_A, .data = STR("\300\0\2\1") },
	    mx = { .type = DNS_MX };
	struct dns_answer all = { .found = FOUND, .n = 1,
		.name = STR("x.test"), .records = &a }, few;
	struct arena *arena = arena_new(1 << 20);
	struct tables *ts;
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	ts = tables_open(STR("static:oops"), "/", 0, &why);
	dns_filter(ts, "filter", &all, arena, &few);
	assert_true(few.found == RETRY && !few.filtered && few.n == 0);
	all.records = &mx;
	dns_filter(ts, "filter", &all, arena, &few);
	assert_true(few.found == FOUND && few.n == 1 && dns_null_mx(&few));
	tables_free(&ts);
	buf_free(&why);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filter_faults),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
