/*
 * serve - auth_socket: Dovecot's auth protocol, so that Postfix, Exim and
 * others can have their users logged in by our stores.
 *
 * Who connects is trusted as smtpd is (the socket's mode says who that is):
 * it tells the client's address, and whether there is TLS. Many logins share
 * a connection, told apart by the client's number.
 */
#include <stdio.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/dovecot.h"

#define LOGINS_MAX	1000	/* of one connection at a time */

struct server {				/* a connection */
	struct auth	*auth;
	struct stream	*stream;
	struct list	 logins;
	size_t		 nlogins;
};
struct login_of {
	struct list	 link;
	struct server	*server;
	struct attempt	*attempt;
	char		 id[DOVECOT_ID_MAX + 1];
};

static size_t	on_input(void *ctx, struct str in);
static void	on_eof(void *ctx);
static void	on_error(void *ctx, int err);
static bool	take_line(struct server *, struct str line);
static void	begin(struct server *, struct str rest);
static void	go_on(struct server *, struct str rest);
static void	on_challenge(void *ctx, struct str data);
static void	on_done(void *ctx, enum auth_result, struct str user,
		    const char *reason, struct str ticket);

static const struct stream_ops stream_ops = {
	.on_input = on_input, .on_eof = on_eof, .on_error = on_error,
};
static const struct attempt_ops attempt_ops = { on_challenge, on_done };

static const char *
properties(struct str mechanism)
{
	if (str_eq(mechanism, STR("PLAIN")) || str_eq(mechanism, STR("LOGIN")))
		return "\tplaintext";
	if (str_eq(mechanism, STR("CRAM-MD5")))
		return "\tdictionary\tactive";
	return str_starts(mechanism, STR("SCRAM-")) ? "\tmutual-auth" : "";
}

void
serve(struct auth *a, int fd)
{
	const struct attempt_facts none = { .service = STR("smtp") };
	struct server *s = mem_new(sizeof(*s));
	struct buf hello, names;
	struct str rest, name;
	uint8_t cookie[16];

	s->auth = a;
	list_init(&s->logins);
	s->stream = stream_new(a->loop, fd, &stream_ops, s);
	buf_init(&hello, 4096);
	buf_init(&names, 1000);
	attempt_mechanisms(a, &none, &names);
	buf_puts(&hello, "VERSION\t1\t2\n");
	rest = buf_view(&names);
	while (str_token(&rest, " ", &name))
		buf_printf(&hello, "MECH\t" STRF "%s\n", STRV(name),
		    properties(name));
	random_bytes(cookie, sizeof(cookie));
	buf_printf(&hello, "SPID\t%d\nCUID\t%d\nCOOKIE\t", (int)getpid(), fd);
	for (size_t i = 0; i < sizeof(cookie); i++)
		buf_printf(&hello, "%02x", cookie[i]);
	buf_puts(&hello, "\nDONE\n");
	stream_write(s->stream, buf_view(&hello));
	buf_free(&hello);
	buf_free(&names);
}

static void
forget(struct login_of *l)
{
	list_remove(&l->link);
	l->server->nlogins--;
	mem_free(l);
}

static void
hang_up(struct server *s)
{
	list_each(k, &s->logins) {
		struct login_of *l = container_of(k, struct login_of, link);

		attempt_cancel(&l->attempt);
		forget(l);
	}
	stream_free(&s->stream);
	mem_free(s);
}

static size_t
on_input(void *ctx, struct str in)
{
	struct server *s = ctx;
	struct str rest = in, line;

	for (;;)
		switch (dovecot_line(&rest, &line)) {
		case FOUND:
			if (take_line(s, line))
				continue;
			log_warn("auth_socket: bad line of a client");
			/* FALLTHROUGH */
		case RETRY:
			hang_up(s);
			return in.n;
		case NONE:
			return in.n - rest.n;
		}
}

static void
on_eof(void *ctx)
{
	hang_up(ctx);
}

static void
on_error(void *ctx, int err)
{
	(void)err;
	hang_up(ctx);
}

static struct login_of *
find(struct server *s, struct str id)
{
	list_each(k, &s->logins) {
		struct login_of *l = container_of(k, struct login_of, link);

		if (str_eq(str_of(l->id), id))
			return l;
	}
	return NULL;
}

