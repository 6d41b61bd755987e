/*
 * auth - proves who a client is; the one process that reads passwords.
 *
 * attempt.c  one login: from its first message to its verdict (start here)
 * stores.c   who knows passwords, in which order
 * verify.c   is it the password: pool threads, and what was right just now
 * owner.c    whose the mail of a user is: uid, gid, home
 * grant.c    a front's login was right: a ticket for a worker
 * penalty.c  guessing costs time: pure
 * saslauthd.c, pam.c  daemons that know passwords
 * relay.c, serve.c  Dovecot's auth protocol, as its client, as its server
 * client.c   our own logins at servers, for smtp and lmtp
 * refusal.c  which of them were refused
 *
 * Carriers bring attempts: smtpd's talks (main.c), a socket that speaks
 * Dovecot's protocol. Nothing here waits: hashes run in pool threads, other
 * daemons are asked by streams.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H
#include "conf/conf.h"
#include "event/event.h"
#include "ipc/ipc.h"
#include "sasl/login.h"
#include "service/service.h"
#include "sys/sys.h"
#include "table/table.h"
#include "users/users.h"

struct auth_conf {
#define PARAM PARAM_MEMBER
#include "auth/params.def"
#undef PARAM
};

struct stores;
struct verifier;
struct penalties;
struct clients;
struct owners;
struct relay_paths;

struct auth {				/* the process */
	struct service	  *service;
	struct loop	  *loop;
	struct arena	  *arena;
	struct auth_conf   conf;
	struct str	   hostname;
	struct stores	  *stores;
	struct verifier	  *verifier;
	struct penalties  *penalties;
	struct match_list *exceptions;
	struct login_server server;
	struct clients	  *clients;
	struct refusals	  *refusals;
	struct owners	  *owners;
	struct list	   grants;	/* that master has not answered */
	uint64_t	   ngrants;	/* so far */
	struct relay_paths *relay_paths;
	struct str	   spool;	/* queue_directory */
	int64_t		   pam_timeout_ms;
	struct listener	  *listener;	/* auth_socket; NULL: none */
};

/* --- attempt.c --- */
struct attempt_facts {
	struct str service, realm, mechanism;
	bool	   has_initial;
	struct str initial;		/* bytes, not base64 */
	struct str client_addr, client_port, server_addr, server_port;
	struct str binding, cert_name;
	unsigned   refused, tls_bits;	/* LOGIN_ bits */
	enum role  front;		/* of a READER row, for a ticket; or */
	uint64_t   instance;		/* 0: whoever asks wants none */
};
struct attempt_ops {
	/* data: bytes; the next attempt_step() answers it. */
	void	(*challenge)(void *ctx, struct str data);
	/*
	 * The attempt is over and freed after. ticket: AUTH_OK of a front;
	 * else "".
	 */
	void	(*done)(void *ctx, enum auth_result, struct str user,
		    const char *reason, struct str ticket);
};
struct attempt;
/* ops may be called before this returns, and then it returns NULL. */
struct attempt	*attempt_start(struct auth *, const struct attempt_facts *,
		    const struct attempt_ops *, void *ctx);
/* False: it waits for something else than the client; nothing is done. */
bool		 attempt_step(struct attempt *, struct str data);
/* The client went. No more calls of ops. */
void		 attempt_cancel(struct attempt **);
/* Names that a session of such facts may use. */
void		 attempt_mechanisms(struct auth *, const struct attempt_facts *,
		    struct buf *out);

/* --- stores.c --- */
void		 stores_open(struct auth *, struct problems *);
/*
 * What a hash store knows of this user, from store *at on; *at is moved to
 * the store behind. NONE: no more stores. A store that must be asked with
 * the password (saslauthd, pam) is FOUND with an empty record and *ask set.
 */
enum store_ask { ASK_NOBODY, ASK_SASLAUTHD, ASK_PAM };
enum found	 stores_find(struct auth *, struct str user, size_t *at,
		    struct buf *record, enum store_ask *ask) MUST_USE;
#define STORE_ANY	SIZE_MAX
/*
 * Whose mail that user's is, as store number `store` says; STORE_ANY: the
 * first that knows the user, of those that keep users. *wrong: with FOUND,
 * why that user has no mail here, or NULL. place points into record.
 */
enum found	 stores_place(struct auth *, struct str user, size_t store,
		    struct buf *record, struct user_place *place,
		    const char **wrong) MUST_USE;
bool		 stores_secret(void *auth, const char *scheme, struct str user,
		    struct buf *credential);
bool		 stores_have_sasldb(const struct stores *);
/* auth_mechanisms, less those that not every user could use. */
void		 stores_mechanisms(struct auth *, struct buf *out);

