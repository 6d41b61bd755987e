/*
 * scram - stored keys of SCRAM: made, read, checked, feigned.
 *
 * RFC 5802 3:
 *	SaltedPassword := Hi(Normalize(password), salt, i)
 *	StoredKey := H(HMAC(SaltedPassword, "Client Key"))
 *	ServerKey := HMAC(SaltedPassword, "Server Key")
 * Normalize is taken as the identity, which it is for ASCII and for the
 * composed letters that keyboards make.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "password/internal.h"
#include "sys/sys.h"

#define SALT_SIZE	16
#define ITERATIONS	SCRAM_MOST	/* stolen keys shall cost as much as may be */
#define SALT_MOST	64		/* of a feigned one */

struct keys { uint8_t stored[DIGEST_MAX], server[DIGEST_MAX]; size_t n; };

static const char *
digest_of(struct str scheme)
{
	if (str_eq_nocase(scheme, STR("SCRAM-SHA-256")))
		return "SHA256";
	return str_eq_nocase(scheme, STR("SCRAM-SHA-1")) ? "SHA1" : NULL;
}

static bool
derive(const char *digest, struct str password, struct str salt,
    uint64_t iterations, struct keys *k)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	uint8_t salted[DIGEST_MAX], client[DIGEST_MAX];
	unsigned n = 0;

	if (md == NULL)
		return false;
	k->n = (size_t)EVP_MD_get_size(md);
	if (!PKCS5_PBKDF2_HMAC(password.p, (int)password.n,
	    (const void *)salt.p, (int)salt.n, (int)iterations, md, (int)k->n,
	    salted) ||
	    HMAC(md, salted, (int)k->n, (const void *)"Client Key", 10,
	    client, &n) == NULL ||
	    HMAC(md, salted, (int)k->n, (const void *)"Server Key", 10,
	    k->server, &n) == NULL)
		return false;
	n = (unsigned)password_digest(digest, (struct str){ (char *)client,
	    k->n }, STR(""), k->stored);
	password_wipe(salted, sizeof(salted));
	password_wipe(client, sizeof(client));
	return n == k->n;
}

static void
put(const char *scheme, int iterations, struct str salt, const struct keys *k,
    struct buf *out)
{
	buf_printf(out, "{%s}%d,", scheme, iterations);
	base64_encode(salt, out);
	buf_putc(out, ',');
	base64_encode((struct str){ (const char *)k->stored, k->n }, out);
	buf_putc(out, ',');
	base64_encode((struct str){ (const char *)k->server, k->n }, out);
}

bool
scram_make(const char *scheme, struct str password, struct buf *out)
{
	const char *digest = digest_of(str_of(scheme));
	char bytes[SALT_SIZE];
	struct str salt = { bytes, sizeof(bytes) };
	struct keys k;

	random_bytes(bytes, sizeof(bytes));
	if (digest == NULL || !derive(digest, password, salt, ITERATIONS, &k))
		return false;
	put(scheme, ITERATIONS, salt, &k, out);
	return !out->full;
}

/* One base64 field up to the next comma; it must have so many bytes. */
static bool
field(struct str *rest, size_t least, struct str *out)
{
	struct buf b;
	bool good;

	if (!str_token(rest, ",", out))
		return false;
	buf_init(&b, CREDENTIAL_MAX);
	good = base64_decode(*out, &b) && b.n >= least && b.n <= DIGEST_MAX;
	buf_free(&b);
	return good;
}

bool
scram_parse(struct str credential, struct scram *s)
{
	struct str rest, number;
	const char *digest;
	size_t n;

	s->name = password_scheme(credential, &rest);
	digest = digest_of(s->name);
	if (digest == NULL)
		return false;
	n = strcmp(digest, "SHA1") == 0 ? 20 : 32;
	return str_token(&rest, ",", &number) &&
	    str_number(number, &s->iterations) &&
	    s->iterations >= SCRAM_LEAST && s->iterations <= SCRAM_MOST &&
	    field(&rest, 4, &s->salt) && field(&rest, n, &s->stored) &&
	    field(&rest, n, &s->server) && rest.n == 0;
}

bool
scram_look(struct str credential, struct scram_look *look)
{
	struct scram s;
	struct buf b;
	bool good;

	buf_init(&b, CREDENTIAL_MAX);
	good = scram_parse(credential, &s) && base64_decode(s.salt, &b);
	if (good)
		*look = (struct scram_look){ s.iterations, b.n };
	buf_free(&b);
	return good;
}

