/*
 * services - what main.cf and master.cf ask for: which daemons, how many,
 * with which arguments. master(5).
 *
 * Some daemons are always there; smtpd and delivery transports are as
 * master.cf says. Postfix's services that are parts of others here are taken
 * without a word; what does not exist yet is named by `postern check`.
 */
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/master.h"

static const struct param master_params[] = {
#define PARAM(...) PARAM_ROW(struct master_conf, __VA_ARGS__)
#include "master/params.def"
#undef PARAM
};

/* Daemons that run whatever master.cf says; its lines may add -o to them. */
static const struct {
	const char *name;
	enum role   role;
} always[] = {
	{ "resolve", ROLE_RESOLVE }, { "tlskey", ROLE_TLSKEY },
	{ "lookup", ROLE_LOOKUP }, { "anvil", ROLE_ANVIL },
	{ "auth", ROLE_AUTH },
	{ "cleanup", ROLE_CLEANUP }, { "qmgr", ROLE_QMGR },
	{ "bounce", ROLE_BOUNCE }, { "pickup", ROLE_PICKUP },
	{ "showq", ROLE_SHOWQ }, { "verify", ROLE_VERIFY },
};

enum command_kind { CMD_INET, CMD_TRANSPORT, CMD_ALWAYS, CMD_PART, CMD_LATER };
/* Commands of master.cf; fronts (READER of process.def) are, too. */
static const struct {
	const char	 *command;
	enum command_kind kind;
	enum role	  role;
} commands[] = {
	{ "smtpd", CMD_INET, ROLE_SMTPD },
	{ "local", CMD_TRANSPORT, ROLE_LOCAL },
	{ "virtual", CMD_TRANSPORT, ROLE_VIRTUAL },
	{ "pipe", CMD_TRANSPORT, ROLE_PIPE },
	{ "error", CMD_TRANSPORT, ROLE_ERROR },
	{ "discard", CMD_TRANSPORT, ROLE_DISCARD },
	{ "smtp", CMD_TRANSPORT, ROLE_SMTP },
	{ "lmtp", CMD_TRANSPORT, ROLE_LMTP },
	{ "resolve", CMD_ALWAYS, ROLE_RESOLVE },
	{ "verify", CMD_ALWAYS, ROLE_VERIFY },
	{ "tlskey", CMD_ALWAYS, ROLE_TLSKEY },
	{ "lookup", CMD_ALWAYS, ROLE_LOOKUP },
	{ "anvil", CMD_ALWAYS, ROLE_ANVIL },
	{ "auth", CMD_ALWAYS, ROLE_AUTH },
	{ "pam", CMD_ALWAYS, ROLE_PAM },
	{ "cleanup", CMD_ALWAYS, ROLE_CLEANUP },
	{ "qmgr", CMD_ALWAYS, ROLE_QMGR },
	{ "oqmgr", CMD_ALWAYS, ROLE_QMGR },
	{ "nqmgr", CMD_ALWAYS, ROLE_QMGR },
	{ "bounce", CMD_ALWAYS, ROLE_BOUNCE },
	{ "pickup", CMD_ALWAYS, ROLE_PICKUP },
	{ "showq", CMD_ALWAYS, ROLE_SHOWQ },
	{ "trivial-rewrite", CMD_PART, 0 }, { "proxymap", CMD_PART, 0 },
	{ "tlsmgr", CMD_PART, 0 }, { "scache", CMD_PART, 0 },
	{ "flush", CMD_PART, 0 },
	{ "postlogd", CMD_PART, 0 }, { "tlsproxy", CMD_PART, 0 },
	{ "dnsblog", CMD_PART, 0 },
	{ "spawn", CMD_LATER, 0 },
	{ "postscreen", CMD_LATER, 0 }, { "qmqpd", CMD_LATER, 0 },
};

static void
add_arg(struct service *s, char *arg)
{
	s->argv = mem_grow(s->argv, s->argc + 1, sizeof(*s->argv));
	s->argv[s->argc++] = arg;
}

static void
add_option(struct service *s, struct str name, struct str value)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_str(&b, name);
	buf_putc(&b, '=');
	buf_str(&b, value);
	add_arg(s, mem_strdup("-o"));
	add_arg(s, mem_strdup(buf_cstr(&b)));
	buf_free(&b);
}

