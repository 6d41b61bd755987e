/*
 * event: streams under partial input, pauses, freeing themselves and full
 * sockets; timers, hooks, listeners without descriptors, the pool.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "event/event.h"
#include "sys/sys.h"
#include "tests/unit/loop_rig.h"

struct sink {
	struct loop	*loop;
	struct stream	*s;
	int		 peer;		/* the other end, blocking */
	struct buf	 seen;		/* lines, one call of on_input a '|' */
	size_t		 bytes;
	unsigned	 eofs, errors, timeouts, drains;
	int		 err;
	bool		 lines;		/* take whole lines alone */
	bool		 nothing;	/* take nothing */
	bool		 all;		/* count bytes alone */
	bool		 pause_each;	/* pause after each line */
	bool		 free_on_input, free_on_eof, free_on_timeout;
	bool		 drop_at_line;
};

static size_t
on_input(void *ctx, struct str in)
{
	struct sink *k = ctx;
	size_t taken = 0;

	k->bytes += in.n;
	if (k->all)
		return in.n;
	if (k->nothing)
		return 0;
	if (k->free_on_input) {
		stream_free(&k->s);
		return in.n;
	}
	while (k->lines) {
		struct str rest = str_from(in, taken);
		size_t n = str_chr(rest, '\n');

		if (n == rest.n)
			break;
		buf_str(&k->seen, str_first(rest, n));
		buf_putc(&k->seen, '|');
		taken += n + 1;
		if (k->drop_at_line) {
			stream_drop_input(k->s);
			break;
		}
		if (k->pause_each) {
			stream_pause(k->s, true);
			break;
		}
	}
	return taken;
}

static void
on_eof(void *ctx)
{
	struct sink *k = ctx;

	k->eofs++;
	if (k->free_on_eof)
		stream_free(&k->s);
}

static void
on_error(void *ctx, int err)
{
	struct sink *k = ctx;

	k->errors++;
	k->err = err;
}

static void
on_timeout(void *ctx)
{
	struct sink *k = ctx;

	k->timeouts++;
	if (k->free_on_timeout)
		stream_free(&k->s);
}

static void
on_drained(void *ctx)
{
	struct sink *k = ctx;

	k->drains++;
}

static const struct stream_ops ops = { on_input, on_eof, on_error, on_timeout,
	on_drained };

static void
sink_open(struct sink *k)
{
	int fds[2];

	memset(k, 0, sizeof(*k));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	k->loop = loop_new();
	k->peer = fds[1];
	k->s = stream_new(k->loop, fds[0], &ops, k);
	buf_init(&k->seen, 1 << 20);
}

static void
sink_close(struct sink *k)
{
	stream_free(&k->s);
	if (k->peer != -1)
		close(k->peer);
	buf_free(&k->seen);
	loop_free(&k->loop);
}

static void
say(struct sink *k, const char *text)
{
	assert_int_equal(write(k->peer, text, strlen(text)), strlen(text));
	rig_run(k->loop, 3);
}

static void
test_lines(void **state)
{
	struct sink k;

	(void)state;
	sink_open(&k);
	k.lines = true;
	say(&k, "on");
	assert_true(str_eq(stream_leftover(k.s), STR("on")));
	say(&k, "e\ntwo\nthr");
	assert_string_equal(buf_cstr(&k.seen), "one|two|");
	say(&k, "ee\n");
	assert_string_equal(buf_cstr(&k.seen), "one|two|three|");
	assert_int_equal(stream_leftover(k.s).n, 0);
	say(&k, "cut");
	close(k.peer);
	k.peer = -1;
	rig_run(k.loop, 3);
	assert_int_equal(k.eofs, 1);
	assert_int_equal(k.errors, 0);
	sink_close(&k);
}

static void
test_pause(void **state)
{
	struct sink k;

	(void)state;
	sink_open(&k);
	k.lines = k.pause_each = true;
	say(&k, "a\nb\nc\n");
	assert_string_equal(buf_cstr(&k.seen), "a|");
	assert_true(str_eq(stream_leftover(k.s), STR("b\nc\n")));
	stream_pause(k.s, false);
	assert_string_equal(buf_cstr(&k.seen), "a|");	/* not from here */
	rig_run(k.loop, 3);
	assert_string_equal(buf_cstr(&k.seen), "a|b|");
	say(&k, "d\n");
	assert_string_equal(buf_cstr(&k.seen), "a|b|");
	stream_drop_input(k.s);
	stream_pause(k.s, false);
	rig_run(k.loop, 3);
	assert_string_equal(buf_cstr(&k.seen), "a|b|d|");
	/* Dropped while it is shown: the next line never comes. */
	k.pause_each = false;
	k.drop_at_line = true;
	stream_pause(k.s, false);
	say(&k, "starttls\nevil\n");
	say(&k, "good\n");
	assert_string_equal(buf_cstr(&k.seen), "a|b|d|starttls|good|");
	sink_close(&k);
}

