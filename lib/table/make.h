/*
 * table/make - a table's file while it is built, and how a type does it.
 */
#ifndef TABLE_MAKE_H
#define TABLE_MAKE_H
#include <stdio.h>

#include "table/internal.h"

struct table_maker {
	char	*spec, *path;
	char	*beside;	/* the file that is written */
	const struct maker_ops *ops;
	void	*state;		/* of the type; NULL before begin() */
	bool	 failed;
};

/* Each returns 0 or an error that error() has words for. */
struct maker_ops {
	/* *fd is m->beside, empty; a type that keeps it leaves -1. */
	int	    (*begin)(struct table_maker *, int *fd, mode_t mode);
	/* was_there NULL: puts it in the place of another. */
	int	    (*put)(struct table_maker *, struct str key,
			struct str value, bool *was_there);
	int	    (*remove)(struct table_maker *, struct str key,
			bool *was_there);
	int	    (*finish)(struct table_maker *);	/* whole and synced */
	void	    (*end)(struct table_maker *);
	const char *(*error)(int);
};
extern const struct maker_ops lmdb_maker, cdb_maker;

#endif
