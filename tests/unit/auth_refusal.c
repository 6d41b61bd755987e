/*
 * auth_refusal: refused logins of ours: which are known, until when, how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "auth/auth.h"

static const struct refused no = { STR("5.7.8"), STR("535 5.7.8 no") };

static void
test_what_is_known(void **state)
{
	struct refusals *all = refusals_new();
	struct refused why;

	(void)state;
	assert_false(refusal_find(all, STR("a me"), STR("x"), 0, &why));
	refusal_add(all, STR("a me"), STR("x"), &no, 1000);
	assert_false(refusal_find(all, STR("a you"), STR("x"), 0, &why));
	assert_true(refusal_find(all, STR("a me"), STR("x"), 1000, &why));
	assert_true(str_eq(why.dsn, no.dsn) && str_eq(why.text, no.text));
	/* Too old. */
	assert_false(refusal_find(all, STR("a me"), STR("x"), 1001, &why));
	assert_false(refusal_find(all, STR("a me"), STR("x"), 0, &why));
	/* Another password, and then the first again. */
	refusal_add(all, STR("a me"), STR("x"), &no, 1000);
	assert_false(refusal_find(all, STR("a me"), STR("y"), 0, &why));
	assert_false(refusal_find(all, STR("a me"), STR("x"), 0, &why));
	refusals_free(&all);
	refusals_free(&all);
}

static void
test_limit(void **state)
{
	struct refusals *all = refusals_new();
	struct refused why;
	char key[32];

	(void)state;
	for (int i = 0; i < 1500; i++) {
		snprintf(key, sizeof(key), "host%d me", i);
		refusal_add(all, str_of(key), STR("x"), &no, i);
	}
	assert_false(refusal_find(all, STR("host499 me"), STR("x"), 0, &why));
	assert_true(refusal_find(all, STR("host500 me"), STR("x"), 0, &why));
	assert_true(refusal_find(all, STR("host1499 me"), STR("x"), 0, &why));
	refusals_free(&all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_known),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
