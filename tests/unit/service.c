/* service: a daemon's life as master sees it, over a real channel. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "priv/build.h"
#include "priv/priv.h"
#include "service/internal.h"

static char dir[] = "/tmp/postern-service-XXXXXX";

/* Master's end, and what it heard. */
struct heard {
	struct loop    *loop;
	struct channel *channel;
	struct timer   *late;
	pid_t		pid;
	enum msg	until;		/* stop the loop at this one */
	bool		ready, gone;
	uint64_t	pong, idle_ms;
};

static void
on_solo(void *ctx, struct channel *ch, enum msg id, const void *msg)
{
	struct heard *h = ctx;

	(void)ch;
	if (id == MSG_ready)
		h->ready = true;
	else if (id == MSG_pong) {
		h->pong = ((const struct msg_pong *)msg)->number;
		h->idle_ms = ((const struct msg_pong *)msg)->idle_ms;
	}
	if (id == h->until)
		loop_stop(h->loop);
}

static void
on_gone(void *ctx, struct channel *ch)
{
	struct heard *h = ctx;

	(void)ch;
	channel_free(&h->channel);
	h->gone = true;
	loop_stop(h->loop);
}

static void
on_late(void *ctx)
{
	(void)ctx;
	fail_msg("nothing heard for 5 s");
}

static const struct service_def idle = { .role = ROLE_ERROR };

static const struct channel_ops ops = { .on_solo = on_solo,
	.on_gone = on_gone };

static void
start(struct heard *h, const struct service_def *def)
{
	char *argv[] = { (char[]){ "error" }, (char[]){ "-c" }, dir,
		(char[]){ "-n" }, (char[]){ "retry" }, NULL };
	int fd[2];

	*h = (struct heard){ .until = MSG_ready };
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, fd), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0) {
		if (fd[1] != 3 && dup2(fd[1], 3) != 3)
			_exit(99);
		if (fd[0] != 3)
			close(fd[0]);
		optind = 0;
		_exit(service_main(def, 5, argv));
	}
	close(fd[1]);
	h->loop = loop_new();
	h->late = timer_new(h->loop, on_late, h);
	timer_set(h->late, 5000);
	h->channel = channel_new(h->loop, fd[0], ROLE_MASTER, ROLE_ERROR, 0,
	    &ops, h);
	loop_run(h->loop);
	assert_true(h->ready);
}

static int
end(struct heard *h)
{
	int status = 0;

	channel_free(&h->channel);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	timer_free(&h->late);
	loop_free(&h->loop);
	return (status);
}

static void
wait_for(struct heard *h, enum msg id)
{
	h->until = id;
	loop_run(h->loop);
}

static void
test_ping(void **state)
{
	struct heard h;

	(void)state;
	start(&h, &idle);
	channel_send(h.channel, MSG_begin, &(struct msg_begin){ 0 });
	channel_send(h.channel, MSG_ping, &(struct msg_ping){ .number = 7 });
	wait_for(&h, MSG_pong);
	assert_int_equal(h.pong, 7);
	assert_true(h.idle_ms < 5000);
	assert_int_equal(end(&h), 0);	/* master is gone: so is it, at once */
}

static void
test_drain(void **state)
{
	struct heard h;

	(void)state;
	start(&h, &idle);
	channel_send(h.channel, MSG_drain, &(struct msg_drain){ 0 });
	wait_for(&h, MSG__MAX);
	assert_true(h.gone);
	assert_int_equal(end(&h), 0);
	start(&h, &idle);
	assert_int_equal(kill(h.pid, SIGTERM), 0);
	wait_for(&h, MSG__MAX);
	assert_true(h.gone);
	assert_int_equal(end(&h), 0);
}

/* Answers each delivery at once, at length. */
static void
on_request(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	static char reason[1000];
	int fd = ((const struct msg_deliver *)msg)->queue_file;

	(void)ctx;
	assert(id == MSG_deliver);
	fd_close(&fd);
	memset(reason, 'x', sizeof(reason));
	talk_send(talk, MSG_deliver_done, &(struct msg_deliver_done){
	    .reason = { reason, sizeof(reason) } });
}

static void
on_request_gone(void *ctx, struct talk *talk, const char *why)
{
	(void)ctx;
	(void)talk;
	(void)why;
}

static const struct talk_ops request_ops = { on_request, on_request_gone };

static void
on_request_talk(void *ctx, struct talk *talk, enum msg id)
{
	(void)id;
	talk_set(talk, &request_ops, ctx);
}

/* Counts answers until that message comes, or (MSG__MAX) the end. */
static size_t
count_answers(int fd, enum msg until)
{
	char packet[IPC_PACKET_MAX];
	_Alignas(max_align_t) char room[512];
	struct frame frame;
	bool found = false;
	size_t n = 0;
	ssize_t got;
	int none = -1;

	assert_true(ipc_message_max() <= sizeof(room));
	while (!found && (got = read(fd, packet, sizeof(packet))) > 0) {
		struct str in = { packet, (size_t)got };

		while (in.n > 0) {
			assert_true(ipc_decode(ROLE_ERROR, ROLE_QMGR, &in,
			    &none, &frame, room, sizeof(room)));
			n += frame.id == MSG_deliver_done;
			found |= frame.id == until;
		}
	}
	return (n);
}

