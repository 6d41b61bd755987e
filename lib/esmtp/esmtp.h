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
 * (RFC 5321 4.1.1.4, 4.5.2), whatever else looks like one; only where lf_ends
 * is set, by the caller, after content_init(), a script that never sends a CR
 * can end it. Whoever relays for others sends CRLF, and cannot be misled.
 */
struct content {
	bool	 dots;		/* DATA: unstuff and find the end */
	bool	 done;		/* the end of DATA was seen */
	bool	 bare_lf;	/* one was seen; it became CRLF */
	bool	 crlf;		/* a line ended as it should */
	bool	 lf_ends;	/* of one whose lines all end in LF alone, */
				/* LF "." LF is the end too */
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

/* --- the client's side --- */

#define ESMTP_REPLY_TEXT_MAX	8192	/* bytes of a reply that are kept */
#define ESMTP_REPLY_LINES_MAX	1000
#define ESMTP_REPLY_MAX		(128 * 1024)

/* A server's reply as it comes. Init text, zero the rest. */
struct esmtp_reply {
	unsigned   code;	/* 200 to 599, of its last line */
	struct str dsn;		/* "2.1.0" of that line, or "" */
	struct buf text;	/* its lines, LF between: "250 2.1.0 Ok" */
	/* Sees each line first, and returns it or another; may be NULL. */
	struct str (*filter)(void *ctx, struct str line);
	void	  *filter_ctx;
	/* inner: */
	unsigned   lines;
	size_t	   size;
	bool	   skip, over;
};
/*
 * Takes lines off *in until the reply is whole (RFC 5321 4.2). REPLY_BAD: no
 * reply, or one beyond the limits: nothing more can be believed. A line ends
 * in LF; what is too long of one is dropped. After REPLY_OK the next call
 * begins a new reply.
 */
enum reply_end { REPLY_OK, REPLY_MORE, REPLY_BAD };
enum reply_end	 esmtp_reply_feed(struct esmtp_reply *, struct str *in);

/* What a server offers in its reply to EHLO (RFC 5321 4.1.1.1). */
enum {
	OFFER_PIPELINING = 1 << 0, OFFER_SIZE = 1 << 1, OFFER_8BITMIME = 1 << 2,
	OFFER_SMTPUTF8 = 1 << 3, OFFER_CHUNKING = 1 << 4, OFFER_DSN = 1 << 5,
	OFFER_ENHANCED = 1 << 6, OFFER_STARTTLS = 1 << 7, OFFER_AUTH = 1 << 8,
	OFFER_XFORWARD = 1 << 9, OFFER_XCLIENT = 1 << 10, OFFER_VRFY = 1 << 11,
	OFFER_ETRN = 1 << 12, OFFER_REQUIRETLS = 1 << 13,
};
enum {			/* words of XFORWARD */
	XFORWARD_NAME = 1 << 0, XFORWARD_ADDR = 1 << 1, XFORWARD_PORT = 1 << 2,
	XFORWARD_PROTO = 1 << 3, XFORWARD_HELO = 1 << 4,
	XFORWARD_IDENT = 1 << 5, XFORWARD_SOURCE = 1 << 6,
};
struct esmtp_offer {
	unsigned   features;	/* OFFER_ */
	unsigned   xforward;	/* XFORWARD_ */
	uint64_t   size_max;	/* 0: none, or not told */
	struct str auth;	/* "PLAIN LOGIN", of the reply's text */
	struct str name;	/* the host name of its first line */
};
/* text: of an esmtp_reply; discard: OFFER_ bits to overlook. */
void		 esmtp_offer_read(struct str text, unsigned discard,
		    struct esmtp_offer *);
/*
 * "pipelining, starttls" as OFFER_ bits; silent-discard is known, and other
 * words too (they stand for nothing): *unknown is the first that is not.
 */
unsigned	 esmtp_offer_bits(struct str words, struct str *unknown);

/*
 * Content in the form of DATA (RFC 5321 4.5.2): a dot before each dot that
 * begins a line; lines of more than line_max bytes are folded (0: never).
 */
struct stuffer {
	size_t	 line_max, column;
	bool	 dots;		/* false: fold alone */
	bool	 cr;
};
void		 stuffer_init(struct stuffer *, bool dots, size_t line_max);
void		 stuffer_feed(struct stuffer *, struct str in, struct buf *out);
/* CRLF where the last line has none. */
void		 stuffer_end(struct stuffer *, struct buf *out);

/*
 * What was said in a session: its last lines, some max bytes. print: each with
 * a blank before it, wrapped, '?' for what is not printable.
 */
struct esmtp_script { int64_t lines; struct buf text; };
void		 esmtp_script_add(struct esmtp_script *, size_t max,
		    const char *who, struct str line);
void		 esmtp_script_print(const struct esmtp_script *, struct buf *);
void		 esmtp_script_clear(struct esmtp_script *);

/*
 * PROXY protocol: what a proxy tells of its client before the first byte of
 * SMTP (haproxy's proxy-protocol.txt: 2.1 text, 2.2 binary). n: bytes of the
 * header. PROXY_LOCAL: the proxy speaks for itself. Only TCP is taken.
 */
#define PROXY_HEADER_MAX 536
enum proxy_verdict { PROXY_MORE, PROXY_BAD, PROXY_LOCAL, PROXY_CLIENT };
struct proxy_header {
	size_t	 n;
	char	 client[46], server[46];	/* addresses as text */
	unsigned client_port, server_port;
};
enum proxy_verdict proxy_header_read(struct str in, struct proxy_header *);
#endif
