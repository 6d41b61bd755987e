/*
 * expand - from a local recipient to its destinations: local(8).
 *
 * Steps of one recipient: loop check, name and extension, alias, user
 * (mailbox.c). What a name stands for (list.c) goes through them again. A
 * recipient that turns into several things has one result: the worst of
 * them. Addresses of others leave as a new message, last and only when
 * nothing was put off, as in Postfix's forward_finish().
 *
 * What was done of a recipient that is put off is remembered for a while, so
 * that the next attempt does not do it again.
 */
#include <stdarg.h>
#include <stdio.h>
#include "address/address.h"
#include "local/items.h"
#include "local/local.h"

#define LEVELS_MAX	100	/* of names for names, as Postfix */
#define DONE_MAX	20000	/* parts that are remembered */
#define KEY_MAX		8192
#define WHY_MAX		2000

static void	step_alias(struct spread *, struct place);

bool
is_probe(const struct spread *x)
{
	return (x->recipient->delivery->msg.flags & DELIVER_VERIFY) != 0;
}

/* --- leaves and the end --- */

void
spread_hold(struct spread *x)
{
	x->open++;
}

static void
remember(struct spread *x)
{
	struct map **done = &x->local->done;

	if (map_count(*done) >= DONE_MAX) {
		map_free(done);
		*done = map_new();
	}
	list_each(l, &x->leaves) {
		struct leaf *leaf = container_of(l, struct leaf, link);

		if (leaf->sent && leaf->what.n > 0)
			(void)map_set(*done, leaf->what, x->local);
	}
}

static void
forwarded(void *ctx, enum delivery_status status, struct str text)
{
	struct spread *x = ctx;
	struct recipient *r = x->recipient;

	if (status == SENT)
		deliver_notef(r, r->address, EXPANDED, "2.0.0",
		    "forwarded as " STRF, STRV(text));
	else
		deliver_note(r, r->address, DEFERRED, "4.3.0", text);
	spread_release(x);
}

/* Something was put off: the addresses wait for the next attempt. */
static void
forward_all(struct spread *x)
{
	if (x->recipient->sum.status == DEFERRED)
		return;
	for (struct forward_to *to = x->forwards; to != NULL; to = to->next) {
		spread_hold(x);
		forward_mail(x->local, x->recipient, to, forwarded, x);
	}
}

void
spread_release(struct spread *x)
{
	if (--x->open > 0)
		return;
	if (x->forwards != NULL && !x->forwarding) {
		x->forwarding = true;
		spread_hold(x);
		forward_all(x);
		spread_release(x);
		return;
	}
	if (x->recipient->sum.status == DEFERRED)
		remember(x);
	map_free(&x->seen);
	deliver_end(x->recipient);
}

bool
seen_before(struct spread *x, const char *fmt, ...)
{
	struct buf key;
	char text[KEY_MAX];
	va_list ap;
	bool was;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&key, KEY_MAX * TABLE_FOLD_GROWTH);
	table_fold(str_of(text), &key);
	if (x->seen == NULL)
		x->seen = map_new();
	was = map_set(x->seen, buf_view(&key), x) != NULL;
	buf_free(&key);
	return was;
}

