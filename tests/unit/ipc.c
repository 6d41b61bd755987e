/*
 * ipc: frames round and back, permissions, talks, descriptors, ends, and
 * what happens to a peer that breaks the rules.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include "ipc/ipc.h"
#include "sys/sys.h"
#include "tests/unit/loop_rig.h"

/* One end: what it saw. */
struct end {
	struct loop	*loop;
	struct channel	*ch;
	struct talk	*talk;		/* the last that the peer opened */
	unsigned	 solos, opened, messages, gone, channel_gone, drained;
	unsigned	 leaving;
	uint64_t	 last_num;
	size_t		 bytes;
	int		 fd;
	char		 why[64];
	bool		 answer;	/* answer mail_end with mail_done */
	bool		 free_in_handler;
	bool		 refuse;	/* talks get no ops */
};

struct pair {
	struct loop	*loop;
	struct end	 a, b;		/* smtpd side 0, cleanup side 1 */
	int		 raw;		/* a's socket, where a is a bare one */
};

static void
talk_gone(void *ctx, struct talk *t, const char *why)
{
	struct end *e = ctx;

	e->gone++;
	if (e->talk == t)
		e->talk = NULL;
	snprintf(e->why, sizeof(e->why), "%s", why);
}

static void
talk_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct end *e = ctx;

	e->messages++;
	if (id == MSG_mail_content) {
		const struct msg_mail_content *m = msg;

		e->bytes += m->bytes.n;
	} else if (id == MSG_mail_done) {
		const struct msg_mail_done *m = msg;

		e->last_num = m->status;
		e->talk = NULL;
	} else if (id == MSG_mail_end && e->answer) {
		struct msg_mail_done done = { .status = MAIL_REJECTED,
			.queue_id = STR("4F"), .dsn = STR("5.7.1"),
			.reason = STR("no") };

		talk_send(t, MSG_mail_done, &done);
		if (e->talk == t)
			e->talk = NULL;
	}
	if (e->free_in_handler)
		channel_free(&e->ch);
}

static const struct talk_ops talk_ops = { talk_message, talk_gone };

static void
on_talk(void *ctx, struct channel *ch, struct talk *t, enum msg id)
{
	struct end *e = ctx;

	(void)ch;
	(void)id;
	e->opened++;
	if (e->refuse)
		return;
	e->talk = t;
	talk_set(t, &talk_ops, e);
}

static void
on_solo(void *ctx, struct channel *ch, enum msg id, const void *msg)
{
	struct end *e = ctx;

	(void)ch;
	e->solos++;
	if (id == MSG_offer) {
		const struct msg_offer *m = msg;

		if (e->fd != -1)
			close(e->fd);
		e->fd = m->queue_file;
	}
}

static void
on_drained(void *ctx, struct channel *ch)
{
	struct end *e = ctx;

	(void)ch;
	e->drained++;
}

static void
on_leaving(void *ctx, struct channel *ch)
{
	struct end *e = ctx;

	(void)ch;
	e->leaving++;
}

static void
on_gone(void *ctx, struct channel *ch)
{
	struct end *e = ctx;

	e->channel_gone++;
	assert_true(ch == e->ch);
	channel_free(&e->ch);
}

static const struct channel_ops channel_ops = { on_solo, on_talk, on_drained,
	on_leaving, on_gone };

static void
pair_open(struct pair *p, enum role a, enum role b, bool bare)
{
	int fds[2];

	memset(p, 0, sizeof(*p));
	p->loop = loop_new();
	p->a.fd = p->b.fd = p->raw = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    fds), 0);
	if (bare)
		p->raw = fds[0];
	else
		p->a.ch = channel_new(p->loop, fds[0], a, b, 0, &channel_ops,
		    &p->a);
	p->b.ch = channel_new(p->loop, fds[1], b, a, 1, &channel_ops, &p->b);
}

