/*
 * bounce - the text of reports, piece by piece, against what Postfix writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "qmgr/report.h"
#include "sys/sys.h"

#define HEADERS "Subject: hi\r\nMessage-ID: <m@x>\r\n\r\n"
#define BODY "line one\r\nlast"

static struct report_site site = {
	.myhostname = { "mx.example.org", 14 },
	.maximal_queue_lifetime = 5 * 86400,
	.bounce_size_limit = 50000,
};

struct fixture {
	struct queue_rcpt rcpts[3];
	struct queue_message msg;
	struct report r;
};

/* As main_bounce.c makes them. */
static int
set_up(void **state)
{
	struct problems problems = { NULL, 0 };
	struct conf *conf = conf_empty("/nonexistent");

	(void)state;
	conf_override(conf, STR("myhostname"), site.myhostname);
	conf_override(conf, STR("delay_warning_time"), STR("4h"));
	templates_builtin(&site.templates, false);
	for (size_t k = 0; k < TEMPLATE__MAX; k++) {
		struct buf text;

		buf_init(&text, TEMPLATE_FILE_MAX);
		assert_true(template_expand(&site.templates,
		    (enum template_kind)k, conf, &text, &problems));
		site.text[k] = str_of(mem_strdup(buf_cstr(&text)));
		buf_free(&text);
	}
	conf_free(&conf);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (size_t k = 0; k < TEMPLATE__MAX; k++) {
		char *text;

		memcpy(&text, &site.text[k].p, sizeof(text));
		mem_free(text);
	}
	return 0;
}

/* A message in a memory file; three recipients: failed, delayed, sent. */
static void
make(struct fixture *f, enum report_kind kind)
{
	int fd = memfd_create("message", 0);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, BODY HEADERS,
	    sizeof(BODY HEADERS) - 1), 0);
	memset(f, 0, sizeof(*f));
	f->rcpts[0] = (struct queue_rcpt){ .address = STR("a b@example.net"),
		.status = RCPT_BOUNCED, .dsn = STR("5.1.1"),
		.text = STR("unknown user"), .dsn_orcpt =
		STR("rfc822;a@example.net") };
	f->rcpts[1] = (struct queue_rcpt){ .address = STR("b@example.net"),
		.original = STR("alias@example.org"), .status = RCPT_DEFERRED,
		.dsn = STR("4.4.1"), .text = STR("connect to it: timed out"),
		.remote_mta = STR("dns; it.example.net"),
		.diagnostic = STR("smtp; 450 later") };
	f->rcpts[2] = (struct queue_rcpt){ .address = STR("c@example.net"),
		.status = RCPT_SENT, .dsn = STR("2.0.0"), .text = STR("ok"),
		.dsn_notify = DSN_NOTIFY_SUCCESS };
	f->msg = (struct queue_message){ .id = "4AB0C", .arrival_us =
		1000000, .size = 30, .body_off = 0,
		.body_len = sizeof(BODY) - 1, .header_off = sizeof(BODY) - 1,
		.header_len = sizeof(HEADERS) - 1,
		.sender = STR("me@example.org"), .rcpts = f->rcpts,
		.nrcpts = nitems(f->rcpts) };
	f->r = (struct report){ .site = &site, .msg = &f->msg, .fd = fd,
		.kind = kind, .to = f->msg.sender, .now_s = 99 };
}

static char *
text_of(struct fixture *f, struct buf *b)
{
	enum report_next next;

	buf_init(b, 1 << 20);
	while ((next = report_next(&f->r, b)) == REPORT_MORE)
		;
	assert_int_equal(next, REPORT_END);
	close(f->r.fd);
	(void)buf_cstr(b);
	return b->p;
}

