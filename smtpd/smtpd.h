/*
 * smtpd - the parts of the SMTP server, and what they share.
 *
 * session.c  the dialogue: two tables, one screen        (start here)
 * command.c  greetings and the small commands
 * words.c    commands that main.cf gives another meaning
 * transaction.c  MAIL, RCPT: from a path and parameters to an envelope
 * content.c  DATA, BDAT: content to cleanup, its verdict to the client
 * access.c   restriction lists: parsing, the evaluation that may wait
 * ask.c      what a rule asks of another process
 * rule_*.c   the restrictions themselves; rbl_match.c: filters of DNS lists
 * xclient.c, proxy.c  what a trusted client says of its own client
 * auth.c     AUTH: opaque steps between the client and auth
 * starttls.c TLS
 * refusal.c  what main.cf makes of refusals: filters, footers
 * names.c    $names in the replies that main.cf words
 * limit.c    per-client limits (anvil), errors, junk
 * peer.c     who the client is, and how log lines name it
 *
 * State: struct smtpd is the process, struct session a client, struct
 * transaction one message of it.
 */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H
#include <sys/socket.h>

#include "conf/conf.h"
#include "dns/dns.h"
#include "esmtp/esmtp.h"
#include "event/event.h"
#include "ipc/ipc.h"
#include "service/notice.h"
#include "service/service.h"
#include "sys/sys.h"
#include "route/route.h"
#include "table/table.h"
#include "tls/tls.h"

struct smtpd_conf {
#define PARAM PARAM_MEMBER
#include "smtpd/params.def"
#undef PARAM
};

struct rule_list;			/* access.c: a parsed restriction list */

/* Text that a client may replace for ever: no arena would hold it all. */
struct kept { struct str str; char *mem; };
void		 keep(struct kept *, struct str);	/* copies; "" frees */

enum stage { AT_CLIENT, AT_HELO, AT_SENDER, AT_RELAY, AT_RECIPIENT, AT_DATA,
	AT_END_OF_DATA, AT_ETRN, STAGE__MAX };

enum tls_level { LEVEL_NONE, LEVEL_MAY, LEVEL_ENCRYPT };

/* Sessions that auth tells apart: with TLS, a channel binding, a name. */
enum { AUTH_HAS_TLS = 1, AUTH_HAS_BINDING = 2, AUTH_HAS_CERT = 4,
	AUTH_KINDS = 8 };

struct smtpd {				/* the process */
	struct service	   *service;
	struct loop	   *loop;
	struct arena	   *arena;	/* parsed configuration */
	struct smtpd_conf   conf;
	/* Of common.def, read once: */
	struct str	    myhostname, content_filter;
	uint64_t	    overrides;	/* MAIL_ bits */
	bool		    no_unlisted; /* no_unknown_recipient_checks */
	int64_t		    message_size_limit, line_max;
	bool		    smtputf8, soft_bounce;
	struct match_list  *mynetworks, *interfaces, *limit_exceptions,
			   *rewrite_clients,	/* its tables */
			   *mx_backup;
	struct match_list  *noops, *forbidden;	/* commands */
	struct match_list  *permit_log;		/* actions */
	struct match_list  *lf_clients, *debug_peers;
	struct match_list  *sasl_exceptions, *sasl_filter;
	struct match_list  *xclient_hosts, *xforward_hosts, *proxy_hosts,
			   *verp_hosts;
	struct str	    verp_default, verp_filter;
	unsigned	    sasl_refused, sasl_tls_refused; /* SASL_ bits */
	struct mechanisms { struct kept text; int64_t until_ms; }
			    mechanisms[AUTH_KINDS]; /* auth's last word */
	struct probe_sender probe_sender;
	const struct rule_list *rules[STAGE__MAX];
	const struct rule_list *unlisted_rcpt, *unlisted_sender;
	struct map	   *classes;	/* name: struct rule_list */
	struct tls_side	   *tls;	/* NULL: level none */
	struct tls_agent   *tls_agent;
	enum tls_level	    tls_level;
	uint64_t	    tls_loglevel;
	struct tables	   *tls_loglevels;
	bool		    tls_parents;	/* "example.com" is for below */
	struct list	    sessions;
	size_t		    nsessions;
	struct list	    listeners, proxied;
	/* names.c, refusal.c */
	bool		    expansion[256]; /* bytes that $names may bring */
	struct tables	   *command_filter, *discards, /* see params.def */
			   *reject_filter, *reject_footers, *dns_filter;
	/* transcript.c */
	unsigned	    notify;	/* NOTE_ bits: notify_classes */
	struct notices	    notices;	/* to postmaster */
	struct str	    bounce_notice_recipient, error_notice_recipient;
};

