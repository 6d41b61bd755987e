/*
 * trace - lines of mail logs: their forms, what they say, whom they name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tools/trace_line.h"

#define HEAD "Nov 27 04:12:26 mx postfix/"

static const struct {
	const char *line, *qid, *program, *event, *next;	/* qid NULL: none */
} lines[] = {
	{ HEAD "smtpd[1]: 4AB0C12: client=h[127.0.0.1]", "4AB0C12", "smtpd",
	    "received", "" },
	{ "2026-11-27T04:12:26.123456+00:00 mx postfix/submission/smtpd[1]: "
	    "4AB0C12: client=h[::1], sasl_method=PLAIN", "4AB0C12", "smtpd",
	    "received", "" },
	{ HEAD "pickup[2]: 4AB0C12: uid=0 from=<root>", "4AB0C12", "pickup",
	    "submitted", "" },
	{ HEAD "pickup[2]: 4AB0C12: uid=5 from=<a@b> orig_id=4AB0C11",
	    "4AB0C12", "pickup", "submitted", "4AB0C11" },
	{ HEAD "cleanup[2]: 4AB0C12: message-id=<x@y>", "4AB0C12", "cleanup",
	    "message-id", "" },
	{ HEAD "qmgr[2]: 4AB0C12: from=<a@b>, size=1, nrcpt=1 (queue active)",
	    "4AB0C12", "qmgr", "queued", "" },
	{ HEAD "qmgr[2]: 4AB0C12: from=<a@b>, status=expired, returned to "
	    "sender", "4AB0C12", "qmgr", "expired", "" },
	{ HEAD "virtual[2]: 4AB0C12: to=<a@b>, relay=virtual, dsn=2.0.0, "
	    "status=sent (delivered to maildir)", "4AB0C12", "virtual",
	    "sent", "" },
	{ HEAD "local[2]: 4AB0C12: to=<a@b>, relay=local, status=sent "
	    "(forwarded as 4AB0C13)", "4AB0C12", "local", "sent", "4AB0C13" },
	{ HEAD "smtp[2]: 4AB0C12: to=<a@b>, relay=h[1.2.3.4]:25, status=sent "
	    "(250 2.0.0 Ok: queued as 4AB0C14)", "4AB0C12", "smtp", "sent",
	    "4AB0C14" },
	{ HEAD "smtp[2]: 4AB0C12: to=<a@b>, orig_to=<c@d>, relay=none, "
	    "status=deferred (connect to h: status=sent)", "4AB0C12", "smtp",
	    "deferred", "" },
	{ HEAD "bounce[2]: 4AB0C12: sender non-delivery notification: "
	    "4AB0C15", "4AB0C12", "bounce", "report", "4AB0C15" },
	{ HEAD "qmgr[2]: 4AB0C12: removed", "4AB0C12", "qmgr", "removed", "" },
	{ HEAD "cleanup[2]: warning: 4AB0C12: client=x: odd", "4AB0C12",
	    "cleanup", "warning", "" },
	{ "{\"time\":\"2026-11-27T04:12:26Z\",\"host\":\"mx\",\"process\":"
	    "\"postfix/qmgr\",\"pid\":7,\"level\":\"info\",\"queue_id\":"
	    "\"4AB0C12\",\"message\":\"removed\",\"x\":\"a\\\"b\"}",
	    "4AB0C12", "qmgr", "removed", "" },
	{ HEAD "smtpd[1]: connect from h[127.0.0.1]", NULL, NULL, NULL, NULL },
	{ HEAD "smtpd[1]: NOQUEUE: reject: RCPT from h", NULL, NULL, NULL,
	    NULL },
	{ "Nov 27 04:12:26 mx kernel: 4AB0C12: removed", "4AB0C12", "kernel",
	    "removed", "" },
	{ "", NULL, NULL, NULL, NULL },
	{ "{", NULL, NULL, NULL, NULL },
	{ "{\"queue_id\":\"../x\",\"message\":\"removed\"}", NULL, NULL, NULL,
	    NULL },
	{ HEAD, NULL, NULL, NULL, NULL },
};

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(lines); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct trace_line l;
		bool got = trace_line_parse(str_of(lines[i].line), arena, &l);

		assert_int_equal(got, lines[i].qid != NULL);
		if (got) {
			assert_true(str_eq(l.qid, str_of(lines[i].qid)));
			assert_true(str_eq(l.program,
			    str_of(lines[i].program)));
			assert_string_equal(trace_event_names[l.event],
			    lines[i].event);
			assert_true(str_eq(l.next, str_of(lines[i].next)));
			assert_true(str_eq(l.time, STR("Nov 27 04:12:26")) ||
			    str_starts(l.time, STR("2026-")));
		}
		arena_free(&arena);
	}
}

static void
test_names(void **state)
{
	static const struct { const char *line, *what; bool names; } t[] = {
		{ "4AB0C12: message-id=<x@y>", "<x@y>", true },
		{ "4AB0C12: message-id=<x@y>", "x@y", true },
		{ "4AB0C12: message-id=<x@yy>", "<x@y>", false },
		{ "4AB0C12: removed", "4AB0C12", true },
		{ "4AB0C12: removed", "4AB0C1", false },
		{ "4AB0C12: from=<A@B>, size=1", "a@b", true },
		{ "4AB0C12: to=<a@b>, orig_to=<c@d>, x", "c@d", true },
		{ "4AB0C12: to=<a@b>, orig_to=<c@d>, x", "d@c", false },
		{ "4AB0C12: to=<a@b>, status=sent (from=<c@d>)", "c@d", true },
		{ "4AB0C12: uid=0 from=<root>", "root", false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct arena *arena = arena_new(1 << 20);
		const char *line = arena_printf(arena, HEAD "x[1]: %s",
		    t[i].line);
		struct trace_line l;

		assert_true(trace_line_parse(str_of(line), arena, &l));
		assert_int_equal(trace_line_names(&l, str_of(t[i].what)),
		    t[i].names);
		arena_free(&arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