/* False: the connection is not worth keeping. */
static bool
take_line(struct server *s, struct str line)
{
	struct str rest = line, verb = dovecot_field(&rest), id;
	struct login_of *l;
	uint64_t n;

	if (str_eq(verb, STR("VERSION")))
		return str_eq(dovecot_field(&rest), STR("1"));
	if (str_eq(verb, STR("AUTH")))
		begin(s, rest);
	else if (str_eq(verb, STR("CONT")))
		go_on(s, rest);
	else if (str_eq(verb, STR("CANCEL"))) {
		id = dovecot_field(&rest);
		l = str_number(id, &n) ? find(s, id) : NULL;
		if (l != NULL) {
			attempt_cancel(&l->attempt);
			forget(l);
		}
	}
	return true;		/* CPID, and what later versions say */
}

static void
refuse(struct server *s, struct str id, const char *reason)
{
	struct buf line;

	buf_init(&line, 1000);
	buf_printf(&line, "FAIL\t" STRF "\treason=%s\n",
	    STRV(str_first(id, DOVECOT_ID_MAX)), reason);
	stream_write(s->stream, buf_view(&line));
	buf_free(&line);
}

static void
begin(struct server *s, struct str rest)
{
	struct str id = dovecot_field(&rest), resp, text;
	struct attempt_facts f = { .mechanism = dovecot_field(&rest) };
	struct login_of *l;
	struct buf initial;
	uint64_t n;

	if (!str_number(id, &n) || id.n > DOVECOT_ID_MAX ||
	    find(s, id) != NULL || s->nlogins >= LOGINS_MAX) {
		refuse(s, id, "bad request");
		return;
	}
	(void)dovecot_param(rest, "service", &f.service);
	(void)dovecot_param(rest, "rip", &f.client_addr);
	(void)dovecot_param(rest, "rport", &f.client_port);
	(void)dovecot_param(rest, "lip", &f.server_addr);
	(void)dovecot_param(rest, "lport", &f.server_port);
	if (dovecot_param(rest, "valid-client-cert", &text))
		(void)dovecot_param(rest, "cert_username", &f.cert_name);
	f.tls_bits = dovecot_param(rest, "secured", &text) ? 128 : 0;
	f.has_initial = dovecot_param(rest, "resp", &resp);
	buf_init(&initial, LOGIN_MESSAGE_MAX);
	if (!base64_decode(resp, &initial))
		refuse(s, id, "invalid base64 data");
	else {
		f.initial = buf_view(&initial);
		l = mem_new(sizeof(*l));
		l->server = s;
		memcpy(l->id, id.p, id.n);
		list_append(&s->logins, &l->link);
		s->nlogins++;
		l->attempt = attempt_start(s->auth, &f, &attempt_ops, l);
	}
	password_wipe(initial.p, initial.n);
	buf_free(&initial);
}

static void
go_on(struct server *s, struct str rest)
{
	struct str id = dovecot_field(&rest);
	struct login_of *l = find(s, id);
	struct buf data;

	if (l == NULL)
		return;
	buf_init(&data, LOGIN_MESSAGE_MAX);
	if (!base64_decode(rest, &data) ||
	    !attempt_step(l->attempt, buf_view(&data))) {
		attempt_cancel(&l->attempt);
		refuse(s, id, "invalid base64 data");
		forget(l);
	}
	password_wipe(data.p, data.n);
	buf_free(&data);
}

static void
on_challenge(void *ctx, struct str data)
{
	struct login_of *l = ctx;
	struct buf line;

	buf_init(&line, DOVECOT_LINE_MAX);
	buf_printf(&line, "CONT\t%s\t", l->id);
	base64_encode(data, &line);
	buf_putc(&line, '\n');
	stream_write(l->server->stream, buf_view(&line));
	buf_free(&line);
}

static void
on_done(void *ctx, enum auth_result result, struct str user,
    const char *reason, struct str ticket)
{
	struct login_of *l = ctx;
	struct buf line;

	(void)ticket;
	buf_init(&line, DOVECOT_LINE_MAX);
	buf_printf(&line, "%s\t%s", result == AUTH_OK ? "OK" : "FAIL", l->id);
	if (user.n > 0 && dovecot_is_clean(user))
		buf_printf(&line, "\tuser=" STRF, STRV(user));
	if (result != AUTH_OK)
		buf_printf(&line, "\treason=%s", reason);
	if (result == AUTH_TEMPORARY)
		buf_puts(&line, "\ttemp");
	buf_putc(&line, '\n');
	stream_write(l->server->stream, buf_view(&line));
	buf_free(&line);
	forget(l);
}