static struct service *
service_new(struct plan *plan, struct str name, enum role role)
{
	struct service *s = mem_new(sizeof(*s));

	s->name = mem_copy(name);
	s->role = role;
	s->processes = 1;
	list_append(&plan->services, &s->link);
	return (s);
}

struct service *
plan_find(struct plan *plan, enum role role, struct str name)
{
	list_each(l, &plan->services) {
		struct service *s = container_of(l, struct service, link);

		if (s->role == role && str_eq(str_of(s->name), name))
			return (s);
	}
	return (NULL);
}

bool
service_same(const struct service *a, const struct service *b)
{
	if (a->role != b->role || strcmp(a->name, b->name) != 0 ||
	    a->argc != b->argc)
		return (false);
	for (size_t i = 0; i < a->argc; i++)
		if (strcmp(a->argv[i], b->argv[i]) != 0)
			return (false);
	return (true);
}

/* -o of the line, then its other words. The chroot column is ours. */
static void
take_arguments(struct service *s, const struct master_entry *e)
{
	bool skip = false;

	for (size_t i = 0; i < e->noverrides; i++)
		add_option(s, e->overrides[i].name, e->overrides[i].value);
	for (size_t i = 0; i < e->argc; i++) {
		struct str a = e->argv[i];

		if (skip || str_starts(a, STR("-o"))) {
			skip = !skip && a.n == 2;
			continue;
		}
		if (str_eq(a, STR("-D")))
			continue;
		add_arg(s, mem_copy(a));
	}
}

/* An override of the line, or main.cf's value. */
static int64_t
line_number(struct plan *plan, const struct master_entry *e, const char *name)
{
	int64_t n;

	for (size_t i = 0; i < e->noverrides; i++)
		if (str_eq(e->overrides[i].name, str_of(name)) &&
		    conf_parse_size(conf_expand(plan->conf,
		    e->overrides[i].value, NULL), &n) && n > 0)
			return (n);
	return (conf_number(plan->conf, name));
}

static void
add_inet(struct plan *plan, const struct master_entry *e, enum role role)
{
	struct service *s = service_new(plan, e->name, role);
	int64_t workers = role != ROLE_SMTPD ? 1 :
	    line_number(plan, e, "smtpd_worker_processes");
	int64_t limit = e->limit;
	char text[32];

	if (limit < 0)
		limit = conf_number(plan->conf, "default_process_limit");
	s->line = e->line;
	s->is_inet = str_eq(e->type, STR("inet"));
	s->processes = workers < 1 ? 1 : (unsigned)workers;
	if (limit > 0 && limit < workers)
		s->processes = (unsigned)limit;
	/* maxproc counts sessions here: each worker has its part of them. */
	limit = (limit + s->processes - 1) / s->processes;
	snprintf(text, sizeof(text), "%lld", (long long)limit);
	add_option(s, STR("service_session_limit"), str_of(text));
	take_arguments(s, e);
}

static bool
is_disabled(struct plan *plan, const struct master_entry *e)
{
	struct str rest = plan->is.master_service_disable, item;
	size_t slash;

	while (conf_list_next(&rest, &item)) {
		slash = str_rchr(item, '/');
		if (slash == item.n) {
			if (str_eq(item, e->type))
				return (true);
		} else if (str_eq(str_first(item, slash), e->name) &&
		    str_eq(str_from(item, slash + 1), e->type))
			return (true);
	}
	return (false);
}

static void
trust_uid(struct plan *plan, uid_t uid)
{
	if (uid != 0 && plan->nusers < nitems(plan->users))
		plan->users[plan->nusers++] = uid;
}

static void
trust_gid(struct plan *plan, gid_t gid)
{
	if (gid != 0 && plan->ngroups < nitems(plan->groups))
		plan->groups[plan->ngroups++] = gid;
}

/* That user with that group, or with its own where group is "". */
static void
trust(struct plan *plan, struct str user, struct str group)
{
	char *name = mem_copy(user), *group_name = mem_copy(group);
	struct passwd *pw = user.n > 0 ? getpwnam(name) : NULL;
	struct group *gr = group.n > 0 ? getgrnam(group_name) : NULL;

	if (pw != NULL)
		trust_uid(plan, pw->pw_uid);
	if (gr != NULL)
		trust_gid(plan, gr->gr_gid);
	else if (pw != NULL)
		trust_gid(plan, pw->pw_gid);
	mem_free(name);
	mem_free(group_name);
}

