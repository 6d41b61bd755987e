/* Tickets for workers: once, soon, by the front that they are for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "master/ticket.h"

#define FRONT	ROLE_SMTPD	/* any will do: who is a front is not asked */
#define OTHER	ROLE_LMTP

static struct msg_ticket
ticket(const char secret[TICKET_SIZE], const char *user, uint64_t instance)
{
	return ((struct msg_ticket){ .role = FRONT, .instance = instance,
	    .secret = { secret, TICKET_SIZE }, .user = str_of(user),
	    .uid = 1000, .gid = 100, .login = STR("ann"),
	    .home = STR("/home/ann"), .mail = STR("maildir:~/Maildir") });
}

static void
make_secret(char secret[TICKET_SIZE], unsigned n)
{
	memset(secret, 'x', TICKET_SIZE);
	memcpy(secret, &n, sizeof(n));
}

static void
put(struct tickets *t, unsigned n, uint64_t instance, int64_t now)
{
	char secret[TICKET_SIZE];
	struct msg_ticket m;

	make_secret(secret, n);
	m = ticket(secret, "ann", instance);
	assert_null(ticket_put(t, &m, now));
}

/* Expects that reason; NULL: the ticket. */
static void
take(struct tickets *t, unsigned n, enum role role, uint64_t instance,
    int64_t now, const char *reason)
{
	char secret[TICKET_SIZE];
	struct ticket *found;
	const char *why;

	make_secret(secret, n);
	found = ticket_take(t, role, instance, (struct str){ secret,
	    TICKET_SIZE }, now, &why);
	if (reason == NULL) {
		assert_non_null(found);
		assert_null(why);
		assert_true(str_eq(found->is.user, STR("ann")));
		assert_true(str_eq(found->is.home, STR("/home/ann")));
		assert_int_equal(found->is.uid, 1000);
	} else {
		assert_null(found);
		assert_string_equal(why, reason);
	}
	ticket_free(&found);
}

#define UNKNOWN	"unknown ticket, or one that was used"

static void
test_once(void **state)
{
	struct tickets *t = tickets_new();

	(void)state;
	put(t, 1, 7, 0);
	put(t, 2, 7, 0);
	take(t, 3, FRONT, 7, 1, UNKNOWN);
	take(t, 1, FRONT, 7, 1, NULL);
	take(t, 1, FRONT, 7, 1, UNKNOWN);
	take(t, 2, FRONT, 7, 1, NULL);
	assert_int_equal(tickets_count(t), 0);
	tickets_free(&t);
}

/* Who is not meant voids it. */
static void
test_wrong_front(void **state)
{
	struct tickets *t = tickets_new();

	(void)state;
	put(t, 1, 7, 0);
	put(t, 2, 7, 0);
	take(t, 1, OTHER, 7, 1, "the ticket is another process's");
	take(t, 1, FRONT, 7, 1, UNKNOWN);
	take(t, 2, FRONT, 8, 1, "the ticket is another process's");
	take(t, 2, FRONT, 7, 1, UNKNOWN);
	tickets_free(&t);
}

/* Each byte counts, and so does the size. */
static void
test_forged(void **state)
{
	struct tickets *t = tickets_new();
	char secret[TICKET_SIZE + 1] = "";
	const char *why;

	(void)state;
	put(t, 1, 7, 0);
	for (size_t i = 0; i < TICKET_SIZE; i++) {
		make_secret(secret, 1);
		secret[i] = (char)(secret[i] ^ 0x40);
		assert_null(ticket_take(t, FRONT, 7, (struct str){ secret,
		    TICKET_SIZE }, 1, &why));
		assert_string_equal(why, UNKNOWN);
	}
	make_secret(secret, 1);
	for (size_t n = 0; n <= TICKET_SIZE + 1; n++)
		if (n != TICKET_SIZE)
			assert_null(ticket_take(t, FRONT, 7,
			    (struct str){ secret, n }, 1, &why));
	take(t, 1, FRONT, 7, 1, NULL);
	tickets_free(&t);
}

