/*
 * cleanup_checks: what header_checks, body_checks and their kin do to a
 * message, in any cut of its bytes.
 */
#include "cleanup/cleanup.h"
#include "tests/unit/cleanup_rig.h"

#define RULES(where) \
    "pcre:{ {/^X-Ignore/ IGNORE} {/^X-Strip/ STRIP with text}" \
    " {/^X-Reject$$/ DUNNO} {/^X-Reject: (.*)/ REJECT no $$1}" \
    " {/^X-Bare/ REJECT} {/^X-Later/ REJECT 4.7.9 later}" \
    " {/^X-Code/ REJECT 5.6.3 Coded} {/^X-Odd/ REJECT 2.0.0 odd}" \
    " {/^X-Hold/ HOLD held} {/^X-Discard/ DISCARD}" \
    " {/^X-Filter: (.*)/ FILTER $$1} {/^X-NoRoute/ FILTER x}" \
    " {/^X-Redirect/ REDIRECT to@elsewhere.net} {/^X-NoAt/ REDIRECT x}" \
    " {/^X-Bcc: (.*)/ BCC $$1} {/^X-Pass/ PASS}" \
    " {/^X-Prepend: (.*)/ PREPEND X-Before: $$1}" \
    " {/^X-PreBad/ PREPEND no field} {/^X-RepBad/ REPLACE no field}" \
    " {/^X-Replace: (.*)/ REPLACE X-New: $$1}" \
    " {/^X-Cc: (.*)/ REPLACE Cc: $$1}" \
    " {/^X-Fold: (a.*)/ REPLACE X-Folded: $$1}" \
    " {/^X-Warn/ WARN} {/^X-Info/ INFO text} {/^X-Unknown/ NOSUCH thing}" \
    " {/^X-Where/ REPLACE X-Was: " where "} }"

static const char main_cf[] =
    "compatibility_level = 3.6\n"
    "myhostname = mail.example.org\n"
    "myorigin = example.org\n"
    "mydestination = example.org\n"
    "header_size_limit = 200\n"
    "line_length_limit = 100\n"
    "mime_nesting_limit = 1\n"
    "message_reject_characters = \\1\\177\n"
    "message_strip_characters = \\0\\2\n"
    "body_checks_size_limit = 100\n"
    "header_checks = " RULES("header") "\n"
    "mime_header_checks = pcre:{ {/^Content-Id: (.*)/ REPLACE X-Mime: $$1}"
    " {/^X-Where/ REPLACE X-Was: mime} {/^X-Part/ IGNORE} }\n"
    "nested_header_checks = pcre:{ {/^X-Where/ REPLACE X-Was: nested} }\n"
    "body_checks = pcre:{ {/^b-ignore/ IGNORE} {/^b-strip/ STRIP}"
    " {/^b-replace (.*)/ REPLACE new $$1} {/^b-prepend/ PREPEND before}"
    " {/^b-reject/ REJECT 5.7.8 body} {/^b-hold/ HOLD}"
    " {/^X-Where/ REPLACE was body} {/^b-long/ REPLACE long} }\n";

static int
begin_group(void **state)
{
	return rig_begin(state, main_cf);
}

#define MULTI "Content-Type: multipart/mixed; boundary=B\r\n"
#define TEN	"0123456789"

