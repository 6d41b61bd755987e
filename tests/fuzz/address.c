/*
 * Every reader of addresses over the same bytes; what is read must survive
 * being quoted and read again.
 */
#include <sys/socket.h>

#include "address/address.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_internal(struct str addr)
{
	assert(addr.n <= ADDRESS_MAX);
	for (size_t i = 0; i < addr.n; i++)
		assert((unsigned char)addr.p[i] >= ' ' && addr.p[i] != 0x7f);
}

static void
check_path(struct str text, bool strict, bool utf8, struct arena *a)
{
	struct str in = text, addr, again;
	struct buf quoted;

	if (address_read_path(&in, strict, utf8, a, &addr) != PATH_OK) {
		assert(in.p == text.p && in.n == text.n && addr.n == 0);
		return;
	}
	assert(in.n < text.n && in.p + in.n == text.p + text.n);
	check_internal(addr);
	buf_init(&quoted, 4 * ADDRESS_MAX);
	buf_putc(&quoted, '<');
	address_quote_821(addr, &quoted);
	buf_putc(&quoted, '>');
	assert(!quoted.full);
	in = buf_view(&quoted);
	assert(address_read_path(&in, true, true, a, &again) == PATH_OK);
	assert(in.n == 0 && str_eq(addr, again));
	buf_free(&quoted);
}

static void
check_list(struct str text, struct arena *a)
{
	struct str rest = text, addr, phrase, again;
	struct buf quoted;

	buf_init(&quoted, 4 * ADDRESS_MAX);
	while (address_list_next(&rest, a, &addr)) {
		check_internal(addr);
		assert(addr.n > 0);
		buf_clear(&quoted);
		address_quote_822(addr, &quoted);
		assert(address_read_mailbox(buf_view(&quoted), a, &phrase,
		    &again));
		assert(str_eq(addr, again) && phrase.n == 0);
	}
	if (address_read_mailbox(text, a, &phrase, &addr)) {
		check_internal(addr);
		check_internal(phrase);
	}
	buf_free(&quoted);
}

static void
check_xtext(struct str text, struct arena *a)
{
	struct str got, again;
	struct buf out;

	if (!xtext_decode(text, a, &got))
		return;
	buf_init(&out, 4 * text.n + 16);
	xtext_encode(got, &out);
	assert(!out.full && xtext_decode(buf_view(&out), a, &again));
	assert(str_eq(got, again));
	buf_free(&out);
}

static void
check_ip(struct str text)
{
	uint8_t ip[16] = { 0 };
	bool valid;
	int family = ip_parse(text, ip);
	struct str inner;

	assert(family == 0 || family == AF_INET || family == AF_INET6);
	if (ip_in_net(ip, family, text, &valid))
		assert(valid && family != 0);
	if (address_literal(text, &inner))
		assert(ip_parse(inner, ip) != 0);
	if (address_hostname_valid(text))
		assert(text.n <= 255 && str_chr(text, '/') == text.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 26);
	struct str text = { (const char *)data, size };

	if (size <= 1 << 16) {
		for (unsigned i = 0; i < 4; i++)
			check_path(text, i & 1, i & 2, a);
		check_list(text, a);
		check_xtext(text, a);
		check_ip(text);
	}
	arena_free(&a);
	return 0;
}
