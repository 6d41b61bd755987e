/*
 * options - Postfix's words for versions, ciphers and groups, as OpenSSL's.
 * postconf(5): smtpd_tls_protocols, smtpd_tls_ciphers, tls_ssl_options ...
 */
#include <stdlib.h>
#include <openssl/err.h>

#include "tls/internal.h"

#define LIST_MAX	8192	/* bytes of a cipher list */

static const struct version {
	const char *name;
	int	    number;
	uint64_t    off;	/* SSL_OP_NO_... */
} versions[] = {
	{ "SSLv2",   0x0002,	     0 },
	{ "SSLv3",   SSL3_VERSION,   SSL_OP_NO_SSLv3 },
	{ "TLSv1",   TLS1_VERSION,   SSL_OP_NO_TLSv1 },
	{ "TLSv1.0", TLS1_VERSION,   SSL_OP_NO_TLSv1 },
	{ "TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

static const struct { const char *name; uint64_t bit; } options[] = {
	{ "ENABLE_MIDDLEBOX_COMPAT", SSL_OP_ENABLE_MIDDLEBOX_COMPAT },
	{ "LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT },
	{ "NO_COMPRESSION", SSL_OP_NO_COMPRESSION },
	{ "NO_ENCRYPT_THEN_MAC", SSL_OP_NO_ENCRYPT_THEN_MAC },
	{ "NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION },
	{ "NO_SESSION_RESUMPTION_ON_RENEGOTIATION",
	    SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION },
	{ "NO_TICKET", SSL_OP_NO_TICKET },
	{ "PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA },
	{ "CRYPTOPRO_TLSEXT_BUG", SSL_OP_CRYPTOPRO_TLSEXT_BUG },
	{ "DONT_INSERT_EMPTY_FRAGMENTS", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS },
	{ "TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING },
	{ "SAFARI_ECDHE_ECDSA_BUG", SSL_OP_SAFARI_ECDHE_ECDSA_BUG },
};

static const struct version *
version_find(struct str name)
{
	for (size_t i = 0; i < nitems(versions); i++)
		if (str_eq_nocase(name, str_of(versions[i].name)))
			return &versions[i];
	return NULL;
}

bool
options_versions(struct str list, struct tls_versions *out, struct buf *why)
{
	struct str item, name;
	const struct version *v;
	uint64_t only = 0, all = 0;
	bool named = false;

	*out = (struct tls_versions){ 0 };
	for (size_t i = 0; i < nitems(versions); i++)
		all |= versions[i].off;
	while (str_token(&list, ", \t\r\n:", &item)) {
		char first = item.p[0];

		name = item;
		if (first == '!')
			name = str_from(item, 1);
		else if (first == '>' || first == '<')
			name = str_trim(str_from(item, item.n > 1 &&
			    item.p[1] == '=' ? 2 : 1));
		v = version_find(name);
		if (v == NULL) {
			buf_printf(why, "unknown TLS version: " STRF,
			    STRV(item));
			return false;
		}
		if (first == '!')
			out->off |= v->off;
		else if (first == '>')
			out->least = v->number;
		else if (first == '<')
			out->most = v->number;
		else {
			only |= v->off;
			named = true;
		}
	}
	if (named)		/* those alone that are named */
		out->off |= all & ~only;
	return true;
}

/* A grade's cipher list, and what it must never have. */
bool
options_ciphers(struct conf *conf, struct str grade, struct str exclude,
    const char *never, struct buf *out, struct buf *why)
{
	static const char *const lists[][2] = {
		{ "high", "tls_high_cipherlist" },
		{ "medium", "tls_medium_cipherlist" },
		{ "low", "tls_medium_cipherlist" },	/* exist no more */
		{ "export", "tls_medium_cipherlist" },
		{ "null", "tls_null_cipherlist" },
	};
	const char *list = NULL;
	struct str item;

	for (size_t i = 0; i < nitems(lists); i++)
		if (str_eq_nocase(grade, str_of(lists[i][0])))
			list = lists[i][1];
	if (list == NULL) {
		buf_printf(why, "unknown grade of ciphers: " STRF
		    "; say high or medium", STRV(grade));
		return false;
	}
	buf_str(out, conf_get(conf, list));
	while (str_token(&exclude, ", \t\r\n:", &item)) {
		buf_puts(out, ":!");
		buf_str(out, item);
	}
	buf_puts(out, never);
	return true;
}

/* Names, or a number as OpenSSL's header has it. */
static bool
options_bits(struct conf *conf, const char *parameter, uint64_t *bits,
    struct buf *why)
{
	struct str list = conf_get(conf, parameter), item;
	struct buf b;
	char *end;
	size_t i;

	buf_init(&b, 256);
	*bits = 0;
	while (str_token(&list, ", \t\r\n", &item)) {
		buf_clear(&b);
		buf_str(&b, item);
		for (i = 0; i < nitems(options); i++)
			if (str_eq_nocase(item, str_of(options[i].name)))
				break;
		if (i < nitems(options)) {
			*bits |= options[i].bit;
			continue;
		}
		*bits |= strtoull(buf_cstr(&b), &end, 0);
		if (!str_starts_nocase(item, STR("0x")) || *end != '\0') {
			buf_printf(why, "%s: unknown option: " STRF,
			    parameter, STRV(item));
			buf_free(&b);
			return false;
		}
	}
	buf_free(&b);
	return true;
}

static void
add_list(struct buf *out, struct str list)
{
	struct str item;

	while (str_token(&list, ", \t\r\n:", &item)) {
		if (out->n > 0)
			buf_putc(out, ':');
		buf_str(out, item);
	}
}

/*
 * "auto": the lists of main.cf; where OpenSSL has it (3.5), the hybrid group
 * that a future quantum computer does not break comes first.
 */
static bool
set_groups(SSL_CTX *ctx, struct str grade, struct conf *conf, struct buf *why)
{
	struct buf plain, hybrid;
	bool good;

	buf_init(&plain, LIST_MAX);
	buf_init(&hybrid, LIST_MAX);
	if (grade.n == 0 || str_eq_nocase(grade, STR("auto")))
		add_list(&plain, conf_get(conf, "tls_eecdh_auto_curves"));
	else if (str_eq_nocase(grade, STR("strong")))
		add_list(&plain, conf_get(conf, "tls_eecdh_strong_curve"));
	else if (str_eq_nocase(grade, STR("ultra")))
		add_list(&plain, conf_get(conf, "tls_eecdh_ultra_curve"));
	else if (!str_eq_nocase(grade, STR("none"))) {
		buf_printf(why, "unknown grade of curves: " STRF, STRV(grade));
		plain.full = true;
	}
	add_list(&plain, conf_get(conf, "tls_ffdhe_auto_groups"));
	buf_puts(&hybrid, "X25519MLKEM768:");
	buf_str(&hybrid, buf_view(&plain));
	(void)buf_cstr(&hybrid);
	(void)buf_cstr(&plain);
	good = !plain.full && (plain.n == 0 ||
	    SSL_CTX_set1_groups_list(ctx, hybrid.p) == 1 ||
	    SSL_CTX_set1_groups_list(ctx, plain.p) == 1);
	if (!good && !plain.full)
		why_openssl(why, "tls_eecdh_auto_curves");
	ERR_clear_error();
	buf_free(&plain);
	buf_free(&hybrid);
	return good;
}

bool
options_apply(SSL_CTX *ctx, const struct tls_conf *tc, struct conf *conf,
    struct buf *why)
{
	struct tls_versions v;
	struct buf ciphers;
	uint64_t on = 0, off = 0;
	bool good;

	buf_init(&ciphers, LIST_MAX);
	/* The key process signs and does not decrypt: no RSA key exchange. */
	good = options_versions(tc->protocols, &v, why) &&
	    options_ciphers(conf, tc->grade, tc->exclude, ":!kRSA", &ciphers,
	    why) && options_bits(conf, "tls_ssl_options", &on, why) &&
	    options_bits(conf, "tls_disable_workarounds", &off, why) &&
	    set_groups(ctx, tc->eecdh_grade, conf, why);
	if (good && SSL_CTX_set_cipher_list(ctx, buf_cstr(&ciphers)) != 1) {
		good = false;
		why_openssl(why, "no cipher is left");
	}
	if (good) {
		SSL_CTX_set_options(ctx, (SSL_OP_ALL & ~off) | on | v.off);
		if (conf_bool(conf, "tls_preempt_cipherlist"))
			SSL_CTX_set_options(ctx,
			    SSL_OP_CIPHER_SERVER_PREFERENCE);
		(void)SSL_CTX_set_min_proto_version(ctx, v.least);
		(void)SSL_CTX_set_max_proto_version(ctx, v.most);
		SSL_CTX_set_dh_auto(ctx, 1);
	}
	ERR_clear_error();
	buf_free(&ciphers);
	return good;
}
