/*
 * mailbox - a user's .forward, and then the mailbox: deliver_dotforward(),
 * deliver_mailbox() and deliver_unknown() of Postfix.
 *
 * Only the user may look into the home directory: where the mailbox is a
 * file, one request has the agent look for a .forward and store the mail if
 * there is none.
 */
#include <stdlib.h>
#include "address/address.h"
#include "local/local.h"
#include "local/macro.h"

#define VALUE_MAX	8192
#define PATHS_MAX	32	/* in forward_path */

static void	go_on(struct leaf *);
static void	unknown(struct leaf *);

void
place_macros(const struct place *p, const struct local *l, struct macro *v)
{
	const struct user *u = &p->rights.user;
	struct str none = { NULL, 0 }, by = p->user.n < p->local.n ?
	    str_first(str_from(p->local, p->user.n), 1) :
	    str_first(l->delimiter, 1);
	const struct macro all[PLACE_MACROS] = {
		{ "user", p->user }, { "home", u->home.n > 0 ? u->home : none },
		{ "shell", u->shell.n > 0 ? u->shell : none },
		{ "domain", p->domain }, { "local", p->local },
		{ "mailbox", p->local }, { "recipient", p->address },
		{ "extension", p->extension.n > 0 ? p->extension : none },
		{ "recipient_delimiter", by.n > 0 ? by : none },
	};

	memcpy(v, all, sizeof(all));
}

/* --- forward_path --- */

#define MACRO_EXTENSION	7	/* its place above */

/* Names that stand in forward_path: paths of the leaf, NUL behind each. */
static struct str
forward_paths(struct leaf *leaf)
{
	struct local *l = leaf->x->local;
	struct arena *arena = leaf->x->arena;
	struct str rest = l->conf.forward_path, word, path;
	struct macro v[PLACE_MACROS];
	struct buf out;
	uint64_t used;
	size_t n = 0;

	place_macros(&leaf->p, l, v);
	leaf->paths = arena_alloc(arena, PATHS_MAX * sizeof(*leaf->paths));
	buf_init(&out, VALUE_MAX);
	while (n < PATHS_MAX && conf_list_next(&rest, &word)) {
		if (macro_expand(v, nitems(v), word,
		    l->conf.forward_expansion_filter, arena, &path, &used) !=
		    MACRO_OK || path.n == 0 || path.p[0] != '/')
			continue;
		if ((used & UINT64_C(1) << MACRO_EXTENSION) == 0)
			leaf->bare |= UINT64_C(1) << n;
		leaf->paths[n++] = path;
		buf_str(&out, path);
		buf_putc(&out, '\0');
	}
	path = out.full ? STR("") : arena_str(arena, buf_view(&out));
	buf_free(&out);
	return path;
}

/* A .forward was read: the same as an alias, as that user. */
static void
forwarded(struct leaf *leaf, struct str path, const struct items *items)
{
	struct spread *x = leaf->x;
	struct place p = leaf->p;

	(void)seen_before(x, "forward " STRF, STRV(p.local));
	if (!x->local->conf.frozen_delivered_to)
		p.delivered = p.address;
	p.how = HOW_FORWARD;
	p.owner = p.user;
	p.from = p.local;
	p.unmatched = STR("");
	if ((x->local->extensions & EXT_FORWARD) != 0)
		for (size_t i = 0; i < PATHS_MAX; i++)
			if ((leaf->bare >> i & 1) != 0 &&
			    str_eq(leaf->paths[i], path))
				p.unmatched = p.extension;
	list_deliver(x, &p, items);
	leaf_drop(leaf);
}

/* --- the mailbox itself --- */

/* home_mailbox wins over mail_spool_directory. */
static struct str
mailbox_path(const struct leaf *leaf)
{
	const struct local_conf *c = &leaf->x->local->conf;
	struct str spool = c->mail_spool_directory;
	bool maildir = spool.n > 0 && spool.p[spool.n - 1] == '/';

	if (c->home_mailbox.n > 0)
		return str_of(arena_printf(leaf->x->arena, STRF "/" STRF,
		    STRV(leaf->user.home), STRV(c->home_mailbox)));
	return str_of(arena_printf(leaf->x->arena, STRF "%s" STRF "%s",
	    STRV(spool), maildir ? "" : "/", STRV(leaf->p.user),
	    maildir ? "/" : ""));
}

