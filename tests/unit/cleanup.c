/* cleanup: what becomes of headers, addresses and content, byte for byte. */
#include <fcntl.h>
#include "cleanup/cleanup.h"
#include "sys/sys.h"
#include "tests/unit/cleanup_rig.h"

static const char main_cf[] =
    "compatibility_level = 3.6\n"
    "myhostname = mail.example.org\n"
    "mydomain = example.org\n"
    "myorigin = example.org\n"
    "mydestination = example.org, localhost\n"
    "mail_name = Postern\n"
    "append_dot_mydomain = yes\n"
    "recipient_delimiter = +\n"
    "hopcount_limit = 5\n"
    "message_size_limit = 200000\n"
    "header_size_limit = 200\n"
    "header_section_size_limit = 20000\n"
    "undisclosed_recipients_header = To: undisclosed-recipients:;\n"
    "virtual_alias_expansion_limit = 5\n"
    "virtual_alias_recursion_limit = 4\n"
    "virtual_alias_maps = inline:{ {one@example.org=two},"
    " {list@example.org = a@x.net, \"b c\"@x.net, a@x.net, list},"
    " {@old.example=@new.example}, {loop1@x.net=loop2@x.net},"
    " {loop2@x.net=loop1@x.net}, {user@tag.example=box@tag.net},"
    " {big@x.net=1@y.net 2@y.net 3@y.net 4@y.net 5@y.net 6@y.net,"
    " 1@y.net, 2@y.net, 3@y.net, 4@y.net, 5@y.net, 6@y.net} }\n";

static int
begin_group(void **state)
{
	return rig_begin(state, main_cf);
}

static struct msg_mail_begin
local_begin(void)
{
	return (struct msg_mail_begin){ .flags = MAIL_LOCAL_CLIENT,
		.sender = STR("joe"), .received_from = STR("userid 7"),
		.full_name = STR("Joe Doe"), .arrival_us = 1763702221000000 };
}

static struct msg_mail_begin
remote_begin(void)
{
	return (struct msg_mail_begin){ .sender = STR("s@remote.net"),
		.client_name = STR("client.remote.net"),
		.client_addr = STR("192.0.2.1"), .helo = STR("helo.remote"),
		.protocol = STR("ESMTP"), .arrival_us = 1763702221000000 };
}

/* The id as QID, the stamp of a Message-Id as STAMP. */
static void
anonymize(struct buf *out, struct str s, struct str id)
{
	while (s.n > 0) {
		if (str_starts(s, id)) {
			if (out->n >= 15 && out->p[out->n - 1] == '.' &&
			    out->p[out->n - 16] == '<') {
				out->n -= 15;
				buf_puts(out, "STAMP.");
			}
			buf_puts(out, "QID");
			s = str_from(s, id.n);
			continue;
		}
		buf_putc(out, s.p[0]);
		s = str_from(s, 1);
	}
}

/* Header and body as they stand in the queue file. */
static void
read_back(struct fixture *f, struct mail *m, struct buf *out)
{
	struct buf all;

	buf_init(&all, 1 << 24);
	rig_take(f, m, &all);
	anonymize(out, buf_view(&all), m->id);
	buf_free(&all);
}

#define LOCAL_RECEIVED \
	"Received: by mail.example.org (Postern, from userid 7)\r\n" \
	"\tid QID; Fri, 21 Nov 2025 05:17:01 +0000 (UTC)\r\n"
#define REMOTE_RECEIVED \
	"Received: from helo.remote (client.remote.net [192.0.2.1])\r\n" \
	"\tby mail.example.org (Postern) with ESMTP id QID\r\n" \
	"\tfor <r@example.org>; Fri, 21 Nov 2025 05:17:01 +0000 (UTC)\r\n"
#define MID	"Message-Id: <STAMP.QID@mail.example.org>\r\n"
#define DATE	"Date: Fri, 21 Nov 2025 05:17:01 +0000 (UTC)\r\n"
#define FROM	"From: Joe Doe <joe@example.org>\r\n"
#define NOBODY	"To: undisclosed-recipients:;\r\n"
#define TEN	"0123456789"
#define FIFTY	TEN TEN TEN TEN TEN

