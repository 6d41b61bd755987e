/* verify: cache entries, when they expire; the probes' sender; DNS lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "address/address.h"
#include "lookup/verify.h"
#include "route/route.h"
#include "smtpd/access.h"
#include "table/cache.h"

static void
test_verdicts(void **state)
{
	static const struct {
		const char *in; bool ok; int status; int64_t probed, updated;
		const char *text;
	} rows[] = {
		{ "0:0:1700000000:250 ok: yes", true, 0, 0, 1700000000,
		  "250 ok: yes" },
		{ "2:5:6:", true, 2, 5, 6, "" },
		{ "3:5:0:x", true, 3, 5, 0, "x" },
		{ "0:0:0:x", false, 0, 0, 0, "" },
		{ "4:1:1:x", false, 0, 0, 0, "" },
		{ "0:1:1", false, 0, 0, 0, "" },
		{ "", false, 0, 0, 0, "" }, { "a:1:1:x", false, 0, 0, 0, "" },
		{ "0:-1:1:x", false, 0, 0, 0, "" },
		{ "0:99999999999999999999:1:x", false, 0, 0, 0, "" },
	};
	struct verdict v;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		assert_int_equal(verdict_read(str_of(rows[i].in), &v),
		    rows[i].ok);
		if (!rows[i].ok)
			continue;
		assert_int_equal(v.status, rows[i].status);
		assert_int_equal(v.probed_s, rows[i].probed);
		assert_int_equal(v.updated_s, rows[i].updated);
		assert_true(str_eq(v.text, str_of(rows[i].text)));
		buf_init(&out, 1000);
		verdict_print(&v, &out);
		assert_string_equal(buf_cstr(&out), rows[i].in);
		buf_free(&out);
	}
	buf_init(&out, 1000);
	verdict_print(&(struct verdict){ VERIFY_OK, 0, 1, STR("a\r\nb") }, &out);
	assert_string_equal(buf_cstr(&out), "0:0:1:a??b");
	buf_free(&out);
}

static void
test_times(void **state)
{
	const struct verify_conf conf = {
		.address_verify_positive_expire_time = 1000000,
		.address_verify_positive_refresh_time = 10000,
		.address_verify_negative_expire_time = 5000,
		.address_verify_negative_refresh_time = 2000,
	};
	static const struct {
		enum verify_status status; int64_t probed, updated, now;
		bool stale, expired;
	} rows[] = {
		{ VERIFY_OK, 0, 100000, 110000, false, false },
		{ VERIFY_OK, 0, 100000, 110001, true, false },
		{ VERIFY_OK, 110001, 100000, 110002, false, false },
		{ VERIFY_OK, 0, 100000, 1100001, true, true },
		{ VERIFY_BOUNCE, 0, 100000, 102000, false, false },
		{ VERIFY_BOUNCE, 0, 100000, 102001, true, false },
		{ VERIFY_DEFER, 0, 100000, 105001, true, true },
		/* a probe is under way; it is lost after 1000 s */
		{ VERIFY_TODO, 100000, 0, 101000, false, false },
		{ VERIFY_TODO, 100000, 0, 101001, true, true },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct verdict v = { rows[i].status, rows[i].probed,
			rows[i].updated, STR("") };

		assert_int_equal(verdict_stale(&conf, &v, rows[i].now),
		    rows[i].stale);
		assert_int_equal(verdict_expired(&conf, &v, rows[i].now),
		    rows[i].expired);
	}
}

