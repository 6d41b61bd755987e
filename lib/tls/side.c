/*
 * side - what all sessions of a service share: versions, ciphers, trust,
 * chains. Everything that is a file is read when a side is made.
 *
 * Chains are no part of the SSL_CTX: each handshake takes those of its name
 * (side_choose_chain), so new ones on disk are one pointer here.
 */
#include <openssl/err.h>
#include <openssl/sha.h>

#include "sys/sys.h"
#include "tls/internal.h"

#define CERTS_MAX	16

static int	on_server_name(SSL *, int *alert, void *side);

/* --- chains --- */

/* The parts of one chain; false: it is none. */
static bool
chain_parse(struct tls_side *side, const struct tls_chain *in,
    struct chain *out, struct buf *why)
{
	const unsigned char *p = (const unsigned char *)in->certs.p, *end;
	EVP_PKEY *pub;
	X509 *cert;

	end = p + in->certs.n;
	out->more = sk_X509_new_null();
	while (p < end && sk_X509_num(out->more) < CERTS_MAX) {
		cert = d2i_X509(NULL, &p, (long)(end - p));
		if (cert == NULL) {
			why_openssl(why, "a certificate is none");
			return false;
		}
		if (out->cert == NULL)
			out->cert = cert;
		else if (sk_X509_push(out->more, cert) == 0)
			X509_free(cert);
	}
	pub = out->cert != NULL ? X509_get0_pubkey(out->cert) : NULL;
	if (pub != NULL)
		out->key = provider_key(side, pub, in->key);
	if (out->key == NULL)
		why_openssl(why, "a certificate's key can't be used");
	return out->key != NULL;
}

struct tls_chains *
tls_chains_new(struct tls_side *side, const struct tls_chain *in, size_t n,
    struct buf *why)
{
	struct tls_chains *c = mem_new(sizeof(*c) + n * sizeof(c->v[0]));

	c->refs = 1;
	for (size_t i = 0; i < n; i++) {
		c->n++;
		if (!chain_parse(side, &in[i], &c->v[i], why)) {
			tls_chains_free(&c);
			return NULL;
		}
	}
	return c;
}

void
chains_hold(struct tls_chains *c)
{
	c->refs++;
}

void
tls_chains_free(struct tls_chains **cp)
{
	struct tls_chains *c = *cp;

	*cp = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	for (size_t i = 0; i < c->n; i++) {
		X509_free(c->v[i].cert);
		sk_X509_pop_free(c->v[i].more, X509_free);
		EVP_PKEY_free(c->v[i].key);
	}
	mem_free(c);
}

void
tls_side_chains(struct tls_side *side, struct tls_chains *chains)
{
	tls_chains_free(&side->chains);
	side->chains = chains;
}

bool
tls_side_ready(const struct tls_side *side)
{
	return side->chains != NULL && side->chains->n > 0;
}

/*
 * The hello is read: which chains? SSL_CTX_set_cert_cb(3): -1 asks for the
 * handshake to be begun again where it stands, when the answer is there.
 */
int
side_choose_chain(SSL *ssl, void *arg)
{
	struct tls_side *side = arg;
	struct tls *t = SSL_get_app_data(ssl);
	const struct tls_chains *c = side->chains;
	const char *name = side->server && side->keys != NULL ?
	    SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;

	if (name != NULL && t->name != ASK_ANSWERED &&
	    side->keys->name != NULL && strlen(name) <= TLS_NAME_MAX) {
		if (t->name == ASK_NOTHING)
			t->name = ASK_NOW;
		return -1;
	}
	if (t->named != NULL)
		c = t->named;
	SSL_certs_clear(ssl);
	for (size_t i = 0; c != NULL && i < c->n; i++)
		if (SSL_use_cert_and_key(ssl, c->v[i].cert, c->v[i].key,
		    c->v[i].more, 1) != 1)
			return 0;
	return 1;
}

static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl;
	(void)alert;
	(void)arg;
	return SSL_TLSEXT_ERR_OK;
}

