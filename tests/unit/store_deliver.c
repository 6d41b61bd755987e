/* Deliveries into Maildirs and mboxes in a directory of their own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "store/internal.h"

#define HEADER	"Subject: x\r\n\r\n"
#define BODY	"line\r\nFrom me\r\nend\r\n"
#define PREFIX	"Return-Path: <s@x>\nX-Original-To: o@y\nDelivered-To: r@y\n"

static char	     top[] = "/tmp/postern-store-XXXXXX";
static struct loop  *loop;
static struct pool  *pool;
static struct store *store;
static unsigned	     pending;	/* deliveries */
static bool	     running;	/* the loop */
static int	     log_fd;

struct outcome {
	unsigned status;
	char	 dsn[16];
	char	 text[1024];
};

static void
done(void *ctx, const struct msg_store_done *m)
{
	struct outcome *o = ctx;

	o->status = (unsigned)m->status;
	snprintf(o->dsn, sizeof(o->dsn), STRF, STRV(m->dsn));
	snprintf(o->text, sizeof(o->text), STRF, STRV(m->text));
	if (--pending == 0 && running)
		loop_stop(loop);
}

/* A queue file: some head, body, headers. */
static struct msg_store
job_new(unsigned kind, const char *path, const char *header,
    const char *body)
{
	struct msg_store job = { .queue_id = STR("ABC"), .kind = kind,
		.path = str_of(path), .base = str_of(top),
		.sender = STR("s@x"), .recipient = STR("r@y"),
		.original = STR("o@y"), .locks = LOCK_FCNTL | LOCK_DOTLOCK,
		.header_len = strlen(header), .body_off = 100,
		.body_len = strlen(body) };
	char name[] = "/tmp/postern-queue-XXXXXX";

	job.header_off = job.body_off + job.body_len;
	job.queue_file = mkstemp(name);
	assert_true(job.queue_file >= 0);
	unlink(name);
	assert_int_equal(fd_pwrite_all(job.queue_file, body, strlen(body),
	    100), 0);
	assert_int_equal(fd_pwrite_all(job.queue_file, header,
	    strlen(header), (off_t)job.header_off), 0);
	return job;
}

static void
wait_all(void)
{
	running = true;
	if (pending > 0)
		loop_run(loop);
	running = false;
	assert_int_equal(pending, 0);
}

static void
run(const struct msg_store *job, struct outcome *o)
{
	pending = 1;
	store_deliver(store, job, done, o);
	wait_all();
}

static struct outcome
deliver(unsigned kind, const char *path, uint64_t size_max)
{
	struct msg_store job = job_new(kind, path, HEADER, BODY);
	struct outcome o;

	job.size_max = size_max;
	run(&job, &o);
	return o;
}

static const char *
at(const char *path)
{
	static char full[4][4096];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(full[turn], sizeof(full[turn]), "%s/%s", top, path);
	return full[turn];
}

static void
put(const char *path, const char *text)
{
	int fd = open(at(path), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void
assert_file(const char *full, const char *text)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(file_read(AT_FDCWD, full, 1 << 20, &b), 0);
	assert_string_equal(buf_cstr(&b), text);
	buf_free(&b);
}

/* How many files; the last one's path in *found. */
static unsigned
files_in(const char *path, char *found, size_t size)
{
	DIR *dir = opendir(at(path));
	struct dirent *e;
	unsigned n = 0;

	if (dir == NULL)
		return 0;
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.') {
			n++;
			snprintf(found, size, "%s/%s", at(path), e->d_name);
		}
	closedir(dir);
	return n;
}