/* What went wrong in a session: notify_classes. */
enum {
	NOTE_BOUNCE = 1 << 0, NOTE_DATA = 1 << 1, NOTE_POLICY = 1 << 2,
	NOTE_PROTOCOL = 1 << 3, NOTE_RESOURCE = 1 << 4,
	NOTE_SOFTWARE = 1 << 5,
};

enum state { GREET, COMMAND, AUTH, DATA, BDAT, SKIP, TLS, WAIT, CLOSE,
	STATE__MAX };

/* What a command counts as in the line "disconnect from". */
struct tally { unsigned good, all; };
#define TALLY_MAX 20

struct rcpt {
	struct list link;
	struct str  address, dsn_orcpt;
	unsigned    dsn_notify;
	bool	    own_probe;		/* the sender of our probes */
};
struct attr { struct list link; struct str name, value; };

struct transaction {			/* MAIL to its end */
	struct arena   *arena;
	struct str	sender;
	struct str	defer;		/* what RCPT will say, where it could */
	struct str	dsn_envid, encoding, sasl_sender, verp;
	unsigned	dsn_ret;
	bool		smtputf8;
	uint64_t	size_hint;
	uint64_t	flags;		/* MAIL_ bits that rules set */
	struct list	rcpts;		/* struct rcpt */
	struct list	attrs;		/* struct attr, from rules */
	struct rcpt    *pending;	/* that rules still look at */
	struct map     *alike;		/* domains: rule_address.c; or NULL */
	size_t		nrcpts;
	int64_t		over_limit;	/* RCPT refused for their number */
	struct str	filter;
	uint64_t	sent_flags;	/* to cleanup, of flags and filter */
	struct str	sent_filter;
	/* content: */
	struct talk    *cleanup;
	struct wait_peer *waiting;
	struct content	content;
	uint64_t	chunk_left;	/* BDAT: bytes to come */
	uint64_t	chunk_size;
	bool		chunk_last;
	bool		bdat;		/* a BDAT came */
	bool		ending;		/* mail_end was sent */
	bool		replied;	/* to the chunk under way */
	const char     *failed;		/* reply for when all has arrived */
	struct str	queue_id;	/* "" before cleanup named it */
};

struct check;				/* access.c: an evaluation under way */

/* What XCLIENT or XFORWARD told; "": nothing. */
struct said {
	struct arena *arena;
	struct str    name, reverse, addr, port, helo, proto, login;
	struct str    server_addr, server_port, ident, source;
	enum found    name_found, reverse_found;
};

struct session {			/* one client, connect to disconnect */
	struct list	   link;
	struct smtpd	  *smtpd;
	struct stream	  *stream;
	struct tls	  *tls;		/* lives in the stream; NULL: none */
	struct timer	  *tls_wait;	/* for the first word of tlskey */
	unsigned	   tls_waits;
	uint64_t	   tls_loglevel;
	struct arena	  *arena;	/* until the client is gone */
	struct transaction *tx;		/* NULL: none */
	struct check	  *check;	/* NULL: none */
	struct talk	  *ask;		/* a question to lookup or anvil */
	struct timer	  *delay;	/* of replies to errors */
	enum state	   state, after_wait;
	struct str	   name, addr, port;	/* client */
	struct str	   who;			/* "name[addr]", for logs */
	struct str	   reverse_name;	/* as PTR says, not verified */
	enum found	   name_found, reverse_found, forward_found;
	struct dns_query  *naming;		/* under way */
	struct str	   anvil_key;		/* what anvil counts it as */
	struct str	   anvil_open;		/* as which it was connected */
	bool		   in_anvil;		/* a connection is counted */
	enum client_event  event;		/* that anvil is asked about */
	void		 (*counted)(struct session *, bool ok);
	void		 (*named)(struct session *);
	struct kept	   helo;		/* "" before HELO */
	struct kept	   site;		/* of ETRN */
	struct kept	   defer_client, defer_helo; /* what RCPT will say */
	struct said	  *said, *forwarded;	/* XCLIENT, XFORWARD */
	/* logging in (auth.c) */
	struct str	   server_addr, server_port;
	struct talk	  *login;		/* with auth */
	struct wait_peer  *auth_wait;
	void		 (*auth_listed)(struct session *);
	bool		   mechanisms_known;
	struct kept	   mechanisms;		/* as EHLO says them */
	struct kept	   auth_name, auth_initial; /* of AUTH under way */
	bool		   auth_has_initial;
	struct kept	   sasl_user, sasl_method; /* "": not logged in */
	struct str	   where;		/* last command, for logs */
	bool		   esmtp, lmtp;
	bool		   limited;	/* not in limit_exceptions */
	bool		   local;	/* local_header_rewrite_clients */
	bool		   debug;	/* its dialogue is logged */
	bool		   lf_lines;	/* an LF alone may end its lines */
	struct str	   discards;	/* words that EHLO shall not say */
	bool		   no_discards;	/* its table did not answer */
	bool		   pipelined;	/* sent ahead where it must wait */
	bool		   in_input;	/* replies are gathered */
	bool		   quit;	/* QUIT, and nothing behind it */
	struct str	   ahead;	/* what came with this command */
	uint64_t	   skip_left;	/* bytes of a chunk that is refused */
	const char	  *skip_reply;
	int64_t	   errors, junk;
	int64_t		   deadline_ms;	/* smtpd_per_request_deadline */
	struct kept	   held;	/* a reply that waits for its delay */
	unsigned	   command;	/* index in commands[], for tally */
	struct tally	   tally[TALLY_MAX];
	struct esmtp_script script;	/* where one may be wanted */
	unsigned	   noted;	/* NOTE_ bits of its errors */
};

