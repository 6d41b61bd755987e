/*
 * key - private keys and their chains: for tlskey, which has them, and for
 * `postern check`.
 *
 * A key's number is made of its public half, so that it stays the same when
 * tlskey starts anew, and a chain finds its key wherever it was read.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include "sys/sys.h"
#include "tls/internal.h"

#define CERTS_MAX	16	/* in one chain */

struct tls_identity {
	EVP_PKEY	*key;
	struct buf	 certs;		/* DER, own first */
	uint64_t	 id;
	char		 warning[128];
};

/* What may sign; the private half never leaves tlskey. */
static const struct scheme schemes[] = {
	{ 0x0401, "RSA", "SHA256", PAD_PKCS1 },
	{ 0x0501, "RSA", "SHA384", PAD_PKCS1 },
	{ 0x0601, "RSA", "SHA512", PAD_PKCS1 },
	{ 0x0804, "RSA", "SHA256", PAD_PSS },
	{ 0x0805, "RSA", "SHA384", PAD_PSS },
	{ 0x0806, "RSA", "SHA512", PAD_PSS },
	{ 0x0403, "EC", "SHA256", PAD_NONE },
	{ 0x0503, "EC", "SHA384", PAD_NONE },
	{ 0x0603, "EC", "SHA512", PAD_NONE },
	{ 0x0807, "ED25519", "", PAD_NONE },
};

const struct scheme *
scheme_by_code(unsigned code)
{
	for (size_t i = 0; i < nitems(schemes); i++)
		if (schemes[i].code == code)
			return &schemes[i];
	return NULL;
}

const struct scheme *
scheme_find(const char *key, const char *digest, int pad)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	const char *name = md != NULL ? EVP_MD_get0_name(md) : "";

	for (size_t i = 0; i < nitems(schemes); i++)
		if (strcmp(schemes[i].key, key) == 0 && schemes[i].pad == pad &&
		    (strcmp(schemes[i].digest, name) == 0 ||
		    (md != NULL && *schemes[i].digest != '\0' &&
		    EVP_MD_is_a(md, schemes[i].digest))))
			return &schemes[i];
	return NULL;
}

void
why_openssl(struct buf *why, const char *text)
{
	unsigned long err = ERR_peek_error();
	const char *reason = ERR_reason_error_string(err);

	if (why->n > 0)
		buf_puts(why, "; ");
	buf_printf(why, "%s%s%s", text, reason != NULL ? ": " : "",
	    reason != NULL ? reason : "");
	ERR_clear_error();
}

uint64_t
key_id(EVP_PKEY *key)
{
	unsigned char *der = NULL, hash[SHA256_DIGEST_LENGTH];
	int n = i2d_PUBKEY(key, &der);
	uint64_t id = 0;

	if (n <= 0)
		return 0;
	SHA256(der, (size_t)n, hash);
	OPENSSL_free(der);
	for (size_t i = 0; i < sizeof(id); i++)
		id = id << 8 | hash[i];
	return id;
}

/* An encrypted key can't be asked for its passphrase here. */
static int
no_passphrase(char *out, int size, int rwflag, void *ctx)
{
	(void)out;
	(void)size;
	(void)rwflag;
	(void)ctx;
	return -1;
}

static EVP_PKEY *
read_key(struct str pem, struct buf *why)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key;

	ERR_clear_error();
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (key == NULL)
		why_openssl(why, "no private key that can be read (a key with "
		    "a passphrase can't)");
	return key;
}

/* All certificates of pem as DER; *first is the first. */
static bool
read_chain(struct str pem, struct buf *der, X509 **first, struct buf *why)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	unsigned char *bytes;
	X509 *cert;
	size_t n = 0;
	int len;

	ERR_clear_error();
	while (n < CERTS_MAX && (cert = PEM_read_bio_X509(bio, NULL,
	    no_passphrase, NULL)) != NULL) {
		bytes = NULL;
		len = i2d_X509(cert, &bytes);
		if (len > 0)
			buf_add(der, bytes, (size_t)len);
		OPENSSL_free(bytes);
		if (n++ == 0)
			*first = cert;
		else
			X509_free(cert);
	}
	BIO_free(bio);
	if (n == 0)
		why_openssl(why, "no certificate that can be read");
	else if (der->full)
		buf_puts(why, "the chain of certificates is too long");
	ERR_clear_error();
	return n > 0 && !der->full;
}

