/*
 * tls_policy - any bytes as the value of smtp_tls_policy_maps, as a name of a
 * certificate and as versions: a policy that is taken has a level, and what
 * must prove itself has something to prove it by; a name matches itself.
 */
#include "smtp/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
names(struct str s)
{
	struct str a = str_first(s, str_chr(s, ' '));
	struct str b = str_from(s, a.n + 1);

	if (a.n > 0 && a.p[0] != '.')
		assert(tls_name_matches(a, a, false));
	/* What matches with one label matches with several. */
	if (tls_name_matches(a, b, false))
		assert(tls_name_matches(a, b, true));
	if (b.n > 0 && b.p[0] == '.' && tls_name_matches(a, b, true))
		assert(a.n > b.n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_conf conf = { .tls_verify_cert_match = STR("hostname"),
		.tls_secure_cert_match = STR("nexthop, dot-nexthop"),
		.tls_ciphers = STR("medium"),
		.tls_mandatory_ciphers = STR("medium") };
	struct str s = { (const char *)data, size };
	struct arena *a;
	struct tls_policy p = { .level = LEVEL_INVALID };

	if (size > 8192)
		return 0;
	a = arena_new(64 << 20);
	if (tls_policy_parse(&conf, s, a, &p) == NULL) {
		assert(p.level > LEVEL_INVALID && p.level <= LEVEL_SECURE);
		assert(p.level != LEVEL_VERIFY || p.match.n > 0);
		assert(p.level != LEVEL_SECURE || p.match.n > 0);
		assert(p.level != LEVEL_FINGERPRINT || p.match.n > 0);
	}
	names(s);
	arena_free(&a);
	return 0;
}
