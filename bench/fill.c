/*
 * fill - put very many deferred messages into a queue, quickly.
 *
 *   fill -q SPOOL -n MESSAGES [-s BYTES] [-t RECIPIENT] [-w SECONDS]
 *
 * Files as cleanup and qmgr leave them, one failed attempt in each, next try
 * in SECONDS; none is synced. Run it as the queue's owner, Postern stopped.
 */
#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "queue/queue.h"
#include "sys/sys.h"

#define HEADERS "Received: from client.test (localhost [127.0.0.1])\r\n" \
	"\tby mx.example.test (Postern) with ESMTP id 4F2A1\r\n" \
	"From: sender@client.test\r\nSubject: fill\r\n\r\n"

static struct queue_attr attrs[] = {
	{ { "client_name", 11 }, { "localhost", 9 } },
	{ { "client_addr", 11 }, { "127.0.0.1", 9 } },
	{ { "client_port", 11 }, { "40000", 5 } },
	{ { "helo", 4 }, { "client.test", 11 } },
	{ { "protocol", 8 }, { "ESMTP", 5 } },
};

static void
must(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "fill: %s: %s\n", what, strerror(err));
	exit(1);
}

static void
one(struct queue *q, struct str body, struct str to, int64_t due_s)
{
	struct queue_rcpt rcpt = { .address = to };
	struct queue_message m = { .arrival_us = clock_wall_us(),
		.sender = STR("sender@client.test"), .attrs = attrs,
		.nattrs = nitems(attrs), .rcpts = &rcpt, .nrcpts = 1 };
	struct queue_event e = { .status = RCPT_DEFERRED,
		.time_s = clock_wall_s(), .dsn = STR("4.3.2"),
		.text = STR("deferred transport"), .transport = STR("smtp") };
	const struct timespec due[2] = { { due_s, 0 }, { due_s, 0 } };
	struct queue_writer *w = queue_writer_new(q, Q_INCOMING);
	char id[QUEUE_ID_MAX];
	int fd;

	must(w == NULL ? errno : 0, "new");
	snprintf(id, sizeof(id), "%s", queue_writer_id(w));
	must(queue_write_body(w, body), "body");
	must(queue_write_rest(w, STR(HEADERS), &m), "rest");
	fd = queue_writer_keep(&w);
	must(queue_journal(fd, &e, 1), "journal");
	must(futimens(fd, due) != 0 ? errno : 0, "time");
	close(fd);
	must(queue_move(q, id, Q_INCOMING, Q_DEFERRED), "move");
}

int
main(int argc, char **argv)
{
	const char *spool = NULL, *to = "x@deferred.test", *bad = "queue";
	long n = 1000, size = 2000, wait = 3600;
	struct queue q;
	char *body;
	int c;

	while ((c = getopt(argc, argv, "q:n:s:t:w:")) != -1)
		switch (c) {
		case 'q': spool = optarg; break;
		case 'n': n = atol(optarg); break;
		case 's': size = atol(optarg); break;
		case 't': to = optarg; break;
		case 'w': wait = atol(optarg); break;
		default: return 2;
		}
	if (spool == NULL || (body = malloc((size_t)size + 80)) == NULL)
		return 2;
	for (long i = 0; i < size + 78; i++)
		body[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : 'x';
	must(queue_open(&q, spool, STR("deferred, defer"), 1, &bad), bad);
	for (long i = 0; i < n; i++)
		one(&q, (struct str){ body, (size_t)(size / 78 + 1) * 78 },
		    str_of(to), clock_wall_s() + wait);
	queue_close(&q);
	return 0;
}