static void
pair_close(struct pair *p)
{
	channel_free(&p->a.ch);
	channel_free(&p->b.ch);
	if (p->raw != -1)
		close(p->raw);
	if (p->b.fd != -1)
		close(p->b.fd);
	loop_free(&p->loop);
}

static int
open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static const struct msg_mail_begin begin = { .sender = { "a@b", 3 },
	.client_addr = { "192.0.2.1", 9 }, .flags = MAIL_SMTPUTF8 };

/* --- frames --- */

static void
test_round_trip(void **state)
{
	struct msg_deliver in = { .queue_id = STR("ABC"), .sender = STR(""),
		.nexthop = STR("x\0y"), .size = UINT64_MAX, .rcpt_count = 2,
		.queue_file = 77 };
	union { struct msg_deliver m; char room[4096]; } out;
	struct frame frame;
	struct str packet;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, IPC_PACKET_MAX);
	ipc_encode(MSG_deliver, 9, &in, &b, &fd);
	assert_int_equal(fd, 77);
	packet = buf_view(&b);
	assert_true(ipc_decode(ROLE_QMGR, ROLE_VIRTUAL, &packet, &fd, &frame,
	    &out, sizeof(out)));
	assert_int_equal(packet.n, 0);
	assert_int_equal(fd, -1);
	assert_int_equal(frame.id, MSG_deliver);
	assert_int_equal(frame.talk, 9);
	assert_true(str_eq(out.m.queue_id, in.queue_id));
	assert_true(str_eq(out.m.nexthop, in.nexthop));
	assert_int_equal(out.m.sender.n, 0);
	assert_true(out.m.size == UINT64_MAX);
	assert_int_equal(out.m.queue_file, 77);
	buf_free(&b);
}

/* Each cut, and each byte too many, is refused and takes no descriptor. */
static void
test_bad_frames(void **state)
{
	struct msg_mail_done in = { .status = 1, .queue_id = STR("A") };
	union { struct msg_mail_done m; char room[4096]; } out;
	struct frame frame;
	struct str packet;
	struct buf b;
	uint32_t bad;
	int fd = -1;

	(void)state;
	buf_init(&b, IPC_PACKET_MAX);
	ipc_encode(MSG_mail_done, 2, &in, &b, &fd);
	for (size_t n = 0; n < b.n; n++) {
		packet = str_first(buf_view(&b), n);
		assert_false(ipc_decode(ROLE_CLEANUP, ROLE_SMTPD, &packet,
		    &fd, &frame, &out, sizeof(out)));
	}
	packet = buf_view(&b);
	assert_false(ipc_decode(ROLE_SMTPD, ROLE_CLEANUP, &packet, &fd,
	    &frame, &out, sizeof(out)));
	bad = MSG__MAX;
	memcpy(b.p, &bad, sizeof(bad));
	packet = buf_view(&b);
	assert_false(ipc_decode(ROLE_CLEANUP, ROLE_SMTPD, &packet, &fd,
	    &frame, &out, sizeof(out)));
	/* Within no talk. */
	buf_clear(&b);
	ipc_encode(MSG_mail_done, 0, &in, &b, &fd);
	packet = buf_view(&b);
	assert_false(ipc_decode(ROLE_CLEANUP, ROLE_SMTPD, &packet, &fd,
	    &frame, &out, sizeof(out)));
	/* A field longer than its frame says. */
	buf_clear(&b);
	ipc_encode(MSG_mail_done, 2, &in, &b, &fd);
	buf_puts(&b, "x");
	bad = (uint32_t)b.n - 12;
	memcpy(b.p + 8, &bad, sizeof(bad));
	packet = buf_view(&b);
	assert_false(ipc_decode(ROLE_CLEANUP, ROLE_SMTPD, &packet, &fd,
	    &frame, &out, sizeof(out)));
	buf_free(&b);
}