struct row {
	const char *what, *in;
	const char *out;	/* behind Received:; or the code of a refusal */
};
static const struct row rows[] = {
	{ "nothing matches", "A: b\r\n\r\nx\r\n", "A: b\r\n\r\nx\r\n" },
	{ "IGNORE and STRIP", "A: b\r\nX-Ignore: x\r\n y\r\nX-Strip: z\r\n"
	    "C: d\r\n\r\n", "A: b\r\nC: d\r\n\r\n" },
	{ "REPLACE", "X-Replace: v w\r\n\r\n", "X-New: v w\r\n\r\n" },
	{ "what replaces is a header like others: it is rewritten",
	    "X-Cc: joe@host.net.\r\n\r\n", "Cc: joe@host.net\r\n\r\n" },
	{ "a fold that a rule keeps is a fold again",
	    "X-Fold: a\r\n b\r\n\r\n", "X-Folded: a\r\n b\r\n\r\n" },
	{ "PREPEND", "A: b\r\nX-Prepend: v\r\n\r\n",
	    "A: b\r\nX-Before: v\r\nX-Prepend: v\r\n\r\n" },
	{ "what is wrong in a table changes nothing",
	    "X-PreBad: 1\r\nX-RepBad: 2\r\nX-NoRoute: 3\r\nX-NoAt: 4\r\n"
	    "X-Unknown: 5\r\nX-Warn: 6\r\nX-Info: 7\r\n\r\n",
	    "X-PreBad: 1\r\nX-RepBad: 2\r\nX-NoRoute: 3\r\nX-NoAt: 4\r\n"
	    "X-Unknown: 5\r\nX-Warn: 6\r\nX-Info: 7\r\n\r\n" },
	{ "REJECT", "X-Reject: bad\r\n\r\n", "5.7.1 no bad" },
	{ "REJECT without text", "X-Bare: x\r\n\r\n",
	    "5.7.1 message content rejected" },
	{ "REJECT with a code", "X-Code: x\r\n\r\n", "5.6.3 Coded" },
	{ "REJECT for now", "X-Later: x\r\n\r\n", "4.7.9 later" },
	{ "REJECT with a code that is none", "X-Odd: x\r\n\r\n",
	    "4.7.1 odd" },
	{ "PASS ends it", "X-Pass: x\r\nX-Ignore: y\r\n\r\nb-ignore\r\n",
	    "X-Pass: x\r\nX-Ignore: y\r\n\r\nb-ignore\r\n" },
	{ "so does REDIRECT", "X-Redirect: x\r\nX-Ignore: y\r\n\r\n",
	    "X-Redirect: x\r\nX-Ignore: y\r\n\r\n" },
	{ "MIME headers have their own tables", "Content-ID: x\r\n"
	    "X-Where: 1\r\nX-Part: 2\r\n\r\n",
	    "X-Mime: x\r\nX-Was: header\r\nX-Part: 2\r\n\r\n" },
	{ "parts", MULTI "\r\nX-Where: prolog\r\n--B\r\nX-Where: part\r\n"
	    "X-Part: 1\r\nC: d\r\n\r\nX-Where: text\r\n--B--\r\n",
	    MULTI "\r\nwas body\r\n--B\r\nX-Was: mime\r\nC: d\r\n\r\n"
	    "was body\r\n--B--\r\n" },
	{ "attached messages", "Content-Type: message/rfc822\r\n\r\n"
	    "X-Where: 1\r\nContent-Id: 2\r\n\r\nX-Where: 3\r\n",
	    "Content-Type: message/rfc822\r\n\r\nX-Was: nested\r\n"
	    "X-Mime: 2\r\n\r\nwas body\r\n" },
	{ "body", "A: b\r\n\r\na\r\nb-ignore\r\nb-strip\r\nb-replace x y\r\n"
	    "b-prepend\r\nlast",
	    "A: b\r\n\r\na\r\nnew x y\r\nbefore\r\nb-prepend\r\nlast\r\n" },
	{ "REJECT by the body", "A: b\r\n\r\nx\r\nb-reject\r\nb-hold\r\n",
	    "5.7.8 body" },
	{ "body_checks_size_limit", "A: b\r\n\r\n" TEN TEN TEN TEN "\r\n"
	    TEN TEN TEN TEN TEN "\r\nb-ignore\r\nb-ignore 2\r\n",
	    "A: b\r\n\r\n" TEN TEN TEN TEN "\r\n" TEN TEN TEN TEN TEN "\r\n"
	    "b-ignore 2\r\n" },
	{ "pieces of a long line", "A: b\r\n\r\nb-long" TEN TEN TEN TEN TEN
	    TEN TEN TEN TEN TEN TEN "\r\n",
	    "A: b\r\n\r\nlong4567890123456789\r\n" },
	{ "characters that are taken out", "A: bQc\r\n\r\nxQQyQ\r\n",
	    "A: bc\r\n\r\nxy\r\n" },
	{ "characters that refuse, in a header", "A: b\x7f\r\n\r\n",
	    "5.7.1 disallowed character" },
	{ "characters that refuse, in the body", "A: b\r\n\r\nx\ry\001z\r\n",
	    "5.7.1 disallowed character" },
	{ "parts that are nested too deeply",
	    "Content-Type: multipart/x; boundary=1\r\n\r\n--1\r\n"
	    "Content-Type: multipart/x; boundary=2\r\n\r\n--2\r\n"
	    "Content-Type: multipart/x; boundary=3\r\n\r\n--3\r\n"
	    "Content-Type: multipart/x; boundary=4\r\n\r\n--4\r\n",
	    "5.6.0 MIME nesting exceeds safety limit" },
};

