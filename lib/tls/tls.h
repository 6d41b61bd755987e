/*
 * tls - OpenSSL for streams, certificates and keys; it lives here alone.
 *
 * A stream becomes TLS by tls_accept() or tls_connect() and is used as before
 * when the handshake is done. No process of the network holds a private key:
 * a chain of certificates names its key by number, and when a handshake needs
 * a signature it rests until tls_signed(). tlskey(8) holds the keys.
 *
 * Sessions live inside their stream: stream_free() ends them.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H
#include "base/base.h"
#include "conf/conf.h"
#include "event/event.h"

#define TLS_CHAIN_MAX	32768	/* bytes of one chain, as DER */
#define TLS_TBS_MAX	32768	/* most that one signature is asked for */
#define TLS_SIG_MAX	2048	/* bytes of a signature: RSA of 16384 bits */
#define TLS_NAME_MAX	255	/* of a server name */

/* --- what main.cf says: Postfix's words; texts live as long as the conf --- */
struct tls_conf {
	struct str	protocols;	/* ">=TLSv1.2", "!SSLv2, !SSLv3" */
	struct str	grade;		/* high, medium, low, export, null */
	struct str	exclude;	/* ciphers never to use */
	struct str	eecdh_grade;	/* auto, strong, ultra, none */
	struct str	ca_file, ca_path;
	int64_t		verify_depth;
	int64_t		session_s;	/* life of a session; 0: no tickets */
	struct str	digest;		/* of fingerprints: "sha256" */
	struct str	service;	/* whose sessions may be resumed */
	bool		ask_cert, need_cert;	/* of clients */
};

/* Chains and signatures are another process's: what is asked of it. */
struct tls;
struct tls_chains;		/* some chains, parsed; shared by sessions */
struct tls_keys {
	/* The chains for a server name: tls_named(), now or later. */
	void	(*name)(void *ctx, struct tls *, struct str name);
	/* Sign tbs (valid during the call): tls_signed(), now or later. */
	void	(*sign)(void *ctx, struct tls *, uint64_t key, unsigned scheme,
		    struct str tbs);
	/* A session that waits for an answer is gone. */
	void	(*forget)(void *ctx, struct tls *);
};
/* A chain, own certificate first, DER one after another; its key. */
struct tls_chain { uint64_t key; struct str certs; };
/* RFC 5077 4: 16 bytes of name, 32 to encrypt with, 32 to authenticate. */
struct tls_ticket_key { uint8_t name[16], cipher[32], mac[32]; };
enum { TLS_TICKET_KEYS = 3 };	/* the first makes tickets, all open them */

/* --- a side: what all sessions of a service share --- */
struct tls_side;
/*
 * Opens CA files and OpenSSL's own: call it before privileges go. NULL with
 * *why where a value is wrong. keys: NULL where no certificate is ours.
 */
struct tls_side	*tls_server_new(const struct tls_conf *, struct conf *,
		    const struct tls_keys *, void *keys_ctx, struct buf *why);
struct tls_side	*tls_client_new(const struct tls_conf *, struct conf *,
		    const struct tls_keys *, void *keys_ctx, struct buf *why);
void		 tls_side_free(struct tls_side **);	/* no session is left */
/* NULL with *why: a certificate is none, or of a kind that can't be used. */
struct tls_chains *tls_chains_new(struct tls_side *, const struct tls_chain *,
		    size_t n, struct buf *why);
void		 tls_chains_free(struct tls_chains **);	/* sessions keep it */
/* For clients that name no server, or none of ours. NULL: none; takes it. */
void		 tls_side_chains(struct tls_side *, struct tls_chains *);
bool		 tls_side_ready(const struct tls_side *); /* has chains */
void		 tls_side_tickets(struct tls_side *,
		    const struct tls_ticket_key *, size_t n);

/* --- a session --- */
struct tls_ops {
	/*
	 * The handshake is done, or failed: then tls_error() tells why, the
	 * stream is dead and shall be freed.
	 */
	void	(*on_handshake)(void *ctx, bool ok);
};
/* The stream has nothing unsent; its input so far is dropped. */
struct tls	*tls_accept(struct tls_side *, struct stream *,
		    const struct tls_ops *, void *ctx);
/*
 * A client's session: what is offered, and what the server must prove. All
 * texts are used during the call alone.
 */
struct tls_tlsa { unsigned usage, selector, matching; struct str data; };
struct tls_want {
	struct str	protocols, grade, exclude;	/* as in tls_conf */
	struct str	server_name;	/* to ask for by SNI; "" */
	/* Names, one of which the certificate must have: "mx.example",
	 * ".example" for all below it. */
	const struct str *names;
	size_t		nnames;
	const struct str *prints;	/* or one of these fingerprints */
	size_t		nprints;
	/* Or DANE: RFC 6698, RFC 7671; base is the name they stand at. */
	const struct tls_tlsa *tlsa;
	size_t		ntlsa;
	struct str	base;
	/* Or trust anchors, beside names: of tls_anchors_read(). */
	const struct tls_tlsa *anchors;
	size_t		nanchors;
	/* Sessions with the same key may be resumed; "" for none. */
	struct str	key;
};
/* NULL with *why: the offer is none. */
struct tls	*tls_connect(struct tls_side *, struct stream *,
		    const struct tls_want *, const struct tls_ops *, void *ctx,
		    struct buf *why);
