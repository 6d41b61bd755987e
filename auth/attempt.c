/*
 * attempt - one login, from its first message to its verdict.
 *
 * libsasl reads the messages (lib/sasl); passwords go to verify.c. The
 * verdict is known soon; when it is told depends on penalty.c: right and
 * wrong ones of an address that has guessed wrong before come late, alike.
 */
#include <netinet/in.h>

#include "address/address.h"
#include "auth/auth.h"

struct attempt {
	struct auth	*auth;
	const struct attempt_ops *ops;
	void		*ctx;
	struct login	*login;
	struct check	*check;
	struct grant	*grant;		/* a front's ticket is asked for */
	struct timer	*timer;		/* until the verdict is told */
	char		*addr;		/* the net that penalties count */
	char		*client, *service;
	enum role	 front;
	uint64_t	 instance;	/* of the front; 0: none */
	char		 ticket[TICKET_SIZE];
	size_t		 ticket_size;
	bool		 exempt, counted, decided;
	uint64_t	 guess;
	int64_t		 start_ms, delay_ms;
	enum auth_result result;
	const char	*reason;
};

static struct attempt *take(struct attempt *, enum login_step, struct buf *);
static bool	count(struct attempt *);
static void	on_verified(void *ctx, enum password_verdict, size_t store);
static void	proved(struct attempt *, size_t store);
static void	on_granted(void *ctx, enum auth_result, struct str ticket);
static void	decide(struct attempt *, enum auth_result, const char *reason);
static void	tell(void *ctx);
static void	set_address(struct attempt *, struct str addr);
static struct login *new_login(struct auth *, const struct attempt_facts *);

struct attempt *
attempt_start(struct auth *a, const struct attempt_facts *f,
    const struct attempt_ops *ops, void *ctx)
{
	struct attempt *t = mem_new(sizeof(*t));
	enum login_step step = LOGIN_FAULT;
	struct buf out;

	t->auth = a;
	t->ops = ops;
	t->ctx = ctx;
	t->start_ms = clock_steady_ms();
	t->timer = timer_new(a->loop, tell, t);
	set_address(t, f->client_addr);
	t->client = mem_copy(f->client_addr);
	t->service = mem_copy(f->service);
	t->front = f->front;
	t->instance = f->instance;
	t->login = new_login(a, f);
	buf_init(&out, LOGIN_MESSAGE_MAX);
	if (t->login != NULL)
		step = login_first(t->login, f->mechanism, f->has_initial ?
		    &f->initial : NULL, &out);
	t = take(t, step, &out);
	buf_free(&out);
	return t;
}

static struct login *
new_login(struct auth *a, const struct attempt_facts *f)
{
	struct arena *arena = arena_new(65536);
	struct buf mechanisms;
	struct login_facts facts = {
		.service = arena_cstr(arena, f->service),
		.hostname = arena_cstr(arena, a->hostname),
		.realm = f->realm.n > 0 ? arena_cstr(arena, f->realm) : NULL,
		.refused = f->refused, .tls_bits = f->tls_bits,
		.binding = f->binding,
		.external = arena_cstr(arena, f->cert_name),
	};
	struct login *l;

	if (f->client_addr.n > 0 && f->client_port.n > 0)
		facts.client = arena_printf(arena, STRF ";" STRF,
		    STRV(f->client_addr), STRV(f->client_port));
	if (f->server_addr.n > 0 && f->server_port.n > 0)
		facts.server = arena_printf(arena, STRF ";" STRF,
		    STRV(f->server_addr), STRV(f->server_port));
	buf_init(&mechanisms, 4096);
	stores_mechanisms(a, &mechanisms);
	facts.mechanisms = buf_cstr(&mechanisms);
	l = login_new(&a->server, &facts);
	buf_free(&mechanisms);
	arena_free(&arena);
	return l;
}

void
attempt_mechanisms(struct auth *a, const struct attempt_facts *f,
    struct buf *out)
{
	struct login *l = new_login(a, f);

	if (l != NULL)
		(void)login_mechanisms(l, out);
	login_free(&l);
}

static void
set_address(struct attempt *t, struct str addr)
{
	const struct auth_conf *conf = &t->auth->conf;
	uint8_t bytes[16];
	struct buf net;
	int family = ip_parse(addr, bytes);

	buf_init(&net, 128);
	if (family != 0)
		ip_mask_print(bytes, family, (unsigned)(family == AF_INET ?
		    conf->auth_client_ipv4_prefix_length :
		    conf->auth_client_ipv6_prefix_length), &net);
	t->addr = mem_strdup(buf_cstr(&net));
	buf_free(&net);
	t->exempt = family != 0 && match_list_addr(t->auth->exceptions,
	    STR("unknown"), addr) == FOUND;
}

bool
attempt_step(struct attempt *t, struct str data)
{
	struct buf out;

	if (t->check != NULL || t->grant != NULL || t->decided)
		return false;
	buf_init(&out, LOGIN_MESSAGE_MAX);
	(void)take(t, login_next(t->login, data, &out), &out);
	buf_free(&out);
	return true;
}

