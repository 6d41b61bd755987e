/*
 * postern trace, inside.
 */
#ifndef TOOLS_TRACE_H
#define TOOLS_TRACE_H
#include "tools/postern.h"
#include "tools/trace_line.h"

struct log_name { int64_t time; char *path; };
struct trace_logs { struct log_name *v; size_t n; };

/* FILE and what it was rotated into, oldest first. */
void		 trace_logs_find(struct trace_logs *, struct arena *,
		    const char *file);
void		 trace_logs_add(struct trace_logs *, const char *path);
void		 trace_logs_free(struct trace_logs *);
/* Each line, without its LF. 0 or errno. */
int		 trace_log_read(const char *path,
		    void (*fn)(void *ctx, struct str line), void *ctx);
#endif
