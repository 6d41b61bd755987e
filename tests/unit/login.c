/*
 * Passwords and logins: stored forms, SCRAM keys, guesses that cost time, and
 * what libsasl2 must not be allowed to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/auth.h"
#include "auth/dovecot.h"

static void
test_schemes(void **state)
{
	static const struct {
		const char *credential, *password;
		enum password_verdict verdict;
	} t[] = {
		/* RFC 7677 3: "pencil"; by libpq's and others' account. */
		{ "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
		    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "pencil",
		    PASSWORD_RIGHT },
		{ "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
		    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "pencil2",
		    PASSWORD_WRONG },
		{ "{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIF"
		    "NjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
		    "Hello world!", PASSWORD_RIGHT },
		{ "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIF"
		    "NjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
		    "Hello world", PASSWORD_WRONG },
		{ "{BLF-CRYPT}$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQ"
		    "YbYMYmoVZJ9u", "x", PASSWORD_WRONG },
		{ "{PLAIN}secret", "secret", PASSWORD_RIGHT },
		{ "{PLAIN}secret", "secre", PASSWORD_WRONG },
		{ "{PLAIN.b64}YSBi", "a b", PASSWORD_RIGHT },
		{ "{plain.B64}YSBi", "YSBi", PASSWORD_WRONG },
		{ "{PLAIN.b64}?", "x", PASSWORD_FAULT },
		{ "{PLAIN}YSBi", "a b", PASSWORD_WRONG },
		{ "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69", "secret",
		    PASSWORD_RIGHT },
		{ "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret",
		    PASSWORD_RIGHT },
		{ "{SHA256}2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25"
		    "fe97bf527a25b", "secret", PASSWORD_RIGHT },
		{ "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret",
		    PASSWORD_RIGHT },	/* a salt of no bytes */
		{ "*", "*", PASSWORD_WRONG }, { "!", "", PASSWORD_WRONG },
		{ "x", "x", PASSWORD_WRONG }, { "*0", "*0", PASSWORD_WRONG },
		{ "{NONE}x", "x", PASSWORD_FAULT },
		{ "{ARGON2ID}junk", "x", PASSWORD_WRONG },
		{ "{SCRAM-SHA-256}1,a,b,c", "x", PASSWORD_FAULT },
		{ "{SHA}xx", "x", PASSWORD_FAULT },
		{ "{unclosed", "x", PASSWORD_FAULT },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		if (password_check(str_of(t[i].credential),
		    str_of(t[i].password)) != t[i].verdict)
			fail_msg("%s %s", t[i].credential, t[i].password);
	/* NUL ends no password early. */
	assert_int_equal(password_check(STR("{PLAIN}secret"),
	    STR("secret\0junk")), PASSWORD_WRONG);
	assert_int_equal(password_check(password_dummy(), STR("x")),
	    PASSWORD_WRONG);
}

static void
test_make(void **state)
{
	static const char *const schemes[] = { "ARGON2ID", "SCRAM-SHA-256",
		"SCRAM-SHA-1", "YESCRYPT", "SHA512-CRYPT" };
	struct buf a, b;

	(void)state;
	for (size_t i = 0; i < nitems(schemes); i++) {
		buf_init(&a, CREDENTIAL_MAX);
		buf_init(&b, CREDENTIAL_MAX);
		assert_true(password_make(schemes[i], STR("s3cret"), &a));
		assert_true(password_make(schemes[i], STR("s3cret"), &b));
		assert_false(str_eq(buf_view(&a), buf_view(&b)));
		assert_null(password_refusal(buf_view(&a)));
		assert_false(password_is_weak(buf_view(&a)));
		assert_int_equal(password_check(buf_view(&a), STR("s3cret")),
		    PASSWORD_RIGHT);
		assert_int_equal(password_check(buf_view(&a), STR("S3cret")),
		    PASSWORD_WRONG);
		buf_free(&a);
		buf_free(&b);
	}
	buf_init(&a, CREDENTIAL_MAX);
	assert_false(password_make("MD5", STR("x"), &a));
	buf_free(&a);
}