static void
test_expiry(void **state)
{
	struct tickets *t = tickets_new();

	(void)state;
	assert_int_equal(tickets_sweep(t, 0), -1);
	put(t, 1, 7, 1000);
	put(t, 2, 7, 1000);
	put(t, 3, 7, 2000);
	take(t, 1, FRONT, 7, 1000 + TICKET_MS - 1, NULL);
	take(t, 2, FRONT, 7, 1000 + TICKET_MS, "the ticket has expired");
	take(t, 2, FRONT, 7, 1000 + TICKET_MS, UNKNOWN);
	/* Known for a while, so that the refusal can say why. */
	assert_int_equal(tickets_sweep(t, 2000 + TICKET_MS), TICKET_MS);
	assert_int_equal(tickets_count(t), 1);
	assert_int_equal(tickets_sweep(t, 2000 + 2 * TICKET_MS), -1);
	assert_int_equal(tickets_count(t), 0);
	tickets_free(&t);
}

/* One front's many take no room of another's. */
static void
test_bound(void **state)
{
	struct tickets *t = tickets_new();
	char secret[TICKET_SIZE];
	struct msg_ticket m;

	(void)state;
	for (unsigned i = 0; i < TICKETS_MAX; i++)
		put(t, i, 7, 0);
	make_secret(secret, TICKETS_MAX);
	m = ticket(secret, "ann", 7);
	assert_string_equal(ticket_put(t, &m, 0), "too many logins at once");
	put(t, TICKETS_MAX, 8, 0);
	take(t, 5, FRONT, 7, 1, NULL);
	put(t, TICKETS_MAX + 1, 7, 1);
	tickets_forget(t, 7);
	assert_int_equal(tickets_count(t), 1);
	take(t, 9, FRONT, 7, 1, UNKNOWN);
	take(t, TICKETS_MAX, FRONT, 8, 1, NULL);
	tickets_free(&t);
}

/* What could not stand in a log line, a path, a state file. */
static void
test_nonsense(void **state)
{
	static const char *const users[] = { "", "a b", "a\nb", "a\177" };
	struct tickets *t = tickets_new();
	char secret[TICKET_SIZE], name[TICKET_NAME_MAX + 2] = "",
	    path[TICKET_PATH_MAX + 2] = "/";
	struct msg_ticket m;

	(void)state;
	make_secret(secret, 1);
	for (size_t i = 0; i < nitems(users); i++) {
		m = ticket(secret, users[i], 7);
		assert_string_equal(ticket_put(t, &m, 0),
		    "it makes no sense");
	}
	m = ticket(secret, "ann", 7);
	m.secret.n--;
	assert_non_null(ticket_put(t, &m, 0));
	memset(name, 'n', TICKET_NAME_MAX + 1);
	m = ticket(secret, name, 7);
	assert_non_null(ticket_put(t, &m, 0));
	m = ticket(secret, name + 1, 7);
	assert_null(ticket_put(t, &m, 0));
	memset(path + 1, 'p', TICKET_PATH_MAX);
	m = ticket(secret, "ann", 7);
	m.home = str_of(path);
	assert_non_null(ticket_put(t, &m, 0));
	m.home = STR("/a\0b");
	assert_non_null(ticket_put(t, &m, 0));
	m.home = STR("/a");
	m.mail = str_of(path);
	assert_non_null(ticket_put(t, &m, 0));
	m.mail = STR("");
	m.login = STR("a:\t");
	assert_non_null(ticket_put(t, &m, 0));
	assert_int_equal(tickets_count(t), 1);
	tickets_free(&t);
}

static void
test_same_owner(void **state)
{
	char secret[TICKET_SIZE] = "";
	struct ticket a = { .is = ticket(secret, "ann", 7) }, b = a;

	(void)state;
	b.is.instance = 9;
	assert_true(ticket_same_owner(&a, &b));
	b.is.uid++;
	assert_false(ticket_same_owner(&a, &b));
	b = a;
	b.is.gid++;
	assert_false(ticket_same_owner(&a, &b));
	b = a;
	b.is.user = STR("bob");
	assert_false(ticket_same_owner(&a, &b));
	b = a;
	b.is.login = STR("");
	assert_false(ticket_same_owner(&a, &b));
	b = a;
	b.is.home = STR("/home/ann2");
	assert_false(ticket_same_owner(&a, &b));
	b = a;
	b.is.mail = STR("mbox:~/mbox");
	assert_false(ticket_same_owner(&a, &b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_wrong_front),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_same_owner),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
