/*
 * ticket - sessions that clients keep for us (RFC 5077, RFC 8446 4.6.1).
 *
 * All processes of a service have the same keys, from tlskey, which makes
 * new ones in time: the first makes tickets, the others still open them. No
 * session is kept here.
 */
#include <openssl/core_names.h>
#include <openssl/rand.h>

#include "tls/internal.h"

static bool
set_keys(EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const unsigned char *iv,
    struct tls_ticket_key *key, bool encrypt)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac,
		    sizeof(key->mac)),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_END
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	    EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher,
	    iv, encrypt) == 1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 good, 2 renew, 0 no key. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct tls *t = SSL_get_app_data(ssl);
	struct tls_side *side = t->side;
	struct tls_ticket_key *keys = side->tickets;

	if (side->ntickets == 0)
		return 0;
	if (encrypt) {
		memcpy(name, keys[0].name, sizeof(keys[0].name));
		return RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 &&
		    set_keys(cipher, mac, iv, &keys[0], true) ? 1 : -1;
	}
	for (size_t i = 0; i < side->ntickets; i++)
		if (memcmp(name, keys[i].name, sizeof(keys[i].name)) == 0)
			return !set_keys(cipher, mac, iv, &keys[i], false) ?
			    -1 : i == 0 ? 1 : 2;
	return 0;
}

void
ticket_setup(struct tls_side *side, int64_t session_s)
{
	SSL_CTX_set_session_cache_mode(side->ctx, SSL_SESS_CACHE_OFF);
	if (session_s <= 0) {
		SSL_CTX_set_options(side->ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(side->ctx, 0);
		return;
	}
	SSL_CTX_set_timeout(side->ctx, (long)session_s);
	/* A mail client has one connection at a time: one is enough. */
	SSL_CTX_set_num_tickets(side->ctx, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(side->ctx, on_ticket);
}

void
tls_side_tickets(struct tls_side *side, const struct tls_ticket_key *keys,
    size_t n)
{
	side->ntickets = n < TLS_TICKET_KEYS ? n : TLS_TICKET_KEYS;
	for (size_t i = 0; i < side->ntickets; i++)
		side->tickets[i] = keys[i];
}
