/*
 * postmap - what postmap and postalias share: options, building, asking.
 */
#ifndef TOOLS_POSTMAP_H
#define TOOLS_POSTMAP_H
#include "conf/conf.h"
#include "table/table.h"

#define ENTRY_MAX	(TABLE_VALUE_MAX + 8192) /* bytes, key and value */

/* postmap or postalias. */
struct tool {
	const char	*name;
	const char	*options;	/* of getopt */
	const char	*usage;
	bool		 aliases;	/* "name: value", not "key value" */
};
enum duplicates { DUP_WARN, DUP_IGNORE, DUP_REPLACE };
struct job {
	const struct tool *tool;
	struct str	 default_type;
	const char	*ask;		/* -q */
	const char	*remove;	/* -d */
	bool		 update;	/* -i */
	bool		 list;		/* -s */
	bool		 fold, utf8;
	bool		 force_utf8;	/* -U: with -b and -h, too */
	bool		 nul;		/* behind keys and values: -N */
	bool		 as_owner, keep_mode;
	bool		 json, values_are_files;
	bool		 headers, body, mime;	/* -h -b -m */
	enum duplicates	 duplicates;
};

/* main() of both. */
int	 postmap_main(const struct tool *, int argc, char **argv);

/* "type:name" of an argument, with the default type: copies. */
char	*postmap_spec(const struct job *, const char *arg);
_Noreturn void postmap_fatal(const char *fmt, ...) PRINTF(1, 2);

void	 postmap_build(const struct job *, const char *arg);
/* Removes the key from one table. */
bool	 postmap_delete(const struct job *, const char *arg, struct str key);
/* Was it (any of the keys) there? */
bool	 postmap_query(const struct job *, char **args, int n);
void	 postmap_list(const struct job *, const char *arg);

/* Lines of standard input; false at the end. line is reused. */
bool	 postmap_read_key(struct buf *line);

/*
 * One logical line of an aliases(5) file: what is wrong with it, or NULL.
 * An empty key with NULL: nothing but comments.
 */
const char *alias_split(struct str line, struct buf *key, struct buf *value);
#endif
