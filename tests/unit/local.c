/* What the dispatchers decide without asking anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include "local/items.h"
#include "local/local.h"
#include "local/macro.h"

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
	const char *name;
	enum found  found;
	const char *value, *owner, *expanded;
} aliases[] = {
	{ "none", NONE, "", "", "" },
	{ "root", FOUND, "alice", "", "" },
	{ "list", FOUND, "alice", "owner-list@here", "bob@far" },
	/* the key as postalias writes it, then bare */
	{ "john doe", FOUND, "alice", "", "" },
	{ "mary doe", FOUND, "bob", "", "" },
	{ "both ways", FOUND, "alice", "owner-both ways@here", "bob@here" },
};

static void
test_alias(void **state)
{
	struct arena *arena = arena_new(64 << 20);
	struct local l = { .owner_special = true, .myorigin = STR("here") };
	struct buf why;

	(void)state;
	buf_init(&why, 4096);
	/* Not inline:, which takes the quotes off. */
	l.aliases = tables_open(STR("pcre:{ {/^root$/ alice}, "
	    "{/^list$/ alice}, {/^owner-list$/ bob@far}, "
	    "{/^\"john doe\"$/ alice}, {/^mary doe$/ bob}, "
	    "{/^\"both ways\"$/ alice}, {/^both ways$/ bob}, "
	    "{/^\"owner-both ways\"$/ bob} }"), NULL, TABLE_FOLD, &why);
	assert_int_equal(why.n, 0);
	for (int expand = 0; expand < 2; expand++)
		for (size_t i = 0; i < nitems(aliases); i++) {
			struct alias a;

			l.conf.expand_owner_alias = expand != 0;
			assert_int_equal(alias_find(&l, arena,
			    str_of(aliases[i].name), &a), aliases[i].found);
			assert_true(str_eq(a.value,
			    str_of(aliases[i].value)));
			assert_true(str_eq(a.owner, str_of(expand ?
			    aliases[i].expanded : aliases[i].owner)));
			assert_int_equal(a.uid, 0);
		}
	tables_free(&l.aliases);
	buf_free(&why);
	arena_free(&arena);
}

/* kind letter and value: A address, C command, F file, I include, U user */
static const struct { const char *text, *items[5]; } lists[] = {
	{ "", { NULL } },
	{ "alice", { "Aalice" } },
	{ "alice, bob@far , Carol <carol@x>", { "Aalice", "Abob@far",
	    "Acarol@x" } },
	{ "\"|/bin/cat -v, x\", /tmp/f", { "C/bin/cat -v, x", "F/tmp/f" } },
	{ "|/bin/cat -v", { "C/bin/cat -v" } },
	{ "|\"/bin/cat -v\", a", { "C/bin/cat -v", "Aa" } },
	{ "\"| exec /bin/sh -c 'echo \\\"x\\\"'\"", {
	    "Cexec /bin/sh -c 'echo \"x\"'" } },
	{ "\"/tmp/a b\",~/Mail/x/", { "F/tmp/a b", "F~/Mail/x/" } },
	{ ":include:/etc/l, \":Include:/etc/m n\"", { "I/etc/l",
	    "I/etc/m n" } },
	{ ":include:\"/etc/l\"", { "I/etc/l" } },
	{ "\\alice, \\bob@here", { "Ualice", "Ubob@here" } },
	{ "alice (a, b), bob", { "Aalice", "Abob" } },
	{ "<@a,@b:c@d>, e", { "Ac@d", "Ae" } },
	{ "\"a b\"@c", { "Aa b@c" } },
	{ "\"/x\"@c", { "A/x@c" } },
	{ ",, ,", { NULL } },
	{ "|", { NULL } }, { "\"|\"", { NULL } },
	{ "\"|unfinished", { "Cunfinished" } },
};

static void
test_items(void **state)
{
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < nitems(lists); i++) {
		struct str rest = str_of(lists[i].text);
		struct item item;
		size_t n = 0;

		for (; items_next(&rest, arena, &item); n++) {
			char got[256];

			assert_true(n < 5);
			snprintf(got, sizeof(got), "%c" STRF,
			    "ACFIU"[item.kind], STRV(item.value));
			if (lists[i].items[n] == NULL)
				fail_msg("%s: too many: %s", lists[i].text,
				    got);
			assert_string_equal(got, lists[i].items[n]);
		}
		assert_true(n == 5 || lists[i].items[n] == NULL);
	}
	arena_free(&arena);
}

static void
test_lines(void **state)
{
	struct str text = STR("# no\n\n alice \n#\nbob\r\nlast"), line;
	static const char *const want[] = { "alice", "bob", "last" };

	(void)state;
	for (size_t i = 0; i < nitems(want); i++) {
		assert_true(items_line(&text, &line));
		assert_true(str_eq(line, str_of(want[i])));
	}
	assert_false(items_line(&text, &line));
}

static const struct {
	const char	 *pattern;
	enum macro_result result;
	const char	 *text;
} macros[] = {
	{ "$home/.forward", MACRO_OK, "/home/al/.forward" },
	{ "$home/.forward${delimiter}${extension}", MACRO_UNDEFINED, NULL },
	{ "${home}/x", MACRO_OK, "/home/al/x" },
	{ "$(home)", MACRO_OK, "/home/al" },
	{ "$$home", MACRO_OK, "$home" },
	{ "$user", MACRO_OK, "a_b_c" },
	{ "${extension?x}${extension:y}", MACRO_OK, "y" },
	{ "${home?{yes}:{no}}", MACRO_OK, "yes" },
	{ "$nothing", MACRO_UNDEFINED, NULL },
	{ "${home", MACRO_ERROR, NULL },
};

static void
test_macros(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	const struct macro v[] = { { "home", STR("/home/al") },
		{ "user", STR("a;b$c") }, { "delimiter", STR("+") },
		{ "extension", { NULL, 0 } } };
	struct str out;
	uint64_t used;

	(void)state;
	for (size_t i = 0; i < nitems(macros); i++) {
		assert_int_equal(macro_expand(v, nitems(v),
		    str_of(macros[i].pattern), STR("abcdefghilmno/"), arena,
		    &out, &used), macros[i].result);
		if (macros[i].text != NULL)
			assert_true(str_eq(out, str_of(macros[i].text)));
	}
	assert_int_equal(macro_expand(v, nitems(v), STR("$user$home"),
	    STR(""), arena, &out, &used), MACRO_OK);
	assert_true(str_eq(out, STR("a;b$c/home/al")));	/* not again */
	assert_int_equal(used, 3);
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
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_macros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
