/*
 * report - delivery reports (RFC 3461, 3462, 3464), piece by piece.
 *
 * report_text.c is pure but for reading the message's content from its file:
 * it writes one report in pieces of bounded size, so that neither a large
 * message nor ten thousand recipients need memory.
 */
#ifndef QMGR_REPORT_H
#define QMGR_REPORT_H
#include "dsn/dsn.h"
#include "ipc/ipc.h"
#include "queue/queue.h"
#include "template/template.h"

struct report_site {		/* who writes */
	struct str	 myhostname;
	struct templates templates;
	struct str	 text[TEMPLATE__MAX];	/* expanded, LF line ends */
	int64_t		 maximal_queue_lifetime, bounce_size_limit;
	bool		 threaded, confirm_delay_cleared;
	bool		 tls_optional;	/* tls_required_enable */
};

enum report_piece { PIECE_HEAD, PIECE_NOTES, PIECE_STATUS_HEAD,
	PIECE_STATUS, PIECE_ORIGINAL, PIECE_HEADERS, PIECE_BODY, PIECE_END,
	PIECE_NONE };

struct report {
	const struct report_site *site;
	const struct queue_message *msg;
	int		 fd;		/* of its file */
	enum report_kind kind;
	bool		 postmaster;	/* to postmaster, not to the sender */
	bool		 headers_only;
	bool		 of_one;	/* VERP: of recipient one alone */
	size_t		 one;
	struct str	 to;
	int64_t		 now_s;
	/* how far it is */
	enum report_piece piece;
	size_t		 rcpt;
	uint64_t	 at;
	bool		 newline;	/* the content so far ended a line */
};

/* Is its sender told that this recipient has the message? Either it was
 * asked for (RFC 3461 4.1), or a warning went out before. */
bool		 report_of_success(const struct queue_message *,
		    const struct queue_rcpt *, bool confirm_delay_cleared);
/* Is recipient i told of in this report? (RFC 3461 4.1) */
bool		 report_names(const struct report *, size_t i);
size_t		 report_count(const struct report *);
/* Its Content-Transfer-Encoding, "" for none. */
struct str	 report_encoding(const struct report *);
#define REPORT_PIECE_MAX 32768
enum report_next { REPORT_MORE, REPORT_END, REPORT_FAULT };
/* Appends the next piece, CRLF line ends. FAULT: errno of the read. */
enum report_next report_next(struct report *, struct buf *) MUST_USE;
/* s in lines of at most 79 bytes where it has blanks, further ones indented
 * by 4; what is not printable is '?'. */
void		 report_wrap(struct buf *, struct str s, bool utf8);
#endif
