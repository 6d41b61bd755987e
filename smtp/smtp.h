/*
 * smtp - the parts of the SMTP and LMTP client, and what they share.
 *
 * session.c  a server: the dialogue as two tables             (start here)
 * hello.c    greeting, EHLO: what a server can and may
 * transaction.c  MAIL, RCPT, DATA: one message to one server
 * content.c  the message on its way out of the queue file
 * convert.c  ... where it must change: generic(5), checks, 8bit as QP
 * delivery.c requests of qmgr: recipients, results, log lines
 * trouble.c  what a failure means for whom: next server, defer, bounce
 * route.c    a destination's sites and addresses, and which is next
 * servers.c  a site's addresses, by DNS (route.h: what the two share)
 * order.c    preference, chance and balance among them (pure)
 * connect.c  a socket that is connected
 * pool.c     connections that are kept for more mail
 * tls.h      TLS: policies, DANE, the handshake
 * policy.c   what must be so before mail may pass (TLS, login)
 * login.c    AUTH at servers
 * script.c   what was said, for postmaster where it went wrong
 * conf.c     pairs.def as two tables
 *
 * State: struct smtp is the process, struct delivery a request, struct
 * session a connection. A delivery has one session at a time; a session that
 * has no delivery rests in the pool.
 */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H
#include <sys/socket.h>

#include "checks/checks.h"
#include "conf/conf.h"
#include "dns/dns.h"
#include "dsn/dsn.h"
#include "esmtp/esmtp.h"
#include "event/event.h"
#include "ipc/ipc.h"
#include "request/request.h"
#include "service/service.h"
#include "sys/sys.h"
#include "table/table.h"
#include "tls/tls.h"

struct smtp_conf {
#define PAIR(type, member, ...)		conf_##type member;
#define TWIN(type, name, ...)		conf_##type name;
#define SAME(type, name, ...)		conf_##type name;
#define ALONE(type, member, ...)	conf_##type member;
#define OTHER_ALONE(type, member, ...)	conf_##type member;
#include "smtp/pairs.def"
#undef PAIR
#undef TWIN
#undef SAME
#undef ALONE
#undef OTHER_ALONE
};
extern const struct param smtp_params[], lmtp_params[];
extern const size_t smtp_nparams, lmtp_nparams;

#define BLOCK_MAX	65536	/* of content that is read at once */

struct pool_kept;
struct smtp {				/* the process */
	struct service	*service;
	struct loop	*loop;
	struct smtp_conf conf;
	bool		 lmtp;
	/* Of common.def, read once: */
	struct str	 myhostname, relayhost;
	struct str	 double_bounce;	/* local part of its sender */
	unsigned	 notify;	/* NOTE_ bits: notify_classes */
	bool		 soft_bounce;
	bool		 best_mx_passes;	/* best_mx_transport is set */
	bool		 tls_optional;	/* tls_required_enable */
	int64_t		 window;	/* tcp_windowsize; 0: the system's */
	unsigned	 delay_decimals;
	unsigned	 families;	/* DNS_V4 | DNS_V6: inet_protocols */
	/* Of the parameters: */
	unsigned	 lookup_flags;	/* DNS_ of dns_ask_host */
	bool		 no_dns;
	unsigned	 port;		/* tcp_port, host order */
	struct str	 ports;		/* known_tcp_ports */
	unsigned	 discard;	/* OFFER_ bits to overlook */
	struct sockaddr_storage bind4, bind6;	/* ss_family 0: none */
	struct match_list *own;		/* this machine's addresses */
	unsigned	 refused, tls_refused, verified_refused; /* SASL_ */
	struct match_list *login_filter;	/* NULL: all mechanisms */
	struct match_list *by_srv;	/* use_srv_lookup */
	struct match_list *cached;	/* connection_cache_destinations */
	struct match_list *debug_peers;
	struct tls_side	*tls;		/* NULL: never any TLS */
	struct tls_agent *tls_agent;	/* NULL: no certificate of ours */
	unsigned	 tls_level;	/* enum tls_level of tls.h */
	struct tls_tlsa	*anchors;	/* smtp_tls_trust_anchor_file */
	size_t		 nanchors;
	uint64_t	 tls_loglevel;
	bool		 probed;	/* dnssec_probe was asked */
	/* Tables, as they were at the start: */
	struct tables	*generic;
	bool		 generic_ext;	/* propagate_unmatched_extensions */
	struct find_conf find;
	struct checks	*checks;
	struct tables	*reply_filter, *status_filter, *dns_filter;
	struct requests	 requests;
	struct list	 deliveries, sessions;
	struct pool_kept *pool;
	struct buf	 filtered;	/* the answer of reply_filter */
	char		*block;		/* BLOCK_MAX, of all sessions */
};
int		 smtp_main(enum role, int argc, char **argv);
/* What smtp_main makes of it. */
void		 smtp_define(struct smtp *, enum role, struct service_def *);
/* A number or a name that was known at the start; 0: neither. */
unsigned	 smtp_port(const struct smtp *, struct str);

