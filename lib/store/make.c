/*
 * make - open a Maildir, or make it and all directories above it.
 *
 * Runs in a pool thread. tmp/ is made last: where it stands, cur/, new/ and
 * the path to them are known to be on stable storage; where it does not,
 * whoever comes next (after a kill, say) makes them durable again.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/internal.h"

static int
open_dir(int at, const char *name, int how)
{
	return openat(at, name, how | O_DIRECTORY | O_CLOEXEC);
}

/* A directory that may not be read cannot be synced: that is no error. */
int
dir_sync(int at)
{
	int fd = open_dir(at, ".", O_RDONLY), err = 0;

	if (fd < 0)
		return errno == EACCES || errno == EPERM ? 0 : errno;
	if (fsync(fd) < 0 && errno != EINVAL)
		err = errno;
	fd_close(&fd);
	return err;
}

/* Is at ours, so that a directory in it may be one we made before? */
static bool
is_own(int at)
{
	struct stat st;

	return fstat(at, &st) == 0 && st.st_uid == geteuid();
}

/* Goes from *at into name, made where it is missing. 0 or errno. */
static int
enter(int *at, const char *name)
{
	bool made = false;
	int err = 0, next = -1;

	if (mkdirat(*at, name, 0700) == 0)
		made = true;
	else if ((err = errno) != EEXIST) {	/* it may be there */
		if ((next = open_dir(*at, name, O_PATH)) < 0)
			return err;
		fd_close(at);
		*at = next;
		return 0;
	}
	if ((made || is_own(*at)) && (err = dir_sync(*at)) != 0)
		return err;
	next = open_dir(*at, name, O_PATH);
	if (next < 0)
		return errno;
	fd_close(at);
	*at = next;
	return 0;
}

/* cur/ and new/, durable, then tmp/. */
static int
make_folders(int at)
{
	static const char *const names[] = { "cur", "new" };
	int err;

	for (size_t i = 0; i < nitems(names); i++)
		if (mkdirat(at, names[i], 0700) < 0 && errno != EEXIST)
			return errno;
	if ((err = dir_sync(at)) != 0)
		return err;
	return mkdirat(at, "tmp", 0700) < 0 && errno != EEXIST ? errno : 0;
}

int
dirs_make(const char *full, int *dir)
{
	struct str rest = str_of(full), part;
	int at = open_dir(AT_FDCWD, full, O_PATH), err = 0;
	char name[NAME_SIZE];

	if (at < 0 && errno == ENOENT)
		at = open_dir(AT_FDCWD, "/", O_PATH);
	else if (at >= 0)
		rest = STR("");
	if (at < 0)
		return errno;
	while (err == 0 && str_token(&rest, "/", &part)) {
		if (part.n >= sizeof(name)) {
			err = ENAMETOOLONG;
			break;
		}
		memcpy(name, part.p, part.n);
		name[part.n] = '\0';
		err = enter(&at, name);
	}
	if (err != 0)
		fd_close(&at);
	*dir = at;
	return err;
}

static int
make_all(const char *full)
{
	int at = -1, err = dirs_make(full, &at);

	if (err == 0)
		err = make_folders(at);
	fd_close(&at);
	return err;
}

static int
open_both(const char *full, int *tmp_fd, int *new_fd)
{
	int at = open_dir(AT_FDCWD, full, O_PATH), err = 0;

	if (at < 0)
		return errno;
	*tmp_fd = open_dir(at, "tmp", O_RDONLY);
	if (*tmp_fd < 0)
		err = errno;
	else if ((*new_fd = open_dir(at, "new", O_RDONLY)) < 0) {
		err = errno;
		fd_close(tmp_fd);
	}
	fd_close(&at);
	return err;
}

int
maildir_open(const char *full, int *tmp_fd, int *new_fd)
{
	int err;

	*tmp_fd = *new_fd = -1;
	err = open_both(full, tmp_fd, new_fd);
	if (err != ENOENT)
		return err;
	if ((err = make_all(full)) != 0)
		return err;
	return open_both(full, tmp_fd, new_fd);
}
