/*
 * password - the table of schemes, and each one's check.
 *
 * libsodium, libcrypt and OpenSSL's digests live in this room. All functions
 * here may run in any thread.
 */
#include <crypt.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "password/internal.h"
#include "sys/sys.h"

/* OWASP's second choice for argon2id: 19 MiB, 2 passes; about 25 ms. */
#define ARGON2_PASSES	2ULL
#define ARGON2_MEMORY	((size_t)19 * 1024 * 1024)
#define BCRYPT_COST	12UL

static enum password_verdict check_argon2(const struct scheme *, struct str,
		    struct str password);
static enum password_verdict check_crypt(const struct scheme *, struct str,
		    struct str password);
static enum password_verdict check_salted(const struct scheme *, struct str,
		    struct str password);
static enum password_verdict check_hex(const struct scheme *, struct str,
		    struct str password);
static enum password_verdict check_plain(const struct scheme *, struct str,
		    struct str password);

static const struct scheme schemes[] = {
#define SCHEME(name, check, digest, weak) { name, check, digest, weak },
#include "password/schemes.def"
#undef SCHEME
};

/* Those that are made by crypt(3): what their settings begin with. */
static const struct { const char *name, *prefix; unsigned long cost; }
crypts[] = {
	{ "YESCRYPT", "$y$", 0 }, { "BLF-CRYPT", "$2b$", BCRYPT_COST },
	{ "SHA512-CRYPT", "$6$", 0 },
};

static const struct scheme *
find(struct str name)
{
	for (size_t i = 0; i < nitems(schemes); i++)
		if (str_eq_nocase(name, str_of(schemes[i].name)))
			return &schemes[i];
	return NULL;
}

void
password_warm_up(void)
{
	uint8_t out[DIGEST_MAX];
	struct buf b;

	if (sodium_init() < 0)
		die("libsodium does not start");
	for (size_t i = 0; i < nitems(schemes); i++)
		if (schemes[i].digest != NULL)
			(void)password_digest(schemes[i].digest, STR(""),
			    STR(""), out);
	password_mac(STR("k"), STR("t"), out);
	buf_init(&b, CREDENTIAL_MAX);
	if (!scram_make("SCRAM-SHA-256", STR("x"), &b))
		die("SCRAM keys can't be made");
	buf_free(&b);
}

struct str
password_scheme(struct str c, struct str *text)
{
	size_t end;
	struct str name;

	*text = c;
	if (c.n == 0 || c.p[0] != '{')
		return STR("CRYPT");
	end = str_chr(c, '}');
	if (end == c.n)
		return STR("");
	*text = str_from(c, end + 1);
	name = str_from(str_first(c, end), 1);
	/* "{SSHA.b64}" says how it is written, which we see ourselves. */
	return str_first(name, str_chr(name, '.'));
}

bool
password_plain(struct str credential, struct buf *out)
{
	struct str text, name = password_scheme(credential, &text);
	const struct scheme *s = find(name);

	if (s == NULL || s->check != check_plain)
		return false;
	/* The only one whose text does not show how it is written. */
	if (str_starts_nocase(str_from(credential, name.n + 1), STR(".b64")))
		return base64_decode(text, out);
	buf_str(out, text);
	return !out->full;
}

static enum password_verdict
check_clear(struct str credential, struct str password)
{
	enum password_verdict verdict = PASSWORD_FAULT;
	struct buf text;

	buf_init(&text, CREDENTIAL_MAX);
	if (password_plain(credential, &text))
		verdict = check_plain(NULL, buf_view(&text), password);
	password_wipe(text.p, text.n);
	buf_free(&text);
	return verdict;
}

enum password_verdict
password_check(struct str credential, struct str password)
{
	struct str text;
	const struct scheme *s = find(password_scheme(credential, &text));

	if (s == NULL || credential.n > CREDENTIAL_MAX)
		return PASSWORD_FAULT;
	/* NUL ends a C string: "secret\0junk" is not "secret". */
	if (password.n > PASSWORD_MAX || str_chr(password, '\0') < password.n)
		return PASSWORD_WRONG;
	return s->check == check_plain ?
	    check_clear(credential, password) : s->check(s, text, password);
}