/* --- delivery.c --- */

/* What to say of a failure. */
struct why {
	struct str dsn;			/* "4.4.1"; "": nothing went wrong yet */
	struct str text;
	struct str remote;		/* host of a reply, or "" */
	struct str reply;		/* its text, or "" */
	bool	   down;		/* says it of the whole destination */
};

/* KEPT: failed here, but the next server may take it. */
enum rcpt_mark { RCPT_LEFT, RCPT_KEPT, RCPT_OVER };
struct recipient {
	uint64_t	 index;
	struct str	 address, original, dsn_orcpt;
	struct str	 mapped;	/* what RCPT says: generic(5) */
	uint64_t	 dsn_notify;
	enum rcpt_mark	 mark;
	bool		 accepted;	/* by RCPT */
	struct why	 why;		/* of the last server that failed it */
};

struct session;
struct destination;
struct delivery {			/* one request */
	struct list	 link;
	struct smtp	*smtp;
	struct talk	*talk;		/* NULL: qmgr is gone */
	struct arena	*arena;
	struct msg_deliver msg;		/* strings in the arena */
	struct recipient *rcpts;
	size_t		 n, nopen;	/* that came; without a result */
	struct destination *to;		/* route.c */
	struct session	*session;	/* NULL: between two */
	int64_t		 start_us, connected_us;
	bool		 final;		/* no other server follows */
	struct str	 throttle;	/* for qmgr: the destination is down */
};
/* Of struct requests; ctx: struct smtp. */
void		 delivery_new(void *ctx, struct talk *,
		    const struct msg_deliver *);
/* Ends a recipient: its log line, its result to qmgr. */
void		 delivery_result(struct delivery *, struct recipient *,
		    enum delivery_status, const struct why *);
void		 delivery_sent(struct delivery *, struct recipient *,
		    const struct esmtp_reply *);
/*
 * True: this machine is the best MX, and qmgr has another way for it
 * (best_mx_transport). Ends the recipient without a result.
 */
bool		 delivery_pass(struct delivery *, struct recipient *);
/* All have their results: tells qmgr and frees it. */
void		 delivery_end(struct delivery *);
/* Undone: qmgr has it tried again. Nothing of it was sent. */
void		 delivery_abort(struct delivery *);
/* How many are RCPT_LEFT; makes all that were kept so first. */
size_t		 delivery_take_kept(struct delivery *);
size_t		 delivery_left(const struct delivery *);
bool		 delivery_rcpt_left(const struct recipient *);

/* --- trouble.c --- */

/* A copy of dsn and a printed text, in the delivery's arena. */
struct why	 why_printf(struct delivery *, const char *dsn,
		    const char *fmt, ...) PRINTF(3, 4);
/* "host x[1.2.3.4] said: 550 ... (in reply to RCPT TO command)". */
struct why	 why_reply(struct session *, const struct esmtp_reply *,
		    const char *command);
/* A reply's text as one line: its line ends are blanks, NUL is "?". */
struct str	 why_line(struct delivery *, struct str);
/* Everybody who is left: next server, deferred or bounced. */
void		 trouble_all(struct delivery *, const struct why *);
void		 trouble_rcpt(struct delivery *, struct recipient *,
		    const struct why *);
/* The log's way of saying that a server is passed over. */
void		 trouble_note(struct delivery *, struct str text);
bool		 why_is_soft(const struct why *);

