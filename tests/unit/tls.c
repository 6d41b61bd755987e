/*
 * tls: a server on a socket pair, with keys of each kind that are "elsewhere"
 * (answers come from a timer), against a plain OpenSSL client; what may be
 * signed; what main.cf's words become. Policies: tls_policy.c.
 */
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include "sys/sys.h"
#include "tls/internal.h"
#include "tests/unit/loop_rig.h"

struct rig {
	struct loop	*loop;
	struct conf	*conf;
	struct tls_side	*side;
	struct stream	*s;
	struct tls	*tls;
	struct timer	*answer;
	struct tls_identity *id[2];
	SSL_CTX		*client_ctx;
	SSL		*client;
	int		 peer;
	struct buf	 seen, sig;
	struct str	 tbs;
	char		 asked[300];
	uint64_t	 key;
	unsigned	 scheme, signs, forgotten, eofs, errors;
	int		 handshake;	/* -1: not yet */
	bool		 mute, refuse, drop_in_handshake, tcp;
};

static size_t
on_input(void *ctx, struct str in)
{
	struct rig *r = ctx;

	buf_str(&r->seen, in);
	return in.n;
}

static void
on_eof(void *ctx)
{
	((struct rig *)ctx)->eofs++;
}

static void
on_error(void *ctx, int err)
{
	(void)err;
	((struct rig *)ctx)->errors++;
}

static const struct stream_ops stream_ops = { on_input, on_eof, on_error,
	NULL, NULL };

static void
on_handshake(void *ctx, bool ok)
{
	struct rig *r = ctx;

	r->handshake = ok;
	if (r->drop_in_handshake)
		stream_free(&r->s);
}

static const struct tls_ops ops = { on_handshake };

static void
answer(void *ctx)
{
	struct rig *r = ctx;
	struct buf sig;
	bool ok = false;

	buf_init(&sig, TLS_SIG_MAX);
	for (size_t i = 0; i < 2 && !r->refuse; i++)
		if (r->id[i] != NULL &&
		    tls_identity_chain(r->id[i]).key == r->key)
			ok = tls_identity_sign(r->id[i], false, r->scheme,
			    r->tbs, &sig);
	r->signs += ok;
	if (r->tls != NULL)
		tls_signed(r->tls, ok, buf_view(&sig));
	buf_free(&sig);
}

static void
on_sign(void *ctx, struct tls *t, uint64_t key, unsigned scheme,
    struct str tbs)
{
	struct rig *r = ctx;

	assert_ptr_equal(t, r->tls);
	r->key = key;
	r->scheme = scheme;
	r->tbs = tbs;
	if (!r->mute)
		timer_set(r->answer, 1);
}

static void
on_name(void *ctx, struct tls *t, struct str name)
{
	struct rig *r = ctx;
	struct tls_chains *chains = NULL;
	struct tls_chain chain;
	struct buf why;

	snprintf(r->asked, sizeof(r->asked), STRF, STRV(name));
	buf_init(&why, 1000);
	if (str_eq(name, STR("second.example")) && r->id[1] != NULL) {
		chain = tls_identity_chain(r->id[1]);
		chains = tls_chains_new(r->side, &chain, 1, &why);
		assert_non_null(chains);
	}
	tls_named(t, chains);
	tls_chains_free(&chains);
	buf_free(&why);
}

static void
on_forget(void *ctx, struct tls *t)
{
	(void)t;
	((struct rig *)ctx)->forgotten++;
}

static const struct tls_keys keys = { on_name, on_sign, on_forget };

