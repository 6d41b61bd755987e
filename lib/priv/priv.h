/*
 * priv - become what the row of process.def says.
 *
 * With lib/priv and the root_*.c of master/ this is all code that runs as
 * root or changes what a process may do.
 */
#ifndef PRIV_PRIV_H
#define PRIV_PRIV_H
#include "ipc/ipc.h"

enum priv_owner { OWNER_ROOT, OWNER_QUEUE, OWNER_NET, OWNER_AUTH,
	OWNER_PAM, OWNER_TARGET };
enum priv_root { ROOT_KEEP, ROOT_EMPTY };
enum priv_filter { FILTER_NONE, FILTER_COMMAND, FILTER_SOCKETS,
	FILTER_CHANNELS, FILTER_FILES, FILTER_MAILBOX, FILTER_AUTH,
	FILTER_CONNECT, FILTER_DNS, FILTER_PAM };

struct process_row {
	enum role	 role;
	const char	*program;
	enum priv_owner	 owner;
	enum priv_root	 root;
	enum priv_filter filter;
	unsigned	 files;
	const char	*text;
};
const struct process_row *process_row(enum role);
const struct process_row *process_row_by_program(const char *program);

struct priv_names {		/* who the owners are */
	const char *queue;	/* mail_owner */
	const char *net;	/* postern_net_user: postern-net */
	const char *auth;	/* postern_auth_user: postern-auth */
	const char *pam;	/* postern_pam_user: postern-pam */
	const char *empty_dir;	/* for ROOT_EMPTY: root's, mode 0555 */
	const char *command_dir; /* OWNER_TARGET: root's, too; NULL: / */
};
/*
 * Drops to the row: groups, gid, uid, chroot, no_new_privs, rlimits,
 * Landlock where the kernel has it, seccomp; then checks that it cannot go
 * back. uid/gid/user: for OWNER_TARGET alone; user, whose groups it gets, must
 * have that uid. Dies with a clear message.
 * Started without root: no uid or root change, all else as in the row. The
 * process dies with the one that started it.
 */
void	 priv_enter(const struct process_row *, const struct priv_names *,
	    uid_t uid, gid_t gid, const char *user);
bool	 priv_is_root(void);
/*
 * For commands (postsuper, postqueue): root becomes mail_owner, also of
 * setgid_group, for good and unfiltered; anybody else stays who he is. Dies
 * where it can't.
 */
void	 priv_become_owner(const char *user, const char *group);
/* Started set-uid or set-gid: the environment and -c are a stranger's. */
bool	 priv_is_borrowed(void);
void	 priv_give_back(void);	/* from now on the caller's own rights */
/*
 * For postmap: root's effective ids become these until the next call (0, 0
 * is root again). 0 or errno; does nothing for anybody but root.
 */
int	 priv_act_as(uid_t uid, gid_t gid) MUST_USE;
/* Test builds: what a filter would do to a syscall, by name. */
bool	 priv_filter_allows(enum priv_filter, const char *syscall_name);
#endif