/* --- session.c --- */
struct session	*session_new(struct smtpd *, int fd,
		    const struct sockaddr_storage *);
void		 session_close(struct session *, const char *why); /* NULL ok */
void		 session_stop(struct session *);
/* In WAIT: the greeting, anew. */
void		 session_greet(struct session *);
/* The one way to answer: "250 2.1.0 Ok"; counts errors by its first digit. */
void		 reply(struct session *, const char *fmt, ...) PRINTF(2, 3);
/* A line of a reply that goes on: "250-PIPELINING". */
void		 reply_more(struct session *, const char *fmt, ...)
		    PRINTF(2, 3);
/* A long line, as it is: "334 ..."; not counted. */
void		 reply_line(struct session *, struct str);
/* A reply and the end: 421 and its like. */
void		 reply_close(struct session *, const char *fmt, ...)
		    PRINTF(2, 3);
/* A table does not answer, and without it nothing can go on: 421. */
void		 session_data_error(struct session *);
/* Input waits until wait_over; the client's timer rests. */
void		 wait_begin(struct session *);
void		 wait_over(struct session *, enum state next);
void		 session_enter(struct session *, enum state);
void		 session_timer(struct session *);
bool		 session_has_input(const struct session *);
/* The client sent on behind STARTTLS: true where that ended the session. */
bool		 session_injected(struct session *);
/* All that the client said is forgotten. */
void		 session_forget(struct session *);

/* --- command.c: handlers of session.c's table --- */
void		 greet(struct session *);
void		 cmd_helo(struct session *, struct str arg);
void		 cmd_ehlo(struct session *, struct str arg);
void		 cmd_lhlo(struct session *, struct str arg);
void		 cmd_rset(struct session *, struct str arg);
void		 cmd_noop(struct session *, struct str arg);
void		 cmd_vrfy(struct session *, struct str arg);
void		 cmd_expn(struct session *, struct str arg);
void		 cmd_etrn(struct session *, struct str arg);
void		 cmd_help(struct session *, struct str arg);
void		 cmd_quit(struct session *, struct str arg);
void		 cmd_auth(struct session *, struct str arg);
void		 cmd_starttls(struct session *, struct str arg);
/* Is that keyword left out of EHLO's reply, and its use refused? */
bool		 keyword_discarded(const struct session *, const char *name);
/* Which are, for the client's address. */
void		 keywords_known(struct session *);
/* --- auth.c --- */
/* What main.cf says of logins. */
void		 auth_open(struct smtpd *, struct problems *);
/* Which mechanisms this session gets; then done(). */
void		 auth_list(struct session *, void (*done)(struct session *));
bool		 auth_is_offered(const struct session *);
size_t		 on_auth_line(struct session *, struct str in);
void		 auth_cancel(struct session *);	/* and nobody is logged in */
#define SESSION_BINDING 32
bool		 session_has_tls(const struct session *);
unsigned	 session_tls_bits(const struct session *);
/* RFC 9266's bytes; false: this session has none. */
bool		 session_binding(const struct session *,
		    uint8_t out[SESSION_BINDING]);
