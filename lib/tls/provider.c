/*
 * provider - keys that are elsewhere: an OpenSSL provider inside this process.
 *
 * Its keys are a public key (of the default provider) and a number. All that
 * libssl asks of a key is answered from the public one; to sign, the
 * handshake waits for tlskey (session_sign). What is to be signed comes here
 * whole, not as a digest: so tlskey can see that it is a handshake's. There
 * is no decryption: RSA key exchange, which needs it, is never offered.
 *
 * provider-keymgmt(7), provider-signature(7), RFC 8446 4.2.3.
 */
#include <openssl/async.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "sys/sys.h"
#include "tls/internal.h"

#define NAME		"postern-key"
#define PARAM_KEY	"postern-key"	/* a pointer to a struct birth */

struct key {
	EVP_PKEY	*pub;
	struct tls_side	*side;		/* NULL: a public key, to compare */
	uint64_t	 id;
	const char	*kind;		/* "RSA", "EC", "ED25519" */
};
struct signing {
	struct key	*key;
	char		 digest[32];
	int		 pad;
};

static void *
new_key(const char *kind)
{
	struct key *k = mem_new(sizeof(*k));

	k->kind = kind;
	return k;
}

static void *
new_rsa(void *provctx)
{
	(void)provctx;
	return new_key("RSA");
}

static void *
new_ec(void *provctx)
{
	(void)provctx;
	return new_key("EC");
}

static void *
new_ed25519(void *provctx)
{
	(void)provctx;
	return new_key("ED25519");
}

static void
free_key(void *keydata)
{
	struct key *k = keydata;

	EVP_PKEY_free(k->pub);
	mem_free(k);
}

static int
has(const void *keydata, int selection)
{
	const struct key *k = keydata;

	if (k->pub == NULL)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 ||
	    k->side != NULL;
}

static int
match(const void *a, const void *b, int selection)
{
	const struct key *x = a, *y = b;

	(void)selection;
	return x->pub != NULL && y->pub != NULL &&
	    EVP_PKEY_eq(x->pub, y->pub) == 1;
}

/* A public key of another provider, to be compared with ours. */
static int
import_public(struct key *k, const OSSL_PARAM params[])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, k->kind,
	    "provider=default");
	OSSL_PARAM *copy = OSSL_PARAM_dup(params);
	int good = ctx != NULL && copy != NULL &&
	    EVP_PKEY_fromdata_init(ctx) > 0 &&
	    EVP_PKEY_fromdata(ctx, &k->pub, EVP_PKEY_PUBLIC_KEY, copy) > 0;

	OSSL_PARAM_free(copy);
	EVP_PKEY_CTX_free(ctx);
	return good;
}

static int
import(void *keydata, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_KEY);
	struct key *k = keydata, *from;

	(void)selection;
	if (p == NULL)
		return import_public(k, params);
	if (p->data_size != sizeof(from))
		return 0;
	memcpy(&from, p->data, sizeof(from));
	if (!EVP_PKEY_up_ref(from->pub))
		return 0;
	k->pub = from->pub;
	k->side = from->side;
	k->id = from->id;
	return 1;
}

static const OSSL_PARAM *
import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_string(PARAM_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END
	};

	(void)selection;
	return types;
}

static int
get_params(void *keydata, OSSL_PARAM params[])
{
	struct key *k = keydata;

	return k->pub != NULL && EVP_PKEY_get_params(k->pub, params);
}

static const OSSL_PARAM *
gettable_params(void *provctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL,
		    0),
		OSSL_PARAM_END
	};

	(void)provctx;
	return params;
}

/* Both kinds of EC operation are ECDSA here. */
static const char *
ec_operation(int operation)
{
	(void)operation;
	return "ECDSA";
}

/* --- signing --- */

static void *
new_signing(void *provctx, const char *propq)
{
	(void)provctx;
	(void)propq;
	return mem_new(sizeof(struct signing));
}

static void
free_signing(void *ctx)
{
	mem_free(ctx);
}

static int
set_params(void *ctx, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = params == NULL ? NULL :
	    OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	struct signing *g = ctx;
	int mode = 0;

	if (p == NULL)
		return 1;
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		mode = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0 ?
		    RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
	else if (!OSSL_PARAM_get_int(p, &mode))
		return 0;
	g->pad = mode == RSA_PKCS1_PSS_PADDING ? PAD_PSS : PAD_PKCS1;
	return mode == RSA_PKCS1_PSS_PADDING || mode == RSA_PKCS1_PADDING;
}

static int
sign_init(void *ctx, const char *digest, void *keydata,
    const OSSL_PARAM params[])
{
	struct signing *g = ctx;

	g->key = keydata;
	g->pad = strcmp(g->key->kind, "RSA") == 0 ? PAD_PKCS1 : PAD_NONE;
	snprintf(g->digest, sizeof(g->digest), "%s",
	    digest != NULL ? digest : "");
	return set_params(ctx, params);
}

