/*
 * wire - packets to name servers and back: UDP, TCP when a reply is cut,
 * repeats, ids, ports. c-ares lives here alone; its own cache is off, and it
 * reads no record: packet.c does.
 *
 * Nothing of c-ares is destroyed from within one of its callbacks.
 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "address/address.h"
#include "dns/build.h"
#include "dns/serve.h"
#include "sys/sys.h"

#define IDLE_MS		500	/* at least: c-ares says when it wants time */

struct dns_wire {
	ares_channel	channel;
	struct loop    *loop;
	struct timer   *timer;
	struct list	watches;	/* struct socket_watch */
	size_t		pending;
	bool		local, ready;
};
struct socket_watch {
	struct list	 link;
	struct dns_wire *wire;
	struct watch	*watch;
	ares_socket_t	 fd;
};
struct sent {
	struct dns_wire	*wire;
	void		(*fn)(void *ctx, struct str reply);
	void		*ctx;
};

static void	on_state(void *ctx, ares_socket_t, int readable, int writable);
static void	on_ready(void *ctx, unsigned what);
static void	on_time(void *ctx);
static bool	set_servers(struct dns_wire *, struct str, struct buf *why);
static bool	all_local(struct dns_wire *);

/* --- sockets: ours, so that the sandbox need not allow c-ares' habits --- */

static ares_socket_t
open_socket(int family, int type, int protocol, void *ctx)
{
	(void)ctx;
	return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int
close_socket(ares_socket_t fd, void *ctx)
{
	(void)ctx;
	return close(fd);
}

static int
connect_socket(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t n,
    void *ctx)
{
	(void)ctx;
	return connect(fd, to, n);
}

static ares_ssize_t
receive(ares_socket_t fd, void *out, size_t n, int flags,
    struct sockaddr *from, ares_socklen_t *length, void *ctx)
{
	(void)ctx;
	return recvfrom(fd, out, n, flags, from, length);
}

static ares_ssize_t
send_all(ares_socket_t fd, const struct iovec *v, int n, void *ctx)
{
	(void)ctx;
	return writev(fd, v, n);
}

static const struct ares_socket_functions socket_functions = {
	open_socket, close_socket, connect_socket, receive, send_all,
};

struct dns_wire *
dns_wire_open(const struct dns_wire_conf *conf, struct buf *why)
{
	struct dns_wire *w = mem_new(sizeof(*w));
	struct ares_options o = { 0 };
	int mask, status;

	list_init(&w->watches);
	o.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
	o.ednspsz = 1232;		/* what packet.c asks for */
	o.timeout = (int)conf->timeout_ms;
	o.tries = (int)conf->tries;
	o.sock_state_cb = on_state;
	o.sock_state_cb_data = w;
	mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS |
	    ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	mask |= WIRE_NO_CACHE(&o);
	mask |= WIRE_NEW_PORT(&o);
	status = ares_library_init(ARES_LIB_INIT_ALL);
	if (status == ARES_SUCCESS)
		status = ares_init_options(&w->channel, &o, mask);
	if (status != ARES_SUCCESS) {
		buf_printf(why, "c-ares: %s", ares_strerror(status));
		mem_free(w);
		return NULL;
	}
	w->ready = true;
	ares_set_socket_functions(w->channel, &socket_functions, w);
	if (!set_servers(w, conf->servers, why)) {
		dns_wire_free(&w);
		return NULL;
	}
	w->local = all_local(w);
	return w;
}

/* "192.0.2.1", "192.0.2.1:53", "[::1]", "[::1]:53", "::1". */
static bool
is_server(struct str s)
{
	uint8_t addr[16];
	uint64_t port;
	size_t end = str_rchr(s, ':');

	if (ip_parse(s, addr) != 0)
		return true;
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		end = s.n;
	else if (end == s.n || !str_number(str_from(s, end + 1), &port) ||
	    port < 1 || port > UINT16_MAX)
		return false;
	s = str_first(s, end);
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return ip_parse(str_first(str_from(s, 1), s.n - 2), addr) ==
		    AF_INET6;
	return ip_parse(s, addr) == AF_INET;
}

static bool
set_servers(struct dns_wire *w, struct str list, struct buf *why)
{
	struct str rest = list, one;
	struct buf csv;
	int status = ARES_SUCCESS;

	buf_init(&csv, 4096);
	while (str_token(&rest, ", \t\r\n", &one)) {
		if (!is_server(one))
			status = ARES_EBADSTR;
		if (csv.n > 0)
			buf_putc(&csv, ',');
		buf_str(&csv, one);
	}
	if (csv.n > 0 && status == ARES_SUCCESS)
		status = ares_set_servers_ports_csv(w->channel,
		    buf_cstr(&csv));
	buf_free(&csv);
	if (status == ARES_SUCCESS)
		return true;
	buf_printf(why, STRF ": %s; give addresses as 127.0.0.1, "
	    "127.0.0.1:5353, [::1]:5353", STRV(list), ares_strerror(status));
	return false;
}

static bool
all_local(struct dns_wire *w)
{
	static const uint8_t one[16] = { [15] = 1 };
	struct ares_addr_port_node *all = NULL;
	bool local;

	if (ares_get_servers_ports(w->channel, &all) != ARES_SUCCESS)
		return false;
	local = all != NULL;
	for (struct ares_addr_port_node *s = all; s != NULL; s = s->next) {
		const uint8_t *addr = (const void *)&s->addr;

		local = local && (s->family == AF_INET ? addr[0] == 127 :
		    s->family == AF_INET6 &&
		    memcmp(addr, one, sizeof(one)) == 0);
	}
	ares_free_data(all);
	return local;
}

void
dns_wire_free(struct dns_wire **wp)
{
	struct dns_wire *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	if (w->ready)
		ares_destroy(w->channel);
	timer_free(&w->timer);
	list_each(l, &w->watches) {
		struct socket_watch *s =
		    container_of(l, struct socket_watch, link);

		list_remove(l);
		watch_free(&s->watch);
		mem_free(s);
	}
	ares_library_cleanup();
	mem_free(w);
}

bool
dns_wire_is_local(const struct dns_wire *w)
{
	return w->local;
}

void
dns_wire_start(struct dns_wire *w, struct loop *loop)
{
	w->loop = loop;
	w->timer = timer_new(loop, on_time, w);
}

/* --- c-ares and the loop --- */

/* Called from within c-ares for each socket, (0, 0) before it closes one. */
static void
on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct dns_wire *w = ctx;
	struct socket_watch *s = NULL;

	list_each(l, &w->watches) {
		s = container_of(l, struct socket_watch, link);
		if (s->fd == fd)
			break;
		s = NULL;
	}
	if (!readable && !writable) {
		if (s == NULL)
			return;
		list_remove(&s->link);
		watch_free(&s->watch);
		mem_free(s);
		return;
	}
	if (s == NULL) {
		s = mem_new(sizeof(*s));
		s->wire = w;
		s->fd = fd;
		s->watch = watch_new(w->loop, fd, on_ready, s);
		list_append(&w->watches, &s->link);
	}
	watch_want(s->watch, (readable ? WATCH_READ : 0U) |
	    (writable ? WATCH_WRITE : 0U));
}

