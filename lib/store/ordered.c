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
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "store/internal.h"

#define PARTITIONS_MAX	((size_t)1 << 20)
#define DEVICE_MAX	128	/* bytes of a name as "nvme0n1p2" */

/* "   8        1   52427776 sda1" of that number. */
static bool
find_device(struct str partitions, dev_t dev, struct str *name)
{
	struct str line, word[4];
	uint64_t major_nr, minor_nr;
	size_t n;

	while (str_token(&partitions, "\n", &line)) {
		for (n = 0; n < nitems(word); n++)
			if (!str_token(&line, " \t", &word[n]))
				break;
		if (n == nitems(word) && str_number(word[0], &major_nr) &&
		    str_number(word[1], &minor_nr) &&
		    major_nr == major(dev) && minor_nr == minor(dev)) {
			*name = word[3];
			return true;
		}
	}
	return false;
}

/* jbd2's entry for a journal that is an inode (8) of the file system. */
static bool
has_journal(dev_t dev)
{
	struct buf partitions;
	char path[DEVICE_MAX];
	struct str name;
	bool has = false;
	int n;

	buf_init(&partitions, PARTITIONS_MAX);
	if (file_read(AT_FDCWD, "/proc/partitions", PARTITIONS_MAX,
	    &partitions) == 0 &&
	    find_device(buf_view(&partitions), dev, &name)) {
		n = snprintf(path, sizeof(path), "/proc/fs/jbd2/" STRF "-8",
		    STRV(name));
		has = n > 0 && (size_t)n < sizeof(path) &&
		    faccessat(AT_FDCWD, path, F_OK, 0) == 0;
	}
	buf_free(&partitions);
	return has;
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
