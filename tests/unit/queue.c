/* queue: files survive what disks and crashes do to them. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "queue/queue.h"
#include "sys/sys.h"

struct fixture {
	char	     spool[64];
	struct queue q;
};

static int
begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *bad;
	char path[96];

	strcpy(f->spool, "/tmp/queue-test-XXXXXX");
	assert_non_null(mkdtemp(f->spool));
	for (int d = 0; d < Q__MAX; d++) {
		snprintf(path, sizeof(path), "%s/%s", f->spool,
		    queue_dir_names[d]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(queue_open(&f->q, f->spool, STR("deferred, defer"),
	    2, &bad), 0);
	*state = f;
	return 0;
}

static void
remove_tree(const char *path)
{
	char cmd[128];
	pid_t pid = fork();
	int status;

	snprintf(cmd, sizeof(cmd), "%s", path);
	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", cmd, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
}

static int
end(void **state)
{
	struct fixture *f = *state;

	queue_spares_drop(&f->q);
	queue_close(&f->q);
	remove_tree(f->spool);
	free(f);
	return 0;
}

static struct queue_attr attrs[] = { { STR("client_name"), STR("localhost") },
	{ STR("encoding"), STR("8bit") } };
static struct queue_rcpt rcpts[] = {
	{ .address = STR("a@example.org") },
	{ .address = STR("b c@example.org"), .original = STR("b@example.org"),
	  .dsn_orcpt = STR("rfc822;b@x"), .dsn_notify = 5 },
};
static const struct queue_message sample = { .arrival_us = 1234567890123456,
	.sender = STR("s@example.org"), .dsn_envid = STR("env"), .dsn_ret = 2,
	.attrs = attrs, .nattrs = 2, .rcpts = rcpts, .nrcpts = 2,
	.flags = QMF_8BIT | QMF_HAS_DOTS };
#define HEADERS	STR("Subject: x\r\n\r\n")

/* A whole file in incoming; its id in id. Returns its descriptor. */
static int
make(struct queue *q, size_t body_len, char *id)
{
	struct queue_writer *w = queue_writer_new(q, Q_INCOMING);
	struct queue_message m = sample;
	struct buf body;

	assert_non_null(w);
	strcpy(id, queue_writer_id(w));
	buf_init(&body, body_len + 16);
	for (size_t i = 0; i < body_len; i++)
		buf_putc(&body, (char)('a' + i % 26));
	for (size_t at = 0; at < body.n; at += 5000)
		assert_int_equal(queue_write_body(w,
		    str_first(str_from(buf_view(&body), at), 5000)), 0);
	assert_int_equal(queue_write_rest(w, HEADERS, &m), 0);
	assert_int_equal(queue_writer_sync(w), 0);
	buf_free(&body);
	return queue_writer_keep(&w);
}

static void
expect_sample(const struct queue_message *m, size_t body_len)
{
	assert_int_equal(m->arrival_us, sample.arrival_us);
	assert_int_equal(m->body_len, body_len);
	assert_int_equal(m->header_len, HEADERS.n);
	assert_int_equal(m->size, body_len + HEADERS.n);
	assert_int_equal(m->flags, sample.flags);
	assert_true(str_eq(m->sender, sample.sender));
	assert_true(str_eq(m->dsn_envid, sample.dsn_envid));
	assert_int_equal(m->dsn_ret, 2);
	assert_int_equal(m->nattrs, 2);
	assert_int_equal(m->nrcpts, 2);
	assert_true(str_eq(m->rcpts[1].address, rcpts[1].address));
	assert_true(str_eq(m->rcpts[1].original, rcpts[1].original));
	assert_true(str_eq(m->rcpts[1].dsn_orcpt, rcpts[1].dsn_orcpt));
	assert_int_equal(m->rcpts[1].dsn_notify, 5);
	assert_true(str_eq(queue_attr(m, "encoding"), STR("8bit")));
	assert_true(str_eq(queue_attr(m, "none"), STR("")));
}

static void
test_round_trip(void **state)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 300000 };
	struct fixture *f = *state;

	for (size_t i = 0; i < nitems(sizes); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct queue_message m;
		char id[QUEUE_ID_MAX], bytes[16];
		int fd = make(&f->q, sizes[i], id);

		assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_OK);
		expect_sample(&m, sizes[i]);
		assert_string_equal(m.id, id);
		assert_int_equal(pread(fd, bytes, 7, (off_t)m.header_off), 7);
		assert_memory_equal(bytes, "Subject", 7);
		assert_int_equal(queue_remove(&f->q, Q_INCOMING, id), 0);
		close(fd);
		arena_free(&arena);
	}
}

