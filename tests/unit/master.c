/* master: what a configuration asks for, who gets an agent, the hand-over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "master/master.h"

static char dir[] = "/tmp/postern-master-XXXXXX";

static void
write_text(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
master_init(struct master *m)
{
	*m = (struct master){ .dir = dir, .self = (char *)(uintptr_t)
	    "/nowhere/master", .spool_fd = -1, .lock_fd = -1, .log_fd = -1,
	    .guard_fd = -1, .ready_fd = -1 };
	list_init(&m->children);
	list_init(&m->sockets);
	list_init(&m->wants);
}

static bool
told(const struct problems *problems, const char *part)
{
	for (size_t i = 0; i < problems->n; i++)
		if (strstr(problems->v[i].text, part) != NULL)
			return (true);
	return (false);
}

/* A line of master.cf, the role it gives, and the child's argv. */
static void
test_plan(void **state)
{
	static const struct {
		const char *line, *name, *argv;
		enum role   role;
		unsigned    processes;
	} rows[] = {
		{ "smtp inet n - n - - smtpd", "smtp",
		    "-o service_session_limit=100 ", ROLE_SMTPD, 1 },
		{ "smtp inet n - n - 20 smtpd -o smtpd_worker_processes=4",
		    "smtp", "-o service_session_limit=5 -o "
		    "smtpd_worker_processes=4 ", ROLE_SMTPD, 4 },
		{ "smtp inet n - n - 2 smtpd -o smtpd_worker_processes=4",
		    "smtp", "-o service_session_limit=1 -o "
		    "smtpd_worker_processes=4 ", ROLE_SMTPD, 2 },
		{ "smtp inet n - n - 0 smtpd", "smtp",
		    "-o service_session_limit=0 ", ROLE_SMTPD, 1 },
		{ "[::1]:25 inet n - y - - smtpd -o { a = b c } -v",
		    "[::1]:25", "-o service_session_limit=100 -o a=b c -v ",
		    ROLE_SMTPD, 1 },
		{ "x unix - n n - 3 pipe flags=Rq user=nobody argv=/bin/x {a b}",
		    "x", "-o service_session_limit=3 flags=Rq user=nobody "
		    "argv=/bin/x a b ", ROLE_PIPE, 1 },
		{ "retry unix - - n - - error", "retry", "", ROLE_ERROR, 1 },
		{ "local unix - n n - - local", "local", "", ROLE_LOCAL, 1 },
		{ "cleanup unix n - n - 0 cleanup -o hopcount_limit=9",
		    "cleanup", "-o hopcount_limit=9 ", ROLE_CLEANUP, 1 },
		{ "sub unix n - n - 0 cleanup -o hopcount_limit=9",
		    "sub", "-o hopcount_limit=9 ", ROLE_CLEANUP, 1 },
		{ "defer unix - - n - 0 bounce", "bounce", "", ROLE_BOUNCE,
		    1 },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct problems problems = { 0 };
		char argv[512] = "";
		struct service *s;
		struct master m;

		write_text("master.cf", rows[i].line);
		master_init(&m);
		m.plan = plan_load(&m, &problems);
		assert_non_null(m.plan);
		s = plan_find(m.plan, rows[i].role, str_of(rows[i].name));
		if (s == NULL)
			fail_msg("%s: no service", rows[i].line);
		for (size_t a = 0; a < s->argc; a++) {
			strncat(argv, s->argv[a], 200);
			strncat(argv, " ", 2);
		}
		assert_string_equal(argv, rows[i].argv);
		assert_int_equal(s->processes, rows[i].processes);
		assert_non_null(plan_find(m.plan, ROLE_QMGR, STR("qmgr")));
		assert_true(told(&problems, "no such daemon"));
		plan_free(&m.plan);
		problems_free(&problems);
	}
}

