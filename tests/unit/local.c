/* What the dispatchers decide without asking anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "local/local.h"

static const struct { const char *nexthop, *preset, *dsn, *text; } splits[] = {
	{ "5.1.1 no such user", "5.0.0", "5.1.1", "no such user" },
	{ "mail is off", "5.0.0", "5.0.0", "mail is off" },
	{ "mail is off", "4.0.0", "4.0.0", "mail is off" },
	{ "4.7.1   later ", "4.0.0", "4.7.1", "later" },
	{ "5.1.1", "5.0.0", "5.1.1", "" },
	{ "5.1.1.1 x", "5.0.0", "5.0.0", "5.1.1.1 x" },
	{ "6.1.1 x", "5.0.0", "5.0.0", "6.1.1 x" },
	/* Not error's to say: a bounce is no success. */
	{ "2.0.0 x", "5.0.0", "5.0.0", "x" },
	{ "5.1.1 x", "4.0.0", "4.1.1", "x" },
	{ "4.1.1 x", "5.0.0", "5.1.1", "x" },
	{ "5.1.1 x", "2.0.0", "2.0.0", "x" },
	{ "2.1.5 gone", "2.0.0", "2.1.5", "gone" },
};

static void
test_split(void **state)
{
	char room[DELIVER_DSN_SIZE];
	struct str text;

	(void)state;
	for (size_t i = 0; i < nitems(splits); i++) {
		deliver_split(str_of(splits[i].nexthop), splits[i].preset,
		    room, &text);
		assert_string_equal(room, splits[i].dsn);
		assert_true(str_eq(text, str_of(splits[i].text)));
	}
}

static const struct { const char *words; uint64_t bits; } locks[] = {
	{ "", 0 },
	{ "fcntl, dotlock", LOCK_FCNTL | LOCK_DOTLOCK },
	{ "flock", LOCK_FLOCK },
	{ " dotlock\tflock fcntl", LOCK_FCNTL | LOCK_DOTLOCK | LOCK_FLOCK },
	{ "FCNTL, none", 0 },
};

static void
test_locks(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(locks); i++)
		assert_int_equal(deliver_locks(str_of(locks[i].words), "x"),
		    locks[i].bits);
}

static const struct { const char *header, *address; bool loop; } headers[] = {
	{ "Delivered-To: a@b\r\n\r\n", "a@b", true },
	{ "Subject: x\r\ndelivered-to:A@B \r\n\r\n", "a@b", true },
	{ "Delivered-To: a@bc\r\n\r\n", "a@b", false },
	{ "X-Delivered-To: a@b\r\n\r\n", "a@b", false },
	{ "Subject: x\r\n Delivered-To: a@b\r\n\r\n", "a@b", false },
	{ "Subject: x\r\n\r\nDelivered-To: a@b\r\n", "a@b", false },
	{ "Delivered-To: \"a b\"@c\r\n\r\n", "a b@c", true },
	{ "Delivered-To: a@b", "a@b", true },
	{ "", "a@b", false },
	{ "Delivered-To: c@d\nDelivered-To: a@b\n", "a@b", true },
};

static void
test_loop(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(headers); i++)
		assert_int_equal(loop_in_header(str_of(headers[i].header),
		    str_of(headers[i].address)), headers[i].loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