static void
test_freed_within(void **state)
{
	struct sink k;

	(void)state;
	sink_open(&k);
	k.free_on_input = true;
	say(&k, "x");
	assert_null(k.s);
	sink_close(&k);

	sink_open(&k);
	k.lines = k.free_on_eof = true;
	close(k.peer);
	k.peer = -1;
	rig_run(k.loop, 3);
	assert_null(k.s);
	sink_close(&k);

	sink_open(&k);
	k.free_on_timeout = true;
	stream_timeout(k.s, 1000);
	stream_timeout(k.s, 5);
	rig_run(k.loop, 20);
	assert_null(k.s);
	assert_int_equal(k.timeouts, 1);
	sink_close(&k);
}

static void
test_timeout_moves(void **state)
{
	struct sink k;

	(void)state;
	sink_open(&k);
	k.lines = true;
	for (int i = 0; i < 6; i++) {
		stream_timeout(k.s, 30);
		rig_run(k.loop, 10);
	}
	assert_int_equal(k.timeouts, 0);
	rig_run(k.loop, 60);
	assert_int_equal(k.timeouts, 1);
	rig_run(k.loop, 60);
	assert_int_equal(k.timeouts, 1);	/* once */
	stream_timeout(k.s, 10);
	stream_timeout(k.s, 0);
	rig_run(k.loop, 30);
	assert_int_equal(k.timeouts, 1);
	sink_close(&k);
}

/* A line without an end: an error, not a spin and not all our memory. */
static void
test_flood(void **state)
{
	static char block[8192];
	struct sink k;

	(void)state;
	sink_open(&k);
	k.nothing = true;
	assert_int_equal(fd_nonblock(k.peer), 0);
	for (int i = 0; i < 20; i++) {
		(void)!write(k.peer, block, sizeof(block));
		rig_run(k.loop, 2);
	}
	assert_int_equal(k.errors, 1);
	assert_int_equal(k.err, EMSGSIZE);
	sink_close(&k);
}

static size_t
read_all(int fd, char *last)
{
	static char block[65536];
	size_t n = 0;
	ssize_t got;

	assert_int_equal(fd_nonblock(fd), 0);
	while ((got = read(fd, block, sizeof(block))) > 0) {
		n += (size_t)got;
		*last = block[got - 1];
	}
	return n;
}

static void
test_output(void **state)
{
	static char block[100000];
	struct sink k;
	size_t n = 0;
	char last = 0;

	(void)state;
	sink_open(&k);
	k.lines = true;
	stream_write(k.s, STR("250 ok\r\n"));
	assert_int_equal(stream_unsent(k.s), 0);
	assert_int_equal(read_all(k.peer, &last), 8);
	stream_cork(k.s, true);
	stream_write(k.s, STR("a"));
	stream_write(k.s, STR("b"));
	assert_int_equal(stream_unsent(k.s), 2);
	assert_int_equal(read_all(k.peer, &last), 0);
	stream_cork(k.s, false);
	assert_int_equal(read_all(k.peer, &last), 2);
	assert_int_equal(last, 'b');
	rig_run(k.loop, 2);
	assert_int_equal(k.drains, 0);		/* nothing had to wait */

	for (int i = 0; i < 10; i++)
		stream_write(k.s, (struct str){ block, sizeof(block) });
	stream_write(k.s, STR("!"));
	assert_true(stream_unsent(k.s) > 0);
	for (int i = 0; i < 100 && stream_unsent(k.s) > 0; i++) {
		n += read_all(k.peer, &last);
		rig_run(k.loop, 2);
	}
	n += read_all(k.peer, &last);
	assert_int_equal(n, 10 * sizeof(block) + 1);
	assert_int_equal(last, '!');
	assert_int_equal(k.drains, 1);
	/* The peer is gone: told from the loop, once. */
	close(k.peer);
	k.peer = -1;
	stream_pause(k.s, true);
	stream_write(k.s, STR("x"));
	stream_write(k.s, STR("x"));
	assert_int_equal(k.errors, 0);
	rig_run(k.loop, 3);
	assert_int_equal(k.errors, 1);
	assert_int_equal(k.err, EPIPE);
	sink_close(&k);
}

