/*
 * access - an evaluation of restriction lists, for access.c and rule_*.c.
 */
#ifndef SMTPD_ACCESS_H
#define SMTPD_ACCESS_H
#include "route/route.h"
#include "smtpd/smtpd.h"

/* What a rule says. WAITS: it has asked, and calls check_resume() later. */
enum step { NEXT, PERMIT, REFUSE, WAITS };

enum rule_arg { NO_ARG, TABLE, COUNT_ARG };
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
	bool	   routed_retry;	/* to retry, not to error */
	struct str text;		/* what that transport would say */
};

struct check {
	struct session	*s;
	struct arena	*arena;
	void	       (*done)(struct session *, enum outcome);
	struct str	 subject;	/* of the stage that was asked for */
	struct { enum stage stage; const struct rule_list *list; }
			 lists[LISTS_MAX];
	enum stage	 now;		/* of the list under way */
	unsigned	 nlists, at_list;
	struct { const struct rule_list *list; size_t at; } stack[RULE_DEPTH];
	unsigned	 depth;
	bool		 warn;		/* warn_if_reject, for one rule */
	bool		 warn_next;
	bool		 running;	/* check_resume() must not recurse */
	struct str	 defer_if_permit, defer_if_reject; /* replies */
	struct str	 text;		/* the refusal */
	struct answer	 rcpt, sender, *asked;
	enum access_kind table_kind;
	struct str	 table_subject;
	const struct rule *rule;	/* the one that WAITS */
	enum step      (*then)(struct check *, const struct rule *);
	const struct question *question; /* under way */
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
void		 check_resume(struct check *, enum step);
/* ask.c: returns WAITS; the evaluation goes on with the answer's step. */
enum step	 check_ask(struct check *, const struct question *);
/* Asks lookup about the recipient (or sender), then runs then(). */
enum step	 ask_address(struct check *, bool sender, const struct rule *,
		    enum step (*then)(struct check *, const struct rule *));
/* What an access table says is done: "REJECT text", "OK", a list of rules. */
enum step	 do_action(struct check *, struct str action);
/* A list in words, as in main.cf; where: the parameter's name. */
const struct rule_list *rules_parse(struct smtpd *, struct arena *,
		    struct str words, const char *where, struct problems *);
/* Evaluates that list next. False where lists are nested too deeply. */
bool		 check_push(struct check *, const struct rule_list *);
struct str	 check_rcpt(const struct check *);	/* "" before RCPT */
#endif
