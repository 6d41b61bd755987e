/*
 * queue_filter - options of postern queue against messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tools/queue_filter.h"

#define NOW 1000000

static void
test_match(void **state)
{
	struct queue_rcpt rcpts[] = {
		{ .address = STR("bob@Example.net"), .status = RCPT_DEFERRED,
		    .text = STR("Connection refused"),
		    .original = STR("b@alias.test") },
		{ .address = STR("eve@gone.test"), .status = RCPT_SENT },
	};
	const struct queue_message m = { .arrival_us = (NOW - 3600) * 1000000LL,
		.size = 5000, .sender = STR("ann@example.org"),
		.rcpts = rcpts, .nrcpts = nitems(rcpts) };
	const struct queue_message report = { .arrival_us = NOW * 1000000LL,
		.sender = STR(""), .rcpts = rcpts, .nrcpts = 1 };
	static const struct {
		const char *name[2], *value[2];	/* options */
		bool m, report;			/* in deferred/ */
	} t[] = {
		{ { NULL }, { NULL }, true, true },
		{ { "sender" }, { "ANN@example.org" }, true, false },
		{ { "sender" }, { "@example.org" }, true, false },
		{ { "sender" }, { "@xample.org" }, false, false },
		{ { "sender" }, { "<>" }, false, true },
		{ { "recipient" }, { "bob@example.net" }, true, true },
		{ { "recipient" }, { "b@alias.test" }, true, true },
		{ { "recipient" }, { "eve@gone.test" }, false, false },
		{ { "domain" }, { "example.net" }, true, true },
		{ { "domain" }, { "gone.test" }, false, false },
		{ { "reason" }, { "connection REFUSED" }, true, true },
		{ { "reason" }, { "refused!" }, false, false },
		{ { "older" }, { "1h" }, true, false },
		{ { "older" }, { "61m" }, false, false },
		{ { "younger" }, { "1h" }, false, true },
		{ { "size" }, { "5000" }, true, false },
		{ { "size" }, { "+5001" }, false, false },
		{ { "size" }, { "-4999" }, false, true },
		{ { "size" }, { "4k" }, true, false },
		{ { "size" }, { "5k" }, false, false },
		{ { "size" }, { "-1M" }, true, true },
		{ { "queue" }, { "hold, deferred" }, true, true },
		{ { "queue" }, { "hold" }, false, false },
		{ { "sender", "older" }, { "@example.org", "1d" }, false,
		    false },
		{ { "domain", "reason" }, { "example.net", "refused" }, true,
		    true },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct queue_filter f;

		queue_filter_init(&f);
		for (size_t k = 0; k < 2 && t[i].name[k] != NULL; k++)
			assert_null(queue_filter_set(&f,
			    str_of(t[i].name[k]), str_of(t[i].value[k])));
		assert_int_equal(queue_filter_is_open(&f),
		    t[i].name[0] == NULL);
		assert_int_equal(queue_filter_match(&f, Q_DEFERRED, &m, NOW),
		    t[i].m);
		assert_int_equal(queue_filter_match(&f, Q_DEFERRED, &report,
		    NOW), t[i].report);
	}
}

static void
test_wrong_values(void **state)
{
	static const struct { const char *name, *value; } t[] = {
		{ "older", "soon" }, { "younger", "" }, { "size", "big" },
		{ "size", "-" }, { "size", "k" }, { "size", "99999999999999G" }, { "queue", "corrupt" }, { "queue", "maildrop" }, { "queue", "x" },
		{ "queue", "" }, { "sender", "" }, { "reason", "" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct queue_filter f;

		queue_filter_init(&f);
		assert_true(queue_filter_knows(str_of(t[i].name)));
		assert_non_null(queue_filter_set(&f, str_of(t[i].name),
		    str_of(t[i].value)));
	}
	assert_false(queue_filter_knows(STR("senders")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_wrong_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
