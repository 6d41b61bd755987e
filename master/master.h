/*
 * master, inside: the supervisor's state.
 *
 * One struct master is made in main.c. A plan is what a configuration asks
 * for; children are what runs. Children whose service is NULL belong to an
 * earlier plan (they leave when their work is done) or are agents.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H
#include "conf/conf.h"
#include "event/event.h"
#include "ipc/ipc.h"
#include "master/ticket.h"
#include "priv/priv.h"
#include "sys/sys.h"

struct master_conf {
#define PARAM PARAM_MEMBER
#include "master/params.def"
#undef PARAM
};

/* What one line of master.cf (or the rule that there is one) asks for. */
struct service {
	struct list	 link;
	struct master	*master;
	char		*name;
	enum role	 role;
	unsigned	 processes;
	bool		 is_inet;
	int		 line;		/* of master.cf; 0: always there */
	char		**argv;		/* -o name=value ..., then arguments */
	size_t		 argc;
	struct timer	*restart;
	int64_t		 backoff_ms;
	uint64_t	 deaths;
};

/* A socket that is listened on. */
struct socket_entry {
	struct list	 link;
	char		*name;		/* "127.0.0.1:25", "public/showq" */
	char		*service;	/* who accepts on it */
	enum role	 role;
	int		 fd;
	bool		 wanted;	/* by the plan of now */
};

struct plan {
	struct conf	  *conf;
	struct master_conf is;
	struct list	   services;	/* struct service */
	char		  *daemon_dir;
	char		  *spool;
	uid_t		   own_uids[4];	/* nobody's agent: our owners */
	size_t		   nown_uids;
	gid_t		   groups[64];	/* agent_trusted_groups */
	size_t		   ngroups;
	uid_t		   users[64];	/* agent_trusted_users */
	size_t		   nusers;
	char		 **roots;	/* chroot= of pipe lines */
	size_t		   nroots;
};

struct child {
	struct list	 link;
	struct master	*master;
	struct service	*service;	/* NULL: see above */
	struct channel	*channel;	/* NULL: it is on its way out */
	int		 channel_fd;
	char		*name;
	enum role	 role;
	pid_t		 pid;
	uint64_t	 instance;
	int64_t		 born_ms, idle_ms;
	int64_t		 stopped_ms;	/* SIGSTOP seen; 0: not */
	int64_t		 hurry_ms;	/* must be gone soon after; 0: not */
	int64_t		 relinked_ms;	/* got a new channel to a peer */
	uint64_t	 talks;
	int64_t		 cpu_ms;	/* that it had at the last look */
	unsigned	 unheard;	/* looks that it did not answer */
	bool		 ready, begun, draining, silent;
	bool		 released;	/* qmgr: its successor may begin */
	/* agents */
	uid_t		 uid;
	gid_t		 gid;
	char		*user;
	char		*root;		/* of a command agent; "": / */
	bool		 wanted_again;
	/* workers */
	struct ticket	*ticket;	/* tells its owner */
	uint64_t	*fronts;	/* instances that it is connected to */
	size_t		 nfronts;
	/* fronts */
	uint64_t	 refusals;	/* of its tickets */
	int64_t		 told_ms;	/* the log of the last one told of */
};

/* An agent or a worker that is asked for; kept while there are too many. */
struct want {
	struct list	 link;
	enum role	 role;
	uid_t		 uid;
	gid_t		 gid;
	char		*user;
	char		*root;		/* of a command agent; "": / */
	int64_t		 since_ms;
	struct ticket	*ticket;	/* a worker's; else NULL */
	uint64_t	 number;	/* of its front's question */
};

enum life { LIFE_RUN, LIFE_STOP_INTAKE, LIFE_STOP_REST };

struct master {
	const char	*dir;		/* configuration, as given */
	char		*self;		/* path of this program */
	char	       **argv;
	bool		 foreground;
	bool		 announced;	/* all of the plan is ready */
	int64_t		 planned_ms;	/* the plan of now was taken up */
	int		 ready_fd;	/* tell the starter here; -1: told */
	struct loop	*loop;
	struct plan	*plan;
	struct list	 children, sockets, wants;
	struct tickets	*tickets;
	struct timer	*tick, *look, *handover, *sweep;
	struct listener	*status;
	uint64_t	 instances, pings;
	enum life	 life;
	int64_t		 stop_ms;
	int64_t		 looked_ms;	/* at all children: watch.c */
	int64_t		 started_s;
	bool		 failed;	/* a first start that came to nothing */
	int		 spool_fd, lock_fd, log_fd;
	/* the guard: starts a new master when this one is killed */
	struct watch	*guard;
	pid_t		 guard_pid;
	int		 guard_fd;
	int64_t		 self_stamp;	/* of the binary, to see a new one */
	unsigned	 handover_tries;
};

