/*
 * table/internal - what a table type is made of.
 *
 * A type is a row of types.def and a file with its struct table_ops. table.c
 * does what all share: prefixes, folding, watching the file, opening again.
 */
#ifndef TABLE_INTERNAL_H
#define TABLE_INTERNAL_H
#include <sys/stat.h>
#include <time.h>

#include "table/table.h"

#define TABLE_TEXT_MAX	(64 << 20)	/* bytes of a table that is text */
#define TABLE_DEPTH_MAX	8		/* tables within tables */

#define TABLE_NO_NAME	"open dictionary: expecting \"type:name\" form " \
			"instead of \"%.200s\""

enum {
	WHOLE_KEYS = 1 << 0, HAS_FILE = 1 << 1, CAN_MAKE = 1 << 2,
	IN_BRACES = 1 << 3
};

struct table_ops {
	const char	*suffix;	/* of the file's name, ".lmdb" */
	/* False: *why says what is wrong and what to do. */
	bool		(*open)(struct table *, struct buf *why);
	void		(*close)(struct table *);
	/* value is empty at first. RETRY: t->error tells. */
	enum found	(*get)(struct table *, struct str key,
			    struct buf *value);
	/* NULL: entries can't be listed. */
	enum found	(*each)(struct table *, table_each_fn *, void *ctx);
};

struct table_type {
	const char		*name;
	const struct table_ops	*ops;
	unsigned		 traits;
};

/* A file that may be replaced at any time. */
struct table_file {
	int		 dir;		/* O_PATH, kept; -1: use path */
	char		*path;		/* whole, for people */
	const char	*base;		/* its last part */
	uid_t		 owner;
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 changed;
	int64_t		 next_look_ms;
};

struct table {
	const struct table_type	*type;
	char			*spec;	/* as configured */
	struct str		 name;	/* in spec, behind "type:" */
	char			*conf_dir;	/* NULL: the working directory */
	unsigned		 flags;
	unsigned		 traits;	/* of this one, by its type */
	unsigned		 depth;		/* tables that it is part of */
	bool			 is_open;
	struct table_file	 file;
	void			*state;	/* of the type */
	enum { NOT_LOOKED, NO_USERS, HAS_USERS } users; /* of what is open */
	struct buf		 error;
	struct buf		 folded;
};

extern const struct table_ops cdb_ops, cidr_ops, debug_ops, environ_ops, fail_ops,
    inline_ops, lmdb_ops, pcre_ops, pipemap_ops, randmap_ops, regexp_ops,
    static_ops, texthash_ops, unionmap_ops, unix_ops;

const struct table_type *table_type_find(struct str name);
/* "type:name" of spec, proxy: taken off; false where there is no type. */
bool	 table_spec_split(struct str spec, struct str *type, struct str *name);
/*
 * A table that is part of another, with its flags and folder; NULL with *why.
 */
struct table *table_open_in(const struct table *outer, struct str spec,
	    struct buf *why);
/* Opens the file for reading; -1 with *why. Notes what it is. */
int	 table_file_open(struct table *, struct buf *why);
/* All of it, at most TABLE_TEXT_MAX; false with *why. */
bool	 table_file_read(struct table *, struct buf *text, struct buf *why);
/*
 * TABLE_FILES: *value is what the files that it names hold, in base64, in
 * decoded. False with a warning.
 */
bool	 table_value(const struct table *, const char *file, int line,
	    struct str *value, struct buf *decoded);
bool	 table_has_users(struct table *);	/* as tables_have_users */
/* tables_get, but pattern tables are left out: for parts of a key. */
enum found tables_get_part(struct tables *, struct str key,
	    struct buf *value) MUST_USE;
/* Does the B-tree in these bytes hold together? lmdb_check.c */
bool	 lmdb_check(const uint8_t *map, size_t size, struct buf *why);

#endif
