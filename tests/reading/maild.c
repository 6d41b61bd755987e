/*
 * A front for the tests. It does whatever its client says, as one that was
 * taken over would; each command is answered by one line:
 *
 *	login USER PASSWORD	OK HEX, the ticket; or NO why
 *	scram USER		the server's first message, then no more
 *	show HEX		OK SERVICE, a worker's; or NO why
 *	who SERVICE FILE	what that worker says of itself
 *	lost PROGRAM INSTANCE	asks master for a channel
 *	forge MESSAGE		sends master a message that is not a front's
 *	peers			SERVICE... of all workers that it has
 */
#include <stdio.h>
#include <stdlib.h>

#include "ipc/internal.h"
#include "service/service.h"
#include "sys/sys.h"

#define MASTER_FD	3
#define SESSIONS_MAX	1000

struct front {
	struct service	*service;
	struct listener	*listener;
	enum role	 role;
	struct session	*asked[SESSIONS_MAX];	/* by the question's number */
	uint64_t	 nasked;
	unsigned	 open;		/* sessions */
};
struct session {
	struct front	*front;
	struct stream	*stream;
	struct talk	*talk;
};

static void
say(struct session *s, const char *word, struct str text)
{
	struct buf b;

	buf_init(&b, 65536);
	buf_printf(&b, "%s " STRF "\n", word, STRV(text));
	if (s->stream != NULL)
		stream_write(s->stream, buf_view(&b));
	buf_free(&b);
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_auth_done *done = msg;
	const struct msg_auth_challenge *challenge = msg;
	const struct msg_who_answer *who = msg;
	struct session *s = ctx;
	char hex[2 * TICKET_SIZE + 1] = "";

	if (id == MSG_auth_challenge) {
		say(s, "OK", challenge->data);
		talk_close(&t);
	} else if (id == MSG_who_answer)
		say(s, "OK", who->text);
	else if (id != MSG_auth_done)
		return;
	else if (done->result == AUTH_OK && done->ticket.n == TICKET_SIZE) {
		for (size_t i = 0; i < TICKET_SIZE; i++)
			snprintf(hex + 2 * i, 3, "%02x",
			    (unsigned)(uint8_t)done->ticket.p[i]);
		say(s, "OK", str_of(hex));
	} else
		say(s, done->result == AUTH_FAILED ? "NO" : "LATER",
		    done->reason);
	s->talk = NULL;
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	s->talk = NULL;
	say(s, "GONE", str_of(why));
}

static const struct talk_ops talk_ops = { on_message, on_gone };

static void
auth(struct session *s, struct str mechanism, struct str initial)
{
	struct channel *ch = service_peer(s->front->service, ROLE_AUTH,
	    STR(""));
	struct buf text;

	if (ch == NULL) {
		say(s, "LATER", STR("no auth"));
		return;
	}
	buf_init(&text, 4096);
	base64_encode(initial, &text);
	s->talk = talk_open(ch, &talk_ops, s);
	talk_send(s->talk, MSG_auth_begin, &(struct msg_auth_begin){
	    .type = STR("cyrus"), .service = str_of(role_name(
	    role_worker(s->front->role))), .mechanism = mechanism,
	    .has_initial = 1, .initial = buf_view(&text),
	    .client_addr = STR("192.0.2.7"), .tls_bits = 256 });
	buf_free(&text);
}

static void
login(struct session *s, struct str rest)
{
	struct str user;
	struct buf b;

	buf_init(&b, 4096);
	if (str_token(&rest, " ", &user)) {
		buf_putc(&b, '\0');
		buf_str(&b, user);
		buf_putc(&b, '\0');
		buf_str(&b, str_trim(rest));
	}
	auth(s, STR("PLAIN"), buf_view(&b));
	buf_free(&b);
}

static void
scram(struct session *s, struct str rest)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_printf(&b, "n,,n=" STRF ",r=0123456789abcdef", STRV(rest));
	auth(s, STR("SCRAM-SHA-256"), buf_view(&b));
	buf_free(&b);
}

static void
show(struct session *s, struct str hex)
{
	char secret[TICKET_SIZE + 8] = "";
	struct msg_worker_want m = { .number = ++s->front->nasked };
	size_t n = 0;

	for (; n < sizeof(secret) && 2 * n + 1 < hex.n; n++) {
		char byte[3] = { hex.p[2 * n], hex.p[2 * n + 1], '\0' };

		secret[n] = (char)strtoul(byte, NULL, 16);
	}
	m.secret = (struct str){ secret, n };
	s->front->asked[m.number % SESSIONS_MAX] = s;
	service_tell_master(s->front->service, MSG_worker_want, &m);
}

static void
who(struct session *s, struct str rest)
{
	struct channel *ch;
	struct str service;

	if (!str_token(&rest, " ", &service) || (ch = service_peer(
	    s->front->service, role_worker(s->front->role), service)) ==
	    NULL) {
		say(s, "NO", STR("no such worker"));
		return;
	}
	s->talk = talk_open(ch, &talk_ops, s);
	talk_send(s->talk, MSG_who_ask, &(struct msg_who_ask){
	    .path = str_trim(rest) });
}

