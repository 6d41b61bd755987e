/* The user database's records: whose the mail is, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "users/users.h"

static void
print(const struct user_place *p, const char *wrong, struct buf *out)
{
	buf_clear(out);
	place_print(p, out);
	if (wrong != NULL)
		buf_printf(out, " -- %s", wrong);
}

static void
test_passwd_fields(void **state)
{
	static const struct { const char *fields, *said; } rows[] = {
		{ "", "" },
		{ "5000:5001::/srv/ann::",
		    " uid=5000 gid=5001 home=/srv/ann" },
		{ "5000:5001", " uid=5000 gid=5001" },
		{ "::::::", "" },
		{ "1000:1000:Ann, R:/home/ann:/bin/sh",
		    " uid=1000 gid=1000 home=/home/ann" },
		{ "5000:5001::/srv/ann::userdb_mail=maildir:~/M "
		    "userdb_quota_rule=*:storage=1G nopassword=y",
		    " uid=5000 gid=5001 home=/srv/ann mail=maildir:~/M" },
		{ ":::::userdb_uid=7 userdb_gid=8 userdb_home=/h",
		    " uid=7 gid=8 home=/h" },
		/* shadow(5): days, not numbers of users. */
		{ "19000:0:99999:7:::", "" },
		{ "19000::::::", "" },
		{ "5000:5001:::", " uid=5000 gid=5001" },
		{ "ann:users::/h::", " home=/h -- uid and gid are numbers" },
		{ "-1:0::/h::", " gid=0 home=/h -- uid and gid are numbers" },
		{ "4294967295:4294967296::::",
		    " -- uid and gid are numbers" },
		{ "1:1::srv::",
		    " uid=1 gid=1 -- a home directory begins with /" },
		{ "1:1::/a b::",
		    " uid=1 gid=1 -- a blank in the home directory" },
		{ "1:1::/h::userdb_mail=maildir:/m/%u", " uid=1 gid=1 home=/h "
		    "-- a blank or a %variable in the mailbox's path" },
		{ "1:1::/h::userdb_mail=sdbox:~/s", " uid=1 gid=1 home=/h "
		    "-- mail is maildir:PATH or mbox:PATH" },
		{ "1:1::/h::userdb_mail=mbox:s", " uid=1 gid=1 home=/h "
		    "-- a mailbox's path begins with / or ~/" },
	};
	struct user_place p;
	struct buf out;
	const char *why;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < nitems(rows); i++) {
		why = passwd_place(str_of(rows[i].fields), &p);
		print(&p, why, &out);
		assert_string_equal(buf_cstr(&out), rows[i].said);
	}
	buf_free(&out);
}

static void
test_record(void **state)
{
	static const struct { const char *record, *said; } rows[] = {
		{ "", "" }, { "{ARGON2ID}x disabled", "" },
		{ "{PLAIN}uid=4 uid=5 gid=6 home=/h mail=mbox:/m disabled",
		    " uid=5 gid=6 home=/h mail=mbox:/m" },
		{ "$6$a$b gid=x home=/h",
		    " home=/h -- uid and gid are numbers" },
		{ "{PLAIN}x home=", " -- a home directory begins with /" },
	};
	static const struct { const char *word; bool is; } words[] = {
		{ "{PLAIN}uid=4", true }, { "$6$a$b", true },
		{ "abJnggxhB/yWI", true }, { "disabled", false },
		{ "uid=5", false }, { "gid=", false }, { "home=/x", false },
		{ "mail=x", false },
	};
	struct user_place p;
	struct buf out;
	const char *why;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < nitems(rows); i++) {
		why = record_place(str_of(rows[i].record), &p);
		print(&p, why, &out);
		assert_string_equal(buf_cstr(&out), rows[i].said);
	}
	for (size_t i = 0; i < nitems(words); i++)
		assert_int_equal(record_is_credential(str_of(words[i].word)),
		    words[i].is);
	assert_non_null(place_word(STR("shell=/bin/sh"), &p));
	buf_free(&out);
}

/* --- how the keys of nobody look --- */