int
side_trust_later(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

/* --- sides --- */

/* Authorities; a directory is opened at each look-up, so it is read now. */
bool
side_load_trust(struct tls_side *side, const struct tls_conf *tc, struct conf *conf,
    struct buf *why)
{
	char *file = mem_copy(tc->ca_file), *path = mem_copy(tc->ca_path);
	STACK_OF(X509_NAME) *names;
	bool good = true;

	if (*file != '\0' &&
	    SSL_CTX_load_verify_file(side->ctx, file) != 1) {
		why_openssl(why, file);
		good = false;
	}
	if (good && *path != '\0')
		good = trust_directory(side->ctx, path, why);
	if (good && (*file != '\0' || *path != '\0') &&
	    conf_bool(conf, "tls_append_default_CA"))
		good = trust_default(side->ctx, why);
	/* The names that clients are asked for: as Postfix, of the file. */
	if (good && side->ask_cert && *file != '\0' &&
	    (names = SSL_load_client_CA_file(file)) != NULL)
		SSL_CTX_set_client_CA_list(side->ctx, names);
	ERR_clear_error();
	mem_free(file);
	mem_free(path);
	return good;
}

static const EVP_MD *
digest_find(struct str name, struct buf *why)
{
	char *text = mem_copy(name);
	const EVP_MD *md = EVP_get_digestbyname(*text != '\0' ? text :
	    "sha256");

	if (md == NULL)
		buf_printf(why, "unknown digest: %s", text);
	mem_free(text);
	return md;
}

void
side_set_modes(struct tls_side *side)
{
	long modes = SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS;

	if (side->keys != NULL)
		modes |= SSL_MODE_ASYNC;
	SSL_CTX_set_mode(side->ctx, modes);
	SSL_CTX_set_read_ahead(side->ctx, 1);
	/* RFC 9325 3.3, 3.5: no compression, no renegotiation. */
	SSL_CTX_set_options(side->ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION);
}

struct tls_side *
side_new(const struct tls_conf *tc,
    const struct tls_keys *keys, void *keys_ctx, struct buf *why)
{
	struct tls_side *side = mem_new(sizeof(*side));

	list_init(&side->waiting);
	side->keys = keys;
	side->keys_ctx = keys_ctx;
	side->ask_cert = tc->ask_cert || tc->need_cert;
	if (!provider_load(&side->providers))
		die("OpenSSL: no provider");
	side->digest = digest_find(tc->digest, why);
	return side;
}

struct tls_side *
tls_server_new(const struct tls_conf *tc, struct conf *conf,
    const struct tls_keys *keys, void *keys_ctx, struct buf *why)
{
	struct tls_side *side = side_new(tc, keys, keys_ctx, why);
	unsigned char id[SHA256_DIGEST_LENGTH];

	side->server = true;
	side->conf = conf;
	side->ctx = SSL_CTX_new(TLS_server_method());
	if (side->ctx == NULL)
		die("OpenSSL: no context");
	side_set_modes(side);
	if (side->digest == NULL ||
	    !options_apply(side->ctx, tc, conf, why) ||
	    !side_load_trust(side, tc, conf, why)) {
		tls_side_free(&side);
		return NULL;
	}
	SSL_CTX_set_cert_cb(side->ctx, side_choose_chain, side);
	SSL_CTX_set_tlsext_servername_callback(side->ctx, on_server_name);
	SSL_CTX_set_verify(side->ctx, side->ask_cert ? SSL_VERIFY_PEER :
	    SSL_VERIFY_NONE, side_trust_later);
	if (tc->verify_depth > 0)
		SSL_CTX_set_verify_depth(side->ctx, (int)tc->verify_depth);
	SHA256((const unsigned char *)tc->service.p, tc->service.n, id);
	SSL_CTX_set_session_id_context(side->ctx, id, sizeof(id));
	ticket_setup(side, tc->session_s);
	return side;
}

void
tls_side_free(struct tls_side **sp)
{
	struct tls_side *side = *sp;

	*sp = NULL;
	if (side == NULL)
		return;
	tls_chains_free(&side->chains);
	client_forget_sessions(side);
	SSL_CTX_free(side->ctx);
	provider_unload(&side->providers);
	OPENSSL_cleanse(side->tickets, sizeof(side->tickets));
	mem_free(side);
}
