/*
 * What the parts of the conf room share.
 */
#ifndef CONF_INTERNAL_H
#define CONF_INTERNAL_H
#include "conf/conf.h"

#define CONF_FILE_MAX	(4 << 20)	/* bytes of main.cf, master.cf */
#define CONF_VALUE_MAX	(1 << 18)	/* bytes of one expanded value */
#define CONF_DIR	"/etc/postern"

/* One name = value of main.cf, a drop-in, or an override. */
struct setting {
	struct str	 name, value;
	const char	*file;		/* NULL: an override */
	int		 line;
};

struct conf {
	struct arena	*mem;
	const char	*dir;
	struct map	*set;		/* name: struct setting, main.cf */
	struct map	*over;		/* the same, -o */
	struct map	*known;		/* name: struct str, expanded */
	struct str	*names;		/* of set and over, once each */
	size_t		 nnames;
	struct problems	*problems;	/* of the expansion under way */
	unsigned	 computing;	/* defaults of host.c under way */
	struct problems	 late;		/* where nobody else listens */
};

/* As set, or preset: what an expansion starts from. */
struct str	 conf_unexpanded(struct conf *, struct str name,
		    const char *preset);
/* conf_get with the row's own preset: rows outside the registry work too. */
struct str	 conf_get_row(struct conf *, const struct param *);
const struct setting *conf_setting(const struct conf *, struct str name);
bool		 value_parse(enum param_type, const char *preset, struct str,
		    int64_t *out);
/* Defaults that depend on the machine; false: name is none of them. */
bool		 host_default(struct conf *, struct str name, struct str *out);
/* Adds all settings of a file's text; file lives as long as the conf. */
void		 conf_read_text(struct conf *, const char *file, struct str,
		    struct problems *);
/* The suffix table: which default a <transport>_suffix falls back to. */
const char	*family_fallback(struct str suffix);
/* m->v and what it holds live as long as the conf. */
void		 master_cf_parse(struct conf *, const char *file, struct str,
		    struct master_cf *, struct problems *);
#endif
