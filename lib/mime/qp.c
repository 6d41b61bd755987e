/*
 * qp - quoted-printable: RFC 2045 6.7.
 *
 * A line of output has at most 76 bytes with its "="; a blank at a line's end
 * is encoded, since it may be lost on the way.
 */
#include "mime/mime.h"

#define COLUMN_MAX	75

void
mime_qp_encode(struct mime_qp *q, struct str piece, bool ends, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < piece.n; i++) {
		unsigned char c = (unsigned char)piece.p[i];
		bool last = i + 1 == piece.n;
		bool plain = (c > 32 && c < 127 && c != '=') ||
		    ((c == ' ' || c == '\t') && !last);

		/* A dot or "From " at a line's start suffers in some hands. */
		if (q->column == 0 && (c == '.' || c == 'F'))
			plain = false;
		if (q->column + (plain ? 1 : 3) > COLUMN_MAX) {
			buf_puts(out, "=\r\n");
			q->column = 0;
		}
		if (plain) {
			buf_putc(out, (char)c);
			q->column++;
			continue;
		}
		buf_putc(out, '=');
		buf_putc(out, hex[c >> 4]);
		buf_putc(out, hex[c & 15]);
		q->column += 3;
	}
	if (!ends)
		return;
	buf_puts(out, "\r\n");
	q->column = 0;
}
