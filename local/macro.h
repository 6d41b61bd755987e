/*
 * macro - $name in parameters that local and pipe expand for each recipient.
 */
#ifndef LOCAL_MACRO_H
#define LOCAL_MACRO_H
#include "base/base.h"

#define MACRO_MAX	32768	/* bytes of a result */

struct macro {
	const char *name;
	struct str  value;	/* p NULL: has none */
};
/* UNDEFINED: some name has no value and counts as empty. */
enum macro_result { MACRO_OK, MACRO_UNDEFINED, MACRO_ERROR };
/*
 * Bytes of values that are not in filter become '_'; "" lets all through.
 * *used, where not NULL: bit i for v[i] that was asked for (64 at most).
 */
enum macro_result macro_expand(const struct macro *v, size_t n,
	    struct str pattern, struct str filter, struct arena *,
	    struct str *out, uint64_t *used);
#endif
