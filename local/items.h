/*
 * items - what aliases, .forward and :include: files hold.
 */
#ifndef LOCAL_ITEMS_H
#define LOCAL_ITEMS_H
#include "local/agents.h"

/*
 * The next of *rest, an alias' value or a line of a file; false at the end.
 * What makes no sense is passed over.
 */
bool	 items_next(struct str *rest, struct arena *, struct item *);
/* The next line of a file that is no comment and not empty. */
bool	 items_line(struct str *text, struct str *line);
#endif
