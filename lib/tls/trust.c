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
