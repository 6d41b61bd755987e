/*
 * Landlock by raw system calls: a second fence where the kernel has it. What
 * a ruleset handles and no rule allows is denied; seccomp stands before it.
 */
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "priv/internal.h"

/* linux/landlock.h of Debian 12 ends at ABI 2: the rest stands here. */
struct ruleset {
	uint64_t fs, net, scoped;
};
#define FS_ABI1		((1ULL << 13) - 1)
#define FS_TRUNCATE	(1ULL << 14)		/* ABI 3 */
#define FS_IOCTL_DEV	(1ULL << 15)		/* ABI 5 */
#define NET_BIND	1ULL			/* ABI 4; TCP alone */
#define NET_ALL		3ULL			/* bind, connect */
#define SCOPE_ALL	3ULL			/* ABI 6: sockets, signals */

static uint64_t
fs_denied(enum priv_filter filter, long abi)
{
	uint64_t all = FS_ABI1;

	if (abi >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		all |= FS_TRUNCATE;
	if (abi >= 5)
		all |= FS_IOCTL_DEV;
	switch (filter) {
	case FILTER_NONE:
	case FILTER_COMMAND:
	case FILTER_PAM:
		return (0);
	case FILTER_SOCKETS:
	case FILTER_CHANNELS:
	case FILTER_CONNECT:
	case FILTER_DNS:
		return (all);
	case FILTER_AUTH:
		return (all & ~(LANDLOCK_ACCESS_FS_READ_FILE |
		    LANDLOCK_ACCESS_FS_READ_DIR));
	case FILTER_FILES:
	case FILTER_MAILBOX:
		return (LANDLOCK_ACCESS_FS_EXECUTE |
		    LANDLOCK_ACCESS_FS_MAKE_CHAR |
		    LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		    LANDLOCK_ACCESS_FS_MAKE_FIFO |
		    LANDLOCK_ACCESS_FS_MAKE_SOCK |
		    LANDLOCK_ACCESS_FS_REFER);
	}
	return (0);
}

/* Queue files move between directories: let them, everywhere. */
static bool
allow_moves(int ruleset)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_REFER,
		.parent_fd = open("/", O_PATH | O_CLOEXEC),
	};
	long r = -1;

	if (rule.parent_fd >= 0) {
		r = syscall(SYS_landlock_add_rule, ruleset,
		    LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
		close(rule.parent_fd);
	}
	return (r == 0);
}

bool
priv_landlock(enum priv_filter filter)
{
	struct ruleset attr = { 0 };
	size_t size = sizeof(attr.fs);
	bool files = filter == FILTER_FILES || filter == FILTER_MAILBOX;
	long abi, fd;
	bool done;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	/* ABI 1 denies each move between directories, with no remedy. */
	if (fs_denied(filter, abi) == 0 || abi < 1 || (files && abi < 2))
		return (false);
	attr.fs = fs_denied(filter, abi);
	if (abi >= 4) {
		attr.net = filter == FILTER_CONNECT ? 0 :
		    filter == FILTER_DNS ? NET_BIND : NET_ALL;
		size = 2 * sizeof(uint64_t);
	}
	if (abi >= 6) {
		attr.scoped = SCOPE_ALL;
		size = sizeof(attr);
	}
	fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		return (false);
	done = (!files || allow_moves((int)fd)) &&
	    syscall(SYS_landlock_restrict_self, (int)fd, 0) == 0;
	close((int)fd);
	return (done);
}