/* --- route.c --- */
struct address {
	struct sockaddr_storage ss;
	unsigned   preference;		/* of MX, SRV's priority */
	unsigned   rank;		/* the lowest is tried first */
	struct str host;		/* "mx.example", or the literal */
	struct str canonical;		/* behind its aliases */
	bool	   secure;		/* by DNSSEC */
};
/* Parses the destination; the delivery has no address yet. */
void		 route_open(struct delivery *);
/* Looks up, then reuses or connects: goes on by transaction_begin. */
void		 route_begin(struct delivery *);
/*
 * The session is done with, of no use, or there was none: those who are left
 * go to the next server; when all have their results, the delivery ends.
 */
void		 route_next(struct delivery *);
/* The server has greeted us well: smtp_mx_session_limit counts it. */
void		 route_spoken(struct delivery *);
/* Do we speak with a port 25 that could be our own? Is it a best MX? */
bool		 route_may_loop(const struct delivery *);
bool		 route_is_best(const struct delivery *);
void		 route_free(struct delivery *);
/* The same server again, without TLS. */
void		 route_plain(struct delivery *);
/* The site as tables have it (no "inet:" of LMTP), and its domain or host. */
/* servers.c: what smtp_dns_reply_filter leaves; the answer's or the arena's. */
struct dns_answer smtp_filtered(struct smtp *, const struct dns_answer *,
		    struct arena *);
struct str	 route_site(const struct delivery *);
struct str	 route_domain(const struct delivery *);
/* The server's name behind aliases; did DNSSEC vouch for all of it? */
struct str	 route_canonical(const struct delivery *);
bool		 route_secure(const struct delivery *, bool *mx_secure);
/* The pool's connection was dead before it heard of this mail. */
void		 route_again(struct delivery *);
void		 route_unix_done(struct delivery *, int fd, int err);
/* "host", "[host]:port", "[ipv6:::1]" of a destination (pure). */
bool		 route_parse(struct str site, struct str *host, bool *literal,
		    struct str *port) MUST_USE;

/* --- order.c --- */
struct order {
	bool	 randomize, balance;
	int	 first;			/* AF_INET, AF_INET6, 0: any */
	size_t	 limit;			/* mx_address_limit */
	unsigned (*random)(void *ctx, unsigned below);
	void	*ctx;
};
void		 order_addresses(struct address *, size_t n,
		    const struct order *);
struct order_host { unsigned preference, weight; size_t at; };
/* The hosts of SRV records, the first to be tried first: RFC 2782. */
void		 order_hosts(struct order_host *, size_t n,
		    const struct order *);

/* --- connect.c --- */
struct connecting;
/* done(fd, 0) or done(-1, errno), from the loop. */
struct connecting *connect_start(struct smtp *, const struct sockaddr_storage *,
		    void (*done)(void *ctx, int fd, int err), void *ctx);
void		 connect_cancel(struct connecting **);
/* "192.0.2.1" of it, without a port. */
struct str	 connect_text(const struct sockaddr_storage *, char out[64]);
unsigned	 connect_port(const struct sockaddr_storage *);
socklen_t	 connect_size(const struct sockaddr_storage *);

/* --- ask.c: tables and UNIX sockets, by lookup --- */
typedef void	 ask_fn(void *ctx, enum found, struct str value);
struct ask;
/* fn is called once, from the loop; RETRY: logged. */
struct ask	*ask_map(struct smtp *, const char *parameter, enum map_kind,
		    struct str key, ask_fn *, void *ctx);
/* A connection there: goes on by route_unix_done, from the loop. */
struct ask	*ask_unix(struct delivery *, struct str path);
void		 ask_cancel(struct ask **);		/* NULL is fine */

/* --- session.c --- */
enum state { GREETING, EHLO, HELO, LHLO, STARTTLS, HANDSHAKE, AUTH, XFORWARD,
	MAIL, RCPT, DATA, CONTENT, END, RSET, QUIT, REST, STATE__MAX };

/* A reply that is to come, and whose. */
struct awaited { enum state state; uint32_t rcpt; };