static void
test_failure(void **state)
{
	static const char want[] =
	    "From: Mail Delivery System <MAILER-DAEMON>\r\n"
	    "Subject: Undelivered Mail Returned to Sender\r\n"
	    "To: me@example.org\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"4AB0C.99/mx.example.org\"\r\n"
	    "\r\n"
	    "This is a MIME-encapsulated message.\r\n"
	    "\r\n"
	    "--4AB0C.99/mx.example.org\r\n"
	    "Content-Description: Notification\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "This is the mail system at host mx.example.org.\r\n"
	    "\r\n"
	    "I'm sorry to have to inform you that your message could not\r\n"
	    "be delivered to one or more recipients. It's attached below.\r\n"
	    "\r\n"
	    "For further assistance, please send mail to postmaster.\r\n"
	    "\r\n"
	    "If you do so, please include this problem report. You can\r\n"
	    "delete your own text from the attached returned message.\r\n"
	    "\r\n"
	    "                   The mail system\r\n"
	    "\r\n"
	    "<\"a b\"@example.net>: unknown user\r\n"
	    "\r\n"
	    "--4AB0C.99/mx.example.org\r\n"
	    "Content-Description: Delivery report\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; mx.example.org\r\n"
	    "X-Postfix-Queue-ID: 4AB0C\r\n"
	    "X-Postfix-Sender: rfc822; me@example.org\r\n"
	    "Arrival-Date: Thu,  1 Jan 1970 00:00:01 +0000 (UTC)\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; \"a b\"@example.net\r\n"
	    "Original-Recipient: rfc822;a@example.net\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Diagnostic-Code: X-Postfix; unknown user\r\n"
	    "\r\n"
	    "--4AB0C.99/mx.example.org\r\n"
	    "Content-Description: Undelivered Message\r\n"
	    "Content-Type: message/rfc822\r\n"
	    "\r\n"
	    "Return-Path: <me@example.org>\r\n"
	    HEADERS BODY "\r\n"
	    "\r\n"
	    "--4AB0C.99/mx.example.org--\r\n";
	struct fixture f;
	struct buf b;

	(void)state;
	make(&f, REPORT_FAILURE);
	assert_string_equal(text_of(&f, &b), want);
	buf_free(&b);
}

static void
test_delay(void **state)
{
	static const char *const parts[] = {
		"Subject: Delayed Mail (still being retried)\r\n",
		"for more than 4 hour(s).\r\nIt will be retried until it is 5 "
		    "day(s) old.\r\n",
		"<b@example.net> (expanded from <alias@example.org>): connect "
		    "to it: timed out\r\n",
		"Final-Recipient: rfc822; b@example.net\r\n"
		    "Original-Recipient: rfc822; alias@example.org\r\n"
		    "Action: delayed\r\nStatus: 4.4.1\r\n"
		    "Remote-MTA: dns; it.example.net\r\n"
		    "Diagnostic-Code: smtp; 450 later\r\n"
		    "Will-Retry-Until: Tue,  6 Jan 1970 00:00:01 ",
	};
	struct fixture f;
	struct buf b;
	char *text;

	(void)state;
	make(&f, REPORT_DELAY);
	text = text_of(&f, &b);
	for (size_t i = 0; i < nitems(parts); i++)
		assert_non_null(strstr(text, parts[i]));
	assert_null(strstr(text, "c@example.net"));
	buf_free(&b);
}

