/*
 * client - sessions with servers: what is offered, what is proved.
 *
 * The handshake never fails for a certificate: after it tls_info() tells
 * what was proved, and the policy of who asked decides. DANE is OpenSSL's
 * (RFC 6698, RFC 7671); names and fingerprints are compared here, as Postfix
 * does. Sessions are kept in memory, SESSIONS_MAX of them, under a key that
 * has all in it that their proof rests on.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls/internal.h"

#define SESSIONS_MAX	2000	/* then all are forgotten */

struct wanted {
	struct arena	*arena;
	struct str	*names, *prints;
	size_t		 nnames, nprints;
	bool		 dane;
};

static int	on_new_session(SSL *, SSL_SESSION *);

struct tls_side *
tls_client_new(const struct tls_conf *tc, struct conf *conf,
    const struct tls_keys *keys, void *keys_ctx, struct buf *why)
{
	struct tls_side *side = side_new(tc, keys, keys_ctx, why);

	side->conf = conf;
	side->sessions = map_new();
	side->many_labels = conf_bool(conf,
	    "tls_wildcard_matches_multiple_labels");
	side->ctx = SSL_CTX_new(TLS_client_method());
	if (side->ctx == NULL)
		die("OpenSSL: no context");
	side_set_modes(side);
	if (side->digest == NULL ||
	    !options_apply(side->ctx, tc, conf, why) ||
	    !side_load_trust(side, tc, conf, why)) {
		tls_side_free(&side);
		return NULL;
	}
	if (keys != NULL)
		SSL_CTX_set_cert_cb(side->ctx, side_choose_chain, side);
	SSL_CTX_set_verify(side->ctx, SSL_VERIFY_PEER, side_trust_later);
	if (tc->verify_depth > 0)
		SSL_CTX_set_verify_depth(side->ctx, (int)tc->verify_depth);
	if (SSL_CTX_dane_enable(side->ctx) != 1)
		die("OpenSSL: no DANE");
	(void)SSL_CTX_dane_set_flags(side->ctx,
	    DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_CTX_set_session_cache_mode(side->ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(side->ctx, on_new_session);
	if (tc->session_s > 0)
		SSL_CTX_set_timeout(side->ctx, (long)tc->session_s);
	return side;
}

/* --- sessions that are kept --- */

void
client_forget_sessions(struct tls_side *side)
{
	struct str key;
	void *value;
	size_t pos = 0;

	if (side->sessions == NULL)
		return;
	while (map_next(side->sessions, &pos, &key, &value))
		SSL_SESSION_free(value);
	map_free(&side->sessions);
}

static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);
	struct tls_side *side = t->side;

	if (t->session_key == NULL || SSL_SESSION_is_resumable(session) != 1)
		return 0;
	if (map_count(side->sessions) >= SESSIONS_MAX) {
		client_forget_sessions(side);
		side->sessions = map_new();
	}
	SSL_SESSION_free(map_set(side->sessions, str_of(t->session_key), session));
	return 1;		/* ours now */
}

/* A key is a text: its bytes may be any. */
static void
take_session(struct tls *t, struct str key)
{
	SSL_SESSION *session;

	if (key.n == 0)
		return;
	t->session_key = mem_copy(key);
	session = map_get(t->side->sessions, str_of(t->session_key));
	if (session != NULL)
		(void)SSL_set_session(t->ssl, session);
}

/* --- what is offered --- */

static bool
offer(struct tls *t, const struct tls_want *w, struct buf *why)
{
	struct tls_versions v;
	struct buf ciphers;
	bool good;

	buf_init(&ciphers, 8192);
	good = options_versions(w->protocols, &v, why) &&
	    options_ciphers(t->side->conf, w->grade, w->exclude, "", &ciphers,
	    why);
	if (good && SSL_set_cipher_list(t->ssl, buf_cstr(&ciphers)) != 1) {
		why_openssl(why, "no cipher is left");
		good = false;
	}
	if (good) {
		SSL_set_options(t->ssl, v.off);
		(void)SSL_set_min_proto_version(t->ssl, v.least);
		(void)SSL_set_max_proto_version(t->ssl, v.most);
	}
	buf_free(&ciphers);
	return good;
}

