/*
 * TLS of the client: what is wanted of a server, and how it goes.
 *
 * tls_policy.c  words of main.cf and policy tables (pure)
 * tls_find.c    which policy a server has: tables, DANE
 * starttls.c    the command, the handshake, its proof
 */
#ifndef SMTP_TLS_H
#define SMTP_TLS_H
#include "smtp/smtp.h"

/* Weakest first; from PROVED on a server must prove who it is. */
enum tls_level { LEVEL_INVALID, LEVEL_NONE, LEVEL_MAY, LEVEL_ENCRYPT,
	LEVEL_FINGERPRINT, LEVEL_DANE, LEVEL_DANE_ONLY, LEVEL_VERIFY,
	LEVEL_SECURE };
#define LEVEL_PROVED LEVEL_FINGERPRINT
#define TLSA_MAX 32

struct tls_policy {		/* texts: of the conf, or an arena */
	enum tls_level	level;
	struct str	match;		/* words, as *_cert_match has them */
	struct str	protocols, grade, exclude, servername;
	bool		own_exclude;	/* exclude= instead of main.cf's */
	bool		reuse;
	bool		own_anchors;	/* tafile= instead of main.cf's */
	struct str	mx_patterns;	/* of MTA-STS: the hosts' names; or "" */
	struct str	mx_domain;	/* whose they are */
	const struct tls_tlsa *anchors;
	size_t		nanchors;
	/* Of DANE: */
	struct tls_tlsa	tlsa[TLSA_MAX];
	size_t		ntlsa;
	struct str	base;
};
enum tls_level	 tls_level_parse(struct str);
const char	*tls_level_name(enum tls_level);	/* "unknown": INVALID */
/* Of main.cf alone. */
void		 tls_policy_default(const struct smtp_conf *,
		    enum tls_level, struct tls_policy *);
/*
 * A policy table's value: "secure match=a:.b protocols=>=TLSv1.2". p has
 * the defaults; texts are put in the arena. NULL, or what is wrong.
 */
const char	*tls_policy_parse(const struct smtp_conf *, struct str value,
		    struct arena *, struct tls_policy *);
/* RFC 8461 4.1: "*.example" is one label more. No patterns: any host. */
bool		 tls_mx_allowed(const struct tls_policy *, struct str host);
/*
 * What smtp_tls_per_site says beside what it said before of the destination
 * (LEVEL_INVALID: nothing). False: an unknown word.
 */
bool		 tls_site_level(struct str word, enum tls_level *);
/* The level that main.cf gives, with its older names. */
enum tls_level	 tls_level_of(const struct smtp_conf *);

/* Finds the session's policy, then policy_go() or starttls_wrapped(). */
void		 tls_find(struct session *);
void		 tls_find_cancel(struct session *);
/* The session can't go on: "4.7.5" and why; with the next server. */
void		 tls_refused(struct session *, const char *dsn,
		    const char *fmt, ...) PRINTF(3, 4);
#endif
