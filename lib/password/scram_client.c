/*
 * scram_client - our own login at servers: SCRAM (RFC 5802, RFC 7677) and
 * CRAM-MD5 (RFC 2195).
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "password/internal.h"
#include "sys/sys.h"

#define NONCE_SIZE	18
#define ITERATIONS_MAX	1000000	/* a server that asks for more is hostile */

bool
scram_client_first(struct str user, struct buf *first)
{
	char bytes[NONCE_SIZE];

	buf_puts(first, "n,,n=");
	for (size_t i = 0; i < user.n; i++)
		if (user.p[i] == ',')
			buf_puts(first, "=2C");
		else if (user.p[i] == '=')
			buf_puts(first, "=3D");
		else
			buf_putc(first, user.p[i]);
	buf_puts(first, ",r=");
	random_bytes(bytes, sizeof(bytes));
	base64_encode((struct str){ bytes, sizeof(bytes) }, first);
	return !first->full;
}

/* "r=nonce,s=salt,i=count" */
struct server_first {
	struct str nonce, salt;
	uint64_t   iterations;
};

static bool
read_first(struct str text, struct str ours, struct server_first *f)
{
	struct str part[3] = { { NULL, 0 } };
	static const char names[] = "rsi";

	for (size_t i = 0; i < 3; i++)
		if (!str_token(&text, ",", &part[i]) || part[i].n < 3 ||
		    part[i].p[0] != names[i] || part[i].p[1] != '=')
			return false;
	f->nonce = str_from(part[0], 2);
	f->salt = str_from(part[1], 2);
	/* The server's nonce continues ours: else it answers another. */
	return str_number(str_from(part[2], 2), &f->iterations) &&
	    f->iterations >= SCRAM_LEAST && f->iterations <= ITERATIONS_MAX &&
	    f->nonce.n > ours.n && str_starts(f->nonce, ours);
}

static bool
mac(const EVP_MD *md, const uint8_t *key, size_t n, struct str text,
    uint8_t out[DIGEST_MAX])
{
	unsigned size = 0;

	return HMAC(md, key, (int)n, (const void *)text.p, text.n, out,
	    &size) != NULL && size == n;
}

/* RFC 5802 3, from SaltedPassword on. */
static bool
prove(const EVP_MD *md, const char *digest, const uint8_t *salted,
    struct str auth_message, struct buf *both)
{
	uint8_t client[DIGEST_MAX], stored[DIGEST_MAX], sign[DIGEST_MAX];
	uint8_t server[DIGEST_MAX];
	size_t n = (size_t)EVP_MD_get_size(md);

	if (!mac(md, salted, n, STR("Client Key"), client) ||
	    password_digest(digest, (struct str){ (char *)client, n },
	    STR(""), stored) != n || !mac(md, stored, n, auth_message, sign) ||
	    !mac(md, salted, n, STR("Server Key"), server))
		return false;
	for (size_t i = 0; i < n; i++)
		sign[i] ^= client[i];
	buf_add(both, sign, n);
	if (!mac(md, server, n, auth_message, sign))
		return false;
	buf_add(both, sign, n);
	password_wipe(client, sizeof(client));
	return true;
}

bool
scram_client_answer(const char *scheme, struct str password,
    struct str first, struct str server_first, struct buf *answer,
    struct buf *proof)
{
	const char *digest = strcmp(scheme, "SCRAM-SHA-1") == 0 ? "SHA1" :
	    "SHA256";
	const EVP_MD *md = EVP_get_digestbyname(digest);
	struct str bare = str_from(first, 3), ours;
	struct server_first f;
	uint8_t salted[DIGEST_MAX];
	struct buf salt, message, both;
	size_t n;
	bool good;

	ours = str_from(bare, str_rchr(bare, ',') + 3);
	buf_init(&salt, CREDENTIAL_MAX);
	buf_init(&message, 3 * CREDENTIAL_MAX);
	buf_init(&both, 2 * DIGEST_MAX);
	good = md != NULL && read_first(server_first, ours, &f) &&
	    base64_decode(f.salt, &salt) && salt.n > 0;
	if (good) {
		n = (size_t)EVP_MD_get_size(md);
		buf_printf(answer, "c=biws,r=" STRF, STRV(f.nonce));
		buf_printf(&message, STRF "," STRF "," STRF, STRV(bare),
		    STRV(server_first), STRV(buf_view(answer)));
		good = !message.full && PKCS5_PBKDF2_HMAC(password.p,
		    (int)password.n, (const void *)salt.p, (int)salt.n,
		    (int)f.iterations, md, (int)n, salted) &&
		    prove(md, digest, salted, buf_view(&message), &both);
		password_wipe(salted, sizeof(salted));
		if (good) {
			buf_puts(answer, ",p=");
			base64_encode(str_first(buf_view(&both), n), answer);
			buf_puts(proof, "v=");
			base64_encode(str_from(buf_view(&both), n), proof);
		}
	}
	buf_free(&salt);
	buf_free(&message);
	buf_free(&both);
	return good && !answer->full && !proof->full;
}

void
cram_md5_answer(struct str user, struct str password, struct str challenge,
    struct buf *answer)
{
	uint8_t out[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	buf_str(answer, user);
	buf_putc(answer, ' ');
	if (HMAC(EVP_md5(), password.p, (int)password.n,
	    (const void *)challenge.p, challenge.n, out, &n) == NULL)
		return;
	for (unsigned i = 0; i < n; i++)
		buf_printf(answer, "%02x", out[i]);
}