/* services.c */
struct plan	*plan_load(struct master *, struct problems *);
/* preview.c, for master -t: does each daemon take its configuration? */
bool		 preview_daemons(struct master *);
void		 plan_free(struct plan **);
struct service	*plan_find(struct plan *, enum role, struct str name);
bool		 service_same(const struct service *, const struct service *);

/* listen.c: sockets of the plan: made, kept, or (vanished) closed. */
void		 plan_listen(struct master *, struct problems *);
/* Could the plan's addresses be had? Those that we hold can. */
void		 listen_check(struct master *, struct problems *);
void		 sockets_close(struct master *);

/* child.c */
void		 child_start(struct service *);
struct child	*child_start_agent(struct master *, const struct want *);
/* A channel of their own; false: there is none. */
bool		 child_connect(struct child *, struct child *);
struct child	*child_new(struct master *, enum role, const char *name);
void		 child_free(struct child *);
void		 child_adopt(struct child *, int channel_fd);
void		 child_drain(struct child *);
/* Starts what the plan lacks, then tells the new ones to begin. */
void		 children_settle(struct master *);
void		 children_reap(struct master *);
struct child	*child_spare(struct master *, enum role, const char *name);

/* watch.c */
#define CHILD_LOOK_MS	500	/* how often what is in a hurry is looked at */
void		 children_tick(struct master *);
void		 children_look(struct master *);
/* What is it doing? Its talks and idle_ms are true soon; false: was asked. */
bool		 child_ask(struct child *);

/* agent.c */
bool		 agent_is(enum role);	/* one process for each owner */
/* Why that uid gets no agent; NULL: it may have one. */
const char	*agent_refusal(const struct plan *, uint64_t uid, uint64_t gid);
/* Does a pipe line have it as chroot=? "" is what all may have. */
bool		 agent_root_listed(const struct plan *, struct str root);
void		 agent_wanted(struct child *from, const struct msg_agent_want *);
void		 agent_gone(struct child *);
void		 agents_tick(struct master *);
/* Starts it, or leaves it where it is until there is room. */
void		 want_start(struct master *, struct want *);
void		 want_free(struct want *);

/* worker.c: a process that reads mail, for a front with a ticket */
void		 worker_ticket(struct child *from, const struct msg_ticket *);
void		 worker_wanted(struct child *from,
		    const struct msg_worker_want *);
/* The owner has one: the front is connected and told. */
bool		 worker_is_there(struct master *, const struct want *);
void		 worker_is_born(struct child *, struct want *);
/* Their channel broke: another costs another ticket. */
void		 worker_parted(struct child *, struct child *);
void		 workers_forget(struct child *front);	/* it is gone */
void		 worker_refuse(struct master *, const struct want *,
		    const char *reason);
/* Before a hand-over: who waits for a worker logs in again. */
void		 workers_give_up(struct master *);
void		 workers_sweep(struct master *);	/* m->sweep's */

/* life.c: reload, stop */
void		 life_reload(struct master *);
/* The configuration as it is now; NULL: the log says what is wrong. */
struct plan	*life_plan(struct master *);
void		 life_stop(struct master *, int signo);
void		 life_abort(struct master *);
void		 life_retire(struct master *);
void		 life_stop_step(struct master *);
_Noreturn void	 life_exit(struct master *, int status);

/* guard.c */
void		 guard_watch(struct master *);
void		 guard_keep(struct master *);

/* status.c */
void		 status_listen(struct master *);
void		 status_print(struct master *, struct buf *);

/* root_*.c */
struct spawn {
	const char	*path;
	char	       **argv, **envp;
	int		 channel, log;	/* log -1: none */
};
/* The child's pid, or -1 with errno. */
pid_t		 root_spawn(const struct spawn *);
/* Runs another program in this process, with these descriptors kept. */
void		 root_exec(const char *path, char **argv, const int *keep,
		    size_t nkeep);
int		 root_guard(struct master *); /* 0 or errno */
void		 root_guard_wake(pid_t guard);
int		 root_listen_inet(const struct sockaddr *, socklen_t);
int		 root_listen_unix(int spool, const char *name, mode_t mode);
bool		 root_spool(struct master *, struct plan *, bool check_only,
		    struct problems *);
int		 root_lock(struct master *, int spool, pid_t *other);
bool		 root_is_locked(int spool);	/* a master runs */
/* Is maillog_file where it may be? Else a problem. */
bool		 root_log_allowed(const struct plan *, struct problems *);
int		 root_log_file(const struct plan *, struct problems *);

/* handover.c */
/* Becomes the program that now stands at its path; children live on. */
void		 handover_exec(struct master *);
/* What the program before left in fd. False: it makes no sense. */
bool		 handover_take(struct master *, int fd);
int64_t		 handover_stamp(const char *path); /* changes with the file */
#endif
