/*
 * password - stored credentials: is this the password, and how to store one.
 *
 * A credential is "{SCHEME}text", the form that Dovecot made common; without
 * {SCHEME} it is crypt(3)'s, as in shadow(5). Schemes are the rows of
 * schemes.def. A check takes tens of milliseconds by design: it is for a
 * pool thread, and touches nothing but its arguments.
 */
#ifndef PASSWORD_PASSWORD_H
#define PASSWORD_PASSWORD_H
#include "base/base.h"

#define PASSWORD_MAX	1024	/* bytes of a password */
#define CREDENTIAL_MAX	2048	/* bytes of a credential */

/* Once, while files can be read and before there are threads. */
void		 password_warm_up(void);

enum password_verdict {
	PASSWORD_RIGHT, PASSWORD_WRONG,
	PASSWORD_FAULT,		/* no memory for it, or not a credential */
};
enum password_verdict password_check(struct str credential,
		    struct str password) MUST_USE;
/* NULL, or why it is no credential that we can check. Static text. */
const char	*password_refusal(struct str credential);
/* The password itself, where the credential is {PLAIN} or {PLAIN.b64}. */
bool		 password_plain(struct str credential, struct buf *out)
		    MUST_USE;
/* Quick to guess, once stolen: SHA without rounds, MD5, plain text. */
bool		 password_is_weak(struct str credential);
/* "ARGON2ID", "SCRAM-SHA-256" ... False: this scheme is not made any more. */
bool		 password_make(const char *scheme, struct str password,
		    struct buf *out) MUST_USE;
/* The name within { }; "CRYPT" where there is none. text: what follows. */
struct str	 password_scheme(struct str credential, struct str *text);
/* What costs as much to check as the ARGON2ID that we make. */
struct str	 password_dummy(void);

/* HMAC-SHA-256, 32 bytes. */
void		 password_mac(struct str key, struct str text,
		    uint8_t out[32]);
bool		 password_same(const void *, const void *, size_t);
void		 password_wipe(void *, size_t);

/* --- SCRAM (RFC 5802 3, RFC 7677): "{SCRAM-SHA-256}4096,salt,stored,server" */
#define SCRAM_LEAST	4096	/* iterations; less is refused by clients, */
#define SCRAM_MOST	65536	/* more by libsasl's */
struct scram {
	struct str name;	/* "SCRAM-SHA-256" */
	uint64_t   iterations;
	struct str salt, stored, server;	/* base64 */
};
bool		 scram_parse(struct str credential, struct scram *);
/* What of a credential a client is shown before it has proved anything. */
struct scram_look {
	uint64_t iterations;
	size_t	 salt;		/* bytes */
};
#define SCRAM_OURS	((struct scram_look){ SCRAM_MOST, 16 })	/* as made */
bool		 scram_look(struct str credential, struct scram_look *);
/*
 * A credential for a user who is not there, the same each time: an answer
 * with it tells nothing. No password fits it.
 */
void		 scram_fake(const char *scheme, const struct scram_look *,
		    struct str secret, struct str user, struct buf *out);
/*
 * Keys made of a password that is kept in the clear. The salt is of secret
 * and user: the same each time, as scram_fake's is.
 */
bool		 scram_derive(const char *scheme, struct str secret,
		    struct str user, struct str password, struct buf *out)
		    MUST_USE;
/*
 * The client's half. first: "n,,n=user,r=nonce"; answer: to what the server
 * said first, and the server's own proof, which comes last ("v=..."). False:
 * not a message that we believe. Slow: for a pool thread.
 */
bool		 scram_client_first(struct str user, struct buf *first);
bool		 scram_client_answer(const char *scheme, struct str password,
		    struct str first, struct str server_first,
		    struct buf *answer, struct buf *proof) MUST_USE;
/* RFC 2195: "user 0123..." */
void		 cram_md5_answer(struct str user, struct str password,
		    struct str challenge, struct buf *answer);
/*
 * RFC 5802 7: may this client-first message go to libsasl? bound: it asks
 * for channel binding of that name.
 */
bool		 scram_first_is_sane(struct str message);
#endif
