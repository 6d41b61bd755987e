/*
 * pickup_report - tells a sender that cleanup refused the message.
 *
 * Such mail never had a queue file, so bounce cannot report it. The form is
 * that of RFC 3462 and RFC 3464: text, status, the header of the message.
 */
#include <stdio.h>
#include <time.h>

#include "address/address.h"
#include "cleanup/pickup.h"

static void
put_date(struct buf *out, int64_t when_s)
{
	char text[64];
	time_t t = (time_t)when_s;
	struct tm tm;

	/* RFC 5322 3.3; the C locale, since nothing sets another. */
	if (localtime_r(&t, &tm) != NULL &&
	    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S %z", &tm) > 0)
		buf_puts(out, text);
}

/* One line: what is not printable is '?'. */
static void
put_line(struct buf *out, struct str s)
{
	log_escape(s, out);
	buf_puts(out, "\r\n");
}

static const char *
status_code(const struct refusal *r)
{
	switch ((enum mail_status)r->status) {
	case MAIL_TOO_BIG:
		return "5.3.4";
	case MAIL_TOO_MANY_HOPS:
		return "5.4.6";
	case MAIL_NO_RCPT:
		return "5.1.0";
	case MAIL_BAD_CONTENT:
		return "5.6.0";
	case MAIL_OK:
	case MAIL_RETRY:
	case MAIL_NO_SPACE:
	case MAIL_REJECTED:
		break;
	}
	return "5.7.1";
}

static void
put_head(const struct pickup *p, const struct refusal *r, const char *boundary,
    int64_t now_s, struct buf *out)
{
	buf_puts(out, "Date: ");
	put_date(out, now_s);
	buf_printf(out, "\r\nFrom: " STRF "\r\nSubject: " STRF "\r\nTo: ",
	    STRV(p->failure.from), STRV(p->failure.subject));
	address_quote_822(r->sender, out);
	buf_printf(out, "\r\nAuto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: multipart/report; "
	    "report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n"
	    "This is a MIME-encapsulated message.\r\n\r\n", boundary);
}

/* bounce(5)'s failure_template, then who did not get it and why. */
static void
put_notes(const struct pickup *p, const struct refusal *r, struct str rcpts,
    struct buf *out)
{
	struct str text = p->failure.text, rcpt;

	buf_printf(out, "Content-Description: Notification\r\n"
	    "Content-Type: text/plain; charset=" STRF "\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n",
	    STRV(str_eq_nocase(p->failure.charset, STR("us-ascii")) ?
	    STR("utf-8") : p->failure.charset));
	while (text.n > 0) {
		size_t eol = str_chr(text, '\n');

		buf_str(out, str_first(text, eol));
		buf_puts(out, "\r\n");
		text = str_from(text, eol + 1);
	}
	buf_puts(out, "\r\n");
	while (str_token(&rcpts, "\n", &rcpt)) {
		buf_puts(out, "<");
		log_escape(rcpt, out);
		buf_puts(out, ">: ");
		put_line(out, r->reason);
	}
	buf_puts(out, "\r\n");
}

/* RFC 3464 2.2, 2.3: of the message, then of each recipient. */
static void
put_status(const struct pickup *p, const struct refusal *r, struct str rcpts,
    struct buf *out)
{
	struct str rcpt;

	buf_printf(out, "Content-Description: Delivery report\r\n"
	    "Content-Type: message/delivery-status\r\n\r\n"
	    "Reporting-MTA: dns; " STRF "\r\nArrival-Date: ",
	    STRV(p->myhostname));
	put_date(out, r->arrival_s);
	buf_puts(out, "\r\n");
	while (str_token(&rcpts, "\n", &rcpt)) {
		buf_puts(out, "\r\nFinal-Recipient: rfc822; ");
		put_line(out, rcpt);
		buf_puts(out, "Action: failed\r\nStatus: ");
		put_line(out, r->dsn.n > 0 && r->dsn.p[0] == '5' ? r->dsn :
		    str_of(status_code(r)));
		buf_puts(out, "Diagnostic-Code: X-Postfix; ");
		put_line(out, r->reason);
	}
	buf_puts(out, "\r\n");
}

void
pickup_report(const struct pickup *p, const struct refusal *r,
    struct str header, struct str rcpts, int64_t now_s, struct buf *out)
{
	char boundary[80];

	if (rcpts.n == 0)
		rcpts = STR("MAILER-DAEMON\n");
	snprintf(boundary, sizeof(boundary), "%.32s.%lld/report", r->name.p,
	    (long long)now_s);
	put_head(p, r, boundary, now_s, out);
	buf_printf(out, "--%s\r\n", boundary);
	put_notes(p, r, rcpts, out);
	buf_printf(out, "--%s\r\n", boundary);
	put_status(p, r, rcpts, out);
	buf_printf(out, "--%s\r\nContent-Description: Undelivered Message "
	    "Headers\r\nContent-Type: text/rfc822-headers\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n", boundary);
	buf_str(out, header);
	buf_printf(out, "\r\n--%s--\r\n", boundary);
}
