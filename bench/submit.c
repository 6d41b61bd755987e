/*
 * submit - load for the submission port: connections with STARTTLS and AUTH
 * PLAIN, a message each, from several processes.
 *
 *   submit -p PORT -n MESSAGES -c PROCESSES -u USER -w PASSWORD -t RCPT
 *          [-s BYTES] [-R]
 *
 * Prints "ACCEPTED SECONDS". Sessions are new: no ticket is used again; with
 * -R all but the first of each process are resumed. Exit 1 where one was
 * refused, or not resumed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct load {
	int	    port, messages, processes, bytes, resume;
	const char *user, *password, *to;
	char	   *content;
	char	    auth[1024];		/* "AUTH PLAIN ..." */
};

struct wire { int fd; SSL *ssl; char in[8192]; size_t n; };

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
out(struct wire *w, const char *text, size_t n)
{
	if (w->ssl != NULL)
		return SSL_write(w->ssl, text, (int)n) == (int)n;
	return write(w->fd, text, n) == (ssize_t)n;
}

/* One whole reply; its code. 0: there is none. */
static int
reply(struct wire *w)
{
	char *line = w->in, *end;
	long got;
	int code;

	for (;;) {
		end = memchr(line, '\n', (size_t)(w->in + w->n - line));
		if (end != NULL && line[3] != '-') {
			code = (int)strtol(line, NULL, 10);
			w->n -= (size_t)(end + 1 - w->in);
			memmove(w->in, end + 1, w->n);
			return code;
		}
		if (end != NULL) {
			line = end + 1;
			continue;
		}
		if (w->n == sizeof(w->in))
			return 0;
		got = w->ssl != NULL ? SSL_read(w->ssl, w->in + w->n,
		    (int)(sizeof(w->in) - w->n)) : read(w->fd, w->in + w->n,
		    sizeof(w->in) - w->n);
		if (got <= 0)
			return 0;
		w->n += (size_t)got;
	}
}

static int
say(struct wire *w, const char *line, int want)
{
	return out(w, line, strlen(line)) && reply(w) / 100 == want;
}

static int
dial(int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One connection, one message: 1 where it was accepted. */
static int
submit(const struct load *l, SSL_CTX *ctx, SSL_SESSION **session)
{
	struct wire w = { .fd = dial(l->port) };
	char from[600], rcpt[600];
	int ok = 0;

	if (w.fd < 0)
		return 0;
	snprintf(from, sizeof(from), "MAIL FROM:<%s>\r\n", l->user);
	snprintf(rcpt, sizeof(rcpt), "RCPT TO:<%s>\r\n", l->to);
	if (reply(&w) == 220 && say(&w, "EHLO load.test\r\n", 2) &&
	    say(&w, "STARTTLS\r\n", 2)) {
		w.ssl = SSL_new(ctx);
		SSL_set_fd(w.ssl, w.fd);
		if (*session != NULL)
			SSL_set_session(w.ssl, *session);
		ok = SSL_connect(w.ssl) == 1 &&
		    (*session == NULL || SSL_session_reused(w.ssl)) &&
		    say(&w, "EHLO load.test\r\n", 2) && say(&w, l->auth, 2) &&
		    say(&w, from, 2) && say(&w, rcpt, 2) &&
		    say(&w, "DATA\r\n", 3) &&
		    out(&w, l->content, strlen(l->content)) &&
		    reply(&w) == 250;
		if (ok)
			(void)say(&w, "QUIT\r\n", 2);
		if (ok && l->resume) {
			SSL_SESSION_free(*session);
			*session = SSL_get1_session(w.ssl);
			SSL_set_shutdown(w.ssl, SSL_SENT_SHUTDOWN);
		}
		SSL_free(w.ssl);
	}
	close(w.fd);
	return ok;
}

static int
work(const struct load *l, SSL_CTX *ctx, int share)
{
	SSL_SESSION *session = NULL;
	int n = 0;

	while (n < share && submit(l, ctx, &session))
		n++;
	SSL_SESSION_free(session);
	return n;
}

static void
prepare(struct load *l)
{
	char clear[512], coded[700];
	size_t a = strlen(l->user), b = strlen(l->password), at;

	clear[0] = '\0';
	memcpy(clear + 1, l->user, a + 1);
	memcpy(clear + a + 2, l->password, b);
	EVP_EncodeBlock((unsigned char *)coded, (unsigned char *)clear,
	    (int)(a + b + 2));
	snprintf(l->auth, sizeof(l->auth), "AUTH PLAIN %s\r\n", coded);
	l->content = malloc((size_t)l->bytes + 200);
	at = (size_t)sprintf(l->content, "Subject: load\r\n\r\n");
	while (at < (size_t)l->bytes)
		at += (size_t)sprintf(l->content + at, "A line of text that is "
		    "sixty bytes long, or very nearly so.\r\n");
	strcpy(l->content + at, ".\r\n");
}

int
main(int argc, char **argv)
{
	struct load l = { .messages = 100, .processes = 4, .bytes = 4096 };
	int *done, total = 0, c;
	SSL_CTX *ctx;
	double start;

	while ((c = getopt(argc, argv, "p:n:c:u:w:t:s:R")) != -1)
		switch (c) {
		case 'p': l.port = atoi(optarg); break;
		case 'n': l.messages = atoi(optarg); break;
		case 'c': l.processes = atoi(optarg); break;
		case 's': l.bytes = atoi(optarg); break;
		case 'u': l.user = optarg; break;
		case 'w': l.password = optarg; break;
		case 't': l.to = optarg; break;
		case 'R': l.resume = 1; break;
		default: return 2;
		}
	if (l.user == NULL || l.password == NULL || l.to == NULL ||
	    l.processes < 1 || l.processes > 1000 ||
	    strlen(l.user) + strlen(l.password) > 400)
		return 2;
	prepare(&l);
	done = mmap(NULL, 1000 * sizeof(*done), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Once, for all: reading OpenSSL's configuration is no load. */
	ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	start = now();
	for (int i = 0; i < l.processes; i++)
		if (fork() == 0) {
			done[i] = work(&l, ctx, l.messages / l.processes +
			    (i < l.messages % l.processes));
			_exit(0);
		}
	while (wait(NULL) > 0)
		continue;
	for (int i = 0; i < l.processes; i++)
		total += done[i];
	SSL_CTX_free(ctx);
	printf("%d %.4f\n", total, now() - start);
	return total == l.messages ? 0 : 1;
}