/*
 * Certificates and public keys of PEM text, as what the chain of a server (or
 * its own certificate) must have; their data is in the arena. The number of
 * records, 0: there are none, or *why tells what is wrong.
 */
size_t		 tls_anchors_read(struct str pem, struct arena *,
		    struct tls_tlsa **, struct buf *why);
/* Is that record one that SMTP uses (RFC 7672 3.1), by a digest we know? */
bool		 tls_tlsa_usable(const struct tls_tlsa *, struct str digests);
/* "mx.example" of a certificate against a wanted name (pure). */
bool		 tls_name_matches(struct str cert, struct str wanted,
		    bool many_labels);
bool		 tls_words_valid(struct conf *, struct str protocols,
		    struct str grade, struct str exclude, struct buf *why);
/* Answers to tls_keys; NULL: the side's own chains. */
void		 tls_named(struct tls *, struct tls_chains *);
void		 tls_signed(struct tls *, bool ok, struct str signature);

/* After the handshake; texts live as long as the session. */
enum tls_trust { TLS_ANONYMOUS, TLS_UNTRUSTED, TLS_TRUSTED, TLS_VERIFIED };
struct tls_info {
	const char	*protocol;	/* "TLSv1.3" */
	const char	*cipher;	/* "TLS_AES_256_GCM_SHA384" */
	int		 bits_used, bits;
	bool		 resumed;
	enum tls_trust	 trust;		/* of the peer's certificate */
	struct str	 server_name;	/* that chose the chain, or "" */
	struct str	 subject, issuer;	/* common names, escaped */
	struct str	 cert_print, key_print;	/* of the peer, "AB:CD:.." */
};
const struct tls_info *tls_info(const struct tls *);
/*
 * "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange
 * X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256"; gap
 * stands before "key-exchange".
 */
void		 tls_print(const struct tls *, const char *gap, struct buf *);
/* Lines for a Received header, without their tabs: "(using ...)\n(No ...". */
void		 tls_print_received(const struct tls *, struct buf *);
/* "-1", "Connection timed out": why a handshake failed, for log lines. */
const char	*tls_error(const struct tls *);
/* Writes what OpenSSL has queued to the log, as Postfix does. */
void		 tls_log_errors(void);
/* Channel binding (RFC 9266; RFC 5705): false before TLS 1.3 without EMS. */
bool		 tls_has_exporter(const struct tls *);
bool		 tls_exporter(const struct tls *, struct str label,
		    uint8_t *out, size_t n) MUST_USE;

/*
 * The way to tlskey(8), for a daemon: hand it what its on_solo and
 * on_peer_gone get. Chains and tickets that come go to the side; before the
 * first have come tls_side_ready() is false.
 */
struct service;
struct tls_agent;
struct tls_agent *tls_agent_new(struct service *);
/* Made by tls_server_new() with these keys and the agent as keys_ctx. */
const struct tls_keys *tls_agent_keys(void);
void		 tls_agent_side(struct tls_agent *, struct tls_side *);
/* Has tlskey told what chains there are (or that there are none)? */
bool		 tls_agent_heard(const struct tls_agent *);
/* False: it is not for TLS. */
bool		 tls_agent_solo(struct tls_agent *, unsigned msg, const void *);

/* --- for tlskey, `postern check` and setup: keys and certificates --- */
struct tls_identity;		/* a private key and its chain */
/* From PEM text, the first key and all certificates. NULL with *why. */
struct tls_identity *tls_identity_read(struct str key_pem, struct str chain_pem,
		    struct buf *why);
void		 tls_identity_free(struct tls_identity **);
struct tls_chain tls_identity_chain(const struct tls_identity *);
/* "" or what to warn of: "expired on ...", "not valid before ...". */
const char	*tls_identity_warning(const struct tls_identity *);
/*
 * Signs for a handshake: tbs must be what RFC 8446 4.4.3 or RFC 5246 7.4.3
 * (server) or 7.4.8 (client) have signed, and the scheme one of the key's.
 * False: refused, or it failed.
 */
bool		 tls_identity_sign(struct tls_identity *, bool client,
		    unsigned scheme, struct str tbs, struct buf *signature)
		    MUST_USE;
/* Is tbs a handshake's? The check alone: pure, fuzzed. */
bool		 tls_tbs_valid(bool client, struct str tbs);
/* "OpenSSL 3.5.1 1 Jul 2025": as built with, or as it runs. */
const char	*tls_version(bool built);
/* A new self-signed certificate (EC P-256) for a host, as PEM with its key. */
bool		 tls_make_certificate(const char *hostname, int64_t days,
		    struct buf *pem, struct buf *why) MUST_USE;
#endif
