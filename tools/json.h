/*
 * json - what commands print for other programs.
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H
#include "base/base.h"

/* Appends s as a JSON string's inside (RFC 8259 7). */
void	 json_escape(struct str s, struct buf *out);
/* {"key": "value"} and a line end, to standard output. */
void	 json_print_pair(struct str key, struct str value);
#endif
