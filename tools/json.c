/*
 * json - strings of JSON, escaped as Postfix's commands do.
 */
#include <stdio.h>

#include "tools/json.h"

void
json_escape(struct str s, struct buf *out)
{
	static const char plain[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";

	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] == '\0' ? NULL :
		    strchr(plain, s.p[i]);

		if (at != NULL) {
			buf_putc(out, '\\');
			buf_putc(out, letters[at - plain]);
		} else if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
			buf_printf(out, "\\u%04X", (unsigned char)s.p[i]);
		} else {
			buf_putc(out, s.p[i]);
		}
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
