/*
 * run_text - a message as a command reads it from its standard input: line
 * ends, quoting, and the lines before it. Pure. mail_copy(3) of Postfix.
 */
#include <time.h>
#include "address/address.h"
#include "local/command.h"

#define FROM	"From "

static void
address_line(struct buf *out, const char *name, struct str addr,
    struct str eol)
{
	if (addr.n == 0)
		return;
	buf_puts(out, name);
	address_quote_822(addr, out);
	buf_str(out, eol);
}

void
run_prefix(const struct msg_run *job, int64_t now_s, struct buf *out)
{
	time_t now = (time_t)now_s;
	char date[64];
	struct tm tm;

	if ((job->flags & RUN_FROM) != 0) {
		if (localtime_r(&now, &tm) == NULL || strftime(date,
		    sizeof(date), "%a %b %e %H:%M:%S %Y", &tm) == 0)
			date[0] = '\0';
		buf_puts(out, FROM);
		if (job->sender.n == 0)
			buf_puts(out, "MAILER-DAEMON");
		else
			address_quote_822(job->sender, out);
		buf_printf(out, "  %s" STRF, date, STRV(job->eol));
	}
	if ((job->flags & RUN_RETURN_PATH) != 0) {
		buf_puts(out, "Return-Path: <");
		if (job->sender.n > 0)
			address_quote_822(job->sender, out);
		buf_printf(out, ">" STRF, STRV(job->eol));
	}
	if ((job->flags & RUN_ORIGINAL) != 0)
		address_line(out, "X-Original-To: ", job->original, job->eol);
	if ((job->flags & RUN_DELIVERED) != 0)
		address_line(out, "Delivered-To: ", job->recipient, job->eol);
}

/* What stands before this line's first byte; false: more must be seen. */
static bool
start_line(const struct run_text *t, struct str line, bool last,
    struct buf *out)
{
	struct str from = STR(FROM);

	if ((t->flags & RUN_DOTS) != 0 && line.p[0] == '.')
		buf_putc(out, '.');
	if ((t->flags & RUN_QUOTE_FROM) == 0)
		return true;
	if (str_starts(line, from))
		buf_putc(out, '>');
	else if (!last && line.n < from.n && str_starts(from, line))
		return false;
	return true;
}

size_t
run_text(struct run_text *t, struct str in, bool last, struct buf *out)
{
	struct str rest = in;

	while (rest.n > 0) {
		size_t end = str_chr(rest, '\n'), n = end;
		bool whole = end < rest.n;

		if (!t->in_line && !start_line(t, rest, last, out))
			break;
		if (n > 0 && rest.p[n - 1] == '\r' && (whole || !last))
			n--;		/* its LF is here, or may come */
		buf_str(out, str_first(rest, n));
		if (!whole) {
			t->in_line = t->in_line || n > 0;
			rest = str_from(rest, n);
			break;
		}
		buf_str(out, t->eol);
		t->in_line = false;
		rest = str_from(rest, end + 1);
	}
	return in.n - rest.n;
}

void
run_suffix(const struct run_text *t, struct buf *out)
{
	if (t->in_line)
		buf_str(out, t->eol);
	if ((t->flags & RUN_BLANK) != 0)
		buf_str(out, t->eol);
}
