/*
 * script - what was said in a session, for the mail that postmaster gets
 * about one that went wrong.
 */
#include "esmtp/esmtp.h"

#define LINE_SHOWN	1000	/* bytes of one line */
#define LINE_WIDTH	78
#define LINE_INDENT	4

void
esmtp_script_add(struct esmtp_script *s, size_t max, const char *who,
    struct str line)
{
	struct buf *b = &s->text;

	if (b->max == 0)
		buf_init(b, max + 2 * LINE_SHOWN);
	if (b->n > max)		/* the older half goes */
		buf_drop(b, str_chr(str_from(buf_view(b), b->n / 2), '\n') +
		    b->n / 2 + 1);
	buf_puts(b, who);
	buf_str(b, str_first(line, LINE_SHOWN));
	buf_putc(b, '\n');
	s->lines++;
}

/* A line of a stranger's, wrapped, with a blank before it. */
static void
print_line(struct buf *out, struct str line)
{
	size_t width = LINE_WIDTH, indent = 0;

	do {
		size_t n = line.n < width ? line.n : width, cut = n;

		while (n < line.n && cut > 0 && line.p[cut] != ' ')
			cut--;
		if (cut == 0)
			cut = n;
		buf_printf(out, " %*s", (int)indent, "");
		for (size_t i = 0; i < cut; i++)
			buf_putc(out, line.p[i] >= ' ' && line.p[i] <= '~' ?
			    line.p[i] : '?');
		buf_puts(out, "\r\n");
		line = str_trim(str_from(line, cut));
		indent = LINE_INDENT;
		width = LINE_WIDTH - LINE_INDENT;
	} while (line.n > 0);
}

void
esmtp_script_print(const struct esmtp_script *s, struct buf *out)
{
	struct str rest = buf_view(&s->text);

	while (rest.n > 0) {
		size_t eol = str_chr(rest, '\n');

		print_line(out, str_first(rest, eol));
		rest = str_from(rest, eol + 1);
	}
}

void
esmtp_script_clear(struct esmtp_script *s)
{
	buf_free(&s->text);
	s->lines = 0;
}