static const struct {
	const char *what;
	bool	    local;
	const char *in, *out;
} messages[] = {
	{ "remote mail is left alone", false,
	    "Subject: x\r\n\r\nbody\r\n",
	    REMOTE_RECEIVED "Subject: x\r\n\r\nbody\r\n" },
	{ "a remote From without domain is left alone", false,
	    "From: joe\r\n\r\n", REMOTE_RECEIVED "From: joe\r\n\r\n" },
	{ "nothing at all", true, "",
	    LOCAL_RECEIVED MID DATE FROM NOBODY "\r\n" },
	{ "no header: all is body", true, "hello\r\nFrom: me\r\n",
	    LOCAL_RECEIVED MID DATE FROM NOBODY "\r\nhello\r\nFrom: me\r\n" },
	{ "missing fields come last", true,
	    "Subject: x\r\nTo: r\r\n\r\nb\r\n",
	    LOCAL_RECEIVED "Subject: x\r\nTo: r@example.org\r\n"
	    MID DATE FROM "\r\nb\r\n" },
	{ "complete", true,
	    "Message-ID: <1@x>\r\nDate: now\r\nFrom: a@b.c\r\nCc: d@e.f\r\n"
	    "\r\n",
	    LOCAL_RECEIVED "Message-ID: <1@x>\r\nDate: now\r\n"
	    "From: a@b.c\r\nCc: d@e.f\r\n\r\n" },
	{ "resent", true,
	    "Resent-To: r\r\nMessage-ID: <1@x>\r\nDate: d\r\nFrom: a@b.c\r\n"
	    "To: z@b.c\r\n\r\n",
	    LOCAL_RECEIVED "Resent-To: r@example.org\r\n"
	    "Message-ID: <1@x>\r\nDate: d\r\nFrom: a@b.c\r\nTo: z@b.c\r\n"
	    "Resent-" MID "Resent-" DATE "Resent-" FROM "\r\n" },
	{ "dropped fields", false,
	    "Bcc: x@y\r\n z@y\r\nReturn-Path: <a@b>\r\nContent-Length: 3\r\n"
	    "Subject: x\r\nresent-bcc: q\r\n\r\n",
	    REMOTE_RECEIVED "Subject: x\r\n\r\n" },
	{ "blanks before the colon go", false,
	    "Subject \t: x\r\n\r\n", REMOTE_RECEIVED "Subject: x\r\n\r\n" },
	{ "folds stay", false,
	    "Subject: x\r\n\ty\r\n   \r\n z\r\n\r\n",
	    REMOTE_RECEIVED "Subject: x\r\n\ty\r\n   \r\n z\r\n\r\n" },
	{ "a line that is no field ends the header", false,
	    "Subject: x\r\nhello there\r\nA: b\r\n",
	    REMOTE_RECEIVED "Subject: x\r\n\r\nhello there\r\nA: b\r\n" },
	{ "a fold before any field is body", false,
	    " A: b\r\n", REMOTE_RECEIVED "\r\n A: b\r\n" },
	{ "last line without an end", false,
	    "A: b\r\n\r\nend", REMOTE_RECEIVED "A: b\r\n\r\nend\r\n" },
	{ "header without an end", false, "A: b",
	    REMOTE_RECEIVED "A: b\r\n\r\n" },
	{ "stray CR and LF", false,
	    "A: b\rc\nd\r\n\r\nx\r.\ry\n.\n\r\nz\r",
	    REMOTE_RECEIVED "A: b c d\r\n\r\nx . y . \r\nz \r\n" },
	{ "CR CR LF", false,
	    "A: b\r\n\r\nx\r\r\n\r\r\n",
	    REMOTE_RECEIVED "A: b\r\n\r\nx \r\n \r\n" },
	{ "NUL stays", false, "A: b\r\n\r\nx?y\r\n",
	    REMOTE_RECEIVED "A: b\r\n\r\nx?y\r\n" },
	{ "mbox line of a client", false,
	    "From joe Sat\r\nA: b\r\n\r\n",
	    REMOTE_RECEIVED "X-Mailbox-Line: From joe Sat\r\nA: b\r\n\r\n" },
	{ "mbox line of sendmail", true,
	    ">From joe Sat\r\nTo: a@b.c\r\nMessage-Id: <x>\r\n\r\n",
	    LOCAL_RECEIVED "To: a@b.c\r\nMessage-Id: <x>\r\n" DATE FROM
	    "\r\n" },
	{ "mbox lines of sendmail", true,
	    "From joe Sat\r\nFrom ann Sun\r\nCc: a@b.c\r\n"
	    "Message-Id: <x>\r\n\r\nFrom here\r\n",
	    LOCAL_RECEIVED "Cc: a@b.c\r\nMessage-Id: <x>\r\n" DATE FROM
	    "\r\nFrom here\r\n" },
	{ "long field: cut at the last line end", false,
	    "A: " FIFTY FIFTY FIFTY TEN TEN TEN "\r\n " TEN TEN "\r\nB: c\r\n"
	    "\r\n",
	    REMOTE_RECEIVED "A: " FIFTY FIFTY FIFTY TEN TEN TEN
	    "\r\nB: c\r\n\r\n" },
	{ "long field: cut in the line", false,
	    "A: " FIFTY FIFTY FIFTY FIFTY FIFTY "\r\n more\r\nB: c\r\n\r\n",
	    REMOTE_RECEIVED "A: " FIFTY FIFTY FIFTY TEN TEN TEN TEN
	    "0123456\r\nB: c\r\n\r\n" },
};

