/*
 * smtp - the client's whole session with a server that says anything.
 *
 * The input: an option byte; then what the server says, in pieces cut where
 * byte 0xfe stands, each said when the client rests. However it goes on: each
 * recipient has its result, sent only after a 2xx, and all memory is back.
 */
#include <sys/socket.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/internal.h"
#include "smtp/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { LMTP = 1 << 0, MANY = 1 << 1, EIGHT_BIT = 1 << 2, UTF8 = 1 << 3,
	KEEPS = 1 << 4, SECOND = 1 << 5 };

static struct world {		/* made once, used by all runs */
	struct smtp	   smtp[2];	/* as smtp, as lmtp */
	struct service	   service[2];
	struct service_def def[2];
	struct loop	  *loop;
	struct timer	  *tick;
	int		   message;
	/* this run: */
	struct smtp	  *s;
	struct str	   rest;	/* not said yet */
	int		   server;	/* our end; -1: closed */
	unsigned	   rests, options;
} w;

static const char content[] = ".dot\r\n\xc3\xa9\r\nlast\r\n"
    "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\n";
#define BODY_LEN 16

/* What the client has sent is of no interest here. */
static void
swallow(void)
{
	char block[65536];

	while (w.server >= 0 && recv(w.server, block, sizeof(block),
	    MSG_DONTWAIT) > 0)
		continue;
}

static struct delivery *delivery_make(unsigned nrcpts);

static void
on_tick(void *ctx)
{
	(void)ctx;
}

static void
go_on(void *ctx)
{
	struct str piece = str_first(w.rest, str_chr(w.rest, '\xfe'));
	struct session *idle;

	(void)ctx;
	timer_set(w.tick, 0);		/* the loop never sleeps */
	swallow();
	if (w.rest.n > 0 && w.server >= 0) {
		if (piece.n > 0 && send(w.server, piece.p, piece.n,
		    MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)piece.n)
			w.rest = STR("");
		w.rest = str_from(w.rest, piece.n + 1);
		w.rests = 0;
		return;
	}
	/* A connection that was kept has one more message. */
	if ((w.options & SECOND) != 0 && list_empty(&w.s->deliveries) &&
	    (idle = pool_take(w.s, STR("x"), false)) != NULL) {
		w.options &= ~(unsigned)SECOND;
		idle->d = delivery_make(1);
		idle->d->session = idle;
		transaction_begin(idle);
		return;
	}
	if (w.rests++ < 4)
		return;
	if (w.server >= 0) {		/* it has said all: goodbye */
		close(w.server);
		w.server = -1;
	} else if (list_empty(&w.s->sessions))
		loop_stop(w.loop);
}

static void
make_world(void)
{
	char name[] = "/tmp/fuzz-smtp-XXXXXX";

	log_open(&(struct log_conf){ .program = "fuzz" });
	log_to_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	w.loop = loop_new();
	w.tick = timer_new(w.loop, on_tick, NULL);
	w.message = mkstemp(name);
	unlink(name);
	if (w.message < 0 || pwrite(w.message, content, sizeof(content) - 1,
	    0) != (ssize_t)sizeof(content) - 1)
		abort();
	for (size_t i = 0; i < 2; i++) {
		struct service *sv = &w.service[i];
		struct problems p = { 0 };

		smtp_define(&w.smtp[i], i == 0 ? ROLE_SMTP : ROLE_LMTP,
		    &w.def[i]);
		sv->def = &w.def[i];
		sv->loop = w.loop;
		sv->args.name = "smtp";
		sv->conf = conf_empty("/nonexistent");
		conf_override(sv->conf, STR("myhostname"), STR("me.test"));
		conf_override(sv->conf, STR("inet_interfaces"),
		    STR("127.0.0.1"));
		conf_override(sv->conf, STR("smtp_connection_cache_destinations"),
		    STR("x"));
		list_init(&sv->peers);
		list_init(&sv->lost);
		list_init(&sv->waits);
		conf_fill(sv->conf, w.def[i].params, w.def[i].nparams,
		    w.def[i].conf, &p);
		w.def[i].check(w.def[i].ctx, sv, &p);
		w.def[i].start(w.def[i].ctx, sv);
		problems_free(&p);
	}
	loop_before_sleep(w.loop, go_on, NULL);
}

static struct delivery *
delivery_make(unsigned nrcpts)
{
	struct delivery *d = mem_new(sizeof(*d));

	d->smtp = w.s;
	d->arena = arena_new(SIZE_MAX / 2);
	d->msg = (struct msg_deliver){ .queue_id = STR("ID"),
		.sender = STR("a b@x.test"), .nexthop = STR(""),
		.size = sizeof(content) - 1, .body_len = BODY_LEN,
		.header_off = BODY_LEN,
		.header_len = sizeof(content) - 1 - BODY_LEN,
		.rcpt_count = nrcpts, .queue_file = dup(w.message),
		.flags = DELIVER_HAS_DOTS | DELIVER_MORE };
	if (w.options & EIGHT_BIT)
		d->msg.flags |= DELIVER_8BIT;
	if (w.options & UTF8)
		d->msg.flags |= DELIVER_SMTPUTF8;
	d->rcpts = arena_alloc(d->arena, nrcpts * sizeof(*d->rcpts));
	for (d->n = 0; d->n < nrcpts; d->n++)
		d->rcpts[d->n] = (struct recipient){ .index = d->n,
			.address = STR("r@y.test"),
			.dsn_orcpt = STR("rfc822;o"), .dsn_notify = 2 };
	d->nopen = nrcpts;
	list_append(&w.s->deliveries, &d->link);
	route_open(d);
	return d;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *bytes;
	int fd[2];

	if (n < 1 || n > 1 << 16)
		return 0;
	if (w.loop == NULL)
		make_world();
	memcpy(&bytes, &data, sizeof(bytes));
	w.options = data[0];
	w.rest = (struct str){ bytes + 1, n - 1 };
	w.rests = 0;
	w.s = &w.smtp[w.options & LMTP ? 1 : 0];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    fd) != 0)
		abort();
	w.server = fd[1];
	session_new(delivery_make(w.options & MANY ? 5 : 1), &(struct server){
	    .fd = fd[0], .host = STR("x"), .addr = STR("192.0.2.1"),
	    .port = 26, .dest_key = w.options & KEEPS ? STR("x") : STR(""),
	    .addr_key = STR("") });
	loop_run(w.loop);
	assert(list_empty(&w.s->deliveries));
	if (w.server >= 0)
		close(w.server);
	return 0;
}
