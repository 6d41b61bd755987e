/*
 * postmap_base64 - RFC 4648 4, for tables whose values are files (-F).
 */
#include <fcntl.h>

#include "sys/sys.h"
#include "tools/postmap.h"

#define FILES_MAX (1 << 20)	/* bytes of the files of one value */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "abcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i += 3) {
		struct str part = str_first(str_from(s, i), 3);
		uint8_t b[3] = { 0 };

		memcpy(b, part.p, part.n);
		buf_putc(out, digits[b[0] >> 2]);
		buf_putc(out, digits[(b[0] & 3) << 4 | b[1] >> 4]);
		buf_putc(out, part.n < 2 ? '=' :
		    digits[(b[1] & 15) << 2 | b[2] >> 6]);
		buf_putc(out, part.n < 3 ? '=' : digits[b[2] & 63]);
	}
}

bool
base64_decode(struct str s, struct buf *out)
{
	if (s.n % 4 != 0)
		return false;
	for (size_t i = 0; i < s.n; i += 4) {
		unsigned bits = 0, n = 3;

		for (size_t k = 0; k < 4; k++) {
			const char *at = s.p[i + k] == '\0' ? NULL :
			    strchr(digits, s.p[i + k]);

			if (s.p[i + k] == '=' && i + 4 == s.n && k >= 2 &&
			    (k == 3 || s.p[i + 3] == '=')) {
				n = k == 2 ? 1 : n < 2 ? n : 2;
				at = digits;
			}
			if (at == NULL)
				return false;
			bits = bits << 6 | (unsigned)(at - digits);
		}
		for (unsigned k = 0; k < n; k++)
			buf_putc(out, (char)(bits >> (16 - 8 * k) & 0xff));
	}
	return !out->full;
}

bool
base64_files(struct str names, struct buf *out, struct buf *why)
{
	struct buf all, one, name;
	struct str item;
	int err = 0;

	buf_init(&all, FILES_MAX);
	buf_init(&one, FILES_MAX);
	buf_init(&name, 4096);
	buf_clear(out);
	while (err == 0 && conf_list_next(&names, &item)) {
		buf_clear(&name);
		buf_clear(&one);
		buf_str(&name, item);
		err = file_read(AT_FDCWD, buf_cstr(&name), FILES_MAX, &one);
		if (all.n > 0)
			buf_putc(&all, '\n');
		buf_str(&all, buf_view(&one));
	}
	if (err != 0)
		buf_printf(why, "open %s: %s", buf_cstr(&name),
		    strerror(err));
	else if (all.n == 0)
		buf_puts(why, "empty pathname list");
	else
		base64_encode(buf_view(&all), out);
	if (all.full || out->full)
		buf_puts(why, "files too large");
	buf_free(&all);
	buf_free(&one);
	buf_free(&name);
	return why->n == 0;
}
