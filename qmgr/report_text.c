/*
 * report_text - one delivery report, piece by piece.
 *
 * RFC 3462 2 (multipart/report), RFC 3464 2 (message/delivery-status): the
 * notification that people read, the status that programs read, the message
 * or its headers. Field for field as Postfix writes them. bounce runs it.
 */
#include <errno.h>
#include <inttypes.h>
#include "address/address.h"
#include "mime/mime.h"
#include "qmgr/report.h"
#include "sys/sys.h"

#define LINE_WIDTH	79
#define LINE_INDENT	4
#define WORD_MAX	900	/* RFC 5321 4.5.3.1.6: 998 in a line */
#define PIECE_FULL	(REPORT_PIECE_MAX / 2)

bool
report_of_success(const struct queue_message *m, const struct queue_rcpt *r,
    bool confirm_delay_cleared)
{
	unsigned notify = r->dsn_notify;

	/* Passed to a server with DSN: that reports (RFC 3461 5.2.2). */
	return r->status == RCPT_SENT && ((notify & DSN_NOTIFY_SUCCESS &&
	    !str_eq(r->action, STR("passed"))) ||
	    (confirm_delay_cleared && m->warned_s != 0 &&
	    (notify == 0 || notify & DSN_NOTIFY_DELAY)));
}

bool
report_names(const struct report *r, size_t i)
{
	const struct queue_rcpt *rcpt = &r->msg->rcpts[i];
	unsigned notify = rcpt->dsn_notify;

	if (r->of_one && i != r->one)
		return false;
	switch (r->kind) {
	case REPORT_FAILURE:
		return rcpt->status == RCPT_BOUNCED && (r->postmaster ||
		    notify == 0 || notify & DSN_NOTIFY_FAILURE);
	case REPORT_DELAY:
		return rcpt->status == RCPT_DEFERRED && (r->postmaster ||
		    notify == 0 || notify & DSN_NOTIFY_DELAY);
	case REPORT_SUCCESS:
		return report_of_success(r->msg, rcpt,
		    r->site->confirm_delay_cleared);
	case REPORT_VERIFY:
		return rcpt->status != RCPT_TODO &&
		    rcpt->status != RCPT_REPORTED;
	}
	return false;
}

size_t
report_count(const struct report *r)
{
	size_t n = 0;

	if (r->of_one)
		return report_names(r, r->one) ? 1 : 0;
	for (size_t i = 0; i < r->msg->nrcpts; i++)
		if (report_names(r, i))
			n++;
	return n;
}

/* --- words --- */

static void
line(struct buf *b, struct str s)
{
	buf_str(b, s);
	buf_puts(b, "\r\n");
}

static void
puts_line(struct buf *b, const char *s)
{
	line(b, str_of(s));
}

static bool
is_utf8(const struct report *r)
{
	return r->msg->flags & QMF_SMTPUTF8;
}

static bool
is_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return true;
	return false;
}

static void
put_masked(struct buf *b, struct str s, bool utf8)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		buf_putc(b, c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ?
		    '?' : (char)c);
	}
}

void
report_wrap(struct buf *b, struct str s, bool utf8)
{
	size_t width = LINE_WIDTH;
	bool first = true;

	s = str_trim(s);
	do {
		size_t n = s.n < width ? s.n : width, cut = n;

		if (n < s.n) {		/* back to a blank, else forward */
			while (cut > 0 && s.p[cut] != ' ' && s.p[cut] != '\t')
				cut--;
			if (cut == 0)
				for (cut = n; cut < s.n && cut < WORD_MAX &&
				    s.p[cut] != ' ' && s.p[cut] != '\t'; cut++)
					;
		}
		if (!first)
			buf_printf(b, "%*s", LINE_INDENT, "");
		put_masked(b, str_trim(str_first(s, cut)), utf8);
		buf_puts(b, "\r\n");
		s = str_trim(str_from(s, cut));
		if (first)
			width -= LINE_INDENT;
		first = false;
	} while (s.n > 0);
}

static void
put_address(struct buf *b, const struct report *r, struct str addr)
{
	struct buf quoted;

	buf_init(&quoted, 4 * ADDRESS_MAX);
	address_quote_822(addr, &quoted);
	put_masked(b, buf_view(&quoted), is_utf8(r));
	buf_free(&quoted);
}

/* "rfc822; addr", or utf-8 where it is one (RFC 6533 3). */
static void
put_typed(struct buf *b, const struct report *r, const char *field,
    struct str addr)
{
	buf_printf(b, "%s: %s; ", field,
	    is_utf8(r) && is_8bit(addr) ? "utf-8" : "rfc822");
	put_address(b, r, addr);
	buf_puts(b, "\r\n");
}

