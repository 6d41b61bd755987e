/*
 * print - what is told of a session: log lines and Received fields in
 * Postfix's form, fingerprints, names of a peer's certificate.
 */
#include <stdio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "sys/sys.h"
#include "tls/internal.h"

#define NAME_MAX_SHOWN	256	/* bytes of a common name */
#define TEXT_MAX	1024

/* A key's kind and size: "RSA-PSS (2048 bits)", "ECDSA (prime256v1)". */
static void
put_key(struct buf *out, EVP_PKEY *key, int type_nid)
{
	char group[64];
	size_t n;

	if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
		buf_printf(out, "%s (%d bits)", type_nid == NID_rsassaPss ||
		    type_nid == EVP_PKEY_RSA_PSS ? "RSA-PSS" : "RSA",
		    EVP_PKEY_get_bits(key));
	} else if (EVP_PKEY_is_a(key, "EC")) {
		buf_puts(out, "ECDSA");
		if (EVP_PKEY_get_group_name(key, group, sizeof(group), &n) ==
		    1)
			buf_printf(out, " (%s)", group);
	} else if (EVP_PKEY_is_a(key, "ED25519"))
		buf_puts(out, "Ed25519");
	else
		buf_puts(out, EVP_PKEY_get0_type_name(key));
}

/* " key-exchange X25519", "... ECDHE (P-256)", "... DHE (2048 bits)". */
static void
put_exchange(struct buf *out, SSL *ssl)
{
	EVP_PKEY *key = NULL;
	const char *name;
	char group[64];
	size_t n;

	/* What the peer's half was made with; a hybrid group has none. */
	if (SSL_get_peer_tmp_key(ssl, &key) != 1 || key == NULL) {
		name = SSL_group_to_name(ssl,
		    (int)SSL_get_negotiated_group(ssl));
		if (name != NULL)
			buf_printf(out, "key-exchange %s ", name);
		ERR_clear_error();
		return;
	}
	buf_puts(out, "key-exchange ");
	if (EVP_PKEY_is_a(key, "EC")) {
		if (EVP_PKEY_get_group_name(key, group, sizeof(group), &n) !=
		    1)
			group[0] = '\0';
		name = EC_curve_nid2nist(OBJ_sn2nid(group));
		buf_printf(out, "ECDHE (%s)", name != NULL ? name : group);
	} else if (EVP_PKEY_is_a(key, "DH"))
		buf_printf(out, "DHE (%d bits)", EVP_PKEY_get_bits(key));
	else
		buf_puts(out, EVP_PKEY_get0_type_name(key));
	buf_putc(out, ' ');
	EVP_PKEY_free(key);
}

/* "server-signature RSA-PSS (2048 bits) server-digest SHA256 " */
static void
put_signature(struct buf *out, const char *who, EVP_PKEY *key, int type,
    int digest)
{
	if (key == NULL)
		return;
	buf_printf(out, "%s-signature ", who);
	put_key(out, key, type);
	buf_putc(out, ' ');
	if (digest != NID_undef)
		buf_printf(out, "%s-digest %s ", who, OBJ_nid2sn(digest));
}

static void
put_signatures(struct buf *out, const struct tls *t)
{
	SSL *ssl = t->ssl;
	X509 *own = SSL_get_certificate(ssl), *peer =
	    SSL_get0_peer_certificate(ssl);
	EVP_PKEY *own_key = own != NULL ? X509_get0_pubkey(own) : NULL;
	EVP_PKEY *peer_key = peer != NULL ? X509_get0_pubkey(peer) : NULL;
	int own_type = 0, own_md = 0, peer_type = 0, peer_md = 0;

	if (SSL_session_reused(ssl))
		return;		/* nobody signed anything */
	if (SSL_get_signature_type_nid(ssl, &own_type) != 1 ||
	    SSL_get_signature_nid(ssl, &own_md) != 1)
		own_key = NULL;
	if (SSL_get_peer_signature_type_nid(ssl, &peer_type) != 1 ||
	    SSL_get_peer_signature_nid(ssl, &peer_md) != 1)
		peer_key = NULL;
	if (t->side->server) {
		put_signature(out, "server", own_key, own_type, own_md);
		put_signature(out, "client", peer_key, peer_type, peer_md);
	} else {
		put_signature(out, "server", peer_key, peer_type, peer_md);
		put_signature(out, "client", own_key, own_type, own_md);
	}
}

void
tls_print(const struct tls *t, const char *gap, struct buf *out)
{
	const struct tls_info *i = tls_info(t);
	struct buf more;

	buf_printf(out, "%s with cipher %s (%d/%d bits)", i->protocol,
	    i->cipher, i->bits_used, i->bits);
	/* Before, the cipher's name says it all. */
	if (SSL_version(t->ssl) < TLS1_3_VERSION)
		return;
	buf_init(&more, TEXT_MAX);
	put_exchange(&more, t->ssl);
	put_signatures(&more, t);
	if (more.n > 0) {
		buf_puts(out, gap);
		buf_str(out, str_trim(buf_view(&more)));
	}
	buf_free(&more);
}

/* Quotes and backslashes within quotes. */
static void
put_quoted(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_putc(out, s.p[i] == '"' || s.p[i] == '\\' ||
		    s.p[i] == '(' || s.p[i] == ')' ? '?' : s.p[i]);
}