void
place_fail(struct spread *x, const struct place *p,
    enum delivery_status status, const char *dsn, const char *fmt, ...)
{
	char text[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	deliver_note(x->recipient, p->address, status, dsn, str_of(text));
}

struct leaf *
leaf_new(struct spread *x, const struct place *p)
{
	struct leaf *leaf = arena_alloc(x->arena, sizeof(*leaf));

	leaf->x = x;
	leaf->p = *p;
	leaf->what = STR("");
	list_append(&x->leaves, &leaf->link);
	spread_hold(x);
	return leaf;
}

void
leaf_done(struct leaf *leaf, enum delivery_status status, struct str dsn,
    const char *fmt, ...)
{
	struct spread *x = leaf->x;
	char text[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	leaf->sent = status == SENT;
	deliver_note(x->recipient, leaf->p.address, status,
	    arena_cstr(x->arena, dsn), str_of(text));
	spread_release(x);
}

void
leaf_drop(struct leaf *leaf)
{
	spread_release(leaf->x);
}

/* --- addresses --- */

static bool
same_group(const struct forward_to *to, const struct place *p)
{
	return str_eq(to->delivered, p->delivered) &&
	    str_eq(to->sender, p->sender);
}

/* Into the message for its sender and Delivered-To:, once. */
static void
forward_later(struct spread *x, const struct place *p, struct str address)
{
	struct forward_to *to = x->forwards;
	bool list = !str_eq(p->sender, x->recipient->delivery->msg.sender);

	if (seen_before(x, "indirect " STRF, STRV(address)))
		return;
	while (to != NULL && !same_group(to, p))
		to = to->next;
	if (to == NULL) {
		to = arena_alloc(x->arena, sizeof(*to));
		*to = (struct forward_to){ .next = x->forwards,
			.delivered = p->delivered, .sender = p->sender,
			.list = list,
			.again = str_eq(p->delivered, p->owner) };
		x->forwards = to;
	}
	if (to->n == to->room) {
		struct str *more;

		to->room = to->room * 2 + 8;
		more = arena_alloc(x->arena, to->room * sizeof(*more));
		if (to->n > 0)
			memcpy(more, to->rcpts, to->n * sizeof(*more));
		to->rcpts = more;
	}
	to->rcpts[to->n++] = arena_str(x->arena, address);
}

/* user+unmatched@domain, where an extension is passed on. */
static struct str
splice(struct spread *x, const struct place *p, struct str address)
{
	size_t at = str_rchr(address, '@');
	char by = p->user.n < p->local.n ? p->local.p[p->user.n] :
	    x->local->delimiter.n > 0 ? x->local->delimiter.p[0] : '+';

	if (p->unmatched.n == 0)
		return address;
	return str_of(arena_printf(x->arena, STRF "%c" STRF STRF,
	    STRV(str_first(address, at)), by, STRV(p->unmatched),
	    STRV(str_from(address, at))));
}

void
place_address(struct spread *x, const struct place *p, struct str address)
{
	struct local *l = x->local;
	struct place next = *p;
	struct route route;
	struct str why = STR("");

	if (address_domain(address).n == 0)
		address = str_of(arena_printf(x->arena, STRF "@" STRF,
		    STRV(address_local(address)), STRV(l->myorigin)));
	switch (router_resolve(l->router, x->arena, address, p->sender,
	    &route, &why)) {
	case FOUND:
		break;
	case NONE:
		place_fail(x, p, BOUNCED, "5.1.3", "bad recipient address "
		    "syntax: " STRF, STRV(address));
		return;
	case RETRY:
		place_fail(x, p, DEFERRED, "4.3.0",
		    "address resolver failure");
		return;
	}
	next.address = splice(x, p, address);
	next.level++;
	if (str_eq(route.transport, str_of(service_name(l->service))))
		place_enter(x, next);
	else
		forward_later(x, p, next.address);
}

/* --- names --- */

bool
place_split(struct spread *x, struct place *p)
{
	struct local *l = x->local;
	struct str all = deliver_folded(x->recipient, p->address);

	p->local = address_local(all);
	p->domain = address_domain(all);
	p->user = p->local;
	p->extension = STR("");
	if (l->delimiter.n > 0)
		p->user = address_split(p->local, l->delimiter,
		    &p->extension);
	if (p->extension.n > 0 &&
	    memchr(p->extension.p, '/', p->extension.n) != NULL) {
		log_at(LL_WARN, x->recipient->delivery->msg.queue_id,
		    "address with illegal extension: " STRF, STRV(p->local));
		p->extension = STR("");
		p->local = p->user;
	}
	p->unmatched = p->extension;
	if (p->user.n > 0)
		return true;
	place_fail(x, p, BOUNCED, "5.1.3", "null username in \"" STRF "\"",
	    STRV(p->address));
	return false;
}

/* True: ended, since the message was here before, or cannot be read. */
static bool
is_loop(struct spread *x, const struct place *p)
{
	switch (loop_find(x->recipient->delivery, p->address)) {
	case FOUND:
		place_fail(x, p, BOUNCED, "5.4.6",
		    "mail forwarding loop for " STRF, STRV(p->address));
		return true;
	case RETRY:
		place_fail(x, p, DEFERRED, "4.3.0", "error reading message");
		return true;
	case NONE:
		break;
	}
	return false;
}

void
place_enter(struct spread *x, struct place p)
{
	if (p.level > LEVELS_MAX) {
		log_at(LL_WARN, x->recipient->delivery->msg.queue_id,
		    "recipient nesting limit exceeded for " STRF,
		    STRV(p.address));
		place_fail(x, &p, BOUNCED, "5.4.6",
		    "recipient nesting limit exceeded");
		return;
	}
	if (p.level > 0 && seen_before(x, "recipient %u " STRF, p.level,
	    STRV(p.address)))
		return;
	if (!is_loop(x, &p) && place_split(x, &p))
		step_alias(x, p);
}

/* --- aliases --- */

/*
 * The list's mail changes its sender, and with it who hears of failures: a
 * new message does that, to the list once more. Its Delivered-To: is the
 * owner, by which it is known when it comes back; see alias_owned().
 */
static void
send_anew(struct spread *x, const struct place *p)
{
	struct place next = *p;

	next.delivered = p->owner;
	next.unmatched = STR("");
	forward_later(x, &next, p->address);
}

/*
 * False: nothing more is to be done here. Commands and files of a list with
 * an owner are run under the owner's name.
 */
static bool
alias_owned(struct spread *x, struct place *p, const struct alias *alias,
    const struct items *items)
{
	bool others = false;

	if (alias->owner.n == 0) {
		if (x->local->conf.reset_owner_alias)
			p->owner = STR("");
		return true;
	}
	p->owner = p->sender = alias->owner;
	for (size_t i = 0; i < items->n; i++)
		others |= items->v[i].kind == ITEM_COMMAND ||
		    items->v[i].kind == ITEM_FILE;
	if (!others || str_eq_nocase(alias->owner,
	    x->recipient->delivery->msg.sender))
		return true;
	switch (loop_find(x->recipient->delivery, alias->owner)) {
	case FOUND:
		return true;
	case NONE:
		send_anew(x, p);
		return false;
	case RETRY:
		place_fail(x, p, DEFERRED, "4.3.0", "error reading message");
		return false;
	}
	return true;
}

static struct items
read_items(struct arena *arena, struct str value)
{
	struct items items = { NULL, 0 };
	struct item item;
	size_t room = 0;

	while (items_next(&value, arena, &item)) {
		if (items.n == room) {
			struct item *more;

			room = room * 2 + 4;
			more = arena_alloc(arena, room * sizeof(*more));
			if (items.n > 0)
				memcpy(more, items.v,
				    items.n * sizeof(*more));
			items.v = more;
		}
		items.v[items.n++] = item;
	}
	return items;
}

struct alias_step {		/* an alias whose table's owner is sought */
	struct leaf *leaf;
	struct items items;
};

static void
owner_known(void *ctx, enum found found, const struct user *user)
{
	struct alias_step *step = ctx;
	struct leaf *leaf = step->leaf;

	if (found != FOUND) {
		log_at(LL_WARN, leaf->x->recipient->delivery->msg.queue_id,
		    "cannot find alias database owner");
		leaf_done(leaf, DEFERRED, STR("4.3.0"),
		    "cannot find alias database owner");
		return;
	}
	leaf->p.rights = (struct rights){ .known = true,
		.user = user_copy(user, leaf->x->arena) };
	list_deliver(leaf->x, &leaf->p, &step->items);
	leaf_drop(leaf);
}

/* Root's alias tables lend nobody's rights, others their owner's. */
static void
follow(struct spread *x, struct place p, const struct alias *alias)
{
	struct items items = read_items(x->arena, alias->value);
	struct alias_step *step;

	p.how = HOW_ALIAS;
	if (items.n == 0) {
		log_at(LL_WARN, x->recipient->delivery->msg.queue_id,
		    "no recipient in alias lookup result for " STRF,
		    STRV(p.from));
		place_fail(x, &p, DEFERRED, "4.3.0",
		    "alias database unavailable");
		return;
	}
	if (!alias_owned(x, &p, alias, &items))
		return;
	if (!x->local->conf.frozen_delivered_to)
		p.delivered = p.address;
	p.rights = (struct rights){ .known = false };
	if (alias->uid == 0) {
		list_deliver(x, &p, &items);
		return;
	}
	step = arena_alloc(x->arena, sizeof(*step));
	step->leaf = leaf_new(x, &p);
	step->items = items;
	users_find_uid(x->local->users, alias->uid, owner_known, step);
}

/* True: this name's alias has the recipient's fate in hand. */
static bool
try_alias(struct spread *x, struct place *p, struct str name)
{
	struct alias alias;
	struct place next = *p;

	/* An alias that names itself means the user of that name. */
	if (p->from.n > 0 && str_eq_nocase(p->from, name))
		return false;
	switch (alias_find(x->local, x->arena, name, &alias)) {
	case FOUND:
		break;
	case NONE:
		return false;
	case RETRY:
		place_fail(x, p, DEFERRED, "4.3.0",
		    "alias database unavailable");
		return true;
	}
	if (is_probe(x)) {
		place_fail(x, p, SENT, "2.0.0", "aliased to " STRF,
		    STRV(alias.value));
		return true;
	}
	next.from = name;
	follow(x, next, &alias);
	return true;
}

/*
 * No alias: is its mail for a new message? A list's is; a .forward that names
 * (an alias of) its user means the mailbox, and so does an alias that names
 * itself, which would come back to us.
 */
static bool
is_others(const struct place *p)
{
	if (p->owner.n > 0)
		return !str_eq_nocase(p->owner, p->user);
	return p->apart && !str_eq_nocase(p->from, p->user) &&
	    !str_eq_nocase(p->from, p->local);
}

static void
step_alias(struct spread *x, struct place p)
{
	p.unmatched = STR("");
	if (try_alias(x, &p, p.local))
		return;
	if (p.extension.n > 0) {
		if ((x->local->extensions & EXT_ALIAS) != 0)
			p.unmatched = p.extension;
		if (try_alias(x, &p, p.user))
			return;
		p.unmatched = p.extension;
	}
	if (is_others(&p))
		forward_later(x, &p, p.address);
	else
		mailbox_begin(x, &p, false);
}

void
local_begin(void *ctx, struct recipient *r)
{
	struct local *l = ctx;
	struct spread *x = arena_alloc(r->delivery->arena, sizeof(*x));
	struct place p = { .address = r->address, .delivered = r->address,
		.sender = r->delivery->msg.sender, .owner = STR(""),
		.from = STR("") };

	r->own = x;
	x->local = l;
	x->recipient = r;
	x->arena = r->delivery->arena;
	list_init(&x->leaves);
	spread_hold(x);
	if (l->sane)
		place_enter(x, p);
	else
		place_fail(x, &p, DEFERRED, "4.3.5",
		    "mail system configuration error");
	spread_release(x);
}
