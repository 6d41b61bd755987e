/*
 * conf - main.cf and master.cf: parameters, their table, their values.
 *
 * Postfix's syntax and meaning (postconf(5), master(5)). A parameter is one
 * row: in common.def here, in a daemon's params.def, or in elsewhere.def
 * (names of Postfix that have no effect, or not yet).
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H
#include <stdio.h>
#include "base/base.h"

enum param_type {
	P_TEXT, P_RAW, P_BOOL, P_COUNT, P_SIZE, P_TIME, P_DELAY
};
typedef struct str conf_TEXT;	/* expanded; lives as long as the conf */
typedef struct str conf_RAW;	/* as written, not expanded: templates */
typedef bool	   conf_BOOL;
typedef int64_t	   conf_COUNT;
typedef int64_t	   conf_SIZE;	/* bytes */
typedef int64_t	   conf_TIME;	/* seconds */
typedef int64_t	   conf_DELAY;	/* milliseconds: "0.5s", "500ms", "2" */

/* A row: PARAM(type, name, preset, least, most, text). */
struct param {
	enum param_type	 type;
	const char	*name;
	const char	*preset;	/* Postfix's default, unexpanded */
	const char	*least, *most;	/* "" where there is none */
	const char	*text;		/* the manual's sentence */
	size_t		 at;		/* offset in the daemon's struct */
};
/* Declares a daemon's struct member; see smtpd/smtpd.h for the idiom. */
#define PARAM_MEMBER(type, name, preset, least, most, text) conf_##type name;
#define PARAM_ROW(strct, type, name, preset, least, most, text) \
	{ P_##type, #name, preset, least, most, text, offsetof(strct, name) },

/* What stands wrong, and where. Problems that stop the start are fatal. */
struct problem { bool fatal; char *file; int line; char *text; };
struct problems { struct problem *v; size_t n; };
void		 problem_add(struct problems *, bool fatal, const char *file,
		    int line, const char *fmt, ...) PRINTF(5, 6);
void		 problems_print(const struct problems *, FILE *);
void		 problems_log(const struct problems *);
/* One as commands of Postfix tell it: "FILE, line N: TEXT", or "TEXT". */
void		 problem_tell(const struct problem *, struct buf *out);
bool		 problems_fatal(const struct problems *);
void		 problems_free(struct problems *);

struct conf;
/*
 * Reads dir/main.cf and dir/main.cf.d/NAME.cf in order. dir NULL: MAIL_CONFIG
 * or the built-in /etc/postern. A missing main.cf is a fatal problem.
 */
struct conf	*conf_load(const char *dir, struct problems *);
/* A conf without any file: the defaults alone. */
struct conf	*conf_empty(const char *dir);
void		 conf_free(struct conf **);
const char	*conf_dir(const struct conf *);
/*
 * A -o name=value: stands before main.cf. Also service_name, stress; after
 * service_name, problems of an override name its line's service.
 */
void		 conf_override(struct conf *, struct str name, struct str value);
/* Raw text as set, or NULL where it is not set (in no file). */
const char	*conf_raw(const struct conf *, struct str name);
const char	*conf_where(const struct conf *, struct str name, int *line);
/* The default, unexpanded, as postconf -d shows it; "" for unknown names. */
struct str	 conf_default(struct conf *, struct str name);
/*
 * Expanded value, of the file or the default; "" for an unknown name. The
 * first call for mynetworks looks at the machine's interfaces and the first
 * for myorigin = /path reads that file: ask before privileges go.
 */
struct str	 conf_get(struct conf *, const char *name);
/* The same as a number (COUNT, SIZE, TIME in seconds, DELAY in ms) or a yes. */
int64_t		 conf_number(struct conf *, const char *name);
bool		 conf_bool(struct conf *, const char *name);
struct str	 conf_expand(struct conf *, struct str text,
		    struct problems *);
/* Fills a daemon's struct from its rows. Bad values are problems. */
void		 conf_fill(struct conf *, const struct param *, size_t n,
		    void *out, struct problems *);
/* transport_suffix of a per-transport family: <name>_destination_... */
int64_t		 conf_family(struct conf *, struct str transport,
		    const char *suffix, struct problems *);
/* The same, unparsed: for values such as "1/sqrt(concurrency)". */
struct str	 conf_family_text(struct conf *, struct str transport,
		    const char *suffix);
/* Walks the families: "_time_limit", "command_time_limit"; i from 0. */
bool		 conf_family_next(size_t *i, const char **suffix,
		    const char **fallback);
/* Names nobody knows, near misses, unsupported ones: check's first half. */
void		 conf_check_names(struct conf *, struct problems *);
/* Names of main.cf and overrides, in order of name; unset ends the walk. */
bool		 conf_each(const struct conf *, size_t *pos, struct str *name,
		    struct str *raw);

/* Numbers and times as main.cf writes them ("5m", default unit given). */
bool		 conf_parse_time(struct str, char default_unit, int64_t *s);
bool		 conf_parse_delay(struct str, int64_t *ms); /* seconds, or unit */
bool		 conf_parse_size(struct str, int64_t *bytes);
bool		 conf_parse_bool(struct str, bool *);
/* A comma or blank separated list, { } kept together. */
bool		 conf_list_next(struct str *rest, struct str *item);

/* master.cf: one service line with its -o overrides and arguments. */
struct master_entry {
	struct str	 name;		/* "smtp", "127.0.0.1:10025", "virtual" */
	struct str	 type;		/* inet unix unix-dgram fifo pass */
	bool		 is_private, unprivileged, chroot;
	int64_t		 wakeup_s;	/* 0: none */
	bool		 wakeup_if_used;
	int64_t		 limit;		/* maxproc; -1: default_process_limit */
	struct str	 command;	/* "smtpd" */
	struct str	*argv;		/* after the command, -o kept as given */
	size_t		 argc;
	struct { struct str name, value; } *overrides;
	size_t		 noverrides;
	int		 line;
};
struct master_cf { struct master_entry *v; size_t n; };
/* Text and entries live as long as the conf. */
bool		 master_cf_load(struct conf *, struct master_cf *,
		    struct problems *);

/*
 * Every known parameter, in the order of the tables: for postconf, manuals.
 * HARMLESS: has no effect here and needs none. LATER: not supported yet, a
 * warning. REFUSED: not supported yet, and to ignore it would weaken
 * security or lose mail. OLD: works through its successor, which text names.
 */
enum param_status {
	PARAM_WORKS, PARAM_HARMLESS, PARAM_LATER, PARAM_REFUSED, PARAM_OLD
};
struct param_known {
	const char	 *name, *preset, *text;
	enum param_type	  type;
	enum param_status status;
	size_t		  n;		/* length of name */
	const char	 *least, *most;
};
const struct param_known *param_find(struct str name);
const struct param_known *param_all(size_t *n);
const char	*param_nearest(struct str name);	/* or NULL */
/* Letters by which two words differ, for such hints; most + 1: more. */
size_t		 edit_distance(struct str, struct str, size_t most);
#endif
