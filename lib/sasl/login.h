/*
 * sasl - the server's half of SASL (RFC 4422), by Cyrus SASL.
 *
 * libsasl2 lives here alone (and owns the name sasl/sasl.h). It reads the
 * messages of the mechanisms; it never decides on a password: for PLAIN and
 * LOGIN it hands out name and password (LOGIN_PASSWORD) and the caller checks
 * them, in its own time, in another thread. Of SCRAM it checks proofs by keys
 * that the caller supplies.
 *
 * No configuration file of libsasl is read and no plug-in loaded but those
 * of the mechanisms that we know. One thread. Messages are bytes: base64 is
 * the protocol's, not the mechanism's.
 */
#ifndef SASL_LOGIN_H
#define SASL_LOGIN_H
#include "password/password.h"

#define LOGIN_MESSAGE_MAX	12288	/* bytes of one message */
#define LOGIN_USER_MAX		255

/* Properties of mechanisms that a session refuses or needs. */
enum {
	LOGIN_NO_PLAINTEXT  = 1 << 0, LOGIN_NO_ACTIVE  = 1 << 1,
	LOGIN_NO_DICTIONARY = 1 << 2, LOGIN_NO_ANONYMOUS = 1 << 3,
	LOGIN_NEED_FORWARD  = 1 << 4, LOGIN_NEED_MUTUAL  = 1 << 5,
};

struct login_server {			/* the process's */
	void	   *ctx;
	/*
	 * The credential of that scheme ("SCRAM-SHA-256", "PLAIN"), whoever
	 * the user: for one who has none it is a fake. False: a fault.
	 */
	bool	  (*secret)(void *ctx, const char *scheme, struct str user,
		    struct buf *credential);
};
/*
 * Once, as long as files can be opened. Dies where libsasl does not start;
 * false: it has no plug-in for sasldb.
 */
bool		 login_start(bool with_sasldb);

struct login_facts {
	const char *service;		/* "smtp" */
	const char *hostname;
	const char *realm;		/* added to names without one; or NULL */
	const char *mechanisms;		/* "PLAIN LOGIN": the most there are */
	const char *client, *server;	/* "192.0.2.1;4711", or NULL */
	unsigned    refused;		/* LOGIN_ bits */
	unsigned    tls_bits;
	struct str  binding;		/* tls-exporter; "" for none */
	const char *external;		/* the certificate's name, or NULL */
};

enum login_step {
	LOGIN_CHALLENGE,	/* out: what to send */
	LOGIN_DONE,		/* proved; login_user() says who */
	LOGIN_PASSWORD,		/* login_user(), login_password(): check them */
	LOGIN_FAILED,
	LOGIN_FAULT,		/* ours, not the client's */
};
struct login;
struct login	*login_new(const struct login_server *,
		    const struct login_facts *);	/* NULL: a fault */
void		 login_free(struct login **);	/* wipes the password */
/* Names that this session may use, with blanks between. */
bool		 login_mechanisms(struct login *, struct buf *out);
/*
 * The first message, then each next. After anything but LOGIN_CHALLENGE the
 * exchange is over, and further calls fail. initial NULL: none came.
 */
enum login_step	 login_first(struct login *, struct str mechanism,
		    const struct str *initial, struct buf *out);
enum login_step	 login_next(struct login *, struct str in, struct buf *out);
/* Who it is; where it failed, who it said it was, or "". */
struct str	 login_user(const struct login *);
struct str	 login_password(const struct login *);
const char	*login_reason(const struct login *);

/* The password, in the clear, of user@realm; user may have a realm itself. */
enum found	 sasldb_find(const char *path, const char *realm,
		    struct str user, struct buf *password) MUST_USE;
#endif
