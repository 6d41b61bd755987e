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

static struct tables *
open_tables(struct local *l, const char *parameter)
{
	struct conf *conf = service_conf(l->service);
	struct tables *t;
	struct buf why;

	buf_init(&why, WHY_MAX);
	t = tables_open(conf_get(conf, parameter), conf_dir(conf),
	    TABLE_FOLD | TABLE_NO_REGSUB | TABLE_NO_UNAUTH, &why);
	if (why.n > 0)
		log_warn("%s: %s", parameter, buf_cstr(&why));
	buf_free(&why);
	return t;
}

/* Words of a list parameter as bits; unknown ones are named. */
struct word {
	struct str word;
	unsigned   bit;
};

static unsigned
bits(struct str words, const char *parameter, const struct word *known,
    size_t n)
{
	unsigned found = 0;
	struct str word;

	while (str_token(&words, ", \t\r\n", &word)) {
		size_t i = 0;

		while (i < n && !str_eq_nocase(word, known[i].word))
			i++;
		if (i < n)
			found |= known[i].bit;
		else
			log_warn("unknown %s value \"" STRF "\"", parameter,
			    STRV(word));
	}
	return found;
}

static void
read_words(struct local *l)
{
	static const struct word how[] = { { STR("alias"), HOW_ALIAS },
		{ STR("forward"), HOW_FORWARD },
		{ STR("include"), HOW_INCLUDE } };
	static const struct word put[] = { { STR("command"), PUT_COMMAND },
		{ STR("file"), PUT_FILE }, { STR("forward"), PUT_FORWARD } };
	static const struct word extension[] = { { STR("alias"), EXT_ALIAS },
		{ STR("forward"), EXT_FORWARD },
		{ STR("include"), EXT_INCLUDE }, { STR("canonical"), 0 },
		{ STR("virtual"), 0 }, { STR("generic"), 0 } };
	struct str format = conf_get(service_conf(l->service),
	    "mailbox_file_format");

	l->commands_from = bits(l->conf.allow_mail_to_commands,
	    "allow_mail_to_commands", how, nitems(how));
	l->files_from = bits(l->conf.allow_mail_to_files,
	    "allow_mail_to_files", how, nitems(how));
	l->delivered_to = bits(l->conf.prepend_delivered_header,
	    "prepend_delivered_header", put, nitems(put));
	l->extensions = bits(conf_get(service_conf(l->service),
	    "propagate_unmatched_extensions"),
	    "propagate_unmatched_extensions", extension, nitems(extension));
	l->mmdf = str_eq(format, STR("mmdf"));
}

/* What a start would only warn of, when mail is there. */
static void
check(void *ctx, struct service *service, struct problems *problems)
{
	struct local *l = ctx;
	struct str format = conf_get(service_conf(service),
	    "mailbox_file_format");
	struct arena *arena = arena_new(65536);
	const struct passwd *pw = getpwnam(arena_cstr(arena,
	    l->conf.default_privs));

	if (geteuid() == 0 && (pw == NULL || pw->pw_uid == 0))
		problem_add(problems, false, NULL, 0, "default_privs: "
		    STRF " is %s; mail for commands and files of aliases "
		    "waits in the queue", STRV(l->conf.default_privs),
		    pw == NULL ? "no user" : "root");
	if (!str_eq(format, STR("mbox")) && !str_eq(format, STR("mmdf")))
		problem_add(problems, false, NULL, 0, "mailbox_file_format: "
		    "it is mbox or mmdf, not " STRF, STRV(format));
	arena_free(&arena);
}

/* The user for whom nobody else answers. */
static void
find_nobody(struct local *l)
{
	struct arena *arena = arena_new(65536);
	const struct passwd *pw;

	if (l->alone) {
		l->nobody.uid = l->own_uid;
		l->nobody.gid = getgid();
	} else if ((pw = getpwnam(arena_cstr(arena,
	    l->conf.default_privs))) != NULL) {	/* check() told of none */
		l->nobody.uid = pw->pw_uid;
		l->nobody.gid = pw->pw_gid;
	}
	arena_free(&arena);
}

/* Before privileges go: tables may be root's alone to read. */
static void
open_all(void *ctx, struct service *service)
{
	struct local *l = ctx;
	struct conf *conf = service_conf(service);
	struct problems problems = { 0 };

	l->service = service;
	l->alone = geteuid() != 0;
	l->own_uid = getuid();
	l->aliases = open_tables(l, "alias_maps");
	l->commands = open_tables(l, "mailbox_command_maps");
	l->transports = open_tables(l, "mailbox_transport_maps");
	l->fallbacks = open_tables(l, "fallback_transport_maps");
	deliver_filter(&l->front, service, "local_delivery_status_filter");
	l->router = router_new(conf, &problems);
	problems_log(&problems);
	problems_free(&problems);
	l->delimiter = conf_get(conf, "recipient_delimiter");
	l->myorigin = conf_get(conf, "myorigin");
	l->owner_special = conf_bool(conf, "owner_request_special");
	read_words(l);
	find_nobody(l);
	(void)getpwuid(l->own_uid);	/* loads what nsswitch.conf names */
}

static void
read_environment(struct local *l)
{
	struct buf b;

	buf_init(&b, WHY_MAX * 4);
	command_exports(service_conf(l->service), &b);
	l->environment = (struct str){ b.p, b.n };	/* kept for good */
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
	l->done = map_new();
	read_environment(l);
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
		.check = check,
		.open = open_all,
		.start = start,
		.on_talk = on_talk,
		.on_solo = on_solo,
		.on_drained = on_drained,
	};

	return service_main(&def, argc, argv);
}