/* One hash serves PLAIN too: derive, compare. */
enum password_verdict
check_scram(const struct scheme *scheme, struct str text, struct str password)
{
	enum password_verdict verdict = PASSWORD_FAULT;
	struct buf whole, salt, stored;
	struct scram s;
	struct keys k;

	buf_init(&whole, CREDENTIAL_MAX);
	buf_init(&salt, CREDENTIAL_MAX);
	buf_init(&stored, CREDENTIAL_MAX);
	buf_printf(&whole, "{%s}", scheme->name);
	buf_str(&whole, text);
	if (scram_parse(buf_view(&whole), &s) &&
	    base64_decode(s.salt, &salt) && base64_decode(s.stored, &stored) &&
	    derive(scheme->digest, password, buf_view(&salt), s.iterations,
	    &k) && stored.n == k.n)
		verdict = password_same(stored.p, k.stored, k.n) ?
		    PASSWORD_RIGHT : PASSWORD_WRONG;
	buf_free(&whole);
	buf_free(&salt);
	buf_free(&stored);
	return verdict;
}

static void
salt_of(const char *scheme, struct str secret, struct str user,
    uint8_t salt[SALT_MOST])
{
	struct buf text;

	buf_init(&text, 4096);
	buf_printf(&text, "%s ", scheme);
	buf_str(&text, str_first(user, 1024));
	password_mac(secret, buf_view(&text), salt);
	buf_puts(&text, " more");
	password_mac(secret, buf_view(&text), salt + 32);
	buf_free(&text);
}

void
scram_fake(const char *scheme, const struct scram_look *look,
    struct str secret, struct str user, struct buf *out)
{
	const char *digest = digest_of(str_of(scheme));
	size_t size = look->salt < SALT_MOST ? look->salt : SALT_MOST;
	uint8_t salt[SALT_MOST];
	struct keys k;

	salt_of(scheme, secret, user, salt);
	/* Keys of chance: nothing hashes to them, so no proof fits. */
	k.n = digest != NULL && strcmp(digest, "SHA1") == 0 ? 20 : 32;
	random_bytes(k.stored, k.n);
	random_bytes(k.server, k.n);
	put(scheme, (int)look->iterations, (struct str){ (char *)salt, size },
	    &k, out);
}

bool
scram_derive(const char *scheme, struct str secret, struct str user,
    struct str password, struct buf *out)
{
	const char *digest = digest_of(str_of(scheme));
	uint8_t bytes[SALT_MOST];
	struct str salt = { (char *)bytes, SALT_SIZE };
	struct keys k;

	salt_of(scheme, secret, user, bytes);
	if (digest == NULL || !derive(digest, password, salt, SCRAM_LEAST, &k))
		return false;
	put(scheme, SCRAM_LEAST, salt, &k, out);
	return !out->full;
}

/* One attribute "X=value" up to a comma; its bytes are printable. */
static bool
attribute(struct str *rest, char name, bool printable, struct str *value)
{
	size_t end = str_chr(*rest, ',');
	struct str a = str_first(*rest, end);

	if (a.n < 3 || a.p[0] != name || a.p[1] != '=')
		return false;
	*value = str_from(a, 2);
	*rest = str_from(*rest, end + (end < rest->n));
	for (size_t i = 0; i < value->n; i++) {
		unsigned char c = (unsigned char)value->p[i];

		if (c == 0 || (printable && (c < 0x21 || c > 0x7e)))
			return false;
	}
	return true;
}

/*
 * RFC 5802 7: gs2-cbind-flag "," [ authzid ] "," username "," nonce. libsasl
 * reads a byte past a message that ends behind the GS2 header.
 */
bool
scram_first_is_sane(struct str m)
{
	struct str rest = m, flag, value;
	size_t end = str_chr(m, ',');

	if (m.n > 2048 || end == m.n)
		return false;
	flag = str_first(m, end);
	rest = str_from(m, end + 1);
	if (!str_eq(flag, STR("n")) && !str_eq(flag, STR("y"))) {
		if (!str_starts(flag, STR("p=")) || flag.n < 3)
			return false;
		for (size_t i = 2; i < flag.n; i++) {
			char c = flag.p[i];

			if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
			    !(c >= '0' && c <= '9') && c != '.' && c != '-')
				return false;
		}
	}
	if (rest.n > 0 && rest.p[0] == ',')
		rest = str_from(rest, 1);
	else if (!attribute(&rest, 'a', false, &value))
		return false;
	return attribute(&rest, 'n', false, &value) &&
	    utf8_valid(value) && attribute(&rest, 'r', true, &value);
}
