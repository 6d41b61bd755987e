/*
 * expand - from a local recipient to the mailbox of a user: local(8).
 *
 * Steps of one recipient: loop check, name and extension, alias, user,
 * store. A name that an alias stands for goes through them again. ~/.forward
 * comes between alias and user.
 */
#include "address/address.h"
#include "local/local.h"

#define LEVELS_MAX	100	/* of aliases of aliases, as Postfix */

struct target {			/* recipient->own */
	struct local	 *local;
	struct str	  name;		/* user+extension, folded */
	struct str	  user;		/* without extension */
	struct str	  delivered;	/* Delivered-To: what came first */
	struct str	  from;		/* the alias that led here, or "" */
	unsigned	  level;
	struct msg_store *job;
};

static void	step_alias(struct recipient *);

static struct target *
target_of(const struct recipient *r)
{
	return r->own;
}

static void
stored(void *ctx, const struct msg_store_done *m, const struct items *items)
{
	struct recipient *r = ctx;
	struct target *t = target_of(r);
	const char *dsn = arena_cstr(r->delivery->arena, m->dsn);
	enum delivery_status status =
	    m->status == BOUNCED ? BOUNCED : DEFERRED;

	(void)items;
	if (m->status == SENT)
		deliver_result(r, SENT, dsn, m->text);
	else if (t->job->kind == STORE_MAILDIR)
		deliver_printf(r, status, dsn, "maildir delivery failed: "
		    STRF, STRV(m->text));
	else
		deliver_printf(r, status, dsn, "cannot update mailbox " STRF
		    " for user " STRF ". " STRF, STRV(t->job->path),
		    STRV(t->user), STRV(m->text));
}

/* The mailbox's path: home_mailbox wins over mail_spool_directory. */
static struct str
mailbox_path(const struct recipient *r, const struct user *user)
{
	const struct target *t = target_of(r);
	const struct local_conf *c = &t->local->conf;
	struct str spool = c->mail_spool_directory;
	bool maildir = spool.n > 0 && spool.p[spool.n - 1] == '/';

	if (c->home_mailbox.n > 0)
		return str_of(arena_printf(r->delivery->arena, STRF "/" STRF,
		    STRV(user->home), STRV(c->home_mailbox)));
	return str_of(arena_printf(r->delivery->arena, STRF "%s" STRF "%s",
	    STRV(spool), maildir ? "" : "/", STRV(t->user),
	    maildir ? "/" : ""));
}

static void
store(struct recipient *r, const struct user *user)
{
	struct target *t = target_of(r);
	struct local *l = t->local;
	struct agent_id id = { .uid = user->uid, .user = user->name,
		.gid = l->conf.home_mailbox.n > 0 ? user->gid :
		    user->spool_gid };
	struct msg_store *job = deliver_job(r, mailbox_path(r, user),
	    STR(""));

	t->job = job;
	if (l->delivered_to)
		job->recipient = t->delivered;
	job->size_max = (uint64_t)l->conf.mailbox_size_limit;
	job->locks = l->locks;
	if ((r->delivery->msg.flags & DELIVER_VERIFY) != 0) {
		deliver_result(r, SENT, "2.0.0", job->kind == STORE_MAILDIR ?
		    STR("delivers to maildir") : STR("delivers to mailbox"));
		return;
	}
	id.user = arena_str(r->delivery->arena, id.user);
	agents_store(l->agents, &id, job, stored, r);
}

/*
 * RFC 5321 4.5.1 wants these to exist. Postfix throws their mail away with
 * this warning; here it waits for the alias to be made.
 */
static bool
is_required(struct str name)
{
	return str_eq(name, STR("postmaster")) ||
	    str_eq(name, STR("mailer-daemon"));
}

static void
unknown(struct recipient *r)
{
	struct target *t = target_of(r);

	if (is_required(t->user)) {
		log_at(LL_WARN, r->delivery->msg.queue_id,
		    "required alias not found: " STRF, STRV(t->user));
		deliver_printf(r, DEFERRED, "4.3.5",
		    "required alias not found: " STRF, STRV(t->user));
		return;
	}
	deliver_printf(r, BOUNCED, "5.1.1", "unknown user: \"" STRF "\"",
	    STRV(t->user));
}

static void
user_known(void *ctx, enum found found, const struct user *user)
{
	struct recipient *r = ctx;
	struct target *t = target_of(r);
	struct local *l = t->local;

	switch (found) {
	case FOUND:
		break;
	case NONE:
		unknown(r);
		return;
	case RETRY:
		deliver_result(r, DEFERRED, "4.0.0",
		    STR("user lookup error"));
		return;
	}
	if (l->alone && user->uid != l->own_uid)
		deliver_printf(r, DEFERRED, "4.3.0", "this instance runs "
		    "without root as uid %lu and writes no mailbox of others",
		    (unsigned long)l->own_uid);
	else if (user->uid == 0 && !l->alone)
		deliver_printf(r, DEFERRED, "4.3.0", "mail for " STRF
		    " is never delivered as root: make an alias for it",
		    STRV(t->user));
	else
		store(r, user);
}