static void
test_offer_is_the_file(void **state)
{
	struct fixture *f = *state;
	struct queue_writer *w = queue_writer_new(&f->q, Q_HOLD);
	struct arena *arena = arena_new(1 << 20);
	struct queue_message m = sample;

	assert_int_equal(queue_write_body(w, STR("hello\r\n")), 0);
	assert_int_equal(queue_write_rest(w, HEADERS, &sample), 0);
	assert_int_equal(queue_parse(queue_writer_envelope(w), arena, &m),
	    QUEUE_OK);
	expect_sample(&m, 7);
	assert_int_equal(queue_find(&f->q, m.id), Q_HOLD);
	queue_writer_drop(&w);
	assert_null(w);
	assert_int_equal(queue_find(&f->q, m.id), Q__MAX);
	arena_free(&arena);
}

/* Reads a copy of the file with len bytes, one of them changed. */
static enum queue_result
read_damaged(struct str file, size_t len, size_t flip, unsigned char mask,
    struct arena *arena, struct queue_message *m)
{
	FILE *tmp = tmpfile();
	enum queue_result r;

	assert_non_null(tmp);
	assert_int_equal(fd_pwrite_all(fileno(tmp), file.p, len, 0), 0);
	if (flip < len) {
		char c = (char)(file.p[flip] ^ mask);

		assert_int_equal(fd_pwrite_all(fileno(tmp), &c, 1,
		    (off_t)flip), 0);
	}
	r = queue_read(fileno(tmp), arena, true, m);
	fclose(tmp);
	return r;
}

static void
journal_sample(int fd)
{
	struct queue_event e[] = {
		{ .rcpt = 0, .status = RCPT_DEFERRED, .time_s = 1,
		  .dsn = STR("4.4.1"), .text = STR("later") },
		{ .rcpt = 1, .status = RCPT_SENT, .time_s = 2,
		  .dsn = STR("2.0.0"), .text = STR("ok") },
		{ .rcpt = QUEUE_WHOLE, .status = JOURNAL_WARNED,
		  .time_s = 77 },
	};

	assert_int_equal(queue_journal(fd, e, 2), 0);
	assert_int_equal(queue_journal(fd, e + 2, 1), 0);
}

static void
test_damage_is_never_misread(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	int fd = make(&f->q, 50, id);
	struct queue_message m;
	struct arena *arena;
	char bytes[4096];
	size_t journal;
	struct str file;

	journal_sample(fd);
	file = (struct str){ bytes, (size_t)fd_pread_all(fd, bytes,
	    sizeof(bytes), 0) };
	arena = arena_new(1 << 20);
	assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_OK);
	journal = (size_t)m.journal_off;
	arena_free(&arena);
	for (size_t n = 0; n < file.n; n++) {
		enum queue_result r;

		arena = arena_new(1 << 20);
		r = read_damaged(file, n, file.n, 0, arena, &m);
		assert_int_equal(r, n < journal ? QUEUE_TORN : QUEUE_OK);
		if (n >= journal)
			expect_sample(&m, 50);
		arena_free(&arena);
	}
	for (size_t i = 0; i < file.n * 8; i++) {
		enum queue_result r;

		arena = arena_new(1 << 20);
		r = read_damaged(file, file.n, i / 8,
		    (unsigned char)(1 << i % 8), arena, &m);
		assert_int_equal(r, i / 8 < journal ? QUEUE_BAD : QUEUE_OK);
		if (i / 8 >= journal) {
			expect_sample(&m, 50);
			assert_true(m.rcpts[1].status == RCPT_TODO ||
			    str_eq(m.rcpts[1].text, STR("ok")));
		}
		arena_free(&arena);
	}
	close(fd);
}

/* Zeros where the end of the file should be: a crash before the sync. */
static void
test_zeros_are_torn(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], bytes[4096] = { 0 };
	int fd = make(&f->q, 50, id);
	struct arena *arena = arena_new(1 << 20);
	struct queue_message m;
	struct stat st;

	fstat(fd, &st);
	assert_int_equal(fd_pwrite_all(fd, bytes, 200, st.st_size - 200), 0);
	assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_TORN);
	assert_int_equal(fd_pwrite_all(fd, bytes, (size_t)st.st_size, 0), 0);
	assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_TORN);
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, id), QUEUE_OK);
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, id), QUEUE_GONE);
	close(fd);
	arena_free(&arena);
}