static void
put_boundary(struct buf *b, const struct report *r)
{
	buf_printf(b, "%s.%" PRId64 "/" STRF, r->msg->id, r->now_s,
	    STRV(r->site->myhostname));
}

static void
start_part(struct buf *b, const struct report *r)
{
	buf_puts(b, "\r\n--");
	put_boundary(b, r);
	buf_puts(b, "\r\n");
}

/* Content-Transfer-Encoding of the original, "" where it had none. */
static struct str
encoding(const struct report *r)
{
	struct str e = queue_attr(r->msg, "encoding");

	return e.n == 0 && r->msg->flags & QMF_8BIT ? STR("8bit") : e;
}

static bool
not_7bit(const struct report *r)
{
	return encoding(r).n > 0 && !str_eq_nocase(encoding(r), STR("7bit"));
}

static void
put_encoding(struct buf *b, const struct report *r)
{
	if (not_7bit(r))
		buf_printf(b, "Content-Transfer-Encoding: " STRF "\r\n",
		    STRV(encoding(r)));
}

/* --- the notification --- */

/* References and In-Reply-To (enable_threaded_bounces). */
static void
put_thread(struct buf *b, const struct report *r)
{
	struct mime_field f;
	size_t n = r->msg->header_len < REPORT_PIECE_MAX ?
	    (size_t)r->msg->header_len : REPORT_PIECE_MAX;
	char *head = mem_new(n + 1);
	ssize_t got = fd_pread_all(r->fd, head, n, (off_t)r->msg->header_off);
	struct str rest = { head, got > 0 ? (size_t)got : 0 };
	struct buf id;

	buf_init(&id, WORD_MAX);
	while (mime_field_next(&rest, &f))
		if (str_eq_nocase(f.name, STR("message-id"))) {
			mime_unfold(f.body, &id);
			break;
		}
	if (id.n > 0 && !id.full && !is_8bit(buf_view(&id)))
		buf_printf(b, "References: " STRF "\r\nIn-Reply-To: " STRF
		    "\r\n", STRV(buf_view(&id)), STRV(buf_view(&id)));
	buf_free(&id);
	mem_free(head);
}

/* The template of this kind of report. */
static enum template_kind
kind(const struct report *r)
{
	switch (r->kind) {
	case REPORT_FAILURE:
		return TEMPLATE_FAILURE;
	case REPORT_DELAY:
		return TEMPLATE_DELAY;
	case REPORT_SUCCESS:
		return TEMPLATE_SUCCESS;
	case REPORT_VERIFY:
		break;
	}
	return TEMPLATE_VERIFY;
}

static const struct template *
template(const struct report *r)
{
	return &r->site->templates.v[kind(r)];
}

/* Encoding of the notification: of the mail's own addresses, of the text. */
struct str
report_encoding(const struct report *r)
{
	return !not_7bit(r) && template(r)->is_8bit && !r->postmaster ?
	    STR("8bit") : encoding(r);
}

static void
put_words(struct buf *b, const struct report *r)
{
	struct str rest = r->site->text[kind(r)];

	while (rest.n > 0) {
		size_t eol = str_chr(rest, '\n');
		struct str one = str_first(rest, eol);

		if (one.n > 0 && one.p[one.n - 1] == '\r')
			one.n--;
		line(b, one);
		rest = str_from(rest, eol + 1);
	}
}

static void
put_head(struct buf *b, const struct report *r)
{
	const struct template *t = template(r);
	struct str enc = report_encoding(r);

	buf_printf(b, "From: " STRF "\r\nSubject: " STRF "\r\nTo: ",
	    STRV(t->from), STRV(r->postmaster && t->postmaster_subject.n > 0 ?
	    t->postmaster_subject : t->subject));
	put_address(b, r, r->to);
	buf_puts(b, "\r\n");
	if (r->site->threaded)
		put_thread(b, r);
	if (r->site->tls_optional && r->msg->flags & QMF_TLS_OPTIONAL)
		buf_puts(b, "TLS-Required: no\r\n");	/* RFC 8689 5 */
	buf_printf(b, "Auto-Submitted: %s\r\nMIME-Version: 1.0\r\n",
	    r->postmaster ? "auto-generated" : "auto-replied");
	buf_puts(b, "Content-Type: multipart/report; "
	    "report-type=delivery-status;\r\n\tboundary=\"");
	put_boundary(b, r);
	buf_puts(b, "\"\r\n");
	if (enc.n > 0)
		buf_printf(b, "Content-Transfer-Encoding: " STRF "\r\n",
		    STRV(enc));
	buf_puts(b, "\r\nThis is a MIME-encapsulated message.\r\n");
	start_part(b, r);
	buf_printf(b, "Content-Description: Notification\r\n"
	    "Content-Type: text/plain; charset=" STRF "\r\n",
	    STRV(!str_eq_nocase(t->charset, STR("us-ascii")) ? t->charset :
	    not_7bit(r) ? STR("utf-8") : STR("us-ascii")));
	if (enc.n > 0 && !str_eq_nocase(enc, STR("7bit")))
		buf_printf(b, "Content-Transfer-Encoding: " STRF "\r\n",
		    STRV(enc));
	puts_line(b, "");
	if (!r->postmaster)
		put_words(b, r);
}