static void
send_frame(int fd, enum msg id, uint32_t talk, const void *msg)
{
	struct buf b;
	int none;

	buf_init(&b, IPC_PACKET_MAX);
	ipc_encode(id, talk, msg, &b, &none);
	assert_int_equal(write(fd, b.p, b.n), b.n);
	buf_free(&b);
}

/*
 * A drain ends when a peer that is slow to read has it all, and has heard of
 * it: what that peer had sent before is served.
 */
static void
test_drain_waits_for_readers(void **state)
{
	static const struct service_def def = { .role = ROLE_ERROR,
		.on_talk = on_request_talk };
	static const uint32_t n = 1000;
	struct msg_deliver deliver = { .rcpt_count = 1, .queue_file = -1 };
	struct heard h;
	size_t answers;
	int fd[2];

	(void)state;
	start(&h, &def);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC,
	    0, fd), 0);
	/* As master's are: the filter lets nobody set it later. */
	assert_int_equal(fd_nonblock(fd[1]), 0);
	channel_send(h.channel, MSG_peer, &(struct msg_peer){
	    .role = ROLE_QMGR, .instance = 1, .side = 1, .channel = fd[1] });
	channel_flush_all();
	for (uint32_t i = 1; i <= n; i++)
		send_frame(fd[0], MSG_deliver, i << 1, &deliver);
	channel_send(h.channel, MSG_drain, &(struct msg_drain){ 0 });
	channel_flush_all();
	answers = count_answers(fd[0], MSG__LEAVING);
	send_frame(fd[0], MSG_deliver, (n + 1) << 1, &deliver);
	send_frame(fd[0], MSG__HEARD, 0, NULL);
	answers += count_answers(fd[0], MSG__MAX);
	assert_int_equal(answers, n + 1);
	close(fd[0]);
	wait_for(&h, MSG__MAX);
	assert_true(h.gone);
	assert_int_equal(end(&h), 0);
}

static void
test_alone(void **state)
{
	static const struct service_def def = { .role = ROLE_ERROR };
	char *argv[] = { (char[]){ "error" }, (char[]){ "-c" }, dir,
		(char[]){ "-n" }, (char[]){ "retry" }, NULL };
	int out[2], status;
	char text[256] = "";
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		if (dup2(out[1], 2) != 2)
			_exit(99);
		close(3);
		optind = 0;
		_exit(service_main(&def, 5, argv));
	}
	close(out[1]);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_non_null(strstr(text, "started by master alone"));
	close(out[0]);
}

static void
test_args(void **state)
{
	static const struct { const char *argv[8]; bool good; } rows[] = {
		{ { "smtpd", "-c", "/x", "-n", "smtp" }, true },
		{ { "smtpd", "-n", "smtp", "-o", "a=b", "-o", "c=d" }, true },
		{ { "smtpd", "-c", "/x" }, false },
		{ { "agent", "-n", "1", "-u", "1000:100:joe" }, true },
		{ { "agent", "-n", "1", "-u", "1000:100:" }, true },
		{ { "agent", "-n", "1", "-u", "1000" }, false },
		{ { "agent", "-n", "1", "-u", ":1:x" }, false },
		{ { "agent", "-n", "1", "-u", "4294967295:1:x" }, false },
		{ { "agent", "-n", "1", "-u", "-1:1:x" }, false },
		{ { "smtpd", "-n", "smtp", "-z" }, false },
		{ { "smtpd", "-t", "-n", "smtp" }, true },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		struct service_args a;
		char *argv[9] = { 0 };
		const char *why;
		int n = 0;

		while (n < 8 && rows[i].argv[n] != NULL) {
			argv[n] = mem_strdup(rows[i].argv[n]);
			n++;
		}
		optind = 0;
		if (service_args_parse(&a, n, argv, &why) != rows[i].good)
			fail_msg("row %zu", i);
		if (i == 1)
			assert_int_equal(a.noverrides, 2);
		if (i == 3) {
			assert_int_equal(a.uid, 1000);
			assert_int_equal(a.gid, 100);
			assert_string_equal(a.user, "joe");
		}
		if (i == 4)
			assert_string_equal(a.user, "");
		if (rows[i].good)
			assert_int_equal(a.check, i == 10);
		mem_free(a.overrides);
		while (n > 0)
			mem_free(argv[--n]);
	}
}

static void
write_conf(void)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/main.cf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "queue_directory = %s\nmail_owner = nobody\n"
	    "postern_net_user = nobody\npostern_auth_user = nobody\n"
	    "myhostname = h.example\n", dir);
	assert_int_equal(fclose(f), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_drain_waits_for_readers),
	};
	char path[128];
	int bad;

	if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
		return (1);
	if (POSTERN_TEST_BUILD && setenv("POSTERN_SECCOMP", "off", 1) != 0)
		return (1);
	write_conf();
	bad = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	unlink(path);
	rmdir(dir);
	return (bad);
}