static void
test_writer_holds_its_file(void **state)
{
	struct fixture *f = *state;
	struct queue_writer *w = queue_writer_new(&f->q, Q_INCOMING);
	struct arena *arena = arena_new(1 << 20);
	struct queue_message m;
	char id[QUEUE_ID_MAX];
	int fd;

	strcpy(id, queue_writer_id(w));
	assert_int_equal(queue_write_rest(w, HEADERS, &sample), 0);
	fd = queue_open_file(&f->q, Q_INCOMING, id, O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(queue_read(fd, arena, false, &m), QUEUE_LOCKED);
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, id),
	    QUEUE_LOCKED);
	close(queue_writer_keep(&w));
	assert_int_equal(queue_read(fd, arena, false, &m), QUEUE_OK);
	/* Whole: not torn, so it stays. */
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, id),
	    QUEUE_LOCKED);
	assert_int_equal(queue_find(&f->q, id), Q_INCOMING);
	close(fd);
	arena_free(&arena);
}

static void
test_journal(void **state)
{
	struct fixture *f = *state;
	struct arena *arena = arena_new(1 << 20);
	struct queue_event again = { .rcpt = 0, .status = RCPT_BOUNCED,
		.time_s = 9, .dsn = STR("5.1.1"), .text = STR("no such user"),
		.transport = STR("virtual") };
	struct queue_message m;
	char id[QUEUE_ID_MAX];
	struct stat before, after;
	int fd = make(&f->q, 3, id);

	journal_sample(fd);
	fstat(fd, &before);
	/* A torn tail: cut by a reader that may write, then appended to. */
	assert_int_equal(fd_pwrite_all(fd, "\0\5\0\0\0", 5, before.st_size), 0);
	assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_OK);
	fstat(fd, &after);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(queue_journal(fd, &again, 1), 0);
	assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_OK);
	assert_int_equal(m.rcpts[0].status, RCPT_BOUNCED);
	assert_int_equal(m.rcpts[0].tries, 2);
	assert_int_equal(m.rcpts[0].tried_s, 9);
	assert_true(str_eq(m.rcpts[0].text, STR("no such user")));
	assert_true(str_eq(m.rcpts[0].transport, STR("virtual")));
	assert_int_equal(m.rcpts[1].status, RCPT_SENT);
	assert_int_equal(m.warned_s, 77);
	again = (struct queue_event){ .rcpt = 0, .status = RCPT_REPORTED };
	assert_int_equal(queue_journal(fd, &again, 1), 0);
	assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_OK);
	assert_int_equal(m.rcpts[0].status, RCPT_REPORTED);
	assert_true(str_eq(m.rcpts[0].dsn, STR("5.1.1")));
	/* One for a recipient that is not there: not ours to guess. */
	again.rcpt = 2;
	assert_int_equal(queue_journal(fd, &again, 1), 0);
	assert_int_equal(queue_read(fd, arena, true, &m), QUEUE_BAD);
	close(fd);
	arena_free(&arena);
}

