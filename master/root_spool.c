/*
 * root_spool - the queue's directories, the lock, the log file.
 *
 * Each directory is reached from its parent's descriptor without following
 * links, and changed through its own descriptor. Those that others own are
 * never entered.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/master.h"

enum who { WHO_ROOT, WHO_QUEUE, WHO_DROP };
static const struct {
	const char *name;
	mode_t	    mode;
	enum who    who, group;
} layout[] = {
	{ "maildrop", 01730, WHO_QUEUE, WHO_DROP },
	{ "incoming", 0700, WHO_QUEUE, WHO_QUEUE },
	{ "active", 0700, WHO_QUEUE, WHO_QUEUE },
	{ "deferred", 0700, WHO_QUEUE, WHO_QUEUE },
	{ "hold", 0700, WHO_QUEUE, WHO_QUEUE },
	{ "corrupt", 0700, WHO_QUEUE, WHO_QUEUE },
	{ "public", 0710, WHO_ROOT, WHO_DROP },
	/* Mailbox servers have sockets there, which lookup connects to. */
	{ "private", 0710, WHO_ROOT, WHO_QUEUE },
	{ "pid", 0755, WHO_ROOT, WHO_ROOT },
	{ "empty", 0555, WHO_ROOT, WHO_ROOT },
};

struct owners {
	uid_t	queue;
	gid_t	queue_gid, drop;
};

static bool
find_owners(struct plan *plan, struct owners *o, struct problems *problems)
{
	struct arena *arena = arena_new(8192);
	char *owner = arena_cstr(arena, conf_get(plan->conf, "mail_owner"));
	char *group = arena_cstr(arena, conf_get(plan->conf, "setgid_group"));
	struct passwd *pw = getpwnam(owner);
	struct group *gr = getgrnam(group);

	if (gr == NULL)
		problem_add(problems, true, NULL, 0, "setgid_group: there is "
		    "no group %s; `postern setup` and `make install` make it",
		    group);
	if (pw != NULL && gr != NULL)
		*o = (struct owners){ pw->pw_uid, pw->pw_gid, gr->gr_gid };
	arena_free(&arena);
	return (pw != NULL && gr != NULL);
}

static void
problem_errno(struct problems *problems, const struct plan *plan,
    const char *name, const char *what)
{
	problem_add(problems, true, NULL, 0, "%s/%s: %s: %s", plan->spool,
	    name, what, strerror(errno));
}

/* One row: there, a directory, of its owner and mode. */
static void
set_row(struct plan *plan, int spool, size_t i, const struct owners *o,
    bool check_only, struct problems *problems)
{
	const char *name = layout[i].name;
	uid_t uid = layout[i].who == WHO_QUEUE ? o->queue : 0;
	gid_t gid = layout[i].group == WHO_DROP ? o->drop :
	    layout[i].group == WHO_QUEUE ? o->queue_gid : 0;
	struct stat st;
	bool root = priv_is_root();
	int fd;

	if (!check_only && mkdirat(spool, name, 0700) != 0 && errno != EEXIST)
		problem_errno(problems, plan, name, "mkdir");
	fd = openat(spool, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		if (!check_only || errno != ENOENT)
			problem_errno(problems, plan, name, "open");
		fd_close(&fd);
		return;
	}
	if (root && (st.st_uid != uid || st.st_gid != gid)) {
		if (check_only)
			problem_add(problems, false, NULL, 0, "%s/%s: owner "
			    "is %u:%u, not %u:%u; `postern start` sets it",
			    plan->spool, name, st.st_uid, st.st_gid, uid, gid);
		else if (fchown(fd, uid, gid) != 0)
			problem_errno(problems, plan, name, "chown");
	}
	if ((st.st_mode & 07777) != layout[i].mode) {
		if (check_only)
			problem_add(problems, false, NULL, 0, "%s/%s: mode is "
			    "%04o, not %04o; `postern start` sets it",
			    plan->spool, name, st.st_mode & 07777,
			    layout[i].mode);
		else if (fchmod(fd, layout[i].mode) != 0)
			problem_errno(problems, plan, name, "chmod");
	}
	fd_close(&fd);
}

static int
open_spool(struct plan *plan, bool check_only, struct problems *problems)
{
	struct stat st;
	mode_t mask = umask(022);	/* postdrop's group goes through it */
	int fd, error = check_only ? 0 : file_make_dirs(plan->spool, 0755);

	(void)umask(mask);
	if (error != 0)
		problem_add(problems, true, NULL, 0, "%s: mkdir: %s",
		    plan->spool, strerror(error));
	fd = open(plan->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		problem_add(problems, true, NULL, 0, "queue_directory %s: %s; "
		    "`postern setup` makes one", plan->spool,
		    strerror(errno));
		fd_close(&fd);
		return (-1);
	}
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		problem_add(problems, true, NULL, 0, "queue_directory %s: it "
		    "must belong to %s, with mode 0755", plan->spool,
		    priv_is_root() ? "root" : "the user who starts postern");
		fd_close(&fd);
	}
	return (fd);
}

