/*
 * ask - a question to another process in the midst of an evaluation.
 *
 * The rule says what to send and what the answer means; waiting for the
 * process, its deadline and its death are here. The next process that rules
 * ask (DNS, policy servers) is one more role.
 */
#include "smtpd/access.h"

#define PEER_WAIT_MS 10000	/* for the process to (re)start */

static void on_channel(void *ctx, struct channel *);
static void on_answer(void *ctx, struct talk *, enum msg, const void *);
static void on_gone(void *ctx, struct talk *, const char *why);

static const struct talk_ops talk_ops = { on_answer, on_gone };

enum step
check_ask(struct check *c, const struct question *question)
{
	struct service *service = c->s->smtpd->service;
	struct wait_peer *w;

	c->question = question;
	w = service_wait_peer(service, ROLE_LOOKUP, STR(""), PEER_WAIT_MS,
	    on_channel, c);
	if (w != NULL)		/* else it was called, and has asked */
		c->waiting = w;
	return WAITS;
}

static void
on_channel(void *ctx, struct channel *ch)
{
	struct check *c = ctx;
	struct session *s = c->s;

	c->waiting = NULL;
	if (ch == NULL) {
		on_gone(c, NULL, "does not answer");
		return;
	}
	s->ask = talk_open(ch, &talk_ops, c);
	talk_deadline(s->ask, s->smtpd->conf.ipc_timeout * 1000);
	c->question->send(c, s->ask);
}

static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct check *c = ctx;

	(void)t;
	(void)id;
	c->s->ask = NULL;
	check_resume(c, c->question->answer(c, msg));
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct check *c = ctx;

	(void)t;
	log_warn("lookup: %s", why);
	c->s->ask = NULL;
	check_resume(c, c->question->lost(c));
}
