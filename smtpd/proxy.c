/*
 * proxy - a client behind a proxy: the PROXY protocol's header before SMTP
 * (smtpd_upstream_proxy_protocol = haproxy).
 *
 * Just the header is read off the socket, since what follows may be TLS; then
 * a session begins with the client that it names. Without a header, with a
 * bad one, or from an address that is no proxy of ours, the connection is
 * closed without a word.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd/smtpd.h"

#define SAFE_BYTES	12	/* no header is shorter: 2.1's has 15 */
#define BINARY_HEAD	16

struct proxied {
	struct list	 link;
	struct smtpd	*smtpd;
	struct sockaddr_storage from;
	int		 fd;
	struct watch	*watch;
	struct timer	*timer;
	char		 addr[INET6_ADDRSTRLEN];
	char		 bytes[PROXY_HEADER_MAX];
	size_t		 n;
};

static void	on_readable(void *ctx, unsigned what);
static void	on_timeout(void *ctx);
static void	begin(struct proxied *, const struct proxy_header *);
static void	give_up(struct proxied *, const char *why);
static void	forget(struct proxied *);

void
proxy_open(struct smtpd *d, struct problems *p)
{
	struct str name = d->conf.smtpd_upstream_proxy_protocol;

	if (name.n > 0 && !str_eq(name, STR("haproxy")))
		problem_add(p, true, NULL, 0, "smtpd_upstream_proxy_protocol: "
		    "unknown protocol " STRF ": say haproxy", STRV(name));
}

bool
proxy_accept(struct smtpd *d, int fd, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	struct proxied *p;

	if (d->conf.smtpd_upstream_proxy_protocol.n == 0)
		return false;
	p = mem_new(sizeof(*p));
	p->smtpd = d;
	p->from = *from;
	p->fd = fd;
	list_append(&d->proxied, &p->link);
	inet_ntop(from->ss_family, from->ss_family == AF_INET6 ?
	    (const void *)&in6->sin6_addr : &in->sin_addr, p->addr,
	    sizeof(p->addr));
	if (match_list_addr(d->proxy_hosts, STR("unknown"),
	    str_of(p->addr)) != FOUND) {
		give_up(p, "no proxy of ours (smtpd_authorized_proxy_hosts)");
		return true;
	}
	p->watch = watch_new(d->loop, fd, on_readable, p);
	watch_want(p->watch, WATCH_READ);
	p->timer = timer_new(d->loop, on_timeout, p);
	timer_set(p->timer, d->conf.smtpd_upstream_proxy_timeout * 1000);
	return true;
}

/* How many more bytes are the header's for sure. */
static size_t
wanted(const struct proxied *p)
{
	const uint8_t *b = (const void *)p->bytes;
	size_t whole;

	if (p->n < SAFE_BYTES)
		return SAFE_BYTES - p->n;
	if (p->bytes[0] == 'P')
		return 1;
	if (p->n < BINARY_HEAD)
		return BINARY_HEAD - p->n;
	whole = BINARY_HEAD + ((size_t)b[14] << 8 | b[15]);
	return whole > p->n && whole <= sizeof(p->bytes) ? whole - p->n : 1;
}

static void
on_readable(void *ctx, unsigned what)
{
	struct proxied *p = ctx;
	struct proxy_header h;
	ssize_t got;

	(void)what;
	for (;;) {
		if (p->n == sizeof(p->bytes)) {
			give_up(p, "bad header");
			return;
		}
		got = recv(p->fd, p->bytes + p->n, wanted(p), 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			give_up(p, "EOF");
			return;
		}
		p->n += (size_t)got;
		switch (proxy_header_read((struct str){ p->bytes, p->n }, &h)) {
		case PROXY_MORE:
			continue;
		case PROXY_BAD:
			give_up(p, "bad header");
			return;
		case PROXY_LOCAL:
		case PROXY_CLIENT:
			begin(p, &h);
			return;
		}
	}
}

static void
begin(struct proxied *p, const struct proxy_header *h)
{
	struct sockaddr_storage from = p->from;
	struct sockaddr_in *in4 = (void *)&from;
	struct sockaddr_in6 *in6 = (void *)&from;
	struct smtpd *d = p->smtpd;
	struct session *s;
	int fd = p->fd;

	if (h->client[0] != '\0') {
		memset(&from, 0, sizeof(from));
		if (inet_pton(AF_INET, h->client, &in4->sin_addr) == 1) {
			in4->sin_family = AF_INET;
			in4->sin_port = htons((uint16_t)h->client_port);
		} else {
			(void)inet_pton(AF_INET6, h->client, &in6->sin6_addr);
			in6->sin6_family = AF_INET6;
			in6->sin6_port = htons((uint16_t)h->client_port);
		}
	}
	p->fd = -1;
	forget(p);
	s = session_new(d, fd, &from);
	if (h->server[0] != '\0') {
		s->server_addr = arena_str(s->arena, str_of(h->server));
		s->server_port = str_of(arena_printf(s->arena, "%u",
		    h->server_port));
	}
}

static void
on_timeout(void *ctx)
{
	give_up(ctx, "timeout");
}

static void
give_up(struct proxied *p, const char *why)
{
	log_warn("haproxy read: %s: [%s]", why, p->addr);
	forget(p);
}

static void
forget(struct proxied *p)
{
	list_remove(&p->link);
	watch_free(&p->watch);
	timer_free(&p->timer);
	fd_close(&p->fd);
	mem_free(p);
}

void
proxy_stop(struct smtpd *d)
{
	list_each(l, &d->proxied)
		forget(container_of(l, struct proxied, link));
}