static void
put_note(struct buf *b, const struct report *r, const struct queue_rcpt *rcpt)
{
	struct buf s;

	buf_init(&s, REPORT_PIECE_MAX / 4);
	buf_putc(&s, '<');
	put_address(&s, r, rcpt->address);
	if (rcpt->original.n > 0 &&
	    !str_eq_nocase(rcpt->original, rcpt->address)) {
		buf_puts(&s, "> (expanded from <");
		put_address(&s, r, rcpt->original);
		buf_puts(&s, ">)");
	} else {
		buf_putc(&s, '>');
	}
	buf_puts(&s, ": ");
	buf_str(&s, str_first(rcpt->text, REPORT_PIECE_MAX / 8));
	puts_line(b, "");
	report_wrap(b, buf_view(&s), is_utf8(r));
	buf_free(&s);
}

/* --- the status --- */

static void
put_status_head(struct buf *b, const struct report *r)
{
	start_part(b, r);
	buf_printf(b, "Content-Description: Delivery report\r\n"
	    "Content-Type: message/%sdelivery-status\r\n",
	    is_utf8(r) ? "global-" : "");
	if (is_utf8(r))
		put_encoding(b, r);
	buf_printf(b, "\r\nReporting-MTA: dns; " STRF "\r\n",
	    STRV(r->site->myhostname));
	if (r->msg->dsn_envid.n > 0) {
		buf_puts(b, "Original-Envelope-Id: ");
		put_masked(b, r->msg->dsn_envid, false);
		puts_line(b, "");
	}
	buf_printf(b, "X-Postfix-Queue-ID: %s\r\n", r->msg->id);
	if (r->msg->sender.n > 0)
		put_typed(b, r, "X-Postfix-Sender", r->msg->sender);
	buf_puts(b, "Arrival-Date: ");
	mime_date_print(r->msg->arrival_us / 1000000, b);
	puts_line(b, "");
}

static struct str
action(const struct report *r, const struct queue_rcpt *rcpt)
{
	bool probe = r->msg->flags & QMF_VERIFY;

	if (r->kind == REPORT_FAILURE)
		return STR("failed");
	if (!probe && str_eq(rcpt->action, STR("passed")))
		return STR("relayed");	/* RFC 3464 2.3.3 has no such word */
	if (!probe && rcpt->action.n > 0)
		return rcpt->action;
	if (rcpt->status == RCPT_SENT)
		return probe ? STR("deliverable") : STR("delivered");
	if (probe)
		return STR("undeliverable");
	return rcpt->status == RCPT_DEFERRED ? STR("delayed") : STR("failed");
}

static void
put_status(struct buf *b, const struct report *r,
    const struct queue_rcpt *rcpt)
{
	struct buf s;

	puts_line(b, "");
	put_typed(b, r, "Final-Recipient", rcpt->address);
	if (rcpt->dsn_orcpt.n > 0) {
		buf_puts(b, "Original-Recipient: ");
		put_masked(b, rcpt->dsn_orcpt, is_utf8(r));
		puts_line(b, "");
	} else if (rcpt->original.n > 0) {
		put_typed(b, r, "Original-Recipient", rcpt->original);
	}
	buf_printf(b, "Action: " STRF "\r\nStatus: " STRF "\r\n",
	    STRV(action(r, rcpt)), STRV(rcpt->dsn));
	buf_init(&s, REPORT_PIECE_MAX / 4);
	if (rcpt->remote_mta.n > 0) {
		buf_puts(&s, "Remote-MTA: ");
		buf_str(&s, str_first(rcpt->remote_mta, WORD_MAX));
		report_wrap(b, buf_view(&s), is_utf8(r));
		buf_clear(&s);
	}
	buf_puts(&s, "Diagnostic-Code: ");
	if (rcpt->diagnostic.n == 0)
		buf_puts(&s, "X-Postfix; ");
	buf_str(&s, str_first(rcpt->diagnostic.n > 0 ? rcpt->diagnostic :
	    rcpt->text, REPORT_PIECE_MAX / 8));
	report_wrap(b, buf_view(&s), is_utf8(r));
	buf_free(&s);
	if (r->kind == REPORT_DELAY) {
		buf_puts(b, "Will-Retry-Until: ");
		mime_date_print(r->msg->arrival_us / 1000000 +
		    r->site->maximal_queue_lifetime, b);
		puts_line(b, "");
	}
}