/* A self-signed certificate and its key, as PEM. */
static void
make_pem(EVP_PKEY *key, const EVP_MD *md, struct buf *out)
{
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509_NAME *name = X509_get_subject_name(cert);
	char *text;
	long n;

	assert_non_null(key);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(cert), -100);
	X509_gmtime_adj(X509_getm_notAfter(cert), 10000);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"unit.example", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, md) > 0);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	PEM_write_bio_X509(bio, cert);
	n = BIO_get_mem_data(bio, &text);
	buf_add(out, text, (size_t)n);
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static struct tls_identity *
identity(EVP_PKEY *key, const EVP_MD *md)
{
	struct tls_identity *id;
	struct buf pem, why;

	buf_init(&pem, 65536);
	buf_init(&why, 1000);
	make_pem(key, md, &pem);
	id = tls_identity_read(buf_view(&pem), buf_view(&pem), &why);
	if (id == NULL)
		fail_msg("%s", buf_cstr(&why));
	assert_string_equal(tls_identity_warning(id), "");
	buf_free(&pem);
	buf_free(&why);
	return id;
}

static void
rig_open(struct rig *r, struct tls_identity *first,
    struct tls_identity *second)
{
	struct tls_conf tc = { .protocols = STR(">=TLSv1.2"),
		.grade = STR("medium"), .digest = STR("sha256"),
		.service = STR("smtp"), .session_s = 3600 };
	struct tls_chain chain;
	struct tls_chains *chains;
	struct buf why;

	memset(r, 0, sizeof(*r));
	buf_init(&why, 1000);
	buf_init(&r->seen, 1 << 22);
	r->loop = loop_new();
	r->conf = conf_empty("/nonexistent");
	r->id[0] = first;
	r->id[1] = second;
	r->answer = timer_new(r->loop, answer, r);
	r->side = tls_server_new(&tc, r->conf, &keys, r, &why);
	if (r->side == NULL)
		fail_msg("%s", buf_cstr(&why));
	chain = tls_identity_chain(first);
	chains = tls_chains_new(r->side, &chain, 1, &why);
	if (chains == NULL)
		fail_msg("%s", buf_cstr(&why));
	tls_side_chains(r->side, chains);
	buf_free(&why);
	r->client_ctx = SSL_CTX_new(TLS_client_method());
}

static void
rig_close(struct rig *r)
{
	timer_free(&r->answer);
	tls_identity_free(&r->id[0]);
	tls_identity_free(&r->id[1]);
	SSL_CTX_free(r->client_ctx);
	tls_side_free(&r->side);
	conf_free(&r->conf);
	buf_free(&r->seen);
	loop_free(&r->loop);
}

static void
tcp_pair(int fds[2])
{
	struct sockaddr_in at;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(listen(listener, 1) | getsockname(listener,
	    (void *)&at, &(socklen_t){ sizeof(at) }), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[1], (void *)&at, sizeof(at)), 0);
	fds[0] = accept(listener, NULL, NULL);
	close(listener);
}

static void
connect_pair(struct rig *r, int version, char *name)
{
	int fds[2];

	if (r->tcp)
		tcp_pair(fds);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	r->peer = fds[1];
	r->handshake = -1;
	r->s = stream_new(r->loop, fds[0], &stream_ops, r);
	r->tls = tls_accept(r->side, r->s, &ops, r);
	r->client = SSL_new(r->client_ctx);
	SSL_set_fd(r->client, r->peer);
	SSL_set_min_proto_version(r->client, version);
	SSL_set_max_proto_version(r->client, version);
	if (name != NULL)
		SSL_set_tlsext_host_name(r->client, name);
	SSL_set_connect_state(r->client);
}

static void
disconnect(struct rig *r)
{
	SSL_free(r->client);
	r->client = NULL;
	if (r->s != NULL)
		stream_free(&r->s);
	r->tls = NULL;
	close(r->peer);
}

static bool
shake(struct rig *r)
{
	for (int i = 0; i < 1000 && r->handshake < 0; i++) {
		(void)SSL_do_handshake(r->client);
		rig_run(r->loop, 1);
	}
	(void)SSL_do_handshake(r->client);
	return r->handshake == 1 && SSL_is_init_finished(r->client);
}

