/*
 * command - the parts of the command agent, which runs as a user.
 *
 * main_command.c  its channel and its limits
 * run.c           one command: its pipes, its time, its end  (start here)
 * run_child.c     what happens between fork and exec
 * run_text.c      the message as the command reads it (pure)
 * run_result.c    from exit status and output to a delivery status (pure)
 */
#ifndef LOCAL_COMMAND_H
#define LOCAL_COMMAND_H
#include <sys/types.h>
#include "event/event.h"
#include "ipc/ipc.h"

#define RUN_OUTPUT_MAX	4096	/* of a command's output that is kept */

/* --- run.c --- */
struct runner {			/* all commands of the process */
	struct loop *loop;
	const char  *directory;	/* to be in, where none is asked for */
	struct list  runs;
	size_t	     n;
};
void		 runner_init(struct runner *, struct loop *,
		    const char *directory);
/*
 * Copies job and owns its descriptor. done once, and perhaps at once. who:
 * the program that asked, for words on standard error.
 */
void		 run_begin(struct runner *, const struct msg_run *job,
		    const char *who,
		    void (*done)(void *ctx, const struct msg_run_done *),
		    void *ctx);

/* --- run_child.c --- */
struct run_words {		/* made before the fork */
	char	  **argv;	/* of the command, or NULL: needs a shell */
	char	  **shell_argv;	/* where argv[0] is not found; or NULL */
	char	  **envp;
	const char *directory;	/* or NULL */
	const char *home;	/* where directory is not asked for */
	const char *who;
};
void		 run_words(const struct msg_run *, struct arena *,
		    struct run_words *);
/* The pid, or -1 with errno. in: read end; out: write end. */
pid_t		 run_spawn(const struct run_words *, int in, int out);

/* --- run_text.c --- */
struct run_text {
	uint64_t   flags;	/* RUN_ */
	struct str eol;
	bool	   in_line;	/* the last byte put out was no line end */
};
/* Lines before the message. */
void		 run_prefix(const struct msg_run *, int64_t now_s,
		    struct buf *out);
/*
 * A piece of the message, CRLF ended. Returns how much of it was taken: all
 * when last, else all but at most 5 bytes.
 */
size_t		 run_text(struct run_text *, struct str in, bool last,
		    struct buf *out);
/* What follows the message. */
void		 run_suffix(const struct run_text *, struct buf *out);

/* --- run_result.c --- */
struct run_end {
	int	   status;	/* of waitpid(2) */
	bool	   late;	/* killed for its time */
	bool	   unread;	/* the message could not be read */
	struct str command;	/* as the log shows it */
	struct str output;	/* raw */
};
/* Strings are the arena's. */
void		 run_result(const struct run_end *, struct arena *,
		    struct msg_run_done *);
#endif