static void
stored(void *ctx, const struct msg_store_done *m, const struct items *items)
{
	struct leaf *leaf = ctx;
	enum delivery_status status =
	    m->status == BOUNCED ? BOUNCED : DEFERRED;

	if (m->status == EXPANDED)
		forwarded(leaf, arena_str(leaf->x->arena, m->text), items);
	else if (m->status == SENT)
		leaf_done(leaf, SENT, m->dsn, STRF, STRV(m->text));
	else if (str_starts(m->text, STR("cannot access home directory")))
		leaf_done(leaf, status, m->dsn, STRF, STRV(m->text));
	else if (leaf->store.kind == STORE_MAILDIR)
		leaf_done(leaf, status, m->dsn, "maildir delivery failed: "
		    STRF, STRV(m->text));
	else
		leaf_done(leaf, status, m->dsn, "cannot update mailbox " STRF
		    " for user " STRF ". " STRF, STRV(leaf->store.path),
		    STRV(leaf->p.user), STRV(m->text));
}

static void
store(struct leaf *leaf, struct str paths)
{
	struct local *l = leaf->x->local;
	struct agent_id id;

	leaf->store = *deliver_job(leaf->x->recipient, mailbox_path(leaf),
	    STR(""));
	if (leaf->store.kind == STORE_MBOX && l->mmdf)
		leaf->store.kind = STORE_MMDF;
	if (is_probe(leaf->x)) {
		leaf_done(leaf, SENT, STR("2.0.0"),
		    leaf->store.kind == STORE_MAILDIR ?
		    "delivers to maildir" : "delivers to mailbox");
		return;
	}
	if (!leaf_agent(leaf, &id))
		return;
	if (l->conf.home_mailbox.n == 0)
		id.gid = leaf->user.spool_gid;
	leaf->store.forward = paths;
	leaf->store.home = l->conf.require_home_directory ?
	    leaf->user.home : STR("");
	leaf->store.sender = leaf->p.sender;
	if ((l->delivered_to & PUT_FILE) != 0)
		leaf->store.recipient = l->conf.frozen_delivered_to ?
		    leaf->p.delivered : leaf->p.address;
	leaf->store.size_max = (uint64_t)l->conf.mailbox_size_limit;
	leaf->store.locks = l->locks;
	agents_store(l->agents, &id, &leaf->store, stored, leaf);
}

static void
command(struct leaf *leaf, struct str text)
{
	leaf_command(leaf->x, &leaf->p, text, true);
	leaf_drop(leaf);
}

/* A table of users; false: it has failed, and so has the leaf. */
static bool
ask_table(struct leaf *leaf, struct tables *t, const char *parameter,
    struct str *out)
{
	struct buf value;
	bool ok = true;

	*out = STR("");
	if (tables_empty(t))
		return true;
	buf_init(&value, VALUE_MAX);
	switch (tables_get(t, leaf->p.user, &value)) {
	case FOUND:
		*out = arena_str(leaf->x->arena, str_trim(buf_view(&value)));
		break;
	case NONE:
		break;
	case RETRY:
		log_at(LL_WARN, leaf->x->recipient->delivery->msg.queue_id,
		    "%s: lookup of '" STRF "' failed: %s", parameter,
		    STRV(leaf->p.user), tables_error(t));
		leaf_done(leaf, DEFERRED, STR("4.3.0"),
		    "table lookup failure");
		ok = false;
		break;
	}
	buf_free(&value);
	return ok;
}

/* With .forward out of the way: transport, command, or file. */
static void
deliver(struct leaf *leaf)
{
	struct local *l = leaf->x->local;
	struct str found;

	if (seen_before(leaf->x, "mailbox " STRF, STRV(leaf->p.local))) {
		leaf_drop(leaf);
		return;
	}
	if (!ask_table(leaf, l->transports, "mailbox_transport_maps", &found))
		return;
	if (found.n == 0)
		found = l->conf.mailbox_transport;
	if (found.n > 0) {
		pass_on(leaf, found);
		return;
	}
	if (leaf->found == NONE) {
		unknown(leaf);
		return;
	}
	if (!ask_table(leaf, l->commands, "mailbox_command_maps", &found))
		return;
	if (found.n == 0)
		found = l->conf.mailbox_command;
	leaf->value = STR("mailbox");
	if (found.n > 0)
		command(leaf, found);
	else if (leaf_was_done(leaf))
		leaf_drop(leaf);
	else
		store(leaf, STR(""));
}

static bool
stores(const struct local *l)
{
	return tables_empty(l->transports) && tables_empty(l->commands) &&
	    l->conf.mailbox_transport.n == 0 && l->conf.mailbox_command.n == 0;
}

static void
looked(void *ctx, const struct msg_expand_done *m, const struct items *items)
{
	struct leaf *leaf = ctx;

	switch ((enum found)m->found) {
	case FOUND:
		forwarded(leaf, arena_str(leaf->x->arena, m->text), items);
		return;
	case NONE:
		deliver(leaf);
		return;
	case RETRY:
		break;
	}
	leaf_done(leaf, DEFERRED, STR("4.3.0"), STRF, STRV(m->text));
}