static struct mail *
give(struct fixture *f, const char *text, size_t piece, uint64_t flags)
{
	struct msg_mail_begin b = { .sender = STR("s@remote.net"),
	    .client_name = STR("client.remote.net"), .flags = flags,
	    .client_addr = STR("192.0.2.1"), .helo = STR("helo.remote"),
	    .rewrite_domain = STR("local"),
	    .protocol = STR("ESMTP"), .arrival_us = 1763702221000000 };
	struct mail *m;
	char copy[2000];
	struct str in;

	/* A quoted zero would end a string: Q stands for it. */
	snprintf(copy, sizeof(copy), "%s", text);
	in = str_of(copy);
	for (size_t i = 0; strstr(text, "bQc") != NULL && i < in.n; i++)
		if (copy[i] == 'Q')
			copy[i] = i % 2 == 0 ? '\0' : '\2';
	m = mail_new(&f->c, &b);
	m->given = 1;
	m->last_given = STR("r@example.org");
	recipient_add(m, STR("r@example.org"), STR(""), 0);
	for (; in.n > 0; in = str_from(in, piece))
		content_take(m, str_first(in, piece));
	(void)mail_finish(m);
	return m;
}

static void
read_back(struct fixture *f, struct mail *m, struct buf *out)
{
	struct buf all;
	const char *end;

	buf_init(&all, 1 << 24);
	rig_take(f, m, &all);
	/* Received: has three lines; what is added comes at the end. */
	end = strstr(buf_cstr(&all), "(UTC)\r\n") + 7;
	for (char *mid = strstr(end, "Message-Id: <"); mid != NULL;
	    mid = NULL) {
		char *from = strstr(mid, "From: s@remote.net\r\n") + 20;

		buf_add(out, end, (size_t)(mid - end));
		end = from;
	}
	buf_puts(out, end);
	buf_free(&all);
}

static void
expect(struct fixture *f, const struct row *row, size_t piece)
{
	struct mail *m = give(f, row->in, piece, 0);
	struct buf out;

	buf_init(&out, 1 << 20);
	if (m->status != MAIL_OK)
		buf_printf(&out, STRF " " STRF, STRV(m->dsn),
		    STRV(m->reason));
	else
		read_back(f, m, &out);
	if (strcmp(buf_cstr(&out), row->out) != 0)
		fail_msg("%s, pieces of %zu:\n%s\nnot\n%s", row->what, piece,
		    buf_cstr(&out), row->out);
	buf_free(&out);
	mail_free(&m);
}

static void
test_rows(void **state)
{
	for (size_t i = 0; i < nitems(rows); i++)
		for (size_t piece = 1; piece < 600;
		    piece += piece < 8 ? 1 : 97)
			expect(*state, &rows[i], piece);
}

/* What concerns the message as a whole. */
static void
test_whole(void **state)
{
	struct fixture *f = *state;
	struct mail *m;

	m = give(f, "X-Discard: x\r\nX-Reject: y\r\n\r\n", 5, 0);
	assert_int_equal(m->status, MAIL_OK);
	assert_true(m->discard);
	mail_free(&m);
	m = give(f, "A: b\r\n\r\nb-hold\r\n", 5, 0);
	assert_int_equal(m->status, MAIL_OK);
	assert_true(m->hold);
	mail_free(&m);
	m = give(f, "X-Filter: smtp:[a]:25\r\nX-Filter: smtp:b\r\n\r\n", 5,
	    0);
	assert_true(str_eq(m->filter, STR("smtp:b")));
	mail_free(&m);
	m = give(f, "X-Bcc: x@y.net\r\nX-Bcc: x@y.net\r\n\r\n", 5, 0);
	assert_int_equal(m->nrcpts, 2);
	assert_true(str_eq(m->rcpts[1].address, STR("x@y.net")));
	assert_int_equal(m->rcpts[1].dsn_notify, DSN_NOTIFY_NEVER);
	mail_free(&m);
	m = give(f, "X-Redirect: x\r\n\r\n", 5, 0);
	assert_int_equal(m->nrcpts, 1);
	assert_true(str_eq(m->rcpts[0].address, STR("to@elsewhere.net")));
	mail_free(&m);
}

/* no_header_body_checks, and our own reports. */
static void
test_not_inspected(void **state)
{
	static const uint64_t flags[] = { MAIL_NO_CHECKS, MAIL_BOUNCE };
	struct fixture *f = *state;

	for (size_t i = 0; i < nitems(flags); i++) {
		struct mail *m = give(f, "X-Reject: x\r\n\r\nb-reject\001\r\n",
		    7, flags[i]);

		assert_int_equal(m->status, MAIL_OK);
		mail_free(&m);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows), cmocka_unit_test(test_whole),
		cmocka_unit_test(test_not_inspected),
	};

	return cmocka_run_group_tests(tests, begin_group, rig_end);
}