/* Says it has a descriptor, and none came. */
static void
test_missing_fd(void **state)
{
	struct msg_offer in = { .queue_id = STR("A"), .queue_file = 5 };
	union { struct msg_offer m; char room[4096]; } out;
	struct frame frame;
	struct str packet;
	struct buf b;
	int fd, none = -1;

	(void)state;
	buf_init(&b, IPC_PACKET_MAX);
	ipc_encode(MSG_offer, 0, &in, &b, &fd);
	packet = buf_view(&b);
	assert_false(ipc_decode(ROLE_CLEANUP, ROLE_QMGR, &packet, &none,
	    &frame, &out, sizeof(out)));
	buf_free(&b);
}

static void
test_roles(void **state)
{
	static const struct { enum role a, b; bool speaks; } rows[] = {
		{ ROLE_SMTPD, ROLE_CLEANUP, true },
		{ ROLE_CLEANUP, ROLE_SMTPD, true },
		{ ROLE_CLEANUP, ROLE_QMGR, true },
		{ ROLE_QMGR, ROLE_CLEANUP, true },	/* settled */
		{ ROLE_SMTPD, ROLE_QMGR, true },	/* flush_site */
		{ ROLE_SMTPD, ROLE_AGENT, false },
		{ ROLE_SMTPD, ROLE_BOUNCE, false },
		{ ROLE_MASTER, ROLE_AGENT, true },
		{ ROLE_ANVIL, ROLE_SMTPD, true },
		{ ROLE_ANVIL, ROLE_CLEANUP, false },
		{ ROLE_QMGR, ROLE_DISCARD, true },
		{ ROLE_DISCARD, ROLE_QMGR, true },
		{ ROLE_VIRTUAL, ROLE_AGENT, true },
	};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++)
		if (ipc_speaks(rows[i].a, rows[i].b) != rows[i].speaks)
			fail_msg("%s to %s", role_name(rows[i].a),
			    role_name(rows[i].b));
	assert_string_equal(role_name(ROLE_SMTPD), "smtpd");
	buf_init(&b, 4096);
	ipc_print(MSG_mail_rcpt, &(struct msg_mail_rcpt){
	    .address = STR("a\nb@c"), .dsn_notify = 4 }, &b);
	assert_string_equal(buf_cstr(&b),
	    "mail_rcpt address=a?b@c dsn_orcpt= dsn_notify=4");
	buf_free(&b);
}

/* --- channels --- */

static void
test_talk(void **state)
{
	struct pair p;
	struct talk *t;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	p.b.answer = true;
	t = p.a.talk = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	for (int i = 0; i < 10; i++)
		talk_send(t, MSG_mail_content, &(struct msg_mail_content){
		    .bytes = STR("0123456789") });
	talk_send(t, MSG_mail_end, &(struct msg_mail_end){ 0 });
	assert_true(channel_unsent(p.a.ch) > 0);
	rig_run(p.loop, 20);
	assert_int_equal(channel_unsent(p.a.ch), 0);
	assert_int_equal(p.b.opened, 1);
	assert_int_equal(p.b.messages, 12);
	assert_int_equal(p.b.bytes, 100);
	assert_int_equal(p.a.messages, 1);
	assert_int_equal(p.a.last_num, MAIL_REJECTED);
	assert_int_equal(channel_talks(p.a.ch), 0);
	assert_int_equal(channel_talks(p.b.ch), 0);
	assert_int_equal(p.a.gone + p.b.gone, 0);
	pair_close(&p);
}

