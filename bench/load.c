/*
 * load - a crowd of SMTP clients in one process, for measuring a server.
 *
 *   load -p PORT -c CLIENTS -n MESSAGES [-s SIZE] [-r RECIPIENTS] [-k]
 *        [-d DOMAINS] [-u USERS] [-t ADDRESS] [-i]
 *
 * -k keeps connections for many messages; else each message has its own.
 * -r sends each message to that many recipients (N+ADDRESS); with -d to
 * r0@d0.test, r1@d1.test ... of that many domains. -u: ADDRESS has a number
 * behind its name, each message the next of USERS. -i opens the
 * connections, says EHLO, prints "idle" and waits for end of input.
 * Prints "MESSAGES SECONDS": accepted, first connect to last 250.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum step { GREETING, HELLO, MAIL, RCPT, DATA, CONTENT, QUIT };

struct client { int fd; enum step step; int rcpt; char in[4096]; size_t n;
	size_t sent; };

struct load {
	int	    port, clients, messages, recipients, domains, epoll;
	int	    users, sent;	/* -u: one after the other */
	int	    started, accepted, refused;
	bool	    keep, idle;
	size_t	    size;
	const char *to;
	char	   *content;
	size_t	    content_len;
	int	    ready;
};

static void
fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
dial(struct load *l, struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)l->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (void *)&to, sizeof(to)) != 0)
		fail("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->step = GREETING;
	c->n = 0;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
		fail("epoll_ctl");
}

static void
say(struct client *c, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t w = send(c->fd, text, n, MSG_NOSIGNAL);

		if (w < 0)
			fail("send");
		text += w;
		n -= (size_t)w;
	}
}

static void
say_line(struct client *c, enum step next, const char *line)
{
	c->step = next;
	say(c, line, strlen(line));
}

/* The next message, or the end of this client. */
static void
next_message(struct load *l, struct client *c)
{
	if (l->started == l->messages) {
		say_line(c, QUIT, "QUIT\r\n");
		return;
	}
	l->started++;
	c->rcpt = 0;
	say_line(c, MAIL, "MAIL FROM:<load@elsewhere.test>\r\n");
}

static void
say_rcpt(struct load *l, struct client *c)
{
	char line[512];

	if (l->domains > 0)
		snprintf(line, sizeof(line), "RCPT TO:<r%d@d%d.test>\r\n",
		    c->rcpt, c->rcpt % l->domains);
	else if (l->users > 0)
		snprintf(line, sizeof(line), "RCPT TO:<%.*s%d%s>\r\n",
		    (int)strcspn(l->to, "@"), l->to, l->sent++ % l->users,
		    strchr(l->to, '@'));
	else if (l->recipients == 1)
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", l->to);
	else
		snprintf(line, sizeof(line), "RCPT TO:<%.*s+%d%s>\r\n",
		    (int)strcspn(l->to, "@"), l->to, c->rcpt,
		    strchr(l->to, '@'));
	c->rcpt++;
	say_line(c, RCPT, line);
}

static void
hang_up(struct load *l, struct client *c)
{
	close(c->fd);
	c->fd = -1;
	if (l->started < l->messages)
		dial(l, c);
}

static void
on_reply(struct load *l, struct client *c, const char *line)
{
	bool ok = line[0] == '2' || line[0] == '3';

	if (!ok) {
		if (l->refused++ == 0)
			fprintf(stderr, "load: %s\n", line);
		if (c->step == CONTENT || c->step == MAIL) {
			say_line(c, QUIT, "QUIT\r\n");
			return;
		}
	}
	switch (c->step) {
	case GREETING:
		say_line(c, HELLO, "EHLO client.test\r\n");
		break;
	case HELLO:
		if (l->idle) {
			l->ready++;
			break;
		}
		next_message(l, c);
		break;
	case MAIL:
		say_rcpt(l, c);
		break;
	case RCPT:
		if (c->rcpt < l->recipients)
			say_rcpt(l, c);
		else
			say_line(c, DATA, "DATA\r\n");
		break;
	case DATA:
		c->step = CONTENT;
		say(c, l->content, l->content_len);
		break;
	case CONTENT:
		l->accepted++;
		if (l->keep)
			next_message(l, c);
		else
			say_line(c, QUIT, "QUIT\r\n");
		break;
	case QUIT:
		hang_up(l, c);
		break;
	}
}

