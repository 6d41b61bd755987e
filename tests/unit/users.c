/* The user database's records: whose the mail is, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passwd_fields),
		cmocka_unit_test(test_record),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