static void
talk(struct rig *r)
{
	char text[100];
	size_t n = 0;

	buf_clear(&r->seen);
	assert_int_equal(SSL_write(r->client, "MAIL", 4), 4);
	rig_run(r->loop, 3);
	assert_string_equal(buf_cstr(&r->seen), "MAIL");
	stream_write(r->s, STR("250 Ok"));
	rig_run(r->loop, 3);
	assert_int_equal(SSL_read_ex(r->client, text, sizeof(text), &n), 1);
	assert_int_equal(n, 6);
}

static void
each_key(struct tls_identity *id, const char *v13)
{
	char first[] = "first.example";
	struct rig r;
	struct buf b;

	rig_open(&r, id, NULL);
	buf_init(&b, 1000);
	connect_pair(&r, TLS1_2_VERSION, NULL);
	assert_true(shake(&r));
	assert_int_equal(r.signs, 1);
	talk(&r);
	tls_print(r.tls, " ", &b);
	assert_true(str_starts(buf_view(&b), STR("TLSv1.2 with cipher")));
	assert_true(str_ends_nocase(buf_view(&b), STR("(256/256 bits)")));
	disconnect(&r);
	buf_clear(&b);
	connect_pair(&r, TLS1_3_VERSION, first);
	assert_true(shake(&r));
	assert_string_equal(r.asked, "first.example");
	assert_int_equal(r.signs, 2);
	talk(&r);
	tls_print(r.tls, " ", &b);
	/* X25519MLKEM768, where OpenSSL has it (3.5). */
	assert_true(str_starts(buf_view(&b), STR("TLSv1.3 with cipher "
	    "TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519")));
	if (strstr(buf_cstr(&b), v13) == NULL)
		fail_msg("%s not in %s", v13, buf_cstr(&b));
	buf_free(&b);
	disconnect(&r);
	rig_close(&r);
}

static void
test_kinds(void **state)
{
	(void)state;
	each_key(identity(EVP_EC_gen("P-256"), EVP_sha256()),
	    "server-signature ECDSA (prime256v1) server-digest SHA256");
	each_key(identity(EVP_EC_gen("P-384"), EVP_sha384()),
	    "server-signature ECDSA (secp384r1) server-digest SHA384");
	each_key(identity(EVP_RSA_gen(2048), EVP_sha256()),
	    " server-signature RSA-PSS (2048 bits) server-digest SHA256");
	each_key(identity(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL),
	    "server-signature Ed25519");
}

static void
test_names(void **state)
{
	char second[] = "second.example", other[] = "other.example";
	struct rig r;

	(void)state;
	rig_open(&r, identity(EVP_EC_gen("P-256"), EVP_sha256()),
	    identity(EVP_RSA_gen(2048), EVP_sha256()));
	connect_pair(&r, TLS1_3_VERSION, second);
	assert_true(shake(&r));
	assert_int_equal(r.key, tls_identity_chain(r.id[1]).key);
	assert_true(str_eq(tls_info(r.tls)->server_name,
	    STR("second.example")));
	disconnect(&r);
	connect_pair(&r, TLS1_3_VERSION, other);
	assert_true(shake(&r));
	assert_int_equal(r.key, tls_identity_chain(r.id[0]).key);
	disconnect(&r);
	rig_close(&r);
}

/* A ticket and the first reply are two small records in a row. */
static void
test_no_nagle(void **state)
{
	struct rig r;
	int on = 0;

	(void)state;
	rig_open(&r, identity(EVP_EC_gen("P-256"), EVP_sha256()), NULL);
	r.tcp = true;
	connect_pair(&r, TLS1_3_VERSION, NULL);
	(void)getsockopt(stream_fd(r.s), IPPROTO_TCP, TCP_NODELAY, &on,
	    &(socklen_t){ sizeof(on) });
	assert_true(on != 0 && shake(&r));
	disconnect(&r);
	rig_close(&r);
}

