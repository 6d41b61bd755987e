/*
 * cleanup - what the parts of cleanup share.
 *
 * One struct mail is one message on its way into the queue: envelope and
 * content come in, its queue file grows, and mail_finish() writes all but
 * the sync. Once status is not MAIL_OK the file is gone and what still comes
 * is swallowed. receive.c ties it to a talk; all else knows no channel.
 */
#ifndef CLEANUP_CLEANUP_H
#define CLEANUP_CLEANUP_H
#include "address/address.h"
#include "checks/checks.h"
#include "conf/conf.h"
#include "ipc/ipc.h"
#include "mime/mime.h"
#include "queue/queue.h"
#include "rewrite/rewrite.h"
#include "service/service.h"
#include "table/table.h"

struct cleanup_conf {
#define PARAM PARAM_MEMBER
#include "cleanup/params.def"
#undef PARAM
};
extern const struct param cleanup_params[];
extern const size_t cleanup_nparams;

struct cleanup {
	struct cleanup_conf conf;
	struct service	   *service;
	struct queue	    queue;
	struct rewrite	    local;
	struct tables	   *virtual_alias;
	struct tables	   *canonical, *sender_canonical, *rcpt_canonical;
	struct tables	   *sender_bcc, *rcpt_bcc;
	/* USE_ bits; none where there are no tables. */
	unsigned	    canonical_uses, sender_canonical_uses;
	unsigned	    rcpt_canonical_uses, masquerade_uses;
	struct match_list  *masquerade_exceptions;
	struct buf	    value;		/* the last answer of a table */
	struct match_list  *mydestination;
	struct find_conf    find;
	struct str	    myhostname, mail_name, empty_address;
	int64_t		    size_max;		/* message_size_limit */
	int64_t		    minfree;		/* bytes */
	int64_t		    hops_max, line_max;
	struct str	    verp_filter;
	bool		    spread_extension;	/* to results of aliases */
	bool		    spread_canonical;
	bool		    tls_optional;	/* tls_required_enable */
	uint64_t	    utf8_roles;	/* smtputf8_autodetect_classes */
	struct checks	   *checks;
	struct mime_walk_conf walk;	/* for mail that is inspected */
	bool		    walks;	/* something needs its structure */
	bool		    inspects_reports; /* internal_mail_filter_classes */
	/* Which bytes are refused or taken out; the first: is there any? */
	bool		    rejects_bytes, strips_bytes;
	bool		    reject[256], strip[256];
	struct buf	    stripped, body, rewritten;
	bool		    drop[MH__OTHER];	/* message_drop_headers */
	struct map	   *drop_others;	/* lower-case names */
	struct buf	    scratch;
	struct buf	    missed;		/* ids that were not offered */
	struct list	    early;		/* offered before the sync */
	struct map	   *early_ids;		/* the same, by queue id */
	struct timer	   *early_timer;	/* for the oldest of them */
	struct timer	   *spare_timer;	/* when no mail comes */
	int64_t		    early_from_ms;	/* until then none is offered */
	int64_t		    early_rest_ms;	/* how long that was; 0: not now */
	uint64_t	    free_bytes;		/* at free_ms */
	int64_t		    free_ms;
};

enum part { PART_BEGIN, PART_HEADER, PART_BODY };
enum line { LINE_NEW, LINE_FIELD };

struct addresses { struct str *v; size_t n, cap; };

struct mail {
	struct cleanup	    *c;
	struct talk	    *talk;
	struct arena	    *arena;
	struct queue_writer *writer;
	struct msg_mail_begin begin;	/* strings in the arena */
	struct rewrite	     header_rules; /* both empty: leave headers */
	struct str	     id, message_id;
	struct { struct str name, addr, port, helo, proto, ident, source; }
			     forwarded;
	bool		     complete;	/* add missing headers */
	bool		     finds_utf8;	/* SMTPUTF8, where it is needed */
	bool		     syncing, hold, discard;
	bool		     inspect;	/* by checks, still */
	bool		     inspect_bytes; /* for those that must not be */
	struct mime_walk    *walk;	/* NULL: nobody asks for structure */

	enum mail_status     status;
	struct str	     dsn, reason;

	struct str	     sender, redirect, filter, encoding;
	struct queue_rcpt   *rcpts;
	size_t		     nrcpts, rcpts_cap;
	size_t		     given;	/* recipients that the client named */
	struct str	     last_given;
	struct str	     last_rcpt;	/* rewritten, for log lines */
	struct map	    *seen;	/* for duplicates */
	struct addresses     bcc, prepend;
	struct addresses     copies;	/* of sender_bcc_maps and its kin */
	struct addresses     extracted, resent_extracted;

