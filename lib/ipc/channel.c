/*
 * channel - one SOCK_SEQPACKET socket: packets out, packets in, its end.
 *
 * Out: frames gather in the open packet. It leaves when it is full, when a
 * second descriptor comes, or before the loop sleeps; what the socket does
 * not take waits in the queue. In: a few packets with one system call, each
 * cut into frames for talk.c.
 *
 * struct ipc_room is this room's one file-scope state: the channels that have
 * something to send, and buffers that all channels share because only one is
 * served at a time.
 */
#include <sys/socket.h>
#include <errno.h>
#include "ipc/internal.h"
#include "sys/sys.h"

#define PACKETS_AT_ONCE	8

struct packet {
	struct list	 link;
	struct buf	 bytes;
	int		 fd;
};

static struct ipc_room {
	struct list	 dirty;		/* struct channel */
	struct buf	 spare;		/* memory for the next open packet */
	char		*input;		/* PACKETS_AT_ONCE * IPC_PACKET_MAX */
} room;

static void	on_channel(void *ctx, unsigned what);

static void
flush_hook(void *ctx)
{
	(void)ctx;
	channel_flush_all();
}

struct channel *
channel_new(struct loop *loop, int fd, enum role self, enum role peer,
    unsigned side, const struct channel_ops *ops, void *ctx)
{
	struct channel *ch = mem_new(sizeof(*ch));
	int err = fd_nonblock(fd);

	if (err != 0)
		die("channel: descriptor %d: %s", fd, strerror(err));
	if (room.input == NULL) {
		list_init(&room.dirty);
		room.input = mem_new(PACKETS_AT_ONCE * IPC_PACKET_MAX);
	}
	ch->loop = loop;
	ch->fd = fd;
	ch->self = self;
	ch->peer = peer;
	ch->side = side & 1;
	ch->ops = ops;
	ch->ctx = ctx;
	ch->open_fd = -1;
	buf_init(&ch->open, IPC_PACKET_MAX);
	list_init(&ch->queue);
	list_init(&ch->dirty);
	list_init(&ch->talks);
	ch->watch = watch_new(loop, fd, on_channel, ch);
	watch_want(ch->watch, WATCH_READ);
	loop_before_sleep(loop, flush_hook, NULL);
	return ch;
}

void
channel_hold(struct channel *ch)
{
	ch->busy++;
}

void
channel_release(struct channel *ch)
{
	ch->busy--;
	if (!ch->released || ch->busy > 0 || ch->ntalks > 0)
		return;
	timer_free(&ch->timer);
	mem_free(ch->slots);
	mem_free(ch);
}

/* --- out --- */

/* 0, or errno: EAGAIN where it must wait. */
static int
send_packet(struct channel *ch, struct str bytes, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = 0 } };
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(&iov.iov_base, &bytes.p, sizeof(iov.iov_base));
	iov.iov_len = bytes.n;
	if (fd != -1) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	while (sendmsg(ch->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == -1) {
		if (errno == EINTR)
			continue;
		if (errno == ENOBUFS || errno == ENOMEM ||
		    errno == ETOOMANYREFS)
			return EAGAIN;
		return errno;
	}
	return 0;
}

/* Gives the open packet's memory to the next one. */
static void
close_open(struct channel *ch)
{
	fd_close(&ch->open_fd);
	if (ch->open.cap > room.spare.cap) {
		struct buf old = room.spare;

		room.spare = ch->open;
		ch->open = old;
	}
	buf_free(&ch->open);
	buf_init(&ch->open, IPC_PACKET_MAX);
}

static void
drop_output(struct channel *ch)
{
	list_remove(&ch->dirty);
	close_open(ch);
	list_each(l, &ch->queue) {
		struct packet *p = container_of(l, struct packet, link);

		list_remove(l);
		fd_close(&p->fd);
		buf_free(&p->bytes);
		mem_free(p);
	}
	ch->queued = 0;
}

/* The peer's end is closed: reading will say so, after its last words. */
static void
break_output(struct channel *ch, int err)
{
	if (err != EPIPE && err != ECONNRESET) {
		log_error("channel to %s: %s", role_name(ch->peer),
		    strerror(err));
		(void)shutdown(ch->fd, SHUT_RDWR);
	}
	ch->broken = true;
	drop_output(ch);
	watch_want(ch->watch, WATCH_READ);
}