#define KEYS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static struct users *
make_users(const char *dir, const char *const *records, size_t n)
{
	struct users_edit *e;
	struct users *u;
	char spec[256], name[16];
	struct buf why;

	snprintf(spec, sizeof(spec), "lmdb:%s/users", dir);
	buf_init(&why, 1000);
	e = users_edit_begin(str_of(spec), dir, true, &why);
	assert_non_null(e);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "user%zu", i);
		users_edit_set(e, str_of(name), str_of(records[i]));
	}
	assert_true(users_edit_commit(&e, (gid_t)-1, &why));
	u = users_open(str_of(spec), dir, &why);
	assert_int_equal(why.n, 0);
	buf_free(&why);
	return u;
}

static void
test_looks(void **state)
{
	static const char *const records[] = {
		"{SCRAM-SHA-256}65536,AAAAAAAAAAAAAAAAAAAAAA==," KEYS "," KEYS,
		"{SCRAM-SHA-256}65536,AAAAAAAAAAAAAAAAAAAAAA==," KEYS "," KEYS
		    " uid=5",
		"{SCRAM-SHA-256}4096,AAAAAAAAAAAAAAAAAAAAAAAA," KEYS "," KEYS,
		"{SCRAM-SHA-256}4096,AAAAAAAAAAAAAAAAAAAAAA==," KEYS "," KEYS
		    " disabled",
		"{PLAIN}x", "disabled",
	};
	char dir[] = "/tmp/postern-users-XXXXXX", command[128];
	unsigned many = 0, few = 0, long_salt = 0;
	struct scram_look look;
	struct users *u;

	(void)state;
	assert_non_null(mkdtemp(dir));
	u = make_users(dir, records, nitems(records));
	for (uint64_t i = 0; i < 1024; i++) {
		look = users_draw(u, "SCRAM-SHA-256", i << 54 | i);
		many += look.iterations == 65536 && look.salt == 16;
		few += look.iterations == 4096 && look.salt == 16;
		long_salt += look.iterations == 4096 && look.salt == 18;
	}
	/* Two, one and one of four. */
	assert_int_equal(many, 512);
	assert_int_equal(few, 256);
	assert_int_equal(long_salt, 256);
	/* Nobody has such: as we would make them. */
	look = users_draw(u, "SCRAM-SHA-1", 7);
	assert_int_equal(look.iterations, SCRAM_MOST);
	assert_int_equal(look.salt, 16);
	users_free(&u);
	snprintf(command, sizeof(command), "%s/users.lmdb", dir);
	assert_int_equal(unlink(command), 0);
	snprintf(command, sizeof(command), "%s/users.lmdb.lock", dir);
	assert_int_equal(unlink(command), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* Feigned keys have the look that they are asked for, and stay the same. */
static void
test_feigned(void **state)
{
	static const size_t salts[] = { 1, 16, 18, 32, 33, 64 };
	const struct str secret = STR("0123456789abcdef0123456789abcdef");
	struct scram_look look, got;
	struct buf a, b;

	(void)state;
	buf_init(&a, CREDENTIAL_MAX);
	buf_init(&b, CREDENTIAL_MAX);
	for (size_t i = 0; i < nitems(salts); i++) {
		buf_clear(&a);
		buf_clear(&b);
		look = (struct scram_look){ 5000 + i, salts[i] };
		scram_fake("SCRAM-SHA-256", &look, secret, STR("x"), &a);
		scram_fake("SCRAM-SHA-256", &look, secret, STR("x"), &b);
		assert_int_equal(scram_look(buf_view(&a), &got),
		    salts[i] >= 4);
		if (salts[i] < 4)
			continue;
		assert_int_equal(got.iterations, look.iterations);
		assert_int_equal(got.salt, look.salt);
		/* Up to the keys, which are of chance. */
		assert_memory_equal(a.p, b.p, str_rchr(str_first(buf_view(&a),
		    str_rchr(buf_view(&a), ',')), ','));
	}
	assert_false(scram_look(STR("{PLAIN}x"), &got));
	buf_free(&a);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passwd_fields),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_feigned),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