static void
test_maildir(void **state)
{
	char found[8192], sizes[64];
	struct outcome o = deliver(STORE_MAILDIR, "dom/user/", 0);
	struct stat st;

	(void)state;
	assert_string_equal(o.text, "delivered to maildir");
	assert_int_equal(o.status, SENT);
	assert_string_equal(o.dsn, "2.0.0");
	assert_int_equal(files_in("dom/user/new", found, sizeof(found)), 1);
	assert_file(found,
	    PREFIX "Subject: x\n\nline\nFrom me\nend\n");
	assert_int_equal(stat(found, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* W: the 8 line ends count twice. */
	snprintf(sizes, sizeof(sizes), ".h\\057o\\072st,S=%ld,W=%ld",
	    (long)st.st_size, (long)st.st_size + 8);
	assert_non_null(strstr(found, sizes));
	snprintf(sizes, sizeof(sizes), "I%lxM", (unsigned long)st.st_ino);
	assert_non_null(strstr(found, sizes));
	assert_int_equal(files_in("dom/user/tmp", found, sizeof(found)), 0);
	assert_int_equal(stat(at("dom/user/cur"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void
test_maildir_moved(void **state)
{
	char found[8192];

	(void)state;
	assert_int_equal(deliver(STORE_MAILDIR, "moved/", 0).status, SENT);
	assert_int_equal(rename(at("moved"), at("away")), 0);
	usleep(1100000);
	assert_int_equal(deliver(STORE_MAILDIR, "moved/", 0).status, SENT);
	assert_int_equal(files_in("moved/new", found, sizeof(found)), 1);
	/* Removed at once: noticed by the error, without the second. */
	assert_int_equal(unlink(found), 0);
	assert_int_equal(rmdir(at("moved/new")), 0);
	assert_int_equal(rmdir(at("moved/cur")), 0);
	assert_int_equal(rmdir(at("moved/tmp")), 0);
	assert_int_equal(deliver(STORE_MAILDIR, "moved/", 0).status, SENT);
	assert_int_equal(files_in("moved/new", found, sizeof(found)), 1);
}

static void
test_maildir_many(void **state)
{
	enum { N = 300 };
	static struct outcome o[N];
	char found[8192];

	(void)state;
	pending = N;
	for (int i = 0; i < N; i++) {
		struct msg_store job = job_new(STORE_MAILDIR,
		    i % 3 == 0 ? "many/a/" : "many/b/", HEADER, BODY);

		store_deliver(store, &job, done, &o[i]);
	}
	wait_all();
	for (int i = 0; i < N; i++)
		assert_int_equal(o[i].status, SENT);
	assert_int_equal(files_in("many/a/new", found, sizeof(found)),
	    N / 3);
	assert_int_equal(files_in("many/b/new", found, sizeof(found)),
	    N - N / 3);
	assert_int_equal(files_in("many/b/tmp", found, sizeof(found)), 0);
	assert_int_equal(store_busy(store), 0);
}

static void
test_maildir_limit(void **state)
{
	char found[8192];
	struct outcome o = deliver(STORE_MAILDIR, "small/", 50);

	(void)state;
	assert_int_equal(o.status, BOUNCED);
	assert_string_equal(o.dsn, "5.2.2");
	assert_string_equal(o.text, "error writing message: File too large");
	assert_int_equal(files_in("small/new", found, sizeof(found)), 0);
	assert_int_equal(files_in("small/tmp", found, sizeof(found)), 0);
}

/* Many chunks: lines and quotes fall on their borders. */
static void
test_big(void **state)
{
	enum { LINES = 60000 };
	static const char line[] = "From the start\r\n";
	size_t n = LINES * (sizeof(line) - 1), seen = 0;
	char *body = test_malloc(n + 1), found[8192];
	struct outcome o;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < LINES; i++)
		memcpy(body + i * (sizeof(line) - 1), line, sizeof(line));
	for (unsigned kind = STORE_MAILDIR; kind <= STORE_MBOX; kind++) {
		struct msg_store job = job_new(kind, kind == STORE_MAILDIR ?
		    "big/" : "big.mbox", HEADER, body);
		const char *want = kind == STORE_MAILDIR ?
		    "From the start" : ">From the start";
		struct str rest, token;

		run(&job, &o);
		assert_string_equal(o.dsn, "2.0.0");
		if (kind == STORE_MAILDIR)
			assert_int_equal(files_in("big/new", found,
			    sizeof(found)), 1);
		else
			snprintf(found, sizeof(found), "%s", at("big.mbox"));
		buf_init(&b, 4 << 20);
		assert_int_equal(file_read(AT_FDCWD, found, 4 << 20, &b), 0);
		rest = buf_view(&b);
		assert_null(memchr(rest.p, '\r', rest.n));
		seen = 0;
		while (str_token(&rest, "\n", &token))
			seen += str_eq(token, str_of(want));
		assert_int_equal(seen, LINES);
		buf_free(&b);
	}
	test_free(body);
}

static void
test_short_queue_file(void **state)
{
	struct msg_store job = job_new(STORE_MAILDIR, "short/", HEADER,
	    BODY);
	char found[8192];
	struct outcome o;

	(void)state;
	assert_int_equal(ftruncate(job.queue_file, 110), 0);
	run(&job, &o);
	assert_int_equal(o.status, DEFERRED);
	assert_string_equal(o.text,
	    "error reading message: Input/output error");
	assert_int_equal(files_in("short/new", found, sizeof(found)), 0);
	assert_int_equal(files_in("short/tmp", found, sizeof(found)), 0);
}

static void
assert_mbox(const char *path, const char *before, unsigned mails)
{
	struct buf b;
	struct str s;

	buf_init(&b, 1 << 20);
	assert_int_equal(file_read(AT_FDCWD, at(path), 1 << 20, &b), 0);
	s = buf_view(&b);
	assert_true(str_starts(s, str_of(before)));
	s = str_from(s, strlen(before));
	for (unsigned i = 0; i < mails; i++) {
		static const char mail[] = PREFIX
		    "Subject: x\n\nline\n>From me\nend\n\n";
		size_t end = str_chr(s, '\n');

		assert_true(str_starts(s, STR("From s@x  ")));
		/* "From s@x  Thu Jan  1 00:00:07 1970" */
		assert_int_equal(end, 10 + 24);
		s = str_from(s, end + 1);
		assert_true(str_starts(s, str_of(mail)));
		s = str_from(s, sizeof(mail) - 1);
	}
	assert_int_equal(s.n, 0);
	buf_free(&b);
	assert_int_not_equal(access(at("box.lock"), F_OK), 0);
}

static void
test_mbox(void **state)
{
	struct outcome o = deliver(STORE_MBOX, "box", 0);
	struct stat st;

	(void)state;
	assert_string_equal(o.text, "delivered to mailbox");
	assert_int_equal(stat(at("box"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_mbox("box", "", 1);
	assert_int_equal(deliver(STORE_MBOX, "box", 0).status, SENT);
	assert_mbox("box", "", 2);
}

static void
test_mbox_torn(void **state)
{
	(void)state;
	put("torn", "From x\n\nhalf a li");
	assert_int_equal(deliver(STORE_MBOX, "torn", 0).status, SENT);
	assert_mbox("torn", "From x\n\nhalf a li\n\n", 1);
	put("torn", "From x\n\nno blank\n");
	assert_int_equal(deliver(STORE_MBOX, "torn", 0).status, SENT);
	assert_mbox("torn", "From x\n\nno blank\n\n", 1);
}

/* Text, then NULs: written ones, a hole, written ones. */
static void
put_zeros(const char *path, const char *text, size_t written, off_t hole,
    size_t after)
{
	size_t most = written > after ? written : after;
	char *zeros = test_calloc(1, most + 1);
	int fd;

	put(path, text);
	assert_true((fd = open(at(path), O_WRONLY | O_APPEND)) >= 0);
	assert_int_equal(fd_write_all(fd, zeros, written), 0);
	assert_int_equal(ftruncate(fd, (off_t)(strlen(text) + written) +
	    hole), 0);
	assert_int_equal(fd_write_all(fd, zeros, after), 0);
	close(fd);
	test_free(zeros);
}

/* The lines that were logged since then. */
static void
log_begin(void)
{
	log_flush();
	put("log", "");
}

static void
assert_logged(const char *text)
{
	struct buf b;

	log_flush();
	buf_init(&b, 65536);
	assert_int_equal(file_read(AT_FDCWD, at("log"), 65536, &b), 0);
	if (text == NULL)
		assert_int_equal(b.n, 0);
	else
		assert_non_null(strstr(buf_cstr(&b), text));
	buf_free(&b);
}

static const struct {
	const char *text;		/* before the NULs */
	size_t	    written;
	off_t	    hole;
	size_t	    after;
	const char *before;		/* our mail */
	const char *logged;
} zero_ends[] = {
	{ "From x\n\nold\n\n", 1, 0, 0, "From x\n\nold\n\n",
	    "zeros: cut off the 1 NULs at its end" },
	{ "From x\n\nold\n\n", 3000, 0, 0, "From x\n\nold\n\n",
	    "cut off the 3000 NULs" },
	{ "From x\n\nhalf a li", 200000, 0, 0, "From x\n\nhalf a li\n\n",
	    "cut off the 200000 NULs" },
	{ "", 4096, 0, 0, "", "cut off the 4096 NULs" },
	{ "", 0, 1, 0, "", "cut off the 1 NULs" },
	{ "", 0, (off_t)1 << 33, 0, "", "cut off the 8589934592 NULs" },
	{ "From x\n\nold\n\n", 70000, (off_t)1 << 33, 70000,
	    "From x\n\nold\n\n", "cut off the 8590074592 NULs" },
};

/* Mail whose bytes never came to the disk goes; what did stays. */
static void
test_mbox_zeros(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(zero_ends); i++) {
		put_zeros("zeros", zero_ends[i].text, zero_ends[i].written,
		    zero_ends[i].hole, zero_ends[i].after);
		log_begin();
		assert_int_equal(deliver(STORE_MBOX, "zeros", 0).status,
		    SENT);
		assert_logged(zero_ends[i].logged);
		assert_mbox("zeros", zero_ends[i].before, 1);
		assert_int_equal(deliver(STORE_MBOX, "zeros", 0).status,
		    SENT);
		assert_mbox("zeros", zero_ends[i].before, 2);
	}
}

static off_t
size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(at(path), &st), 0);
	return st.st_size;
}

/* NULs that somebody was sent are mail: behind them is a line's end. */
static void
test_mbox_nuls(void **state)
{
	struct msg_store job = job_new(STORE_MBOX, "nuls", HEADER,
	    "aaaaaaaa\r\n");
	struct outcome o;
	off_t size;

	(void)state;
	assert_int_equal(fd_pwrite_all(job.queue_file, "\0\0\0\0\0\0\0\0",
	    8, 100), 0);
	run(&job, &o);
	assert_int_equal(o.status, SENT);
	size = size_of("nuls");
	log_begin();
	assert_int_equal(deliver(STORE_MBOX, "nuls", 0).status, SENT);
	assert_logged(NULL);
	assert_true(size_of("nuls") > size + 100);
}

/* Too many to read, no lock, a file that can only grow: mail comes anyway. */
static void
test_mbox_zeros_kept(void **state)
{
	const size_t many = (64 << 20) + (1 << 17);
	struct msg_store job;
	struct outcome o;
	int fd, flags = 0x20;		/* FS_APPEND_FL */

	(void)state;
	put_zeros("kept", "x\n", many, 0, 0);
	log_begin();
	assert_int_equal(deliver(STORE_MBOX, "kept", 0).status, SENT);
	assert_logged("cannot cut off the NULs at its end: File too large");
	assert_true(size_of("kept") > (off_t)many);
	put_zeros("kept", "x\n", 100, 0, 0);
	job = job_new(STORE_MBOX, "kept", HEADER, BODY);
	job.locks = 0;
	log_begin();
	run(&job, &o);
	assert_int_equal(o.status, SENT);
	assert_logged(NULL);
	assert_true(size_of("kept") > 102);
	put_zeros("kept", "x\n", 100, 0, 0);
	assert_true((fd = open(at("kept"), O_RDONLY)) >= 0);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0) {	/* root, and ext4 */
		log_begin();
		assert_int_equal(deliver(STORE_MBOX, "kept", 0).status, SENT);
		assert_logged("at its end: Operation not permitted");
		assert_true(size_of("kept") > 102);
		flags = 0;
		assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	}
	close(fd);
}

/* The mail does not fit: the NULs are gone, and nothing else. */
static void
test_mbox_zeros_full(void **state)
{
	(void)state;
	put_zeros("zfull", "From x\n\nold\n\n", 100, 0, 0);
	assert_int_equal(deliver(STORE_MBOX, "zfull", 60).status, BOUNCED);
	assert_file(at("zfull"), "From x\n\nold\n\n");
}

/* Errors leave it as it was: our limit, and one of the system. */
static void
test_mbox_cut_back(void **state)
{
	static const char before[] = "From x\n\nold\n\n";
	size_t n = 300000;
	char *body = test_malloc(n + 1);
	struct rlimit limit, small = { 200000, RLIM_INFINITY };
	struct msg_store job;
	struct outcome o;

	(void)state;
	put("cut", before);
	o = deliver(STORE_MBOX, "cut", 60);
	assert_int_equal(o.status, BOUNCED);
	assert_string_equal(o.dsn, "5.2.2");
	assert_file(at("cut"), before);
	memset(body, 'a', n);
	body[n] = '\0';
	job = job_new(STORE_MBOX, "cut", HEADER, body);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	small.rlim_max = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	run(&job, &o);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(o.status, DEFERRED);
	assert_string_equal(o.text, "error writing message: File too large");
	assert_file(at("cut"), before);
	assert_int_not_equal(access(at("cut.lock"), F_OK), 0);
	test_free(body);
}

static void
test_mbox_refused(void **state)
{
	struct outcome o;

	(void)state;
	put("real", "");
	assert_int_equal(symlink(at("real"), at("sym")), 0);
	o = deliver(STORE_MBOX, "sym", 0);
	assert_int_equal(o.status, DEFERRED);
	assert_string_equal(o.text, "file is a symbolic link");
	assert_int_equal(link(at("real"), at("hard")), 0);
	o = deliver(STORE_MBOX, "hard", 0);
	assert_int_equal(o.status, DEFERRED);
	assert_string_equal(o.text, "file has 2 hard links");
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	o = deliver(STORE_MBOX, "fifo", 0);
	assert_int_equal(o.status, DEFERRED);
	assert_non_null(strstr(o.text, "is not a regular file"));
	assert_file(at("real"), "");
	assert_int_equal(mkdir(at("dir"), 0700), 0);
	assert_int_equal(deliver(STORE_MBOX, "dir", 0).status, DEFERRED);
	assert_int_equal(deliver(STORE_MBOX, "no/such", 0).status, DEFERRED);
	assert_int_equal(deliver(STORE_MBOX, "a/../b", 0).status, DEFERRED);
	assert_int_equal(deliver(STORE_MAILDIR, "real/", 0).status,
	    DEFERRED);
	if (geteuid() == 0) {
		assert_int_equal(unlink(at("hard")), 0);
		assert_int_equal(chown(at("real"), 12345, 12345), 0);
		o = deliver(STORE_MBOX, "real", 0);
		assert_int_equal(o.status, DEFERRED);
		assert_non_null(strstr(o.text, "not owned by recipient"));
	}
}

/* A lock of somebody else: tried three times, 100 ms apart, then put off. */
static void
test_mbox_locked(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct outcome o;
	int fd;

	(void)state;
	put("held", "");
	put("held.lock", "");
	o = deliver(STORE_MBOX, "held", 0);
	assert_int_equal(o.status, DEFERRED);
	assert_string_equal(o.dsn, "4.2.0");
	assert_non_null(strstr(o.text, "unable to create lock file"));
	assert_int_equal(access(at("held.lock"), F_OK), 0);
	assert_int_equal(unlink(at("held.lock")), 0);
	fd = open(at("held"), O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	o = deliver(STORE_MBOX, "held", 0);
	assert_int_equal(o.status, DEFERRED);
	assert_string_equal(o.text, "unable to lock for exclusive access: "
	    "Resource temporarily unavailable");
	assert_int_not_equal(access(at("held.lock"), F_OK), 0);
	close(fd);
	assert_int_equal(deliver(STORE_MBOX, "held", 0).status, SENT);
	assert_mbox("held", "", 1);
}

/* A lock file that a killed agent of ours left goes at once. */
static void
test_mbox_dead_lock(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd;

	(void)state;
	put("dead.lock", "");
	assert_int_equal(chmod(at("dead.lock"), 01600), 0);
	assert_int_equal(deliver(STORE_MBOX, "dead", 0).status, SENT);
	assert_int_not_equal(access(at("dead.lock"), F_OK), 0);
	/* One that is held stays. */
	put("dead.lock", "");
	assert_int_equal(chmod(at("dead.lock"), 01600), 0);
	fd = open(at("dead.lock"), O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(deliver(STORE_MBOX, "dead", 0).status, DEFERRED);
	assert_int_equal(access(at("dead.lock"), F_OK), 0);
	close(fd);
	assert_int_equal(unlink(at("dead.lock")), 0);
}

static void
test_mbox_many(void **state)
{
	enum { N = 100 };
	static struct outcome o[N];

	(void)state;
	pending = N;
	for (int i = 0; i < N; i++) {
		struct msg_store job = job_new(STORE_MBOX, "crowd", HEADER,
		    BODY);

		store_deliver(store, &job, done, &o[i]);
	}
	wait_all();
	for (int i = 0; i < N; i++)
		assert_int_equal(o[i].status, SENT);
	assert_mbox("crowd", "", N);
}

static void
test_bad_request(void **state)
{
	struct msg_store job = job_new(STORE_MAILDIR, "bad/", HEADER, BODY);
	struct outcome o;

	(void)state;
	job.header_off = UINT64_MAX - 3;
	run(&job, &o);
	assert_int_equal(o.status, DEFERRED);
	job.queue_file = -1;
	run(&job, &o);
	assert_int_equal(o.status, DEFERRED);
	assert_string_equal(o.text, "bad delivery request");
}

static int
set_up(void **state)
{
	struct store_conf conf = { .hostname = "h/o:st", .lock_attempts = 3,
		.lock_delay_ms = 100, .stale_lock_s = 500,
		.strict_owner = true, .running_max = 64, .waiting_max = 400,
		.maildirs_max = 4 };

	(void)state;
	assert_non_null(mkdtemp(top));
	log_open(&(struct log_conf){ .program = "store", .hostname = "h" });
	log_fd = open(at("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(log_fd >= 0);
	log_to_fd(log_fd);
	loop = loop_new();
	pool = pool_new(loop, 8);
	conf.loop = loop;
	conf.pool = pool;
	store = store_new(&conf);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	store_free(&store);
	pool_free(&pool);
	loop_free(&loop);
	log_flush();
	log_to_fd(-1);
	close(log_fd);
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maildir),
		cmocka_unit_test(test_maildir_moved),
		cmocka_unit_test(test_maildir_many),
		cmocka_unit_test(test_maildir_limit),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_short_queue_file),
		cmocka_unit_test(test_mbox),
		cmocka_unit_test(test_mbox_torn),
		cmocka_unit_test(test_mbox_zeros),
		cmocka_unit_test(test_mbox_nuls),
		cmocka_unit_test(test_mbox_zeros_kept),
		cmocka_unit_test(test_mbox_zeros_full),
		cmocka_unit_test(test_mbox_cut_back),
		cmocka_unit_test(test_mbox_refused),
		cmocka_unit_test(test_mbox_locked),
		cmocka_unit_test(test_mbox_dead_lock),
		cmocka_unit_test(test_mbox_many),
		cmocka_unit_test(test_bad_request),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
