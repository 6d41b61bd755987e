/*
 * postern, inside: the command's parts.
 */
#ifndef TOOLS_POSTERN_H
#define TOOLS_POSTERN_H
#include "tools/tool.h"

struct postern {
	struct tool  tool;
	const char  *dir;	/* of main.cf, absolute */
	const char  *argv0;	/* as the user called us */
};

/* Reads main.cf; problems on stderr; exits where it can't be used. */
void		 postern_conf(struct postern *);
/* Where the daemons are: daemon_directory, or ../libexec of this program. */
const char	*postern_daemon(struct postern *, const char *program);

int		 postern_setup(struct postern *, int argc, char **argv);
/* All that can be said before a start. Exit status: 1 where it can't be. */
int		 postern_check(struct postern *);
int		 postern_start(struct postern *, bool foreground);
int		 postern_stop(struct postern *, int signo);
int		 postern_reload(struct postern *);
int		 postern_status(struct postern *);
int		 postern_logrotate(struct postern *);
bool		 postern_is_running(struct postern *);

int		 postern_queue(struct postern *, int argc, char **argv);
int		 postern_trace(struct postern *, int argc, char **argv);
int		 postern_user(struct postern *, int argc, char **argv);
#define GENERATED_MAX 32
/* For setup: users with passwords of chance; "" for one who was there. */
struct login_made { const char *name; char password[GENERATED_MAX]; };
bool		 postern_logins(struct postern *, struct login_made *,
		    size_t n);		/* false: all were there */

/* Runs master with that one flag; it says on stderr what is wrong. */
bool		 postern_run_master(struct postern *, const char *flag);

/* setup_tls.c: false, where there is one. Lines of main.cf and master.cf. */
bool		 setup_certificate(struct postern *, const char *path,
		    const char *hostname);
void		 setup_tls_main(struct buf *, const char *path);
void		 setup_tls_master(struct buf *, const char *host,
		    int64_t port_base);

/* postern_owners.c: users and groups of an instance of root's. */
struct owners {
	const char *queue, *net, *auth, *pam;	/* names for main.cf */
	const char *group;
	const char *mail_user;
	uid_t	    mail_uid;	/* whose the virtual mailboxes are */
	gid_t	    mail_gid;
};
/* Root: makes those that are missing, saying so. Else: all this user. */
void		 owners_find(struct postern *, struct owners *);
#endif