static void
trust_root(struct plan *plan, struct str root)
{
	if (root.n == 0)
		return;
	plan->roots = mem_grow(plan->roots, plan->nroots + 1,
	    sizeof(*plan->roots));
	plan->roots[plan->nroots++] = mem_copy(root);
}

/*
 * pipe's maxproc is the most commands at once. The user that root's own
 * master.cf names may have an agent, whatever its number, and one in the root
 * that it names.
 */
static void
add_pipe(struct plan *plan, struct service *s, const struct master_entry *e)
{
	const struct str user = STR("user="), root = STR("chroot=");
	char text[32];

	if (e->limit > 0) {
		snprintf(text, sizeof(text), "%lld", (long long)e->limit);
		add_option(s, STR("service_session_limit"), str_of(text));
	}
	for (size_t i = 0; i < e->argc; i++) {
		struct str v = str_from(e->argv[i], user.n);
		size_t colon = str_chr(v, ':');

		if (str_starts_nocase(e->argv[i], STR("argv=")))
			break;
		if (str_starts_nocase(e->argv[i], user))
			trust(plan, str_first(v, colon),
			    str_from(v, colon + 1));
		if (str_starts_nocase(e->argv[i], root))
			trust_root(plan, str_from(e->argv[i], root.n));
	}
}

static void
add_plain(struct plan *plan, const struct master_entry *e, enum role role)
{
	struct service *s = plan_find(plan, role, e->name);

	if (s == NULL)
		s = service_new(plan, e->name, role);
	s->line = e->line;
	if (role == ROLE_PIPE)
		add_pipe(plan, s, e);
	take_arguments(s, e);
}

static void
add_entry(struct plan *plan, const struct master_entry *e, const char *file,
    struct problems *problems)
{
	const struct process_row *row;
	char *command;

	if (is_disabled(plan, e))
		return;
	command = mem_copy(e->command);
	row = process_row_by_program(command);
	mem_free(command);
	if (row != NULL && role_worker(row->role) != ROLE__MAX) {
		add_inet(plan, e, row->role);
		return;
	}
	for (size_t i = 0; i < nitems(commands); i++) {
		if (!str_eq(e->command, str_of(commands[i].command)))
			continue;
		switch (commands[i].kind) {
		case CMD_INET:
			add_inet(plan, e, commands[i].role);
			return;
		case CMD_TRANSPORT:
			add_plain(plan, e, commands[i].role);
			return;
		case CMD_ALWAYS:
			/* bounce, defer and trace are one here. */
			if (commands[i].role == ROLE_CLEANUP ||
			    str_eq(e->name, e->command))
				add_plain(plan, e, commands[i].role);
			return;
		case CMD_PART:
			return;
		case CMD_LATER:
			problem_add(problems, false, file, e->line,
			    "service " STRF ": command " STRF " is not "
			    "supported yet; its mail waits in the queue",
			    STRV(e->name), STRV(e->command));
			return;
		}
	}
	problem_add(problems, true, file, e->line, "service " STRF
	    ": no such command: " STRF "; remove the line or correct its "
	    "last column", STRV(e->name), STRV(e->command));
}

/* Where the daemons are: as main.cf says, or beside this program. */
static char *
find_daemons(struct plan *plan, const char *self)
{
	struct str self_dir = str_of(self);
	struct stat st;
	char *dir;

	if (conf_raw(plan->conf, STR("daemon_directory")) != NULL) {
		dir = mem_copy(conf_get(plan->conf, "daemon_directory"));
		if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
			return (dir);
		mem_free(dir);
	}
	return (mem_copy(str_first(self_dir, str_rchr(self_dir, '/'))));
}

/* No agent is ever one of our own owners: it could write the queue. */
static void
find_owners(struct plan *plan, struct problems *problems)
{
	const struct { const char *name; bool needed; } owners[] = {
		{ "mail_owner", true }, { "postern_net_user", true },
		{ "postern_auth_user", true }, { "postern_pam_user",
		    plan_find(plan, ROLE_PAM, STR("pam")) != NULL },
	};
	struct passwd *pw;

	if (!priv_is_root())
		return;
	for (size_t i = 0; i < nitems(owners); i++) {
		char *user = mem_copy(conf_get(plan->conf, owners[i].name));

		pw = getpwnam(user);
		if (pw == NULL && owners[i].needed)
			problem_add(problems, true, NULL, 0, "%s: there is "
			    "no user %s; `postern setup` and `make install` "
			    "make it", owners[i].name, user);
		else if (pw != NULL && pw->pw_uid == 0)
			problem_add(problems, true, NULL, 0, "%s: %s is "
			    "root; name a user of its own", owners[i].name, user);
		else if (pw != NULL)
			plan->own_uids[plan->nown_uids++] = pw->pw_uid;
		mem_free(user);
	}
}

