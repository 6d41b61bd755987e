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

/*
 * The structure of a message as it passes (RFC 2045, 2046): which bytes are
 * headers of its parts, which are text. Give it the fields of the primary
 * header, then the body in any cut. It keeps one field, one line and the
 * boundaries of the open parts, each bounded by its conf.
 */
enum mime_place { MIME_PRIMARY, MIME_PART, MIME_NESTED, MIME_BODY };
enum mime_kind {		/* of the part under way, by Content-Type */
	MIME_TEXT, MIME_OTHER, MIME_MULTIPART, MIME_MESSAGE,
	MIME_PARTIAL, MIME_EXTERNAL, MIME_GLOBAL
};
enum mime_coding {		/* Content-Transfer-Encoding */
	MIME_7BIT, MIME_8BIT, MIME_BINARY, MIME_QP, MIME_BASE64
};
enum mime_fault {		/* each is told once */
	MIME_TOO_DEEP	  = 1 << 0,	/* mime_nesting_limit */
	MIME_LONG_HEADER  = 1 << 1,	/* header_size_limit */
	MIME_8BIT_HEADER  = 1 << 2,
	MIME_8BIT_IN_7BIT = 1 << 3,	/* in a body that is 7bit by header */
	MIME_BAD_DOMAIN	  = 1 << 4,	/* base64 of a multipart, ... */
};
struct mime_walk_conf {
	size_t	 header_max, boundary_max, line_max, nesting_max;
	bool	 flat;		/* no structure: all behind the header is text */
	unsigned faults;	/* those to look for */
};
struct mime_walk_ops {
	/*
	 * A field of a part's header without its last line end (folds are
	 * CRLF inside); not called for the primary header.
	 */
	void (*field)(void *ctx, enum mime_place, struct str field);
	/* Its header is over; empty: by an empty line, which is no line. */
	void (*header_end)(void *ctx, bool empty);
	/*
	 * A line with its CRLF, or a piece of one longer than line_max (begins:
	 * its first). at: bytes of this body segment that stood before it.
	 */
	void (*line)(void *ctx, struct str, bool begins, uint64_t at);
	void (*fault)(void *ctx, enum mime_fault, struct str text);
};
struct mime_walk;
struct mime_walk *mime_walk_new(const struct mime_walk_conf *,
		    const struct mime_walk_ops *, void *ctx);
void		 mime_walk_free(struct mime_walk **);
/* A field of the primary header; then, once, its end. */
void		 mime_walk_field(struct mime_walk *, struct str field);
void		 mime_walk_header_end(struct mime_walk *);
void		 mime_walk_body(struct mime_walk *, struct str bytes);
void		 mime_walk_end(struct mime_walk *);	/* no more bytes */
/* In a callback: what the part is. domain: 7bit, 8bit or binary. */
enum mime_kind	 mime_walk_kind(const struct mime_walk *);
enum mime_coding mime_walk_coding(const struct mime_walk *);
enum mime_coding mime_walk_domain(const struct mime_walk *);
/*
 * Quoted-printable (RFC 2045 6.7) of text, in pieces of lines: ends is true
 * with a line's last piece, without its CRLF.
 */
struct mime_qp { size_t column; };
void		 mime_qp_encode(struct mime_qp *, struct str piece, bool ends,
		    struct buf *out);

/* "5.6.0" text of a fault, as Postfix words it. */
const char	*mime_fault_text(enum mime_fault);
#endif
