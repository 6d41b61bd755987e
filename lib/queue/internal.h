/* queue's own: what its files share. */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H
#include "queue/queue.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
#define HASH_DEPTH_MAX	16	/* as hash_queue_depth's row says */

/* The characters that the hashed directories of id are named by. */
void	 queue_id_hash(const char *id, char out[HASH_DEPTH_MAX]);
#define QUEUE_SPARES	256
/* An emptied, locked file: its name and old size. -1: there is none. */
int	 queue_spare_take(struct queue *, char name[QUEUE_ID_MAX],
	    uint64_t *size);
/* Empties and keeps the file of that name, which is locked. False: it can't. */
bool	 queue_spare_keep(struct queue *, const char *name, int fd);
/* Rename within a folder. 0 or errno. */
int	 queue_rename(const struct queue *, enum queue_dir, const char *id,
	    const char *new_id);
/* The message's file is durable with its own fsync; else sync its folder. */
int	 queue_sync_dir(const struct queue *, enum queue_dir, const char *id);
#endif