static void
test_close_and_deadline(void **state)
{
	struct pair p;
	struct talk *t, *late;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_close(&t);			/* nobody knew of it */
	assert_int_equal(channel_unsent(p.a.ch), 0);
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	rig_run(p.loop, 10);
	assert_int_equal(channel_talks(p.b.ch), 1);
	talk_close(&t);
	assert_null(t);
	rig_run(p.loop, 10);
	assert_int_equal(p.b.gone, 1);
	assert_string_equal(p.b.why, "closed by peer");
	assert_int_equal(channel_talks(p.b.ch), 0);

	late = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(late, MSG_mail_begin, &begin);
	talk_deadline(late, 30);
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	talk_deadline(t, 3000);
	rig_run(p.loop, 80);
	assert_int_equal(p.a.gone, 1);
	assert_string_equal(p.a.why, "deadline");
	assert_int_equal(p.b.gone, 2);
	assert_int_equal(channel_talks(p.b.ch), 1);
	pair_close(&p);
	assert_int_equal(p.a.gone, 2);
}

/* Frames that cross with the close are dropped, descriptors too. */
static void
test_crossing(void **state)
{
	struct pair p;
	struct talk *t;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	rig_run(p.loop, 10);
	talk_send(p.b.talk, MSG_mail_id, &(struct msg_mail_id){
	    .queue_id = STR("X") });
	talk_close(&t);
	rig_run(p.loop, 10);
	assert_int_equal(p.a.messages, 0);
	assert_int_equal(p.a.channel_gone + p.b.channel_gone, 0);
	p.b.refuse = true;
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	rig_run(p.loop, 10);
	assert_string_equal(p.a.why, "closed by peer");
	pair_close(&p);
}

/* Who leaves is answered behind all that was said to it before. */
static void
test_leave(void **state)
{
	struct pair p;
	struct talk *t;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	channel_leave(p.b.ch);
	channel_leave(p.b.ch);
	assert_false(channel_parted(p.b.ch));
	rig_run(p.loop, 10);
	assert_int_equal(p.a.leaving, 1);
	assert_true(channel_parted(p.b.ch));
	assert_false(channel_parted(p.a.ch));
	assert_int_equal(p.b.opened, 1);
	assert_int_equal(channel_talks(p.b.ch), 1);	/* goes on */
	pair_close(&p);
}

static void
test_descriptors(void **state)
{
	struct pair p;
	int before = open_fds();
	int pipes[2];

	(void)state;
	pair_open(&p, ROLE_CLEANUP, ROLE_QMGR, false);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(pipe(pipes), 0);
		close(pipes[0]);
		channel_send(p.a.ch, MSG_offer, &(struct msg_offer){
		    .queue_id = STR("Q"), .envelope = STR("e"),
		    .queue_file = i % 3 == 0 ? (close(pipes[1]), -1) :
		    pipes[1] });
	}
	rig_run(p.loop, 20);
	assert_int_equal(p.b.solos, 50);
	assert_true(p.b.fd != -1);
	assert_true((fcntl(p.b.fd, F_GETFD) & FD_CLOEXEC) != 0);
	pair_close(&p);
	assert_int_equal(open_fds(), before);
}

/* Far more than the socket takes: it waits, drains, and nothing is lost. */
static void
test_load(void **state)
{
	static char block[30000];
	struct pair p;
	struct talk *t;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	p.b.answer = true;
	t = p.a.talk = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	for (int i = 0; i < 100; i++)
		talk_send(t, MSG_mail_content, &(struct msg_mail_content){
		    .bytes = { block, sizeof(block) } });
	talk_send(t, MSG_mail_end, &(struct msg_mail_end){ 0 });
	assert_true(channel_unsent(p.a.ch) > IPC_UNSENT_HIGH);
	rig_run(p.loop, 200);
	assert_int_equal(p.b.bytes, 100 * sizeof(block));
	assert_int_equal(p.a.drained, 1);
	assert_int_equal(p.a.messages, 1);
	/* Many talks at once. */
	p.b.opened = 0;
	for (int i = 0; i < 5000; i++) {
		t = talk_open(p.a.ch, &talk_ops, &p.a);
		talk_send(t, MSG_mail_begin, &begin);
		talk_send(t, MSG_mail_end, &(struct msg_mail_end){ 0 });
	}
	rig_run(p.loop, 200);
	assert_int_equal(p.b.opened, 5000);
	assert_int_equal(p.a.messages, 5001);
	assert_int_equal(channel_talks(p.a.ch), 0);
	pair_close(&p);
}