/* Of a client certificate that was verified, or "". */
struct str	 session_cert_name(const struct session *);
/* --- starttls.c --- */
void		 starttls_open(struct smtpd *, struct problems *);
/* Does the reply to EHLO name it? */
bool		 starttls_offered(const struct session *);
/* The handshake begins; nothing is unsent. _wrap: before the greeting. */
void		 starttls_go(struct session *);
void		 starttls_wrap(struct session *);
/* What was said has left, then the handshake. */
void		 session_begin_tls(struct session *);
/* --- xclient.c --- */
void		 cmd_xclient(struct session *, struct str arg);
void		 cmd_xforward(struct session *, struct str arg);
bool		 xclient_allowed(const struct session *);
bool		 xforward_allowed(const struct session *);
/* " NAME ADDR ...", for EHLO. */
void		 xclient_names(bool xforward, struct buf *out);
void		 xforward_reset(struct session *);	/* the message is over */
void		 said_free(struct said **);
/* --- proxy.c --- */
void		 proxy_open(struct smtpd *, struct problems *);
/* A connection whose first bytes are a proxy's, if that is configured. */
bool		 proxy_accept(struct smtpd *, int fd,
		    const struct sockaddr_storage *);
void		 proxy_stop(struct smtpd *);
/* --- transaction.c --- */
void		 cmd_mail(struct session *, struct str arg);
void		 cmd_rcpt(struct session *, struct str arg);
void		 transaction_reset(struct session *);
bool		 verp_allowed(const struct session *);	/* XVERP */
/* --- content.c --- */
void		 cmd_data(struct session *, struct str arg);
void		 cmd_bdat(struct session *, struct str arg);
size_t		 on_data(struct session *, struct str in);
size_t		 on_chunk(struct session *, struct str in);
size_t		 on_skipped(struct session *, struct str in);
/* A channel has room again: sessions that filled it go on. */
void		 content_drained(struct smtpd *);

/* --- access.c --- */
enum outcome { PASS, REFUSED };
/*
 * Evaluates the lists of a stage (with those that smtpd_delay_reject put
 * off), now or after questions to other processes; then done(). REFUSED: the
 * reply was given and logged.
 */
void		 access_check(struct session *, enum stage, struct str subject,
		    void (*done)(struct session *, enum outcome));
void		 access_cancel(struct session *);
/* Parses the lists of conf. Problems that stop the start are fatal. */
void		 access_open(struct smtpd *, struct problems *);

/* --- limit.c --- */
/* done(false): the limit is passed, a reply was given. */
void		 limit_event(struct session *, enum client_event,
		    void (*done)(struct session *, bool ok));
void		 limit_gone(struct session *);
/* --- peer.c --- */
/* Address and port at once; then names, which may take a while. */
void		 peer_find(struct session *, const struct sockaddr_storage *,
		    void (*done)(struct session *));
/* Our own end, once somebody wants to know it. */
void		 peer_server(struct session *);
/* Name and address are known, or replaced: what depends on them. */
void		 peer_known(struct session *);
/* Its certificate may make it one of ours. True: where it is listed. */
bool		 peer_has_cert(struct session *);
void		 log_refusal(struct session *, const char *what,
		    struct str text);
/* Appends " sasl_method=..." and its kin, each behind a comma or "". */
void		 log_login(const struct session *, struct buf *,
		    const char *comma);

/* --- words.c --- */
#define SNIPPET_MAX	100		/* bytes of a client's in a log line */
/* False: the session is over. The command may be another: of *other. */
bool		 words_filter(struct session *, struct str *line,
		    struct buf *other);
bool		 words_forbidden(struct session *, struct str verb,
		    struct str line);	/* true: the session is over */
/* "NOOP\r\n", "\026\003": unprintable bytes as C has them; inits out. */
void		 words_show(struct str, struct buf *);
bool		 words_noop(const struct session *, struct str verb);
/* --- names.c --- */
void		 names_open(struct smtpd *);
struct str	 names_censor(const struct smtpd *, struct arena *, struct str);
/* For an expander (conf/syntax.h). */
bool		 names_look(const struct session *, struct arena *,
		    struct str name, struct str *value, bool *raw);
/* --- refusal.c --- */
/* "550 5.1.1 text" as it leaves, in lines with LF between; inits out. */
void		 refusal_print(struct session *, struct str text, struct buf *);
/* What soft_bounce does to one such line. */
void		 refusal_soften(const struct smtpd *, char *line, size_t n);

/* --- transcript.c --- */
void		 transcript_configure(struct smtpd *, struct conf *);
/* NOTE_ bit of a reply; 0 for one that is no error. */
unsigned	 transcript_class(struct str line);
void		 transcript_in(struct session *, struct str line);
void		 transcript_out(struct session *, struct str line);
void		 transcript_forget(struct session *);
/* More than smtpd_history_flush_threshold lines: what was is over. */
void		 transcript_flush(struct session *);
/* To postmaster, if it is wanted. */
void		 transcript_end(struct session *, const char *why);
#endif
