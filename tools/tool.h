/*
 * tool - what all commands share: main.cf, messages, other programs.
 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H
#include <sysexits.h>

#include "conf/conf.h"
#include "queue/queue.h"
#include "sys/sys.h"

#define EX_FAILED 1	/* what Postfix's commands exit with, but for those
			 * that a mailer calls: sendmail, postqueue */

struct tool {
	const char   *name;	/* as messages begin */
	struct conf  *conf;
	struct arena *arena;
	int	      verbose;
	bool	      borrowed;	/* runs set-gid for a stranger */
};

/*
 * First of all: standard descriptors are open, others closed, SIGPIPE is
 * ignored, umask is 022.
 */
void		 tool_start(struct tool *, const char *name);
/*
 * Reads main.cf and opens the log. dir NULL: MAIL_CONFIG or the default.
 * Exits with status where main.cf can't be used. A set-gid command takes
 * another directory only if alternate_config_directories lists it, or
 * multi_instance_directories.
 */
void		 tool_conf(struct tool *, const char *dir, int status);
/* "name: fatal: text", also to the log; then exit. */
_Noreturn void	 tool_fail(struct tool *, int status, const char *fmt, ...)
		    PRINTF(3, 4);
void		 tool_warn(struct tool *, const char *fmt, ...) PRINTF(2, 3);
/* main.cf's value as a string that lives as long as the tool. */
const char	*tool_param(struct tool *, const char *name);
/*
 * Where another command of ours is: beside this program's own file, else in
 * command_directory.
 */
const char	*tool_path(struct tool *, const char *command);
/* Becomes that command; on failure tool_fail(). */
_Noreturn void	 tool_exec(struct tool *, char *const argv[]);
/* As login name, or "unknown": for *_users checks and messages. */
const char	*tool_user(struct tool *, uid_t);
/* Does an authorized_*_users list hold this user? */
bool		 tool_authorized(struct tool *, const char *param, uid_t);
/* Root becomes mail_owner, who may also connect to public/. */
void		 tool_become_owner(struct tool *);
/* Opens the queue's directories, or tool_fail(). */
void		 tool_queue(struct tool *, struct queue *);
/*
 * Connects to public/NAME below queue_directory. A descriptor, or -1 with
 * errno. Gives up after ms.
 */
int		 tool_connect(struct tool *, const char *name, int ms);
#endif
