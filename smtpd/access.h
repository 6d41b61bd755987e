/*
 * access - an evaluation of restriction lists, for access.c and rule_*.c.
 */
#ifndef SMTPD_ACCESS_H
#define SMTPD_ACCESS_H
#include "route/route.h"
#include "smtpd/smtpd.h"

/* What a rule says. WAITS: it has asked, and calls check_resume() later. */
enum step { NEXT, PERMIT, REFUSE, WAITS };

enum rule_arg { NO_ARG, TABLE, COUNT_ARG, DNSBL };
struct rule;
struct rule_def {
	const char    *name;
	enum rule_arg  arg;
	enum step    (*run)(struct check *, const struct rule *);
	const char    *text;
};
struct rule {			/* one item of a list */
	const struct rule_def  *def;	/* NULL: a class or a nested list */
	struct str		arg;
	const struct rule_list *list;
};
struct rule_list { struct rule *v; size_t n; };

/* To another process: what to send, what its answer (or silence) means. */
struct question {
	void	    (*send)(struct check *, struct talk *);
	enum step   (*answer)(struct check *, const void *msg);
	enum step   (*lost)(struct check *);
};

#define RULE_DEPTH 16		/* classes within classes */
#define LISTS_MAX  8		/* lists of one evaluation */

struct answer {			/* lookup's, about one address */
	bool	   known;
	enum found found;
	enum address_class cls;
	bool	   authorized;
	struct str address, table;
	struct str recipient;		/* the address as rewritten */
	bool	   routed_retry;	/* to retry, not to error */
	struct str text;		/* what that transport would say */
};

/* Whom a rule is about, whatever the stage of its list. */
enum party_kind { THE_CLIENT, THE_REVERSE_CLIENT, THE_HELO, THE_SENDER,
	THE_RECIPIENT };
struct party {
	struct str  value;		/* name, address; "" for the null one */
	const char *shown;		/* "name[addr]", "a@b": for replies */
	const char *class;		/* "Sender address" */
};

typedef enum step dns_step(struct check *, const struct dns_answer *);

struct check {
	struct session	*s;
	struct arena	*arena;
	void	       (*done)(struct session *, enum outcome);
	struct str	 subject;	/* of the stage that was asked for */
	struct { enum stage stage; const struct rule_list *list; }
			 lists[LISTS_MAX];
	enum stage	 asked_for, now; /* the latter of the list under way */
	unsigned	 nlists, at_list;
	struct {
		const struct rule_list *list;
		size_t at;
		bool no_permit;		/* a table that may not permit */
	}		 stack[RULE_DEPTH];
	unsigned	 depth;
	bool		 discarded;	/* DISCARD, which permits */
	bool		 warn;		/* warn_if_reject, for one rule */
	bool		 warn_next;
	bool		 running;	/* check_resume() must not recurse */
	struct str	 defer_if_permit, defer_if_reject; /* replies */
	struct str	 text;		/* the refusal */
	struct str	 action;	/* a table's first word, or "" */
	struct answer	 rcpt, sender, *asked;
	struct str	 table;		/* that is asked: its rule's, or ... */
	enum access_kind table_kind;
	struct str	 table_subject;
	struct party	 party;		/* whom the table's rule is about */
	enum step      (*table_then)(struct check *,
			    const struct msg_access_answer *);
	enum step      (*local_then)(struct check *, enum found);
	struct dns_query *dns;		/* under way */
	dns_step	*dns_then;
	enum dns_type	 dns_type;	/* that was asked for */
	void		*work;		/* of a rule that asks more than once */
	const struct rule *rule;	/* the one that WAITS */
	enum step      (*then)(struct check *, const struct rule *);
	const struct question *question; /* under way */
	enum role	 ask_role;	/* whom */
	struct wait_peer *waiting;
	struct timer	*timer;
};

#define RULE(name, arg, fn, text) \
	enum step fn(struct check *, const struct rule *);