/* Sends the open packet, or lets it wait behind others. */
static void
push(struct channel *ch)
{
	struct packet *p;
	int err = EAGAIN;

	if (ch->open.n == 0)
		return;
	if (list_empty(&ch->queue))
		err = send_packet(ch, buf_view(&ch->open), ch->open_fd);
	if (err == 0) {
		close_open(ch);
		return;
	}
	if (err != EAGAIN) {
		break_output(ch, err);
		return;
	}
	p = mem_new(sizeof(*p));
	p->bytes = ch->open;
	p->fd = ch->open_fd;
	ch->open_fd = -1;
	buf_init(&ch->open, IPC_PACKET_MAX);
	list_append(&ch->queue, &p->link);
	ch->queued += p->bytes.n;
	watch_want(ch->watch, WATCH_READ | WATCH_WRITE);
}

void
channel_put(struct channel *ch, enum msg id, uint32_t talk, const void *msg)
{
	size_t size = ipc_frame_size(id, msg);
	int fd = ipc_fd(id, msg);

	if (!ipc_allowed(id, ch->self, ch->peer))
		die("ipc: %s may not send %s to %s", role_name(ch->self),
		    ipc_name(id), role_name(ch->peer));
	if (size > IPC_PACKET_MAX)
		die("ipc: %s of %zu bytes", ipc_name(id), size);
	if (ch->open.n + size > IPC_PACKET_MAX ||
	    (fd != -1 && ch->open_fd != -1))
		push(ch);
	if (ch->dead || ch->broken) {
		fd_close(&fd);
		return;
	}
	if (ch->open.p == NULL && room.spare.p != NULL) {
		ch->open = room.spare;
		buf_clear(&ch->open);
		buf_init(&room.spare, IPC_PACKET_MAX);
	}
	if (channel_unsent(ch) > IPC_UNSENT_MAX) {
		fd_close(&fd);
		break_output(ch, ENOBUFS);
		return;
	}
	ipc_encode(id, talk, msg, &ch->open, &fd);
	assert(!ch->open.full);
	if (fd != -1)
		ch->open_fd = fd;
	if (list_empty(&ch->dirty))
		list_append(&room.dirty, &ch->dirty);
	if (channel_unsent(ch) > IPC_UNSENT_HIGH)
		ch->high = true;
}

void
channel_send(struct channel *ch, enum msg id, const void *msg)
{
	assert((ipc_flags(id) & SOLO) != 0);
	channel_put(ch, id, 0, msg);
}

size_t
channel_unsent(const struct channel *ch)
{
	return ch->queued + ch->open.n;
}

void
channel_flush(struct channel *ch)
{
	list_remove(&ch->dirty);
	push(ch);
}

void
channel_flush_all(void)
{
	if (room.input == NULL)
		return;
	while (!list_empty(&room.dirty))
		channel_flush(container_of(room.dirty.next, struct channel,
		    dirty));
}

static void
on_writable(struct channel *ch)
{
	while (!list_empty(&ch->queue)) {
		struct packet *p = container_of(ch->queue.next, struct packet,
		    link);
		int err = send_packet(ch, buf_view(&p->bytes), p->fd);

		if (err == EAGAIN)
			break;
		if (err != 0) {
			break_output(ch, err);
			return;
		}
		ch->queued -= p->bytes.n;
		list_remove(&p->link);
		fd_close(&p->fd);
		buf_free(&p->bytes);
		mem_free(p);
	}
	if (list_empty(&ch->queue))
		watch_want(ch->watch, WATCH_READ);
	if (ch->high && channel_unsent(ch) < IPC_UNSENT_HIGH / 2) {
		ch->high = false;
		if (ch->ops->on_drained != NULL)
			ch->ops->on_drained(ch->ctx, ch);
	}
}

/* --- in --- */

/* Closes the socket; what was not sent is lost. */
static void
shut(struct channel *ch)
{
	ch->dead = true;
	drop_output(ch);
	watch_free(&ch->watch);
	fd_close(&ch->fd);
}

/* The peer's end: its owner first, so that nobody chooses it again. */
static void
gone(struct channel *ch, const char *why)
{
	if (ch->dead)
		return;
	shut(ch);
	channel_hold(ch);
	if (ch->ops->on_gone != NULL)
		ch->ops->on_gone(ch->ctx, ch);
	talk_end_all(ch, why);
	channel_release(ch);
}

