/*
 * pam - asks the process pam, which may wait for PAM's modules; we don't.
 */
#include "auth/auth.h"

#define SLACK_MS	5000	/* pam keeps its own time, and tells us */

struct pam_ask {
	struct auth	 *auth;
	char		 *user, *password, *client;
	struct wait_peer *wait;
	struct timer	 *start;
	struct talk	 *talk;
	asked_done	 *done;
	void		 *ctx;
};

static void	on_start(void *ctx);
static void	on_peer(void *ctx, struct channel *);
static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	finish(struct pam_ask *, enum password_verdict);

static const struct talk_ops talk_ops = { on_message, on_gone };

struct pam_ask *
pam_ask(struct auth *a, const struct guess *g, asked_done *done, void *ctx)
{
	struct pam_ask *q = mem_new(sizeof(*q));

	q->auth = a;
	q->user = mem_copy(g->user);
	q->password = mem_copy(g->password);
	q->client = mem_copy(g->client);
	q->done = done;
	q->ctx = ctx;
	q->start = timer_new(a->loop, on_start, q);
	timer_set(q->start, 0);
	return q;
}

/* pam may be starting anew. */
static void
on_start(void *ctx)
{
	struct pam_ask *q = ctx;
	struct wait_peer *wait = service_wait_peer(q->auth->service, ROLE_PAM,
	    STR(""), q->auth->pam_timeout_ms, on_peer, q);

	if (wait != NULL)
		q->wait = wait;
}

static void
on_peer(void *ctx, struct channel *channel)
{
	struct pam_ask *q = ctx;

	q->wait = NULL;
	if (channel == NULL) {
		log_warn("there is no pam process to ask");
		finish(q, PASSWORD_FAULT);
		return;
	}
	q->talk = talk_open(channel, &talk_ops, q);
	talk_send(q->talk, MSG_pam_ask, &(struct msg_pam_ask){
	    .user = str_of(q->user), .password = str_of(q->password),
	    .client_addr = str_of(q->client) });
	talk_deadline(q->talk, q->auth->pam_timeout_ms + SLACK_MS);
	password_wipe(q->password, strlen(q->password));
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct pam_ask *q = ctx;
	const struct msg_pam_answer *m = msg;

	(void)t;
	(void)id;
	q->talk = NULL;		/* pam_answer ENDS it */
	finish(q, m->verdict == PASSWORD_RIGHT || m->verdict ==
	    PASSWORD_WRONG ? (enum password_verdict)m->verdict :
	    PASSWORD_FAULT);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct pam_ask *q = ctx;

	(void)t;
	log_warn("pam: %s", why);
	q->talk = NULL;
	finish(q, PASSWORD_FAULT);
}

static void
finish(struct pam_ask *q, enum password_verdict verdict)
{
	asked_done *done = q->done;
	void *ctx = q->ctx;

	pam_cancel(&q);
	done(ctx, verdict);
}

void
pam_cancel(struct pam_ask **qp)
{
	struct pam_ask *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	service_wait_cancel(&q->wait);
	timer_free(&q->start);
	talk_close(&q->talk);
	password_wipe(q->password, strlen(q->password));
	mem_free(q->password);
	mem_free(q->user);
	mem_free(q->client);
	mem_free(q);
}