bool
tls_words_valid(struct conf *conf, struct str protocols, struct str grade,
    struct str exclude, struct buf *why)
{
	struct tls_versions v;
	struct buf ciphers;
	bool good;

	buf_init(&ciphers, 8192);
	good = options_versions(protocols, &v, why) &&
	    options_ciphers(conf, grade, exclude, "", &ciphers, why);
	buf_free(&ciphers);
	return good;
}

static struct str *
keep_list(struct arena *a, const struct str *from, size_t n)
{
	struct str *to = arena_alloc(a, (n + 1) * sizeof(*to));

	for (size_t i = 0; i < n; i++)
		to[i] = arena_str(a, from[i]);
	return to;
}

static void
keep_wanted(struct tls *t, const struct tls_want *w)
{
	struct arena *a;
	struct wanted *k;

	if (w->nnames + w->nprints + w->ntlsa == 0)
		return;
	a = arena_new(1 << 20);
	k = arena_alloc(a, sizeof(*k));
	k->arena = a;
	k->names = keep_list(a, w->names, w->nnames);
	k->nnames = w->nnames;
	k->prints = keep_list(a, w->prints, w->nprints);
	k->nprints = w->nprints;
	k->dane = w->ntlsa > 0;
	t->wanted = k;
}

static bool
add_records(struct tls *t, const struct tls_tlsa *v, size_t n,
    struct buf *why)
{
	int added = 0;

	for (size_t i = 0; i < n; i++)
		added += SSL_dane_tlsa_add(t->ssl, (uint8_t)v[i].usage,
		    (uint8_t)v[i].selector, (uint8_t)v[i].matching,
		    (const unsigned char *)v[i].data.p, v[i].data.n) > 0;
	if (added == 0)
		why_openssl(why, "TLSA records");
	ERR_clear_error();
	return added > 0;
}

/* No base name: names are compared by client_check(), as always. */
static bool
set_anchors(struct tls *t, const struct tls_want *w, struct buf *why)
{
	if (SSL_dane_enable(t->ssl, NULL) <= 0) {
		why_openssl(why, "trust anchors");
		return false;
	}
	return add_records(t, w->anchors, w->nanchors, why);
}

/* The base name and the others are who a DANE-TA certificate may be for. */
static bool
set_dane(struct tls *t, const struct tls_want *w, struct buf *why)
{
	char *base = mem_copy(w->base), *name;
	bool good = SSL_dane_enable(t->ssl, base) > 0;

	mem_free(base);
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; good && i < w->nnames; i++) {
		name = mem_copy(w->names[i]);
		good = SSL_add1_host(t->ssl, name) == 1;
		mem_free(name);
	}
	if (!good)
		why_openssl(why, "TLSA records");
	return good && add_records(t, w->tlsa, w->ntlsa, why);
}

struct tls *
tls_connect(struct tls_side *side, struct stream *stream,
    const struct tls_want *w, const struct tls_ops *ops, void *ctx,
    struct buf *why)
{
	struct tls *t = session_make(side, stream, ops, ctx);
	char *name = mem_copy(w->server_name);
	bool good = offer(t, w, why) && (w->ntlsa == 0 ||
	    set_dane(t, w, why)) && (w->nanchors == 0 ||
	    set_anchors(t, w, why));

	if (good && *name != '\0')
		good = SSL_set_tlsext_host_name(t->ssl, name) == 1;
	mem_free(name);
	if (!good) {
		session_unmake(t);
		return NULL;
	}
	keep_wanted(t, w);
	take_session(t, w->key);
	SSL_set_connect_state(t->ssl);
	session_run(t);
	return t;
}

/* --- what is proved --- */