static void
test_scram_first(void **state)
{
	static const struct { const char *text; bool sane; } t[] = {
		{ "n,,n=user,r=abc", true }, { "y,,n=user,r=abc", true },
		{ "p=tls-exporter,,n=user,r=abc", true },
		{ "n,a=other,n=user,r=abc", true },
		{ "n,,n=user,r=abc,x=ext", true },
		/* The message that libsasl reads a byte behind. */
		{ "n,,", false }, { "n,a=x,", false }, { "y,", false },
		{ "n", false }, { "", false }, { "n,,n=user", false },
		{ "n,,n=user,", false }, { "n,,r=abc,n=user", false },
		{ "n,,m=x,n=user,r=abc", false }, { "p=,,n=u,r=a", false },
		{ "p=tls_x,,n=u,r=a", false }, { "q,,n=u,r=a", false },
		{ "n,,n=u,r=a b", false }, { "n,,n=\xff,r=a", false },
		{ "n,b=x,n=u,r=a", false }, { "n,,n=,r=a", false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		if (scram_first_is_sane(str_of(t[i].text)) != t[i].sane)
			fail_msg("%s", t[i].text);
	assert_false(scram_first_is_sane(STR("n,,n=a\0b,r=c")));
}

static void
test_scram_parse(void **state)
{
	const struct scram_look ours = SCRAM_OURS;
	struct scram s;
	struct buf a, b;

	(void)state;
	assert_true(scram_parse(STR("{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,"
	    "6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="),
	    &s));
	assert_int_equal(s.iterations, 4096);
	/* Clients refuse fewer than 4096, libsasl's more than 65536. */
	assert_false(scram_parse(STR("{SCRAM-SHA-1}4095,QSXCR+Q6sek8bf92,"
	    "6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="),
	    &s));
	assert_false(scram_parse(STR("{SCRAM-SHA-1}65537,QSXCR+Q6sek8bf92,"
	    "6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="),
	    &s));
	buf_init(&a, CREDENTIAL_MAX);
	buf_init(&b, CREDENTIAL_MAX);
	scram_fake("SCRAM-SHA-256", &ours, STR("secret"), STR("ann"), &a);
	assert_true(scram_parse(buf_view(&a), &s));
	scram_fake("SCRAM-SHA-256", &ours, STR("secret"), STR("ann"), &b);
	/* The salt is the same each time; what it is of differs. */
	assert_int_equal(str_chr(buf_view(&a), ','), 20);
	assert_memory_equal(a.p, b.p, 45);
	buf_clear(&b);
	scram_fake("SCRAM-SHA-256", &ours, STR("secret"), STR("bob"), &b);
	assert_memory_not_equal(a.p, b.p, 45);
	assert_int_equal(a.n, b.n);
	/* Keys made anew of a password fit it, with one salt for each user. */
	buf_clear(&a);
	buf_clear(&b);
	assert_true(scram_derive("SCRAM-SHA-256", STR("secret"), STR("ann"),
	    STR("pencil"), &a));
	assert_true(scram_derive("SCRAM-SHA-256", STR("secret"), STR("ann"),
	    STR("other"), &b));
	assert_memory_equal(a.p, b.p, 45);
	assert_int_equal(password_check(buf_view(&a), STR("pencil")),
	    PASSWORD_RIGHT);
	assert_int_equal(password_check(buf_view(&b), STR("pencil")),
	    PASSWORD_WRONG);
	buf_free(&a);
	buf_free(&b);
}

/* --- libsasl --- */

static bool
secret(void *ctx, const char *scheme, struct str user, struct buf *out)
{
	(void)user;
	if (*(bool *)ctx)
		return password_make(scheme, STR("pencil"), out);
	return false;
}

static struct login *
new_login(const struct login_server *server, unsigned refused,
    struct str binding)
{
	const struct login_facts facts = {
		.service = "smtp", .hostname = "mx.test",
		.mechanisms = "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS "
		    "SCRAM-SHA-1 SCRAM-SHA-1-PLUS",
		.refused = refused, .binding = binding,
	};

	return login_new(server, &facts);
}

static void
test_exchange(void **state)
{
	bool there = true;
	const struct login_server server = { &there, secret };
	struct str first = STR("\0ann\0pencil");
	struct login *l = new_login(&server, 0, STR(""));
	struct buf out;

	(void)state;
	buf_init(&out, LOGIN_MESSAGE_MAX);
	assert_true(login_mechanisms(l, &out));
	assert_string_equal(buf_cstr(&out),
	    "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1");
	/* A password is handed out, never judged. */
	assert_int_equal(login_first(l, STR("plain"), &first, &out),
	    LOGIN_PASSWORD);
	assert_true(str_eq(login_user(l), STR("ann")));
	assert_true(str_eq(login_password(l), STR("pencil")));
	assert_int_equal(login_next(l, STR(""), &out), LOGIN_FAILED);
	login_free(&l);

	l = new_login(&server, LOGIN_NO_PLAINTEXT, STR("binding"));
	assert_int_equal(login_first(l, STR("PLAIN"), &first, &out),
	    LOGIN_FAILED);
	/* A failure is the end: no other mechanism in it (CVE-2011-1720). */
	assert_int_equal(login_first(l, STR("LOGIN"), NULL, &out),
	    LOGIN_FAILED);
	login_free(&l);

	there = false;			/* keys can't be had: our fault */
	l = new_login(&server, 0, STR(""));
	first = STR("n,,n=ann,r=abcdef");
	assert_int_equal(login_first(l, STR("SCRAM-SHA-256"), &first, &out),
	    LOGIN_FAULT);
	login_free(&l);
	buf_free(&out);
}

/* "y" while we bind: libsasl fails it, and would then let the next pass. */
static void
test_no_step_after_error(void **state)
{
	bool there = true;
	const struct login_server server = { &there, secret };
	struct str first = STR("y,,n=ann,r=rOprNGfwEbeRWgbNEkqO");
	struct buf out, answer, proof;
	struct login *l = new_login(&server, 0, STR("0123456789abcdef"));

	(void)state;
	buf_init(&out, LOGIN_MESSAGE_MAX);
	buf_init(&answer, LOGIN_MESSAGE_MAX);
	buf_init(&proof, LOGIN_MESSAGE_MAX);
	if (login_first(l, STR("SCRAM-SHA-256"), &first, &out) ==
	    LOGIN_CHALLENGE) {
		/* c= is of "n,,": wrong for "y,,", as is the whole proof. */
		assert_true(scram_client_answer("SCRAM-SHA-256",
		    STR("pencil"), first, buf_view(&out), &answer, &proof));
		assert_int_equal(login_next(l, buf_view(&answer), &out),
		    LOGIN_FAILED);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(login_next(l, STR(""), &out), LOGIN_FAILED);
	login_free(&l);
	buf_free(&out);
	buf_free(&answer);
	buf_free(&proof);
}

/* Our client half against our server half. */
static void
test_scram_both(void **state)
{
	bool there = true;
	const struct login_server server = { &there, secret };
	static const char *const words[] = { "pencil", "pencil ", "" };

	(void)state;
	for (size_t i = 0; i < nitems(words); i++) {
		struct login *l = new_login(&server, 0, STR(""));
		struct buf first, out, answer, proof;
		struct str text;

		buf_init(&first, 4096);
		buf_init(&out, 4096);
		buf_init(&answer, 4096);
		buf_init(&proof, 4096);
		assert_true(scram_client_first(STR("a,b=c"), &first));
		text = buf_view(&first);
		assert_int_equal(login_first(l, STR("SCRAM-SHA-1"), &text,
		    &out), LOGIN_CHALLENGE);
		assert_true(scram_client_answer("SCRAM-SHA-1",
		    str_of(words[i]), text, buf_view(&out), &answer, &proof));
		if (i == 0) {
			assert_int_equal(login_next(l, buf_view(&answer),
			    &out), LOGIN_CHALLENGE);
			assert_true(str_eq(buf_view(&out), buf_view(&proof)));
			assert_int_equal(login_next(l, STR(""), &out),
			    LOGIN_DONE);
			assert_true(str_eq(login_user(l), STR("a,b=c")));
		} else
			assert_int_equal(login_next(l, buf_view(&answer),
			    &out), LOGIN_FAILED);
		login_free(&l);
		buf_free(&first);
		buf_free(&out);
		buf_free(&answer);
		buf_free(&proof);
	}
}

/* --- guesses --- */

static void
take_over(void *ctx, const struct penalty_note *note)
{
	penalty_take_over(ctx, note, 0);
}

static void
test_penalty(void **state)
{
	const struct penalty_conf conf = { .free = 2, .waiting = 3,
		.max_ms = 8000, .decay_ms = 60000, .entries = 100 };
	struct penalties *p = penalties_new(&conf), *other;
	struct str a = STR("192.0.2.1"), b = STR("192.0.2.2");
	static const int64_t want[] = { 0, 0, 0, 1000, 2000, 4000, 8000,
		8000 };

	(void)state;
	for (size_t i = 0; i < nitems(want); i++) {
		assert_int_equal(penalty_begin(p, a, STR("ann"), 100 + i, 0),
		    want[i]);
		penalty_over(p, a);
	}
	/* The same wrong password again: nothing is added. */
	assert_int_equal(penalty_begin(p, b, STR("bob"), 7, 0), 0);
	for (int i = 0; i < 9; i++) {
		penalty_over(p, b);
		assert_int_equal(penalty_begin(p, b, STR("bob"), 7, 0), 0);
	}
	penalty_over(p, b);
	/* ann's account is guessed at: another address waits, bounded. */
	assert_int_equal(penalty_begin(p, b, STR("ann"), 1, 0), 8000);
	penalty_take_back(p, b, STR("ann"), 1, 0);
	penalty_right(p, b, STR("ann"), 0);
	penalty_over(p, b);
	/* And once it was right there, it waits no more. */
	assert_int_equal(penalty_begin(p, b, STR("ann"), 1, 0), 0);
	penalty_take_back(p, b, STR("ann"), 1, 0);
	penalty_right(p, b, STR("ann"), 0);
	penalty_over(p, b);
	/* Unless somebody there guesses on. */
	for (uint64_t i = 0; i < 10; i++) {
		(void)penalty_begin(p, b, STR("ann"), 50 + i, 0);
		penalty_over(p, b);
	}
	assert_int_equal(penalty_begin(p, b, STR("ann"), 99, 0), 8000);
	penalty_over(p, b);
	/* Many at once: the fourth is put off. */
	for (int i = 0; i < 3; i++)
		assert_true(penalty_begin(p, STR("c"), STR("x"),
		    (uint64_t)i + 1, 0) >= 0);
	assert_int_equal(penalty_begin(p, STR("c"), STR("x"), 9, 0), -1);
	penalty_over(p, STR("c"));
	assert_true(penalty_begin(p, STR("c"), STR("x"), 10, 0) >= 0);
	/* Another goes on from what this one knows. */
	other = penalties_new(&conf);
	penalties_each(p, take_over, other);
	assert_int_equal(penalty_begin(other, a, STR("new"), 1, 0), 8000);
	assert_int_equal(penalty_begin(other, STR("192.0.2.3"), STR("ann"), 1,
	    0), 8000);
	penalty_take_over(other, &(struct penalty_note){ .key = STR("ax"),
	    .count = UINT64_MAX, .since_ms = INT64_MAX }, 0);
	penalty_take_over(other, &(struct penalty_note){ .key = STR("") }, 0);
	assert_int_equal(penalty_begin(other, STR("192.0.2.4"), STR("zoe"), 1,
	    0), 0);
	penalties_free(&other);
	/* Time heals. */
	assert_int_equal(penalty_begin(p, a, STR("new"), 1,
	    60LL * 60 * 1000), 0);
	penalties_free(&p);
	assert_null(p);
}

static void
test_dovecot_lines(void **state)
{
	struct str in = STR("CONT\t1\t\nOK\t1\tuser=ann\tx\n"), line, value;

	(void)state;
	assert_int_equal(dovecot_line(&in, &line), FOUND);
	assert_true(str_eq(dovecot_field(&line), STR("CONT")));
	assert_true(str_eq(dovecot_field(&line), STR("1")));
	assert_int_equal(line.n, 0);
	assert_int_equal(dovecot_line(&in, &line), FOUND);
	assert_true(dovecot_param(line, "user", &value));
	assert_true(str_eq(value, STR("ann")));
	assert_true(dovecot_param(line, "x", &value));
	assert_false(dovecot_param(line, "use", &value));
	assert_int_equal(dovecot_line(&in, &line), NONE);
	assert_false(dovecot_is_clean(STR("a\tb")));
	assert_false(dovecot_is_clean(STR("a\nb")));
	assert_true(dovecot_is_clean(STR("a b=")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schemes), cmocka_unit_test(test_make),
		cmocka_unit_test(test_scram_first),
		cmocka_unit_test(test_scram_parse),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_no_step_after_error),
		cmocka_unit_test(test_scram_both),
		cmocka_unit_test(test_penalty),
		cmocka_unit_test(test_dovecot_lines),
	};

	password_warm_up();
	(void)login_start(false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