static void
check_password(struct attempt *t)
{
	const struct guess g = { login_user(t->login),
		login_password(t->login), str_of(t->service),
		str_of(t->client) };

	t->check = verify(t->auth->verifier, &g, on_verified, t);
	if (t->check == NULL)
		decide(t, AUTH_TEMPORARY, "too many logins at once");
}

/* NULL: it is over. */
static struct attempt *
take(struct attempt *t, enum login_step step, struct buf *out)
{
	switch (step) {
	case LOGIN_CHALLENGE:
		t->ops->challenge(t->ctx, buf_view(out));
		break;
	case LOGIN_PASSWORD:
		if (count(t))
			check_password(t);
		break;
	case LOGIN_DONE:
		if (count(t))
			proved(t, STORE_ANY);
		break;
	case LOGIN_FAILED:
		if (count(t))
			decide(t, AUTH_FAILED, login_reason(t->login));
		break;
	case LOGIN_FAULT:
		decide(t, AUTH_TEMPORARY, t->login == NULL ?
		    "temporary failure" : login_reason(t->login));
		break;
	}
	return t;
}

/* A guess is made: false where this address may not, for now. */
static bool
count(struct attempt *t)
{
	static const uint8_t key[16] = { 'p', 'o', 's', 't' };
	struct str password = login_password(t->login);
	struct buf text;

	if (t->exempt)
		return true;
	if (password.n > 0) {
		buf_init(&text, 4096);
		buf_str(&text, login_user(t->login));
		buf_putc(&text, '\0');
		buf_str(&text, password);
		t->guess = siphash(key, text.p, text.n) | 1;
		password_wipe(text.p, text.n);
		buf_free(&text);
	}
	t->delay_ms = penalty_begin(t->auth->penalties, str_of(t->addr),
	    login_user(t->login), t->guess, clock_steady_ms());
	t->counted = t->delay_ms >= 0;
	if (!t->counted)
		decide(t, AUTH_TEMPORARY, "too many logins at once");
	return t->counted;
}

static void
on_verified(void *ctx, enum password_verdict verdict, size_t store)
{
	struct attempt *t = ctx;

	t->check = NULL;
	switch (verdict) {
	case PASSWORD_RIGHT:
		proved(t, store);
		break;
	case PASSWORD_WRONG:
		decide(t, AUTH_FAILED, "authentication failure");
		break;
	case PASSWORD_FAULT:
		decide(t, AUTH_TEMPORARY, "temporary failure");
		break;
	}
}

/* Who it is, is known: a front needs the owner's worker besides. */
static void
proved(struct attempt *t, size_t store)
{
	const struct attempt_facts f = { .front = t->front,
		.instance = t->instance };

	if (t->instance == 0)
		decide(t, AUTH_OK, "");
	else
		t->grant = grant_start(t->auth, &f, login_user(t->login),
		    store, on_granted, t);
}

static void
on_granted(void *ctx, enum auth_result result, struct str ticket)
{
	struct attempt *t = ctx;

	t->grant = NULL;
	memcpy(t->ticket, ticket.p, ticket.n);
	t->ticket_size = ticket.n;
	decide(t, result, result == AUTH_OK ? "" : result == AUTH_FAILED ?
	    "authentication failure" : "temporary failure");
}

/* Told by the loop, now or later: never from within a call to us. */
static void
decide(struct attempt *t, enum auth_result result, const char *reason)
{
	int64_t after = clock_steady_ms() - t->start_ms, wait = 0;

	t->decided = true;
	t->result = result;
	t->reason = reason;
	if (t->counted) {
		if (result != AUTH_FAILED)
			penalty_take_back(t->auth->penalties,
			    str_of(t->addr), login_user(t->login), t->guess,
			    clock_steady_ms());
		if (result == AUTH_OK)
			penalty_right(t->auth->penalties, str_of(t->addr),
			    login_user(t->login), clock_steady_ms());
		wait = t->delay_ms;
	}
	/* From the start: how long a hash took does not show. */
	if (result == AUTH_FAILED && !t->exempt &&
	    wait < t->auth->conf.auth_failure_delay * 1000)
		wait = t->auth->conf.auth_failure_delay * 1000;
	wait -= after;
	timer_set(t->timer, wait > 0 ? wait : 0);
}

static void
tell(void *ctx)
{
	struct attempt *t = ctx;
	const struct attempt_ops *ops = t->ops;

	ops->done(t->ctx, t->result, t->login != NULL ? login_user(t->login) :
	    STR(""), t->reason, (struct str){ t->ticket, t->ticket_size });
	attempt_cancel(&t);
}

void
attempt_cancel(struct attempt **tp)
{
	struct attempt *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	if (t->counted)
		penalty_over(t->auth->penalties, str_of(t->addr));
	check_cancel(&t->check);
	grant_cancel(&t->grant);
	password_wipe(t->ticket, sizeof(t->ticket));
	timer_free(&t->timer);
	login_free(&t->login);
	mem_free(t->addr);
	mem_free(t->client);
	mem_free(t->service);
	mem_free(t);
}
