/*
 * list_file - a user's .forward, or an :include: file, read as that user.
 */
#ifndef LOCAL_LIST_FILE_H
#define LOCAL_LIST_FILE_H
#include "ipc/ipc.h"

#define LIST_FILE_MAX	(16 << 20)	/* bytes of a file */

struct list_file {
	enum expand_kind kind;
	char		*path;
	/* the answer: */
	enum found	 found;
	uid_t		 owner;
	char		 why[512];	/* RETRY; NONE: a warning, or "" */
	struct buf	 text;
};
/*
 * The first of paths (NUL behind each) that is there, into the arena; NULL
 * for none. Blocks on the user's own file system for one lstat(2) each.
 */
char	*list_file_first(struct str paths, struct arena *);
/* In the pool: opens, checks and reads it. */
void	 list_file_read(struct list_file *);
void	 list_file_end(struct list_file *);
#endif
