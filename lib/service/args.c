/*
 * A daemon's command line: -c DIR -n NAME -o name=value... -u uid:gid:login,
 * -r ROOT, -t, -v. Also the log, opened as main.cf says.
 */
#include <syslog.h>
#include <unistd.h>

#include "service/internal.h"

static bool
parse_owner(struct service_args *args, char *text)
{
	struct str rest = str_of(text), field;
	uint64_t uid, gid;
	size_t at;

	at = str_chr(rest, ':');
	field = str_first(rest, at);
	rest = str_from(rest, at + 1);
	if (!str_number(field, &uid) || uid > UINT32_MAX - 1)
		return (false);
	at = str_chr(rest, ':');
	field = str_first(rest, at);
	rest = str_from(rest, at + 1);
	if (!str_number(field, &gid) || gid > UINT32_MAX - 1)
		return (false);
	args->uid = (uid_t)uid;
	args->gid = (gid_t)gid;
	args->user = rest.n > 0 ? rest.p : "";
	args->has_uid = true;
	return (true);
}

bool
service_args_parse(struct service_args *args, int argc, char **argv,
    const char **why)
{
	int c;

	*args = (struct service_args){ .user = "" };
	*why = "usage: -c directory -n service [-o name=value] [-tv] [-u owner] "
	    "[-r root]";
	args->overrides = mem_grow(NULL, (size_t)argc + 1,
	    sizeof(*args->overrides));
	opterr = 0;
	while ((c = getopt(argc, argv, "+c:n:o:r:tu:v")) != -1)
		switch (c) {
		case 'c':
			args->dir = optarg;
			break;
		case 'n':
			args->name = optarg;
			break;
		case 'o':
			args->overrides[args->noverrides++] = optarg;
			break;
		case 'r':
			args->root = optarg;
			break;
		case 't':
			args->check = true;
			break;
		case 'u':
			if (!parse_owner(args, optarg)) {
				*why = "-u takes uid:gid:login";
				return (false);
			}
			break;
		case 'v':
			log_verbose(true);
			break;
		default:
			return (false);
		}
	args->rest = argv + optind;
	args->nrest = argc - optind;
	return (args->name != NULL);
}

static int
facility_number(struct str name)
{
	static const struct { const char *name; int number; } rows[] = {
		{ "auth", LOG_AUTH }, { "authpriv", LOG_AUTHPRIV },
		{ "cron", LOG_CRON }, { "daemon", LOG_DAEMON },
		{ "kern", LOG_KERN }, { "lpr", LOG_LPR },
		{ "mail", LOG_MAIL }, { "news", LOG_NEWS },
		{ "syslog", LOG_SYSLOG }, { "user", LOG_USER },
		{ "uucp", LOG_UUCP }, { "local0", LOG_LOCAL0 },
		{ "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 },
		{ "local3", LOG_LOCAL3 }, { "local4", LOG_LOCAL4 },
		{ "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 },
		{ "local7", LOG_LOCAL7 },
	};

	for (size_t i = 0; i < nitems(rows); i++)
		if (str_eq_nocase(name, str_of(rows[i].name)))
			return (rows[i].number);
	return (LOG_MAIL);
}

void
service_log_open(struct conf *conf, const char *program, bool to_stderr)
{
	struct arena *arena = arena_new(65536);
	struct log_conf log = {
		.program = program,
		.to_stderr = to_stderr,
		.facility = facility_number(
		    conf_get(conf, "syslog_facility")),
	};

	log.syslog_name = arena_cstr(arena, conf_get(conf, "syslog_name"));
	log.hostname = arena_cstr(arena, conf_get(conf, "myhostname"));
	if (str_eq(conf_get(conf, "maillog_format"), STR("json")))
		log.format = LOG_JSON;
	if (str_eq(conf_get(conf, "maillog_timestamp"), STR("rfc3339")))
		log.stamp = STAMP_RFC3339;
	log_open(&log);
	arena_free(&arena);
}
