/*
 * trust - certification authorities, all read while files can be read.
 *
 * OpenSSL opens a CApath's files when it needs them; a process in an empty
 * root can't. So a directory is read whole: its names as c_rehash makes them.
 */
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "sys/sys.h"
#include "tls/internal.h"

#define FILE_MAX	(1 << 20)
#define ANCHORS_MAX	200	/* of a server */

/* "9d04f354.0" */
static bool
is_hash_name(const char *name)
{
	size_t n = strspn(name, "0123456789abcdef");

	return n == 8 && name[n] == '.' && name[n + 1] >= '0' &&
	    name[n + 1] <= '9';
}

static void
add_file(X509_STORE *store, int dir, const char *name)
{
	struct buf text;
	X509 *cert;
	BIO *bio;

	buf_init(&text, FILE_MAX);
	if (file_read(dir, name, FILE_MAX, &text) == 0) {
		bio = BIO_new_mem_buf(text.p, (int)text.n);
		cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
		if (cert != NULL)
			(void)X509_STORE_add_cert(store, cert);
		X509_free(cert);
		BIO_free(bio);
	}
	ERR_clear_error();
	buf_free(&text);
}

bool
trust_directory(SSL_CTX *ctx, const char *path, struct buf *why)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	const struct dirent *e;
	DIR *dir = opendir(path);

	/* A stock main.cf names it, installed or not: then nobody is trusted. */
	if (dir == NULL && errno == ENOENT) {
		log_warn("%s: there is no such directory: no authority of it "
		    "is trusted", path);
		return true;
	}
	if (dir == NULL) {
		buf_printf(why, "%s: %s", path, strerror(errno));
		return false;
	}
	while ((e = readdir(dir)) != NULL)
		if (is_hash_name(e->d_name))
			add_file(store, dirfd(dir), e->d_name);
	closedir(dir);
	return true;
}

/* tls_append_default_CA: the system's, where it has any. */
bool
trust_default(SSL_CTX *ctx, struct buf *why)
{
	const char *file = X509_get_default_cert_file();
	struct buf none;

	(void)why;
	if (SSL_CTX_load_verify_file(ctx, file) != 1)
		ERR_clear_error();
	buf_init(&none, 1024);
	(void)trust_directory(ctx, X509_get_default_cert_dir(), &none);
	buf_free(&none);
	return true;
}

/* --- trust anchors: TLSA records that nobody published --- */

/* OpenSSL's DANE-TA is for issuers; a server's own certificate counts, too. */
static size_t
add_anchor(struct tls_tlsa *v, size_t n, unsigned selector, struct str data)
{
	for (unsigned usage = 2; usage <= 3; usage++)
		v[n++] = (struct tls_tlsa){ .usage = usage,
		    .selector = selector, .data = data };
	return n;
}

size_t
tls_anchors_read(struct str pem, struct arena *arena, struct tls_tlsa **out,
    struct buf *why)
{
	struct tls_tlsa *v = arena_alloc(arena, ANCHORS_MAX * sizeof(*v));
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	char *name, *header;
	unsigned char *data;
	size_t n = 0;
	long length;

	ERR_clear_error();
	while (n + 2 <= ANCHORS_MAX &&
	    PEM_read_bio(bio, &name, &header, &data, &length) == 1) {
		struct str der = arena_str(arena,
		    (struct str){ (const char *)data, (size_t)length });

		if (strcmp(name, PEM_STRING_X509) == 0 ||
		    strcmp(name, PEM_STRING_X509_OLD) == 0)
			n = add_anchor(v, n, 0, der);
		else if (strcmp(name, PEM_STRING_PUBLIC) == 0)
			n = add_anchor(v, n, 1, der);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(data);
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		why_openssl(why, n + 2 > ANCHORS_MAX ? "too many trust "
		    "anchors" : "malformed trust anchors");
		n = 0;
	} else if (n == 0)
		buf_puts(why, "no certificate and no public key");
	ERR_clear_error();
	BIO_free(bio);
	*out = v;
	return n;
}
