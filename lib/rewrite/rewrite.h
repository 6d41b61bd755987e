/*
 * rewrite - addresses in the envelope and in header fields, where they stand.
 *
 * Pure: completes what is incomplete, as trivial-rewrite(8) does, and lets a
 * caller map each address of a field (canonical(5), generic(5)). cleanup and
 * the SMTP client use it.
 */
#ifndef REWRITE_REWRITE_H
#define REWRITE_REWRITE_H
#include "base/base.h"

/* How incomplete addresses are completed: trivial-rewrite(8). */
struct rewrite {
	struct str origin, domain;	/* "": nothing to append */
	bool	   append_origin, append_domain, swap_bangpath, percent_hack;
};
struct str	 rewrite_address(const struct rewrite *, struct arena *,
		    struct str);
/* What else becomes of a header's address, complete and internal. */
struct header_map {
	/* *address may be replaced, by one that lives as long. */
	void	    (*map)(void *ctx, struct str *address);
	void	     *ctx;
	struct arena *arena;
};
/* map may be NULL. False: nothing to change, out is left as it was. */
bool		 rewrite_header(const struct rewrite *, struct str body,
		    size_t tokens_max, const struct header_map *map,
		    struct buf *out);
#endif
