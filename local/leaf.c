/*
 * leaf - one command or file as destination: EXTERNAL COMMAND DELIVERY,
 * EXTERNAL FILE DELIVERY and DELIVERY RIGHTS of local(8).
 */
#include "local/local.h"
#include "local/macro.h"

bool
leaf_was_done(struct leaf *leaf)
{
	const struct recipient *r = leaf->x->recipient;
	const struct rights *rights = &leaf->p.rights;

	leaf->what = str_of(arena_printf(leaf->x->arena, STRF " %llu %llu "
	    "%lu " STRF " " STRF, STRV(r->delivery->msg.queue_id),
	    (unsigned long long)r->delivery->msg.arrival_us,
	    (unsigned long long)r->index,
	    (unsigned long)(rights->known ? rights->user.uid : 0),
	    STRV(leaf->p.user), STRV(leaf->value)));
	if (map_get(leaf->x->local->done, leaf->what) == NULL)
		return false;
	deliver_take(leaf->x->recipient, &(struct msg_rcpt_result){
	    .status = SENT, .dsn = STR("2.0.0"),
	    .text = STR("delivered at an earlier attempt") });
	leaf->sent = true;		/* and remembered again */
	return true;
}

static const struct user *
user_of(const struct leaf *leaf)
{
	return leaf->p.rights.known ? &leaf->p.rights.user :
	    &leaf->x->local->nobody;
}

bool
leaf_agent(struct leaf *leaf, struct agent_id *id)
{
	const struct local *l = leaf->x->local;
	const struct user *u = user_of(leaf);

	*id = (struct agent_id){ .uid = u->uid, .gid = u->gid,
		.user = leaf->p.rights.known ? u->name : STR("") };
	if (l->alone && u->uid != l->own_uid)
		leaf_done(leaf, DEFERRED, STR("4.3.0"), "this instance runs "
		    "without root as uid %lu and does nothing as others",
		    (unsigned long)l->own_uid);
	else if (u->uid == 0 && !l->alone)
		leaf_done(leaf, DEFERRED, STR("4.3.0"), "mail for " STRF
		    " is never delivered as root: make an alias for it",
		    STRV(leaf->p.user));
	else
		return true;
	return false;
}

/* --- commands --- */

static void
ran(void *ctx, const struct msg_run_done *m)
{
	struct leaf *leaf = ctx;

	if (m->status == SENT)
		leaf_done(leaf, SENT, STR("2.0.0"), "delivered to command: "
		    STRF, STRV(leaf->value));
	else
		leaf_done(leaf, m->status == BOUNCED ? BOUNCED : DEFERRED,
		    m->dsn, STRF, STRV(m->text));
}

/* command_execution_directory; false: it makes no sense. */
static bool
directory_of(struct leaf *leaf, struct str *out)
{
	const struct local *l = leaf->x->local;
	struct macro v[PLACE_MACROS];

	place_macros(&leaf->p, l, v);
	if (macro_expand(v, nitems(v), l->conf.command_execution_directory,
	    l->conf.execution_directory_expansion_filter, leaf->x->arena,
	    out, NULL) != MACRO_ERROR)
		return true;
	log_at(LL_WARN, leaf->x->recipient->delivery->msg.queue_id,
	    "bad parameter value syntax for command_execution_directory: "
	    STRF, STRV(l->conf.command_execution_directory));
	leaf_done(leaf, DEFERRED, STR("4.3.5"),
	    "mail system configuration error");
	return false;
}

