/*
 * ipc - messages between processes: structs, wire form, channels, talks.
 *
 * A channel is one SOCK_SEQPACKET socket between two processes. Many talks
 * (conversations) share it, told apart by a number in each frame. Frames are
 * gathered into packets that leave before the loop sleeps; at most one
 * descriptor travels with a packet. What arrives is trusted in nothing: a
 * frame that is short, long, unknown, out of place or not its sender's to
 * send closes the channel.
 *
 * Descriptors are given away: sending takes the FD, which the channel closes;
 * who wants to keep one sends a dup. A message's handler owns the FD that came
 * with it; -1 also where this process has too many open (a local fault).
 */
#ifndef IPC_IPC_H
#define IPC_IPC_H
#include "base/base.h"
#include "event/event.h"

enum role {
#define PROCESS(role, ...) ROLE_##role,
#define READER(front, worker)
#include "priv/process.def"
#undef PROCESS
#undef READER
	ROLE__MAX
};
const char	*role_name(enum role);		/* "smtpd" */
enum role	 role_worker(enum role front); /* READER; ROLE__MAX: is none */
bool		 role_is_worker(enum role);

#define IPC_PACKET_MAX	65536	/* one packet, all its frames */
#define IPC_CONTENT_MAX	32768	/* the most that goes in mail_content */
#define IPC_UNSENT_HIGH	(1 << 20) /* stop producing above this */

/* mail_begin.flags */
enum {
	MAIL_LOCAL_CLIENT = 1 << 0,	/* complete and rewrite headers */
	MAIL_SMTPUTF8	  = 1 << 1,
	MAIL_BOUNCE	  = 1 << 2,	/* a report of our own */
	MAIL_EXTRACT	  = 1 << 3,	/* sendmail -t: recipients from headers */
	MAIL_NO_CHECKS	  = 1 << 4,	/* receive_override_options ... */
	MAIL_NO_REWRITE	  = 1 << 5,
	MAIL_NO_BCC	  = 1 << 6,
	MAIL_HOLD	  = 1 << 7,
	MAIL_DISCARD	  = 1 << 8,
	MAIL_VERIFY	  = 1 << 9,	/* sendmail -bv */
	MAIL_TRACE	  = 1 << 10,	/* sendmail -v */
	MAIL_NO_RECEIVED  = 1 << 11,	/* client is hidden */
	MAIL_PROBE	  = 1 << 13,	/* with VERIFY: for verify alone */
	MAIL_AUTH_HEADER  = 1 << 12,	/* smtpd_sasl_authenticated_header */
};
/* The bits of receive_override_options; *unlisted: no_unknown_recipient_checks.
 * False: *bad is no word of it. */
bool		 mail_overrides(struct str list, uint64_t *flags,
		    bool *unlisted, struct str *bad) MUST_USE;
enum { DSN_RET_NONE, DSN_RET_FULL, DSN_RET_HDRS };
enum {					/* RFC 3461 4.1 */
	DSN_NOTIFY_NEVER   = 1 << 0, DSN_NOTIFY_SUCCESS = 1 << 1,
	DSN_NOTIFY_FAILURE = 1 << 2, DSN_NOTIFY_DELAY	= 1 << 3,
};
/* verify's; numbers of its cache file, which are Postfix's. */
enum verify_status { VERIFY_OK, VERIFY_DEFER, VERIFY_BOUNCE, VERIFY_TODO };
enum mail_status {
	MAIL_OK,		/* on stable storage */
	MAIL_RETRY,		/* a local fault: 451 4.3.0 */
	MAIL_NO_SPACE,		/* 452 4.3.1 */
	MAIL_TOO_BIG,		/* 552 5.3.4 */
	MAIL_TOO_MANY_HOPS,	/* 554 5.4.0 */
	MAIL_REJECTED,		/* by content: dsn and reason say why */
	MAIL_NO_RCPT,		/* nobody to send to */
	MAIL_BAD_CONTENT,	/* 550 5.6.x */
};
enum delivery_status { SENT, DEFERRED, BOUNCED, EXPANDED };
enum { DELIVER_VERIFY = 1 << 0, DELIVER_TRACE = 1 << 1,
	DELIVER_SMTPUTF8 = 1 << 2, DELIVER_BOUNCE = 1 << 3,
	DELIVER_HAS_DOTS = 1 << 4, DELIVER_TLS_OPTIONAL = 1 << 8,
	DELIVER_8BIT = 1 << 5,	/* header or body */
	DELIVER_MORE = 1 << 6,	/* of the destination's mail waits */
	DELIVER_LONG_LINES = 1 << 7 }; /* above 998 bytes, RFC 5322 2.1.1 */
