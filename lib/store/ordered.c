/*
 * ordered - file systems whose journal keeps the order of what is done.
 *
 * Where the bytes of a file were written and waited for before it got its
 * name, no crash shows the name without them, and one sync of the directory
 * makes both durable: bytes, size and name are in this transaction of the
 * journal or an earlier one, and a commit flushes the disk first. That is so
 * on XFS, and on ext4 where it has its journal in itself. Of others it is not
 * known here: NFS has its server's memory, btrfs a log for each file.
 */
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "store/internal.h"

#define LINK_MAX_BYTES	1024
#define PATH_BYTES	128

/* jbd2's entry for a journal that is an inode (8) of the file system. */
static bool
has_journal(dev_t dev)
{
	char path[PATH_BYTES], link[LINK_MAX_BYTES];
	struct str target = { link, 0 };
	ssize_t n;
	int size;

	/* "../../devices/pci0000:00/.../block/sda/sda1" */
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(dev),
	    minor(dev));
	n = readlink(path, link, sizeof(link));
	if (n <= 0 || (size_t)n == sizeof(link))
		return false;
	target.n = (size_t)n;
	target = str_from(target, str_rchr(target, '/') + 1);
	size = snprintf(path, sizeof(path), "/proc/fs/jbd2/" STRF "-8",
	    STRV(target));
	return (size_t)size < sizeof(path) && access(path, F_OK) == 0;
}

bool
is_ordered(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0)
		return false;
	return fs.f_type == XFS_SUPER_MAGIC ||
	    (fs.f_type == EXT4_SUPER_MAGIC && fstat(fd, &st) == 0 &&
	    has_journal(st.st_dev));
}
