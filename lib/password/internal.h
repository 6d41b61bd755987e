/*
 * password, inside: what scram.c and password.c share.
 */
#ifndef PASSWORD_INTERNAL_H
#define PASSWORD_INTERNAL_H
#include "password/password.h"

struct scheme {
	const char *name;
	enum password_verdict (*check)(const struct scheme *, struct str text,
		    struct str password);
	const char *digest;
	bool	    weak;
};

#define DIGEST_MAX 64
/* Bytes of the digest of a and b together; 0: there is no such digest. */
size_t	 password_digest(const char *digest, struct str a, struct str b,
	    uint8_t out[DIGEST_MAX]);
enum password_verdict check_scram(const struct scheme *, struct str text,
	    struct str password);
bool	 scram_make(const char *scheme, struct str password, struct buf *out);
#endif