static void
expect_message(struct fixture *f, size_t i, size_t piece)
{
	struct msg_mail_begin b = messages[i].local ? local_begin() :
	    remote_begin();
	struct mail *m = mail_new(&f->c, &b);
	struct str in = str_of(messages[i].in);
	struct buf out;

	buf_init(&out, 1 << 24);
	m->given = 1;
	m->last_given = STR("r@example.org");
	recipient_add(m, STR("r@example.org"), STR(""), 0);
	for (; in.n > 0; in = str_from(in, piece))
		content_take(m, str_first(in, piece));
	assert_int_equal(mail_finish(m), MAIL_OK);
	read_back(f, m, &out);
	if (strcmp(buf_cstr(&out), messages[i].out) != 0)
		print_message("%s, pieces of %zu\n", messages[i].what, piece);
	assert_string_equal(buf_cstr(&out), messages[i].out);
	buf_free(&out);
	mail_free(&m);
}

static void
test_messages(void **state)
{
	for (size_t i = 0; i < nitems(messages); i++)
		for (size_t piece = 1; piece < 600;
		    piece += piece < 8 ? 1 : 97)
			expect_message(*state, i, piece);
}

static const struct {
	const char *in, *out;
} envelope[] = {
	{ "joe", "joe@example.org" },
	{ "joe@host", "joe@host.example.org" },
	{ "joe@host.net.", "joe@host.net" },
	{ "joe@host.", "joe@host" },
	{ "joe@", "joe@" },
	{ "joe@[192.0.2.1]", "joe@[192.0.2.1]" },
	{ "site!joe", "joe@site.example.org" },
	{ "a!b!joe", "b!joe@a.example.org" },
	{ "joe%dom.net", "joe@dom.net" },
	{ "a%b%dom.net", "a%b@dom.net" },
	{ "a%b@dom.net", "a%b@dom.net" },
	{ "a b%c", "a b%c@example.org" },
	{ "", "" },
};

static void
test_envelope_addresses(void **state)
{
	struct fixture *f = *state;
	struct arena *arena = arena_new(1 << 20);

	for (size_t i = 0; i < nitems(envelope); i++) {
		struct str out = rewrite_address(&f->c.local, arena,
		    str_of(envelope[i].in));

		assert_string_equal(arena_cstr(arena, out), envelope[i].out);
	}
	arena_free(&arena);
}