void
tls_print_received(const struct tls *t, struct buf *out)
{
	const struct tls_info *i = tls_info(t);

	buf_puts(out, "(using ");
	tls_print(t, "\n ", out);
	buf_puts(out, ")\n");
	if (i->trust != TLS_ANONYMOUS) {
		buf_puts(out, "(Client CN \"");
		put_quoted(out, i->subject);
		buf_puts(out, "\", Issuer \"");
		put_quoted(out, i->issuer);
		buf_printf(out, "\" (%s))", i->trust == TLS_UNTRUSTED ?
		    "not verified" : "verified OK");
	} else if (t->side->ask_cert)
		buf_puts(out, "(Client did not present a certificate)");
	else
		buf_puts(out, "(No client certificate requested)");
}

/* --- the peer's certificate --- */

/* The last common name, else the organisation; escaped. */
static struct str
name_text(const X509_NAME *name, struct buf *out)
{
	static const int kinds[] = { NID_commonName, NID_organizationName };
	unsigned char *utf8;
	int at = -1, n;

	for (size_t i = 0; at < 0 && i < nitems(kinds); i++)
		at = X509_NAME_get_index_by_NID(name, kinds[i], -1);
	if (at < 0)
		return STR("");
	n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(
	    X509_NAME_get_entry(name, at)));
	if (n > 0)
		log_escape(str_first((struct str){ (const char *)utf8,
		    (size_t)n }, NAME_MAX_SHOWN), out);
	if (n >= 0)
		OPENSSL_free(utf8);
	return buf_view(out);
}

/* "AB:CD:..." of some DER. */
static void
put_print(struct buf *out, const EVP_MD *md, unsigned char *der, int n)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (n > 0 && EVP_Digest(der, (size_t)n, hash, &len, md, NULL) == 1)
		for (unsigned i = 0; i < len; i++)
			buf_printf(out, "%s%02X", i > 0 ? ":" : "", hash[i]);
	OPENSSL_free(der);
}

/* Texts stand in one piece of memory behind the info. */
static struct str
keep_text(struct tls_info *info, size_t *at, struct buf *text)
{
	char *mem = (char *)(info + 1) + *at;
	struct str out = { mem, text->n };

	if (text->n > 0)
		memcpy(mem, text->p, text->n);
	mem[text->n] = '\0';
	*at += text->n + 1;
	buf_free(text);
	return out;
}

static void
fill_peer(struct tls_info *info, const struct tls *t, X509 *peer)
{
	const EVP_MD *md = t->side->digest;
	unsigned char *der;
	struct buf b;
	size_t at = 0;
	int n;

	buf_init(&b, TEXT_MAX);
	name_text(X509_get_subject_name(peer), &b);
	info->subject = keep_text(info, &at, &b);
	name_text(X509_get_issuer_name(peer), &b);
	info->issuer = keep_text(info, &at, &b);
	der = NULL;
	n = i2d_X509(peer, &der);
	put_print(&b, md, der, n);
	info->cert_print = keep_text(info, &at, &b);
	der = NULL;
	n = i2d_PUBKEY(X509_get0_pubkey(peer), &der);
	put_print(&b, md, der, n);
	info->key_print = keep_text(info, &at, &b);
	info->trust = t->matched ? TLS_VERIFIED :
	    SSL_get_verify_result(t->ssl) == X509_V_OK ? TLS_TRUSTED :
	    TLS_UNTRUSTED;
	ERR_clear_error();
}

const struct tls_info *
tls_info(const struct tls *t)
{
	struct tls *self = SSL_get_app_data(t->ssl);
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
	X509 *peer = SSL_get0_peer_certificate(t->ssl);
	struct tls_info *info;

	if (t->info != NULL)
		return t->info;
	info = mem_new(sizeof(*info) + (peer != NULL ? 5 * TEXT_MAX : 0));
	info->protocol = SSL_get_version(t->ssl);
	info->cipher = SSL_CIPHER_get_name(cipher);
	info->bits_used = SSL_CIPHER_get_bits(cipher, &info->bits);
	info->resumed = SSL_session_reused(t->ssl) == 1;
	if (t->by_name)
		info->server_name = str_of(SSL_get_servername(t->ssl,
		    TLSEXT_NAMETYPE_host_name));
	if (peer != NULL)
		fill_peer(info, t, peer);
	self->info = info;
	return info;
}

void
info_free(struct tls_info **info)
{
	mem_free(*info);
	*info = NULL;
}

void
tls_log_errors(void)
{
	unsigned long err;
	const char *data, *file;
	char text[256];
	int line, flags;

	while ((err = ERR_get_error_all(&file, &line, NULL, &data, &flags)) !=
	    0) {
		ERR_error_string_n(err, text, sizeof(text));
		log_warn("TLS library problem: %s:%s:%d:%s", text, file, line,
		    (flags & ERR_TXT_STRING) != 0 ? data : "");
	}
}

bool
tls_has_exporter(const struct tls *t)
{
	/* RFC 9266 4.2: before TLS 1.3 only with extended master secret. */
	return t->done && (SSL_version(t->ssl) >= TLS1_3_VERSION ||
	    SSL_get_extms_support(t->ssl) == 1);
}

bool
tls_exporter(const struct tls *t, struct str label, uint8_t *out, size_t n)
{
	return tls_has_exporter(t) && SSL_export_keying_material(t->ssl, out,
	    n, label.p, label.n, NULL, 0, 0) == 1;
}

const char *
tls_version(bool built)
{
	return built ? OPENSSL_VERSION_TEXT :
	    OpenSSL_version(OPENSSL_VERSION);
}