/* RET=HDRS, a large message, a copy for postmaster, SMTPUTF8. */
static void
test_forms(void **state)
{
	static const struct {
		bool headers_only, postmaster;
		unsigned flags;
		uint64_t size;
		const char *there, *not_there;
	} t[] = {
		{ true, false, 0, 30, "Content-Description: Undelivered "
		    "Message Headers\r\nContent-Type: text/rfc822-headers\r\n",
		    "line one" },
		{ false, false, 0, 50001, "text/rfc822-headers\r\n",
		    "line one" },
		{ false, true, 0, 30, "Subject: Postmaster Copy: Undelivered "
		    "Mail\r\n", "I'm sorry" },
		{ false, false, QMF_SMTPUTF8, 30,
		    "Content-Type: message/global-delivery-status\r\n",
		    "rfc822-headers" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct fixture f;
		struct buf b;
		char *text;

		make(&f, REPORT_FAILURE);
		f.r.headers_only = t[i].headers_only;
		f.r.postmaster = t[i].postmaster;
		f.msg.flags = t[i].flags;
		f.msg.size = t[i].size;
		text = text_of(&f, &b);
		assert_non_null(strstr(text, t[i].there));
		assert_null(strstr(text, t[i].not_there));
		buf_free(&b);
	}
}

static void
test_notify(void **state)
{
	static const enum report_kind kinds[] = { ['F'] = REPORT_FAILURE,
		['D'] = REPORT_DELAY, ['S'] = REPORT_SUCCESS };
	static const struct {
		unsigned status, notify;
		char kind;
		bool postmaster, named;
	} t[] = {
		{ RCPT_BOUNCED, 0, 'F', false, true },
		{ RCPT_BOUNCED, DSN_NOTIFY_FAILURE, 'F', false, true },
		{ RCPT_BOUNCED, DSN_NOTIFY_NEVER, 'F', false, false },
		{ RCPT_BOUNCED, DSN_NOTIFY_SUCCESS, 'F', false, false },
		{ RCPT_BOUNCED, DSN_NOTIFY_NEVER, 'F', true, true },
		{ RCPT_REPORTED, 0, 'F', false, false },
		{ RCPT_DEFERRED, 0, 'F', false, false },
		{ RCPT_DEFERRED, 0, 'D', false, true },
		{ RCPT_DEFERRED, DSN_NOTIFY_FAILURE, 'D', false, false },
		{ RCPT_DEFERRED, DSN_NOTIFY_DELAY, 'D', false, true },
		{ RCPT_SENT, 0, 'S', false, false },
		{ RCPT_SENT, DSN_NOTIFY_SUCCESS, 'S', false, true },
		{ RCPT_REPORTED, DSN_NOTIFY_SUCCESS, 'S', false, false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct queue_rcpt rcpt = { .status = t[i].status,
			.dsn_notify = t[i].notify };
		struct queue_message m = { .rcpts = &rcpt, .nrcpts = 1 };
		struct report r = { .site = &site, .msg = &m,
			.kind = kinds[(unsigned char)t[i].kind],
			.postmaster = t[i].postmaster };

		assert_int_equal(report_names(&r, 0), t[i].named);
	}
}

static void
test_wrap(void **state)
{
	static const struct { const char *in, *out; } t[] = {
		{ "short", "short\r\n" },
		{ "", "\r\n" },
		{ "one\r\ntwo\x01\xff", "one??two??\r\n" },
		{ "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee fffffffff "
		    "ggggggggg hhhhhhhhh i j",
		    "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee "
		    "fffffffff ggggggggg hhhhhhhhh\r\n    i j\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct buf b;

		buf_init(&b, 4096);
		report_wrap(&b, str_of(t[i].in), false);
		assert_string_equal(buf_cstr(&b), t[i].out);
		buf_free(&b);
	}
}

/* Ten thousand recipients: no piece is larger than its limit. */
static void
test_many(void **state)
{
	enum { N = 10000 };
	struct queue_rcpt *rcpts = mem_new(N * sizeof(*rcpts));
	enum report_next next = REPORT_MORE;
	struct fixture f;
	struct buf b;
	size_t pieces = 0, told = 0;

	(void)state;
	make(&f, REPORT_FAILURE);
	for (size_t i = 0; i < N; i++)
		rcpts[i] = f.rcpts[0];
	f.msg.rcpts = rcpts;
	f.msg.nrcpts = N;
	buf_init(&b, REPORT_PIECE_MAX + 1);
	while (next == REPORT_MORE) {
		buf_clear(&b);
		next = report_next(&f.r, &b);
		assert_false(b.full);
		for (const char *p = buf_cstr(&b);
		    (p = strstr(p, "Final-Recipient")) != NULL; p++)
			told++;
		pieces++;
	}
	assert_int_equal(next, REPORT_END);
	assert_int_equal(told, N);
	assert_true(pieces > 50);
	close(f.r.fd);
	buf_free(&b);
	mem_free(rcpts);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_many),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
