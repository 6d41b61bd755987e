/*
 * owner - whose the mail of a user is, and where: for a front's ticket.
 *
 * First what the store says whose word the password was (uid=, gid=, home=,
 * mail= of the user database; Dovecot's fields of a table). What it leaves
 * out: for an address in virtual_mailbox_maps, by virtual_uid_maps and its
 * kin, as virtual(8) delivers; else by the system user of that name, who may
 * have a domain of mydestination, as local(8) delivers. A name service may ask
 * a network, so getpwnam_r runs in the pool.
 */
#include <pwd.h>

#include "auth/auth.h"

#define VALUE_MAX	4096
#define ENTRY_MAX	65536	/* bytes of a passwd entry */

struct owners {
	struct tables	 *mailboxes, *uids, *gids;
	struct find_conf  find;
	struct str	  base;		/* virtual_mailbox_base */
	uint64_t	  least;	/* virtual_minimum_uid */
};
struct owner_ask {
	struct auth	 *auth;
	char		 *user;
	struct buf	  record, folded, path;
	struct user_place place;
	owner_done	 *done;		/* NULL: cancelled */
	void		 *ctx;
	/* the system's answer */
	char		 *name;
	struct passwd	  entry;
	char		 *strings;
	bool		  found;
};

static struct tables *
open_tables(struct conf *conf, const char *parameter)
{
	struct tables *t;
	struct buf why;

	/* virtual tells what is wrong with them; each lookup does here. */
	buf_init(&why, VALUE_MAX);
	t = tables_open(conf_get(conf, parameter), conf_dir(conf),
	    TABLE_FOLD | TABLE_NO_UNAUTH, &why);
	buf_free(&why);
	return t;
}

void
owners_open(struct auth *a)
{
	struct conf *conf = service_conf(a->service);
	struct owners *o = arena_alloc(a->arena, sizeof(*o));
	struct buf why;

	o->mailboxes = open_tables(conf, "virtual_mailbox_maps");
	o->uids = open_tables(conf, "virtual_uid_maps");
	o->gids = open_tables(conf, "virtual_gid_maps");
	o->base = conf_get(conf, "virtual_mailbox_base");
	o->least = (uint64_t)conf_number(conf, "virtual_minimum_uid");
	o->find.delimiter = conf_get(conf, "recipient_delimiter");
	o->find.myorigin = conf_get(conf, "myorigin");
	buf_init(&why, VALUE_MAX);
	o->find.local = match_list_open(conf_get(conf, "mydestination"),
	    conf_dir(conf), MATCH_WHOLE, &why);
	buf_free(&why);
	a->owners = o;
	/* Name services' libraries, while libraries can be loaded. */
	(void)getpwnam("postern.nobody");
}

static void
owner_free(struct owner_ask *q)
{
	password_wipe(q->record.p, q->record.n);
	buf_free(&q->record);
	buf_free(&q->folded);
	buf_free(&q->path);
	mem_free(q->user);
	mem_free(q->name);
	mem_free(q->strings);
	mem_free(q);
}

static void
finish(struct owner_ask *q, enum found found, const char *why,
    const struct owner *owner)
{
	if (q->done != NULL)
		q->done(q->ctx, found, owner, why);
	owner_free(q);
}

/* --- virtual --- */

/* A number of uid or gid maps. */
static enum found
find_id(struct owner_ask *q, struct tables *t, const char *parameter,
    struct str address, uint64_t *id)
{
	struct owners *o = q->auth->owners;
	struct buf value;
	enum found f;

	buf_init(&value, VALUE_MAX);
	f = tables_find_address(t, &o->find, FIND_DEFAULT, address, &value,
	    NULL);
	if (f == FOUND && (!str_number(str_trim(buf_view(&value)), id) ||
	    *id >= UINT32_MAX))
		f = NONE;
	buf_free(&value);
	if (f == RETRY)
		log_warn("table %s: lookup " STRF ": %s", parameter,
		    STRV(address), tables_error(t));
	else if (f == NONE)
		log_warn(STRF ": no number in %s", STRV(address), parameter);
	return f;
}

static enum found
fill_ids(struct owner_ask *q, struct str address, const char **why)
{
	struct owners *o = q->auth->owners;
	enum found f = FOUND;

	*why = "no uid or gid in virtual_uid_maps, virtual_gid_maps";
	if (!q->place.has_uid) {
		f = find_id(q, o->uids, "virtual_uid_maps", address,
		    &q->place.uid);
		if (f == FOUND && q->place.uid < o->least) {
			*why = "the uid is below virtual_minimum_uid";
			f = NONE;
		}
	}
	if (f == FOUND && !q->place.has_gid)
		f = find_id(q, o->gids, "virtual_gid_maps", address,
		    &q->place.gid);
	q->place.has_uid = q->place.has_gid = f == FOUND;
	return f;
}

/*
 * NONE and *why NULL: it is no virtual address. The very address alone: who
 * falls under @domain shares that mailbox with all who do.
 */
