/*
 * dotlock - the locks of mailbox files: NAME.lock, and fcntl.
 *
 * A NAME.lock of ours has the mode LOCK_MODE, and a lock on itself, so that
 * one left behind by a killed agent or a power cut is known from one in use,
 * and goes at once instead of after stale_lock_time. (Content would not do:
 * after a power cut there is none.)
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "store/internal.h"

#define LOCK_MODE (S_ISVTX | 0600)	/* nobody else makes such files */

bool
store_fcntl_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Removes a lock file that is old, or whose holder is dead. */
static void
break_lock(int dir, const char *name, int64_t stale_s)
{
	struct stat st, now_st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (clock_wall_s() > st.st_ctime + stale_s) {
		(void)unlinkat(dir, name, 0);
		return;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & S_ISVTX) == 0)
		return;
	fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (store_fcntl_lock(fd) &&
	    fstatat(dir, name, &now_st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    now_st.st_dev == st.st_dev && now_st.st_ino == st.st_ino)
		(void)unlinkat(dir, name, 0);
	fd_close(&fd);
}

/* Ours as long as we live. False: somebody took it for a dead one. */
static bool
hold(int fd)
{
	struct stat st;

	if (!store_fcntl_lock(fd) && (errno == EAGAIN || errno == EACCES))
		return false;
	return fstat(fd, &st) != 0 || st.st_nlink != 0;
}

int
store_dotlock(int dir, const char *name, int64_t stale_s, int *fd)
{
	int err = EEXIST;

	for (int i = 0; i < 2; i++) {
		*fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, LOCK_MODE);
		if (*fd >= 0 && hold(*fd))
			return 0;
		err = *fd >= 0 ? EEXIST : errno;
		fd_close(fd);
		if (err != EEXIST)
			break;
		if (i == 0)
			break_lock(dir, name, stale_s);
	}
	return err;
}
