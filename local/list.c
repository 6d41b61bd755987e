/*
 * list - the items of an alias, a .forward or an :include: file, delivered
 * one by one: deliver_token() of Postfix. An :include: file is read by the
 * agent of the rights that hold where it is named.
 */
#include "address/address.h"
#include "local/local.h"

static void	include_begin(struct spread *, const struct place *,
		    struct str path);

static void
misconfigured(struct spread *x, const struct place *p)
{
	place_fail(x, p, DEFERRED, "4.3.5",
	    "mail system configuration error");
}

/* ~/file in the home of whose rights hold here. */
static void
file(struct spread *x, const struct place *p, struct str path)
{
	struct str home = p->rights.user.home;

	if (path.p[0] == '/') {
		leaf_file(x, p, path);
	} else if (path.n < 2 || path.p[1] != '/' || !p->rights.known ||
	    home.n == 0) {
		log_at(LL_WARN, x->recipient->delivery->msg.queue_id,
		    "bad home directory syntax for: " STRF, STRV(path));
		misconfigured(x, p);
	} else {
		if (str_eq(home, STR("/")))
			home = STR("");
		leaf_file(x, p, str_of(arena_printf(x->arena, STRF STRF,
		    STRV(home), STRV(str_from(path, 1)))));
	}
}

/* \user: that user's mailbox, whatever aliases and .forward say. */
static void
user(struct spread *x, const struct place *p, struct str name)
{
	struct place next = *p;

	next.address = address_domain(name).n > 0 ? name :
	    str_of(arena_printf(x->arena, STRF "@" STRF, STRV(name),
	    STRV(x->local->myorigin)));
	next.level++;
	next.owner = STR("");
	if (place_split(x, &next))
		mailbox_begin(x, &next, true);
}

/*
 * Users of an alias that names several leave in a new message, so that each
 * has a state of its own on disk; in that of a .forward, by its owner.
 */
static bool
are_apart(const struct place *p, const struct items *items)
{
	size_t n = 0;

	for (size_t i = 0; i < items->n; i++)
		n += items->v[i].kind == ITEM_ADDRESS;
	return p->apart || p->how == HOW_INCLUDE ||
	    (p->how == HOW_ALIAS && n > 1);
}

void
list_deliver(struct spread *x, const struct place *p,
    const struct items *items)
{
	struct place next = *p;

	next.apart = are_apart(p, items);
	spread_hold(x);
	for (size_t i = 0; i < items->n; i++) {
		struct str value = items->v[i].value;

		switch (items->v[i].kind) {
		case ITEM_ADDRESS:
			place_address(x, &next, value);
			break;
		case ITEM_COMMAND:
			leaf_command(x, p, value, false);
			break;
		case ITEM_FILE:
			file(x, p, value);
			break;
		case ITEM_INCLUDE:
			include_begin(x, p, value);
			break;
		case ITEM_USER:
			user(x, p, value);
			break;
		}
	}
	spread_release(x);
}

/* --- :include: --- */

static void	include_ask(struct leaf *);

static void
include_owner(void *ctx, enum found found, const struct user *owner)
{
	struct leaf *leaf = ctx;

	if (found != FOUND) {
		log_at(LL_WARN, leaf->x->recipient->delivery->msg.queue_id,
		    STRF ": cannot find :include: file owner username",
		    STRV(leaf->value));
		misconfigured(leaf->x, &leaf->p);
		leaf_drop(leaf);
		return;
	}
	leaf->p.rights = (struct rights){ .known = true,
		.user = user_copy(owner, leaf->x->arena) };
	include_ask(leaf);
}

static void
included(void *ctx, const struct msg_expand_done *m,
    const struct items *items)
{
	struct leaf *leaf = ctx;
	struct spread *x = leaf->x;
	bool others = m->found == RETRY && m->text.n == 0 &&
	    !leaf->p.rights.known;

	if (others) {		/* in root's alias: its owner reads it */
		users_find_uid(x->local->users, (uid_t)m->owner,
		    include_owner, leaf);
		return;
	}
	if (m->found == FOUND && items->n == 0)
		place_fail(x, &leaf->p, SENT, "2.0.0", "discarded: nobody is "
		    "in :include: file " STRF, STRV(leaf->value));
	if (m->found == FOUND) {
		list_deliver(x, &leaf->p, items);
		leaf_drop(leaf);
		return;
	}
	log_at(LL_WARN, x->recipient->delivery->msg.queue_id,
	    "unable to use :include: file " STRF ": " STRF,
	    STRV(leaf->value), STRV(m->text));
	misconfigured(x, &leaf->p);
	leaf_drop(leaf);
}

static void
include_ask(struct leaf *leaf)
{
	struct agent_id id;

	leaf->expand = (struct msg_expand){
		.kind = leaf->p.rights.known || leaf->x->local->alone ?
		    EXPAND_INCLUDE_ANY : EXPAND_INCLUDE,
		.queue_id = leaf->x->recipient->delivery->msg.queue_id,
		.paths = { leaf->value.p, leaf->value.n + 1 } };
	if (leaf_agent(leaf, &id))
		agents_expand(leaf->x->local->agents, &id, &leaf->expand,
		    included, leaf);
}

static void
include_begin(struct spread *x, const struct place *p, struct str path)
{
	struct place next = *p;
	struct leaf *leaf;

	if (path.p[0] != '/') {
		log_at(LL_WARN, x->recipient->delivery->msg.queue_id,
		    ":include:" STRF " uses a relative path", STRV(path));
		misconfigured(x, p);
		return;
	}
	if (seen_before(x, "include %d %lu " STRF, p->rights.known,
	    (unsigned long)p->rights.user.uid, STRV(path)))
		return;
	next.how = HOW_INCLUDE;
	next.from = p->local;
	if (next.owner.n == 0)
		next.owner = p->address;
	if ((x->local->extensions & EXT_INCLUDE) == 0)
		next.unmatched = STR("");
	leaf = leaf_new(x, &next);
	leaf->value = str_of(arena_cstr(x->arena, path));
	include_ask(leaf);
}
