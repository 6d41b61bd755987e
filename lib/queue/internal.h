/* queue's own: what its files share. */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H
#include "queue/queue.h"

#define HASH_DEPTH_MAX	16	/* as hash_queue_depth's row says */

/* The characters that the hashed directories of id are named by. */
void	 queue_id_hash(const char *id, char out[HASH_DEPTH_MAX]);
/* The message's file is durable with its own fsync; else sync its folder. */
int	 queue_sync_dir(const struct queue *, enum queue_dir, const char *id);
#endif
