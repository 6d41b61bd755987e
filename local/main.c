/*
 * local - where a local recipient's mail goes: local(8) of Postfix. Runs as
 * mail_owner; looks up aliases and users, and has the user's agent write the
 * mailbox.
 */
#include <pwd.h>
#include <unistd.h>
#include "local/local.h"

#define WHY_MAX		4096

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct local_conf, __VA_ARGS__)
#include "local/params.def"
#undef PARAM
};

static void
warn_open(struct buf *why, const char *parameter)
{
	if (why->n > 0)
		log_warn("%s: %s", parameter, buf_cstr(why));
	buf_clear(why);
}

/* Before privileges go: tables may be root's alone to read. */
static void
open_all(void *ctx, struct service *service)
{
	struct local *l = ctx;
	struct conf *conf = service_conf(service);
	struct str words = l->conf.prepend_delivered_header, word;
	struct buf why;

	l->service = service;
	l->alone = geteuid() != 0;
	l->own_uid = getuid();
	buf_init(&why, WHY_MAX);
	l->aliases = tables_open(conf_get(conf, "alias_maps"),
	    conf_dir(conf), TABLE_FOLD | TABLE_NO_REGSUB | TABLE_NO_UNAUTH,
	    &why);
	warn_open(&why, "alias_maps");
	l->destinations = match_list_open(conf_get(conf, "mydestination"),
	    conf_dir(conf), MATCH_WHOLE, &why);
	warn_open(&why, "mydestination");
	buf_free(&why);
	l->delimiter = conf_get(conf, "recipient_delimiter");
	l->myorigin = conf_get(conf, "myorigin");
	l->owner_special = conf_bool(conf, "owner_request_special");
	while (str_token(&words, ", \t\r\n", &word))
		l->delivered_to = l->delivered_to ||
		    str_eq_nocase(word, STR("file"));
	(void)getpwuid(l->own_uid);	/* loads what nsswitch.conf names */
}

static void
start(void *ctx, struct service *service)
{
	struct local *l = ctx;

	deliver_front(&l->front, service);
	l->front.relay = "local";
	l->front.begin = local_begin;
	l->front.ctx = l;
	list_init(&l->forwards);
	l->agents = agents_new(service,
	    (size_t)conf_number(service_conf(service),
	    "default_process_limit"));
	l->users = users_new(service, l->conf.mail_spool_directory);
	l->locks = deliver_locks(l->conf.mailbox_delivery_lock,
	    "mailbox_delivery_lock");
	l->sane = deliver_limit_valid(service, l->conf.mailbox_size_limit,
	    "mailbox_size_limit");
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	struct local *l = ctx;

	deliver_on_talk(&l->front, talk, id);
}

static void
on_solo(void *ctx, struct channel *channel, enum msg id, const void *msg)
{
	struct local *l = ctx;

	(void)channel;
	if (id == MSG_agent_refused)
		agents_refused(l->agents, msg);
}

static void
on_drained(void *ctx, struct channel *channel)
{
	forward_drained(ctx, channel);
}

int
main(int argc, char **argv)
{
	struct local local = { 0 };
	const struct service_def def = {
		.role = ROLE_LOCAL,
		.params = params,
		.nparams = nitems(params),
		.conf = &local.conf,
		.ctx = &local,
		.open = open_all,
		.start = start,
		.on_talk = on_talk,
		.on_solo = on_solo,
		.on_drained = on_drained,
	};

	return service_main(&def, argc, argv);
}