static void
arm(struct dns_wire *w)
{
	struct timeval tv, most = { .tv_usec = IDLE_MS * 1000 };
	int64_t ms;

	if (w->pending == 0) {
		timer_cancel(w->timer);
		return;
	}
	tv = *ares_timeout(w->channel, &most, &tv);
	ms = (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000;
	timer_set(w->timer, ms + 1);
}

static void
on_ready(void *ctx, unsigned what)
{
	struct socket_watch *s = ctx;
	struct dns_wire *w = s->wire;
	ares_socket_t fd = s->fd;	/* s may go meanwhile */

	ares_process_fd(w->channel, what & WATCH_READ ? fd : ARES_SOCKET_BAD,
	    what & WATCH_WRITE ? fd : ARES_SOCKET_BAD);
	arm(w);
}

static void
on_time(void *ctx)
{
	struct dns_wire *w = ctx;

	ares_process_fd(w->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(w);
}

static void
on_reply(void *ctx, int status, int timeouts, unsigned char *packet, int n)
{
	struct sent *sent = ctx;

	(void)status;			/* the packet's own code is read */
	(void)timeouts;
	sent->wire->pending--;
	sent->fn(sent->ctx, packet != NULL && n > 0 ?
	    (struct str){ (char *)packet, (size_t)n } : STR(""));
	mem_free(sent);
}

void
dns_wire_send(struct dns_wire *w, struct str packet,
    void (*fn)(void *ctx, struct str reply), void *ctx)
{
	struct sent *sent = mem_new(sizeof(*sent));

	*sent = (struct sent){ w, fn, ctx };
	w->pending++;
	ares_send(w->channel, (const unsigned char *)packet.p, (int)packet.n,
	    on_reply, sent);
	arm(w);
}
