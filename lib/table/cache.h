/*
 * table/cache - a table that one process changes while it runs, and that
 * outlives it: address_verify_map.
 *
 * At open its entries are copied from the file that there was (checked; what
 * is damaged is left behind with a warning) into one of its own, so the file
 * that is written has been written by this process alone. Nobody else opens
 * it for writing; readers see whole files, a little late.
 */
#ifndef TABLE_CACHE_H
#define TABLE_CACHE_H
#include "table/table.h"

#define TABLE_CACHE_KEY_MAX 500	/* bytes; longer ones are never kept */

/* False: the entry goes. */
typedef bool	 table_keep_fn(void *ctx, struct str key, struct str value);
struct table_cache;
/*
 * "btree:PATH", "hash:PATH" or "lmdb:PATH": PATH.lmdb. "": in a file that
 * has no name. NULL with *why.
 */
struct table_cache *table_cache_open(struct str spec, table_keep_fn *keep,
		    void *ctx, struct buf *why);
void		 table_cache_free(struct table_cache **);
/* *value is replaced. */
enum found	 table_cache_get(struct table_cache *, struct str key,
		    struct buf *value) MUST_USE;
/* False: it was not written; a warning was logged. */
bool		 table_cache_put(struct table_cache *, struct str key,
		    struct str value);
bool		 table_cache_remove(struct table_cache *, struct str key);
/* Removes what keep() does not want; how many were kept and dropped. */
void		 table_cache_sweep(struct table_cache *, table_keep_fn *keep,
		    void *ctx, size_t *kept, size_t *dropped);
/* To the disk: work for a pool's thread. 0 or an error. */
int		 table_cache_sync(void *cache);
#endif
