/*
 * dial - a connection to a UNIX socket, which lookup makes for us: our root
 * is empty. lookup connects only where its own configuration sends the
 * recipient that we name (ipc.def, unix_ask).
 */
#include <errno.h>

#include "smtp/smtp.h"

#define PEER_WAIT_MS	10000	/* for lookup to (re)start */
#define ANSWER_MS	30000

struct dial {
	struct delivery	*d;
	struct str	 path;
	struct wait_peer *waiting;
	struct talk	*talk;
	struct timer	*soon;
};

static void	on_channel(void *ctx, struct channel *);
static void	on_answer(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);

static const struct talk_ops talk_ops = { on_answer, on_gone };

static void
dial_free(struct dial *w)
{
	service_wait_cancel(&w->waiting);
	talk_close(&w->talk);
	timer_free(&w->soon);
	mem_free(w);
}

static void
finish(struct dial *w, int fd, int err)
{
	struct delivery *d = w->d;

	w->talk = NULL;
	dial_free(w);
	route_unix_done(d, fd, err);
}

static void
no_lookup(void *ctx)
{
	finish(ctx, -1, EAGAIN);
}

static void
on_channel(void *ctx, struct channel *c)
{
	struct dial *w = ctx;
	const struct recipient *r = w->d->rcpts;

	w->waiting = NULL;
	if (c == NULL) {
		timer_set(w->soon, 0);	/* not from within dial_start */
		return;
	}
	while (r->mark != RCPT_LEFT)
		r++;
	w->talk = talk_open(c, &talk_ops, w);
	talk_deadline(w->talk, ANSWER_MS);
	talk_send(w->talk, MSG_unix_ask, &(struct msg_unix_ask){
	    .path = w->path, .sender = w->d->msg.sender,
	    .recipient = r->address,
	    .service = str_of(service_name(w->d->smtp->service)) });
}

struct dial *
dial_start(struct delivery *d, struct str path)
{
	struct dial *w = mem_new(sizeof(*w));
	struct wait_peer *wait;

	w->d = d;
	w->path = path;
	w->soon = timer_new(d->smtp->loop, no_lookup, w);
	wait = service_wait_peer(d->smtp->service, ROLE_LOOKUP, STR(""),
	    PEER_WAIT_MS, on_channel, w);
	if (wait != NULL)
		w->waiting = wait;
	return w;
}

void
dial_cancel(struct dial **wp)
{
	struct dial *w = *wp;

	*wp = NULL;
	if (w != NULL)
		dial_free(w);
}

static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_unix_answer *m = msg;
	int fd = m->socket;

	(void)t;
	(void)id;
	if (fd < 0 || m->err != 0) {
		fd_close(&fd);
		finish(ctx, -1, m->err == 0 ? EMFILE :
		    m->err < INT32_MAX ? (int)m->err : EINVAL);
	} else
		finish(ctx, fd, 0);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	(void)t;
	log_warn("lookup: %s", why);
	finish(ctx, -1, EAGAIN);
}