void
channel_malformed(struct channel *ch, const char *what)
{
	log_warn("malformed message from %s process: %s",
	    role_name(ch->peer), what);
	gone(ch, "peer sent a malformed message");
}

void
channel_free(struct channel **channel)
{
	struct channel *ch = *channel;

	if (ch == NULL)
		return;
	*channel = NULL;
	if (ch->released)
		return;
	channel_hold(ch);
	if (!ch->dead) {
		channel_flush(ch);
		shut(ch);
	}
	ch->released = true;
	talk_end_all(ch, "channel is closed");
	channel_release(ch);
}

static void
read_frames(struct channel *ch, struct str in, int fd)
{
	union any_message msg;
	struct frame frame;

	while (in.n > 0 && !ch->dead) {
		if (ipc_decode(ch->peer, ch->self, &in, &fd, &frame, &msg,
		    sizeof(msg)))
			talk_dispatch(ch, &frame, &msg);
		else
			channel_malformed(ch, "bad frame");
	}
	if (fd == FD_LOST)
		return;
	if (fd != -1 && !ch->dead)
		channel_malformed(ch, "a descriptor that nobody asked for");
	fd_close(&fd);
}

/* The descriptor that came with a packet; more than one are closed. */
static int
packet_fd(struct msghdr *m, bool *extra)
{
	int kept = -1;

	*extra = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	    c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd),
			    sizeof(fd));
			if (kept == -1) {
				kept = fd;
				continue;
			}
			*extra = true;
			fd_close(&fd);
		}
	}
	return kept;
}

static void
read_packet(struct channel *ch, struct mmsghdr *m)
{
	int flags = m->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
	bool extra;
	int fd = packet_fd(&m->msg_hdr, &extra);

	/* A descriptor was sent and none is here: we have too many open. */
	if (flags == MSG_CTRUNC && fd == -1) {
		log_warn("no room for a descriptor from %s",
		    role_name(ch->peer));
		fd = FD_LOST;
		flags = 0;
	}
	if (ch->dead || m->msg_len == 0 || extra || flags != 0) {
		if (fd != FD_LOST)
			fd_close(&fd);
		if (ch->dead)
			return;
		if (m->msg_len != 0)
			channel_malformed(ch, "packet too big");
		else
			gone(ch, "peer is gone");
		return;
	}
	read_frames(ch, (struct str){ m->msg_hdr.msg_iov->iov_base,
	    m->msg_len }, fd);
}

static void
on_readable(struct channel *ch)
{
	struct mmsghdr m[PACKETS_AT_ONCE] = { { .msg_len = 0 } };
	struct iovec iov[PACKETS_AT_ONCE];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control[PACKETS_AT_ONCE];
	int n;

	for (size_t i = 0; i < PACKETS_AT_ONCE; i++) {
		iov[i].iov_base = room.input + i * IPC_PACKET_MAX;
		iov[i].iov_len = IPC_PACKET_MAX;
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_control = &control[i];
		m[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	n = recvmmsg(ch->fd, m, PACKETS_AT_ONCE,
	    MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	/* A dead peer's unread input; its own last packets still wait. */
	if (n == -1 && errno == ECONNRESET)
		n = recvmmsg(ch->fd, m, PACKETS_AT_ONCE,
		    MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			gone(ch, strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++)
		read_packet(ch, &m[i]);
}

static void
on_channel(void *ctx, unsigned what)
{
	struct channel *ch = ctx;

	channel_hold(ch);
	if ((what & WATCH_WRITE) != 0)
		on_writable(ch);
	if ((what & WATCH_READ) != 0 && !ch->dead)
		on_readable(ch);
	channel_release(ch);
}

size_t
channel_talks(const struct channel *ch)
{
	return ch->ntalks;
}

void
channel_leave(struct channel *ch)
{
	if (!ch->leaving)
		channel_put(ch, MSG__LEAVING, 0, NULL);
	ch->leaving = true;
}

bool
channel_parted(const struct channel *ch)
{
	return ch->parted || ch->dead;
}

enum role
channel_peer(const struct channel *ch)
{
	return ch->peer;
}