static const struct {
	const char *in, *out;	/* out NULL: left alone */
} header_lists[] = {
	{ " joe", " joe@example.org" },
	{ " joe (Joe\r\n\tDoe), ann@x.net",
	  " joe@example.org (Joe\r\n\tDoe), ann@x.net" },
	{ "\"Doe, Joe\" <joe>", "\"Doe, Joe\" <joe@example.org>" },
	{ " Joe Doe <joe@host>  ,x", " Joe Doe <joe@host.example.org>  ,"
	  "x@example.org" },
	{ " <@a,@b:joe@x.net>", " <joe@x.net>" },
	{ " @a:joe@x.net", " joe@x.net" },
	{ " site!joe", " joe@site.example.org" },
	{ " a!b", " b@a.example.org" },
	{ " joe%x.net", " joe@x.net" },
	{ " joe@x.net.", " joe@x.net" },
	{ " \"a b\"", " \"a b\"@example.org" },
	{ " \"a%b\"", " \"a%b\"@example.org" },
	{ " friends: joe, ann@x.net;, bob",
	  " friends: joe@example.org, ann@x.net;, bob@example.org" },
	{ " joe@x.net", NULL },
	{ " joe @ x . net", NULL },
	{ " joe@[1.2.3.4]", NULL },
	{ " undisclosed-recipients:;", NULL },
	{ " <>", NULL },
	{ " \"\"", NULL },
	{ " joe doe", NULL },
	{ " a@b.c (unclosed", NULL },
	{ " \"unclosed", " \"unclosed@example.org" },
	{ " a@b.c,,,", NULL },
	{ " joe@", NULL },
	{ "", NULL },
};

static void
test_header_addresses(void **state)
{
	struct fixture *f = *state;
	struct buf out;

	buf_init(&out, 10000);
	for (size_t i = 0; i < nitems(header_lists); i++) {
		bool changed;

		buf_clear(&out);
		changed = rewrite_header(&f->c.local,
		    str_of(header_lists[i].in), 1000, NULL, &out);
		assert_int_equal(changed, header_lists[i].out != NULL);
		if (changed)
			assert_string_equal(buf_cstr(&out),
			    header_lists[i].out);
		else
			assert_int_equal(out.n, 0);
	}
	buf_free(&out);
}

static const struct {
	const char *rcpts[4];
	const char *out;	/* "address<original " or the failure's dsn */
} recipients[] = {
	{ { "joe" }, "joe@example.org<joe " },
	{ { "joe@x.net" }, "joe@x.net " },
	{ { "" }, "MAILER-DAEMON@example.org<MAILER-DAEMON " },
	{ { "a@b.c", "a@b.c", "A@b.c" }, "a@b.c " },
	{ { "one" }, "two@example.org<one " },
	{ { "one+tag@example.org" },
	  "two+tag@example.org<one+tag@example.org " },
	{ { "list@example.org" },
	  "a@x.net<list@example.org b c@x.net<list@example.org "
	  "list@example.org " },
	{ { "any@old.example" }, "any@new.example<any@old.example " },
	{ { "user+x@tag.example" },
	  "box+x@tag.net<user+x@tag.example " },
	{ { "loop1@x.net" }, "4.6.0" },
	{ { "big@x.net" }, "4.6.0" },
	{ { "bad\nname@x.net" }, "5.1.3" },
	{ { NULL }, "5.1.0" },
};

static void
print_recipients(const struct mail *m, struct buf *out)
{
	for (size_t i = 0; i < m->nrcpts; i++) {
		buf_str(out, m->rcpts[i].address);
		if (m->rcpts[i].original.n > 0)
			buf_printf(out, "<" STRF,
			    STRV(m->rcpts[i].original));
		buf_putc(out, ' ');
	}
}

static void
test_recipients(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < nitems(recipients); i++) {
		struct msg_mail_begin b = remote_begin();
		struct mail *m = mail_new(&f->c, &b);
		struct buf out;

		buf_init(&out, 10000);
		for (size_t j = 0; recipients[i].rcpts[j] != NULL; j++)
			recipient_add(m, str_of(recipients[i].rcpts[j]),
			    STR(""), 0);
		if (mail_finish(m) == MAIL_OK)
			print_recipients(m, &out);
		else
			buf_str(&out, m->dsn);
		assert_string_equal(buf_cstr(&out), recipients[i].out);
		buf_free(&out);
		mail_free(&m);
	}
}