const char *
password_refusal(struct str credential)
{
	struct str text;
	const struct scheme *s = find(password_scheme(credential, &text));
	struct scram scram;

	if (s == NULL)
		return "unknown password scheme";
	if (credential.n > CREDENTIAL_MAX)
		return "credential is too long";
	if (s->check == check_scram && !scram_parse(credential, &scram))
		return "not SCRAM keys: ITERATIONS,SALT,STORED,SERVER with "
		    "4096 to 65536 iterations";
	if (s->check == check_argon2 && !str_starts(text, STR("$argon2")))
		return "not an argon2 hash";
	if (text.n == 0)
		return "empty credential";
	return NULL;
}

bool
password_is_weak(struct str credential)
{
	struct str text;
	const struct scheme *s = find(password_scheme(credential, &text));

	return s != NULL && s->weak;
}

bool
password_make(const char *scheme, struct str password, struct buf *out)
{
	char hash[crypto_pwhash_STRBYTES], clear[PASSWORD_MAX + 1];
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data;
	const char *made;

	if (password.n > PASSWORD_MAX || str_chr(password, '\0') < password.n)
		return false;
	if (str_starts(str_of(scheme), STR("SCRAM-")))
		return scram_make(scheme, password, out);
	/* For CRAM-MD5 alone; a record's words have blanks between. */
	if (strcmp(scheme, "PLAIN") == 0) {
		if (str_chr(password, ' ') < password.n)
			return false;
		buf_puts(out, "{PLAIN}");
		buf_str(out, password);
		return !out->full;
	}
	if (strcmp(scheme, "ARGON2ID") == 0) {
		if (crypto_pwhash_str_alg(hash, password.p, password.n,
		    ARGON2_PASSES, ARGON2_MEMORY,
		    crypto_pwhash_ALG_ARGON2ID13) != 0)
			return false;
		buf_printf(out, "{ARGON2ID}%s", hash);
		return !out->full;
	}
	for (size_t i = 0; i < nitems(crypts); i++) {
		if (strcmp(scheme, crypts[i].name) != 0)
			continue;
		memcpy(clear, password.p, password.n);
		clear[password.n] = '\0';
		data = mem_new(sizeof(*data));
		made = crypt_gensalt_rn(crypts[i].prefix, crypts[i].cost,
		    NULL, 0, setting, sizeof(setting)) == NULL ? NULL :
		    crypt_rn(clear, setting, data, sizeof(*data));
		if (made != NULL && made[0] != '*')
			buf_printf(out, "{%s}%s", scheme, made);
		sodium_memzero(data, sizeof(*data));
		mem_free(data);
		sodium_memzero(clear, sizeof(clear));
		return made != NULL && !out->full;
	}
	return false;
}

/* Of a random password, by the parameters above. */
struct str
password_dummy(void)
{
	return STR("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$"
	    "cG9zdGVybiBub2JvZHkgMQ$"
	    "3Zk0b4C0n5b1x2Cqkq4dGJXyB5kqCk7m0Vw3F6oQh8s");
}

void
password_mac(struct str key, struct str text, uint8_t out[32])
{
	unsigned n = 0;

	if (HMAC(EVP_sha256(), key.p, (int)key.n, (const void *)text.p,
	    text.n, out, &n) == NULL || n != 32)
		die("HMAC failed");
}

bool
password_same(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

void
password_wipe(void *p, size_t n)
{
	sodium_memzero(p, n);
}

size_t
password_digest(const char *digest, struct str a, struct str b,
    uint8_t out[DIGEST_MAX])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = EVP_get_digestbyname(digest);
	unsigned n = 0;

	if (ctx == NULL || md == NULL || !EVP_DigestInit_ex(ctx, md, NULL) ||
	    !EVP_DigestUpdate(ctx, a.p, a.n) ||
	    !EVP_DigestUpdate(ctx, b.p, b.n) ||
	    !EVP_DigestFinal_ex(ctx, out, &n))
		n = 0;
	EVP_MD_CTX_free(ctx);
	return n;
}