static void
lost(struct session *s, struct str rest)
{
	struct msg_peer_lost m = { .role = ROLE__MAX };
	struct str program;

	if (str_token(&rest, " ", &program) &&
	    str_number(str_trim(rest), &m.instance))
		for (int r = 0; r < ROLE__MAX; r++)
			if (str_eq(program, str_of(role_name((enum role)r))))
				m.role = (uint64_t)r;
	service_tell_master(s->front->service, MSG_peer_lost, &m);
	say(s, "OK", STR("sent"));
}

static void
forge(struct session *s, struct str name)
{
	union any_message none = { 0 };
	struct buf out;
	int fd = -1;

	buf_init(&out, IPC_PACKET_MAX);
	for (int id = 1; id < MSG__MAX; id++)
		if (str_eq(name, str_of(ipc_name((enum msg)id))))
			ipc_encode((enum msg)id, 0, &none, &out, &fd);
	if (out.n > 0 && send(MASTER_FD, out.p, out.n, 0) == (ssize_t)out.n)
		say(s, "OK", STR("sent"));
	else
		say(s, "NO", STR("not sent"));
	buf_free(&out);
}

static void
name_peer(void *ctx, struct channel *ch, struct str name)
{
	struct buf *b = ctx;

	(void)ch;
	buf_printf(b, " " STRF, STRV(name));
}

static void
peers(struct session *s, struct str rest)
{
	struct buf b;

	(void)rest;
	buf_init(&b, 65536);
	for (int r = 0; r < ROLE__MAX; r++)
		if (role_is_worker((enum role)r))
			service_each_peer(s->front->service, (enum role)r,
			    name_peer, &b);
	say(s, "OK", str_trim(buf_view(&b)));
	buf_free(&b);
}

static const struct {
	const char *word;
	void	  (*run)(struct session *, struct str);
} commands[] = {
	{ "login", login }, { "scram", scram }, { "show", show },
	{ "who", who }, { "lost", lost }, { "forge", forge },
	{ "peers", peers },
};

static size_t
on_input(void *ctx, struct str in)
{
	struct session *s = ctx;
	size_t end = str_chr(in, '\n');
	struct str line = str_trim(str_first(in, end)), word;

	if (end == in.n)
		return 0;
	if (str_token(&line, " ", &word))
		for (size_t i = 0; i < nitems(commands); i++)
			if (str_eq(word, str_of(commands[i].word)))
				commands[i].run(s, str_trim(line));
	return end + 1;
}

static void
on_eof(void *ctx)
{
	struct session *s = ctx;

	talk_close(&s->talk);
	stream_free(&s->stream);	/* s stays: an answer may come */
	s->front->open--;
}

static void
on_error(void *ctx, int err)
{
	(void)err;
	on_eof(ctx);
}

static const struct stream_ops stream_ops = {
	.on_input = on_input, .on_eof = on_eof, .on_error = on_error,
};

static void
on_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	struct front *f = ctx;
	struct session *s = mem_new(sizeof(*s));

	(void)from;
	s->front = f;
	f->open++;
	s->stream = stream_accepted(service_loop(f->service), fd, &stream_ops,
	    s);
}

static void
on_listen(void *ctx, struct str name, int fd)
{
	struct front *f = ctx;

	(void)name;
	f->listener = listener_new(service_loop(f->service), fd, on_accept, f);
}

static void
on_solo(void *ctx, struct channel *c, enum msg id, const void *msg)
{
	const struct msg_worker_comes *comes = msg;
	const struct msg_worker_refused *refused = msg;
	struct front *f = ctx;

	(void)c;
	if (id == MSG_worker_comes)
		say(f->asked[comes->number % SESSIONS_MAX], "OK",
		    comes->service);
	else if (id == MSG_worker_refused)
		say(f->asked[refused->number % SESSIONS_MAX], "NO",
		    refused->reason);
}

/* One that is replaced serves those who are there. */
static bool
is_busy(void *ctx)
{
	const struct front *f = ctx;

	return f->open > 0;
}

static void
on_drain(void *ctx)
{
	struct front *f = ctx;

	listener_free(&f->listener);
}

static void
on_start(void *ctx, struct service *service)
{
	struct front *f = ctx;

	f->service = service;
}

int
main(int argc, char **argv)
{
	static struct front f;
	const struct service_def def = {
		.role = strstr(argv[0], "news") != NULL ? ROLE_NEWSD :
		    ROLE_MAILD,
		.ctx = &f, .start = on_start, .on_listen = on_listen,
		.on_solo = on_solo, .busy = is_busy, .on_drain = on_drain,
	};

	f.role = def.role;
	return service_main(&def, argc, argv);
}