static void
on_input(struct load *l, struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->n, sizeof(c->in) - 1 - c->n, 0);
	char *line, *end;

	if (n <= 0) {
		if (c->step != QUIT)
			fprintf(stderr, "load: connection lost\n");
		hang_up(l, c);
		return;
	}
	c->n += (size_t)n;
	c->in[c->n] = '\0';
	for (line = c->in; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
		*end = '\0';
		if (end - line > 3 && line[3] == '-')
			continue;
		on_reply(l, c, line);
		if (c->fd < 0 || c->step == GREETING)
			return;
	}
	c->n = strlen(line);
	memmove(c->in, line, c->n + 1);
}

static void
make_content(struct load *l)
{
	static const char head[] = "From: load@elsewhere.test\r\n"
	    "To: reader@example.test\r\nSubject: load\r\n"
	    "Message-ID: <load@elsewhere.test>\r\n"
	    "Date: Sun, 22 Nov 2026 06:00:00 +0000\r\n\r\n";
	static const char line[] = "The quick brown fox jumps over the lazy "
	    "dog, again and again and again.\r\n";
	size_t n = sizeof(head) - 1;

	l->content = malloc(l->size + sizeof(head) + sizeof(line) + 8);
	if (l->content == NULL)
		fail("malloc");
	memcpy(l->content, head, n);
	while (n < l->size) {
		memcpy(l->content + n, line, sizeof(line) - 1);
		n += sizeof(line) - 1;
	}
	memcpy(l->content + n, ".\r\n", 3);
	l->content_len = n + 3;
}

static void
options(struct load *l, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "p:c:n:s:r:d:t:u:ki")) != -1) {
		long v = optarg != NULL ? strtol(optarg, NULL, 10) : 0;

		switch (c) {
		case 'p': l->port = (int)v; break;
		case 'c': l->clients = (int)v; break;
		case 'n': l->messages = (int)v; break;
		case 's': l->size = (size_t)v; break;
		case 'r': l->recipients = (int)v; break;
		case 'd': l->domains = (int)v; break;
		case 't': l->to = optarg; break;
		case 'u': l->users = (int)v; break;
		case 'k': l->keep = true; break;
		case 'i': l->idle = true; break;
		default: exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	struct load l = { .port = 25, .clients = 20, .messages = 1000,
		.recipients = 1, .size = 4096, .to = "ann@example.test" };
	struct epoll_event events[64];
	struct client *clients;
	double start;
	int open;

	options(&l, argc, argv);
	make_content(&l);
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc((size_t)l.clients, sizeof(*clients));
	if (l.epoll < 0 || clients == NULL)
		fail("start");
	start = now();
	for (int i = 0; i < l.clients; i++)
		dial(&l, &clients[i]);
	for (;;) {
		int n = epoll_wait(l.epoll, events, 64, 30000);

		if (n <= 0)
			fail("epoll_wait: 30 s without a reply");
		for (int i = 0; i < n; i++)
			on_input(&l, events[i].data.ptr);
		if (l.idle && l.ready == l.clients) {
			printf("idle\n");
			fflush(stdout);
			while (getchar() != EOF)
				;
			return 0;
		}
		open = 0;
		for (int i = 0; i < l.clients; i++)
			open += clients[i].fd >= 0;
		if (open == 0 || l.accepted == l.messages)
			break;
	}
	printf("%d %.3f\n", l.accepted, now() - start);
	return l.accepted == l.messages ? 0 : 1;
}