/* DENY: the site is not in fast_flush_domains. */
enum flush_status { FLUSH_OK, FLUSH_DENY, FLUSH_FAIL };
enum report_kind { REPORT_FAILURE, REPORT_DELAY, REPORT_SUCCESS,
	REPORT_VERIFY };
enum store_kind { STORE_MAILDIR, STORE_MBOX, STORE_MMDF, STORE_MH };
/* store.flags: /file/name of an alias or .forward, that may be a device. */
enum { STORE_ANY_FILE = 1 << 0 };
enum item_kind { ITEM_ADDRESS, ITEM_COMMAND, ITEM_FILE, ITEM_INCLUDE,
	ITEM_USER /* \user: no alias, no .forward */ };
/* INCLUDE: named by root, so the owner's alone to read; ANY: by a user. */
enum expand_kind { EXPAND_FORWARD, EXPAND_INCLUDE, EXPAND_INCLUDE_ANY };
enum { RUN_FROM = 1 << 0, RUN_RETURN_PATH = 1 << 1, RUN_ORIGINAL = 1 << 2,
	RUN_DELIVERED = 1 << 3, RUN_QUOTE_FROM = 1 << 4, RUN_DOTS = 1 << 5,
	RUN_BLANK = 1 << 6 };
enum { LOCK_FCNTL = 1 << 0, LOCK_DOTLOCK = 1 << 1, LOCK_FLOCK = 1 << 2 };
enum map_kind { MAP_KEY, MAP_ADDRESS, MAP_ANCHORS };	/* of ipc.def */
/* EXACT: subject itself, then subject_addr. */
enum access_kind { ACCESS_CLIENT, ACCESS_DOMAIN, ACCESS_ADDRESS,
	ACCESS_IP, ACCESS_KEY, ACCESS_EXACT,
	ACCESS_OWNER };		/* logins that own an address */
enum client_event { CLIENT_CONNECT, CLIENT_MAIL, CLIENT_RCPT, CLIENT_AUTH,
	CLIENT_TLS, ACCOUNT_MAIL, ACCOUNT_RCPT /* client: who is logged in */ };
/* FAILED: wrong password, unknown user; TEMPORARY: a local fault, 454. */
enum auth_result { AUTH_OK, AUTH_FAILED, AUTH_TEMPORARY };
#define TICKET_SIZE	32	/* bytes, all of chance */
/* Properties of mechanisms that smtpd_sasl_security_options refuses. */
enum {
	SASL_NO_PLAINTEXT  = 1 << 0, SASL_NO_ACTIVE  = 1 << 1,
	SASL_NO_DICTIONARY = 1 << 2, SASL_NO_ANONYMOUS = 1 << 3,
	SASL_NEED_FORWARD  = 1 << 4, SASL_NEED_MUTUAL  = 1 << 5,
};

enum msg {
	/* The room's own; no fields, between any two that have a channel. */
	MSG__CLOSE,		/* the talk is over */
	MSG__LEAVING,		/* channel_leave() */
	MSG__HEARD,		/* its answer */
#define MESSAGE(name, from, to, flags) MSG_##name,
#define TEXT(f)
#define NUM(f)
#define FD(f)
#define END(name)
#include "ipc/ipc.def"
#undef MESSAGE
#undef TEXT
#undef NUM
#undef FD
#undef END
	MSG__MAX
};

