/*
 * log: forms of lines, escaping, and sinks that do not take what they get.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>
#include <cmocka.h>
#include "sys/sys.h"

static const struct log_conf plain = { .syslog_name = "postfix",
	.program = "smtpd", .hostname = "mx.example.org",
	.facility = LOG_MAIL };

/* What the sink got, with "[pid]" as "[P]". */
static const char *
got(int fd)
{
	static char text[300000];
	char pid[16];
	ssize_t n;
	char *at;

	log_flush();
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	at = strstr(text, pid);
	if (at != NULL) {
		*at = 'P';
		memmove(at + 1, at + strlen(pid), strlen(at + strlen(pid)) + 1);
	}
	return text;
}

static void
pipe_log(const struct log_conf *conf, int *reader)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fd_nonblock(fds[0]), 0);
	log_open(conf);
	log_to_fd(fds[1]);
	*reader = fds[0];
}

static void
test_escape(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "", "" },
		{ "plain <a@b> \"x\" \\", "plain <a@b> \"x\" \\" },
		{ "a\r\nNov 22 06:00:00", "a??Nov 22 06:00:00" },
		{ "\t\x1b[31m\x7f\x01", "??[31m??" },
		{ "gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x93\xa7",
		    "gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x93\xa7" },
		{ "\xc2\x80\xc2\x9f\xc2\xa0", "??\xc2\xa0" },	/* C1 */
		{ "\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9", "????" },
		{ "\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "???" },
		{ "\xe2\x80\xa8\xe2\x80\xa9", "??" },		/* U+2028 9 */
		{ "\xe2\x80\xaf\xe2\x81\xaa", "\xe2\x80\xaf\xe2\x81\xaa" },
		{ "\xff\xfe\x80", "???" },
		{ "\xc0\xaf", "??" },				/* overlong */
		{ "\xe0\x80\xaf", "???" },
		{ "\xed\xa0\x80", "???" },			/* surrogate */
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xf0\x9f\x93", "???" },			/* cut */
		{ "\xc3", "?" },
		{ "\xc3(", "?(" },
	};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		buf_init(&b, 1000);
		log_escape(str_of(rows[i].in), &b);
		assert_string_equal(buf_cstr(&b), rows[i].out);
		buf_free(&b);
	}
	buf_init(&b, 10);
	log_escape(STR("a\0b"), &b);
	assert_string_equal(buf_cstr(&b), "a?b");
	buf_free(&b);
}

static void
test_text(void **state)
{
	struct log_conf conf = plain;
	const char *text;
	int fd;

	(void)state;
	pipe_log(&conf, &fd);
	log_info("connect from %s", "x\n[1.2.3.4]");
	text = got(fd);
	/* "Nov 22 06:00:00 mx postfix/smtpd[P]: ..." */
	assert_true(strlen(text) > 16 && text[3] == ' ' && text[15] == ' ');
	assert_string_equal(text + 16,
	    "mx postfix/smtpd[P]: connect from x?[1.2.3.4]\n");
	log_mail(STR("4F\n"), "removed");
	assert_string_equal(got(fd) + 16,
	    "mx postfix/smtpd[P]: 4F?: removed\n");
	log_at(LL_WARN, STR("4F"), "%s", "x");
	assert_string_equal(got(fd) + 16,
	    "mx postfix/smtpd[P]: warning: 4F: x\n");
	log_error("x");
	assert_string_equal(got(fd) + 16, "mx postfix/smtpd[P]: error: x\n");
	log_at(LL_FATAL, STR(""), "x");
	assert_string_equal(got(fd) + 16, "mx postfix/smtpd[P]: fatal: x\n");
	log_at(LL_PANIC, STR(""), "x");
	assert_string_equal(got(fd) + 16, "mx postfix/smtpd[P]: panic: x\n");
	log_debug("x");
	assert_string_equal(got(fd), "");
	log_verbose(true);
	log_debug("x");
	assert_string_equal(got(fd) + 16, "mx postfix/smtpd[P]: x\n");
	log_verbose(false);
	close(fd);

	conf.syslog_name = "postfix/submission";
	conf.stamp = STAMP_RFC3339;
	pipe_log(&conf, &fd);
	log_info("x");
	text = got(fd);	/* 2026-11-22T06:00:00.123456+00:00 */
	assert_true(text[10] == 'T' && text[19] == '.' && text[29] == ':');
	assert_string_equal(text + 32,
	    " mx postfix/submission/smtpd[P]: x\n");
	close(fd);
}

static void
test_long(void **state)
{
	static char x[100000];
	int fd;

	(void)state;
	memset(x, 'x', sizeof(x) - 1);
	pipe_log(&plain, &fd);
	log_info("%s", x);
	assert_int_equal(strlen(got(fd) + 16),
	    strlen("mx postfix/smtpd[P]: \n") + 2000);
	close(fd);
}

