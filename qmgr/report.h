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

/* The words of one kind of report. Lines may name $myhostname,
 * $delay_warning_time_hours and $maximal_queue_lifetime_days. */
struct report_template {
	const char	*from, *subject, *postmaster_subject;
	const char	*undelivered;	/* before "Message" in descriptions */
	const char	*const *body;	/* NULL ends */
};
const struct report_template *report_template(enum report_kind);

struct report_site {		/* who writes */
	struct str	 myhostname;
	int64_t		 delay_warning_time, maximal_queue_lifetime;
	int64_t		 bounce_size_limit;
	bool		 threaded;
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
	struct str	 to;
	int64_t		 now_s;
	/* how far it is */
	enum report_piece piece;
	size_t		 rcpt;
	uint64_t	 at;
	bool		 newline;	/* the content so far ended a line */
};

/* Is recipient i told of in this report? (RFC 3461 4.1) */
bool		 report_names(const struct report *, size_t i);
size_t		 report_count(const struct report *);
#define REPORT_PIECE_MAX 32768
enum report_next { REPORT_MORE, REPORT_END, REPORT_FAULT };
/* Appends the next piece, CRLF line ends. FAULT: errno of the read. */
enum report_next report_next(struct report *, struct buf *) MUST_USE;
/* s in lines of at most 79 bytes where it has blanks, further ones indented
 * by 4; what is not printable is '?'. */
void		 report_wrap(struct buf *, struct str s, bool utf8);
#endif
