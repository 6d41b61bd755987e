/*
 * Every parameter is declared once: a name that stands in two rows does not
 * compile here. And each row's preset can be read as its type.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "conf/internal.h"

enum {
#define PARAM(type, name, preset, least, most, text) once_##name,
#include "conf/registry.def"
#undef PARAM
#define OTHER(status, type, name, preset, text) once_##name,
#include "conf/elsewhere.def"
#undef OTHER
	names_in_all
};

static void
knows_all_names(void **state)
{
	static const char *const some[] = {
		"myhostname", "2bounce_notice_recipient", "virtual_maps",
		"smtpd_tls_security_level", "lmtp_tls_policy_maps",
		"tls_server_sni_maps", "smtp_tlsrpt_enable", "mynetworks",
		"postscreen_dnsbl_sites", "smtpd_forbid_bare_newline",
	};
	size_t n;

	(void)state;
	(void)param_all(&n);
	assert_int_equal(n, names_in_all);
	assert_true(n > 900);
	for (size_t i = 0; i < nitems(some); i++)
		assert_non_null(param_find(str_of(some[i])));
	assert_null(param_find(STR("no_such_name")));
	assert_null(param_find(STR("")));
}

static void
presets_have_their_type(void **state)
{
	struct conf *c = conf_empty("/nonexistent");
	struct problems ps = { NULL, 0 };
	const struct param_known *k;
	int64_t v;
	size_t n;

	(void)state;
	k = param_all(&n);
	for (size_t i = 0; i < n; i++) {
		struct str s;

		assert_int_equal(k[i].n, strlen(k[i].name));
		if (k[i].type == P_RAW)
			continue;
		s = conf_expand(c, str_of(k[i].preset), &ps);
		if (k[i].type == P_TEXT)
			continue;
		if (!value_parse(k[i].type, k[i].preset, s, &v))
			fail_msg("%s: preset \"" STRF "\"", k[i].name,
			    STRV(s));
	}
	problems_print(&ps, stderr);
	assert_int_equal(ps.n, 0);
	conf_free(&c);
}

static void
names_the_nearest(void **state)
{
	static const struct { const char *wrong, *right; } rows[] = {
		{ "myhostnme", "myhostname" },
		{ "mydestinations", "mydestination" },
		{ "smtpd_recipient_restriction",
		    "smtpd_recipient_restrictions" },
		{ "mesage_size_limit", "message_size_limit" },
		{ "inet_interface", "inet_interfaces" },
		{ "mynetwroks", "mynetworks" },
		{ "x", NULL }, { "", NULL },
		{ "something_else_entirely", NULL },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		const char *got = param_nearest(str_of(rows[i].wrong));

		if (rows[i].right == NULL)
			assert_null(got);
		else
			assert_string_equal(got, rows[i].right);
	}
}

static void
measures_distance(void **state)
{
	static const struct { const char *a, *b; size_t d; } rows[] = {
		{ "", "", 0 }, { "a", "", 1 }, { "abc", "abc", 0 },
		{ "abc", "acb", 1 }, { "abc", "abd", 1 },
		{ "kitten", "sitting", 3 }, { "abcdef", "ghijkl", 5 },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++)
		assert_int_equal(edit_distance(str_of(rows[i].a),
		    str_of(rows[i].b), 4), rows[i].d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_all_names),
		cmocka_unit_test(presets_have_their_type),
		cmocka_unit_test(names_the_nearest),
		cmocka_unit_test(measures_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