static void
test_json(void **state)
{
	static const struct { const char *qid, *in, *out; } rows[] = {
		{ "4F", "removed",
		    "\"queue_id\":\"4F\",\"message\":\"removed\"}" },
		{ "", "a \"b\" \\", "\"message\":\"a \\\"b\\\" \\\\\"}" },
		{ "4F", "to=<a@b>, relay=virtual, delay=0.1, "
		    "delays=0/0/0/0.1, dsn=2.0.0, status=sent (size=3)",
		    "\"to\":\"a@b\",\"relay\":\"virtual\",\"delay\":0.1,"
		    "\"delays\":\"0/0/0/0.1\",\"dsn\":\"2.0.0\","
		    "\"status\":\"sent\"}" },
		{ "4F", "from=<>, size=42, nrcpt=1 (queue active)",
		    "\"from\":\"\",\"size\":42,\"nrcpt\":1}" },
		/* A stranger's local part is no list of pairs. */
		{ "4F", "to=<\"x> status=sent, dsn=2.0.0\"@b>, status=bounced"
		    " (no)", "\"to\":\"\\\"x> status=sent, dsn=2.0.0\\\"@b\","
		    "\"status\":\"bounced\"}" },
		{ "4F", "client=a[1.2.3.4], sasl_method=PLAIN, "
		    "sasl_username=u, status=sent",
		    "\"client\":\"a[1.2.3.4]\",\"sasl_method\":\"PLAIN\","
		    "\"sasl_username\":\"u, status=sent\"}" },
		{ "4F", "message-id=<x, status=sent>",
		    "\"message-id\":\"x, status=sent\"}" },
		{ "", "NOQUEUE: reject: RCPT from a[1]: 550 <to=<x>: no; "
		    "from=<s> to=<r> proto=ESMTP helo=<h>",
		    "\"from\":\"s\",\"to\":\"r\",\"proto\":\"ESMTP\","
		    "\"helo\":\"h\"}" },
		{ "4F", "size=007, size=8", "\"size\":\"007\"}" },
		{ "4F", "delay=1e9, uid=.5", "\"delay\":\"1e9\","
		    "\"uid\":\".5\"}" },
	};
	struct log_conf conf = plain;
	const char *text;
	size_t n, want;
	int fd;

	(void)state;
	conf.format = LOG_JSON;
	pipe_log(&conf, &fd);
	for (size_t i = 0; i < nitems(rows); i++) {
		log_mail(str_of(rows[i].qid), "%s", rows[i].in);
		text = got(fd);
		n = strlen(text);
		want = strlen(rows[i].out);
		assert_true(n > want + 1);
		assert_int_equal(text[n - 1], '\n');
		if (strncmp(text + n - 1 - want, rows[i].out, want) != 0)
			fail_msg("%s\n%s", text, rows[i].out);
		assert_non_null(strstr(text, "\"host\":\"mx.example.org\","
		    "\"process\":\"postfix/smtpd\",\"pid\":P,"
		    "\"level\":\"info\""));
	}
	close(fd);
}

/* The longest text, doubled by escapes: cut, but whole JSON, one line. */
static void
test_json_long(void **state)
{
	static char x[3000];
	struct log_conf conf = plain;
	const char *text;
	int fd;

	(void)state;
	conf.format = LOG_JSON;
	memset(x, '"', sizeof(x) - 1);
	pipe_log(&conf, &fd);
	log_mail(STR("4F"), "to=<%s", x);
	text = got(fd);
	assert_in_range(strlen(text), 1000, PIPE_BUF);
	assert_string_equal(text + strlen(text) - 3, "\"}\n");
	close(fd);
}

/* A pipe that nobody reads: lines wait, then are counted, none is torn. */
static void
test_full_pipe(void **state)
{
	static char x[901];
	const char *text;
	size_t lines = 0;
	unsigned long long lost = 0;
	int fd;

	(void)state;
	memset(x, 'x', sizeof(x) - 1);
	pipe_log(&plain, &fd);
	for (int i = 0; i < 1000; i++) {
		log_info("%s", x);
		if (i % 3 == 0)
			log_flush();
	}
	for (;;) {
		const char *end;

		text = got(fd);
		if (*text == '\0')
			break;
		for (; *text != '\0'; text = end + 1) {
			const char *at = strstr(text, "]: ");

			end = strchr(text, '\n');
			assert_non_null(end);
			assert_non_null(at);
			if (sscanf(at, "]: warning: %llu log lines were lost",
			    &lost) == 1)
				continue;
			assert_int_equal(end - at, 903);
			lines++;
		}
	}
	assert_true(lost > 0);
	assert_int_equal(lines + lost, 1000);
	close(fd);
}

static void
test_file(void **state)
{
	char path[] = "/tmp/postern-log-XXXXXX";
	int fd = mkstemp(path), other;

	(void)state;
	assert_int_not_equal(fd, -1);
	log_open(&plain);
	log_to_fd(dup(fd));
	other = open(path, O_WRONLY | O_APPEND);
	log_info("one");
	log_flush();
	assert_int_equal(write(other, "two\n", 4), 4);
	log_info("three");
	log_flush();
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	log_to_fd(-1);
	assert_non_null(strstr(got(fd), "one\ntwo\n"));
	close(other);
	close(fd);
	unlink(path);
}

/* A datagram socket stands for syslog: one event one datagram. */
static void
test_syslog(void **state)
{
	int fds[2];
	const char *text;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	log_open(&plain);
	log_to_fd(fds[1]);
	log_info("one");
	log_warn("two");
	text = got(fds[0]);
	assert_memory_equal(text, "<22>", 4);
	assert_string_equal(text + 20, "postfix/smtpd[P]: one");
	text = got(fds[0]);
	assert_memory_equal(text, "<20>", 4);
	assert_string_equal(text + 20, "postfix/smtpd[P]: warning: two");
	close(fds[0]);
	log_info("late");
	log_flush();
	assert_true(log_lost() && !log_waiting());
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	log_to_fd(fds[1]);
	log_info("three");
	assert_non_null(strstr(got(fds[0]), "late"));
	assert_non_null(strstr(got(fds[0]), "three"));
	assert_false(log_lost());
	close(fds[0]);
}

static void
test_die(void **state)
{
	int fd, status;
	pid_t pid;

	(void)state;
	pipe_log(&plain, &fd);
	pid = fork();
	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		die("no %s", "use");
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(got(fd), "fatal: no use\n"));
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_long),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_die),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