/* --- verify.c --- */
struct guess {				/* borrowed for the call */
	struct str user, password;
	struct str service, client;	/* "smtp"; an address, or "" */
};
struct check;
/* store: whose word it is, for stores_place(). */
typedef void	 verify_done(void *ctx, enum password_verdict, size_t store);
typedef void	 asked_done(void *ctx, enum password_verdict);
struct verifier	*verifier_new(struct auth *);
/*
 * done() once, from the loop, unless check_cancel(). NULL: too much waits,
 * and done() was not called.
 */
struct check	*verify(struct verifier *, const struct guess *,
		    verify_done *, void *ctx);
void		 check_cancel(struct check **);

/* --- saslauthd.c, pam.c: done() from the loop --- */
struct daemon_ask;
struct daemon_ask *saslauthd_ask(struct auth *, const struct guess *,
		    asked_done *, void *ctx);
void		 saslauthd_cancel(struct daemon_ask **);
struct pam_ask;
struct pam_ask	*pam_ask(struct auth *, const struct guess *, asked_done *,
		    void *ctx);
void		 pam_cancel(struct pam_ask **);

/* --- refusal.c: servers that refused them --- */
struct refusals;
struct refused { struct str dsn, text; };	/* of the reply */
struct refusals	*refusals_new(void);
void		 refusals_free(struct refusals **);
/* The key says which server, and which user. All is copied. */
void		 refusal_add(struct refusals *, struct str key,
		    struct str password, const struct refused *,
		    int64_t now_s);
/* Of that password, not before since_s; texts last until the next add. */
bool		 refusal_find(struct refusals *, struct str key,
		    struct str password, int64_t since_s, struct refused *);

/* --- owner.c: whose the mail of a user is --- */
struct owner {				/* borrowed for the call */
	struct str user;		/* who logged in: one spelling */
	uint64_t   uid, gid;
	struct str login;		/* of a system user, or "" */
	struct str home, mail;		/* as MSG_ticket has them */
};
void		 owners_open(struct auth *);
struct owner_ask;
/* FOUND; NONE: has no mail here, and why; RETRY: a fault, logged. */
typedef void	 owner_done(void *ctx, enum found, const struct owner *,
		    const char *why);
/* done() once, also before this returns, and then it returns NULL. */
struct owner_ask *owner_find(struct auth *, struct str user, size_t store,
		    owner_done *, void *ctx);
void		 owner_cancel(struct owner_ask **);

/* --- grant.c: a front's ticket --- */
struct grant;
typedef void	 grant_done(void *ctx, enum auth_result, struct str ticket);
/* done() once, also before this returns, and then it returns NULL. */
struct grant	*grant_start(struct auth *, const struct attempt_facts *,
		    struct str user, size_t store, grant_done *, void *ctx);
void		 grant_cancel(struct grant **);
void		 grant_answered(struct auth *,
		    const struct msg_ticket_taken *);

/* --- client.c: our own logins at servers --- */
void		 clients_open(struct auth *, struct problems *);
void		 client_on_talk(struct auth *, struct talk *);

/* --- relay.c: smtpd_sasl_type = dovecot; the talk becomes its own --- */
void		 relay_open(struct auth *, struct problems *);
void		 relay_list(struct auth *, struct talk *,
		    const struct msg_auth_list *);
void		 relay_begin(struct auth *, struct talk *,
		    const struct msg_auth_begin *);
/* --- serve.c: a client of auth_socket --- */
void		 serve(struct auth *, int fd);

/* --- penalty.c --- */
struct penalty_conf {
	unsigned free, waiting;
	int64_t	 max_ms, decay_ms;
	size_t	 entries;
};
struct penalties *penalties_new(const struct penalty_conf *);
void		 penalties_free(struct penalties **);
/*
 * A guess begins: counted as wrong until it is taken back. How long its
 * answer, whatever it is, waits; -1: too many of this address wait.
 */
int64_t		 penalty_begin(struct penalties *, struct str addr,
		    struct str account, uint64_t guess, int64_t now_ms);
/* It was no wrong guess; and then: it was right. */
void		 penalty_take_back(struct penalties *, struct str addr,
		    struct str account, uint64_t guess, int64_t now_ms);
void		 penalty_right(struct penalties *, struct str addr,
		    struct str account, int64_t now_ms);
/* Its answer was given, or nobody waits for it any more. */
void		 penalty_over(struct penalties *, struct str addr);
/* What is known, the longest quiet first; to be taken over by another. */
struct penalty_note {
	struct str key;
	uint64_t   count;
	int64_t	   since_ms;
	bool	   good;
};
typedef void	 penalty_note_fn(void *ctx, const struct penalty_note *);
void		 penalties_each(struct penalties *, penalty_note_fn *, void *);
void		 penalty_take_over(struct penalties *,
		    const struct penalty_note *, int64_t now_ms);
#endif