/* data_directory: the daemons' own; its parent must be root's. */
static void
set_data(struct plan *plan, const struct owners *o, bool check_only,
    struct problems *problems)
{
	struct arena *arena = arena_new(8192);
	char *path = arena_cstr(arena, conf_get(plan->conf,
	    "data_directory"));
	struct stat st;
	int fd, error = check_only ? 0 : file_make_dirs(path, 0700);

	if (error != 0)
		problem_add(problems, true, NULL, 0, "data_directory %s: %s",
		    path, strerror(error));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		if (!check_only)
			problem_add(problems, true, NULL, 0,
			    "data_directory %s: %s", path, strerror(errno));
	} else if (priv_is_root() && st.st_uid == 0 && !check_only &&
	    (fchown(fd, o->queue, o->queue_gid) != 0 ||
	    fchmod(fd, 0700) != 0))
		problem_add(problems, true, NULL, 0, "data_directory %s: %s",
		    path, strerror(errno));
	fd_close(&fd);
	arena_free(&arena);
}

bool
root_spool(struct master *m, struct plan *plan, bool check_only,
    struct problems *problems)
{
	struct owners owners = { geteuid(), getegid(), getegid() };
	int spool;

	if (priv_is_root() && !find_owners(plan, &owners, problems))
		return (false);
	spool = open_spool(plan, check_only, problems);
	if (spool < 0)
		return (false);
	for (size_t i = 0; i < nitems(layout); i++)
		set_row(plan, spool, i, &owners, check_only, problems);
	set_data(plan, &owners, check_only, problems);
	fd_close(&m->spool_fd);
	m->spool_fd = spool;
	return (!problems_fatal(problems));
}

/*
 * pid/master.pid, locked as long as we live: 0 with m->lock_fd, or errno;
 * EWOULDBLOCK: *other runs.
 */
int
root_lock(struct master *m, int spool, pid_t *other)
{
	char text[32];
	ssize_t n;
	int fd, r;

	*other = 0;
	fd = openat(spool, "pid/master.pid", O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0644);
	if (fd < 0)
		return (errno);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		r = errno;
		n = fd_pread_all(fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		*other = (pid_t)strtol(text, NULL, 10);
		close(fd);
		return (r);
	}
	r = snprintf(text, sizeof(text), "%10ld\n", (long)getpid());
	(void)fchmod(fd, 0644);
	if (ftruncate(fd, 0) != 0 || fd_pwrite_all(fd, text, (size_t)r, 0)) {
		r = errno;
		close(fd);
		return (r);
	}
	m->lock_fd = fd;
	return (0);
}

bool
root_is_locked(int spool)
{
	int fd = openat(spool, "pid/master.pid", O_RDONLY | O_NOFOLLOW |
	    O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 &&
	    errno == EWOULDBLOCK;

	fd_close(&fd);
	return (locked);
}

bool
root_log_allowed(const struct plan *plan, struct problems *problems)
{
	struct conf *conf = plan->conf;
	struct str path = conf_get(conf, "maillog_file"), prefix;
	struct str rest = conf_get(conf, "maillog_file_prefixes");
	int line = 0;
	const char *file = conf_where(conf, STR("maillog_file"), &line);

	if (path.n == 0)
		return (true);
	while (conf_list_next(&rest, &prefix))
		if (str_starts(path, prefix) && (path.n == prefix.n ||
		    path.p[prefix.n] == '/'))
			return (true);
	problem_add(problems, true, file, line, "maillog_file " STRF
	    " is outside maillog_file_prefixes", STRV(path));
	return (false);
}

static mode_t
log_mode(struct conf *conf)
{
	struct str mode = conf_get(conf, "maillog_file_permissions");

	return (str_eq(mode, STR("0644")) ? 0644 :
	    str_eq(mode, STR("0640")) ? 0640 : 0600);
}

/* The log file of maillog_file, for all processes; -1: syslog. */
int
root_log_file(const struct plan *plan, struct problems *problems)
{
	struct str name = conf_get(plan->conf, "maillog_file");
	struct arena *arena;
	char *path;
	int fd;

	if (name.n == 0)
		return (-1);
	if (!root_log_allowed(plan, problems))
		return (-1);
	if (str_eq(name, STR("/dev/stdout")))
		return (fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10));
	arena = arena_new(8192);
	path = arena_cstr(arena, name);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC, log_mode(plan->conf));
	if (fd < 0)
		problem_add(problems, true, NULL, 0, "maillog_file %s: %s",
		    path, strerror(errno));
	arena_free(&arena);
	return (fd);
}
