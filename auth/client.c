/*
 * client - our own logins at servers, for smtp(8) and lmtp(8).
 *
 * smtp_sasl_password_maps is opened here; smtp gets the lines to say and
 * nothing else. PLAIN, LOGIN, CRAM-MD5 and SCRAM are our own (lib/password):
 * libsasl's client half has had its share of faults, and we choose among so
 * few. A server that we prefer SCRAM with must prove that it knows the
 * password, too.
 */
#include "auth/auth.h"

#define TEXT_MAX	4096
#define STEPS_MAX	5

struct client_site {			/* a service of master.cf */
	struct str	 name;		/* "": main.cf alone */
	struct tables	*maps[2];	/* smtp_, lmtp_sasl_password_maps */
	struct str	 delimiter[2];
	bool		 cached[2];	/* sasl_auth_cache_name is set */
	int64_t		 cache_s[2];
	struct conf	*conf;
};
struct clients { struct client_site *v; size_t n; };

enum way { PLAIN, LOGIN, CRAM_MD5, SCRAM };
/* The best first; what each one's properties do not allow. */
static const struct mechanism {
	const char *name;
	enum way    way;
	unsigned    lacks;	/* SASL_ bits that rule it out */
} mechanisms[] = {
	{ "SCRAM-SHA-256", SCRAM, SASL_NO_DICTIONARY | SASL_NEED_FORWARD },
	{ "SCRAM-SHA-1", SCRAM, SASL_NO_DICTIONARY | SASL_NEED_FORWARD },
	{ "CRAM-MD5", CRAM_MD5, SASL_NO_ACTIVE | SASL_NO_DICTIONARY |
	    SASL_NEED_FORWARD | SASL_NEED_MUTUAL },
	{ "PLAIN", PLAIN, SASL_NO_PLAINTEXT | SASL_NO_ACTIVE |
	    SASL_NO_DICTIONARY | SASL_NEED_FORWARD | SASL_NEED_MUTUAL },
	{ "LOGIN", LOGIN, SASL_NO_PLAINTEXT | SASL_NO_ACTIVE |
	    SASL_NO_DICTIONARY | SASL_NEED_FORWARD | SASL_NEED_MUTUAL },
};

struct client {
	struct auth	*auth;
	struct talk	*talk;		/* NULL: smtp went while a thread runs */
	const struct mechanism *way;
	char		*user, *password;
	char		*refusal_key;	/* NULL: refusals are not kept */
	struct buf	 first, proof;	/* SCRAM */
	struct buf	 challenge, answer;
	unsigned	 step;
	bool		 running, good;
	bool		 authzid;	/* send_cyrus_sasl_authzid */
};

static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	begin(struct client *, const struct msg_login_begin *);
static enum found find_password(struct client *, const struct msg_login_begin *,
		    struct buf *value);
static bool	is_refused(struct client *, const struct client_site *,
		    const struct msg_login_begin *);
static void	refused(struct client *, const struct msg_login_refused *);
static void	challenged(struct client *, struct str data);
static int	work(void *ctx);
static void	on_worked(void *ctx, int result);
static void	plain_answer(struct client *);
static void	say(struct client *, const char *verb, struct str answer,
		    bool last);
static void	fail(struct client *, const char *reason);
static void	client_free(struct client *);

static const struct talk_ops talk_ops = { on_message, on_gone };

/* --- tables --- */

static void
open_site(struct auth *a, struct clients *all, struct str name,
    struct conf *conf, struct problems *p)
{
	static const char *const names[2][4] = {
		{ "smtp_sasl_password_maps",
		    "smtp_sasl_password_result_delimiter",
		    "smtp_sasl_auth_cache_name",
		    "smtp_sasl_auth_cache_time" },
		{ "lmtp_sasl_password_maps",
		    "lmtp_sasl_password_result_delimiter",
		    "lmtp_sasl_auth_cache_name",
		    "lmtp_sasl_auth_cache_time" },
	};
	struct client_site *s;
	struct buf why;

	all->v = mem_grow(all->v, all->n + 1, sizeof(*all->v));
	s = &all->v[all->n++];
	*s = (struct client_site){ .name = name, .conf = conf };
	for (size_t i = 0; i < 2; i++) {
		buf_init(&why, 2000);
		s->maps[i] = tables_open(conf_get(conf, names[i][0]),
		    conf_dir(conf), TABLE_FOLD | TABLE_NO_REGSUB, &why);
		s->delimiter[i] = conf_get(conf, names[i][1]);
		s->cached[i] = conf_get(conf, names[i][2]).n > 0;
		s->cache_s[i] = conf_number(conf, names[i][3]);
		if (why.n > 0)
			problem_add(p, service_checks(a->service), NULL, 0,
			    "%s: %s", names[i][0], buf_cstr(&why));
		buf_free(&why);
	}
}

