/*
 * verify - is this the password? Store by store; hashes in pool threads.
 *
 * What was right is remembered for auth_cache_time: a digest keyed by a
 * secret of this process, over name, stored hash and password. A stolen
 * digest needs the process's memory, which holds the database too; a changed
 * password changes the stored hash, and so misses.
 */
#include "auth/auth.h"

struct known {				/* was right */
	struct list link;		/* the oldest first */
	uint8_t	    mac[32];
	int64_t	    until_ms;
};
struct verifier {
	struct auth *auth;
	struct pool *pool;
	struct map  *known;		/* mac: struct known */
	struct list  order;
	char	     key[32];
	size_t	     waiting;
};
struct check {
	struct verifier *v;
	char		*user, *password, *service, *client;
	size_t		 at;		/* the next store */
	char		*credential;	/* of the job under way */
	uint8_t		 mac[32];
	bool		 nobody;	/* the dummy: wrong, whatever it says */
	bool		 running;	/* in the pool */
	enum password_verdict verdict;
	struct timer	*timer;
	struct daemon_ask *asked;
	struct pam_ask	*pam;
	verify_done	*done;		/* NULL: cancelled */
	void		*ctx;
};

static void	next(struct check *);
static void	hash(struct check *, struct str credential, bool nobody);
static int	work(void *ctx);
static void	on_hashed(void *ctx, int result);
static void	on_asked(void *ctx, enum password_verdict);
static void	finish(struct check *, enum password_verdict);
static void	on_finish(void *ctx);
static void	check_free(struct check *);

struct verifier *
verifier_new(struct auth *a)
{
	struct verifier *v = mem_new(sizeof(*v));

	v->auth = a;
	v->pool = pool_new(a->loop, (unsigned)a->conf.auth_hash_threads);
	v->known = map_new();
	list_init(&v->order);
	random_bytes(v->key, sizeof(v->key));
	return v;
}

struct check *
verify(struct verifier *v, const struct guess *g, verify_done *done,
    void *ctx)
{
	struct check *c;

	if (v->waiting >= (size_t)v->auth->conf.auth_hash_backlog)
		return NULL;
	c = mem_new(sizeof(*c));
	c->v = v;
	c->user = mem_copy(g->user);
	c->password = mem_copy(g->password);
	c->service = mem_copy(g->service);
	c->client = mem_copy(g->client);
	c->done = done;
	c->ctx = ctx;
	c->timer = timer_new(v->auth->loop, on_finish, c);
	v->waiting++;
	next(c);
	return c;
}

void
check_cancel(struct check **cp)
{
	struct check *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	c->done = NULL;
	if (!c->running)
		check_free(c);
}

static void
check_free(struct check *c)
{
	timer_free(&c->timer);
	saslauthd_cancel(&c->asked);
	pam_cancel(&c->pam);
	c->v->waiting--;
	password_wipe(c->password, strlen(c->password));
	mem_free(c->password);
	mem_free(c->credential);
	mem_free(c->user);
	mem_free(c->service);
	mem_free(c->client);
	mem_free(c);
}

/* The one that is quickest to check and strong: SCRAM keys come last. */
static struct str
best_credential(struct str record)
{
	struct str word, text, best = { NULL, 0 };

	if (record_has_flag(record, USER_DISABLED))
		return best;
	while (str_token(&record, " ", &word)) {
		bool scram = str_starts(password_scheme(word, &text),
		    STR("SCRAM-"));

		if (!record_is_credential(word))
			continue;
		if (best.n == 0 || !scram)
			best = word;
		if (!scram)
			break;
	}
	return best;
}

static void
ask(struct check *c, enum store_ask who)
{
	const struct guess g = { str_of(c->user), str_of(c->password),
		str_of(c->service), str_of(c->client) };

	if (who == ASK_PAM)
		c->pam = pam_ask(c->v->auth, &g, on_asked, c);
	else
		c->asked = saslauthd_ask(c->v->auth, &g, on_asked, c);
}

static void
next(struct check *c)
{
	struct auth *a = c->v->auth;
	enum store_ask who;
	struct str best;
	struct buf record;

	buf_init(&record, USER_RECORD_MAX);
	switch (stores_find(a, str_of(c->user), &c->at, &record,
	    &who)) {
	case FOUND:
		if (who != ASK_NOBODY) {
			ask(c, who);
			break;
		}
		best = best_credential(buf_view(&record));
		hash(c, best.n > 0 ? best : password_dummy(), best.n == 0);
		break;
	case NONE:
		/* Costs what a user costs. */
		hash(c, password_dummy(), true);
		break;
	case RETRY:
		finish(c, PASSWORD_FAULT);
		break;
	}
	password_wipe(record.p, record.n);
	buf_free(&record);
}

