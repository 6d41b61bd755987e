/*
 * dovecot - words of Dovecot's auth protocol 1.x: lines of fields with tabs
 * between. Pure.
 */
#ifndef AUTH_DOVECOT_H
#define AUTH_DOVECOT_H
#include "base/base.h"

#define DOVECOT_LINE_MAX 16384
#define DOVECOT_ID_MAX	 10	/* digits */

/* The next field; empty ones count. */
struct str	 dovecot_field(struct str *rest);
/* "name=value" or "name" among the fields of rest; false: it is not there. */
bool		 dovecot_param(struct str rest, const char *name,
		    struct str *value);
/* No tab, line end or NUL: may stand in a field. */
bool		 dovecot_is_clean(struct str);
/* A line without its LF; NONE: not whole; RETRY: too long. */
enum found	 dovecot_line(struct str *in, struct str *line);
#endif