/* A writer that dies at each step leaves nothing or the whole. */
static void
die_at(struct fixture *f, int step, size_t body_len)
{
	struct queue_writer *w;
	char *body = calloc(1, body_len);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		w = queue_writer_new(&f->q, Q_INCOMING);
		if (step > 0 && queue_write_body(w,
		    (struct str){ body, body_len }) != 0)
			_exit(1);
		if (step > 1 && queue_write_rest(w, HEADERS, &sample) != 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	free(body);
}

struct verdicts { struct queue *q; int torn, whole; };

static bool
judge(void *ctx, const char *id)
{
	struct verdicts *v = ctx;
	struct arena *arena = arena_new(1 << 20);
	int fd = queue_open_file(v->q, Q_INCOMING, id, O_RDWR, 0);
	struct queue_message m;

	if (queue_read(fd, arena, true, &m) == QUEUE_OK) {
		v->whole++;
		assert_int_equal(queue_remove(v->q, Q_INCOMING, id), 0);
	} else if (queue_remove_torn(v->q, Q_INCOMING, id) == QUEUE_OK) {
		v->torn++;
	}
	close(fd);
	arena_free(&arena);
	return true;
}

static struct queue_writer *
write_sample(struct queue *q, size_t body_len)
{
	struct queue_writer *w = queue_writer_new(q, Q_INCOMING);
	struct queue_message m = sample;
	char body[512];

	assert_non_null(w);
	assert_true(body_len <= sizeof(body));
	memset(body, 'x', body_len);
	assert_int_equal(queue_write_body(w,
	    (struct str){ body, body_len }), 0);
	assert_int_equal(queue_write_rest(w, HEADERS, &m), 0);
	return w;
}

/*
 * In a spare file: while it has its old name it is nobody's, whoever looks;
 * qmgr may give it its own; one that somebody removed is used no more.
 */
static void
test_old_name(void **state)
{
	struct fixture *f = *state;
	struct queue_writer *w = write_sample(&f->q, 60);
	struct arena *arena = arena_new(1 << 20);
	char old[QUEUE_ID_MAX], id[QUEUE_ID_MAX];
	struct queue_message m;
	struct stat st;
	int fd;

	strcpy(old, queue_writer_id(w));
	queue_writer_recycle(&w);
	w = write_sample(&f->q, 60);
	assert_string_equal(queue_writer_file(w), old);
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, old),
	    QUEUE_LOCKED);
	close(queue_writer_keep(&w));	/* as if its cleanup had died */
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, old), QUEUE_OK);
	/* The power went: the new head, and behind it who knows what. */
	w = write_sample(&f->q, 60);
	strcpy(old, queue_writer_id(w));
	queue_writer_recycle(&w);
	w = write_sample(&f->q, 60);
	fd = queue_writer_keep(&w);
	assert_true(fstat(fd, &st) == 0 && st.st_size > 100);
	assert_int_equal(fd_pwrite_all(fd, "\1\2\3", 3, st.st_size - 20), 0);
	assert_int_equal(queue_read(fd, arena, false, &m), QUEUE_BAD);
	assert_int_equal(queue_judge(QUEUE_BAD, Q_ACTIVE, old, &m),
	    QUEUE_BAD);
	assert_int_equal(queue_judge(QUEUE_BAD, Q_INCOMING, m.id, &m),
	    QUEUE_BAD);
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, old), QUEUE_OK);
	/* No head, no id: kept. */
	close(fd);
	w = write_sample(&f->q, 60);
	strcpy(old, queue_writer_id(w));
	fd = queue_writer_keep(&w);
	assert_int_equal(fd_pwrite_all(fd, "\1\2\3", 3, 8), 0);
	assert_int_equal(queue_remove_torn(&f->q, Q_INCOMING, old),
	    QUEUE_BAD);
	assert_int_equal(queue_remove(&f->q, Q_INCOMING, old), 0);
	close(fd);
	arena_free(&arena);
	w = write_sample(&f->q, 60);
	strcpy(old, queue_writer_id(w));
	queue_writer_recycle(&w);
	w = write_sample(&f->q, 60);
	strcpy(id, queue_writer_id(w));
	assert_int_equal(queue_move_as(&f->q, old, Q_INCOMING, id, Q_ACTIVE),
	    0);
	assert_int_equal(queue_writer_name(w), 0);
	close(queue_writer_keep(&w));
	assert_int_equal(queue_remove(&f->q, Q_ACTIVE, id), 0);
	w = write_sample(&f->q, 60);
	strcpy(old, queue_writer_id(w));
	queue_writer_recycle(&w);
	assert_int_equal(queue_remove(&f->q, Q_INCOMING, old), 0);
	w = write_sample(&f->q, 60);
	assert_string_equal(queue_writer_file(w), queue_writer_id(w));
	queue_writer_recycle(&w);
	w = write_sample(&f->q, 60);
	assert_int_equal(queue_remove(&f->q, Q_INCOMING,
	    queue_writer_file(w)), 0);
	assert_int_equal(queue_writer_name(w), ENOENT);
	close(queue_writer_keep(&w));
}

/*
 * A file that takes a second message holds nothing of the first: no byte of
 * its content, and no frame of the journal that qmgr had added meanwhile,
 * however the lengths of the two meet.
 */
