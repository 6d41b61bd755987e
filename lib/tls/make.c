/*
 * make - a self-signed certificate for `postern setup`: EC P-256, the host's
 * name as subjectAltName (RFC 6125), its key before it in one PEM text.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "tls/internal.h"

#define DAY_S		(24 * 60 * 60)

static bool
add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool good;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	good = e != NULL && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return good;
}

static bool
fill(X509 *cert, EVP_PKEY *key, const char *hostname, int64_t days)
{
	X509_NAME *name = X509_get_subject_name(cert);
	unsigned char serial[16];
	BIGNUM *number = NULL;
	struct buf san;
	bool good;

	buf_init(&san, 300);
	buf_printf(&san, "DNS:%s", hostname);
	good = RAND_bytes(serial, sizeof(serial)) == 1;
	serial[0] &= 0x7f;
	if (good)
		number = BN_bin2bn(serial, sizeof(serial), NULL);
	/* RFC 5280 ub-common-name: 64. The SAN is what counts. */
	good = number != NULL && X509_set_version(cert, X509_VERSION_3) == 1 &&
	    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(cert),
	    (long)days * DAY_S) != NULL &&
	    (strlen(hostname) > 64 || X509_NAME_add_entry_by_txt(name, "CN",
	    MBSTRING_ASC, (const unsigned char *)hostname, -1, -1, 0) == 1) &&
	    X509_set_issuer_name(cert, name) == 1 &&
	    X509_set_pubkey(cert, key) == 1 &&
	    add_extension(cert, NID_subject_alt_name, buf_cstr(&san)) &&
	    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(cert, NID_ext_key_usage, "serverAuth") &&
	    X509_sign(cert, key, EVP_sha256()) > 0;
	BN_free(number);
	buf_free(&san);
	return good;
}

bool
tls_make_certificate(const char *hostname, int64_t days, struct buf *pem,
    struct buf *why)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;
	bool good;

	good = key != NULL && cert != NULL && bio != NULL &&
	    fill(cert, key, hostname, days) &&
	    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) ==
	    1 && PEM_write_bio_X509(bio, cert) == 1;
	if (good) {
		n = BIO_get_mem_data(bio, &text);
		buf_add(pem, text, n > 0 ? (size_t)n : 0);
	} else
		why_openssl(why, "no certificate was made");
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good && !pem->full;
}
