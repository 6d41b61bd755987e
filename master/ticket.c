/*
 * ticket - held, shown, forgotten. ticket.h tells the rules.
 *
 * A secret is compared with every ticket there is, and each in whole, so that
 * how long an answer takes tells nothing of what a guess had right.
 */
#include "master/ticket.h"

struct tickets {
	struct list list;		/* the oldest first */
	size_t	    n;
};

struct tickets *
tickets_new(void)
{
	struct tickets *t = mem_new(sizeof(*t));

	list_init(&t->list);
	return (t);
}

void
ticket_free(struct ticket **tp)
{
	struct ticket *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	list_remove(&t->link);
	arena_free(&t->arena);
	mem_free(t);
}

static void
forget(struct tickets *all, struct ticket *t)
{
	all->n--;
	ticket_free(&t);
}

void
tickets_free(struct tickets **tp)
{
	struct tickets *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	list_each(l, &t->list)
		forget(t, container_of(l, struct ticket, link));
	mem_free(t);
}

/* A name ends up in log lines and in state files: no blank, no control. */
static bool
name_is_sane(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 127)
			return (false);
	return (name.n <= TICKET_NAME_MAX);
}

static bool
path_is_sane(struct str path)
{
	return (path.n <= TICKET_PATH_MAX && memchr(path.p != NULL ? path.p :
	    "", '\0', path.n) == NULL);
}

static size_t
count_of(const struct tickets *all, uint64_t instance)
{
	size_t n = 0;

	list_each(l, &all->list)
		n += container_of(l, struct ticket, link)->is.instance ==
		    instance;
	return (n);
}

const char *
ticket_put(struct tickets *all, const struct msg_ticket *m, int64_t now_ms)
{
	struct ticket *t;

	if (m->secret.n != TICKET_SIZE || m->user.n == 0 ||
	    !name_is_sane(m->user) || !name_is_sane(m->login) ||
	    !path_is_sane(m->home) || !path_is_sane(m->mail))
		return ("it makes no sense");
	if (count_of(all, m->instance) >= TICKETS_MAX)
		return ("too many logins at once");
	t = mem_new(sizeof(*t));
	t->arena = arena_new(65536);
	t->is = *m;
	ipc_keep(MSG_ticket, &t->is, t->arena);
	t->until_ms = now_ms + TICKET_MS;
	list_append(&all->list, &t->link);
	all->n++;
	return (NULL);
}

/* Takes as long whatever they are. */
static bool
same_secret(struct str a, struct str b)
{
	volatile unsigned char differ = 0;

	for (size_t i = 0; i < TICKET_SIZE; i++)
		differ |= (unsigned char)(a.p[i] ^ b.p[i]);
	return (differ == 0);
}

struct ticket *
ticket_take(struct tickets *all, enum role front, uint64_t instance,
    struct str secret, int64_t now_ms, const char **why)
{
	struct ticket *found = NULL;

	*why = "unknown ticket, or one that was used";
	if (secret.n != TICKET_SIZE)
		return (NULL);
	list_each(l, &all->list) {
		struct ticket *t = container_of(l, struct ticket, link);

		if (same_secret(t->is.secret, secret))
			found = t;
	}
	if (found == NULL)
		return (NULL);
	list_remove(&found->link);
	all->n--;
	*why = NULL;
	if (found->is.role != front || found->is.instance != instance)
		*why = "the ticket is another process's";
	else if (now_ms >= found->until_ms)
		*why = "the ticket has expired";
	if (*why != NULL)
		ticket_free(&found);
	return (found);
}

void
tickets_forget(struct tickets *all, uint64_t instance)
{
	list_each(l, &all->list) {
		struct ticket *t = container_of(l, struct ticket, link);

		if (t->is.instance == instance)
			forget(all, t);
	}
}

/* One that expired is known as such for as long again. */
int64_t
tickets_sweep(struct tickets *all, int64_t now_ms)
{
	list_each(l, &all->list) {
		struct ticket *t = container_of(l, struct ticket, link);

		if (now_ms < t->until_ms + TICKET_MS)
			return (t->until_ms + TICKET_MS - now_ms);
		forget(all, t);
	}
	return (-1);
}

size_t
tickets_count(const struct tickets *all)
{
	return (all->n);
}

bool
ticket_same_owner(const struct ticket *a, const struct ticket *b)
{
	return (a->is.uid == b->is.uid && a->is.gid == b->is.gid &&
	    str_eq(a->is.user, b->is.user) &&
	    str_eq(a->is.login, b->is.login) &&
	    str_eq(a->is.home, b->is.home) && str_eq(a->is.mail, b->is.mail));
}