/* True: ended, since the message was here before, or cannot be read. */
static bool
is_loop(struct recipient *r)
{
	switch (loop_find(r->delivery, r->address)) {
	case FOUND:
		deliver_printf(r, BOUNCED, "5.4.6",
		    "mail forwarding loop for " STRF, STRV(r->address));
		return true;
	case RETRY:
		deliver_result(r, DEFERRED, "4.3.0",
		    STR("error reading message"));
		return true;
	case NONE:
		break;
	}
	return false;
}

/* The alias leads to a name: from here as if it had been the recipient. */
static void
step_name(struct recipient *r, struct str name)
{
	struct target *t = target_of(r);
	struct local *l = t->local;
	struct str extension = STR("");

	t->name = deliver_folded(r, name);
	t->user = t->name;
	if (l->delimiter.n > 0)
		t->user = address_split(t->name, l->delimiter, &extension);
	if (memchr(extension.p != NULL ? extension.p : "", '/',
	    extension.n) != NULL) {
		log_at(LL_WARN, r->delivery->msg.queue_id, "address with "
		    "illegal extension: " STRF, STRV(t->name));
		t->name = t->user;
	}
	if (t->user.n == 0) {
		deliver_printf(r, BOUNCED, "5.1.3", "null username in \""
		    STRF "\"", STRV(r->address));
		return;
	}
	step_alias(r);
}

static void
follow(struct recipient *r, struct str alias, struct str name)
{
	struct target *t = target_of(r);
	struct arena *arena = r->delivery->arena;

	if (++t->level > LEVELS_MAX) {
		log_at(LL_WARN, r->delivery->msg.queue_id,
		    "alias database loop for " STRF, STRV(alias));
		deliver_printf(r, BOUNCED, "5.4.6",
		    "alias database loop for " STRF, STRV(alias));
		return;
	}
	t->from = alias;
	if (r->original.n == 0)
		r->original = r->address;
	r->address = str_of(arena_printf(arena, STRF "@" STRF, STRV(name),
	    STRV(t->local->myorigin)));
	if (!is_loop(r))
		step_name(r, name);
}

static void
follow_others(struct recipient *r, const struct alias *alias)
{
	struct target *t = target_of(r);
	struct forward_to to = { .delivered = t->delivered,
		.owner = alias->owner, .rcpts = alias->rcpts,
		.n = alias->n };

	forward_mail(t->local, r, &to);
}

/* True: this name's alias has the recipient's fate in hand. */
static bool
try_alias(struct recipient *r, struct str name)
{
	struct target *t = target_of(r);
	enum alias_kind kind;
	struct alias alias;

	/* An alias that names itself means the user of that name. */
	if (t->from.n > 0 && str_eq_nocase(t->from, name))
		return false;
	kind = alias_find(t->local, r->delivery->arena, name, &alias);
	if (kind != ALIAS_NONE && kind != ALIAS_RETRY &&
	    (r->delivery->msg.flags & DELIVER_VERIFY) != 0) {
		deliver_printf(r, SENT, "2.0.0", "aliased to " STRF,
		    STRV(alias.value));
		return true;
	}
	switch (kind) {
	case ALIAS_NONE:
		return false;
	case ALIAS_LOCAL:
		follow(r, name, alias.rcpts[0]);
		return true;
	case ALIAS_FORWARD:
		follow_others(r, &alias);
		return true;
	case ALIAS_OTHER:
		deliver_printf(r, DEFERRED, "4.3.0", "alias " STRF " holds "
		    "a command, file or :include:, which is not supported "
		    "yet", STRV(name));
		return true;
	case ALIAS_EMPTY:
		log_at(LL_WARN, r->delivery->msg.queue_id, "no recipient in "
		    "alias lookup result for " STRF, STRV(name));
		deliver_result(r, DEFERRED, "4.3.0",
		    STR("alias database unavailable"));
		return true;
	case ALIAS_RETRY:
		deliver_result(r, DEFERRED, "4.3.0",
		    STR("alias database unavailable"));
		return true;
	}
	return false;
}

static void
step_alias(struct recipient *r)
{
	struct target *t = target_of(r);

	if (try_alias(r, t->name))
		return;
	if (t->user.n != t->name.n && try_alias(r, t->user))
		return;
	users_find(t->local->users, t->user, user_known, r);
}

void
local_begin(void *ctx, struct recipient *r)
{
	struct local *l = ctx;
	struct target *t = arena_alloc(r->delivery->arena, sizeof(*t));

	r->own = t;
	t->local = l;
	t->delivered = r->address;
	t->from = STR("");
	if (!l->sane) {
		deliver_result(r, DEFERRED, "4.3.5",
		    STR("mail system configuration error"));
		return;
	}
	if (is_loop(r))
		return;
	step_name(r, address_local(r->address));
}
