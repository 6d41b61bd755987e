/*
 * text - from wire form to mailbox form: line ends, "From " quoting, and
 * the lines that delivery puts before a message.
 *
 * Pure. Return-Path: RFC 5321 4.4. The mbox form: RFC 4155 appendix A, with
 * the ">From " quoting of mboxo, as local(8) of Postfix writes it.
 */
#include <time.h>
#include "address/address.h"
#include "store/store.h"

#define FROM	  "From "

size_t
store_text(struct store_text *t, struct str in, bool last, char *out,
    size_t *n)
{
	const char *p = in.p, *end = in.p + in.n, *lf;
	struct str quoted = t->quote_mmdf ? STR(STORE_MMDF_LINE) : STR(FROM);
	bool quote = t->quote_from || t->quote_mmdf;
	char *o = out;

	while (p < end) {
		size_t left = (size_t)(end - p), len;

		if (quote && !t->in_line) {
			size_t look = left < quoted.n ? left : quoted.n;

			if (memcmp(p, quoted.p, look) == 0) {
				if (look == quoted.n)
					*o++ = '>';
				else if (!last)
					break;
			}
		}
		lf = memchr(p, '\n', left);
		len = lf != NULL ? (size_t)(lf - p) : left;
		if (lf != NULL && len > 0 && p[len - 1] == '\r')
			len--;
		else if (lf == NULL && !last && p[len - 1] == '\r')
			len--;		/* its LF may come */
		memcpy(o, p, len);
		o += len;
		if (lf == NULL) {
			t->in_line = t->in_line || len > 0;
			p += len;
			break;
		}
		*o++ = '\n';
		t->lines++;
		t->in_line = false;
		p = lf + 1;
	}
	*n = (size_t)(o - out);
	return (size_t)(p - in.p);
}

static void
address_line(struct buf *out, const char *name, struct str addr)
{
	if (addr.n == 0)
		return;
	buf_puts(out, name);
	address_quote_822(addr, out);
	buf_putc(out, '\n');
}

void
store_prefix(const struct msg_store *job, int64_t now_s, struct buf *out)
{
	time_t now = (time_t)now_s;
	char date[64];
	struct tm tm;

	if (job->kind == STORE_MBOX) {
		if (localtime_r(&now, &tm) == NULL ||
		    strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y",
			&tm) == 0)
			date[0] = '\0';
		buf_puts(out, FROM);
		if (job->sender.n == 0)
			buf_puts(out, "MAILER-DAEMON");
		else
			address_quote_822(job->sender, out);
		buf_printf(out, "  %s\n", date);
	} else if (job->kind == STORE_MMDF)
		buf_puts(out, STORE_MMDF_LINE "\n");
	buf_puts(out, "Return-Path: <");
	if (job->sender.n > 0)
		address_quote_822(job->sender, out);
	buf_puts(out, ">\n");
	address_line(out, "X-Original-To: ", job->original);
	address_line(out, "Delivered-To: ", job->recipient);
}

bool
store_path_valid(struct str base, struct str path)
{
	struct str rest = path, name;
	bool relative = base.n > 0;

	if ((relative && base.p[0] != '/') || path.n == 0 ||
	    (!relative && path.p[0] != '/') ||
	    memchr(path.p, '\0', path.n) != NULL ||
	    memchr(base.p != NULL ? base.p : "", '\0', base.n) != NULL)
		return false;
	return !str_has_dotdot(path) && str_token(&rest, "/", &name);
}
