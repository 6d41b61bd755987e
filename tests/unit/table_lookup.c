/*
 * table_lookup - what the lookup daemon answers, and what it will not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lookup/lookup.h"

static char dir[] = "/tmp/postern-lookup-XXXXXX";

struct fixture { struct lookup lookup; struct conf *conf; };

static void
write_file(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int
set_up(void **state)
{
	struct fixture *x = mem_new(sizeof(*x));
	struct problems problems = { 0 };

	if (mkdtemp(dir) == NULL)
		return -1;
	write_file("main.cf", "compatibility_level = 3.6\n"
	    "myhostname = mx.here.example\nmydestination = here.example\n"
	    "inet_interfaces = 127.0.0.1\n"
	    "local_recipient_maps = inline:{alice=x}\n"
	    "smtpd_restriction_classes = greedy\n"
	    "greedy = check_sender_access inline:{class=OK}\n"
	    "smtpd_client_restrictions = check_client_access"
	    " inline:{192.0.2=REJECT,.bad.example=DISCARD}\n"
	    "smtpd_sender_restrictions = check_sender_access"
	    " inline:{<>=NULL,u@here.example=OK,{far.example=550 no}},"
	    " { check_helo_access inline:{nested=OK} }\n"
	    "smtp_sasl_password_maps = inline:{hub=user:secret}\n");
	write_file("master.cf",
	    "smtp inet n - n - - smtpd\n"
	    "submission inet n - n - - smtpd\n"
	    " -o local_recipient_maps=\n"
	    " -o smtpd_helo_restrictions=check_helo_access,static:SUB\n");
	x->conf = conf_load(dir, &problems);
	sites_open(&x->lookup, x->conf, &problems);
	problems_free(&problems);
	*state = x;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *x = *state;
	char path[200];

	sites_free(&x->lookup);
	conf_free(&x->conf);
	mem_free(x);
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/master.cf", dir);
	unlink(path);
	return rmdir(dir);
}

static void
test_access(void **state)
{
#define CLIENTS "inline:{192.0.2=REJECT,.bad.example=DISCARD}"
#define SENDERS "inline:{<>=NULL,u@here.example=OK,{far.example=550 no}}"
	static const struct {
		const char *service, *tables;
		enum access_kind kind;
		const char *subject, *addr;
		enum found found;
		const char *value, *key;
	} t[] = {
		{ "smtp", CLIENTS, ACCESS_CLIENT, "unknown", "192.0.2.9",
		    FOUND, "REJECT", "192.0.2" },
		{ "smtp", CLIENTS, ACCESS_CLIENT, "unknown", "198.51.100.1",
		    NONE, "", "" },
		{ "submission", CLIENTS, ACCESS_CLIENT, "unknown",
		    "192.0.2.9", FOUND, "REJECT", "192.0.2" },
		{ "smtp", SENDERS, ACCESS_ADDRESS, "", "", FOUND, "NULL",
		    "<>" },
		{ "smtp", SENDERS, ACCESS_ADDRESS, "u", "", NONE, "", "" },
		{ "smtp", SENDERS, ACCESS_ADDRESS, "U@HERE.example", "",
		    FOUND, "OK", "U@HERE.example" },
		{ "smtp", SENDERS, ACCESS_ADDRESS, "x@sub.far.example", "",
		    FOUND, "550 no", "far.example" },
		{ "smtp", "inline:{class=OK}", ACCESS_DOMAIN, "class", "",
		    FOUND, "OK", "class" },
		{ "smtp", "inline:{nested=OK}", ACCESS_DOMAIN, "nested", "",
		    FOUND, "OK", "nested" },
		/* not this service's, not smtpd's, nobody's */
		{ "submission", "static:SUB", ACCESS_DOMAIN, "x", "", FOUND,
		    "SUB", "x" },
		{ "smtp", "static:SUB", ACCESS_DOMAIN, "x", "", RETRY, "",
		    "" },
		{ "smtp", "inline:{hub=user:secret}", ACCESS_DOMAIN, "hub",
		    "", RETRY, "", "" },
		{ "smtp", "texthash:/etc/passwd", ACCESS_DOMAIN, "root", "",
		    RETRY, "", "" },
		{ "smtp", "unix:passwd.byname", ACCESS_DOMAIN, "root", "",
		    RETRY, "", "" },
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < nitems(t); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct msg_access_ask ask = {
			.tables = str_of(t[i].tables), .kind = t[i].kind,
			.subject = str_of(t[i].subject),
			.subject_addr = str_of(t[i].addr),
		};
		struct msg_access_answer answer;

		answer_access(site_find(&x->lookup, str_of(t[i].service)),
		    arena, &ask, &answer);
		if (answer.found != t[i].found ||
		    !str_eq(answer.value, str_of(t[i].value)) ||
		    !str_eq(answer.key, str_of(t[i].key)))
			fail_msg("row %zu: %d " STRF " " STRF, i,
			    (int)answer.found, STRV(answer.value),
			    STRV(answer.key));
		assert_true((answer.found == RETRY) == (answer.error.n > 0));
		arena_free(&arena);
	}
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *service, *address;
		enum found found;
		bool authorized;
		const char *transport, *table;
	} t[] = {
		{ "smtp", "alice@here.example", FOUND, true, "local",
		    "local recipient table" },
		{ "smtp", "eve@here.example", NONE, true, "local",
		    "local recipient table" },
		{ "submission", "eve@here.example", FOUND, true, "local",
		    "local recipient table" },
		{ "smtp", "x@far.example", FOUND, false, "smtp", "" },
		{ "smtp", "x@far.example@here.example", FOUND, false, "smtp",
		    "" },
		{ "smtp", "x@bad domain", NONE, false, "error", "" },
		{ "no-such-service", "alice@here.example", FOUND, true,
		    "local", "local recipient table" },
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < nitems(t); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct msg_address_ask ask = {
			.address = str_of(t[i].address),
		};
		struct msg_address_answer answer;

		answer_address(site_find(&x->lookup, str_of(t[i].service)),
		    arena, &ask, &answer);
		if (answer.found != t[i].found ||
		    answer.authorized != t[i].authorized ||
		    !str_eq(answer.transport, str_of(t[i].transport)) ||
		    !str_eq(answer.table, str_of(t[i].table)))
			fail_msg("row %zu: %d %d " STRF " " STRF, i,
			    (int)answer.found, (int)answer.authorized,
			    STRV(answer.transport), STRV(answer.table));
		arena_free(&arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
