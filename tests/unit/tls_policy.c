/*
 * tls_policy: what a client wants of a server: the words of policy tables,
 * TLSA records and trust anchors that can be used, hosts of MTA-STS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/tls.h"

static void
test_tlsa(void **state)
{
	static const char bytes[64] = "x";
	static const struct {
		unsigned usage, selector, matching; size_t n;
		const char *digests; bool usable;
	} rows[] = {
		{ 3, 1, 1, 32, "sha512 sha256", true },
		{ 3, 1, 1, 31, "sha512 sha256", false },
		{ 3, 0, 2, 64, "sha512 sha256", true },
		{ 3, 0, 2, 64, "sha256", false },
		{ 2, 0, 0, 40, "sha256", true },
		{ 2, 0, 0, 0, "sha256", false },
		{ 0, 1, 1, 32, "sha256", false },
		{ 1, 1, 1, 32, "sha256", false },
		{ 4, 1, 1, 32, "sha256", false },
		{ 3, 2, 1, 32, "sha256", false },
		{ 3, 1, 3, 32, "sha256", false },
		{ 3, 1, 1, 32, "", false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct tls_tlsa r = { rows[i].usage, rows[i].selector,
			rows[i].matching, { bytes, rows[i].n } };

		if (tls_tlsa_usable(&r, str_of(rows[i].digests)) !=
		    rows[i].usable)
			fail_msg("row %zu", i);
	}
}

static void
test_policies(void **state)
{
	static const struct {
		const char *value; enum tls_level level; const char *match;
	} rows[] = {
		{ "none", LEVEL_NONE, "" },
		{ "may ciphers=high", LEVEL_MAY, "" },
		{ "ENCRYPT protocols=TLSv1.3", LEVEL_ENCRYPT, "" },
		{ "verify", LEVEL_VERIFY, "hostname" },
		{ "secure", LEVEL_SECURE, "nexthop, dot-nexthop" },
		{ "secure match=a:.b match=c", LEVEL_SECURE, "a:.b:c" },
		{ "fingerprint match=AA:BB", LEVEL_FINGERPRINT, "AA:BB" },
		{ "dane-only, servername=x", LEVEL_DANE_ONLY, "" },
		{ "secure policy_type=sts mx_host_pattern=*.a", LEVEL_SECURE,
		    "nexthop, dot-nexthop" },
		{ "secure match=a policy_type=sts mx_host_pattern=*.a "
		    "{ policy_string = version: STSv1 }", LEVEL_SECURE,
		    "hostname" },
		{ "secure match=a policy_type=tlsa mx_host_pattern=*.a",
		    LEVEL_SECURE, "a" },
		{ "secure { match = a:b }", LEVEL_SECURE, "a:b" },
		{ "secure {match}", LEVEL_INVALID, "name=value" },
		{ "secure tafile=/x", LEVEL_SECURE, "nexthop, dot-nexthop" },
		{ "", LEVEL_INVALID, "no level" },
		{ "maybe", LEVEL_INVALID, "unknown level" },
		{ "none match=a", LEVEL_INVALID, "level none has no" },
		{ "encrypt match=a", LEVEL_INVALID, "match= needs" },
		{ "fingerprint", LEVEL_INVALID, "nothing to match" },
		{ "secure match", LEVEL_INVALID, "name=value" },
		{ "secure match=", LEVEL_INVALID, "name=value" },
		{ "encrypt tafile=/x", LEVEL_INVALID, "tafile= needs" },
		{ "secure file=/x", LEVEL_INVALID, "unknown attribute" },
		{ "may connection_reuse=3", LEVEL_INVALID, "yes or no" },
	};
	struct smtp_conf conf = { .tls_verify_cert_match = STR("hostname"),
		.tls_secure_cert_match = STR("nexthop, dot-nexthop"),
		.tls_mandatory_ciphers = STR("medium"),
		.tls_ciphers = STR("medium"),
		.tls_enforce_sts_mx_patterns = true };
	struct arena *a = arena_new(65536);

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct tls_policy p = { .level = LEVEL_INVALID };
		const char *wrong = tls_policy_parse(&conf,
		    str_of(rows[i].value), a, &p);

		if (rows[i].level == LEVEL_INVALID) {
			if (wrong == NULL ||
			    strstr(wrong, rows[i].match) == NULL)
				fail_msg("%s: %s", rows[i].value,
				    wrong != NULL ? wrong : "taken");
		} else if (wrong != NULL || p.level != rows[i].level ||
		    !str_eq(p.match, str_of(rows[i].match)))
			fail_msg("%s: %s", rows[i].value,
			    wrong != NULL ? wrong : "not as it should be");
	}
	arena_free(&a);
}

static void
test_mx_patterns(void **state)
{
	static const struct { const char *patterns, *host; bool may; } rows[] =
	{
		{ "", "mx.a", true }, { " mx.a", "MX.a", true },
		{ " *.a", "mx.a", true }, { " *.a", "x.mx.a", false },
		{ " *.a", "a", false }, { " *.a", ".a", false },
		{ " mx.b *.c.a", "mx.c.a", true }, { " mx.b", "mx.a", false },
		{ " *.", "mx.", false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct tls_policy p = {
			.mx_patterns = str_of(rows[i].patterns) };

		if (tls_mx_allowed(&p, str_of(rows[i].host)) != rows[i].may)
			fail_msg("row %zu", i);
	}
}

static void
test_site_levels(void **state)
{
	static const struct {
		const char *first, *second; enum tls_level level;
	} rows[] = {
		{ "NONE", "MAY", LEVEL_NONE }, { "MAY", "NONE", LEVEL_NONE },
		{ "none", "MUST", LEVEL_VERIFY },
		{ "MUST", "MUST_NOPEERMATCH", LEVEL_VERIFY },
		{ "MUST_NOPEERMATCH", "NONE", LEVEL_ENCRYPT },
		{ "May", "MUST_NOPEERMATCH", LEVEL_ENCRYPT },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		enum tls_level level = LEVEL_INVALID;

		assert_true(tls_site_level(str_of(rows[i].first), &level));
		assert_true(tls_site_level(str_of(rows[i].second), &level));
		if (level != rows[i].level)
			fail_msg("row %zu: %d", i, (int)level);
		assert_false(tls_site_level(STR("encrypt"), &level));
	}
}

static void
test_anchors(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct buf pem, why;
	struct tls_tlsa *v;

	(void)state;
	buf_init(&pem, 65536);
	buf_init(&why, 1000);
	assert_true(tls_make_certificate("ta.example", 10, &pem, &why));
	/* A key is passed over; the certificate is for an issuer and a host. */
	assert_int_equal(tls_anchors_read(buf_view(&pem), a, &v, &why), 2);
	assert_int_equal(v[0].usage, 2);
	assert_int_equal(v[1].usage, 3);
	assert_int_equal(v[0].selector + v[0].matching, 0);
	assert_int_equal(why.n, 0);
	assert_int_equal(tls_anchors_read(STR("nothing"), a, &v, &why), 0);
	assert_string_equal(buf_cstr(&why), "no certificate and no public key");
	buf_clear(&why);
	assert_int_equal(tls_anchors_read(STR("-----BEGIN PUBLIC KEY-----\n"
	    "****\n-----END PUBLIC KEY-----\n"), a, &v, &why), 0);
	assert_true(why.n > 0);
	buf_free(&pem);
	buf_free(&why);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tlsa),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_mx_patterns),
		cmocka_unit_test(test_site_levels),
		cmocka_unit_test(test_anchors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
