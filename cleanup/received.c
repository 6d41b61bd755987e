/*
 * received - our Received: field (RFC 5321 4.4), in Postfix's exact form.
 */
#include "cleanup/cleanup.h"

/* Text of clients within a field: no line ends, no controls. */
static void
put_text(struct buf *out, struct str s, bool in_comment)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool bad = c < 32 || c == 127 || (in_comment &&
		    (c == '(' || c == ')' || c == '\\' || c > 127));

		buf_putc(out, bad ? '?' : s.p[i]);
	}
}

static void
put_address_literal(struct buf *out, struct str addr)
{
	if (str_chr(addr, ':') < addr.n &&
	    !str_starts_nocase(addr, STR("IPv6:")))
		buf_puts(out, "IPv6:");
	put_text(out, addr, false);
}

/* Lines that smtpd made about TLS; each becomes a fold. */
static void
put_tls(struct buf *out, struct str tls)
{
	struct str line;

	while (str_token(&tls, "\r\n", &line)) {
		buf_puts(out, "\r\n\t");
		put_text(out, line.p[0] == '\t' ? str_from(line, 1) : line,
		    false);
	}
}

static void
put_from(struct mail *m, struct buf *out)
{
	const struct msg_mail_begin *b = &m->begin;

	buf_puts(out, "Received: from ");
	put_text(out, b->helo.n > 0 ? b->helo : b->client_name, false);
	buf_puts(out, " (");
	put_text(out, b->client_name, false);
	buf_puts(out, " [");
	put_address_literal(out, b->client_addr);
	buf_puts(out, "])");
	put_tls(out, b->tls);
	if (b->flags & MAIL_AUTH_HEADER && b->sasl_user.n > 0) {
		buf_puts(out, "\r\n\t(Authenticated sender: ");
		put_text(out, b->sasl_user, true);
		buf_putc(out, ')');
	}
	buf_puts(out, "\r\n\t");
}

static void
put_smtp(struct mail *m, struct buf *out)
{
	const struct msg_mail_begin *b = &m->begin;
	bool hidden = (b->flags & MAIL_NO_RECEIVED) != 0;

	if (hidden)
		buf_puts(out, "Received: ");
	else
		put_from(m, out);
	buf_printf(out, "by " STRF " (" STRF ")", STRV(m->c->myhostname),
	    STRV(m->c->mail_name));
	if (!hidden && b->protocol.n > 0) {
		buf_puts(out, " with ");
		put_text(out, b->protocol, false);
	}
	buf_printf(out, " id " STRF, STRV(m->id));
	if (m->given == 1) {
		buf_puts(out, "\r\n\tfor <");
		address_quote_822(m->last_given, out);
		buf_puts(out, ">; ");
	} else {
		buf_puts(out, ";\r\n\t");
	}
}

void
received_print(struct mail *m, struct buf *out)
{
	const struct msg_mail_begin *b = &m->begin;

	if (b->client_addr.n > 0 && b->received_from.n == 0) {
		put_smtp(m, out);
	} else {
		buf_printf(out, "Received: by " STRF " (" STRF,
		    STRV(m->c->myhostname), STRV(m->c->mail_name));
		if (b->received_from.n > 0) {
			buf_puts(out, ", from ");
			put_text(out, b->received_from, true);
		}
		buf_printf(out, ")\r\n\tid " STRF "; ", STRV(m->id));
	}
	mime_date_print((int64_t)(b->arrival_us / 1000000), out);
	buf_puts(out, "\r\n");
}
