/*
 * ask - a question to lookup about a table that our parameters name.
 */
#include "smtp/smtp.h"

#define PEER_WAIT_MS	10000	/* for lookup to (re)start */
#define ANSWER_MS	30000

struct ask {
	struct smtp	*smtp;
	struct wait_peer *waiting;
	struct talk	*talk;
	char		*parameter, *key;
	size_t		 key_n;
	enum map_kind	 kind;
	ask_fn		*fn;
	void		*ctx;
	struct timer	*soon;
};

static void	on_channel(void *ctx, struct channel *);
static void	on_answer(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);

static const struct talk_ops talk_ops = { on_answer, on_gone };

static void
ask_free(struct ask *a)
{
	service_wait_cancel(&a->waiting);
	talk_close(&a->talk);
	timer_free(&a->soon);
	mem_free(a->parameter);
	mem_free(a->key);
	mem_free(a);
}

static void
finish(struct ask *a, enum found found, struct str value)
{
	ask_fn *fn = a->fn;
	void *ctx = a->ctx;

	a->talk = NULL;
	fn(ctx, found, value);
	ask_free(a);
}

static void
no_lookup(void *ctx)
{
	struct ask *a = ctx;

	log_warn("%s: no process to ask", a->parameter);
	finish(a, RETRY, STR(""));
}

static void
on_channel(void *ctx, struct channel *c)
{
	struct ask *a = ctx;

	a->waiting = NULL;
	if (c == NULL) {
		timer_set(a->soon, 0);	/* not from within ask_map */
		return;
	}
	a->talk = talk_open(c, &talk_ops, a);
	talk_deadline(a->talk, ANSWER_MS);
	talk_send(a->talk, MSG_map_ask, &(struct msg_map_ask){
	    .parameter = str_of(a->parameter), .kind = a->kind,
	    .key = { a->key, a->key_n },
	    .service = str_of(service_name(a->smtp->service)) });
}

struct ask *
ask_map(struct smtp *s, const char *parameter, enum map_kind kind,
    struct str key, ask_fn *fn, void *ctx)
{
	struct ask *a = mem_new(sizeof(*a));
	struct wait_peer *w;

	a->smtp = s;
	a->parameter = mem_strdup(parameter);
	a->key = mem_new(key.n + 1);
	memcpy(a->key, key.p, key.n);
	a->key_n = key.n;
	a->kind = kind;
	a->fn = fn;
	a->ctx = ctx;
	a->soon = timer_new(s->loop, no_lookup, a);
	w = service_wait_peer(s->service, ROLE_LOOKUP, STR(""), PEER_WAIT_MS,
	    on_channel, a);
	if (w != NULL)
		a->waiting = w;
	return a;
}

void
ask_cancel(struct ask **ap)
{
	struct ask *a = *ap;

	*ap = NULL;
	if (a != NULL)
		ask_free(a);
}

static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct ask *a = ctx;
	const struct msg_map_answer *m = msg;

	(void)t;
	(void)id;
	if (m->found != FOUND && m->found != NONE)
		log_warn("%s: lookup " STRF ": " STRF, a->parameter,
		    STRV(((struct str){ a->key, a->key_n })), STRV(m->error));
	finish(a, m->found == FOUND ? FOUND : m->found == NONE ? NONE : RETRY,
	    m->value);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct ask *a = ctx;

	(void)t;
	log_warn("%s: lookup: %s", a->parameter, why);
	finish(a, RETRY, STR(""));
}
