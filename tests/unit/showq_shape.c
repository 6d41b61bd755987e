/*
 * qshape's table: edges, buckets, order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "showq/showq.h"

static void
test_edges(void **state)
{
	struct shape *s = shape_new(10, 300, false);

	(void)state;
	assert_int_equal(shape_edge_s(s, 0), 300);
	assert_int_equal(shape_edge_s(s, 1), 600);
	assert_int_equal(shape_edge_s(s, 8), 76800);	/* 1280 minutes */
	shape_free(&s);
	s = shape_new(4, 60, true);
	assert_int_equal(shape_edge_s(s, 2), 180);
	shape_free(&s);
}

static void
test_rows(void **state)
{
	static const struct { const char *site; int64_t age_s; } in[] = {
		{ "b.example", 0 }, { "b.example", 300 }, { "b.example", 301 },
		{ "a.example", -5 }, { "c.example", 1 << 30 },
		{ "c.example", 76801 }, { "a.example", 76800 },
	};
	struct shape *s = shape_new(10, 300, false);
	const struct shape_row *row;
	size_t n;

	(void)state;
	for (size_t i = 0; i < nitems(in); i++)
		shape_add(s, str_of(in[i].site), in[i].age_s);
	row = shape_rows(s, &n);
	assert_int_equal(n, 4);
	assert_true(str_eq(row[0].site, STR("TOTAL")));
	assert_int_equal(row[0].total, 7);
	assert_int_equal(row[0].by_age[0], 3);
	assert_int_equal(row[0].by_age[8], 1);
	assert_int_equal(row[0].by_age[9], 2);
	assert_true(str_eq(row[1].site, STR("b.example")));
	assert_int_equal(row[1].by_age[0], 2);
	assert_int_equal(row[1].by_age[1], 1);
	assert_true(str_eq(row[2].site, STR("a.example")));
	assert_true(str_eq(row[3].site, STR("c.example")));
	assert_int_equal(row[3].by_age[9], 2);
	shape_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