void
clients_open(struct auth *a, struct problems *p)
{
	struct conf *conf = service_conf(a->service), *own;
	struct clients *all = arena_alloc(a->arena, sizeof(*all));
	struct master_cf services = { 0 };

	a->clients = all;
	a->refusals = refusals_new();
	open_site(a, all, STR(""), conf, p);
	if (!master_cf_load(conf, &services, p))
		return;
	for (size_t i = 0; i < services.n; i++) {
		struct master_entry *e = &services.v[i];

		if ((!str_eq(e->command, STR("smtp")) &&
		    !str_eq(e->command, STR("lmtp"))) || e->noverrides == 0)
			continue;
		own = conf_load(conf_dir(conf), p);
		conf_override(own, STR("service_name"), e->name);
		for (size_t o = 0; o < e->noverrides; o++)
			conf_override(own, e->overrides[o].name,
			    e->overrides[o].value);
		open_site(a, all, e->name, own, p);
	}
}

/* --- a login --- */

void
client_on_talk(struct auth *a, struct talk *t)
{
	struct client *c = mem_new(sizeof(*c));

	c->auth = a;
	c->talk = t;
	buf_init(&c->first, TEXT_MAX);
	buf_init(&c->proof, TEXT_MAX);
	buf_init(&c->challenge, TEXT_MAX);
	buf_init(&c->answer, TEXT_MAX);
	talk_set(t, &talk_ops, c);
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct client *c = ctx;

	(void)t;
	if (id == MSG_login_begin && c->way == NULL)
		begin(c, msg);
	else if (id == MSG_login_challenge && c->way != NULL && !c->running)
		challenged(c,
		    ((const struct msg_login_challenge *)msg)->data);
	else if (id == MSG_login_refused && c->way != NULL)
		refused(c, msg);
	else
		fail(c, "a step out of its place");
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct client *c = ctx;

	(void)t;
	(void)why;
	c->talk = NULL;
	if (!c->running)
		client_free(c);
}

/* "user:password", cut where the delimiter first stands. */
static bool
split(struct client *c, struct str value, struct str delimiter)
{
	size_t at = 0;

	value = str_trim(value);
	if (delimiter.n == 0)
		delimiter = STR(":");
	while (at < value.n && !str_starts(str_from(value, at), delimiter))
		at++;
	c->user = mem_copy(str_first(value, at));
	c->password = mem_copy(str_from(value, at + delimiter.n));
	return at < value.n && c->user[0] != '\0';
}

static const struct client_site *
site_of(struct client *c, struct str service)
{
	const struct clients *all = c->auth->clients;

	for (size_t i = 1; i < all->n; i++)
		if (str_eq(all->v[i].name, service))
			return &all->v[i];
	return &all->v[0];
}

/* smtp_sasl_password_maps: sender, then host, then destination. */
static enum found
find_password(struct client *c, const struct msg_login_begin *m,
    struct buf *value)
{
	const struct client_site *site = site_of(c, m->service);
	struct tables *maps = site->maps[m->lmtp != 0];
	const struct find_conf fc = { .delimiter = conf_get(site->conf,
	    "recipient_delimiter"), .myorigin = conf_get(site->conf,
	    "myorigin") };
	struct str extension;
	enum found found = NONE;

	if (m->sender.n > 0)
		found = tables_find_address(maps, &fc, FIND_DEFAULT,
		    m->sender, value, &extension);
	if (found == NONE && m->host.n > 0)
		found = tables_get(maps, m->host, value);
	if (found == NONE && m->dest.n > 0)
		found = tables_get(maps, m->dest, value);
	if (found == RETRY)
		log_warn("smtp_sasl_password_maps: %s", tables_error(maps));
	return found;
}

static const struct mechanism *
choose(struct str offered, unsigned refused)
{
	struct str rest, word;

	for (size_t i = 0; i < nitems(mechanisms); i++) {
		if (mechanisms[i].lacks & refused)
			continue;
		rest = offered;
		while (str_token(&rest, " ", &word))
			if (str_eq_nocase(word, str_of(mechanisms[i].name)))
				return &mechanisms[i];
	}
	return NULL;
}

static void
begin(struct client *c, const struct msg_login_begin *m)
{
	const struct client_site *site = site_of(c, m->service);
	struct buf value;
	enum found found;

	buf_init(&value, TABLE_VALUE_MAX);
	found = find_password(c, m, &value);
	if (found == FOUND && !split(c, buf_view(&value),
	    site->delimiter[m->lmtp != 0]))
		found = NONE;		/* as Postfix: an empty entry is none */
	password_wipe(value.p, value.n);
	buf_free(&value);
	if (found == NONE) {
		talk_send(c->talk, MSG_login_none,
		    &(struct msg_login_none){ 0 });
		client_free(c);
		return;
	}
	if (found == FOUND && is_refused(c, site, m)) {
		client_free(c);
		return;
	}
	c->way = found == FOUND ? choose(m->mechanisms,
	    (unsigned)m->refused) : NULL;
	if (c->way == NULL) {
		fail(c, found == FOUND ? "server offered no compatible "
		    "authentication mechanisms for this type of connection "
		    "security" : "password lookup failed");
		return;
	}
	c->authzid = conf_bool(site->conf, "send_cyrus_sasl_authzid");
	if (c->way->way == PLAIN)
		plain_answer(c);
	if (c->way->way == SCRAM) {
		(void)scram_client_first(str_of(c->user), &c->first);
		buf_str(&c->answer, buf_view(&c->first));
	}
	say(c, c->way->name, buf_view(&c->answer), c->way->way == PLAIN);
}

