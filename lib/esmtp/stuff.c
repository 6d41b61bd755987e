/*
 * stuff - content on its way into DATA: RFC 5321 4.5.2 and 4.5.3.1.6.
 *
 * Lines go out in whole runs; only a dot at a line's start and a line that
 * is too long part them. A fold is CRLF and a blank, as Postfix folds.
 */
#include "esmtp/esmtp.h"

void
stuffer_init(struct stuffer *s, bool dots, size_t line_max)
{
	/* A fold's blank takes one place: with one alone nothing would go. */
	*s = (struct stuffer){ .dots = dots,
		.line_max = line_max == 1 ? 2 : line_max };
}

/* Part of one line, without its line end. */
static void
put(struct stuffer *s, struct str part, struct buf *out)
{
	while (part.n > 0) {
		size_t room = s->line_max == 0 ? part.n :
		    s->line_max - s->column;

		if (room == 0) {
			buf_puts(out, "\r\n ");
			s->column = 1;
			continue;
		}
		if (s->column == 0 && s->dots && part.p[0] == '.')
			buf_putc(out, '.');
		if (room > part.n)
			room = part.n;
		buf_add(out, part.p, room);
		s->column += room;
		part = str_from(part, room);
	}
}

void
stuffer_feed(struct stuffer *s, struct str in, struct buf *out)
{
	while (in.n > 0) {
		size_t nl = str_chr(in, '\n');
		struct str line = str_first(in, nl);
		bool ends = nl < in.n, cr = line.n > 0 &&
		    line.p[line.n - 1] == '\r';

		in = str_from(in, nl + 1);
		if (s->cr && (line.n > 0 || !ends))
			put(s, STR("\r"), out);	/* it ended no line */
		s->cr = cr;
		if (cr)
			line.n--;
		put(s, line, out);
		if (!ends)
			break;
		buf_puts(out, "\r\n");
		s->column = 0;
		s->cr = false;
	}
}

void
stuffer_end(struct stuffer *s, struct buf *out)
{
	if (s->column > 0 || s->cr)
		buf_puts(out, "\r\n");
	s->column = 0;
	s->cr = false;
}