#include "smtpd/rules.def"
#undef RULE

/* Sets the refusal: "554 5.7.1 <subject>: Client host rejected: ...". */
enum step	 refuse(struct check *, int64_t code, const char *dsn,
		    const char *fmt, ...) PRINTF(4, 5);
/* The subject and class of the list under way, for that text. */
const char	*check_subject(struct check *);	/* "<a@b>" */
const char	*check_class(const struct check *);	/* "Sender address" */
/* The same of whom a table was asked about, if one was. */
const char	*check_who(struct check *);
const char	*check_whose(const struct check *);
void		 check_resume(struct check *, enum step);
/* ask.c: returns WAITS; the evaluation goes on with the answer's step. */
enum step	 check_ask(struct check *, const struct question *);
enum step	 check_ask_role(struct check *, enum role,
		    const struct question *);
/*
 * Asks resolve; then() says the step, maybe WAITS once more. Names may be
 * U-labels. An answer lasts as long as then() runs.
 */
enum step	 check_dns(struct check *, enum dns_type, struct str name,
		    dns_step *then);
/* The host's addresses; the hosts file comes first. */
enum step	 check_dns_host(struct check *, struct str name,
		    dns_step *then);
/* Asks one table; then() sees the answer, found RETRY where none came. */
enum step	 check_table(struct check *, struct str table, enum access_kind,
		    struct str subject, enum step (*then)(struct check *,
		    const struct msg_access_answer *));
/* Asks lookup whether mail for that domain (or [address]) is local here. */
enum step	 check_local(struct check *, struct str domain,
		    enum step (*then)(struct check *, enum found));
/* False: there is nobody of that kind (yet), or no name is known. */
bool		 check_party(struct check *, enum party_kind, struct party *);
/* The refusal in c->text, as an *_tempfail_action says: now or if permitted. */
enum step	 check_tempfail(struct check *, struct str action);
/* It replaces a later 5xx; the first one counts. */
void		 check_defer_if_reject(struct check *);
/* "451 4.3.0 <shown>: Temporary lookup failure", "451 4.3.5 ...". */
enum step	 check_lookup_failed(struct check *, const char *shown);
/* A table that a restriction names gave no answer. */
enum step	 check_table_failed(struct check *);
enum step	 check_config_error(struct check *);
/* Asks lookup about the recipient (or sender), then runs then(). */
enum step	 ask_address(struct check *, bool sender, const struct rule *,
		    enum step (*then)(struct check *, const struct rule *));
/* What an access table says is done: "REJECT text", "OK", a list of rules. */
enum step	 do_action(struct check *, struct str action);
/*
 * Such an answer may not permit: nor the list that it named, where it pushed
 * one above depth. What comes instead of the step.
 */
enum step	 check_no_permit(struct check *, enum step, unsigned depth);
/* A rule's check_*_access about its party. */
enum step	 check_access(struct check *, const struct rule *,
		    enum party_kind, enum access_kind);
/* A list in words, as in main.cf; where: the parameter's name. */
const struct rule_list *rules_parse(struct smtpd *, struct arena *,
		    struct str words, const char *where, struct problems *);
/* Evaluates that list next. False where lists are nested too deeply. */
bool		 check_push(struct check *, const struct rule_list *);
/* rbl_match.c: "domain", "domain=127.0.0.[2..4;8]". */
bool		 dnsbl_valid(struct str arg);
/* Does that address pass the filter? Without one, each does. */
bool		 dnsbl_match(struct str arg, const uint8_t addr[4]);
struct str	 dnsbl_domain(struct str arg);
/* rbl_reply.c: a template of rbl_reply_maps becomes the refusal. */
struct rbl_listing {
	struct str  domain;
	const char *what, *class;
	struct str  reason;
};
enum step	 rbl_reply(struct check *, const struct rbl_listing *,
		    struct str template);
struct str	 check_rcpt(const struct check *);	/* "" before RCPT */
#endif