/* A file behind what was written, in as many pieces as it takes. */
static void
test_file(void **state)
{
	static char block[300000];
	FILE *f = tmpfile();
	struct sink k;
	size_t n = 0;
	char last = 0;

	(void)state;
	assert_non_null(f);
	memset(block, 'f', sizeof(block));
	block[sizeof(block) - 1] = 'z';
	assert_int_equal(fwrite(block, 1, sizeof(block), f), sizeof(block));
	fflush(f);
	sink_open(&k);
	stream_cork(k.s, true);
	stream_write(k.s, STR("head"));
	assert_true(stream_send_file(k.s, fileno(f), 10, sizeof(block) - 10));
	assert_int_equal(stream_unsent(k.s), sizeof(block) - 6);
	stream_cork(k.s, false);
	assert_int_equal(k.drains, 0);
	for (int i = 0; i < 100 && stream_unsent(k.s) > 0; i++) {
		n += read_all(k.peer, &last);
		rig_run(k.loop, 2);
	}
	n += read_all(k.peer, &last);
	assert_int_equal(n, sizeof(block) - 6);
	assert_int_equal(last, 'z');
	assert_int_equal(k.drains, 1);
	stream_write(k.s, STR("."));
	assert_int_equal(read_all(k.peer, &last), 1);
	/* It is shorter than was said. */
	assert_true(stream_send_file(k.s, fileno(f), sizeof(block) - 5, 10));
	rig_run(k.loop, 3);
	assert_int_equal(k.errors, 1);
	assert_int_equal(k.err, EIO);
	sink_close(&k);
	fclose(f);
}

/* --- loop --- */

struct counts { struct loop *loop; unsigned hooks, signals; struct timer *t; };

static void
count_hook(void *ctx)
{
	((struct counts *)ctx)->hooks++;
}

static void
count_signal(void *ctx, int signo)
{
	struct counts *c = ctx;

	assert_int_equal(signo, SIGUSR1);
	c->signals++;
	loop_stop(c->loop);
}

static void
free_timer(void *ctx)
{
	struct counts *c = ctx;

	timer_free(&c->t);
	assert_int_equal(raise(SIGUSR1), 0);
}

static void
test_loop(void **state)
{
	struct counts c = { .loop = loop_new() };

	(void)state;
	loop_before_sleep(c.loop, count_hook, &c);
	loop_before_sleep(c.loop, count_hook, &c);
	loop_on_signal(c.loop, SIGUSR1, count_signal, &c);
	c.t = timer_new(c.loop, free_timer, &c);
	timer_set(c.t, 1);
	timer_set(c.t, 2);
	loop_run(c.loop);
	assert_int_equal(c.signals, 1);
	assert_null(c.t);
	/* Before the first sleep, after the timer, after the signal. */
	assert_int_equal(c.hooks, 3);
	loop_free(&c.loop);
}

/* What the log's pipe did not take leaves later, without an event. */
static void
test_log_again(void **state)
{
	static char x[1501], in[8192];
	struct loop *loop = loop_new();
	int fds[2];

	(void)state;
	memset(x, 'x', sizeof(x) - 1);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETPIPE_SZ, 4096), 4096);
	assert_int_equal(fd_nonblock(fds[0]), 0);
	log_to_fd(fds[1]);
	for (int i = 0; i < 3; i++)
		log_info("%s", x);
	rig_run(loop, 2);
	assert_true(log_waiting());
	assert_in_range(read(fds[0], in, sizeof(in)), 3000, 4096);
	rig_run(loop, 150);
	assert_false(log_waiting());
	assert_in_range(read(fds[0], in, sizeof(in)), 1500, 1600);
	close(fds[0]);
	log_to_fd(open("/dev/null", O_WRONLY));
	loop_free(&loop);
}

/* --- listener --- */

struct door { unsigned n; int fds[64]; struct listener *l; bool close_at_2; };

static void
on_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	struct door *d = ctx;

	assert_int_equal(from->ss_family, AF_INET);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true(d->n < nitems(d->fds));
	d->fds[d->n++] = fd;
	if (d->close_at_2 && d->n == 2)
		listener_free(&d->l);
}

static int
listen_here(struct sockaddr_in *addr)
{
	socklen_t n = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)addr, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)addr, &n), 0);
	return fd;
}

static void
call(const struct sockaddr_in *addr, int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(fds[i],
		    (const struct sockaddr *)addr, sizeof(*addr)), 0);
	}
}