#define MESSAGE(name, from, to, flags) struct msg_##name {
#define TEXT(f)		struct str f;
#define NUM(f)		uint64_t f;
#define FD(f)		int f;
#define END(name)	int end_of_message; };
#include "ipc/ipc.def"
#undef MESSAGE
#undef TEXT
#undef NUM
#undef FD
#undef END

/* --- wire form (for channels, tests and fuzz targets) --- */
struct frame { enum msg id; uint32_t talk; const void *msg; };
/* Appends one frame; a descriptor it carries is put in *fd (-1: none). */
void	 ipc_encode(enum msg, uint32_t talk, const void *msg, struct buf *,
	    int *fd);
/* Takes the next frame off *packet; TEXT points into it; *fd is taken (left
 * -1) by the frame that has an FD. out is room for any message. False: not a
 * frame that `from` may send to `self`. */
bool	 ipc_decode(enum role from, enum role self, struct str *packet,
	    int *fd, struct frame *, void *out, size_t out_size) MUST_USE;
size_t	 ipc_message_max(void);		/* bytes of the largest struct */
void	 ipc_print(enum msg, const void *msg, struct buf *);
/* Every TEXT into the arena: a copy of the struct then outlives the packet. */
void	 ipc_keep(enum msg, void *msg, struct arena *);
/* May a process of role a say anything to one of role b? */
bool	 ipc_speaks(enum role a, enum role b);

/* --- channels and talks --- */
struct channel;
struct talk;
struct talk_ops {
	void	(*on_message)(void *ctx, struct talk *, enum msg,
		    const void *msg);
	/* Peer closed or died, or the deadline passed: talk is freed after. */
	void	(*on_gone)(void *ctx, struct talk *, const char *why);
};
struct channel_ops {
	void	(*on_solo)(void *ctx, struct channel *, enum msg, const void *);
	/* The peer opened a talk: set its ops, then it gets the message. */
	void	(*on_talk)(void *ctx, struct channel *, struct talk *,
		    enum msg);
	void	(*on_drained)(void *ctx, struct channel *); /* was above HIGH */
	/* The peer leaves: from here on no talk may be opened to it. */
	void	(*on_leaving)(void *ctx, struct channel *);
	void	(*on_gone)(void *ctx, struct channel *); /* free it here */
};

struct channel	*channel_new(struct loop *, int fd, enum role self,
		    enum role peer, unsigned side, const struct channel_ops *,
		    void *ctx);
void		 channel_free(struct channel **);	/* talks get on_gone */
/* A SOLO message. */
void		 channel_send(struct channel *, enum msg, const void *);
size_t		 channel_unsent(const struct channel *);
size_t		 channel_talks(const struct channel *);
enum role	 channel_peer(const struct channel *);
/* Tells the peer that we leave. Parted: it has answered, so all that it sent
 * before is here, and it opens no more talks; or it is gone. */
void		 channel_leave(struct channel *);
bool		 channel_parted(const struct channel *);
void		 channel_flush(struct channel *);	/* also by the loop */
void		 channel_flush_all(void);

struct talk	*talk_open(struct channel *, const struct talk_ops *,
		    void *ctx);
void		 talk_set(struct talk *, const struct talk_ops *, void *ctx);
/* on_gone("deadline") unless a message arrives within ms; 0: none. The
 * message disarms it: set it anew for the next. */
void		 talk_deadline(struct talk *, int64_t ms);
/* An ENDS message frees the talk, here at once and at the peer when its
 * handler has returned. What is sent to a peer that is gone, or has ended
 * the talk, is dropped. */
void		 talk_send(struct talk *, enum msg, const void *);
/* Over: tells the peer where it does not know. NULL is fine. No on_gone. */
void		 talk_close(struct talk **);
struct channel	*talk_channel(const struct talk *);
#endif
