/* What the files of this room share. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H
#include "store/store.h"
#include "sys/sys.h"

#define NAME_SIZE	256	/* NAME_MAX and NUL */
#define WHY_SIZE	1024

/* One copy of a message into an open file. Runs in a pool thread. */
struct copy {
	const struct msg_store *job;
	int	 to;		/* opened O_APPEND, or new */
	uint64_t at;		/* length of the file before */
	unsigned newlines;	/* that its end lacks: added first */
	uint64_t written;	/* bytes, after success */
	uint64_t lines;		/* of them LF */
	bool	 over;		/* the error: size_max would be passed */
	bool	 reading;	/* the error came from the queue file */
};
/* 0 or errno; EFBIG where size_max is passed. */
int	 copy_message(struct copy *) MUST_USE;

struct maildir;
struct box;

struct store_delivery {
	struct list	 link;	/* in one queue at a time */
	struct store	*store;
	struct arena	*arena;	/* the strings of job */
	struct msg_store job;
	void	(*done)(void *, const struct msg_store_done *);
	void		*ctx;
	char		*full;	/* base/path */
	unsigned	 number;
	unsigned	 tries;	/* of opening the mailbox, or of locking */
	/* set in the pool, read after it: */
	char		 why[WHY_SIZE];	/* what went wrong */
	bool		 again;	/* another try may help */
	bool		 full_box;	/* size_max would be passed */
	char		 name[NAME_SIZE]; /* mbox: its name; else in new/ */
	/* Maildir */
	struct maildir	*maildir;
	char		 tmp[NAME_SIZE]; /* in tmp/ */
	int		 err;	/* of its way into new/ */
	bool		 alone;	/* no other was under way in there */
	/* mbox */
	struct box	*box;
	struct timer	*timer;
	int		 dir, fd, lock_fd;
	int		 cut;	/* errno of cutting back to its old length */
	int64_t		 zeros;	/* NULs at its end, which are no mail */
	int		 kept;	/* errno of cutting these off */
	bool		 made;	/* this delivery created it */
	char		 lock[NAME_SIZE]; /* "name.lock" */
};

struct store {
	struct store_conf conf;
	char		 host[NAME_SIZE / 2];	/* escaped */
	pid_t		 pid;
	size_t		 running;
	struct list	 waiting;
	size_t		 nwaiting;
	unsigned	 number;
	struct map	*maildirs;	/* by base NUL path */
	struct list	 recent;	/* struct maildir, oldest first */
	struct map	*boxes;		/* by base NUL path */
};

/* Ends the delivery and starts one that waits. err 0: SENT. */
void	 store_finish(struct store_delivery *, int err);
/* DEFERRED, with words of its own. */
void	 store_refuse(struct store_delivery *, const char *dsn,
	    const char *text);
/* Keeps the reason (in it, %m is errno) and returns err. In any thread. */
int	 store_fail(struct store_delivery *, int err, const char *fmt, ...)
	    PRINTF(3, 4);
/* base NUL path: the name of a mailbox in a map. */
void	 store_key(const struct msg_store *, struct buf *out);
/* fsync of a directory that is open (O_PATH will do). 0 or errno. */
int	 dir_sync(int at) MUST_USE;

/* The directory's file system never lets a name overtake a file's bytes. */
bool	 is_ordered(int dir) MUST_USE;

void	 maildir_deliver(struct store_delivery *);
void	 maildirs_free(struct store *);
void	 mbox_deliver(struct store_delivery *);
void	 mh_deliver(struct store_delivery *);
/* Opens a directory (O_PATH), made durably (0700) where it is missing. */
int	 dirs_make(const char *full, int *dir) MUST_USE;

/*
 * Opens full/tmp and full/new, making what is missing (0700) down from "/",
 * each new name made durable. Blocks. 0 or errno.
 */
int	 maildir_open(const char *full, int *tmp_fd, int *new_fd) MUST_USE;
/*
 * Where the bytes of a file of that size end, and NULs up to its end begin:
 * *end, which is size where there are none. 0 or errno; EFBIG: too many.
 */
int	 zeros_find(int fd, off_t size, off_t *end) MUST_USE;
/*
 * One attempt at an mbox: locks, checks, appends, syncs, unlocks. Blocks on
 * the disk, never on a lock: d->again says that somebody holds one.
 */
int	 mbox_attempt(struct store_delivery *) MUST_USE;
#endif