struct session {			/* one server, from connect to close */
	struct list	  link;
	struct list	  in_dest, in_addr;	/* of the pool */
	struct smtp	 *smtp;
	struct stream	 *stream;
	struct arena	 *arena;
	struct delivery	 *d;		/* NULL: rests, or says goodbye */
	struct str	  host, addr;	/* "mx.example", "192.0.2.1" or path */
	struct str	  name;		/* "mx.example[192.0.2.1]" */
	struct str	  relay;	/* with ":25": for relay= */
	struct str	  dest_key, addr_key;	/* of the pool */
	unsigned	  port;
	struct esmtp_offer offer;
	struct esmtp_reply reply;
	struct awaited	 *await;	/* from await_at on */
	size_t		  await_at, await_n, await_cap;
	enum state	  state;	/* of the next reply; what we do */
	unsigned	  uses;		/* messages before this */
	int64_t		  opened_ms, rested_ms;
	bool		  esmtp, reused;
	bool		  dirty;	/* needs RSET before the next message */
	bool		  broken;	/* no more mail by this one */
	bool		  heard;	/* a reply of this transaction came */
	bool		  handed;	/* all content is out, or may be */
	bool		  closed;
	bool		  debug;	/* debug_peer_list */
	unsigned	  busy;		/* calls that still look at it */
	struct ask	 *ask;		/* of hello.c, tls_find.c */
	struct tls	 *tls;		/* lives in the stream; NULL: none */
	struct tls_policy *tls_policy;	/* NULL: not known yet */
	struct str	  policy_key;	/* that is asked for next */
	unsigned	  site_level;	/* enum tls_level: smtp_tls_per_site */
	bool		  site_host;	/* ... of its host, too */
	struct dns_query *tlsa;
	unsigned	  tlsa_tries;
	bool		  wrap, no_tls;	/* TLS from the first byte; none */
	enum { TLS_OPEN, TLS_KEPT, TLS_BROKEN }
			  tls_status;	/* of the policy, so far */
	bool		  insecure_mx;	/* DANE only says: encrypt */
	bool		  relaxed;	/* no policy, for this mail alone */
	bool		  forged_mx;	/* may be: DANE proves its host alone */
	struct talk	 *login;	/* with auth, during AUTH */
	struct wait_peer *login_wait;
	bool		  login_last, logged_in;
	bool		  no_login;	/* auth has no password for it */
	bool		  login_asked;	/* that is all we want to know */
	bool		  spoken;	/* route_spoken has counted it */
	unsigned	  discard;	/* OFFER_ bits, of this very server */
	bool		  discard_known;
	/* transaction.c, content.c: */
	struct str	  sender;	/* as MAIL says it */
	unsigned	  step;		/* enum step: the next to be sent */
	bool		  utf8, bdat;	/* this message needs SMTPUTF8; as BDAT */
	size_t		  next_rcpt, naccepted, nended;
	struct content_out *out;
	struct timer	 *pause;	/* delay_dotcrlf */
	bool		  dot_waited;
	unsigned	  pix;		/* PIX_ bits */
	unsigned	  noted;	/* NOTE_ bits of what went wrong */
	struct esmtp_script script;
	int64_t		  xfer_until_ms;
};
enum { NOTE_DATA = 1 << 0, NOTE_PROTOCOL = 1 << 1 };
enum { PIX_NO_ESMTP = 1 << 0, PIX_DELAY_DOT = 1 << 1 };

/* --- script.c --- */
void		 script_configure(struct smtp *, struct conf *);
void		 script_out(struct session *, struct str line);
void		 script_in(struct session *);	/* its reply, as it stands */
void		 script_garbage(struct session *, struct str in);
/* A reply that failed something: is its code one for postmaster? */
void		 script_note_reply(struct session *, unsigned code);
/* The delivery leaves: to postmaster, if that is wanted. */
void		 script_end(struct session *, const struct delivery *);

struct server {			/* a connected socket; keys: of the pool */
	int	   fd;
	struct str host, addr;
	unsigned   port;	/* 0: a UNIX socket */
	struct str dest_key, addr_key;
	bool	   plain;	/* no TLS: it has failed */
};
/* The delivery is its first. */
struct session	*session_new(struct delivery *, const struct server *);
/* Words are gathered; session_flush sends them, and the timer starts. */
void		 session_say(struct session *, const char *fmt, ...)
		    PRINTF(2, 3);
