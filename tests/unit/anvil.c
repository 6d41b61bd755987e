/*
 * anvil: counts and rates, dead processes, bounded memory, its log lines.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "smtpd/anvil.h"
#include "sys/sys.h"

static const char one, two;	/* holders */

static void
test_counts(void **state)
{
	enum { EVENT, GONE, DIES };
	static const struct {
		int what;
		const char *holder;
		enum client_event event;
		const char *client;
		int64_t now;
		uint64_t connections, rate;
	} rows[] = {
		{ EVENT, &one, CLIENT_CONNECT, "a", 100, 1, 1 },
		{ EVENT, &two, CLIENT_CONNECT, "a", 100, 2, 2 },
		{ EVENT, &one, CLIENT_CONNECT, "b", 100, 1, 1 },
		{ EVENT, &one, CLIENT_MAIL, "a", 101, 2, 1 },
		{ EVENT, &one, CLIENT_RCPT, "a", 101, 2, 1 },
		{ EVENT, &one, CLIENT_RCPT, "a", 101, 2, 2 },
		{ GONE, &one, 0, "a", 110, 0, 0 },
		{ GONE, &one, 0, "a", 110, 0, 0 },	/* not its own */
		{ EVENT, &one, CLIENT_CONNECT, "a", 110, 2, 3 },
		/* The next unit. */
		{ EVENT, &two, CLIENT_CONNECT, "a", 161, 3, 1 },
		{ EVENT, &two, CLIENT_RCPT, "a", 161, 3, 1 },
		{ DIES, &two, 0, "", 162, 0, 0 },
		{ EVENT, &one, CLIENT_CONNECT, "a", 163, 2, 2 },
		{ GONE, &two, 0, "a", 164, 0, 0 },
		{ EVENT, &one, CLIENT_CONNECT, "a", 164, 3, 3 },
		/* Never connected, as far as we know. */
		{ EVENT, &one, CLIENT_AUTH, "c", 164, 0, 1 },
	};
	struct anvil *a = anvil_new(60, 100);

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct anvil_counts c;

		if (rows[i].what == GONE) {
			anvil_gone(a, rows[i].holder, STR("smtp"),
			    str_of(rows[i].client), rows[i].now);
		} else if (rows[i].what == DIES) {
			anvil_holder_gone(a, rows[i].holder, rows[i].now);
		} else {
			c = anvil_event(a, rows[i].holder, rows[i].event,
			    STR("smtp"), str_of(rows[i].client), rows[i].now);
			if (c.connections != rows[i].connections ||
			    c.rate != rows[i].rate)
				fail_msg("row %zu: %d %d", i,
				    (int)c.connections, (int)c.rate);
		}
	}
	/* Another service, another client. */
	assert_int_equal(anvil_event(a, &one, CLIENT_CONNECT, STR("x"),
	    STR("a"), 165).connections, 1);
	anvil_free(&a);
	assert_null(a);
}

static void
test_bounded(void **state)
{
	struct anvil *a = anvil_new(60, 10);
	char name[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		anvil_event(a, &one, CLIENT_MAIL, STR("s"), str_of(name), 100);
		assert_true(anvil_clients(a) <= 10);
	}
	/* The oldest went; the last are known. */
	assert_int_equal(anvil_event(a, &one, CLIENT_MAIL, STR("s"),
	    STR("999"), 100).rate, 2);
	assert_int_equal(anvil_event(a, &one, CLIENT_MAIL, STR("s"),
	    STR("1"), 100).rate, 1);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		anvil_event(a, &one, CLIENT_CONNECT, STR("s"), str_of(name),
		    100);
	}
	assert_int_equal(anvil_clients(a), 10);
	/* No room: counted as the first, and its end harms nobody. */
	assert_int_equal(anvil_event(a, &one, CLIENT_CONNECT, STR("s"),
	    STR("c19"), 100).rate, 1);
	anvil_gone(a, &one, STR("s"), STR("c19"), 100);
	anvil_holder_gone(a, &one, 200);
	assert_int_equal(anvil_clients(a), 10);
	anvil_expire(a, 260);
	assert_int_equal(anvil_clients(a), 10);
	anvil_expire(a, 261);
	assert_int_equal(anvil_clients(a), 0);
	anvil_free(&a);
}

static void
test_report(void **state)
{
	struct anvil *a = anvil_new(60, 10);
	char text[4096];
	ssize_t n;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	log_to_fd(fds[1]);
	anvil_event(a, &one, CLIENT_CONNECT, STR("smtp"), STR("127.0.0.1"), 0);
	anvil_event(a, &one, CLIENT_MAIL, STR("smtp"), STR("127.0.0.1"), 1);
	anvil_report(a);
	anvil_report(a);
	log_flush();
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "]: statistics: max connection rate "
	    "1/60s for (smtp:127.0.0.1) at Jan  1 00:00:00\n"));
	assert_non_null(strstr(text, "]: statistics: max connection count 1 "
	    "for (smtp:127.0.0.1) at Jan  1 00:00:00\n"));
	assert_non_null(strstr(text, "]: statistics: max message rate 1/60s "
	    "for (smtp:127.0.0.1) at Jan  1 00:00:01\n"));
	assert_non_null(strstr(text, "]: statistics: max cache size 1 at "
	    "Jan  1 00:00:00\n"));
	/* The second report had nothing to say. */
	assert_int_equal(str_rchr(str_of(text), '\n'), n - 1);
	n = 0;
	for (const char *p = text; *p != '\0'; p++)
		n += *p == '\n';
	assert_int_equal(n, 4);
	close(fds[0]);
	anvil_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_report),
	};

	if (setenv("TZ", "UTC0", 1) != 0)
		return 1;
	log_open(&(struct log_conf){ .program = "anvil" });
	log_to_fd(open("/dev/null", O_WRONLY));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