static void
look_at_dates(struct tls_identity *id, X509 *cert)
{
	time_t now = (time_t)clock_wall_s();
	const ASN1_TIME *before = X509_get0_notBefore(cert);
	const ASN1_TIME *after = X509_get0_notAfter(cert);
	BIO *bio = BIO_new(BIO_s_mem());
	char text[64] = "";
	int n;

	if (X509_cmp_time(after, &now) < 0) {
		ASN1_TIME_print(bio, after);
		n = BIO_read(bio, text, sizeof(text) - 1);
		snprintf(id->warning, sizeof(id->warning),
		    "the certificate expired on %.*s", n > 0 ? n : 0, text);
	} else if (X509_cmp_time(before, &now) > 0) {
		ASN1_TIME_print(bio, before);
		n = BIO_read(bio, text, sizeof(text) - 1);
		snprintf(id->warning, sizeof(id->warning),
		    "the certificate is not valid before %.*s",
		    n > 0 ? n : 0, text);
	}
	BIO_free(bio);
}

static const char *
kind_of(EVP_PKEY *key)
{
	static const char *const kinds[] = { "RSA", "EC", "ED25519" };

	for (size_t i = 0; i < nitems(kinds); i++)
		if (EVP_PKEY_is_a(key, kinds[i]))
			return kinds[i];
	return NULL;
}

struct tls_identity *
tls_identity_read(struct str key_pem, struct str chain_pem, struct buf *why)
{
	struct tls_identity *id = mem_new(sizeof(*id));
	X509 *cert = NULL;
	bool good;

	buf_init(&id->certs, TLS_CHAIN_MAX);
	good = read_chain(chain_pem, &id->certs, &cert, why) &&
	    (id->key = read_key(key_pem, why)) != NULL;
	if (good && X509_check_private_key(cert, id->key) != 1) {
		good = false;
		buf_puts(why, "the private key does not match the "
		    "certificate");
	}
	if (good && kind_of(id->key) == NULL) {
		good = false;
		buf_puts(why, "keys of this kind can't be used: RSA, ECDSA "
		    "and Ed25519 can");
	}
	if (good) {
		id->id = key_id(id->key);
		look_at_dates(id, cert);
	}
	X509_free(cert);
	ERR_clear_error();
	if (!good)
		tls_identity_free(&id);
	return id;
}

void
tls_identity_free(struct tls_identity **ip)
{
	struct tls_identity *id = *ip;

	*ip = NULL;
	if (id == NULL)
		return;
	EVP_PKEY_free(id->key);
	buf_free(&id->certs);
	mem_free(id);
}

struct tls_chain
tls_identity_chain(const struct tls_identity *id)
{
	return (struct tls_chain){ .key = id->id,
		.certs = buf_view(&id->certs) };
}

const char *
tls_identity_warning(const struct tls_identity *id)
{
	return id->warning;
}

static bool
set_padding(EVP_PKEY_CTX *ctx, int pad)
{
	if (pad == PAD_NONE)
		return true;
	if (pad == PAD_PKCS1)
		return EVP_PKEY_CTX_set_rsa_padding(ctx,
		    RSA_PKCS1_PADDING) > 0;
	/* RFC 8446 4.2.3: the salt is as long as the digest. */
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

bool
tls_identity_sign(struct tls_identity *id, bool client, unsigned scheme,
    struct str tbs, struct buf *signature)
{
	const struct scheme *how = scheme_by_code(scheme);
	size_t n = TLS_SIG_MAX;
	EVP_PKEY_CTX *pctx;
	EVP_MD_CTX *md;
	char *room;
	bool good;

	if (how == NULL || !EVP_PKEY_is_a(id->key, how->key) ||
	    !tls_tbs_valid(client, tbs))
		return false;
	room = buf_space(signature, n);
	if (room == NULL)
		return false;
	md = EVP_MD_CTX_new();
	good = EVP_DigestSignInit_ex(md, &pctx,
	    *how->digest != '\0' ? how->digest : NULL, NULL, NULL, id->key,
	    NULL) == 1 && set_padding(pctx, how->pad) &&
	    EVP_DigestSign(md, (unsigned char *)room, &n,
	    (const unsigned char *)tbs.p, tbs.n) == 1;
	if (good)
		signature->n += n;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return good;
}
