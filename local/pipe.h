/*
 * pipe - the parts of the pipe dispatcher: pipe(8).
 *
 * main_pipe.c    the process: requests, results  (start here)
 * pipe_args.c    the attributes of its master.cf line (pure)
 * pipe_expand.c  the command's words for some recipients (pure)
 */
#ifndef LOCAL_PIPE_H
#define LOCAL_PIPE_H
#include "local/deliver.h"

enum {				/* flags that are pipe's own; others: RUN_ */
	PIPE_FINAL = 1 << 16,	/* X */
	PIPE_FOLD_HOST = 1 << 17, PIPE_FOLD_USER = 1 << 18,
	PIPE_QUOTE = 1 << 19,
};

struct pipe_args {
	uint64_t   flags;
	struct str user, group;	/* names; group "" for the user's own */
	struct str directory, chroot, null_sender;
	struct str eol;
	uint64_t   size_max;	/* 0: none */
	char	 **argv;	/* macros in it are not expanded */
	size_t	   argc;
};
/* argv lives on. False: *why, static text, and what it is about. */
bool	 pipe_args_parse(struct pipe_args *, struct arena *, int argc,
	    char **argv, const char **why, struct str *what);

/* What a command's words are made of. */
struct pipe_message {
	const struct msg_deliver *msg;
	struct str		  delimiter;
};
/*
 * NUL behind each word. rcpts: those for one command. NONE: a macro is not
 * known, *out is the word; RETRY: too long for one command.
 */
enum found pipe_expand(const struct pipe_args *, const struct pipe_message *,
	    struct recipient *const *rcpts, size_t n, struct arena *,
	    struct str *out);
/* Some word names a recipient: how many such words, for sizes. */
#define PIPE_WORDS_MAX	40000	/* bytes of a command's words */
#endif
