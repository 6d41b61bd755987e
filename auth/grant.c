/*
 * grant - the password was right, and a front wants the user's mail read: a
 * ticket for the owner's worker, known to master before the front has it.
 *
 * Who has no mail here, or whom master's rules refuse (root), is refused as
 * by a wrong password, so that nobody can try such passwords here; the log
 * tells why.
 */
#include "auth/auth.h"

#define ANSWER_MS	10000	/* master answers at once, or is replaced */

struct grant {
	struct list	  link;
	struct auth	 *auth;
	char		 *user;
	enum role	  front;
	uint64_t	  instance, number;
	struct owner_ask *owner;
	struct timer	 *timer;
	char		  secret[TICKET_SIZE];
	bool		  starting, over;
	grant_done	 *done;
	void		 *ctx;
};

static void	on_owner(void *ctx, enum found, const struct owner *,
		    const char *why);
static void	on_late(void *ctx);
static void	finish(struct grant *, enum auth_result);

struct grant *
grant_start(struct auth *a, const struct attempt_facts *f, struct str user,
    size_t store, grant_done *done, void *ctx)
{
	struct grant *g = mem_new(sizeof(*g));

	g->auth = a;
	g->user = mem_copy(user);
	g->front = f->front;
	g->instance = f->instance;
	g->number = ++a->ngrants;
	g->done = done;
	g->ctx = ctx;
	g->timer = timer_new(a->loop, on_late, g);
	list_append(&a->grants, &g->link);
	g->starting = true;
	g->owner = owner_find(a, user, store, on_owner, g);
	g->starting = false;
	if (g->over)
		grant_cancel(&g);
	return g;
}

void
grant_cancel(struct grant **gp)
{
	struct grant *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	list_remove(&g->link);
	owner_cancel(&g->owner);
	timer_free(&g->timer);
	mem_free(g->user);
	password_wipe(g->secret, sizeof(g->secret));
	mem_free(g);
}

static void
finish(struct grant *g, enum auth_result result)
{
	struct str ticket = { g->secret, result == AUTH_OK ? TICKET_SIZE : 0 };

	g->over = true;
	g->done(g->ctx, result, ticket);
	if (!g->starting)
		grant_cancel(&g);
}

static void
on_owner(void *ctx, enum found found, const struct owner *o, const char *why)
{
	struct grant *g = ctx;
	struct msg_ticket m;

	g->owner = NULL;
	if (found != FOUND) {
		if (found == NONE)
			log_warn("%s: the password was right, but no mail can "
			    "be read: %s", g->user, why);
		finish(g, found == NONE ? AUTH_FAILED : AUTH_TEMPORARY);
		return;
	}
	random_bytes(g->secret, sizeof(g->secret));
	m = (struct msg_ticket){ .number = g->number,
		.secret = { g->secret, sizeof(g->secret) },
		.role = g->front, .instance = g->instance, .user = o->user,
		.uid = o->uid, .gid = o->gid, .login = o->login,
		.home = o->home, .mail = o->mail };
	service_tell_master(g->auth->service, MSG_ticket, &m);
	timer_set(g->timer, ANSWER_MS);
}

static void
on_late(void *ctx)
{
	struct grant *g = ctx;

	log_warn("%s: master does not answer", g->user);
	finish(g, AUTH_TEMPORARY);
}

void
grant_answered(struct auth *a, const struct msg_ticket_taken *m)
{
	list_each(l, &a->grants) {
		struct grant *g = container_of(l, struct grant, link);

		if (g->number != m->number)
			continue;
		if (m->found != FOUND)
			log_warn("%s: the password was right, but no mail can "
			    "be read: " STRF, g->user, STRV(m->reason));
		finish(g, m->found == FOUND ? AUTH_OK : m->found == NONE ?
		    AUTH_FAILED : AUTH_TEMPORARY);
		return;
	}
}