/* --- checks --- */

static enum password_verdict
check_argon2(const struct scheme *s, struct str text, struct str password)
{
	char hash[crypto_pwhash_STRBYTES] = { 0 };
	int wrong;

	(void)s;
	if (text.n >= sizeof(hash))
		return PASSWORD_FAULT;
	memcpy(hash, text.p, text.n);
	errno = 0;
	wrong = crypto_pwhash_str_verify(hash, password.p, password.n);
	if (wrong != 0 && errno == ENOMEM)
		return PASSWORD_FAULT;
	return wrong == 0 ? PASSWORD_RIGHT : PASSWORD_WRONG;
}

static enum password_verdict
check_crypt(const struct scheme *s, struct str text, struct str password)
{
	struct crypt_data *data = mem_new(sizeof(*data));
	char setting[CRYPT_OUTPUT_SIZE] = { 0 }, clear[PASSWORD_MAX + 1];
	enum password_verdict verdict = PASSWORD_WRONG;
	const char *got = NULL;

	(void)s;
	if (text.n > 0 && text.n < sizeof(setting)) {
		memcpy(setting, text.p, text.n);
		memcpy(clear, password.p, password.n);
		clear[password.n] = '\0';
		/* A bad setting gives "*0" or "*1", which nobody may store. */
		got = crypt_rn(clear, setting, data, sizeof(*data));
		sodium_memzero(clear, sizeof(clear));
	}
	if (got != NULL && got[0] != '*' && strlen(got) == text.n &&
	    sodium_memcmp(got, setting, text.n) == 0)
		verdict = PASSWORD_RIGHT;
	sodium_memzero(data, sizeof(*data));
	mem_free(data);
	return verdict;
}

/* A digest of password and salt, then the salt; base64 or hex. */
static enum password_verdict
check_salted(const struct scheme *s, struct str text, struct str password)
{
	uint8_t bytes[CREDENTIAL_MAX], out[DIGEST_MAX];
	const bool salts = s->name[0] == 'S' && (s->name[1] == 'S' ||
	    s->name[1] == 'M');
	size_t n, size = 0;
	struct str salt;

	n = password_digest(s->digest, STR(""), STR(""), out);
	if (n == 0)
		return PASSWORD_FAULT;
	if (text.n == 2 * n && !salts) {
		if (sodium_hex2bin(bytes, sizeof(bytes), text.p, text.n, NULL,
		    &size, NULL) != 0 || size != n)
			return PASSWORD_FAULT;
	} else if (sodium_base642bin(bytes, sizeof(bytes), text.p, text.n,
	    NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    size < n || (size > n && !salts))
		return PASSWORD_FAULT;
	salt = (struct str){ (char *)bytes + n, size - n };
	if (password_digest(s->digest, password, salt, out) != n)
		return PASSWORD_FAULT;
	return sodium_memcmp(out, bytes, n) == 0 ? PASSWORD_RIGHT :
						   PASSWORD_WRONG;
}

static enum password_verdict
check_hex(const struct scheme *s, struct str text, struct str password)
{
	return text.n == 32 ? check_salted(s, text, password) :
			      PASSWORD_FAULT;
}

static enum password_verdict
check_plain(const struct scheme *s, struct str text, struct str password)
{
	uint8_t a[DIGEST_MAX], b[DIGEST_MAX];

	(void)s;
	/* Digests: the time says nothing of where they differ. */
	if (password_digest("SHA256", text, STR(""), a) == 0 ||
	    password_digest("SHA256", password, STR(""), b) == 0)
		return PASSWORD_FAULT;
	return sodium_memcmp(a, b, 32) == 0 ? PASSWORD_RIGHT : PASSWORD_WRONG;
}
