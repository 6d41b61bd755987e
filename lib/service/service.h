/*
 * service - the literal that each daemon's main.c fills, and what it gets.
 *
 * service_main() reads arguments and main.cf, opens what must be open before
 * privileges go, becomes its row of process.def, and runs the loop. Master
 * starts daemons as:
 *     program -c DIR -n service_name [-o name=value]... [arguments]
 * with descriptor 3 as its channel and the log file (if any) as 4, which
 * POSTERN_LOG_FD=4 tells. An agent gets -u uid:gid:login besides.
 * -t reads and checks the configuration alone: problems on stderr, exit 1
 * where one is fatal. SIGTERM is a drain. When master's channel closes the
 * process is over.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H
#include "conf/conf.h"
#include "event/event.h"
#include "ipc/ipc.h"
#include "sys/sys.h"

struct service;
struct service_def {
	enum role	    role;
	const struct param *params;	/* the daemon's rows */
	size_t		    nparams;
	void		   *conf;	/* the daemon's struct, filled */
	void		   *ctx;	/* the daemon's state, for all below */
	/*
	 * All that can be wrong with the configuration, before open(). Fatal
	 * problems end the start; with -t this is the last call.
	 */
	void	(*check)(void *ctx, struct service *, struct problems *);
	/* As root (or whoever started us): open files. 0, or die. */
	void	(*open)(void *ctx, struct service *);
	/* As the row says: build the rest. The loop exists. */
	void	(*start)(void *ctx, struct service *);
	/* All channels of the moment are there. */
	void	(*begin)(void *ctx);
	void	(*on_peer)(void *ctx, struct channel *, struct str service);
	void	(*on_peer_gone)(void *ctx, struct channel *, struct str service);
	void	(*on_listen)(void *ctx, struct str name, int fd);
	/* A talk that a peer opened, or a SOLO message of a peer. */
	void	(*on_talk)(void *ctx, struct talk *, enum msg);
	void	(*on_solo)(void *ctx, struct channel *, enum msg, const void *);
	/* A channel that was full has room again. */
	void	(*on_drained)(void *ctx, struct channel *);
	/*
	 * Its struct is filled anew; the conf before stays until the next
	 * reload. NULL: is replaced, not reloaded.
	 */
	void	(*on_reload)(void *ctx, struct conf *);
	/*
	 * A drain: take in nothing new. The process leaves when every peer
	 * has heard of it (on_parted: no talk is opened to us any more, and
	 * what was sent to us before is here), no talk is open, all is sent,
	 * the pool rests, and busy(), asked each round, says no.
	 */
	void	(*on_drain)(void *ctx);
	void	(*on_parted)(void *ctx);
	bool	(*busy)(void *ctx);
	/* After on_drain, when all end: hurry what may last. */
	void	(*on_stop)(void *ctx);
};

int		 service_main(const struct service_def *, int argc,
		    char **argv);

struct loop	*service_loop(struct service *);
bool		 service_checks(struct service *);	/* -t: no more */
struct conf	*service_conf(struct service *);	/* tables, families */
const char	*service_name(struct service *);	/* of master.cf */
/* Arguments behind the options, as master.cf gives them. */
char	       **service_args(struct service *, int *argc);
struct pool	*service_pool(struct service *);	/* made at first use */
void		 service_exit(struct service *);	/* clean, after flush */
/* Opens the log as main.cf says; for commands too (to_stderr). */
void		 service_log_open(struct conf *, const char *program,
		    bool to_stderr);

/* A parameter of SASL_ properties, as smtpd_sasl_security_options is. */
unsigned	 service_sasl_options(struct service *, const char *parameter,
		    struct problems *);

/*
 * The least busy channel to a role (and service name, where not empty);
 * NULL: none at the moment.
 */
struct channel	*service_peer(struct service *, enum role, struct str name);
/*
 * As service_peer, waiting for one to (re)start: fn gets it, or NULL after
 * ms. Returns a handle to cancel with, or NULL where fn was called already.
 */
struct wait_peer;
struct wait_peer *service_wait_peer(struct service *, enum role,
		    struct str name, int64_t ms,
		    void (*fn)(void *ctx, struct channel *), void *ctx);
void		 service_wait_cancel(struct wait_peer **);
void		 service_tell_master(struct service *, enum msg, const void *);
/* Which of its role is at the other end; no two are the same. 0: nobody. */
uint64_t	 service_peer_instance(struct service *, struct channel *);
/* Each channel to a role, for broadcast and counting. */
void		 service_each_peer(struct service *, enum role,
		    void (*fn)(void *ctx, struct channel *, struct str name),
		    void *ctx);
#endif
