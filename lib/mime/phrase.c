/*
 * phrase - display names and comments made from any bytes.
 *
 *   phrase       := 1*word     word := atom / quoted-string    RFC 5322 3.2.5
 *   encoded-word := "=?" charset "?Q?" encoded-text "?="       RFC 2047 2
 */
#include "mime/mime.h"

#define WORD_MAX	75	/* RFC 2047 2: bytes of an encoded word */

static bool
is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 126)
			return false;
	return true;
}

static char
printable(char c)
{
	return (unsigned char)c < 32 || c == 127 ? ' ' : c;
}

static bool
is_atext_or_blank(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~ ", c) != NULL);
}

static bool
is_words(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_atext_or_blank(printable(s.p[i])))
			return false;
	return true;
}

/* Bytes from s that belong together: a UTF-8 character is not cut. */
static size_t
character(struct str s)
{
	uint32_t code;
	size_t n = utf8_first(s, &code);

	return n > 0 ? n : 1;
}

/* RFC 2047 5 (3): in a phrase only letters, digits and !*+-/ stand bare. */
static bool
is_bare(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
	    (c != '\0' && strchr("!*+-/", c) != NULL);
}

static void
put_encoded(struct str s, struct str charset, struct buf *out)
{
	size_t room = WORD_MAX - charset.n - 7, used = 0;

	buf_printf(out, "=?" STRF "?Q?", STRV(charset));
	for (size_t n; s.n > 0; s = str_from(s, n)) {
		n = character(s);
		if (used + 3 * n > room) {
			buf_printf(out, "?= =?" STRF "?Q?", STRV(charset));
			used = 0;
		}
		for (size_t i = 0; i < n; i++) {
			char c = printable(s.p[i]);

			if (c == ' ')
				buf_putc(out, '_');
			else if (is_bare(c))
				buf_putc(out, c);
			else
				buf_printf(out, "=%02X", (unsigned char)c);
			used += c == ' ' || is_bare(c) ? 1 : 3;
		}
	}
	buf_puts(out, "?=");
}

void
mime_phrase_print(struct str s, struct str charset, struct buf *out)
{
	s = str_trim(s);
	if (s.n == 0)
		return;
	if (!is_ascii(s) && charset.n > 0 && charset.n < 40) {
		put_encoded(s, charset, out);
		return;
	}
	if (is_words(s)) {
		for (size_t i = 0; i < s.n; i++)
			buf_putc(out, printable(s.p[i]));
		return;
	}
	buf_putc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, printable(s.p[i]));
	}
	buf_putc(out, '"');
}

void
mime_comment_print(struct str s, struct str charset, struct buf *out)
{
	s = str_trim(s);
	buf_putc(out, '(');
	if (!is_ascii(s) && charset.n > 0 && charset.n < 40) {
		put_encoded(s, charset, out);
	} else {
		for (size_t i = 0; i < s.n; i++) {
			if (s.p[i] == '(' || s.p[i] == ')' || s.p[i] == '\\')
				buf_putc(out, '\\');
			buf_putc(out, printable(s.p[i]));
		}
	}
	buf_putc(out, ')');
}
