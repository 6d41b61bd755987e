/*
 * act_as - a command of root that writes where another user rules.
 *
 * postmap builds a table as the owner of its source: what that user could
 * not do himself, root does not do for him.
 */
#include <errno.h>
#include <grp.h>
#include <unistd.h>

#include "priv/priv.h"

int
priv_act_as(uid_t uid, gid_t gid)
{
	if (getuid() != 0)
		return 0;
	if (geteuid() != 0 && seteuid(0) != 0)
		return errno;
	if (setgroups(1, &gid) != 0 || setegid(gid) != 0)
		return errno;
	if (uid != 0 && seteuid(uid) != 0)
		return errno;
	return 0;
}