/* --- the message --- */

static void
put_original_head(struct buf *b, struct report *r)
{
	const char *type;

	/* RFC 3462 2: a message is whole or it is its headers. */
	if (r->site->bounce_size_limit > 0 &&
	    r->msg->size > (uint64_t)r->site->bounce_size_limit)
		r->headers_only = true;
	if (is_utf8(r))
		type = r->headers_only ? "message/global-headers" :
		    "message/global";
	else
		type = r->headers_only ? "text/rfc822-headers" :
		    "message/rfc822";
	start_part(b, r);
	buf_printf(b, "Content-Description: %sMessage%s\r\n"
	    "Content-Type: %s\r\n",
	    r->kind == REPORT_FAILURE || r->kind == REPORT_DELAY ?
	    "Undelivered " : "",
	    r->headers_only ? " Headers" : "", type);
	put_encoding(b, r);
	buf_puts(b, "\r\nReturn-Path: <");
	put_address(b, r, r->msg->sender);
	buf_puts(b, ">\r\n");
	r->newline = true;
}

static bool
put_content(struct buf *b, struct report *r, uint64_t off, uint64_t len)
{
	uint64_t left = len - r->at;
	size_t n = left < PIECE_FULL ? (size_t)left : PIECE_FULL;
	char *p = buf_space(b, n);
	ssize_t got;

	if (p == NULL) {
		errno = ENOMEM;
		return false;
	}
	got = fd_pread_all(r->fd, p, n, (off_t)(off + r->at));
	if (got < 0 || (size_t)got < n) {
		errno = got < 0 ? errno : EIO;
		return false;
	}
	b->n += n;
	r->at += n;
	if (n > 0)
		r->newline = p[n - 1] == '\n';
	return true;
}

/* Recipients until the piece is full. True: all of them. */
static bool
put_rcpts(struct buf *b, struct report *r, void (*put)(struct buf *,
    const struct report *, const struct queue_rcpt *))
{
	if (r->of_one) {
		put(b, r, &r->msg->rcpts[r->one]);
		return true;
	}
	while (r->rcpt < r->msg->nrcpts && b->n < PIECE_FULL) {
		if (report_names(r, r->rcpt))
			put(b, r, &r->msg->rcpts[r->rcpt]);
		r->rcpt++;
	}
	return r->rcpt == r->msg->nrcpts;
}

static void
enter(struct report *r, enum report_piece piece)
{
	r->piece = piece;
	r->rcpt = 0;
	r->at = 0;
}

enum report_next
report_next(struct report *r, struct buf *b)
{
	const struct queue_message *m = r->msg;
	/* Without the empty line where no body follows. */
	uint64_t headers = m->header_len -
	    (r->headers_only && m->header_len >= 2 ? 2 : 0);

	switch (r->piece) {
	case PIECE_HEAD:
		put_head(b, r);
		enter(r, PIECE_NOTES);
		break;
	case PIECE_NOTES:
		if (put_rcpts(b, r, put_note))
			enter(r, PIECE_STATUS_HEAD);
		break;
	case PIECE_STATUS_HEAD:
		put_status_head(b, r);
		enter(r, PIECE_STATUS);
		break;
	case PIECE_STATUS:
		if (put_rcpts(b, r, put_status))
			enter(r, PIECE_ORIGINAL);
		break;
	case PIECE_ORIGINAL:
		put_original_head(b, r);
		enter(r, PIECE_HEADERS);
		break;
	case PIECE_HEADERS:
		if (!put_content(b, r, m->header_off, headers))
			return REPORT_FAULT;
		if (r->at == headers)
			enter(r, r->headers_only ? PIECE_END : PIECE_BODY);
		break;
	case PIECE_BODY:
		if (!put_content(b, r, m->body_off, m->body_len))
			return REPORT_FAULT;
		if (r->at == m->body_len)
			enter(r, PIECE_END);
		break;
	case PIECE_END:
		if (!r->newline)
			puts_line(b, "");
		buf_puts(b, "\r\n--");
		put_boundary(b, r);
		buf_puts(b, "--\r\n");
		enter(r, PIECE_NONE);
		break;
	case PIECE_NONE:
		return REPORT_END;
	}
	return REPORT_MORE;
}
