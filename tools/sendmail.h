/*
 * sendmail - what the parts of the sendmail command share.
 *
 * main_sendmail.c  modes and what each runs        (start here)
 * sendmail_args.c  the command line
 * enqueue.c        a message from standard input
 * dialogue.c       -bs: SMTP on standard input and output
 * text.c submit.c  line ends; the way through postdrop
 */
#ifndef TOOLS_SENDMAIL_H
#define TOOLS_SENDMAIL_H
#include "tools/submit.h"
#include "tools/text.h"

enum sendmail_mode { MODE_ENQUEUE, MODE_NEWALIASES, MODE_MAILQ, MODE_DAEMON,
	MODE_DIALOGUE, MODE_FLUSH, MODE_IGNORE };

struct sendmail {
	struct tool tool;
	enum sendmail_mode mode;
	const char *dir;		/* -C */
	const char *sender;		/* -f, -r; NULL: the caller */
	const char *full_name;		/* -F */
	const char *encoding;		/* "8bit", "7bit", NULL */
	const char *envid;		/* -V */
	const char *ret;		/* "full", "hdrs", NULL */
	const char *verp;		/* -XV: delimiters; "": the usual */
	const char *site, *id;		/* -qR, -qI */
	const char *aliases;		/* -oA */
	uint32_t    notify;		/* -N */
	bool	    interval;		/* -q15m */
	bool	    extract;		/* -t */
	bool	    ignore_dots;	/* -i */
	bool	    gateway;		/* -G */
	bool	    verify;		/* -bv */
	bool	    report;		/* -v */
	bool	    smtputf8;		/* -O SMTPUTF8=yes */
	char	  **rcpts;		/* NULL-terminated */
};

/* Fills s from the command line; usage errors end the program with 64. */
void	 sendmail_args(struct sendmail *, int argc, char **argv);

/* The caller's login name as sender, in internal form; may tool_fail(). */
struct str sendmail_login(struct sendmail *);
/* -F, NAME, or the caller's name in passwd; "" where there is none. */
struct str sendmail_full_name(struct sendmail *);
/* Line ends as sendmail_fix_line_endings says. */
enum fix_ends sendmail_fix_ends(struct sendmail *);

_Noreturn void	 enqueue(struct sendmail *);
_Noreturn void	 dialogue(struct sendmail *);
#endif