static void
test_plan_problems(void **state)
{
	static const struct { const char *line, *told; bool fatal; } rows[] = {
		{ "x unix - - n - - nosuch", "no such command: nosuch", true },
		{ "postscreen unix - - n - - postscreen", "not supported yet", false },
		{ "verify unix - - n - 1 verify", NULL, false },
		{ "tlsmgr unix - - n 1000? 1 tlsmgr", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct problems problems = { 0 };
		bool found = false;
		struct master m;

		write_text("master.cf", rows[i].line);
		master_init(&m);
		m.plan = plan_load(&m, &problems);
		assert_non_null(m.plan);
		for (size_t p = 0; p < problems.n; p++)
			if (strstr(problems.v[p].text, "daemon") == NULL) {
				assert_non_null(rows[i].told);
				assert_non_null(strstr(problems.v[p].text,
				    rows[i].told));
				assert_int_equal(problems.v[p].fatal,
				    rows[i].fatal);
				assert_int_equal(problems.v[p].line, 1);
				found = true;
			}
		assert_int_equal(found, rows[i].told != NULL);
		plan_free(&m.plan);
		problems_free(&problems);
	}
}

static void
test_disabled(void **state)
{
	struct problems problems = { 0 };
	struct master m;

	(void)state;
	write_text("main.cf", "mail_owner = nobody\npostern_net_user = nobody\n"
	    "postern_auth_user = nobody\nmaster_service_disable = inet, "
	    "local/unix\n");
	write_text("master.cf", "smtp inet n - n - - smtpd\n"
	    "local unix - - n - - local\nvirtual unix - - n - - virtual\n");
	master_init(&m);
	m.plan = plan_load(&m, &problems);
	assert_non_null(m.plan);
	assert_null(plan_find(m.plan, ROLE_SMTPD, STR("smtp")));
	assert_null(plan_find(m.plan, ROLE_LOCAL, STR("local")));
	assert_non_null(plan_find(m.plan, ROLE_VIRTUAL, STR("virtual")));
	plan_free(&m.plan);
	problems_free(&problems);
	write_text("main.cf", "mail_owner = nobody\npostern_net_user = nobody\n"
	    "postern_auth_user = nobody\n");
}

static void
test_agent_rules(void **state)
{
	static const struct { uint64_t uid, gid; bool root_may; } rows[] = {
		{ 0, 0, false }, { 0, 1000, false }, { 1000, 0, false },
		{ 1000, 1000, true }, { 99, 1000, false },
		{ 100, 100, true }, { 1000, 8, true }, { 1000, 9, false },
		{ 1000, 99, false }, { 33, 1000, true }, { 999, 1000, false },
		{ UINT32_MAX, 1000, false }, { 1ULL << 32, 1000, false },
		{ 1000, 1ULL << 32, false },
	};
	struct plan plan = { .is = { .agent_minimum_uid = 100 },
		.own_uids = { 998, 999 }, .nown_uids = 2, .groups = { 8 },
		.ngroups = 1, .users = { 33 }, .nusers = 1 };

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		bool may = agent_refusal(&plan, rows[i].uid,
		    rows[i].gid) == NULL;

		if (priv_is_root())
			assert_int_equal(may, rows[i].root_may);
		else
			assert_int_equal(may, rows[i].uid == geteuid() &&
			    rows[i].gid != 0);
	}
}

static void
test_handover(void **state)
{
	static const struct { const char *text; bool good; } rows[] = {
		{ "lock 3\nlog -1\nguard 77 -1\ninstances 9\nstarted 5\n"
		  "socket 0 smtpd 127.0.0.1:25 smtp\n", true },
		{ "lock 3\nchild 99 smtpd 4 -1 0 0 1 smtp -\n", true },
		{ "lock 3\nchild 99 nobody 4 -1 0 0 1 smtp -\n", false },
		{ "lock 3\nchild 1 smtpd 4 -1 0 0 1 smtp -\n", false },
		{ "lock 3\nchild -9 smtpd 4 -1 0 0 1 smtp -\n", false },
		{ "lock 3\nchild 99 smtpd\n", false },
		{ "lock 3\nsocket -1 smtpd a b\n", false },
		{ "lock x\n", false }, { "what 3\n", false },
		{ "log 3\n", false }, { "", false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		int fd = memfd_create("test", MFD_CLOEXEC);
		struct master m;
		bool good;

		master_init(&m);
		assert_true(fd >= 0);
		assert_int_equal(fd_write_all(fd, rows[i].text,
		    strlen(rows[i].text)), 0);
		good = handover_take(&m, fd);
		if (good != rows[i].good)
			fail_msg("row %zu: %d", i, good);
		if (i == 0) {
			assert_int_equal(m.instances, 9);
			assert_int_equal(m.guard_pid, 77);
			assert_false(list_empty(&m.sockets));
		}
		if (i == 1)
			assert_false(list_empty(&m.children));
		list_each(l, &m.children)
			child_free(container_of(l, struct child, link));
		list_each(l, &m.sockets) {
			struct socket_entry *s =
			    container_of(l, struct socket_entry, link);

			list_remove(l);
			mem_free(s->name);
			mem_free(s->service);
			mem_free(s);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_problems),
		cmocka_unit_test(test_disabled),
		cmocka_unit_test(test_agent_rules),
		cmocka_unit_test(test_handover),
	};
	char command[128];
	int bad;

	if (mkdtemp(dir) == NULL)
		return (1);
	write_text("main.cf", "mail_owner = nobody\npostern_net_user = nobody\n"
	    "postern_auth_user = nobody\n");
	bad = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "%s/main.cf", dir);
	unlink(command);
	snprintf(command, sizeof(command), "%s/master.cf", dir);
	unlink(command);
	rmdir(dir);
	return (bad);
}
