/*
 * relay - smtpd_sasl_type = dovecot: smtpd's logins, proved by a server that
 * speaks Dovecot's auth protocol at smtpd_sasl_path.
 *
 * smtpd may connect to nothing, so we do, and only to sockets that main.cf or
 * master.cf name. One connection a question: it is a UNIX socket, and nothing
 * of one login can then be taken for another's.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/dovecot.h"

#define ANSWER_MS	30000

struct relay_paths { struct str *v; size_t n; };

struct relay {
	struct auth	*auth;
	struct talk	*talk;
	struct stream	*stream;
	bool		 lists, shaken;	/* asked for a list; DONE came */
	unsigned	 refused;
	struct buf	 request;	/* the AUTH line, ready */
	struct buf	 mechanisms;
	struct timer	*soon;
	const char	*failure;
};

static size_t	on_input(void *ctx, struct str in);
static void	on_eof(void *ctx);
static void	on_error(void *ctx, int err);
static void	on_timeout(void *ctx);
static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static bool	take_line(struct relay *, struct str line);
static void	finish(struct relay *, enum auth_result, struct str user,
		    struct str reason);
static void	relay_free(struct relay *);

static const struct stream_ops stream_ops = {
	.on_input = on_input, .on_eof = on_eof, .on_error = on_error,
	.on_timeout = on_timeout,
};
static const struct talk_ops talk_ops = { on_message, on_gone };

static void
add_path(struct auth *a, struct conf *conf)
{
	struct relay_paths *paths = a->relay_paths;
	struct str path = conf_get(conf, "smtpd_sasl_path");

	if (!str_eq(conf_get(conf, "smtpd_sasl_type"), STR("dovecot")))
		return;
	paths->v = mem_grow(paths->v, paths->n + 1, sizeof(*paths->v));
	paths->v[paths->n++] = arena_str(a->arena, path);
}

void
relay_open(struct auth *a, struct problems *p)
{
	struct conf *conf = service_conf(a->service), *own;
	struct master_cf services = { 0 };

	a->relay_paths = arena_alloc(a->arena, sizeof(*a->relay_paths));
	a->spool = conf_get(conf, "queue_directory");
	add_path(a, conf);
	if (!master_cf_load(conf, &services, p))
		return;
	for (size_t i = 0; i < services.n; i++) {
		struct master_entry *e = &services.v[i];

		if (!str_eq(e->command, STR("smtpd")) || e->noverrides == 0)
			continue;
		own = conf_load(conf_dir(conf), p);
		for (size_t o = 0; o < e->noverrides; o++)
			conf_override(own, e->overrides[o].name,
			    e->overrides[o].value);
		add_path(a, own);
		conf_free(&own);
	}
}

/* -1 with a reason. */
static int
dial(struct auth *a, struct str path, const char **why)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	bool known = false;
	int fd, n;

	for (size_t i = 0; i < a->relay_paths->n; i++)
		known |= str_eq(a->relay_paths->v[i], path);
	*why = "smtpd asks for a socket that no configuration names";
	if (!known)
		return -1;
	n = path.n > 0 && path.p[0] == '/' ?
	    snprintf(sun.sun_path, sizeof(sun.sun_path), STRF, STRV(path)) :
	    snprintf(sun.sun_path, sizeof(sun.sun_path), STRF "/" STRF,
	    STRV(a->spool), STRV(path));
	*why = "path is too long";
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	*why = strerror(errno);
	fd_close(&fd);
	return -1;
}

static void
on_soon(void *ctx)
{
	struct relay *r = ctx;

	finish(r, AUTH_TEMPORARY, STR(""), str_of(r->failure));
}