void		 session_await(struct session *, enum state, size_t rcpt);
bool		 session_awaits(const struct session *);
/* Between these a session that is closed can still be looked at. */
void		 session_hold(struct session *);
void		 session_unhold(struct session *);
void		 session_flush(struct session *);
void		 session_timer(struct session *, enum state);
/* No delivery any more: rests in the pool, or QUIT. */
void		 session_release(struct session *);
void		 session_quit(struct session *);
void		 session_close(struct session *);
/*
 * A wire that is broken, or not to be believed: ends the delivery's try with
 * this server.
 */
enum broken { LOST, TIMED_OUT, GARBAGE };
void		 session_fail(struct session *, enum broken);
/* The server said it will have none of our mail: the next one. */
void		 session_refused(struct session *, const struct why *);
const char	*state_request(enum state);	/* "RCPT TO command" */

/* --- hello.c --- */
void		 on_greeting(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 on_hello(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 hello_send(struct session *, bool ehlo);
/* The server is known and may have mail: the first transaction. */
void		 hello_over(struct session *);

/* --- policy.c --- */
/*
 * After each EHLO: false, and nothing is wrong: go on. True: something else
 * must happen first (STARTTLS, AUTH), or has failed; that goes on itself.
 */
bool		 policy_next(struct session *);
void		 policy_go(struct session *);

/* --- starttls.c --- */
void		 starttls_open(struct smtp *, struct problems *);
/* Does what is asked of a server depend on the destination? */
bool		 starttls_varies(const struct smtp *);
bool		 starttls_next(struct session *);	/* as policy_next */
void		 starttls_wrap(struct session *);
void		 starttls_wrapped(struct session *);
/* Appends "may", "may:none", "dane?", "!secure": for the log. */
void		 starttls_status(const struct session *, struct buf *);
/* The handshake failed: may it go without? (No password: nobody listens.) */
void		 starttls_plain(struct session *, bool may);
/* The connection was lost under TLS: the same server, without? */
bool		 starttls_retries_plain(const struct session *);
/* As the log says it; of a session with TLS. */
enum tls_trust	 session_trust(const struct session *);
void		 on_starttls(struct session *, struct awaited,
		    const struct esmtp_reply *);
/* tls_find.c */
void		 tls_find_cancel(struct session *);

/* --- login.c --- */
void		 login_open(struct smtp *, struct problems *);
bool		 login_next(struct session *);	/* as policy_next */
/* Is there a password for this server? Goes on by starttls_plain. */
void		 login_ask(struct session *);
void		 on_auth(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 login_cancel(struct session *);

/* --- transaction.c --- */
void		 transaction_begin(struct session *);
void		 on_xforward(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 on_mail(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 on_rcpt(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 on_data(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 on_end(struct session *, struct awaited,
		    const struct esmtp_reply *);
void		 on_rset(struct session *, struct awaited,
		    const struct esmtp_reply *);
/* The transaction is over: with the next server, or at the end. */
void		 transaction_over(struct session *);

/* --- content.c --- */
bool		 content_is_small(const struct delivery *);
bool		 content_header_is_ascii(struct delivery *);
bool		 content_fits_bdat(const struct session *);
/* Sends it; awaits the reply to it. */
void		 content_begin(struct session *, bool bdat);
void		 content_drained(struct session *);
void		 content_free(struct session *);

/* The header with its empty line; false: it can't be read, or is too long. */
bool		 content_header(struct delivery *, struct buf *);

/* --- convert.c --- */
struct convert;
/* Must this message change for this server? */
bool		 convert_wanted(const struct session *);
/* It must, and has a signature that would break (RFC 1847 2.1). */
bool		 convert_breaks_signature(struct session *);
/* generic(5): *address may be replaced; RETRY: logged. */
enum found	 convert_address(struct smtp *, struct arena *,
		    struct str *address);
/* What comes out is appended to out, dots not stuffed. */
struct convert	*convert_new(struct session *, struct buf *out);
void		 convert_free(struct convert **);
void		 convert_header(struct convert *, struct str header);
void		 convert_body(struct convert *, struct str bytes);
void		 convert_end(struct convert *);
bool		 convert_failed(const struct convert *);	/* a table did */

/* --- pool.c --- */
struct pool_kept *pool_kept_new(void);
/* An idle connection of that destination (by_addr: address), or NULL. */
struct session	*pool_take(struct smtp *, struct str key, bool by_addr);
void		 pool_put(struct session *);
void		 pool_remove(struct session *);
#endif