/* The key process refuses, or is silent while the client leaves. */
static void
test_no_signature(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, identity(EVP_EC_gen("P-256"), EVP_sha256()), NULL);
	r.refuse = true;
	connect_pair(&r, TLS1_3_VERSION, NULL);
	assert_false(shake(&r));
	assert_int_equal(r.handshake, 0);
	assert_string_equal(tls_error(r.tls), "-1");
	disconnect(&r);
	r.refuse = false;
	r.mute = true;
	connect_pair(&r, TLS1_3_VERSION, NULL);
	for (int i = 0; i < 5; i++) {
		(void)SSL_do_handshake(r.client);
		rig_run(r.loop, 1);
	}
	assert_int_equal(r.handshake, -1);
	disconnect(&r);
	assert_int_equal(r.forgotten, 1);
	r.mute = false;
	r.drop_in_handshake = true;
	connect_pair(&r, TLS1_3_VERSION, NULL);
	(void)shake(&r);
	assert_null(r.s);
	disconnect(&r);
	rig_close(&r);
}

static void
test_ends(void **state)
{
	char byte;
	struct rig r;

	(void)state;
	rig_open(&r, identity(EVP_EC_gen("P-256"), EVP_sha256()), NULL);
	connect_pair(&r, TLS1_3_VERSION, NULL);
	assert_true(shake(&r));
	talk(&r);
	SSL_shutdown(r.client);			/* close_notify: an end */
	rig_run(r.loop, 3);
	assert_int_equal(r.eofs, 1);
	assert_int_equal(r.errors, 0);
	disconnect(&r);
	connect_pair(&r, TLS1_3_VERSION, NULL);
	assert_true(shake(&r));
	talk(&r);
	shutdown(r.peer, SHUT_WR);		/* none: cut off */
	rig_run(r.loop, 3);
	assert_int_equal(r.eofs, 1);
	assert_int_equal(r.errors, 1);
	disconnect(&r);
	connect_pair(&r, TLS1_3_VERSION, NULL);
	assert_true(shake(&r));
	talk(&r);
	stream_shut(r.s);			/* ours */
	assert_int_equal(SSL_read(r.client, &byte, 1), 0);
	assert_int_equal(SSL_get_error(r.client, 0), SSL_ERROR_ZERO_RETURN);
	disconnect(&r);
	rig_close(&r);
}