static struct relay *
relay_new(struct auth *a, struct talk *t, struct str path)
{
	struct relay *r = mem_new(sizeof(*r));
	struct buf hello;
	int fd;

	r->auth = a;
	r->talk = t;
	buf_init(&r->request, DOVECOT_LINE_MAX);
	buf_init(&r->mechanisms, 1000);
	talk_set(t, &talk_ops, r);
	fd = dial(a, path, &r->failure);
	if (fd < 0) {
		log_warn("SASL: connect to " STRF ": %s", STRV(path),
		    r->failure);
		r->failure = "Connection lost to authentication server";
		r->soon = timer_new(a->loop, on_soon, r);
		timer_set(r->soon, 0);
		return r;
	}
	r->stream = stream_new(a->loop, fd, &stream_ops, r);
	stream_timeout(r->stream, ANSWER_MS);
	buf_init(&hello, 100);
	buf_printf(&hello, "VERSION\t1\t1\nCPID\t%d\n", (int)getpid());
	stream_write(r->stream, buf_view(&hello));
	buf_free(&hello);
	return r;
}

void
relay_list(struct auth *a, struct talk *t, const struct msg_auth_list *m)
{
	struct relay *r = relay_new(a, t, m->path);

	r->lists = true;
	r->refused = (unsigned)m->refused;
}

/* resp= must be the last. */
void
relay_begin(struct auth *a, struct talk *t, const struct msg_auth_begin *m)
{
	struct relay *r = relay_new(a, t, m->path);
	const struct { const char *name; struct str value; } all[] = {
		{ "service", m->service }, { "lip", m->server_addr },
		{ "lport", m->server_port }, { "rip", m->client_addr },
		{ "rport", m->client_port }, { "cert_username", m->cert_name },
	};

	buf_puts(&r->request, "AUTH\t1\t");
	buf_str(&r->request, m->mechanism);
	buf_puts(&r->request, "\tnologin");
	for (size_t i = 0; i < nitems(all); i++)
		if (all[i].value.n > 0 && dovecot_is_clean(all[i].value))
			buf_printf(&r->request, "\t%s=" STRF, all[i].name,
			    STRV(all[i].value));
	if (m->tls_bits > 0)
		buf_puts(&r->request, "\tsecured");
	if (m->cert_name.n > 0)
		buf_puts(&r->request, "\tvalid-client-cert");
	if (m->has_initial) {
		buf_puts(&r->request, "\tresp=");
		buf_str(&r->request, str_eq(m->initial, STR("=")) ? STR("") :
		    m->initial);
	}
	buf_putc(&r->request, '\n');
	if ((!dovecot_is_clean(m->mechanism) || r->request.full ||
	    !dovecot_is_clean(m->initial)) && r->soon == NULL) {
		stream_free(&r->stream);
		r->failure = "bad protocol / cancel";
		r->soon = timer_new(a->loop, on_soon, r);
		timer_set(r->soon, 0);
	}
}

/* --- smtpd --- */

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct relay *r = ctx;
	const struct msg_auth_step *step = msg;
	struct buf line;

	(void)t;
	if (id != MSG_auth_step || r->stream == NULL)
		return;
	if (!dovecot_is_clean(step->data)) {
		finish(r, AUTH_FAILED, STR(""), STR("bad protocol / cancel"));
		return;
	}
	buf_init(&line, DOVECOT_LINE_MAX);
	buf_puts(&line, "CONT\t1\t");
	buf_str(&line, step->data);
	buf_putc(&line, '\n');
	stream_write(r->stream, buf_view(&line));
	stream_timeout(r->stream, ANSWER_MS);
	password_wipe(line.p, line.n);
	buf_free(&line);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	(void)t;
	(void)why;
	relay_free(ctx);
}

/* --- the server --- */

static size_t
on_input(void *ctx, struct str in)
{
	struct relay *r = ctx;
	struct str rest = in, line;

	for (;;)
		switch (dovecot_line(&rest, &line)) {
		case FOUND:
			/* A line may be the last, and r is gone. */
			if (!take_line(r, line))
				return in.n;
			break;
		case NONE:
			return in.n - rest.n;
		case RETRY:
			finish(r, AUTH_TEMPORARY, STR(""),
			    STR("authentication server speaks no sense"));
			return in.n;
		}
}

