/*
 * tls, inside: what the files of this room share.
 */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include "tls/tls.h"

/* Signature schemes, RFC 8446 4.2.3: how key and digest go together. */
enum { PAD_NONE, PAD_PKCS1, PAD_PSS };
struct scheme {
	unsigned	 code;
	const char	*key;		/* "RSA", "EC", "ED25519" */
	const char	*digest;	/* "" for those that have their own */
	int		 pad;
};
const struct scheme *scheme_by_code(unsigned code);
/* NULL: no such. digest in any of OpenSSL's names for it. */
const struct scheme *scheme_find(const char *key, const char *digest, int pad);

struct chain {
	X509		*cert;
	STACK_OF(X509)	*more;
	EVP_PKEY	*key;		/* provider.c: asks for its signatures */
};
struct tls_chains {
	unsigned	 refs;
	size_t		 n;
	struct chain	 v[];
};

struct providers { OSSL_PROVIDER *base, *own; };

struct tls_side {
	SSL_CTX		*ctx;
	struct providers providers;
	const struct tls_keys *keys;
	void		*keys_ctx;
	struct tls_chains *chains;	/* our own; NULL: none */
	struct tls	*running;	/* whose handshake goes on just now */
	struct list	 waiting;	/* handshakes without a job, in order */
	struct tls_ticket_key tickets[TLS_TICKET_KEYS];
	size_t		 ntickets;
	const EVP_MD	*digest;	/* of fingerprints */
	struct conf	*conf;
	struct map	*sessions;	/* a client's: key, SSL_SESSION */
	bool		 server, ask_cert, many_labels;
};
/* Handshakes at one time that may wait for a signature; others wait. */
#define TLS_HANDSHAKES_MAX 256

enum asking_state { ASK_NOTHING, ASK_NOW, ASK_SENT, ASK_ANSWERED };
struct tls {
	struct list	 link;		/* in side->waiting */
	struct tls_side	*side;
	struct stream	*stream;
	SSL		*ssl;
	const struct tls_ops *ops;
	void		*ctx;
	struct tls_info	*info;		/* made when it is asked for */
	char		*error;		/* why the handshake failed */
	struct tls_chains *named;	/* for the name that the client gave */
	enum asking_state name, sign;
	bool		 has_job, done, broken;
	struct wanted	*wanted;	/* client.c: what must be proved */
	char		*session_key;	/* in side->sessions */
	bool		 matched;	/* it was */
	bool		 by_name;	/* its name has chains of its own */
	/* The signature that is asked for: the job's memory. */
	uint64_t	 key;
	unsigned	 scheme;
	struct str	 tbs;
	void		*asking;	/* agent.c: what it waits for */
	struct buf	 signature;	/* empty: refused */
};

/* side.c */
void		 chains_hold(struct tls_chains *);
int		 side_choose_chain(SSL *, void *side);	/* SSL_CTX_set_cert_cb */
/* provider.c: a key that has no secret; pub is kept. NULL: not of a kind. */
EVP_PKEY	*provider_key(struct tls_side *, EVP_PKEY *pub, uint64_t id);
bool		 provider_load(struct providers *);
void		 provider_unload(struct providers *);
/* session.c: in a job. Waits for the signature; false: none. */
bool		 session_sign(struct tls_side *, uint64_t key, unsigned scheme,
		    struct str tbs, struct buf *signature);
struct tls	*session_make(struct tls_side *, struct stream *,
		    const struct tls_ops *, void *ctx);
void		 session_run(struct tls *);
void		 session_unmake(struct tls *);
/* print.c */
void		 info_free(struct tls_info **);
/* trust.c */
bool		 trust_directory(SSL_CTX *, const char *path, struct buf *why);
bool		 trust_default(SSL_CTX *, struct buf *why);
/* options.c: what is wrong goes to why. */
struct tls_versions { int least, most; uint64_t off; };
bool		 options_versions(struct str list, struct tls_versions *,
		    struct buf *why);
bool		 options_ciphers(struct conf *, struct str grade,
		    struct str exclude, const char *never, struct buf *out,
		    struct buf *why);
bool		 options_apply(SSL_CTX *, const struct tls_conf *,
		    struct conf *, struct buf *why);
struct tls_side	*side_new(const struct tls_conf *, const struct tls_keys *,
		    void *keys_ctx, struct buf *why);
bool		 side_load_trust(struct tls_side *, const struct tls_conf *,
		    struct conf *, struct buf *why);
/* A verify callback that refuses nothing: tls_info() tells whom to trust. */
int		 side_trust_later(int ok, X509_STORE_CTX *);
void		 side_set_modes(struct tls_side *);
/* client.c */
void		 client_check(struct tls *);	/* after the handshake */
void		 client_free(struct tls *);
void		 client_forget_sessions(struct tls_side *);
/* ticket.c */
void		 ticket_setup(struct tls_side *, int64_t session_s);
/* key.c: a certificate's key as the number of it. */
uint64_t	 key_id(EVP_PKEY *);
/* "text: what OpenSSL says" into why; clears its queue. */
void		 why_openssl(struct buf *why, const char *text);
#endif
