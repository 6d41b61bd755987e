/*
 * text - a program's message on standard input, line ends put right.
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H
#include "base/base.h"

enum fix_ends { FIX_ALWAYS, FIX_STRICT, FIX_NEVER };

/* A zeroed one is at the start; set the first two. */
struct text {
	enum fix_ends fix;	/* sendmail_fix_line_endings */
	bool	 dot_ends;	/* a lone dot ends the message (no -i) */
	/* its own: */
	bool	 ended, in_line, past_from, decided, strip;
	size_t	 held_crs;	/* seen, not yet known to end the line */
	struct buf line;	/* the start of a line that is not whole */
};
void	 text_init(struct text *, enum fix_ends, bool dot_ends);
void	 text_free(struct text *);
/*
 * Appends to out what the message holds of these bytes: lines end in LF,
 * leading mbox "From " lines are gone. False: a lone dot has ended it, what
 * follows is not read.
 */
bool	 text_feed(struct text *, struct str in, struct buf *out);
/* End of input: the last line gets its end. */
void	 text_finish(struct text *, struct buf *out);
#endif
