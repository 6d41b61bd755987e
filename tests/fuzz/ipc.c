/*
 * fuzz: packets from a process that was taken over.
 *
 * The first byte chooses sender and receiver, the rest is the packet. What is
 * taken for frames must be allowed to that sender, must point into the
 * packet, and must be the same after encoding again. The same bytes then go
 * through a channel, in packets cut where byte 0xfe stands.
 */
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>
#include "ipc/internal.h"
#include "sys/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define FRAMES_MAX	64

static void
check_frame(const struct frame *frame, void *msg, struct str bytes, int taken)
{
	struct buf again, text;
	int fd = -1;

	buf_init(&again, IPC_PACKET_MAX * 2);
	buf_init(&text, IPC_PACKET_MAX * 8);
	ipc_encode(frame->id, frame->talk, msg, &again, &fd);
	assert(str_eq(buf_view(&again), bytes));
	assert(fd == taken);
	assert(again.n == ipc_frame_size(frame->id, msg));
	ipc_print(frame->id, msg, &text);
	assert(!text.full);
	buf_free(&again);
	buf_free(&text);
}

static void
frames(enum role from, enum role self, struct str packet, int given)
{
	union any_message msg;
	struct frame frame;
	int fd = given;

	while (packet.n > 0) {
		struct str before = packet;
		int had = fd;

		if (!ipc_decode(from, self, &packet, &fd, &frame, &msg,
		    sizeof(msg)))
			return;
		assert(ipc_allowed(frame.id, from, self));
		assert(packet.n < before.n);
		before.n -= packet.n;
		check_frame(&frame, &msg, before, had != fd ? had : -1);
	}
}

/* --- through a channel --- */

struct seen { struct loop *loop; struct channel *ch; unsigned n; };

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct seen *s = ctx;
	int fd = ipc_fd(id, msg);

	s->n++;
	fd_close(&fd);
	if (s->n % 5 == 0)
		talk_close(&t);
	else if (s->n % 11 == 0)
		channel_free(&s->ch);
}

static const struct talk_ops talk_ops = { .on_message = on_message };

static void
on_talk(void *ctx, struct channel *ch, struct talk *t, enum msg id)
{
	struct seen *s = ctx;

	(void)ch;
	(void)id;
	if (s->n % 7 == 3)
		talk_close(&t);
	else
		talk_set(t, &talk_ops, s);
}

static void
on_solo(void *ctx, struct channel *ch, enum msg id, const void *msg)
{
	struct seen *s = ctx;
	int fd = ipc_fd(id, msg);

	(void)ch;
	s->n++;
	fd_close(&fd);
}

/* Also at the end: the writer closes behind its packets. */
static void
on_gone(void *ctx, struct channel *ch)
{
	struct seen *s = ctx;

	(void)ch;
	channel_free(&s->ch);
}

static const struct channel_ops channel_ops = { .on_solo = on_solo,
	.on_talk = on_talk, .on_gone = on_gone };

static void
stop_when_gone(void *ctx)
{
	struct seen *s = ctx;

	if (s->ch == NULL)
		loop_stop(s->loop);
}

static void
send_cut(int sock, struct str bytes)
{
	while (bytes.n > 0) {
		size_t n = str_chr(bytes, (char)0xfe);

		if (n > 0)
			(void)!send(sock, bytes.p, n,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		bytes = str_from(bytes, n + 1);
	}
}

static void
through_channel(enum role from, enum role self, struct str bytes)
{
	struct seen s = { .loop = loop_new() };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		die("socketpair");
	s.ch = channel_new(s.loop, fds[0], self, from, 1, &channel_ops, &s);
	loop_before_sleep(s.loop, stop_when_gone, &s);
	send_cut(fds[1], bytes);
	close(fds[1]);
	loop_run(s.loop);
	loop_free(&s.loop);
}

static void
quiet_log(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	log_open(&(struct log_conf){ .program = "fuzz" });
	log_to_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum role from, self;
	struct str packet;
	const char *bytes;

	if (n < 2 || n > IPC_PACKET_MAX)
		return 0;
	from = (enum role)(data[0] % ROLE__MAX);
	self = (enum role)(data[1] % ROLE__MAX);
	memcpy(&bytes, &data, sizeof(bytes));
	packet = (struct str){ bytes + 2, n - 2 };
	frames(from, self, packet, -1);
	frames(from, self, packet, 1000);
	quiet_log();
	through_channel(from, self, packet);
	return 0;
}