/* Much at once, both ways, through a full socket. */
static void
test_bulk(void **state)
{
	enum { MANY = 3 << 20 };
	char *mem = mem_new(MANY);
	size_t sent = 0, n, got = 0;
	struct rig r;

	(void)state;
	rig_open(&r, identity(EVP_EC_gen("P-256"), EVP_sha256()), NULL);
	connect_pair(&r, TLS1_3_VERSION, NULL);
	assert_true(shake(&r));
	for (size_t i = 0; i < MANY; i++)
		mem[i] = (char)(i * 7 + (i >> 11));
	SSL_set_mode(r.client, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (sent < MANY) {
		if (SSL_write_ex(r.client, mem + sent, MANY - sent, &n) == 1)
			sent += n;
		else
			rig_run(r.loop, 1);
	}
	for (int i = 0; i < 200 && r.seen.n < MANY; i++)
		rig_run(r.loop, 2);
	assert_int_equal(r.seen.n, MANY);
	assert_memory_equal(r.seen.p, mem, MANY);
	stream_write(r.s, (struct str){ mem, MANY });
	assert_true(stream_unsent(r.s) > 0);
	memset(r.seen.p, 0, MANY);
	for (int i = 0; i < 100000 && got < MANY; i++) {
		if (SSL_read_ex(r.client, r.seen.p + got, MANY - got, &n) == 1)
			got += n;
		else
			rig_run(r.loop, 1);
	}
	assert_int_equal(got, MANY);
	assert_memory_equal(r.seen.p, mem, MANY);
	mem_free(mem);
	disconnect(&r);
	rig_close(&r);
}

static void
test_tickets(void **state)
{
	struct tls_ticket_key k[2] = { { .name = "one" }, { .name = "two" } };
	SSL_SESSION *session;
	struct rig r;
	char byte;

	(void)state;
	rig_open(&r, identity(EVP_EC_gen("P-256"), EVP_sha256()), NULL);
	tls_side_tickets(r.side, k, 1);
	for (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++) {
		connect_pair(&r, v, NULL);
		assert_true(shake(&r));
		assert_false(tls_info(r.tls)->resumed);
		(void)SSL_read(r.client, &byte, 1);
		session = SSL_get1_session(r.client);
		SSL_shutdown(r.client);
		disconnect(&r);
		/* New keys came; the old one opens still. */
		tls_side_tickets(r.side, (struct tls_ticket_key[]){ k[1],
		    k[0] }, 2);
		connect_pair(&r, v, NULL);
		SSL_set_session(r.client, session);
		assert_true(shake(&r));
		assert_true(tls_info(r.tls)->resumed);
		SSL_shutdown(r.client);
		disconnect(&r);
		/* It is gone: a full handshake. */
		tls_side_tickets(r.side, &k[1], 1);
		connect_pair(&r, v, NULL);
		SSL_set_session(r.client, session);
		assert_true(shake(&r));
		assert_false(tls_info(r.tls)->resumed);
		SSL_SESSION_free(session);
		disconnect(&r);
		tls_side_tickets(r.side, k, 1);
	}
	rig_close(&r);
}

#define SPACES16 "                "
#define SPACES SPACES16 SPACES16 SPACES16 SPACES16
#define HASH32 "0123456789abcdef0123456789abcdef"

static void
test_tbs(void **state)
{
	static const struct { struct str tbs; bool client, server; } rows[] = {
		{ STR(SPACES "TLS 1.3, server CertificateVerify\0" HASH32),
		    false, true },
		{ STR(SPACES "TLS 1.3, client CertificateVerify\0" HASH32),
		    true, false },
		{ STR(SPACES "TLS 1.3, server CertificateVerify\0" HASH32 "x"),
		    false, false },
		{ STR(SPACES "TLS 1.3, server CertificateVerify" HASH32 "x"),
		    false, false },
		{ STR(" " SPACES "TLS 1.3, server CertificateVerify\0" HASH32),
		    false, false },
		{ STR(HASH32 HASH32 "\3\0\x1d\x04" "abcd"), false, true },
		{ STR(HASH32 HASH32 "\3\0\x1d\x04" "abcde"), false, false },
		{ STR(HASH32 HASH32 "\1\0\x1d\x04" "abcd"), false, false },
		{ STR(HASH32 HASH32 "\0\2pp\0\1g\0\3yyy"), false, true },
		{ STR(HASH32 HASH32 "\0\2pp\0\1g\0\4yyy"), false, false },
		{ STR(HASH32 HASH32), false, false },
		{ STR("\1\0\0\2hi\x10\0\0\1k"), true, false },
		{ STR("\1\0\0\2hi\x0b\0\0\0\x10\0\0\1k"), true, false },
		{ STR("\1\0\0\2hi\x0b\0\0\1k"), false, false },
		{ STR("\2\0\0\2hi\x10\0\0\1k"), false, false },
		{ STR("\1\0\0\2hi\x10\0\0\2k"), false, false },
		{ STR("-----BEGIN CERTIFICATE REQUEST-----"), false, false },
		{ STR(""), false, false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		if (tls_tbs_valid(true, rows[i].tbs) != rows[i].client ||
		    tls_tbs_valid(false, rows[i].tbs) != rows[i].server)
			fail_msg("row %zu", i);
	}
}

static void
test_words(void **state)
{
	static const struct {
		const char *text; int least, most; uint64_t off; bool good;
	} rows[] = {
		{ "", 0, 0, 0, true },
		{ ">=TLSv1.2", TLS1_2_VERSION, 0, 0, true },
		{ ">=TLSv1, <=TLSv1.2", TLS1_VERSION, TLS1_2_VERSION, 0,
		    true },
		{ "!SSLv2, !SSLv3", 0, 0, SSL_OP_NO_SSLv3, true },
		{ "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1", 0, 0, SSL_OP_NO_SSLv3 |
		    SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1, true },
		{ "TLSv1.2 TLSv1.3", 0, 0, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 |
		    SSL_OP_NO_TLSv1_1, true },
		{ "TLSv1.4", 0, 0, 0, false },
		{ ">", 0, 0, 0, false },
		{ "!", 0, 0, 0, false },
	};
	struct tls_versions v;
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	for (size_t i = 0; i < nitems(rows); i++) {
		bool good = options_versions(str_of(rows[i].text), &v, &why);

		if (good != rows[i].good || (good && (v.least !=
		    rows[i].least || v.most != rows[i].most || v.off !=
		    rows[i].off)))
			fail_msg("%s", rows[i].text);
	}
	buf_free(&why);
}

static void
test_names_match(void **state)
{
	static const struct {
		const char *cert, *wanted; bool one, many;
	} rows[] = {
		{ "mx.example.com", "mx.example.com", true, true },
		{ "MX.Example.com", "mx.eXample.com", true, true },
		{ "mx.example.com", "my.example.com", false, false },
		{ "*.example.com", "mx.example.com", true, true },
		{ "*.example.com", "a.mx.example.com", false, true },
		{ "*.example.com", "example.com", false, false },
		{ "*.example.com", ".example.com", true, true },
		{ "*", "mx", false, false },
		{ "*.", "a.", false, false },
		{ "m*.example.com", "mx.example.com", false, false },
		{ "mx.example.com", ".example.com", true, true },
		{ "example.com", ".example.com", false, false },
		{ "badexample.com", ".example.com", false, false },
		{ "mx.example.com", ".", false, false },
		{ "", "", false, false },
		{ "mx.example.com", "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++)
		if (tls_name_matches(str_of(rows[i].cert),
		    str_of(rows[i].wanted), false) != rows[i].one ||
		    tls_name_matches(str_of(rows[i].cert),
		    str_of(rows[i].wanted), true) != rows[i].many)
			fail_msg("%s %s", rows[i].cert, rows[i].wanted);
}

/* RFC 7672 3.1, RFC 7671 4: what SMTP uses. */
static void
test_identity(void **state)
{
	struct buf pem, other, why;
	struct tls_identity *id;
	size_t at;

	(void)state;
	buf_init(&pem, 65536);
	buf_init(&other, 65536);
	buf_init(&why, 1000);
	assert_true(tls_make_certificate("mail.example.com", 10, &pem, &why));
	assert_true(tls_make_certificate("mail.example.com", -1, &other,
	    &why));
	id = tls_identity_read(buf_view(&pem), buf_view(&pem), &why);
	assert_non_null(id);
	assert_string_equal(tls_identity_warning(id), "");
	tls_identity_free(&id);
	id = tls_identity_read(buf_view(&other), buf_view(&other), &why);
	assert_non_null(id);
	assert_non_null(strstr(tls_identity_warning(id), "expired on"));
	tls_identity_free(&id);
	assert_null(tls_identity_read(buf_view(&pem), buf_view(&other), &why));
	assert_non_null(strstr(buf_cstr(&why), "does not match"));
	buf_clear(&why);
	assert_null(tls_identity_read(STR("x"), STR("y"), &why));
	assert_non_null(strstr(buf_cstr(&why), "no certificate"));
	at = (size_t)(strstr(buf_cstr(&pem), "-----BEGIN CERT") - pem.p);
	buf_clear(&why);
	assert_null(tls_identity_read(str_from(buf_view(&pem), at),
	    buf_view(&pem), &why));
	assert_non_null(strstr(buf_cstr(&why), "no private key"));
	buf_free(&pem);
	buf_free(&other);
	buf_free(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_nagle),
		cmocka_unit_test(test_no_signature),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_tbs),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_names_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
