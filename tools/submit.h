/*
 * submit - a message on its way through postdrop, for sendmail.
 */
#ifndef TOOLS_SUBMIT_H
#define TOOLS_SUBMIT_H
#include "maildrop/maildrop.h"
#include "tools/tool.h"

struct submit {
	struct tool *tool;
	pid_t	 pid;
	int	 to, from;		/* postdrop's stdin, stdout */
	struct buf out;
	struct maildrop_writer writer;
	bool	 broken;		/* postdrop does not take more */
};

/* The envelope of a message, as the command line or a dialogue gives it. */
struct envelope {
	struct str  sender;		/* internal form */
	struct str *rcpts;
	size_t	    nrcpts;
	uint32_t    notify;		/* of all */
	struct { const char *name; struct str value; } attrs[12];
	size_t	    nattrs;
};
void	 envelope_attr(struct envelope *, const char *name, struct str value);

/* Starts postdrop. False with *why; status is then EX_UNAVAILABLE. */
bool	 submit_open(struct submit *, struct tool *, const struct envelope *,
	    const char **why);
void	 submit_content(struct submit *, struct str);
/*
 * Commits and waits. EX_OK: it is on disk, *text its name; else an exit
 * status of sysexits.h, and *text says why (lives as long as the tool).
 */
int	 submit_finish(struct submit *, const char **text);
/* Gives it up: postdrop leaves nothing behind. */
void	 submit_cancel(struct submit *);
#endif
