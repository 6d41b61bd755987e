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

static const struct {
	const char	*name;
	enum alias_kind	 kind;
	const char	*rcpts[3];
	const char	*owner;
} aliases[] = {
	{ "none", ALIAS_NONE, { NULL }, "" },
	{ "root", ALIAS_LOCAL, { "alice" }, "" },
	{ "full", ALIAS_LOCAL, { "alice" }, "" },
	{ "far", ALIAS_FORWARD, { "bob@far" }, "" },
	{ "two", ALIAS_FORWARD, { "alice@here", "bob@far" }, "" },
	{ "list", ALIAS_FORWARD, { "alice@here" }, "owner-list@here" },
	{ "command", ALIAS_OTHER, { NULL }, "" },
	{ "bare", ALIAS_OTHER, { NULL }, "" },
	{ "file", ALIAS_OTHER, { NULL }, "" },
	{ "include", ALIAS_OTHER, { NULL }, "" },
	{ "mixed", ALIAS_OTHER, { NULL }, "" },
	{ "comma", ALIAS_EMPTY, { NULL }, "" },
	/* the key as postalias writes it, then bare */
	{ "john doe", ALIAS_LOCAL, { "alice" }, "" },
	{ "mary doe", ALIAS_LOCAL, { "bob" }, "" },
	{ "both ways", ALIAS_FORWARD, { "alice@here" }, "owner-both ways@here" },
};

static void
test_alias(void **state)
{
	struct arena *arena = arena_new(64 << 20);
	struct local l = { .owner_special = true, .myorigin = STR("here") };
	struct buf why;

	(void)state;
	buf_init(&why, 4096);
	l.aliases = tables_open(STR("inline:{ {root = alice}, "
	    "{full = alice@here}, {far = bob@far}, {two = alice, bob@far}, "
	    "{list = alice}, {owner-list = bob}, {command = \"|cat\"}, "
	    "{bare = |cat}, {file = /dev/null}, "
	    "{include = :include:/etc/x}, {mixed = alice, \"|cat\"}, "
	    "{comma = ,}, {\"john doe\" = alice}, {mary doe = bob}, "
	    "{\"both ways\" = alice}, {both ways = bob}, "
	    "{\"owner-both ways\" = bob} }"), NULL, TABLE_FOLD, &why);
	assert_int_equal(why.n, 0);
	l.destinations = match_list_open(STR("here"), NULL, MATCH_WHOLE,
	    &why);
	for (size_t i = 0; i < nitems(aliases); i++) {
		struct alias a;
		size_t n = 0;

		assert_int_equal(alias_find(&l, arena,
		    str_of(aliases[i].name), &a), aliases[i].kind);
		assert_true(str_eq(a.owner, str_of(aliases[i].owner)));
		while (n < nitems(aliases[i].rcpts) &&
		    aliases[i].rcpts[n] != NULL) {
			assert_true(n < a.n);
			assert_true(str_eq(a.rcpts[n],
			    str_of(aliases[i].rcpts[n])));
			n++;
		}
		if (aliases[i].kind != ALIAS_OTHER)
			assert_int_equal(a.n, n);
	}
	tables_free(&l.aliases);
	match_list_free(&l.destinations);
	buf_free(&why);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_alias),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