static void
test_probe_sender(void **state)
{
	struct probe_sender p = { STR("double-bounce"), STR("a.example"), 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	probe_sender_print(&p, 12345, &out);
	assert_string_equal(buf_cstr(&out), "double-bounce@a.example");
	assert_true(probe_sender_is(&p, STR("Double-Bounce@A.example"), 1));
	assert_false(probe_sender_is(&p, STR("double-bounce1@a.example"), 1));
	assert_false(probe_sender_is(&p, STR("double-bounce@b.example"), 1));
	p.ttl_s = 100;
	buf_clear(&out);
	probe_sender_print(&p, 31 * 31 * 100, &out);	/* 100 in base 31 */
	assert_string_equal(buf_cstr(&out), "double-bounce100@a.example");
	assert_true(probe_sender_is(&p, buf_view(&out), 31 * 31 * 100 + 199));
	assert_true(probe_sender_is(&p, buf_view(&out), 31 * 31 * 100 - 1));
	assert_false(probe_sender_is(&p, buf_view(&out), 31 * 31 * 100 + 200));
	assert_false(probe_sender_is(&p, STR("double-bounce@a.example"), 0));
	assert_false(probe_sender_is(&p, STR("double-bounceA@a.example"), 0));
	p.local = STR("");
	buf_clear(&out);
	probe_sender_print(&p, 1, &out);
	assert_int_equal(out.n, 0);
	assert_false(probe_sender_is(&p, STR(""), 0));
	buf_free(&out);
}

static void
test_dnsbl(void **state)
{
	static const struct {
		const char *arg; bool valid; uint8_t addr[4]; bool match;
	} rows[] = {
		{ "bl.example", true, { 127, 0, 0, 9 }, true },
		{ "bl.example=127.0.0.2", true, { 127, 0, 0, 2 }, true },
		{ "bl.example=127.0.0.2", true, { 127, 0, 0, 3 }, false },
		{ "bl.example=127.0.0.[2..4;8]", true, { 127, 0, 0, 4 }, true },
		{ "bl.example=127.0.0.[2..4;8]", true, { 127, 0, 0, 8 }, true },
		{ "bl.example=127.0.0.[2..4;8]", true, { 127, 0, 0, 5 }, false },
		{ "b=[0..255].0.[1;2].255", true, { 9, 0, 2, 255 }, true },
		{ "b=127.0.0", false, { 0 }, false },
		{ "b=127.0.0.256", false, { 0 }, false },
		{ "b=127.0.0.1.2", false, { 0 }, false },
		{ "b=127.0.0.[4..2]", false, { 0 }, false },
		{ "b=127.0.0.[2", false, { 0 }, false },
		{ "b=127.0.0.[]", false, { 0 }, false },
		{ "b=127.0.0.1..2", false, { 0 }, false },
		{ "b=127.0.0.0001", false, { 0 }, false },
		{ "b=", false, { 0 }, false }, { "=127.0.0.1", false, { 0 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct str arg = str_of(rows[i].arg);

		if (dnsbl_valid(arg) != rows[i].valid)
			fail_msg("%s", rows[i].arg);
		if (rows[i].valid)
			assert_int_equal(dnsbl_match(arg, rows[i].addr),
			    rows[i].match);
	}
	assert_true(str_eq(dnsbl_domain(STR("a.b=1")), STR("a.b")));
}

static void
test_idna(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "Example.COM", "example.com" },
		{ "b\303\274cher.example", "xn--bcher-kva.example" },
		{ "B\303\234CHER.example", "xn--bcher-kva.example" },
		{ "\346\227\245\346\234\254.jp", "xn--wgv71a.jp" },
		{ "\377.example", NULL },
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		buf_init(&out, 300);
		assert_int_equal(address_domain_ascii(str_of(rows[i].in), &out),
		    rows[i].out != NULL);
		if (rows[i].out != NULL)
			assert_string_equal(buf_cstr(&out), rows[i].out);
		buf_free(&out);
	}
}

static bool
keep_good(void *ctx, struct str key, struct str value)
{
	(void)ctx;
	(void)key;
	return str_starts(value, STR("good"));
}

static void
test_cache(void **state)
{
	char dir[] = "/tmp/postern-cache-XXXXXX", spec[100], file[100];
	struct table_cache *c;
	struct buf value, why;
	size_t kept, dropped;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof(spec), "btree:%s/verify", dir);
	snprintf(file, sizeof(file), "%s/verify.lmdb", dir);
	buf_init(&value, 1000);
	buf_init(&why, 1000);
	for (int life = 0; life < 3; life++) {
		c = table_cache_open(str_of(spec), keep_good, NULL, &why);
		assert_non_null(c);
		assert_int_equal(table_cache_get(c, STR("a"), &value),
		    life == 0 ? NONE : FOUND);
		assert_int_equal(table_cache_get(c, STR("b"), &value), NONE);
		assert_true(table_cache_put(c, STR("a"), STR("good 1")));
		assert_true(table_cache_put(c, STR("a"), STR("good 2")));
		assert_true(table_cache_put(c, STR("b"), STR("bad")));
		assert_true(table_cache_put(c, STR("c"), STR("bad")));
		assert_true(table_cache_remove(c, STR("c")));
		assert_true(table_cache_remove(c, STR("c")));
		assert_int_equal(table_cache_get(c, STR("a"), &value), FOUND);
		assert_true(str_eq(buf_view(&value), STR("good 2")));
		assert_int_equal(table_cache_sync(c), 0);
		if (life == 1) {
			table_cache_sweep(c, keep_good, NULL, &kept, &dropped);
			assert_int_equal(kept, 1);
			assert_int_equal(dropped, 1);
		}
		table_cache_free(&c);
	}
	/* Damage is no reason to stop. */
	assert_int_equal(truncate(file, 5000), 0);
	c = table_cache_open(str_of(spec), keep_good, NULL, &why);
	assert_non_null(c);
	assert_int_equal(table_cache_get(c, STR("a"), &value), NONE);
	table_cache_free(&c);
	assert_null(table_cache_open(STR("cdb:/x"), keep_good, NULL, &why));
	c = table_cache_open(STR(""), keep_good, NULL, &why);
	assert_non_null(c);
	assert_true(table_cache_put(c, STR("a"), STR("good")));
	table_cache_free(&c);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(dir), 0);	/* nothing else was left */
	buf_free(&value);
	buf_free(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_probe_sender),
		cmocka_unit_test(test_dnsbl),
		cmocka_unit_test(test_idna),
		cmocka_unit_test(test_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