static void
close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void
test_listener(void **state)
{
	struct loop *loop = loop_new();
	struct door d = { .n = 0 };
	struct rlimit before, few;
	struct sockaddr_in addr;
	int callers[40];

	(void)state;
	d.l = listener_new(loop, listen_here(&addr), on_accept, &d);
	call(&addr, callers, 20);
	rig_run(loop, 20);
	assert_int_equal(d.n, 20);
	listener_pause(d.l, true);
	call(&addr, callers + 20, 10);
	rig_run(loop, 10);
	assert_int_equal(d.n, 20);
	/* No descriptors: it rests, and takes them up when there are. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	listener_pause(d.l, false);
	rig_run(loop, 10);
	assert_int_equal(d.n, 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	rig_run(loop, 150);
	assert_int_equal(d.n, 30);
	close_all(d.fds, d.n);
	close_all(callers, 30);
	d.n = 0;
	d.close_at_2 = true;
	call(&addr, callers, 2);
	rig_run(loop, 10);
	assert_int_equal(d.n, 2);
	assert_null(d.l);
	close_all(d.fds, 2);
	close_all(callers, 2);
	loop_free(&loop);
}

/* --- pool --- */

#define ALL	13		/* threads of a pool */

static pthread_barrier_t all_there;

struct work { struct loop *loop; unsigned *left; int in, out; unsigned nap; };

static int
square(void *ctx)
{
	struct work *w = ctx;

	if (w->nap > 0)
		usleep(w->nap);
	return w->in * w->in;
}

static void
done(void *ctx, int result)
{
	struct work *w = ctx;

	w->out = result;
	if (--*w->left == 0)
		loop_stop(w->loop);
}

static void
test_pool(void **state)
{
	static struct work jobs[500];
	struct loop *loop = loop_new();
	struct pool *pool = pool_new(loop, 4);
	unsigned left = nitems(jobs);

	(void)state;
	for (size_t i = 0; i < nitems(jobs); i++) {
		jobs[i] = (struct work){ .loop = loop, .left = &left,
			.in = (int)i };
		pool_run(pool, square, done, &jobs[i]);
	}
	assert_int_equal(left, nitems(jobs));	/* done() from the loop */
	assert_int_equal(pool_busy(pool), nitems(jobs));
	loop_run(loop);
	assert_int_equal(pool_busy(pool), 0);
	for (size_t i = 0; i < nitems(jobs); i++)
		assert_int_equal(jobs[i].out, i * i);
	/* The end waits for what runs. */
	left = 4;
	for (size_t i = 0; i < 4; i++) {
		jobs[i].nap = 50000;
		pool_run(pool, square, done, &jobs[i]);
	}
	pool_free(&pool);
	assert_int_equal(left, 0);
	loop_free(&loop);
}

static int
meet(void *ctx)
{
	(void)ctx;
	(void)pthread_barrier_wait(&all_there);
	return 0;
}

/* Jobs that wait for others hold nobody up: threads come to the limit. */
static void
test_pool_grows(void **state)
{
	static struct work jobs[ALL];
	struct loop *loop = loop_new();
	struct pool *pool = pool_new(loop, ALL);
	unsigned left = ALL;

	(void)state;
	assert_int_equal(pthread_barrier_init(&all_there, NULL, ALL), 0);
	for (size_t i = 0; i < ALL; i++) {
		jobs[i] = (struct work){ .loop = loop, .left = &left };
		pool_run(pool, meet, done, &jobs[i]);
	}
	loop_run(loop);
	assert_int_equal(left, 0);
	pool_free(&pool);
	loop_free(&loop);
}

static void
on_readable(void *ctx, unsigned what)
{
	struct watch **w = ctx;

	assert_int_equal(what, WATCH_READ);
	watch_free(w);
}

static void
test_watch(void **state)
{
	struct loop *loop = loop_new();
	struct watch *w;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	w = watch_new(loop, fds[0], on_readable, &w);
	assert_int_equal(write(fds[1], "x", 1), 1);
	rig_run(loop, 3);
	assert_non_null(w);		/* not wanted yet */
	watch_want(w, WATCH_READ);
	rig_run(loop, 3);
	assert_null(w);
	close_all(fds, 2);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_freed_within),
		cmocka_unit_test(test_timeout_moves),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_log_again),
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_grows),
		cmocka_unit_test(test_watch),
	};

	log_open(&(struct log_conf){ .program = "event" });
	log_to_fd(open("/dev/null", O_WRONLY));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