static void
test_used_again(void **state)
{
	struct fixture *f = *state;
	struct queue_event done = { .status = RCPT_SENT, .time_s = 1,
		.dsn = STR("2.0.0"), .text = STR("delivered") };
	struct queue_event both[2] = { done, done };

	both[1].rcpt = 1;
	for (size_t len = 0; len < 300; len++) {
		struct queue_writer *w = write_sample(&f->q, 60);
		struct arena *a = arena_new(1 << 20);
		struct queue_message m;
		struct stat was, is;
		int fd = queue_writer_dup(w);

		assert_int_equal(queue_journal(fd, both, 2), 0);
		assert_int_equal(fstat(fd, &was), 0);
		close(fd);
		queue_writer_recycle(&w);
		w = write_sample(&f->q, len);
		assert_string_not_equal(queue_writer_file(w),
		    queue_writer_id(w));
		assert_int_equal(queue_writer_name(w), 0);
		assert_string_equal(queue_writer_file(w), queue_writer_id(w));
		fd = queue_writer_keep(&w);
		assert_int_equal(fstat(fd, &is), 0);
		assert_int_equal(is.st_ino, was.st_ino);	/* the same */
		assert_int_equal(queue_read(fd, a, true, &m), QUEUE_OK);
		assert_int_equal(m.nrcpts, 2);
		for (size_t i = 0; i < m.nrcpts; i++)
			assert_int_equal(m.rcpts[i].status, RCPT_TODO);
		assert_int_equal((uint64_t)is.st_size, m.journal_off);
		assert_int_equal(queue_remove(&f->q, Q_INCOMING, m.id), 0);
		close(fd);
		arena_free(&a);
	}
}

static void
test_killed_writer(void **state)
{
	struct fixture *f = *state;

	for (int step = 0; step < 3; step++)
		for (size_t len = 10; len < 1000000; len *= 30) {
			struct verdicts v = { .q = &f->q };

			die_at(f, step, len);
			assert_int_equal(queue_scan(&f->q, Q_INCOMING, judge,
			    &v), 0);
			assert_int_equal(v.torn, step < 2);
			assert_int_equal(v.whole, step == 2);
		}
}

/* A file system that takes no more: an error, and no file. */
static void
test_no_room(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, was;
	struct queue_writer *w;
	char *body = calloc(1, 300000);
	char id[QUEUE_ID_MAX];
	int err;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	limit = was;
	limit.rlim_cur = 100000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	w = queue_writer_new(&f->q, Q_INCOMING);
	strcpy(id, queue_writer_id(w));
	err = queue_write_body(w, (struct str){ body, 300000 });
	assert_int_equal(err, EFBIG);
	queue_writer_drop(&w);
	assert_int_equal(queue_find(&f->q, id), Q__MAX);
	w = queue_writer_new(&f->q, Q_INCOMING);
	assert_int_equal(queue_write_body(w, (struct str){ body, 60000 }), 0);
	err = queue_write_rest(w, (struct str){ body, 60000 }, &sample);
	assert_int_equal(err, EFBIG);
	queue_writer_drop(&w);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	free(body);
}

static bool
count_id(void *ctx, const char *id)
{
	assert_true(queue_id_valid(str_of(id)));
	++*(int *)ctx;
	return true;
}

