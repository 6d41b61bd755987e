/*
 * sys: files replaced whole, limits of reading, descriptors, local faults.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "sys/sys.h"

struct place { char path[64]; int dir; };

static int
setup(void **state)
{
	static struct place p;

	snprintf(p.path, sizeof(p.path), "/tmp/postern-sys-XXXXXX");
	if (mkdtemp(p.path) == NULL)
		return -1;
	p.dir = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &p;
	return p.dir == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	unlinkat(p->dir, "a/b/c/file", 0);
	unlinkat(p->dir, "a/b/c", AT_REMOVEDIR);
	unlinkat(p->dir, "a/b", AT_REMOVEDIR);
	unlinkat(p->dir, "a", AT_REMOVEDIR);
	unlinkat(p->dir, "file", 0);
	unlinkat(p->dir, "link", 0);
	close(p->dir);
	return rmdir(p->path);	/* fails where a temporary was left */
}

static void
expect_file(int dir, const char *path, const char *text)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(file_read(dir, path, 4096, &b), 0);
	assert_string_equal(buf_cstr(&b), text);
	buf_free(&b);
}

static void
test_replace(void **state)
{
	struct place *p = *state;
	struct stat st;
	mode_t before = umask(077);

	assert_int_equal(file_replace(p->dir, "file", STR("one"), 0644), 0);
	expect_file(p->dir, "file", "one");
	assert_int_equal(fstatat(p->dir, "file", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);	/* for all umasks */
	umask(before);
	assert_int_equal(file_replace(p->dir, "file", STR(""), 0600), 0);
	expect_file(p->dir, "file", "");
	/* A link is replaced, not followed. */
	assert_int_equal(symlinkat("file", p->dir, "link"), 0);
	assert_int_equal(file_replace(p->dir, "link", STR("two"), 0600), 0);
	expect_file(p->dir, "file", "");
	expect_file(p->dir, "link", "two");
	assert_int_equal(file_replace(p->dir, "no/file", STR("x"), 0600),
	    ENOENT);
	assert_int_equal(fstatat(p->dir, "no", &st, 0), -1);
}

static void
test_dirs(void **state)
{
	struct place *p = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/a/b//c/", p->path);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	assert_int_equal(file_replace(p->dir, "a/b/c/file", STR("x"), 0600),
	    0);
	snprintf(path, sizeof(path), "%s/a/b/c/file/d", p->path);
	assert_int_equal(file_make_dirs(path, 0700), ENOTDIR);
}

static void
test_read(void **state)
{
	static char big[40000];
	struct place *p = *state;
	struct buf b;
	char two[4];
	int fd;

	memset(big, 'x', sizeof(big));
	assert_int_equal(file_replace(p->dir, "file", (struct str){ big,
	    sizeof(big) }, 0600), 0);
	buf_init(&b, sizeof(big));
	assert_int_equal(file_read(p->dir, "file", sizeof(big), &b), 0);
	assert_int_equal(b.n, sizeof(big));
	buf_clear(&b);
	assert_int_equal(file_read(p->dir, "file", sizeof(big) - 1, &b),
	    EFBIG);
	buf_clear(&b);
	assert_int_equal(file_read(p->dir, "none", 10, &b), ENOENT);
	assert_int_equal(file_read(p->dir, ".", 10, &b), EISDIR);
	buf_free(&b);
	fd = openat(p->dir, "file", O_RDWR);
	assert_int_equal(fd_pwrite_all(fd, "end", 3, sizeof(big)), 0);
	assert_int_equal(fd_pread_all(fd, two, 4, sizeof(big) + 1), 2);
	assert_memory_equal(two, "nd", 2);
	close(fd);
	assert_int_equal(fd_pread_all(fd, two, 4, 0), -1);
	assert_int_equal(fd_write_all(fd, "x", 1), EBADF);
}

static void
test_descriptors(void **state)
{
	int fd = dup(0), high = fcntl(0, F_DUPFD, 900);

	(void)state;
	assert_int_equal(fd_nonblock(fd), 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(fd_cloexec(fd, true), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fd_cloexec(fd, false), 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	fd_close_from(900);
	assert_int_equal(fcntl(high, F_GETFD), -1);
	fd_close(&fd);
	assert_int_equal(fd, -1);
	fd_close(&fd);
	assert_int_equal(fd_nonblock(-1), EBADF);
}

static void
test_faults(void **state)
{
	static const struct { int err; bool local; } rows[] = {
		{ EIO, true }, { ENOSPC, true }, { EDQUOT, true },
		{ EMFILE, true }, { ENFILE, true }, { ENOMEM, true },
		{ EROFS, true }, { ESTALE, true }, { EAGAIN, true },
		{ 0, false }, { ENOENT, false }, { EACCES, false },
		{ EFBIG, false }, { ENAMETOOLONG, false }, { ELOOP, false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++)
		if (errno_is_local_fault(rows[i].err) != rows[i].local)
			fail_msg("%s", strerror(rows[i].err));
}

static void
test_clock(void **state)
{
	int64_t wall = clock_wall_us(), steady = clock_steady_ms();
	unsigned char a[16] = { 0 }, b[16] = { 0 };

	(void)state;
	/* main() set it three hundred days ahead. */
	assert_in_range(clock_wall_s() - (int64_t)time(NULL), 25920000 - 2,
	    25920000 + 2);
	usleep(3000);
	assert_in_range(clock_wall_us() - wall, 3000, 2000000);
	assert_in_range(clock_steady_ms() - steady, 2, 2000);
	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_dirs),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_clock),
	};

	if (setenv("POSTERN_FAKE_CLOCK", "+25920000", 1) != 0)
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
