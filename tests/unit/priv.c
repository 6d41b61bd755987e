/* priv: what /proc says of a process that entered a row, and what it can. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"
#include "priv/build.h"
#include "priv/priv.h"

static char empty_dir[] = "/tmp/postern-priv-XXXXXX";

/* What the child could do; each bit must match the row. */
enum { DID_OPEN = 1, DID_INET = 2, DID_UNIX = 4, DID_KILL = 8, DID_EXEC = 16,
	DID_MAP_EXEC = 32, DID_PTY = 64, DID_FORK = 128 };

static unsigned
try_all(void)
{
	unsigned did = 0;
	int fd;
	void *p;

	if ((fd = open("/proc/self/maps", O_RDONLY)) >= 0 ||
	    (errno != EPERM && errno != ENOENT))
		did |= DID_OPEN;
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		did |= DID_INET;
	if ((fd = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0)
		did |= DID_UNIX;
	if (kill(getppid(), 0) == 0 || errno != EPERM)
		did |= DID_KILL;
	execl("/bin/true", "true", (char *)NULL);
	if (errno != EPERM)
		did |= DID_EXEC;
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		did |= DID_MAP_EXEC;
	if (fork() == 0)
		_exit(0);
	else if (errno != EPERM)
		did |= DID_FORK;
	return (did);
}

struct seen {
	char status[8192];
	unsigned did;
	char root[256];
};

static void
read_status(pid_t pid, struct seen *seen)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, seen->status, sizeof(seen->status) - 1);
	assert_true(n > 0);
	seen->status[n] = '\0';
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	n = readlink(path, seen->root, sizeof(seen->root) - 1);
	if (n > 0)
		seen->root[n] = '\0';
}

static void
enter_and_look(enum role role, uid_t uid, struct seen *seen)
{
	struct priv_names names = { "nobody", "nobody", "nobody", "nobody",
		empty_dir, NULL };
	int out[2], in[2], status;
	char go = 0;
	pid_t pid;

	memset(seen, 0, sizeof(*seen));
	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(in), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		unsigned did;

		priv_enter(process_row(role), &names, uid, uid, "");
		did = try_all();
		if (write(out[1], &did, sizeof(did)) < 0 ||
		    read(in[0], &go, 1) < 0)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(read(out[0], &seen->did, sizeof(seen->did)),
	    sizeof(seen->did));
	read_status(pid, seen);
	assert_int_equal(write(in[1], &go, 1), 1);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(out[0]), close(out[1]), close(in[0]), close(in[1]);
}

static void
expect(const struct seen *seen, const char *line)
{
	if (strstr(seen->status, line) == NULL)
		fail_msg("no '%s' in:\n%s", line, seen->status);
}

static void
test_rows(void **state)
{
	static const struct { enum role role; unsigned may; bool empty; }
	rows[] = {
		{ ROLE_SMTPD, 0, true },
		{ ROLE_ANVIL, 0, true },
		{ ROLE_RESOLVE, DID_INET, true },
		{ ROLE_ERROR, 0, false },
		{ ROLE_CLEANUP, DID_OPEN | DID_UNIX | DID_MAP_EXEC, false },
		{ ROLE_QMGR, DID_OPEN | DID_UNIX | DID_MAP_EXEC, false },
		{ ROLE_AGENT, DID_OPEN | DID_UNIX | DID_MAP_EXEC, false },
	};
	struct seen *seen;

	(void)state;
	if (!priv_is_root() || POSTERN_TEST_BUILD)
		skip();
	seen = mem_new(sizeof(*seen));
	for (size_t i = 0; i < nitems(rows); i++) {
		enter_and_look(rows[i].role, 65534, seen);
		expect(seen, "NoNewPrivs:\t1");
		expect(seen, "Seccomp:\t2");
		expect(seen, "Uid:\t65534\t65534\t65534\t65534");
		expect(seen, "Gid:\t65534\t65534\t65534\t65534");
		expect(seen, "Groups:\t65534 \n");
		expect(seen, "CapEff:\t0000000000000000");
		expect(seen, "CapBnd:\t0000000000000000");
		assert_int_equal(seen->did, rows[i].may);
		assert_string_equal(seen->root,
		    rows[i].empty ? empty_dir : "/");
	}
	mem_free(seen);
}

static void
must_die(uid_t uid, gid_t gid, const char *user)
{
	struct priv_names names = { "nobody", "nobody", "nobody", "nobody",
		empty_dir, NULL };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		priv_enter(process_row(ROLE_AGENT), &names, uid, gid, user);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Nor one with the groups of another user. */
static void
test_no_root_agent(void **state)
{
	(void)state;
	if (!priv_is_root())
		skip();
	must_die(0, 0, "root");
	must_die(65534, 65534, "daemon");
	must_die(65534, 65534, "postern.nobody");
}

static void
test_table(void **state)
{
	static const char *const never[] = { "execve", "ptrace", "kill",
		"mount", "bpf", "unshare", "bind", "clone3", "setuid" };
	static const char *const no_sockets[] = { "open", "openat", "socket",
		"connect", "unlinkat", "renameat2", "clone", "sendmmsg" };

	static const char *const no_files[] = { "execve", "listen", "open",
		"openat", "unlinkat", "renameat2", "clone", "sendmmsg", "kill" };

	/* pam runs modules of others, and what they start. */
	static const char *const not_pam[] = { "ptrace", "mount", "bpf",
		"unshare", "clone3", "listen", "keyctl", "add_key",
		"process_vm_readv", "pidfd_getfd", "init_module" };

	(void)state;
	for (size_t i = 0; i < nitems(not_pam); i++)
		assert_false(priv_filter_allows(FILTER_PAM, not_pam[i]));
	assert_true(priv_filter_allows(FILTER_PAM, "execve"));
	for (unsigned f = FILTER_SOCKETS; f <= FILTER_AUTH; f++)
		for (size_t i = 0; i < nitems(never); i++)
			assert_false(priv_filter_allows(f, never[i]));
	for (size_t i = 0; i < nitems(no_files); i++)
		assert_false(priv_filter_allows(FILTER_CONNECT, no_files[i]));
	assert_true(priv_filter_allows(FILTER_CONNECT, "connect"));
	for (size_t i = 0; i < nitems(no_sockets); i++) {
		assert_false(priv_filter_allows(FILTER_SOCKETS,
		    no_sockets[i]));
		assert_false(priv_filter_allows(FILTER_CHANNELS,
		    no_sockets[i]));
	}
	for (size_t i = 0; i < nitems(never); i++)
		assert_false(priv_filter_allows(FILTER_DNS, never[i]));
	for (size_t i = 0; i < nitems(no_files); i++)
		assert_false(priv_filter_allows(FILTER_DNS, no_files[i]));
	assert_false(priv_filter_allows(FILTER_DNS, "accept4"));
	assert_true(priv_filter_allows(FILTER_SOCKETS, "accept4"));
	assert_false(priv_filter_allows(FILTER_CHANNELS, "accept4"));
	assert_true(priv_filter_allows(FILTER_FILES, "fsync"));
	assert_false(priv_filter_allows(FILTER_AUTH, "unlink"));
	assert_false(priv_filter_allows(FILTER_AUTH, "ftruncate"));
	assert_ptr_equal(process_row_by_program("smtpd"),
	    process_row(ROLE_SMTPD));
	assert_null(process_row_by_program("nobody"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_root_agent),
		cmocka_unit_test(test_table),
	};
	int bad;

	if (mkdtemp(empty_dir) == NULL || chmod(empty_dir, 0555) != 0)
		return (1);
	bad = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(empty_dir);
	return (bad);
}