/* A peer that dies: its last words are heard, then all talks end. */
static void
test_peer_dies(void **state)
{
	struct pair p;
	struct talk *t[3];
	char text[4096];
	ssize_t n;
	int log[2];

	(void)state;
	assert_int_equal(pipe(log), 0);
	log_to_fd(log[1]);
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	for (size_t i = 0; i < nitems(t); i++) {
		t[i] = talk_open(p.a.ch, &talk_ops, &p.a);
		talk_send(t[i], MSG_mail_begin, &begin);
	}
	rig_run(p.loop, 10);
	/* Unread input there makes ECONNRESET here. */
	talk_send(t[0], MSG_mail_content, &(struct msg_mail_content){
	    .bytes = STR("x") });
	channel_flush(p.a.ch);
	talk_send(p.b.talk, MSG_mail_done, &(struct msg_mail_done){
	    .status = MAIL_TOO_BIG });
	channel_free(&p.b.ch);
	assert_int_equal(p.b.gone, 2);
	rig_run(p.loop, 10);
	assert_int_equal(p.a.messages, 1);
	assert_int_equal(p.a.last_num, MAIL_TOO_BIG);
	assert_int_equal(p.a.gone, 2);
	assert_int_equal(p.a.channel_gone, 1);
	assert_string_equal(p.a.why, "channel is closed");
	pair_close(&p);
	/* An end is no breach of the rules. */
	log_info("end");
	log_flush();
	n = read(log[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_null(strstr(text, "malformed"));
	close(log[0]);
	log_to_fd(open("/dev/null", O_WRONLY));
}

/*
 * No room for a descriptor here: that message has none, the rest of the
 * channel goes on.
 */
static void
test_out_of_descriptors(void **state)
{
	struct rlimit before, few;
	struct pair p;
	int fds[2];

	(void)state;
	pair_open(&p, ROLE_CLEANUP, ROLE_QMGR, false);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	channel_send(p.a.ch, MSG_offer, &(struct msg_offer){
	    .queue_id = STR("Q"), .queue_file = fds[1] });
	channel_flush(p.a.ch);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	rig_run(p.loop, 5);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(p.b.solos, 1);
	assert_int_equal(p.b.fd, -1);
	assert_int_equal(p.b.channel_gone, 0);
	channel_send(p.a.ch, MSG_offer, &(struct msg_offer){
	    .queue_id = STR("Q"), .queue_file = dup(0) });
	rig_run(p.loop, 5);
	assert_int_equal(p.b.solos, 2);
	assert_true(p.b.fd != -1);
	pair_close(&p);
}

/* A peer that never reads: its channel ends before our memory does. */
static void
test_never_reads(void **state)
{
	static char block[30000];
	struct pair p;
	struct talk *t;
	size_t most = 0;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	for (int i = 0; i < 4000; i++) {
		talk_send(t, MSG_mail_content, &(struct msg_mail_content){
		    .bytes = { block, sizeof(block) } });
		if (channel_unsent(p.a.ch) > most)
			most = channel_unsent(p.a.ch);
	}
	assert_in_range(most, 60 << 20, 70 << 20);
	assert_int_equal(p.a.channel_gone, 0);
	rig_run(p.loop, 30);
	assert_int_equal(p.a.channel_gone, 1);
	assert_int_equal(p.a.gone, 1);
	assert_int_equal(p.b.channel_gone, 1);
	pair_close(&p);
}

/* The owner frees the channel in the midst of a packet. */
static void
test_free_in_handler(void **state)
{
	struct pair p;
	struct talk *t;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	p.b.free_in_handler = true;
	for (int i = 0; i < 10; i++) {
		t = talk_open(p.a.ch, &talk_ops, &p.a);
		talk_send(t, MSG_mail_begin, &begin);
	}
	rig_run(p.loop, 10);
	assert_int_equal(p.b.messages, 1);
	assert_int_equal(p.a.channel_gone, 1);
	assert_int_equal(p.a.gone, 10);
	pair_close(&p);
}

/* Talks opened on a channel that is dead end from the loop, once. */
static void
test_open_on_dead(void **state)
{
	struct channel *kept;
	struct pair p;
	struct talk *t;

	(void)state;
	pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, false);
	t = talk_open(p.a.ch, &talk_ops, &p.a);
	talk_send(t, MSG_mail_begin, &begin);
	kept = p.a.ch;
	channel_free(&p.b.ch);
	(void)kept;
	rig_run(p.loop, 5);
	assert_int_equal(p.a.channel_gone, 1);
	assert_int_equal(p.a.gone, 1);
	pair_close(&p);
}

static void
raw_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds)
{
	union { struct cmsghdr head; char room[256]; } control;
	char copy[65536 + 16];
	struct iovec iov = { copy, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(copy, bytes, n);
	memset(&control, 0, sizeof(control));
	if (nfds > 0) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &m, 0), n);
}

