/*
 * verify - what is known of an address, as its cache has it:
 * "status:probed:updated:text", Postfix's form. Pure.
 */
#ifndef LOOKUP_VERIFY_H
#define LOOKUP_VERIFY_H
#include "conf/conf.h"
#include "ipc/ipc.h"

#define VERIFY_PROBE_S	1000	/* a probe without result is lost then */
#define VERIFY_TEXT_MAX	1000

struct verify_conf {
#define PARAM PARAM_MEMBER
#include "lookup/params_verify.def"
#undef PARAM
};

struct verdict {
	enum verify_status status;
	int64_t	   probed_s;	/* when a probe went that has no result; 0 */
	int64_t	   updated_s;	/* when the last result came; 0: never */
	struct str text;
};
/* False: no such entry. text points into s. */
bool		 verdict_read(struct str s, struct verdict *);
void		 verdict_print(const struct verdict *, struct buf *);
/* It no longer counts, and no probe is under way. */
bool		 verdict_expired(const struct verify_conf *,
		    const struct verdict *, int64_t now_s);
/* A new probe is due. */
bool		 verdict_stale(const struct verify_conf *,
		    const struct verdict *, int64_t now_s);
#endif
