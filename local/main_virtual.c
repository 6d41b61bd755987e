/*
 * virtual - where a virtual recipient's mail goes: virtual(8) of Postfix.
 * Runs as mail_owner; looks up path, uid and gid, and has the uid's agent
 * write the mailbox.
 */
#include "local/agents.h"
#include "local/deliver.h"
#include "table/table.h"

#define VALUE_MAX	4096
#define CONF_ERROR	"mail system configuration error"

struct virtual_conf {
#define PARAM PARAM_MEMBER
#include "local/params_virtual.def"
#undef PARAM
};

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct virtual_conf, __VA_ARGS__)
#include "local/params_virtual.def"
#undef PARAM
};

struct virtual {
	struct front	    front;
	struct virtual_conf conf;
	struct agents	   *agents;
	struct tables	   *mailboxes, *uids, *gids;
	struct find_conf    find;
	uint64_t	    locks;
	bool		    mmdf;	/* mailbox_file_format */
	bool		    sane;	/* base and limit can be used */
};

static struct tables *
open_tables(struct service *service, struct str list, const char *parameter)
{
	struct tables *t;
	struct buf why;

	buf_init(&why, VALUE_MAX);
	t = tables_open(list, conf_dir(service_conf(service)),
	    TABLE_FOLD | TABLE_NO_UNAUTH, &why);
	if (why.n > 0)
		log_warn("%s: %s", parameter, buf_cstr(&why));
	buf_free(&why);
	return t;
}

/* Before privileges go: tables may be root's alone to read. */
static void
open_all(void *ctx, struct service *service)
{
	struct virtual *v = ctx;
	struct conf *conf = service_conf(service);
	struct buf why;

	v->mailboxes = open_tables(service,
	    conf_get(conf, "virtual_mailbox_maps"), "virtual_mailbox_maps");
	v->uids = open_tables(service, v->conf.virtual_uid_maps,
	    "virtual_uid_maps");
	v->gids = open_tables(service, v->conf.virtual_gid_maps,
	    "virtual_gid_maps");
	deliver_filter(&v->front, service, "virtual_delivery_status_filter");
	v->mmdf = str_eq(conf_get(conf, "mailbox_file_format"), STR("mmdf"));
	v->find.delimiter = conf_get(conf, "recipient_delimiter");
	v->find.myorigin = conf_get(conf, "myorigin");
	buf_init(&why, VALUE_MAX);
	v->find.local = match_list_open(conf_get(conf, "mydestination"),
	    conf_dir(conf), MATCH_WHOLE, &why);
	if (why.n > 0)
		log_warn("mydestination: %s", buf_cstr(&why));
	buf_free(&why);
}

/*
 * Wrong settings do not stop the start, since this daemon runs also where
 * nothing is virtual: they put off what is.
 */
static bool
check_conf(struct virtual *v, struct service *service)
{
	struct str base = v->conf.virtual_mailbox_base;

	if (tables_empty(v->mailboxes))
		return true;
	if (base.n == 0 || base.p[0] != '/') {
		log_warn("do not specify relative pathname: "
		    "virtual_mailbox_base = " STRF, STRV(base));
		return false;
	}
	return deliver_limit_valid(service, v->conf.virtual_mailbox_limit,
	    "virtual_mailbox_limit");
}

static void
misconfigured(struct recipient *r)
{
	deliver_result(r, DEFERRED, "4.3.5", STR(CONF_ERROR));
}

/* A number of uid or gid maps; false: logged and put off. */
static bool
find_id(struct virtual *v, struct recipient *r, struct tables *t,
    const char *parameter, uint64_t *id)
{
	struct buf value;
	bool ok = false;

	buf_init(&value, VALUE_MAX);
	switch (tables_find_address(t, &v->find, FIND_DEFAULT, r->address,
	    &value, NULL)) {
	case FOUND:
		ok = str_number(str_trim(buf_view(&value)), id) &&
		    *id < UINT32_MAX;
		if (!ok)
			log_at(LL_WARN, r->delivery->msg.queue_id,
			    "recipient " STRF ": bad value " STRF " in %s",
			    STRV(r->address), STRV(buf_view(&value)),
			    parameter);
		break;
	case NONE:
		log_at(LL_WARN, r->delivery->msg.queue_id, "recipient " STRF
		    ": not found in %s", STRV(r->address), parameter);
		break;
	case RETRY:
		log_at(LL_WARN, r->delivery->msg.queue_id, "table %s: lookup "
		    STRF ": %s", parameter, STRV(r->address),
		    tables_error(t));
		break;
	}
	buf_free(&value);
	if (!ok)
		misconfigured(r);
	return ok;
}

