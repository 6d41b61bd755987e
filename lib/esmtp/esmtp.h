/*
 * esmtp - words of SMTP that server and client share: command lines and
 * their parameters, content framing. RFC 5321, 1870, 3030, 3461, 6152, 6531.
 */
#ifndef ESMTP_ESMTP_H
#define ESMTP_ESMTP_H
#include "base/base.h"

#define ESMTP_LINE_MAX 2048	/* line_length_limit; RFC 5321 4.5.3.1.4: 512 */

/*
 * Takes one line off *in. LINE_MORE: no LF yet. Only CRLF ends a line
 * (RFC 5321 2.3.8); an LF without CR is LINE_BARE_LF, and the bytes up to it
 * are taken. A line of more than max bytes is LINE_LONG, nothing is taken.
 */
enum line_end { LINE_OK, LINE_MORE, LINE_BARE_LF, LINE_LONG };
enum line_end	 esmtp_line(struct str *in, size_t max, struct str *line);

/*
 * The next " KEYWORD[=value]" of *params (RFC 5321 4.1.2 Mail-parameters).
 * False at the end; *bad where the syntax is wrong.
 */
bool		 esmtp_param(struct str *params, struct str *keyword,
		    struct str *value, bool *bad);

/*
 * Content as it comes after DATA or in BDAT chunks. Emits spans of content:
 * CRLF line ends, dots unstuffed. The end of DATA is CRLF.CRLF alone
 * (RFC 5321 4.1.1.4, 4.5.2), whatever else looks like one.
 */
struct content {
	bool	 dots;		/* DATA: unstuff and find the end */
	bool	 done;		/* the end of DATA was seen */
	bool	 bare_lf;	/* one was seen; it became CRLF */
	uint64_t size;		/* bytes emitted */
	/* inner: */
	unsigned char state;
};
void		 content_init(struct content *, bool dots);
/*
 * Bytes of in that were taken: all, or up to and with the end of DATA. Each
 * span handed to emit is of in, or a constant.
 */
size_t		 content_feed(struct content *, struct str in,
		    void (*emit)(void *ctx, struct str span), void *ctx);
#endif