static enum found
ask_virtual(struct owner_ask *q, const char **why)
{
	struct owners *o = q->auth->owners;
	struct str user = buf_view(&q->folded), at = STR("@");
	struct buf value, address;
	enum found f;

	*why = NULL;
	buf_init(&value, VALUE_MAX);
	buf_init(&address, USER_FOLDED_MAX + 256);
	buf_str(&address, user);
	if (str_chr(user, '@') == user.n) {
		buf_str(&address, at);
		buf_str(&address, o->find.myorigin);
	}
	f = tables_get(o->mailboxes, buf_view(&address), &value);
	if (f == RETRY)
		log_warn("table virtual_mailbox_maps: lookup %s: %s",
		    buf_cstr(&address), tables_error(o->mailboxes));
	if (f == FOUND) {
		struct str path = buf_view(&value);

		f = fill_ids(q, buf_view(&address), why);
		if (f == FOUND && (path.n == 0 || str_has_dotdot(path) ||
		    o->base.n == 0 || o->base.p[0] != '/')) {
			*why = "bad path in virtual_mailbox_maps or base";
			f = NONE;
		}
		if (f == FOUND && q->place.mail.n == 0) {
			buf_printf(&q->path, "%s" STRF "/" STRF,
			    path.p[path.n - 1] == '/' ? "maildir:" : "mbox:",
			    STRV(o->base), STRV(path));
			q->place.mail = buf_view(&q->path);
		}
	}
	buf_free(&value);
	buf_free(&address);
	return f;
}

/* --- the system's users --- */

/* Pool. 0 or errno. */
static int
ask_system(void *ctx)
{
	struct owner_ask *q = ctx;
	struct passwd *entry = NULL;
	int err;

	q->strings = mem_grow(NULL, ENTRY_MAX, 1);
	err = getpwnam_r(q->name, &q->entry, q->strings, ENTRY_MAX, &entry);
	q->found = err == 0 && entry != NULL;
	return q->found || errno_is_no_user(err) ? 0 : err;
}

static void
on_system(void *ctx, int err)
{
	struct owner_ask *q = ctx;
	struct user_place *p = &q->place;
	struct owner o = { 0 };

	if (err != 0) {
		log_warn("error looking up passwd info for %s: %s", q->name,
		    strerror(err));
		finish(q, RETRY, NULL, NULL);
		return;
	}
	if (!q->found) {
		finish(q, NONE, "no uid in its entry, no virtual mailbox, no "
		    "system user", NULL);
		return;
	}
	if (p->has_uid && p->uid != q->entry.pw_uid) {
		finish(q, NONE, "its entry has a uid, but no home= or mail=",
		    NULL);
		return;
	}
	o.user = o.login = str_of(q->entry.pw_name);	/* one spelling */
	o.uid = q->entry.pw_uid;
	o.gid = p->has_gid ? p->gid : q->entry.pw_gid;
	o.home = p->home.n > 0 ? p->home : str_of(q->entry.pw_dir);
	o.mail = p->mail;
	finish(q, FOUND, NULL, &o);
}

/* The name without a domain of ours; false: it is no system user's. */
static bool
set_system_name(struct owner_ask *q)
{
	struct str user = str_of(q->user), name, domain;
	size_t at = str_rchr(user, '@');

	name = str_first(user, at);
	domain = str_from(user, at + 1);
	if (domain.n > 0 && !str_eq_nocase(domain,
	    q->auth->owners->find.myorigin) &&
	    match_list_domain(q->auth->owners->find.local, domain) != FOUND)
		return false;
	if (name.n == 0 || memchr(name.p, '/', name.n) != NULL)
		return false;
	q->name = mem_copy(name);
	return true;
}

/* --- all of it --- */

static bool
is_whole(const struct user_place *p)
{
	return p->has_uid && p->has_gid && (p->home.n > 0 || p->mail.n > 0);
}

/* Virtual, or the system; q stays where it must wait. */
static struct owner_ask *
fall_back(struct owner_ask *q)
{
	const char *why = NULL;
	struct owner o;

	switch (is_whole(&q->place) ? FOUND : ask_virtual(q, &why)) {
	case FOUND:
		o = (struct owner){ .user = buf_view(&q->folded),
			.uid = q->place.uid, .gid = q->place.gid,
			.home = q->place.home, .mail = q->place.mail };
		finish(q, FOUND, NULL, &o);
		return NULL;
	case RETRY:
		finish(q, RETRY, NULL, NULL);
		return NULL;
	case NONE:
		break;
	}
	if (why == NULL && set_system_name(q)) {
		pool_run(service_pool(q->auth->service), ask_system,
		    on_system, q);
		return q;
	}
	finish(q, NONE, why != NULL ? why :
	    "no uid in its entry, no virtual mailbox, no local domain", NULL);
	return NULL;
}

struct owner_ask *
owner_find(struct auth *a, struct str user, size_t store, owner_done *done,
    void *ctx)
{
	struct owner_ask *q = mem_new(sizeof(*q));
	const char *wrong = NULL;
	enum found f = NONE;

	q->auth = a;
	q->done = done;
	q->ctx = ctx;
	q->user = mem_copy(user);
	buf_init(&q->record, USER_RECORD_MAX);
	buf_init(&q->folded, USER_FOLDED_MAX);
	buf_init(&q->path, 2 * VALUE_MAX);
	user_name_fold(user, &q->folded);
	if (user_name_valid(user))
		f = stores_place(a, user, store, &q->record, &q->place,
		    &wrong);
	else
		wrong = "no name that a user can have";
	if (f == RETRY || wrong != NULL) {
		finish(q, f == RETRY ? RETRY : NONE, wrong, NULL);
		return NULL;
	}
	return fall_back(q);
}

void
owner_cancel(struct owner_ask **qp)
{
	struct owner_ask *q = *qp;

	*qp = NULL;
	if (q != NULL)
		q->done = NULL;		/* the pool has it */
}
