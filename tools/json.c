/*
 * json - strings of JSON, escaped as Postfix's commands do.
 */
#include <stdio.h>

#include "tools/json.h"

static bool
is_plain(char c)
{
	return (unsigned char)c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
}

static void
put_special(char c, struct buf *out)
{
	static const char special[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	const char *at = c == '\0' ? NULL : strchr(special, c);

	if (at != NULL) {
		buf_putc(out, '\\');
		buf_putc(out, letters[at - special]);
	} else {
		buf_printf(out, "\\u%04X", (unsigned char)c);
	}
}

void
json_escape(struct str s, struct buf *out)
{
	size_t n;

	while (s.n > 0) {
		for (n = 0; n < s.n && is_plain(s.p[n]); n++)
			;
		buf_str(out, str_first(s, n));
		if (n < s.n)
			put_special(s.p[n++], out);
		s = str_from(s, n);
	}
}

void
json_print_pair(struct str key, struct str value)
{
	struct buf line;

	buf_init(&line, SIZE_MAX / 2);
	buf_puts(&line, "{\"");
	json_escape(key, &line);
	buf_puts(&line, "\": \"");
	json_escape(value, &line);
	buf_puts(&line, "\"}\n");
	fwrite(line.p, 1, line.n, stdout);
	buf_free(&line);
}
