/*
 * verp - variable envelope return paths: each recipient's own sender.
 *
 * list@here, delimiters "+=" and user@there make list+user=there@here, so
 * that a report tells by its address whom it is about (VERP_README).
 */
#include "address/internal.h"

bool
address_verp_ok(struct str delimiters, struct str filter)
{
	return delimiters.n == 2 &&
	    str_chr(filter, delimiters.p[0]) < filter.n &&
	    str_chr(filter, delimiters.p[1]) < filter.n;
}

void
address_verp(struct str delimiters, struct str sender, struct str rcpt,
    struct buf *out)
{
	struct str domain = address_domain(rcpt);

	assert(delimiters.n == 2);
	buf_str(out, address_local(sender));
	buf_putc(out, delimiters.p[0]);
	buf_str(out, address_local(rcpt));
	if (domain.n > 0) {
		buf_putc(out, delimiters.p[1]);
		buf_str(out, domain);
	}
	domain = address_domain(sender);
	if (domain.n > 0) {
		buf_putc(out, '@');
		buf_str(out, domain);
	}
}