static void
make_mac(struct check *c, struct str credential)
{
	struct buf text;

	buf_init(&text, 8192);
	buf_puts(&text, c->user);
	buf_putc(&text, '\0');
	buf_str(&text, credential);
	buf_putc(&text, '\0');
	buf_puts(&text, c->password);
	password_mac((struct str){ c->v->key, sizeof(c->v->key) },
	    buf_view(&text), c->mac);
	password_wipe(text.p, text.n);
	buf_free(&text);
}

static struct str
mac_key(const uint8_t *mac)
{
	return (struct str){ (const char *)mac, 32 };
}

static void
forget(struct verifier *v, struct known *k)
{
	list_remove(&k->link);
	map_set(v->known, mac_key(k->mac), NULL);
	mem_free(k);
}

static bool
is_known(struct verifier *v, const uint8_t mac[32])
{
	struct known *k;

	while (!list_empty(&v->order)) {
		k = container_of(v->order.next, struct known, link);
		if (k->until_ms > clock_steady_ms())
			break;
		forget(v, k);
	}
	return map_get(v->known, mac_key(mac)) != NULL;
}

static void
remember(struct verifier *v, const uint8_t mac[32])
{
	const struct auth_conf *conf = &v->auth->conf;
	struct known *k;

	if (conf->auth_cache_time == 0 || conf->auth_cache_size == 0 ||
	    map_get(v->known, mac_key(mac)) != NULL)
		return;
	if (map_count(v->known) >= (size_t)conf->auth_cache_size)
		forget(v, container_of(v->order.next, struct known, link));
	k = mem_new(sizeof(*k));
	memcpy(k->mac, mac, sizeof(k->mac));
	k->until_ms = clock_steady_ms() + conf->auth_cache_time * 1000;
	list_append(&v->order, &k->link);
	map_set(v->known, mac_key(k->mac), k);
}

static void
hash(struct check *c, struct str credential, bool nobody)
{
	c->nobody = nobody;
	make_mac(c, credential);
	if (!nobody && is_known(c->v, c->mac)) {
		finish(c, PASSWORD_RIGHT);
		return;
	}
	mem_free(c->credential);
	c->credential = mem_copy(credential);
	c->running = true;
	pool_run(c->v->pool, work, on_hashed, c);
}

/* In a thread: touches c->credential, password, verdict alone. */
static int
work(void *ctx)
{
	struct check *c = ctx;

	c->verdict = password_check(str_of(c->credential),
	    str_of(c->password));
	return 0;
}

static void
on_hashed(void *ctx, int result)
{
	struct check *c = ctx;

	(void)result;
	c->running = false;
	if (c->nobody && c->verdict == PASSWORD_RIGHT)
		c->verdict = PASSWORD_WRONG;
	if (c->verdict == PASSWORD_FAULT)
		log_warn("%s: %s", c->user, password_refusal(
		    str_of(c->credential)) != NULL ?
		    password_refusal(str_of(c->credential)) :
		    "the password can't be checked");
	if (c->verdict == PASSWORD_RIGHT)
		remember(c->v, c->mac);
	if (c->done == NULL)
		check_free(c);
	else
		finish(c, c->verdict);
}

/* Whom saslauthd or PAM does not let in, the next store may. */
static void
on_asked(void *ctx, enum password_verdict verdict)
{
	struct check *c = ctx;

	c->asked = NULL;
	c->pam = NULL;
	if (verdict == PASSWORD_WRONG)
		next(c);
	else
		finish(c, verdict);
}

/* From the loop, never from within verify(). */
static void
finish(struct check *c, enum password_verdict verdict)
{
	c->verdict = verdict;
	timer_set(c->timer, 0);
}

static void
on_finish(void *ctx)
{
	struct check *c = ctx;
	verify_done *done = c->done;
	void *done_ctx = c->ctx;
	enum password_verdict verdict = c->verdict;
	size_t store = c->at - (c->at > 0);

	check_free(c);
	done(done_ctx, verdict, store);
}