static const struct {
	const char *in, *out;
} extracted[] = {
	{ "To: a@x.net, B <b>\r\nCc: c@x.net\r\nBcc: d@x.net\r\n\r\n",
	  "a@x.net b@example.org<b c@x.net d@x.net " },
	{ "To: a@x.net\r\nResent-To: r@x.net\r\nResent-Bcc: s@x.net\r\n\r\n",
	  "r@x.net s@x.net " },
	{ "To: a@x.net\r\n\r\nTo: b@x.net\r\n", "a@x.net " },
	{ "To: friends: a@x.net, b@x.net;\r\n\r\n", "a@x.net b@x.net " },
	{ "Subject: x\r\n\r\n", "5.1.0" },
};

static void
test_extract(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < nitems(extracted); i++) {
		struct msg_mail_begin b = local_begin();
		struct buf out;
		struct mail *m;

		b.flags |= MAIL_EXTRACT;
		m = mail_new(&f->c, &b);
		buf_init(&out, 10000);
		content_take(m, str_of(extracted[i].in));
		if (mail_finish(m) == MAIL_OK)
			print_recipients(m, &out);
		else
			buf_str(&out, m->dsn);
		assert_string_equal(buf_cstr(&out), extracted[i].out);
		buf_free(&out);
		mail_free(&m);
	}
}

/* As many bytes of content as it takes; the status that comes. */
static enum mail_status
transmit(struct fixture *f, const char *line, size_t times, unsigned *flags)
{
	struct msg_mail_begin b = remote_begin();
	struct mail *m = mail_new(&f->c, &b);
	enum mail_status status;

	recipient_add(m, STR("r@x.net"), STR(""), 0);
	for (size_t i = 0; i < times; i++)
		content_take(m, str_of(line));
	status = mail_finish(m);
	*flags = m->flags;
	assert_true(status == MAIL_OK || m->writer == NULL);
	mail_free(&m);
	return status;
}

static void
test_limits(void **state)
{
	unsigned flags;
	char line[1100];

	assert_int_equal(transmit(*state, "Received: x\r\n", 3, &flags), MAIL_OK);
	assert_int_equal(flags, 0);
	assert_int_equal(transmit(*state, "Received: x\r\n", 4, &flags),
	    MAIL_TOO_MANY_HOPS);
	assert_int_equal(transmit(*state, "\r\nxxxxxx", 25000, &flags), MAIL_OK);
	assert_int_equal(transmit(*state, "\r\nxxxxxx", 25001, &flags),
	    MAIL_TOO_BIG);
	assert_int_equal(transmit(*state, "A: bcdefgh\r\n", 2000, &flags),
	    MAIL_TOO_BIG);
	assert_int_equal(transmit(*state, "no end of line", 10000, &flags),
	    MAIL_OK);
	assert_int_equal(transmit(*state, "A:", 70000, &flags), MAIL_OK);
	assert_int_equal(transmit(*state, "\r\n.\r\n", 1, &flags), MAIL_OK);
	assert_int_equal(flags, QMF_HAS_DOTS);
	assert_int_equal(transmit(*state, "\r\nx.y\xc3\xa9\r\n", 1, &flags),
	    MAIL_OK);
	assert_int_equal(flags, QMF_8BIT);
	assert_int_equal(transmit(*state, "\r\nab\r\ncd", 900, &flags),
	    MAIL_OK);
	assert_int_equal(flags, 0);
	/* 998 bytes and CRLF are allowed, one more is not. */
	memset(line, 'x', sizeof(line));
	memcpy(line, "\r\n", 2);
	memcpy(line + 2 + 998, "\r\n", 3);
	assert_int_equal(transmit(*state, line, 2, &flags), MAIL_OK);
	assert_int_equal(flags, 0);
	memcpy(line + 2 + 999, "\r\n", 3);
	line[2 + 998] = 'x';
	assert_int_equal(transmit(*state, line, 1, &flags), MAIL_OK);
	assert_int_equal(flags, QMF_LONG_LINES);
	assert_int_equal(transmit(*state, "\r\nno end", 1, &flags), MAIL_OK);
	assert_int_equal(flags, 0);
}