static void
look(struct leaf *leaf, struct str paths)
{
	struct local *l = leaf->x->local;
	struct agent_id id;

	leaf->expand = (struct msg_expand){ .kind = EXPAND_FORWARD,
		.queue_id = leaf->x->recipient->delivery->msg.queue_id,
		.paths = paths, .home = l->conf.require_home_directory ?
		    leaf->user.home : STR("") };
	if (leaf_agent(leaf, &id))
		agents_expand(l->agents, &id, &leaf->expand, looked, leaf);
}

/* root, and all but the own user of an ordinary user's instance. */
static bool
has_agent(const struct leaf *leaf)
{
	const struct local *l = leaf->x->local;

	return l->alone ? leaf->user.uid == l->own_uid : leaf->user.uid != 0;
}

/*
 * The user is known, or known not to be. At the first level nothing of this
 * recipient was delivered yet: .forward and mailbox are one request.
 */
static void
go_on(struct leaf *leaf)
{
	struct local *l = leaf->x->local;
	struct str paths = STR("");
	bool plain = leaf->value.n > 0, may;

	if (leaf->found == NONE) {
		deliver(leaf);
		return;
	}
	leaf->p.rights = (struct rights){ true, leaf->user };
	may = !plain && !is_probe(leaf->x) && has_agent(leaf);
	if (may && (leaf->p.level == 0 || !seen_before(leaf->x,
	    "forward " STRF, STRV(leaf->p.local))))
		paths = forward_paths(leaf);
	if (leaf->p.level == 0 && stores(l))
		store(leaf, paths);
	else if (may && (paths.n > 0 || l->conf.require_home_directory))
		look(leaf, paths);
	else
		deliver(leaf);
}

static void
user_known(void *ctx, enum found found, const struct user *user)
{
	struct leaf *leaf = ctx;

	leaf->found = found;
	if (found == RETRY) {
		leaf_done(leaf, DEFERRED, STR("4.0.0"), "user lookup error");
		return;
	}
	if (found == FOUND)
		leaf->user = user_copy(user, leaf->x->arena);
	go_on(leaf);
}

void
mailbox_begin(struct spread *x, const struct place *p, bool plain)
{
	struct leaf *leaf = leaf_new(x, p);

	leaf->value = plain ? STR("plain") : STR("");
	users_find(x->local->users, p->user, user_known, leaf);
}

/* --- nobody of that name --- */

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
bounce_unknown(struct leaf *leaf)
{
	leaf_done(leaf, BOUNCED, STR("5.1.1"), "unknown user: \"" STRF "\"",
	    STRV(leaf->p.user));
}

/* luser_relay, unless it leads here again. */
static void
relay(struct leaf *leaf)
{
	struct spread *x = leaf->x;
	struct macro v[PLACE_MACROS];
	struct place p = leaf->p;
	struct str text, addr;

	p.unmatched = STR("");
	place_macros(&p, x->local, v);
	(void)macro_expand(v, nitems(v), x->local->conf.luser_relay, STR(""),
	    x->arena, &text, NULL);
	if (!address_list_next(&text, x->arena, &addr) || addr.n == 0) {
		leaf_done(leaf, DEFERRED, STR("4.3.5"),
		    "mail system configuration error");
		return;
	}
	if (address_domain(addr).n == 0)
		addr = str_of(arena_printf(x->arena, STRF "@" STRF,
		    STRV(address_local(addr)), STRV(x->local->myorigin)));
	if (str_eq_nocase(addr, p.address)) {
		bounce_unknown(leaf);
		return;
	}
	place_address(x, &p, addr);
	leaf_drop(leaf);
}

static void
unknown(struct leaf *leaf)
{
	struct local *l = leaf->x->local;
	struct str found;

	if (!ask_table(leaf, l->fallbacks, "fallback_transport_maps", &found))
		return;
	if (found.n == 0)
		found = l->conf.fallback_transport;
	if (found.n > 0)
		pass_on(leaf, found);
	else if (l->conf.luser_relay.n > 0)
		relay(leaf);
	else if (is_required(leaf->p.user)) {
		log_at(LL_WARN, leaf->x->recipient->delivery->msg.queue_id,
		    "required alias not found: " STRF, STRV(leaf->p.user));
		leaf_done(leaf, DEFERRED, STR("4.3.5"),
		    "required alias not found: " STRF, STRV(leaf->p.user));
	} else
		bounce_unknown(leaf);
}
