/*
 * mime - header fields, dates, phrases: RFC 5322, 2045, 2047.
 *
 * Pure: bytes in, looks and bytes out. Lines end in CRLF; a bare LF is
 * taken for a line end too, so that maildrop files can be read.
 */
#ifndef MIME_MIME_H
#define MIME_MIME_H
#include "base/base.h"

enum mime_header {
#define HEADER(id, name, flags) MH_##id,
#include "mime/header.def"
#undef HEADER
	MH__OTHER
};
enum { HF_SENDER = 1 << 0, HF_RCPT = 1 << 1, HF_EXTRACT = 1 << 2,
	HF_RESENT = 1 << 3, HF_MIME = 1 << 4 };
struct mime_header_row { const char *name; unsigned flags; };
extern const struct mime_header_row mime_headers[MH__OTHER];
enum mime_header mime_header_find(struct str name);	/* any case */

/*
 * Bytes of the field name that line begins with, or 0: not a field. Printable
 * ASCII, then a colon, blanks before it allowed (RFC 5322 2.2, 4.5).
 */
size_t		 mime_field_name(struct str line);

/* One field: name, and all from behind the colon to before its last CRLF. */
struct mime_field {
	struct str	 name, body, whole;	/* whole: with its line end */
	enum mime_header id;
};
/*
 * Takes the next field off *rest. False at the empty line, which is taken,
 * at the end, and where no field stands, which is left: *rest is the body.
 */
bool		 mime_field_next(struct str *rest, struct mime_field *);
/* *s begins behind its blanks, line ends, comments (RFC 5322 3.2.2). */
void		 mime_skip_cfws(struct str *s);
/* Body without folds and outer blanks (RFC 5322 2.2.3). */
void		 mime_unfold(struct str body, struct buf *out);

/* "Sat, 21 Nov 2026 06:17:01 +0000 (UTC)", in the local time zone. */
void		 mime_date_print(int64_t when_s, struct buf *out);
/* RFC 5322 3.3 and 4.3. False: no date. */
bool		 mime_date_parse(struct str, int64_t *when_s) MUST_USE;

/*
 * A display name: as it is, quoted, or as encoded words of charset where it
 * has bytes beyond ASCII (RFC 5322 3.2.5, RFC 2047). Controls become blanks.
 */
void		 mime_phrase_print(struct str, struct str charset,
		    struct buf *out);
/* The same within ( ). */
void		 mime_comment_print(struct str, struct str charset,
		    struct buf *out);
#endif
