/*
 * sink - takes SMTP from many clients, as fast as can be, and forgets it.
 *
 *	sink -p port -f file
 *
 * One process, one epoll. file holds two numbers of 64 bits, for whoever maps
 * it: messages and recipients taken. Offers PIPELINING, SIZE, 8BITMIME and
 * (-b) CHUNKING. For bench/run alone: it believes whatever it is told.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct client {
	int	 fd, data;
	unsigned end;			/* bytes of CRLF.CRLF that were seen */
	size_t	 chunk;			/* bytes of BDAT to come */
	int	 last;
	unsigned rcpts;
	size_t	 n;
	char	 line[2048];
};

static volatile uint64_t *count;
static int chunking;
static char out[1 << 20];
static size_t out_n;

static void
say(const char *text)
{
	size_t n = strlen(text);

	if (out_n + n > sizeof(out))
		errx(1, "replies are too many");
	memcpy(out + out_n, text, n);
	out_n += n;
}

static void
taken(struct client *c)
{
	count[0]++;
	count[1] += c->rcpts;
	c->rcpts = 0;
	say("250 2.0.0 Ok: taken\r\n");
}

/* 0: goodbye. */
static int
command(struct client *c, char *line)
{
	if (strncasecmp(line, "EHLO", 4) == 0)
		say(chunking ? "250-sink\r\n250-PIPELINING\r\n250-SIZE\r\n"
		    "250-CHUNKING\r\n250 8BITMIME\r\n" :
		    "250-sink\r\n250-PIPELINING\r\n250-SIZE\r\n"
		    "250 8BITMIME\r\n");
	else if (strncasecmp(line, "MAIL", 4) == 0)
		say("250 2.1.0 Ok\r\n");
	else if (strncasecmp(line, "RCPT", 4) == 0) {
		c->rcpts++;
		say("250 2.1.5 Ok\r\n");
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		c->data = 1;
		c->end = 2;
		say("354 go on\r\n");
	} else if (strncasecmp(line, "BDAT", 4) == 0) {
		c->chunk = strtoul(line + 5, NULL, 10);
		c->last = strstr(line, "LAST") != NULL;
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		say("221 2.0.0 Bye\r\n");
		return 0;
	} else
		say("250 2.0.0 Ok\r\n");
	return 1;
}

/* Bytes up to and with the end of DATA, or all. */
static size_t
content(struct client *c, const char *p, size_t n)
{
	static const char mark[] = "\r\n.\r\n";
	size_t i = 0;

	while (i < n) {
		if (c->end == 0) {		/* to the next CR at once */
			const char *cr = memchr(p + i, '\r', n - i);

			if (cr == NULL)
				return n;
			i = (size_t)(cr - p);
		}
		if (p[i] == mark[c->end])
			c->end++;
		else
			c->end = p[i] == '\r';
		i++;
		if (c->end == 5) {
			c->data = 0;
			taken(c);
			return i;
		}
	}
	return n;
}

static int
input(struct client *c, char *p, size_t n)
{
	while (n > 0) {
		size_t used;
		char *nl;

		if (c->data)
			used = content(c, p, n);
		else if (c->chunk > 0) {
			used = n < c->chunk ? n : c->chunk;
			c->chunk -= used;
			if (c->chunk == 0 && c->last)
				taken(c);
			else if (c->chunk == 0)
				say("250 2.0.0 Ok\r\n");
		} else {
			nl = memchr(p, '\n', n);
			used = nl == NULL ? n : (size_t)(nl - p) + 1;
			if (c->n + used >= sizeof(c->line))
				return 0;
			memcpy(c->line + c->n, p, used);
			c->n += used;
			if (nl != NULL) {
				c->line[c->n] = '\0';
				c->n = 0;
				if (!command(c, c->line))
					return 0;
			}
		}
		p += used;
		n -= used;
	}
	return 1;
}

static int
serve(struct client *c)
{
	static char in[1 << 18];
	ssize_t n = read(c->fd, in, sizeof(in));
	int goes_on;

	if (n <= 0)
		return 0;
	out_n = 0;
	goes_on = input(c, in, (size_t)n);
	if (out_n > 0 && write(c->fd, out, out_n) != (ssize_t)out_n)
		return 0;
	return goes_on;
}

static int
listen_at(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_ANY) } };
	int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(s, 4096) != 0)
		err(1, "port %d", port);
	return s;
}

static void
loop(int listener)
{
	struct epoll_event e = { .events = EPOLLIN, .data = { .ptr = NULL } };
	struct epoll_event got[64];
	int ep = epoll_create1(0), on = 1;

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
	for (;;) {
		int n = epoll_wait(ep, got, 64, -1);

		for (int i = 0; i < n; i++) {
			struct client *c = got[i].data.ptr;

			if (c == NULL) {
				c = calloc(1, sizeof(*c));
				c->fd = accept(listener, NULL, NULL);
				setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY,
				    &on, sizeof(on));
				e.data.ptr = c;
				epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
				(void)!write(c->fd, "220 sink ESMTP\r\n", 16);
			} else if (!serve(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}

int
main(int argc, char **argv)
{
	int opt, port = 0, fd = -1;

	while ((opt = getopt(argc, argv, "p:f:b")) != -1) {
		if (opt == 'p')
			port = (int)strtol(optarg, NULL, 10);
		else if (opt == 'f')
			fd = open(optarg, O_RDWR | O_CREAT, 0644);
		else if (opt == 'b')
			chunking = 1;
	}
	if (fd < 0 || ftruncate(fd, 16) != 0)
		err(1, "-f");
	count = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (count == MAP_FAILED)
		err(1, "mmap");
	loop(listen_at(port));
	return 0;
}
