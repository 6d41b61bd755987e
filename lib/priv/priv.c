/*
 * priv - become what the row of process.def says, and stay so.
 *
 * Runs once in each process, before the first byte from outside. Each step
 * is checked, and at its end so is the way back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "priv/internal.h"

#define GROUPS_MAX	1024

static const struct process_row rows[] = {
#define PROCESS(role, program, owner, root, filter, files, text) \
	{ ROLE_##role, #program, owner, root, filter, files, text },
#define READER(front, worker)
#include "priv/process.def"
#undef PROCESS
#undef READER
};

/* Who a process becomes. */
struct identity {
	uid_t	 uid;
	gid_t	 gid;
	gid_t	 groups[GROUPS_MAX];
	int	 ngroups;
};

const struct process_row *
process_row(enum role role)
{
	assert((size_t)role < nitems(rows));
	return (&rows[role]);
}

const struct process_row *
process_row_by_program(const char *program)
{
	for (size_t i = 0; i < nitems(rows); i++)
		if (strcmp(rows[i].program, program) == 0)
			return (&rows[i]);
	return (NULL);
}

bool
priv_is_root(void)
{
	return (geteuid() == 0);
}

static void
named_identity(struct identity *who, const char *name)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (pw == NULL)
		die("user %s: %s; make it with: postern setup, or useradd",
		    name, errno != 0 ? strerror(errno) : "no such user");
	if (pw->pw_uid == 0)
		die("user %s has uid 0: no daemon runs as root", name);
	who->uid = pw->pw_uid;
	who->gid = pw->pw_gid;
	who->groups[0] = pw->pw_gid;
	who->ngroups = 1;
}

/* Those that the system has for that user, but never root's. */
static void
all_groups(struct identity *who, const char *user)
{
	who->ngroups = GROUPS_MAX;
	if (getgrouplist(user, who->gid, who->groups, &who->ngroups) < 0)
		die("user %s is in more than %d groups", user, GROUPS_MAX);
	for (int i = 0; i < who->ngroups; i++)
		if (who->groups[i] == 0)
			who->groups[i] = who->gid;
}

static void
target_identity(struct identity *who, uid_t uid, gid_t gid, const char *user)
{
	const struct passwd *pw;

	if (uid == 0)
		die("no agent runs as root");
	who->uid = uid;
	who->gid = gid;
	who->groups[0] = gid;
	who->ngroups = 1;
	if (user == NULL || *user == '\0')
		return;
	/* Groups of another user would be a way around master's rules. */
	pw = getpwnam(user);
	if (pw == NULL || pw->pw_uid != uid)
		die("user %s has not uid %u", user, (unsigned)uid);
	all_groups(who, user);
}

static void
set_limit(int what, const char *name, rlim_t soft)
{
	struct rlimit now, want;

	if (getrlimit((__rlimit_resource_t)what, &now) != 0)
		die("getrlimit %s: %s", name, strerror(errno));
	want.rlim_cur = soft;
	want.rlim_max = soft;
	if (setrlimit((__rlimit_resource_t)what, &want) == 0)
		return;
	/* Without root the hard limit is what there is. */
	want.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
	want.rlim_max = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)what, &want) != 0)
		die("setrlimit %s: %s", name, strerror(errno));
}

/* A directory of root's that nobody else may write in, as new root. */
static void
change_root(const char *path, bool empty)
{
	struct stat st;
	DIR *dir;
	int fd, names = 0;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		die("%s: %s", path, strerror(errno));
	if (st.st_uid != 0 || (st.st_mode & 022) != 0)
		die("%s: must be root's and writable by nobody else", path);
	dir = fdopendir(fd);
	if (dir == NULL)
		die("%s: %s", path, strerror(errno));
	while (readdir(dir) != NULL)
		names++;
	if (empty && names != 2)
		die("%s: is not empty", path);
	if (fchdir(fd) != 0 || chroot(".") != 0 || chdir("/") != 0)
		die("chroot %s: %s", path, strerror(errno));
	closedir(dir);
}