static int
sign(void *ctx, unsigned char *sig, size_t *siglen, size_t room,
    const unsigned char *tbs, size_t tbslen)
{
	struct signing *g = ctx;
	const struct scheme *how;
	struct buf signature;
	int most = EVP_PKEY_get_size(g->key->pub);

	if (sig == NULL) {
		*siglen = most > 0 ? (size_t)most : 0;
		return most > 0;
	}
	how = scheme_find(g->key->kind, g->digest, g->pad);
	if (how == NULL || g->key->side == NULL)
		return 0;
	buf_init(&signature, TLS_SIG_MAX);
	if (session_sign(g->key->side, g->key->id, how->code,
	    (struct str){ (const char *)tbs, tbslen }, &signature) &&
	    signature.n > 0 && signature.n <= room) {
		memcpy(sig, signature.p, signature.n);
		*siglen = signature.n;
	} else
		room = 0;
	buf_free(&signature);
	return room > 0;
}

static const OSSL_PARAM *
settable_params(void *ctx, void *provctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		    0),
		OSSL_PARAM_END
	};

	(void)ctx;
	(void)provctx;
	return params;
}

/* --- the tables that OpenSSL reads --- */

#define FN(id, fn)	{ id, (void (*)(void))(fn) }
#define KEYMGMT(new_fn) \
	FN(OSSL_FUNC_KEYMGMT_NEW, new_fn), \
	FN(OSSL_FUNC_KEYMGMT_FREE, free_key), \
	FN(OSSL_FUNC_KEYMGMT_HAS, has), \
	FN(OSSL_FUNC_KEYMGMT_MATCH, match), \
	FN(OSSL_FUNC_KEYMGMT_IMPORT, import), \
	FN(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, import_types), \
	FN(OSSL_FUNC_KEYMGMT_GET_PARAMS, get_params), \
	FN(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, gettable_params)

static const OSSL_DISPATCH rsa_keymgmt[] = { KEYMGMT(new_rsa), { 0, NULL } };
static const OSSL_DISPATCH ec_keymgmt[] = { KEYMGMT(new_ec),
	FN(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation), { 0, NULL } };
static const OSSL_DISPATCH ed_keymgmt[] = { KEYMGMT(new_ed25519), { 0, NULL } };

static const OSSL_DISPATCH signature[] = {
	FN(OSSL_FUNC_SIGNATURE_NEWCTX, new_signing),
	FN(OSSL_FUNC_SIGNATURE_FREECTX, free_signing),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_init),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign),
	FN(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, set_params),
	FN(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, settable_params),
	{ 0, NULL }
};

static const OSSL_ALGORITHM keymgmts[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=" NAME,
	    rsa_keymgmt, NULL },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=" NAME,
	    ec_keymgmt, NULL },
	{ "ED25519:1.3.101.112", "provider=" NAME, ed_keymgmt, NULL },
	{ NULL, NULL, NULL, NULL }
};
static const OSSL_ALGORITHM signatures[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=" NAME,
	    signature, NULL },
	{ "ECDSA", "provider=" NAME, signature, NULL },
	{ "ED25519:1.3.101.112", "provider=" NAME, signature, NULL },
	{ NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM *
query(void *provctx, int operation, int *no_cache)
{
	(void)provctx;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keymgmts;
	return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
	static const OSSL_DISPATCH functions[] = {
		FN(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), { 0, NULL }
	};
	static const char context = 0;	/* must not be NULL */

	(void)in;
	(void)handle;
	*out = functions;
	*provctx = (void *)(uintptr_t)&context;
	return 1;
}

/*
 * The default provider comes first, so that a plain "RSA" is still its own;
 * ours is asked for by name. With the first side comes the pool of jobs.
 */
bool
provider_load(struct providers *p)
{
	bool first = !OSSL_PROVIDER_available(NULL, NAME);

	if (first && (ASYNC_init_thread(TLS_HANDSHAKES_MAX, 0) != 1 ||
	    OSSL_PROVIDER_add_builtin(NULL, NAME, provider_init) != 1))
		ERR_clear_error();	/* it was added before */
	p->base = OSSL_PROVIDER_load(NULL, "default");
	p->own = OSSL_PROVIDER_load(NULL, NAME);
	return p->base != NULL && p->own != NULL;
}

void
provider_unload(struct providers *p)
{
	OSSL_PROVIDER_unload(p->own);
	OSSL_PROVIDER_unload(p->base);
	if (!OSSL_PROVIDER_available(NULL, NAME))
		ASYNC_cleanup_thread();
}

EVP_PKEY *
provider_key(struct tls_side *side, EVP_PKEY *pub, uint64_t id)
{
	static const char *const kinds[] = { "RSA", "EC", "ED25519" };
	struct key k = { .pub = pub, .side = side, .id = id }, *p = &k;
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(PARAM_KEY, &p, sizeof(p)),
		OSSL_PARAM_END
	};
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key = NULL;

	for (size_t i = 0; ctx == NULL && i < nitems(kinds); i++)
		if (EVP_PKEY_is_a(pub, kinds[i]))
			ctx = EVP_PKEY_CTX_new_from_name(NULL, kinds[i],
			    "provider=" NAME);
	if (ctx != NULL && (EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0))
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}
