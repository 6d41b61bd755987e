/*
 * dsn - status codes and the delays of log lines, against Postfix's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dsn/dsn.h"

static void
test_status(void **state)
{
	static const struct { const char *in; size_t length; int class; } t[] = {
		{ "2.0.0", 5, 2 }, { "5.1.1 no such user", 5, 5 },
		{ "4.4.1\tx", 5, 4 }, { "5.7.26", 6, 5 },
		{ "5.123.456 x", 9, 5 }, { "4.999.999", 9, 4 },
		{ "", 0, 0 }, { "5", 0, 0 }, { "5.", 0, 0 }, { "5.1", 0, 0 },
		{ "5.1.", 0, 0 }, { "3.0.0", 0, 0 }, { "1.0.0", 0, 0 },
		{ "5.1.1x", 0, 0 }, { "5.1.1.1", 0, 0 }, { "5.1234.1", 0, 0 },
		{ "5.1.1234", 0, 0 }, { "5..1", 0, 0 }, { "55.1.1", 0, 0 },
		{ " 5.1.1", 0, 0 }, { "550 5.1.1", 0, 0 }, { "5.-1.1", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		assert_int_equal(dsn_status_length(str_of(t[i].in)),
		    t[i].length);
		assert_int_equal(dsn_class(str_of(t[i].in)), t[i].class);
	}
}

/* delay= of one time span; the expected are of Postfix 3.12's format_tv. */
static void
test_time(void **state)
{
	static const struct { int64_t us; const char *out; } t[] = {
		{ 0, "0" }, { 1, "0" }, { 4999, "0" }, { 5000, "0.01" },
		{ 9999, "0.01" }, { 10000, "0.01" }, { 14999, "0.01" },
		{ 15000, "0.02" }, { 99999, "0.1" }, { 100000, "0.1" },
		{ 123456, "0.12" }, { 126000, "0.13" }, { 994999, "0.99" },
		{ 995000, "1" }, { 999999, "1" }, { 1000000, "1" },
		{ 1049999, "1" }, { 1050000, "1.1" }, { 1949999, "1.9" },
		{ 1950000, "2" }, { 9949999, "9.9" }, { 9950000, "10" },
		{ 10000000, "10" }, { 10499999, "10" }, { 10500000, "11" },
		{ 99500000, "100" }, { 123456789, "123" },
		{ 432000000000, "432000" }, { -5000000, "0" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct buf got, want;

		buf_init(&got, 256);
		buf_init(&want, 256);
		dsn_print_delays(&got, &(struct dsn_delays){
		    .arrival_us = 1000000000,
		    .done_us = 1000000000 + t[i].us, .decimals = 2 });
		buf_printf(&want, "delay=%s, delays=%s/0/0/0", t[i].out,
		    t[i].out);
		assert_string_equal(buf_cstr(&got), buf_cstr(&want));
		buf_free(&got);
		buf_free(&want);
	}
}

static void
test_delays(void **state)
{
	static const struct {
		int64_t arrival, active, start, connected, done;
		const char *out;
	} t[] = {
		{ 1000, 11000, 21000, 121000, 1121000,
		    "delay=1.1, delays=0.01/0.01/0.1/1" },
		/* no connection: the rest is transmission */
		{ 1000, 11000, 21000, 0, 1021000,
		    "delay=1, delays=0.01/0.01/0/1" },
		/* no agent: the rest is qmgr's */
		{ 1000, 501000, 0, 0, 3501000,
		    "delay=3.5, delays=0.5/3/0/0" },
		/* the clock went back meanwhile */
		{ 5000000, 4000000, 3000000, 0, 2000000,
		    "delay=0, delays=0/0/0/0" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct buf b;

		buf_init(&b, 256);
		buf_puts(&b, "x ");
		dsn_print_delays(&b, &(struct dsn_delays){ t[i].arrival,
		    t[i].active, t[i].start, t[i].connected, t[i].done, 2 });
		assert_string_equal(buf_cstr(&b) + 2, t[i].out);
		buf_free(&b);
	}
}

/* delay_logging_resolution_limit: below a second alone. */
static void
test_decimals(void **state)
{
	static const struct {
		unsigned decimals;
		int64_t us;
		const char *out;
	} t[] = {
		{ 0, 400000, "0" }, { 0, 500000, "1" }, { 0, 999999, "1" },
		{ 0, 1230000, "1.2" }, { 1, 49999, "0" }, { 1, 50000, "0.1" },
		{ 1, 123456, "0.1" }, { 1, 12345678, "12" },
		{ 3, 499, "0" }, { 3, 500, "0.001" }, { 3, 12345, "0.012" },
		{ 3, 123456, "0.12" }, { 6, 0, "0" }, { 6, 1, "0.000001" },
		{ 6, 99, "0.000099" }, { 6, 12345, "0.012" },
		{ 6, 1049999, "1" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct buf got, want;

		buf_init(&got, 256);
		buf_init(&want, 256);
		dsn_print_delays(&got, &(struct dsn_delays){ .arrival_us = 5,
		    .done_us = 5 + t[i].us, .decimals = t[i].decimals });
		buf_printf(&want, "delay=%s, delays=%s/0/0/0", t[i].out,
		    t[i].out);
		assert_string_equal(buf_cstr(&got), buf_cstr(&want));
		buf_free(&got);
		buf_free(&want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_decimals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