static void
run(struct leaf *leaf)
{
	const struct msg_deliver *d = &leaf->x->recipient->delivery->msg;
	struct local *l = leaf->x->local;
	struct msg_run *m = &leaf->run;
	struct agent_id id;
	struct str directory;

	if (!leaf_agent(leaf, &id) || !directory_of(leaf, &directory))
		return;
	id.user = STR("");		/* its own group and no other */
	*m = (struct msg_run){ .queue_id = d->queue_id,
		.command = leaf->value, .shell = l->conf.local_command_shell,
		.environment = command_environment(leaf),
		.directory = directory, .eol = STR("\n"),
		.flags = RUN_FROM | RUN_RETURN_PATH | RUN_ORIGINAL |
		    ((l->delivered_to & PUT_COMMAND) != 0 ? RUN_DELIVERED :
		    0),
		.time_limit = (uint64_t)conf_number(service_conf(l->service),
		    "command_time_limit"),
		.sender = leaf->p.sender, .recipient = leaf->p.delivered,
		.original = deliver_x_original(leaf->x->recipient),
		.header_off = d->header_off, .header_len = d->header_len,
		.body_off = d->body_off, .body_len = d->body_len,
		.queue_file = d->queue_file };
	agents_run(l->agents, &id, m, ran, leaf);
}

void
leaf_command(struct spread *x, const struct place *p, struct str command,
    bool free)
{
	struct leaf *leaf;

	if (!free && (x->local->commands_from & p->how) == 0) {
		place_fail(x, p, BOUNCED, "5.7.1",
		    "mail to command is restricted");
		return;
	}
	if (seen_before(x, "command " STRF ":%lu " STRF, STRV(p->user),
	    (unsigned long)(p->rights.known ? p->rights.user.uid : 0),
	    STRV(command)))
		return;
	if (is_probe(x)) {
		place_fail(x, p, SENT, "2.0.0", "delivers to command: " STRF,
		    STRV(command));
		return;
	}
	leaf = leaf_new(x, p);
	leaf->value = arena_str(x->arena, command);
	if (leaf_was_done(leaf))
		leaf_drop(leaf);
	else
		run(leaf);
}

/* --- files --- */

static void
stored(void *ctx, const struct msg_store_done *m, const struct items *items)
{
	struct leaf *leaf = ctx;
	bool bounced = m->status == BOUNCED;

	(void)items;
	if (m->status == SENT)
		leaf_done(leaf, SENT, m->dsn, "delivered to file: " STRF,
		    STRV(leaf->value));
	else
		leaf_done(leaf, bounced ? BOUNCED : DEFERRED, m->dsn,
		    "cannot append message to file " STRF ": " STRF,
		    STRV(leaf->value), STRV(m->text));
}

static void
write_file(struct leaf *leaf)
{
	struct local *l = leaf->x->local;
	struct agent_id id;

	if (str_eq(leaf->value, STR("/dev/null"))) {
		leaf_done(leaf, SENT, STR("2.0.0"), "delivered to file: " STRF,
		    STRV(leaf->value));
		return;
	}
	if (!leaf_agent(leaf, &id))
		return;
	leaf->store = *deliver_job(leaf->x->recipient, leaf->value, STR(""));
	if (leaf->store.kind == STORE_MBOX && l->mmdf)
		leaf->store.kind = STORE_MMDF;
	leaf->store.sender = leaf->p.sender;
	if ((l->delivered_to & PUT_FILE) != 0)
		leaf->store.recipient = leaf->p.delivered;
	leaf->store.size_max = (uint64_t)l->conf.mailbox_size_limit;
	leaf->store.locks = l->locks;
	leaf->store.flags = STORE_ANY_FILE;
	agents_store(l->agents, &id, &leaf->store, stored, leaf);
}

void
leaf_file(struct spread *x, const struct place *p, struct str path)
{
	struct leaf *leaf;

	if (seen_before(x, "file %lu " STRF,
	    (unsigned long)(p->rights.known ? p->rights.user.uid : 0),
	    STRV(path)))
		return;
	if ((x->local->files_from & p->how) == 0) {
		place_fail(x, p, BOUNCED, "5.7.1",
		    "mail to file is restricted");
		return;
	}
	if (is_probe(x)) {
		place_fail(x, p, SENT, "2.0.0", "delivers to file: " STRF,
		    STRV(path));
		return;
	}
	leaf = leaf_new(x, p);
	leaf->value = arena_str(x->arena, path);
	if (leaf_was_done(leaf))
		leaf_drop(leaf);
	else
		write_file(leaf);
}