static void
test_move(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], path[128];
	struct stat st;
	int n = 0;

	close(make(&f->q, 3, id));
	assert_int_equal(queue_move(&f->q, id, Q_INCOMING, Q_ACTIVE), 0);
	assert_int_equal(queue_find(&f->q, id), Q_ACTIVE);
	assert_int_equal(queue_move(&f->q, id, Q_INCOMING, Q_ACTIVE), ENOENT);
	assert_int_equal(queue_move(&f->q, id, Q_ACTIVE, Q_DEFERRED), 0);
	snprintf(path, sizeof(path), "%s/deferred/%c/%c/%s", f->spool, id[0],
	    id[1], id);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(queue_scan(&f->q, Q_DEFERRED, count_id, &n), 0);
	assert_int_equal(n, 1);
	/* Never over an existing file. */
	close(queue_open_file(&f->q, Q_HOLD, id, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(queue_move(&f->q, id, Q_DEFERRED, Q_HOLD), EEXIST);
	/* hash_queue_depth was changed: still found where it is. */
	f->q.depth = 1;
	assert_int_equal(queue_remove(&f->q, Q_HOLD, id), 0);
	assert_int_equal(queue_find(&f->q, id), Q_DEFERRED);
	assert_int_equal(queue_move(&f->q, id, Q_DEFERRED, Q_CORRUPT), 0);
	assert_int_equal(queue_find(&f->q, id), Q_CORRUPT);
}

/* Each file once, wherever it stands, among all that may lie there. */
static void
test_walk(void **state)
{
	struct fixture *f = *state;
	char id[20][QUEUE_ID_MAX], path[160];
	bool seen[nitems(id)] = { false };
	struct queue_walk *w;
	const char *name;
	size_t n = 0;

	for (size_t i = 0; i < nitems(id); i++) {
		close(make(&f->q, 1, id[i]));
		f->q.depth = (unsigned)i % 4;
		assert_int_equal(queue_move(&f->q, id[i], Q_INCOMING,
		    Q_DEFERRED), 0);
	}
	snprintf(path, sizeof(path), "%s/deferred/x", f->spool);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	snprintf(path, sizeof(path), "%s/deferred/README", f->spool);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	snprintf(path, sizeof(path), "%s/deferred/y", f->spool);
	assert_int_equal(symlink("..", path), 0);
	w = queue_walk_new(&f->q, Q_DEFERRED);
	while ((name = queue_walk_next(w)) != NULL) {
		size_t i = 0;

		while (i < nitems(id) && strcmp(id[i], name) != 0)
			i++;
		assert_true(i < nitems(id) && !seen[i]);
		seen[i] = true;
		n++;
	}
	assert_int_equal(n, nitems(id));
	assert_null(queue_walk_next(w));
	queue_walk_free(&w);
	w = queue_walk_new(&f->q, Q_HOLD);
	assert_null(queue_walk_next(w));
	assert_int_equal(queue_walk_error(w), 0);
	queue_walk_free(&w);
	close(f->q.dir[Q_HOLD]);
	f->q.dir[Q_HOLD] = -1;
	w = queue_walk_new(&f->q, Q_HOLD);
	assert_null(queue_walk_next(w));
	assert_int_equal(queue_walk_error(w), ENOENT);
	queue_walk_free(&w);
}

static const struct {
	struct str id;
	bool	   valid;
} ids[] = {
	{ STR("3A5F21C0042"), true },
	{ STR("ABCDEF"), true },
	{ STR("ABCDE"), false },
	{ STR("abcdef123"), false },
	{ STR("3Zd4Xy0q5Wz7r"), true },
	{ STR("4HYnZ82d7Cz4K1L"), true },
	{ STR("4HYnZ82d7Cz"), false },
	{ STR("4HYnZ82d7Cz4zK"), false },
	{ STR("4HYnA82d7Cz4K"), false },	/* vowel */
	{ STR("../../etc/passwd"), false },
	{ STR("ABCDEF/123"), false },
	{ STR("ABCDEF\0"), false },
	{ STR(""), false },
	{ STR("123456789012345678901"), false },
};

static void
test_ids(void **state)
{
	struct fixture *f = *state;
	char last[QUEUE_ID_MAX] = "", id[QUEUE_ID_MAX];

	for (size_t i = 0; i < nitems(ids); i++)
		assert_int_equal(queue_id_valid(ids[i].id), ids[i].valid);
	for (int i = 0; i < 10000; i++) {
		queue_id_new(&f->q, id);
		assert_true(queue_id_valid(str_of(id)));
		assert_int_equal(strlen(id), 12);
		assert_string_not_equal(id, last);
		strcpy(last, id);
	}
	f->q.long_ids = true;
	for (int i = 0; i < 10000; i++) {
		queue_id_new(&f->q, id);
		assert_true(queue_id_valid(str_of(id)));
		assert_true(i == 0 || strcmp(id, last) > 0);
		strcpy(last, id);
	}
	/* A clock that was set back; nothing of our memory stands behind it. */
	f->q.last_us += 3600 * 1000000LL;
	memset(id, 'x', sizeof(id));
	queue_id_new(&f->q, id);
	assert_true(strcmp(id, last) > 0);
	for (size_t i = strlen(id); i < sizeof(id); i++)
		assert_int_equal(id[i], '\0');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
		T(test_round_trip),
		T(test_offer_is_the_file),
		T(test_damage_is_never_misread),
		T(test_zeros_are_torn),
		T(test_writer_holds_its_file),
		T(test_journal),
		T(test_old_name), T(test_killed_writer),
		T(test_used_again), T(test_killed_writer),
		T(test_no_room),
		T(test_walk),
		T(test_move),
		T(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