static void
test_attrs(void **state)
{
	struct fixture *f = *state;
	struct msg_mail_begin b = remote_begin();
	struct mail *m = mail_new(&f->c, &b);
	struct buf out;

	buf_init(&out, 10000);
	recipient_add(m, STR("r@x.net"), STR(""), 0);
	mail_attr(m, STR("prepend"), STR("X-Top: 1"));
	mail_attr(m, STR("bcc"), STR("one"));
	mail_attr(m, STR("hold"), STR(""));
	content_take(m, STR("A: b\r\n\r\n"));
	assert_int_equal(mail_finish(m), MAIL_OK);
	print_recipients(m, &out);
	assert_string_equal(buf_cstr(&out),
	    "r@x.net two@example.org<one ");
	assert_int_equal(queue_find(&f->c.queue,
	    queue_writer_id(m->writer)), Q_HOLD);
	mail_free(&m);		/* dropped where it is now */
	m = mail_new(&f->c, &b);
	buf_clear(&out);
	recipient_add(m, STR("r@x.net"), STR(""), 0);
	recipient_add(m, STR("s@x.net"), STR(""), 0);
	mail_attr(m, STR("redirect"), STR("spam"));
	assert_int_equal(mail_finish(m), MAIL_OK);
	print_recipients(m, &out);
	assert_string_equal(buf_cstr(&out), "spam@example.org<r@x.net ");
	mail_free(&m);
	m = mail_new(&f->c, &b);
	mail_attr(m, STR("discard"), STR(""));
	assert_int_equal(mail_finish(m), MAIL_OK);
	assert_null(m->writer);
	mail_free(&m);
	buf_free(&out);
}

static void
test_received(void **state)
{
	struct fixture *f = *state;
	struct msg_mail_begin b = remote_begin();
	struct buf out, all;
	struct mail *m;

	b.client_addr = STR("2001:db8::1");
	b.protocol = STR("ESMTPSA");
	b.helo = STR("evil\r\nX: y");
	b.tls = STR("(using TLSv1.3 with cipher X (256/256 bits)\n"
	    "\t key-exchange Y)");
	b.flags = MAIL_AUTH_HEADER;
	b.sasl_user = STR("joe)(");
	buf_init(&out, 10000);
	buf_init(&all, 10000);
	m = mail_new(&f->c, &b);
	received_print(m, &all);
	anonymize(&out, buf_view(&all), m->id);
	assert_string_equal(buf_cstr(&out),
	    "Received: from evil??X: y (client.remote.net "
	    "[IPv6:2001:db8::1])\r\n"
	    "\t(using TLSv1.3 with cipher X (256/256 bits)\r\n"
	    "\t key-exchange Y)\r\n"
	    "\t(Authenticated sender: joe?\?)\r\n"
	    "\tby mail.example.org (Postern) with ESMTPSA id QID;\r\n"
	    "\tFri, 21 Nov 2025 05:17:01 +0000 (UTC)\r\n");
	mail_free(&m);
	b.flags = MAIL_NO_RECEIVED;
	m = mail_new(&f->c, &b);
	buf_clear(&all);
	buf_clear(&out);
	received_print(m, &all);
	anonymize(&out, buf_view(&all), m->id);
	assert_string_equal(buf_cstr(&out),
	    "Received: by mail.example.org (Postern) id QID;\r\n"
	    "\tFri, 21 Nov 2025 05:17:01 +0000 (UTC)\r\n");
	mail_free(&m);
	buf_free(&all);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_envelope_addresses),
		cmocka_unit_test(test_header_addresses),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_extract),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_attrs),
		cmocka_unit_test(test_received),
	};

	return cmocka_run_group_tests(tests, begin_group, rig_end);
}
