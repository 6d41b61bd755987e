/*
 * request - what all programs that deliver have in common: requests of qmgr
 * as they come, and what the log says of each recipient.
 */
#ifndef REQUEST_REQUEST_H
#define REQUEST_REQUEST_H
#include "dsn/dsn.h"
#include "ipc/ipc.h"
#include "table/table.h"

#define REQUEST_TEXT_MAX	2000	/* bytes of a result's text */

struct requests {			/* of a process */
	/* Sets the talk's ops; texts live until it returns (ipc_keep). */
	void	(*begin)(void *ctx, struct talk *, const struct msg_deliver *);
	void	*ctx;
};
/* A new talk of qmgr's: its first message is a request, or it is closed. */
void		 request_await(struct requests *, struct talk *);

/* How a recipient fared. */
struct rcpt_outcome {
	enum delivery_status status;
	struct str dsn, text;
};
/*
 * <name>_delivery_status_filter: "4.2.2 text" as the tables would have it, in
 * the arena. Failure may become put-off and the reverse; neither becomes
 * success, nor success a failure.
 */
void		 request_filter(struct tables *, const struct msg_deliver *,
		    struct arena *, struct rcpt_outcome *);

/* The log line is Postfix's log_adhoc(), byte for byte. */
struct rcpt_line {
	struct str address, original;	/* original "": as the address */
	struct str relay;
	unsigned   conn_use;		/* 0: not said */
	bool	   soft;		/* soft_bounce */
	struct str tls;			/* what became of TLS, or "" */
	struct dsn_delays delays;	/* arrival_us, active_us are msg's */
};
void		 request_log(const struct msg_deliver *,
		    const struct rcpt_outcome *, const struct rcpt_line *);
#endif