static void
stored(void *ctx, const struct msg_store_done *m, const struct items *items)
{
	struct recipient *r = ctx;
	struct arena *arena = r->delivery->arena;
	const struct msg_store *job = r->own;
	const char *dsn = arena_cstr(arena, m->dsn);

	(void)items;
	if (m->status == SENT)
		deliver_result(r, SENT, dsn, m->text);
	else if (job->kind == STORE_MAILDIR)
		deliver_printf(r, m->status == BOUNCED ? BOUNCED : DEFERRED,
		    dsn, "maildir delivery failed: " STRF, STRV(m->text));
	else
		deliver_printf(r, m->status == BOUNCED ? BOUNCED : DEFERRED,
		    dsn, "delivery failed to mailbox " STRF "/" STRF ": "
		    STRF, STRV(job->base), STRV(job->path), STRV(m->text));
}

static void
deliver_to(struct virtual *v, struct recipient *r, struct str path)
{
	struct delivery *d = r->delivery;
	struct agent_id id = { .user = STR("") };
	struct msg_store *job;
	uint64_t uid, gid;

	if (path.n == 0 || str_has_dotdot(path)) {
		log_at(LL_WARN, d->msg.queue_id, "recipient " STRF
		    ": bad mailbox path " STRF " in virtual_mailbox_maps",
		    STRV(r->address), STRV(path));
		misconfigured(r);
		return;
	}
	if (!find_id(v, r, v->uids, "virtual_uid_maps", &uid) ||
	    !find_id(v, r, v->gids, "virtual_gid_maps", &gid))
		return;
	if (uid < (uint64_t)v->conf.virtual_minimum_uid || gid == 0) {
		log_at(LL_WARN, d->msg.queue_id, "recipient " STRF ": bad %s "
		    "%llu in virtual_%s_maps", STRV(r->address),
		    gid == 0 ? "gid" : "uid",
		    (unsigned long long)(gid == 0 ? gid : uid),
		    gid == 0 ? "gid" : "uid");
		misconfigured(r);
		return;
	}
	id.uid = (uid_t)uid;
	id.gid = (gid_t)gid;
	job = deliver_job(r, path, v->conf.virtual_mailbox_base);
	if (job->kind == STORE_MBOX && v->mmdf)
		job->kind = STORE_MMDF;
	job->recipient = r->address;
	job->size_max = (uint64_t)v->conf.virtual_mailbox_limit;
	job->locks = v->locks;
	r->own = job;
	if ((d->msg.flags & DELIVER_VERIFY) != 0)
		deliver_result(r, SENT, "2.0.0", job->kind == STORE_MAILDIR ?
		    STR("delivers to maildir") : STR("delivers to mailbox"));
	else
		agents_store(v->agents, &id, job, stored, r);
}

static void
begin(void *ctx, struct recipient *r)
{
	struct virtual *v = ctx;
	struct buf value;

	if (!v->sane) {
		misconfigured(r);
		return;
	}
	buf_init(&value, VALUE_MAX);
	switch (tables_find_address(v->mailboxes, &v->find, FIND_DEFAULT,
	    r->address, &value, NULL)) {
	case FOUND:
		deliver_to(v, r, arena_str(r->delivery->arena,
		    buf_view(&value)));
		break;
	case NONE:
		deliver_printf(r, BOUNCED, "5.1.1",
		    "unknown user: \"" STRF "\"",
		    STRV(deliver_folded(r, r->address)));
		break;
	case RETRY:
		log_at(LL_WARN, r->delivery->msg.queue_id, "table "
		    "virtual_mailbox_maps: lookup " STRF ": %s",
		    STRV(r->address), tables_error(v->mailboxes));
		misconfigured(r);
		break;
	}
	buf_free(&value);
}

static void
start(void *ctx, struct service *service)
{
	struct virtual *v = ctx;

	deliver_front(&v->front, service);
	v->front.relay = "virtual";
	v->front.begin = begin;
	v->front.ctx = v;
	v->agents = agents_new(service, 0);
	v->locks = deliver_locks(v->conf.virtual_mailbox_lock,
	    "virtual_mailbox_lock");
	v->sane = check_conf(v, service);
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	struct virtual *v = ctx;

	deliver_on_talk(&v->front, talk, id);
}

static void
on_solo(void *ctx, struct channel *channel, enum msg id, const void *msg)
{
	struct virtual *v = ctx;

	(void)channel;
	if (id == MSG_agent_refused)
		agents_refused(v->agents, msg);
}

int
main(int argc, char **argv)
{
	struct virtual virtual = { 0 };
	const struct service_def def = {
		.role = ROLE_VIRTUAL,
		.params = params,
		.nparams = nitems(params),
		.conf = &virtual.conf,
		.ctx = &virtual,
		.open = open_all,
		.start = start,
		.on_talk = on_talk,
		.on_solo = on_solo,
	};

	return service_main(&def, argc, argv);
}
