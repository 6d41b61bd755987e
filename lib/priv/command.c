/*
 * command - what commands do with rights: give root's up, or know what a
 * set-gid bit gave them. No filter: a person's terminal hangs on them.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "priv/priv.h"

void
priv_become_owner(const char *user, const char *group)
{
	const struct passwd *pw;
	const struct group *gr;
	gid_t groups[2];
	size_t n = 1;

	if (geteuid() != 0)
		return;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		die("user %s: %s", user, errno != 0 ? strerror(errno) :
		    "no such user");
	if (pw->pw_uid == 0)
		return;			/* an instance of root's own */
	groups[0] = pw->pw_gid;
	gr = getgrnam(group);		/* a way into public/ */
	if (gr != NULL && gr->gr_gid != 0)
		groups[n++] = gr->gr_gid;
	if (setgroups(n, groups) != 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		die("become %s: %s", user, strerror(errno));
	if (setuid(0) == 0 || geteuid() == 0)
		die("become %s: root's rights came back", user);
}

void
priv_give_back(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0 ||
	    geteuid() != uid || getegid() != gid)
		die("give up set-uid rights: %s", strerror(errno));
}

bool
priv_is_borrowed(void)
{
	return getauxval(AT_SECURE) != 0 || getuid() != geteuid() ||
	    getgid() != getegid();
}
