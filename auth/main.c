/*
 * auth - smtpd's questions, and those of fronts that read mail: which
 * mechanisms, and steps of a login.
 *
 * Runs as postern-auth with FILTER_AUTH: it reads files and asks UNIX
 * sockets, and can make no other. A reload replaces it.
 */
#include "auth/auth.h"

#define HEIR_MAX	((size_t)32 << 20)	/* bytes under way */

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct auth_conf, __VA_ARGS__)
#include "auth/params.def"
#undef PARAM
};

struct carrier {			/* a talk with smtpd or a front */
	struct auth	*auth;
	struct talk	*talk;
	struct attempt	*attempt;
};

static void	on_check(void *ctx, struct service *, struct problems *);
static void	on_start(void *ctx, struct service *);
static void	on_listen(void *ctx, struct str name, int fd);
static void	on_solo(void *ctx, struct channel *, enum msg, const void *);
static void	on_drain(void *ctx);
static void	on_talk(void *ctx, struct talk *, enum msg);
static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	on_challenge(void *ctx, struct str data);
static void	on_done(void *ctx, enum auth_result, struct str user,
		    const char *reason, struct str ticket);

static const struct talk_ops talk_ops = { on_message, on_gone };
static const struct attempt_ops attempt_ops = { on_challenge, on_done };

int
main(int argc, char **argv)
{
	struct auth a = { 0 };
	const struct service_def def = {
		.role = ROLE_AUTH, .params = params, .nparams = nitems(params),
		.conf = &a.conf, .ctx = &a, .check = on_check,
		.start = on_start, .on_talk = on_talk,
		.on_listen = on_listen, .on_solo = on_solo,
		.on_drain = on_drain,
	};

	return service_main(&def, argc, argv);
}

static void
on_check(void *ctx, struct service *service, struct problems *p)
{
	struct auth *a = ctx;
	struct conf *conf = service_conf(service);
	struct buf why;

	a->service = service;
	a->arena = arena_new(16 << 20);
	a->hostname = conf_get(conf, "myhostname");
	buf_init(&why, 4096);
	a->exceptions = match_list_open(a->conf.auth_penalty_exceptions,
	    conf_dir(conf), 0, &why);
	if (why.n > 0)
		problem_add(p, service_checks(service), NULL, 0,
		    "auth_penalty_exceptions: %s", buf_cstr(&why));
	buf_free(&why);
	stores_open(a, p);
	clients_open(a, p);
	relay_open(a, p);
	owners_open(a);
	/* While files can be opened: plug-ins, OpenSSL's own. */
	if (!login_start(stores_have_sasldb(a->stores)))
		problem_add(p, service_checks(service), NULL, 0,
		    "auth_stores: sasldb: Cyrus SASL's plug-in is not there; "
		    "Debian has it in libsasl2-modules-db");
	if (!service_checks(service))
		password_warm_up();
}

static void
on_start(void *ctx, struct service *service)
{
	struct auth *a = ctx;
	const struct penalty_conf penalty = {
		.free = (unsigned)a->conf.auth_penalty_free,
		.waiting = (unsigned)a->conf.auth_penalty_waiting,
		.max_ms = a->conf.auth_penalty_max * 1000,
		.decay_ms = a->conf.auth_penalty_decay_time * 1000,
		.entries = (size_t)a->conf.auth_penalty_entries,
	};

	a->loop = service_loop(service);
	list_init(&a->grants);
	a->pam_timeout_ms = conf_number(service_conf(service),
	    "auth_pam_timeout") * 1000;
	a->server = (struct login_server){ a, stores_secret };
	a->penalties = penalties_new(&penalty);
	a->verifier = verifier_new(a);
}

static void
on_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	(void)from;
	serve(ctx, fd);
}

/* auth_socket */
static void
on_listen(void *ctx, struct str name, int fd)
{
	struct auth *a = ctx;

	(void)name;
	listener_free(&a->listener);
	a->listener = listener_new(a->loop, fd, on_accept, a);
}

/* --- from one auth to the next, at a reload --- */

static void
send_guesses(void *ctx, const struct penalty_note *n)
{
	struct channel *heir = ctx;

	/* More would break the channel. */
	if (channel_unsent(heir) < HEIR_MAX)
		channel_send(heir, MSG_auth_guesses, &(struct msg_auth_guesses){
		    .key = n->key, .count = n->count,
		    .since_ms = (uint64_t)n->since_ms, .good = n->good });
}

static void
tell_heir(void *ctx, struct channel *heir, struct str name)
{
	struct auth *a = ctx;

	(void)name;
	penalties_each(a->penalties, send_guesses, heir);
}

static void
on_drain(void *ctx)
{
	struct auth *a = ctx;

	service_each_peer(a->service, ROLE_AUTH, tell_heir, a);
}

static void
on_solo(void *ctx, struct channel *c, enum msg id, const void *msg)
{
	struct auth *a = ctx;
	const struct msg_auth_guesses *m = msg;
	struct penalty_note n;

	(void)c;
	if (id == MSG_ticket_taken)
		grant_answered(a, msg);
	if (id != MSG_auth_guesses)
		return;
	n = (struct penalty_note){ m->key, m->count,
	    (int64_t)(m->since_ms & INT64_MAX), m->good != 0 };
	penalty_take_over(a->penalties, &n, clock_steady_ms());
}