/* What a process that was taken over may try. */
static void
test_malformed(void **state)
{
	enum { NO_FD, ONE_FD, TWO_FDS };
	static const struct {
		const char *what;
		int nfds;
		bool open_twice, own_side, wrong_role, garbage, huge;
	} rows[] = {
		{ .what = "garbage", .garbage = true },
		{ .what = "garbage with one", .garbage = true,
		    .nfds = ONE_FD },
		{ .what = "stray descriptor", .nfds = ONE_FD },
		{ .what = "two descriptors", .nfds = TWO_FDS },
		{ .what = "number in use", .open_twice = true },
		{ .what = "a number of the other side", .own_side = true },
		{ .what = "not its to send", .wrong_role = true },
		{ .what = "too long", .huge = true },
	};

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		int before = open_fds();
		int fd, fds[2];
		struct pair p;
		struct buf b;

		pair_open(&p, ROLE_SMTPD, ROLE_CLEANUP, true);
		assert_int_equal(pipe(fds), 0);
		buf_init(&b, 200000);
		if (rows[i].wrong_role)
			ipc_encode(MSG_mail_done, 2, &(struct msg_mail_done){
			    .status = 1 }, &b, &fd);
		else if (rows[i].garbage)
			buf_puts(&b, "GET / HTTP/1.0");
		else
			ipc_encode(MSG_mail_begin, rows[i].own_side ? 3 : 2,
			    &begin, &b, &fd);
		if (rows[i].open_twice)
			ipc_encode(MSG_mail_begin, 2, &begin, &b, &fd);
		if (rows[i].huge) {
			b.n = 0;
			memset(buf_space(&b, 65540), 1, 65540);
			b.n = 65540;
		}
		raw_send(p.raw, b.p, b.n, fds, (size_t)rows[i].nfds);
		rig_run(p.loop, 5);
		if (p.b.channel_gone != 1)
			fail_msg("%s: was borne", rows[i].what);
		buf_free(&b);
		close(fds[0]);
		close(fds[1]);
		pair_close(&p);
		if (open_fds() != before)
			fail_msg("%s: %d descriptors before, %d after",
			    rows[i].what, before, open_fds());
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_missing_fd),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_talk),
		cmocka_unit_test(test_close_and_deadline),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_peer_dies),
		cmocka_unit_test(test_out_of_descriptors),
		cmocka_unit_test(test_never_reads),
		cmocka_unit_test(test_free_in_handler),
		cmocka_unit_test(test_open_on_dead),
		cmocka_unit_test(test_malformed),
	};
	int keep = open("/dev/null", O_WRONLY);

	log_open(&(struct log_conf){ .syslog_name = "test", .program = "ipc" });
	log_to_fd(keep);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