static void
drop_capability_bounds(void)
{
	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			break;		/* the last one is behind us */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static void
become(const struct identity *who)
{
	drop_capability_bounds();
	if (setgroups((size_t)who->ngroups, who->groups) != 0)
		die("setgroups: %s", strerror(errno));
	if (setresgid(who->gid, who->gid, who->gid) != 0)
		die("setresgid %u: %s", (unsigned)who->gid, strerror(errno));
	if (setresuid(who->uid, who->uid, who->uid) != 0)
		die("setresuid %u: %s", (unsigned)who->uid, strerror(errno));
}

/* setuid() has failed silently before now: look, then try to go back. */
static void
check_become(const struct identity *who)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { 0 } };
	uid_t r, e, s;
	gid_t gr, ge, gs;

	if (getresuid(&r, &e, &s) != 0 || r != who->uid || e != who->uid ||
	    s != who->uid)
		die("uid %u was not taken", (unsigned)who->uid);
	if (getresgid(&gr, &ge, &gs) != 0 || gr != who->gid ||
	    ge != who->gid || gs != who->gid)
		die("gid %u was not taken", (unsigned)who->gid);
	if (getgroups(0, NULL) != who->ngroups)
		die("groups were not taken");
	if (setuid(0) == 0 || seteuid(0) == 0 ||
	    (who->gid != 0 && setegid(0) == 0))
		die("the way back to root is open");
	if (syscall(SYS_capget, &head, caps) != 0 ||
	    (caps[0].effective | caps[0].permitted | caps[0].inheritable |
	    caps[1].effective | caps[1].permitted | caps[1].inheritable) != 0)
		die("capabilities are left");
}

/* What holds for every process, root's or not. */
static void
lock_down(const struct process_row *row)
{
	set_limit(RLIMIT_CORE, "core", 0);
	set_limit(RLIMIT_NOFILE, "nofile", row->files);
	if (row->filter == FILTER_SOCKETS || row->filter == FILTER_CHANNELS ||
	    row->filter == FILTER_CONNECT || row->filter == FILTER_DNS)
		set_limit(RLIMIT_NPROC, "nproc", 0);
	/*
	 * A user's command may be a set-gid one, as in any session of that
	 * user: sendmail's postdrop is. Without CAP_SETUID in its bounds no
	 * set-uid program gets far.
	 */
	if (row->filter != FILTER_COMMAND &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die("no_new_privs: %s", strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		die("dumpable: %s", strerror(errno));
	/*
	 * When master dies its children die, stopped ones too: they hold
	 * listening sockets, and two qmgr must never act at once.
	 */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		die("pdeathsig: %s", strerror(errno));
}

void
priv_enter(const struct process_row *row, const struct priv_names *names,
    uid_t uid, gid_t gid, const char *user)
{
	struct identity *who = mem_new(sizeof(*who));

	tzset();		/* reads its file while it can */
	if (priv_is_root() && row->owner != OWNER_ROOT) {
		switch (row->owner) {
		case OWNER_QUEUE:
			named_identity(who, names->queue);
			break;
		case OWNER_NET:
			named_identity(who, names->net);
			break;
		case OWNER_AUTH:
			named_identity(who, names->auth);
			all_groups(who, names->auth);
			break;
		case OWNER_PAM:
			named_identity(who, names->pam);
			all_groups(who, names->pam);
			break;
		case OWNER_TARGET:
			target_identity(who, uid, gid, user);
			break;
		case OWNER_ROOT:
			break;
		}
		if (row->root == ROOT_EMPTY)
			change_root(names->empty_dir, true);
		else if (row->owner == OWNER_TARGET &&
		    names->command_dir != NULL)
			change_root(names->command_dir, false);
		/* Limits may rise as long as we are root. */
		set_limit(RLIMIT_NOFILE, "nofile", row->files);
		become(who);
		check_become(who);
	} else if (row->owner == OWNER_TARGET && uid != geteuid())
		die("an agent of uid %u needs root", (unsigned)uid);
	mem_free(who);
	lock_down(row);
	(void)priv_landlock(row->filter);
	priv_filter_load(row->filter);
}