static void
find_trusted(struct plan *plan)
{
	struct str rest = plan->is.agent_trusted_groups, item;

	while (conf_list_next(&rest, &item))
		trust(plan, STR(""), item);
	rest = plan->is.agent_trusted_users;
	while (conf_list_next(&rest, &item)) {
		char *name = mem_copy(item);
		struct passwd *pw = getpwnam(name);

		if (pw != NULL)
			trust_uid(plan, pw->pw_uid);
		mem_free(name);
	}
}

static void
check_programs(struct plan *plan, struct problems *problems)
{
	char path[PATH_MAX];

	list_each(l, &plan->services) {
		struct service *s = container_of(l, struct service, link);

		snprintf(path, sizeof(path), "%s/%s", plan->daemon_dir,
		    process_row(s->role)->program);
		if (access(path, X_OK) != 0)
			problem_add(problems, true, NULL, 0, "%s: there is no "
			    "such daemon; set daemon_directory, or build it "
			    "with make", path);
	}
}

/* Is pam one of auth_stores? Else it need not run. */
static bool
asks_pam(struct plan *plan, const struct master_cf *cf)
{
	struct str rest = conf_get(plan->conf, "auth_stores"), word;

	for (size_t i = 0; i < cf->n; i++) {
		const struct master_entry *e = &cf->v[i];

		for (size_t o = 0; str_eq(e->command, STR("auth")) &&
		    o < e->noverrides; o++)
			if (str_eq(e->overrides[o].name, STR("auth_stores")))
				rest = conf_expand(plan->conf,
				    e->overrides[o].value, NULL);
	}
	while (conf_list_next(&rest, &word))
		if (str_eq_nocase(word, STR("pam")))
			return (true);
	return (false);
}

struct plan *
plan_load(struct master *m, struct problems *problems)
{
	struct plan *plan = mem_new(sizeof(*plan));
	struct master_cf cf = { 0 };
	char file[PATH_MAX];

	list_init(&plan->services);
	plan->conf = conf_load(m->dir, problems);
	if (plan->conf == NULL) {
		plan_free(&plan);
		return (NULL);
	}
	conf_fill(plan->conf, master_params, nitems(master_params), &plan->is,
	    problems);
	plan->spool = mem_copy(conf_get(plan->conf, "queue_directory"));
	plan->daemon_dir = find_daemons(plan, m->self);
	for (size_t i = 0; i < nitems(always); i++)
		(void)service_new(plan, str_of(always[i].name),
		    always[i].role);
	snprintf(file, sizeof(file), "%s/master.cf", conf_dir(plan->conf));
	if (master_cf_load(plan->conf, &cf, problems)) {
		if (asks_pam(plan, &cf))
			(void)service_new(plan, STR("pam"), ROLE_PAM);
		for (size_t i = 0; i < cf.n; i++)
			add_entry(plan, &cf.v[i], file, problems);
	}
	list_each(l, &plan->services)
		container_of(l, struct service, link)->master = m;
	find_owners(plan, problems);
	find_trusted(plan);
	check_programs(plan, problems);
	return (plan);
}

void
plan_free(struct plan **pp)
{
	struct plan *plan = *pp;

	*pp = NULL;
	if (plan == NULL)
		return;
	for (size_t i = 0; i < plan->nroots; i++)
		mem_free(plan->roots[i]);
	mem_free(plan->roots);
	list_each(l, &plan->services) {
		struct service *s = container_of(l, struct service, link);

		timer_free(&s->restart);
		for (size_t i = 0; i < s->argc; i++)
			mem_free(s->argv[i]);
		mem_free(s->argv);
		mem_free(s->name);
		list_remove(&s->link);
		mem_free(s);
	}
	conf_free(&plan->conf);
	mem_free(plan->daemon_dir);
	mem_free(plan->spool);
	mem_free(plan);
}