	enum part	     part;
	enum line	     line_state;
	bool		     cr_held;	/* a CR whose LF may follow */
	bool		     bol;	/* body: next byte written begins a line */
	bool		     open_line;	/* body: its last line has no end yet */
	bool		     piece_open; /* the same, of what checks let pass */
	size_t		     column;	/* body: bytes of its line so far */
	bool		     lines;	/* one that is no mbox line came */
	bool		     resent, extra_line;
	unsigned	     flags;	/* QMF_ */
	uint64_t	     received;	/* bytes of content */
	uint64_t	     seen_headers; /* bit per enum mime_header */
	int64_t		     hops;
	struct buf	     line, field, headers;
};

/* mail.c */
struct mail	*mail_new(struct cleanup *, const struct msg_mail_begin *);
void		 mail_attr(struct mail *, struct str name, struct str value);
/* Behind the content: those of its header (sendmail -t), and copies. */
void		 mail_add_recipients(struct mail *);
/* Completes and writes it. MAIL_OK: only the sync is left. */
enum mail_status mail_finish(struct mail *);
/* The first failure stays. The queue file goes at once. */
void		 mail_fail(struct mail *, enum mail_status, const char *dsn,
		    const char *reason);
/* A local fault by errno. */
void		 mail_fault(struct mail *, const char *what, int err);
void		 mail_free(struct mail **);
void		 addresses_add(struct addresses *, struct str);
void		 lower_case(char *, size_t);	/* ASCII, in place */
struct str	 lower_copy(struct arena *, struct str);

/* content.c: bytes of content, any cut. */
void		 content_take(struct mail *, struct str);
void		 content_end(struct mail *);

/* To the queue file: the body in its last form. */
void		 content_write(struct mail *, struct str);

/* inspect.c */
void		 inspect_begin(struct mail *);
void		 inspect_free(struct mail *);
/*
 * What the tables say of a field or a line (without its line end): false
 * where it is left out. *text may become another; lines that are put before
 * it go to before. Once the message has failed, neither matters.
 */
bool		 inspect_text(struct mail *, enum mime_place, struct str *text,
		    struct buf *before);
/* Bytes that must not be: false, and the message has failed. */
bool		 inspect_bytes(struct mail *, struct str *);
/* "ID: reject: header X from client[...]; from=<> to=<> ...: text". */
void		 inspect_log(struct mail *, const char *action,
		    const char *what, struct str text);

/* header.c */
void		 header_begin(struct mail *);
void		 header_field(struct mail *, struct str field);
void		 header_end(struct mail *);

/* received.c */
void		 received_print(struct mail *, struct buf *);

/* canonical.c */
enum {				/* canonical_classes, masquerade_classes */
	USE_ENVELOPE_SENDER = 1 << 0, USE_ENVELOPE_RCPT = 1 << 1,
	USE_HEADER_SENDER = 1 << 2, USE_HEADER_RCPT = 1 << 3,
};
/* Does anything change such addresses? */
bool		 canonical_wanted(const struct cleanup *, unsigned use);
/* The address by all that applies to its use; false: the mail failed. */
bool		 canonical_map(struct mail *, unsigned use,
		    struct str *address);
/* An address of a table's result, complete; ext with its delimiter. */
struct str	 canonical_result(struct mail *, struct str from,
		    struct str to, struct str ext, bool spread);
/* user+ext matched as user: ext with its delimiter, to be put on. */
struct str	 canonical_extension(struct arena *, struct str from,
		    struct str ext);
/* What that table says of the address gets a copy. */
void		 canonical_copy(struct mail *, struct tables *,
		    const char *parameter, struct str address);

/* recipient.c */
void		 recipient_add(struct mail *, struct str address,
		    struct str dsn_orcpt, unsigned notify);
void		 recipient_copy(struct mail *, struct str address);
/* Without aliases: what REDIRECT names. */
void		 recipient_redirect(struct mail *);

/* alias.c: address and all that it stands for. False: mail_fail was called. */
bool		 alias_expand(struct mail *, struct str address,
		    struct addresses *);

/* setup.c: all that main.cf says; then the queue, or die. */
void		 cleanup_check(struct cleanup *, struct conf *,
		    struct problems *);
void		 cleanup_open(struct cleanup *, struct conf *);
void		 cleanup_end(struct cleanup *);

/* receive.c */
void		 receive_talk(struct cleanup *, struct talk *, enum msg);
void		 receive_offer_missed(struct cleanup *);
/* qmgr's word on an early offer; a qmgr that is gone. */
void		 receive_settled(struct cleanup *, const struct msg_settled *);
void		 receive_qmgr_gone(struct cleanup *, const struct channel *);
#endif
