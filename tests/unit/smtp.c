/* smtp: the order of addresses, destinations, quoted-printable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "mime/mime.h"
#include "smtp/smtp.h"

static unsigned
first_of(void *ctx, unsigned below)
{
	(void)ctx;
	(void)below;
	return 0;
}

/* "10:4a 20:6b": preference, family, name. */
static size_t
parse(struct address *v, const char *text)
{
	struct str rest = str_of(text), word;
	size_t n = 0;

	while (str_token(&rest, " ", &word)) {
		size_t colon = str_chr(word, ':');
		uint64_t preference = 0;

		assert_true(str_number(str_first(word, colon), &preference));
		v[n] = (struct address){ .rank = (unsigned)preference,
			.host = str_from(word, colon + 2) };
		v[n].ss.ss_family = word.p[colon + 1] == '6' ? AF_INET6 :
		    AF_INET;
		n++;
	}
	return n;
}

static void
test_order(void **state)
{
	static const struct {
		const char *in;
		int first;
		bool balance;
		size_t limit;
		const char *out;
	} rows[] = {
		{ "20:4b 10:4a", 0, false, 5, "ab" },
		{ "10:4a 10:4b 10:4c", 0, false, 5, "abc" },
		{ "10:4a 10:6b", AF_INET6, false, 5, "ba" },
		{ "10:6a 10:4b", AF_INET, false, 5, "ba" },
		/* The preference of MX wins over that of a protocol. */
		{ "10:4a 20:6b", AF_INET6, false, 5, "ab" },
		/* All of the first two are of one protocol: not so. */
		{ "10:4a 10:4b 10:4c 10:6d", 0, true, 2, "adcb" },
		{ "10:6a 10:6b 20:6c 30:4d", 0, true, 3, "abdc" },
		{ "10:4a 10:6b 10:4c", 0, true, 2, "abc" },
		{ "10:4a 10:4b 10:4c", 0, true, 2, "abc" },
		{ "10:4a 10:4b 10:6c", 0, true, 1, "abc" },
		{ "10:4a 10:4b 10:6c", 0, true, 0, "abc" },
		{ "10:4a 10:4b 10:6c", AF_INET, true, 2, "abc" },
		{ "", 0, true, 2, "" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct address v[10];
		size_t n = parse(v, rows[i].in);
		char out[11] = "";

		order_addresses(v, n, &(struct order){ .first = rows[i].first,
		    .balance = rows[i].balance, .limit = rows[i].limit,
		    .random = first_of });
		for (size_t k = 0; k < n; k++)
			out[k] = v[k].host.p[0];
		assert_string_equal(out, rows[i].out);
	}
}

/* Chance moves equals alone. */
static void
test_shuffle(void **state)
{
	struct address v[10];
	size_t n = parse(v, "10:4a 10:4b 10:4c 20:4d");

	(void)state;
	order_addresses(v, n, &(struct order){ .randomize = true,
	    .random = first_of });
	assert_true(v[0].host.p[0] != 'a' && v[0].host.p[0] != 'd');
	assert_int_equal(v[3].host.p[0], 'd');
}

/* The highest ticket there is: the last of those with a weight. */
static unsigned
last_of(void *ctx, unsigned below)
{
	(void)ctx;
	return below - 1;
}

static unsigned
any_of(void *ctx, unsigned below)
{
	unsigned *state = ctx;

	*state = *state * 1103515245 + 12345;
	return (*state >> 8) % below;
}

static void
test_services(void **state)
{
	struct order_host v[6] = { { 20, 5, 0 }, { 10, 0, 1 }, { 10, 60, 2 },
		{ 10, 20, 3 }, { 20, 0, 4 }, { 5, 9, 5 } };
	unsigned seed = 1, firsts[4] = { 0 };

	(void)state;
	/* Ticket 0 is for one without weight, else for the first. */
	order_hosts(v, nitems(v), &(struct order){ .random = first_of });
	assert_int_equal(v[0].at, 5);
	assert_int_equal(v[1].at, 1);
	assert_int_equal(v[4].at, 4);
	assert_int_equal(v[5].at, 0);
	order_hosts(v, nitems(v), &(struct order){ .random = last_of });
	assert_int_equal(v[0].at, 5);
	assert_int_equal(v[3].at, 1);
	assert_int_equal(v[4].at, 0);
	order_hosts(v, 1, &(struct order){ .random = first_of });
	order_hosts(v, 0, &(struct order){ .random = first_of });
	/* 0, 60, 20: one in 81, 60, 20 of 81. */
	for (unsigned i = 0; i < 8100; i++) {
		struct order_host w[3] = { { 10, 0, 1 }, { 10, 60, 2 },
			{ 10, 20, 3 } };

		order_hosts(w, nitems(w), &(struct order){ .random = any_of,
		    .ctx = &seed });
		firsts[w[0].at]++;
	}
	assert_in_range(firsts[1], 50, 200);
	assert_in_range(firsts[2], 5600, 6400);
	assert_in_range(firsts[3], 1700, 2300);
}

static void
test_destinations(void **state)
{
	static const struct {
		const char *in;
		bool ok, literal;
		const char *host, *port;
	} rows[] = {
		{ "example.test", true, false, "example.test", "" },
		{ "example.test:587", true, false, "example.test", "587" },
		{ "[example.test]", true, true, "example.test", "" },
		{ "[10.0.0.1]:submission", true, true, "10.0.0.1", "submission" },
		{ "[::1]:25", true, true, "::1", "25" },
		{ "[IPv6:2001:db8::1]", true, true, "2001:db8::1", "" },
		{ "", false, false, NULL, NULL },
		{ ":25", false, false, NULL, NULL },
		{ "a:", false, false, NULL, NULL },
		{ "a:b:c", false, false, NULL, NULL },
		{ "[]", false, false, NULL, NULL },
		{ "[a", false, false, NULL, NULL },
		{ "[a]b", false, false, NULL, NULL },
		{ "[a]:", false, false, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct str host, port;
		bool literal, ok = route_parse(str_of(rows[i].in), &host,
		    &literal, &port);

		assert_int_equal(ok, rows[i].ok);
		if (!ok)
			continue;
		assert_int_equal(literal, rows[i].literal);
		assert_true(str_eq(host, str_of(rows[i].host)));
		assert_true(str_eq(port, str_of(rows[i].port)));
	}
}

static void
test_qp(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "plain", "plain\r\n" },
		{ "a=b", "a=3Db\r\n" },
		{ "caf\xc3\xa9", "caf=C3=A9\r\n" },
		{ "blank ", "blank=20\r\n" },
		{ "tab\t", "tab=09\r\n" },
		{ ".", "=2E\r\n" },
		{ "From x", "=46rom x\r\n" },
		{ "", "\r\n" },
	};
	struct mime_qp q = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	for (size_t i = 0; i < nitems(rows); i++) {
		buf_clear(&out);
		mime_qp_encode(&q, str_of(rows[i].in), true, &out);
		assert_string_equal(buf_cstr(&out), rows[i].out);
	}
	/* No line is longer than 76, however it is cut. */
	buf_clear(&out);
	for (int i = 0; i < 300; i++)
		mime_qp_encode(&q, i % 3 == 0 ? STR("\xc3\xa9") : STR("xy"),
		    i == 299, &out);
	for (struct str rest = buf_view(&out), line;
	    str_token(&rest, "\n", &line);)
		assert_true(line.n <= 77);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_shuffle),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_destinations),
		cmocka_unit_test(test_qp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