static void
take_mechanism(struct relay *r, struct str rest)
{
	static const struct { const char *word; unsigned bit; } bad[] = {
		{ "plaintext", SASL_NO_PLAINTEXT },
		{ "active", SASL_NO_ACTIVE },
		{ "dictionary", SASL_NO_DICTIONARY },
		{ "anonymous", SASL_NO_ANONYMOUS },
	}, good[] = {
		{ "forward-secrecy", SASL_NEED_FORWARD },
		{ "mutual-auth", SASL_NEED_MUTUAL },
	};
	struct str name = dovecot_field(&rest), value;

	if (dovecot_param(rest, "private", &value) || name.n == 0)
		return;
	for (size_t i = 0; i < nitems(bad); i++)
		if (r->refused & bad[i].bit &&
		    dovecot_param(rest, bad[i].word, &value))
			return;
	for (size_t i = 0; i < nitems(good); i++)
		if (r->refused & good[i].bit &&
		    !dovecot_param(rest, good[i].word, &value))
			return;
	buf_printf(&r->mechanisms, "%s" STRF, r->mechanisms.n > 0 ? " " : "",
	    STRV(name));
}

/* The answer to our one login: false where it was the last. */
static bool
take_answer(struct relay *r, struct str verb, struct str rest)
{
	struct str user, reason, value;
	bool is_temp;

	if (!str_eq(dovecot_field(&rest), STR("1")))
		return true;
	if (str_eq(verb, STR("CONT"))) {
		stream_timeout(r->stream, 0);
		talk_send(r->talk, MSG_auth_challenge,
		    &(struct msg_auth_challenge){ .data = rest });
		return true;
	}
	(void)dovecot_param(rest, "user", &user);
	if (str_eq(verb, STR("OK"))) {
		finish(r, user.n > 0 ? AUTH_OK : AUTH_TEMPORARY, user,
		    STR("no user name"));
		return false;
	}
	if (!str_eq(verb, STR("FAIL")))
		return true;
	is_temp = dovecot_param(rest, "temp", &value);
	(void)dovecot_param(rest, "reason", &reason);
	finish(r, is_temp ? AUTH_TEMPORARY : AUTH_FAILED, user, reason);
	return false;
}

static bool
take_line(struct relay *r, struct str line)
{
	struct str rest = line, verb = dovecot_field(&rest);

	if (str_eq(verb, STR("VERSION"))) {
		if (str_eq(dovecot_field(&rest), STR("1")))
			return true;
		finish(r, AUTH_TEMPORARY, STR(""),
		    STR("unknown protocol of authentication server"));
		return false;
	}
	if (str_eq(verb, STR("MECH")) && r->lists) {
		take_mechanism(r, rest);
		return true;
	}
	if (str_eq(verb, STR("DONE")) && r->lists) {
		finish(r, AUTH_OK, STR(""), STR(""));
		return false;
	}
	if (str_eq(verb, STR("DONE"))) {
		if (!r->shaken)
			stream_write(r->stream, buf_view(&r->request));
		r->shaken = true;
		return true;
	}
	return !r->shaken || r->lists ? true : take_answer(r, verb, rest);
}

static void
lost(struct relay *r)
{
	finish(r, AUTH_TEMPORARY, STR(""),
	    STR("Connection lost to authentication server"));
}

static void
on_eof(void *ctx)
{
	lost(ctx);
}

static void
on_error(void *ctx, int err)
{
	(void)err;
	lost(ctx);
}

static void
on_timeout(void *ctx)
{
	lost(ctx);
}

static void
finish(struct relay *r, enum auth_result result, struct str user,
    struct str reason)
{
	struct talk *t = r->talk;

	r->talk = NULL;
	if (r->lists)
		talk_send(t, MSG_auth_listed, &(struct msg_auth_listed){
		    .found = result == AUTH_OK ? FOUND : RETRY,
		    .mechanisms = buf_view(&r->mechanisms) });
	else
		talk_send(t, MSG_auth_done, &(struct msg_auth_done){
		    .result = result, .user = user, .reason = reason });
	relay_free(r);
}

static void
relay_free(struct relay *r)
{
	stream_free(&r->stream);
	timer_free(&r->soon);
	password_wipe(r->request.p, r->request.n);
	buf_free(&r->request);
	buf_free(&r->mechanisms);
	mem_free(r);
}
