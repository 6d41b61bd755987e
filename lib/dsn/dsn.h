/*
 * dsn - enhanced status codes (RFC 3463) and delivery reports (RFC 3464).
 */
#ifndef DSN_DSN_H
#define DSN_DSN_H
#include "base/base.h"

/* "5.1.1" at the start of s (RFC 3463 2), before a blank or the end: its
 * length, or 0. */
size_t		 dsn_status_length(struct str s);
/* 2, 4, 5; 0 where it is none. */
int		 dsn_class(struct str status);
/*
 * Appends "delay=T, delays=a/b/c/d" as Postfix logs it: T all, a before the
 * queue manager, b in it, c connection set-up, d transmission; in seconds
 * with two significant digits, and decimals at most below a second
 * (delay_logging_resolution_limit, 0 to 6). start_us 0: no delivery agent had
 * it; connected_us 0: there was no connection to set up. A clock that went
 * back counts as 0.
 */
struct dsn_delays {
	int64_t	 arrival_us, active_us, start_us, connected_us, done_us;
	unsigned decimals;
};
void		 dsn_print_delays(struct buf *, const struct dsn_delays *);

/* One recipient's outcome as a report tells it. */
struct dsn_rcpt {
	struct str final;	/* Final-Recipient */
	struct str original;	/* Original-Recipient (dsn_orcpt), "" none */
	struct str x_original;	/* the address before aliasing, "" same */
	struct str action;	/* failed delayed delivered relayed expanded */
	struct str status, remote_mta, diagnostic, text;
	int64_t	   tried_s;
};
#endif
