/*
 * trace_line - one line of a mail log, of any of its forms. Pure.
 */
#ifndef TOOLS_TRACE_LINE_H
#define TOOLS_TRACE_LINE_H
#include "base/base.h"

enum trace_event { TRACE_OTHER, TRACE_RECEIVED, TRACE_SUBMITTED, TRACE_ID,
	TRACE_QUEUED, TRACE_SENT, TRACE_DEFERRED, TRACE_BOUNCED, TRACE_EXPIRED,
	TRACE_REPORT, TRACE_REMOVED, TRACE_WARNING };
extern const char *const trace_event_names[];

struct trace_line {
	struct str time, host, program;	/* "smtpd", without what is before */
	struct str qid, text;		/* text behind "QID: " */
	enum trace_event event;
	struct str next;		/* the id of a message that came of it */
};
/*
 * A line without its LF: traditional or RFC 3339 stamps, or Postern's JSON.
 * Strings are looks at it or live in the arena. False: no such line, or one
 * without a queue id.
 */
bool		 trace_line_parse(struct str line, struct arena *,
		    struct trace_line *);
/*
 * Does the line name what is looked for: this queue id, message id (with <>)
 * or, in from=, to= and orig_to=, this address?
 */
bool		 trace_line_names(const struct trace_line *, struct str what);
#endif
