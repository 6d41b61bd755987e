/*
 * ask - questions to lookup, since our root is empty: about a table that our
 * parameters name, or for a connection to a UNIX socket. lookup connects only
 * where its own configuration sends the recipient that we name (ipc.def).
 */
#include <errno.h>

#include "smtp/smtp.h"

#define PEER_WAIT_MS	10000	/* for lookup to (re)start */
#define ANSWER_MS	30000

struct ask {
	struct smtp	*smtp;
	struct wait_peer *waiting;
	struct talk	*talk;
	struct timer	*soon;
	void		(*say)(struct ask *);
	void		(*heard)(struct ask *, const void *);	/* NULL: nothing */
	/* Of a table: */
	char		*parameter, *key;
	size_t		 key_n;
	enum map_kind	 kind;
	ask_fn		*fn;
	void		*ctx;
	/* Of a socket: */
	struct delivery	*d;
	struct str	 path;
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

void
ask_cancel(struct ask **ap)
{
	struct ask *a = *ap;

	*ap = NULL;
	if (a != NULL)
		ask_free(a);
}

static void
no_lookup(void *ctx)
{
	struct ask *a = ctx;

	log_warn("lookup: no process to ask");
	a->heard(a, NULL);
}

static void
on_channel(void *ctx, struct channel *c)
{
	struct ask *a = ctx;

	a->waiting = NULL;
	if (c == NULL) {
		timer_set(a->soon, 0);	/* not from within ask_map, ask_unix */
		return;
	}
	a->talk = talk_open(c, &talk_ops, a);
	talk_deadline(a->talk, ANSWER_MS);
	a->say(a);
}

static void
begin(struct ask *a)
{
	struct wait_peer *w;

	a->soon = timer_new(a->smtp->loop, no_lookup, a);
	w = service_wait_peer(a->smtp->service, ROLE_LOOKUP, STR(""),
	    PEER_WAIT_MS, on_channel, a);
	if (w != NULL)
		a->waiting = w;
}

/* Each of our questions has one answer, which ends the talk. */
static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct ask *a = ctx;

	(void)t;
	(void)id;
	a->talk = NULL;
	a->heard(a, msg);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct ask *a = ctx;

	(void)t;
	a->talk = NULL;
	log_warn("lookup: %s", why);
	a->heard(a, NULL);
}

/* --- tables --- */

static void
say_map(struct ask *a)
{
	talk_send(a->talk, MSG_map_ask, &(struct msg_map_ask){
	    .parameter = str_of(a->parameter), .kind = a->kind,
	    .key = { a->key, a->key_n },
	    .service = str_of(service_name(a->smtp->service)) });
}

static void
heard_map(struct ask *a, const void *msg)
{
	const struct msg_map_answer *m = msg;
	enum found found = m == NULL ? RETRY : m->found == FOUND ? FOUND :
	    m->found == NONE ? NONE : RETRY;

	if (found == RETRY)
		log_warn("%s: lookup " STRF ": " STRF, a->parameter,
		    STRV(((struct str){ a->key, a->key_n })),
		    STRV(m != NULL ? m->error : STR("no answer")));
	a->fn(a->ctx, found, m != NULL ? m->value : STR(""));
	ask_free(a);
}

struct ask *
ask_map(struct smtp *s, const char *parameter, enum map_kind kind,
    struct str key, ask_fn *fn, void *ctx)
{
	struct ask *a = mem_new(sizeof(*a));

	a->smtp = s;
	a->say = say_map;
	a->heard = heard_map;
	a->parameter = mem_strdup(parameter);
	a->key = mem_copy(key);
	a->key_n = key.n;
	a->kind = kind;
	a->fn = fn;
	a->ctx = ctx;
	begin(a);
	return a;
}

/* --- UNIX sockets --- */

static void
say_unix(struct ask *a)
{
	const struct recipient *r = a->d->rcpts;

	while (r->mark != RCPT_LEFT)
		r++;
	talk_send(a->talk, MSG_unix_ask, &(struct msg_unix_ask){
	    .path = a->path, .sender = a->d->msg.sender,
	    .recipient = r->address,
	    .service = str_of(service_name(a->smtp->service)) });
}

static void
heard_unix(struct ask *a, const void *msg)
{
	const struct msg_unix_answer *m = msg;
	struct delivery *d = a->d;
	int fd = -1, err = EAGAIN;

	if (m != NULL) {
		fd = m->socket;
		err = m->err < INT32_MAX ? (int)m->err : EINVAL;
		if (fd < 0 && err == 0)
			err = EMFILE;
		if (err != 0)
			fd_close(&fd);
	}
	ask_free(a);
	route_unix_done(d, fd, err);
}

struct ask *
ask_unix(struct delivery *d, struct str path)
{
	struct ask *a = mem_new(sizeof(*a));

	a->smtp = d->smtp;
	a->say = say_unix;
	a->heard = heard_unix;
	a->d = d;
	a->path = path;
	begin(a);
	return a;
}