/* smtp_sasl_auth_cache_name. True: this was tried, and is answered. */
static bool
is_refused(struct client *c, const struct client_site *site,
    const struct msg_login_begin *m)
{
	int64_t since_s = clock_wall_s() - site->cache_s[m->lmtp != 0];
	struct refused why;
	struct buf key;
	bool known;

	if (!site->cached[m->lmtp != 0])
		return false;
	buf_init(&key, TEXT_MAX);
	buf_printf(&key, "%s " STRF " %s", m->lmtp != 0 ? "lmtp" : "smtp",
	    STRV(m->host), c->user);
	c->refusal_key = mem_strdup(buf_cstr(&key));
	buf_free(&key);
	known = refusal_find(c->auth->refusals, str_of(c->refusal_key),
	    str_of(c->password), since_s, &why);
	if (known)
		talk_send(c->talk, MSG_login_cached, &(struct msg_login_cached){
		    .dsn = why.dsn, .text = why.text });
	return known;
}

static void
refused(struct client *c, const struct msg_login_refused *m)
{
	if (c->refusal_key != NULL)
		refusal_add(c->auth->refusals, str_of(c->refusal_key),
		    str_of(c->password), &(struct refused){ m->dsn, m->text },
		    clock_wall_s());
}

/* RFC 4616 2. */
static void
plain_answer(struct client *c)
{
	buf_printf(&c->answer, "%s%c%s%c%s", c->authzid ? c->user : "", '\0',
	    c->user, '\0', c->password);
}

/* A verb: the first line; without one: an answer to a challenge. */
static void
say(struct client *c, const char *verb, struct str answer, bool last)
{
	struct buf line;

	buf_init(&line, 4 * TEXT_MAX);
	if (verb != NULL)
		buf_printf(&line, "AUTH %s%s", verb, answer.n > 0 ? " " : "");
	base64_encode(answer, &line);
	talk_send(c->talk, MSG_login_say, &(struct msg_login_say){
	    .line = buf_view(&line), .last = last });
	password_wipe(line.p, line.n);
	buf_free(&line);
}

/* The answer may be slow to make (SCRAM): a thread's work. */
static void
challenged(struct client *c, struct str data)
{
	buf_clear(&c->challenge);
	buf_clear(&c->answer);
	if (++c->step > STEPS_MAX || !base64_decode(data, &c->challenge)) {
		fail(c, "malformed challenge");
		return;
	}
	c->running = true;
	pool_run(service_pool(c->auth->service), work, on_worked, c);
}

static int
work(void *ctx)
{
	struct client *c = ctx;
	struct str user = str_of(c->user), password = str_of(c->password);
	struct str challenge = buf_view(&c->challenge);

	c->good = true;
	switch (c->way->way) {
	case PLAIN:		/* the server overlooked our first */
		plain_answer(c);
		break;
	case LOGIN:
		buf_str(&c->answer, c->step == 1 ? user : password);
		break;
	case CRAM_MD5:
		cram_md5_answer(user, password, challenge, &c->answer);
		break;
	case SCRAM:
		if (c->step == 1 && challenge.n == 0)
			buf_str(&c->answer, buf_view(&c->first));
		else if (c->proof.n == 0)
			c->good = scram_client_answer(c->way->name, password,
			    buf_view(&c->first), challenge, &c->answer,
			    &c->proof);
		else	/* its own proof: then we say nothing more */
			c->good = str_eq(challenge, buf_view(&c->proof));
		break;
	}
	return 0;
}

static void
on_worked(void *ctx, int result)
{
	struct client *c = ctx;
	bool last = c->way->way != SCRAM || (c->proof.n > 0 &&
	    c->answer.n == 0);

	(void)result;
	c->running = false;
	if (c->talk == NULL)
		client_free(c);
	else if (!c->good)
		fail(c, "the server does not know the password, or speaks no "
		    "SCRAM");
	else
		say(c, NULL, buf_view(&c->answer), last);
}

static void
fail(struct client *c, const char *reason)
{
	if (c->talk != NULL)
		talk_send(c->talk, MSG_login_failed,
		    &(struct msg_login_failed){ .reason = str_of(reason) });
	c->talk = NULL;
	if (!c->running)
		client_free(c);
}

static void
client_free(struct client *c)
{
	struct buf *const bufs[] = { &c->first, &c->proof, &c->challenge,
		&c->answer };

	for (size_t i = 0; i < nitems(bufs); i++) {
		password_wipe(bufs[i]->p, bufs[i]->n);
		buf_free(bufs[i]);
	}
	if (c->password != NULL)
		password_wipe(c->password, strlen(c->password));
	mem_free(c->password);
	mem_free(c->user);
	mem_free(c->refusal_key);
	mem_free(c);
}