/* RFC 7672 3.1.3: PKIX-TA and PKIX-EE are not for SMTP. */
bool
tls_tlsa_usable(const struct tls_tlsa *r, struct str digests)
{
	static const struct { const char *name; unsigned code; size_t n; }
	    known[] = { { "sha256", 1, 32 }, { "sha512", 2, 64 } };
	struct str item;

	if ((r->usage != 2 && r->usage != 3) || r->selector > 1)
		return false;
	if (r->matching == 0)
		return r->data.n > 0;
	while (str_token(&digests, ", \t", &item))
		for (size_t i = 0; i < nitems(known); i++)
			if (str_eq_nocase(item, str_of(known[i].name)) &&
			    known[i].code == r->matching)
				return r->data.n == known[i].n;
	return false;
}

/*
 * RFC 6125 6.4.3: a wildcard is the whole first label; it stands for one, or
 * (many_labels, Postfix's default) for several.
 */
bool
tls_name_matches(struct str cert, struct str wanted, bool many_labels)
{
	struct str rest;

	if (cert.n == 0 || wanted.n == 0)
		return false;
	if (wanted.p[0] == '.')		/* any name below it */
		return wanted.n > 1 && cert.n > wanted.n &&
		    str_ends_nocase(cert, wanted);
	if (str_eq_nocase(cert, wanted))
		return true;
	if (!str_starts(cert, STR("*.")) || cert.n < 3)
		return false;
	rest = str_from(cert, 1);	/* ".example" */
	if (wanted.n <= rest.n || !str_ends_nocase(wanted, rest))
		return false;
	return many_labels ||
	    str_chr(wanted, '.') == wanted.n - rest.n;
}

static bool
one_matches(const struct tls *t, const ASN1_STRING *s)
{
	const unsigned char *p = ASN1_STRING_get0_data(s);
	struct str name = { (const char *)p, (size_t)ASN1_STRING_length(s) };

	/* A NUL inside has fooled others. */
	if (memchr(name.p, '\0', name.n) != NULL)
		return false;
	for (size_t i = 0; i < t->wanted->nnames; i++)
		if (tls_name_matches(name, t->wanted->names[i],
		    t->side->many_labels))
			return true;
	return false;
}

/* DNS names; where there is none, the common name, as Postfix. */
static bool
names_match(const struct tls *t, X509 *cert)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name,
	    NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(cert);
	bool any = false, match = false;
	int at = -1, last = -1;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);

		if (g->type != GEN_DNS)
			continue;
		any = true;
		match |= one_matches(t, g->d.dNSName);
	}
	GENERAL_NAMES_free(all);
	if (any)
		return match;
	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName,
	    at)) >= 0)
		last = at;
	return last >= 0 && one_matches(t, X509_NAME_ENTRY_get_data(
	    X509_NAME_get_entry(subject, last)));
}

/* Postfix takes them with and without colons, in any case. */
static bool
same_print(struct str a, struct str b)
{
	size_t i = 0, k = 0;

	for (;;) {
		while (i < a.n && a.p[i] == ':')
			i++;
		while (k < b.n && b.p[k] == ':')
			k++;
		if (i == a.n || k == b.n)
			return i == a.n && k == b.n && a.n > 0;
		if (!str_eq_nocase((struct str){ a.p + i++, 1 },
		    (struct str){ b.p + k++, 1 }))
			return false;
	}
}

void
client_check(struct tls *t)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	const struct wanted *w = t->wanted;
	const struct tls_info *i;
	bool trusted = SSL_get_verify_result(t->ssl) == X509_V_OK;

	if (w == NULL || cert == NULL)
		return;
	if (w->dane)
		t->matched = trusted;
	else if (w->nprints == 0)
		t->matched = trusted && names_match(t, cert);
	else {
		i = tls_info(t);
		for (size_t n = 0; n < w->nprints; n++)
			t->matched |= same_print(w->prints[n],
			    i->cert_print) || same_print(w->prints[n],
			    i->key_print);
		info_free(&t->info);
	}
	ERR_clear_error();
}

void
client_free(struct tls *t)
{
	struct arena *a = t->wanted != NULL ? t->wanted->arena : NULL;

	arena_free(&a);
	mem_free(t->session_key);
}
