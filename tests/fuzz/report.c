/*
 * report - a delivery report about a message of any bytes: "\n" ends each of
 * its texts, the rest is its header and body. However they are: pieces of
 * bounded size, CRLF line ends, no line of a field that a text made up, and
 * the boundary's end as the last line.
 */
#include <sys/mman.h>
#include <stdlib.h>
#include <unistd.h>

#include "qmgr/report.h"
#include "sys/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct str
take(struct str *in)
{
	struct str line = str_first(*in, str_chr(*in, '\n'));

	*in = str_from(*in, line.n + 1);
	return str_first(line, 1000);
}

static void
check_text(struct str text)
{
	struct str last = text;

	assert(text.n > 4 && str_ends_nocase(text, STR("--\r\n")));
	for (size_t i = 0; i < last.n; i++)
		assert(last.p[i] != '\n' || (i > 0 && last.p[i - 1] == '\r'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct report_site site = {
		.threaded = n > 0 && data[0] & 32, .myhostname = { "mx.example.org", 14 },
		.text = { STR("hello"), STR("delayed\nmail\n") },
		.maximal_queue_lifetime = 86400, .bounce_size_limit = 500 };
	struct str in = { (const char *)data, n };
	struct queue_rcpt rcpts[2] = { { .status = RCPT_BOUNCED },
		{ .status = RCPT_DEFERRED } };
	struct queue_message msg = { .id = "4AB0C", .rcpts = rcpts,
		.nrcpts = nitems(rcpts), .arrival_us = 1000000 };
	struct report r = { .site = &site, .msg = &msg, .now_s = 99 };
	enum report_next next;
	struct buf out, content;
	size_t was = 0;

	templates_builtin(&site.templates, false);
	if (n < 4 || n > 1 << 14)
		return 0;
	r.kind = (enum report_kind)(data[0] % 4);
	r.postmaster = (data[0] & 4) != 0;
	r.headers_only = (data[0] & 8) != 0;
	msg.flags = data[0] & 16 ? MAIL_SMTPUTF8 : 0;
	in = str_from(in, 1);
	r.to = msg.sender = take(&in);
	for (size_t i = 0; i < nitems(rcpts); i++) {
		rcpts[i].address = take(&in);
		rcpts[i].original = take(&in);
		rcpts[i].dsn = take(&in);
		rcpts[i].text = take(&in);
		rcpts[i].dsn_orcpt = take(&in);
		rcpts[i].remote_mta = take(&in);
		rcpts[i].diagnostic = take(&in);
	}
	buf_init(&content, 2 * n);
	for (size_t i = 0; i < in.n; i++)	/* content is CRLF there */
		if (in.p[i] == '\n')
			buf_puts(&content, "\r\n");
		else if (in.p[i] != '\r')
			buf_putc(&content, in.p[i]);
	r.fd = memfd_create("message", MFD_CLOEXEC);
	if (r.fd < 0 || fd_write_all(r.fd, buf_cstr(&content), content.n) != 0)
		abort();
	msg.header_len = content.n / 2;
	while (msg.header_len > 0 && content.p[msg.header_len - 1] != '\n')
		msg.header_len--;
	msg.body_off = msg.header_len;
	msg.body_len = content.n - msg.body_off;
	msg.size = content.n;
	buf_init(&out, 1 << 22);
	while ((next = report_next(&r, &out)) == REPORT_MORE) {
		assert(out.n - was <= REPORT_PIECE_MAX + 16384);
		was = out.n;
	}
	assert(next == REPORT_END && !out.full);
	check_text(buf_view(&out));
	close(r.fd);
	buf_free(&content);
	buf_free(&out);
	return 0;
}