static void
on_talk(void *ctx, struct talk *t, enum msg id)
{
	struct carrier *c;

	if (id == MSG_login_begin) {
		client_on_talk(ctx, t);
		return;
	}
	c = mem_new(sizeof(*c));
	c->auth = ctx;
	c->talk = t;
	talk_set(t, &talk_ops, c);
}

static void
list(struct carrier *c, const struct msg_auth_list *m)
{
	struct attempt_facts f = {
		.service = STR("smtp"), .refused = (unsigned)m->refused,
		.binding = m->has_binding ? STR("x") : STR(""),
		.cert_name = m->has_cert ? STR("x") : STR(""),
	};
	struct buf out;

	buf_init(&out, 4096);
	attempt_mechanisms(c->auth, &f, &out);
	talk_send(c->talk, MSG_auth_listed, &(struct msg_auth_listed){
	    .found = FOUND, .mechanisms = buf_view(&out) });
	buf_free(&out);
	mem_free(c);
}

/* base64 as on the wire; "=" alone is an empty message (RFC 4954 4). */
static bool
decode(struct str text, struct buf *out)
{
	buf_init(out, LOGIN_MESSAGE_MAX);
	if (str_eq(text, STR("=")))
		return true;
	return base64_decode(text, out) && !out->full;
}

static void
give_up(struct carrier *c)
{
	attempt_cancel(&c->attempt);
	on_done(c, AUTH_FAILED, STR(""), "bad protocol / cancel", STR(""));
}

static bool
is_front(struct talk *t)
{
	return role_worker(channel_peer(talk_channel(t))) != ROLE__MAX;
}

static void
begin(struct carrier *c, const struct msg_auth_begin *m)
{
	struct attempt_facts f = {
		.service = m->service, .realm = m->realm,
		.mechanism = m->mechanism, .has_initial = m->has_initial != 0,
		.client_addr = m->client_addr, .client_port = m->client_port,
		.server_addr = m->server_addr, .server_port = m->server_port,
		.binding = m->binding, .cert_name = m->cert_name,
		.refused = (unsigned)m->refused,
		.tls_bits = (unsigned)m->tls_bits,
	};
	struct channel *from = talk_channel(c->talk);
	struct buf initial;
	bool good = decode(m->initial, &initial);

	if (is_front(c->talk)) {
		f.front = channel_peer(from);
		f.instance = service_peer_instance(c->auth->service, from);
		good = good && f.instance != 0;
	}
	f.initial = buf_view(&initial);
	if (good)
		c->attempt = attempt_start(c->auth, &f, &attempt_ops, c);
	password_wipe(initial.p, initial.n);
	buf_free(&initial);
	if (!good)
		give_up(c);
}

static void
step(struct carrier *c, const struct msg_auth_step *m)
{
	struct buf data;
	bool good = decode(m->data, &data);

	if (good && c->attempt != NULL)
		good = attempt_step(c->attempt, buf_view(&data));
	password_wipe(data.p, data.n);
	buf_free(&data);
	if (!good)
		give_up(c);
}

/* What another server says of a user opens no mailbox here. */
static void
relay(struct carrier *c, const struct msg_auth_begin *m)
{
	if (is_front(c->talk)) {
		log_warn("%s: its logins are proved here, not by " STRF,
		    role_name(channel_peer(talk_channel(c->talk))),
		    STRV(m->path));
		on_done(c, AUTH_TEMPORARY, STR(""), "temporary failure",
		    STR(""));
		return;
	}
	relay_begin(c->auth, c->talk, m);
	mem_free(c);
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct carrier *c = ctx;

	if (id == MSG_auth_list && str_eq(
	    ((const struct msg_auth_list *)msg)->type, STR("dovecot"))) {
		relay_list(c->auth, t, msg);
		mem_free(c);
	} else if (id == MSG_auth_list)
		list(c, msg);
	else if (id == MSG_auth_begin && c->attempt == NULL && str_eq(
	    ((const struct msg_auth_begin *)msg)->type, STR("dovecot")))
		relay(c, msg);
	else if (id == MSG_auth_begin && c->attempt == NULL)
		begin(c, msg);
	else if (id == MSG_auth_step && c->attempt != NULL)
		step(c, msg);
	else {
		log_warn("%s: a step of a login out of its place",
		    role_name(channel_peer(talk_channel(t))));
		on_gone(c, t, "");
		talk_close(&t);
	}
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct carrier *c = ctx;

	(void)t;
	(void)why;
	attempt_cancel(&c->attempt);
	mem_free(c);
}

static void
on_challenge(void *ctx, struct str data)
{
	struct carrier *c = ctx;
	struct buf text;

	buf_init(&text, LOGIN_MESSAGE_MAX * 2);
	base64_encode(data, &text);
	talk_send(c->talk, MSG_auth_challenge, &(struct msg_auth_challenge){
	    .data = buf_view(&text) });
	buf_free(&text);
}

/* The attempt frees itself where it was the one to say so. */
static void
on_done(void *ctx, enum auth_result result, struct str user,
    const char *reason, struct str ticket)
{
	struct carrier *c = ctx;

	talk_send(c->talk, MSG_auth_done, &(struct msg_auth_done){
	    .result = result, .user = user, .reason = str_of(reason),
	    .ticket = ticket });
	mem_free(c);
}
