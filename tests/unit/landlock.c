/*
 * landlock: what each filter's ruleset denies by itself, seccomp aside. On a
 * kernel without Landlock the test is skipped, and says so.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "priv/internal.h"

enum {				/* what went through */
	READ = 1, LIST = 2, WRITE = 4, FIFO = 8, MOVE = 16, RUN = 32,
	BIND = 64, CONNECT = 128, SIGNAL = 256, ALL = 511,
};
#define NET_ABI		4
#define SCOPE_ABI	6

static char dir[] = "/tmp/postern-landlock-XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[2][80];
	static unsigned turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static bool
opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Nobody listens there: allowed is what is refused by the other end. */
static bool
tcp(int (*call)(int, const struct sockaddr *, socklen_t), uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool ok = call(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
	    errno == ECONNREFUSED;

	close(fd);
	return ok;
}

static bool
runs(const char *path)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execl(path, path, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static int
try_all(void)
{
	return (opens(in_dir("file"), O_RDONLY) ? READ : 0) |
	    (opens(dir, O_RDONLY | O_DIRECTORY) ? LIST : 0) |
	    (opens(in_dir("new"), O_WRONLY | O_CREAT) ? WRITE : 0) |
	    (mkfifo(in_dir("fifo"), 0600) == 0 ? FIFO : 0) |
	    (rename(in_dir("a/x"), in_dir("b/x")) == 0 ? MOVE : 0) |
	    (runs("/bin/true") ? RUN : 0) | (tcp(bind, 0) ? BIND : 0) |
	    (tcp(connect, 1) ? CONNECT : 0) |
	    (kill(getppid(), 0) == 0 ? SIGNAL : 0);
}

static void
make_tree(void)
{
	unlink(in_dir("b/x"));
	unlink(in_dir("new"));
	unlink(in_dir("fifo"));
	(void)mkdir(in_dir("a"), 0700);
	(void)mkdir(in_dir("b"), 0700);
	assert_true(opens(in_dir("file"), O_RDONLY | O_CREAT));
	assert_true(opens(in_dir("a/x"), O_RDONLY | O_CREAT));
}

static int
allowed_by(enum priv_filter filter)
{
	int fds[2], went = 0;
	pid_t pid;

	make_tree();
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
			_exit(2);
		(void)priv_landlock(filter);
		went = try_all();
		_exit(write(fds[1], &went, sizeof(went)) < 0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &went, sizeof(went)), sizeof(went));
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return went;
}

static void
test_filters(void **state)
{
	static const struct { enum priv_filter filter; int allowed; } t[] = {
		{ FILTER_NONE, ALL }, { FILTER_COMMAND, ALL },
		{ FILTER_PAM, ALL },
		{ FILTER_SOCKETS, 0 }, { FILTER_CHANNELS, 0 },
		{ FILTER_CONNECT, BIND | CONNECT }, { FILTER_DNS, CONNECT },
		{ FILTER_AUTH, READ | LIST },
		{ FILTER_FILES, READ | LIST | WRITE | MOVE },
		{ FILTER_MAILBOX, READ | LIST | WRITE | MOVE },
	};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

	(void)state;
	if (abi < 2) {
		print_message("this kernel has no Landlock: skipped\n");
		skip();
	}
	for (size_t i = 0; i < nitems(t); i++) {
		int allowed = t[i].allowed;

		if (abi < NET_ABI)
			allowed |= BIND | CONNECT;
		if (abi < SCOPE_ABI)
			allowed |= SIGNAL;
		if (allowed_by(t[i].filter) != allowed)
			fail_msg("filter %d lets other things through",
			    (int)t[i].filter);
	}
}

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "a/x", "b/x", "new", "fifo",
	    "file" };

	(void)state;
	for (size_t i = 0; i < nitems(names); i++)
		unlink(in_dir(names[i]));
	rmdir(in_dir("a"));
	rmdir(in_dir("b"));
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
