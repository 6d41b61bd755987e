/*
 * What the parts of postconf share.
 */
#ifndef TOOLS_POSTCONF_H
#define TOOLS_POSTCONF_H
#include "conf/conf.h"
#include "conf/syntax.h"

/* Options, in the order in which messages name them. */
enum {
	SHOW_SASL_SERVER = 1 << 0, SHOW_SASL_CLIENT = 1 << 1,
	BOUNCE_EXPAND = 1 << 2, SHOW_DEFAULTS = 1 << 3, EDIT = 1 << 4,
	FOLD = 1 << 5, MASTER_FIELD = 1 << 6, HIDE_NAME = 1 << 7,
	HIDE_VALUE = 1 << 8, AS_JSON = 1 << 9, SHOW_LOCKS = 1 << 10,
	SHOW_TYPES = 1 << 11, MASTER_ENTRY = 1 << 12, SHOW_SET = 1 << 13,
	OVERRIDE = 1 << 14, MAIN_PARAM = 1 << 15, MASTER_PARAM = 1 << 16,
	BOUNCE_DUMP = 1 << 17, SHOW_TLS = 1 << 18, EVALUATE = 1 << 19,
	EXCLUDE = 1 << 20, COMMENT_OUT = 1 << 21, ALL_PARAMS = 1 << 22,
	MANUAL = 1 << 23,
	ANY_MASTER = MASTER_ENTRY | MASTER_FIELD | MASTER_PARAM,
};

enum {				/* what kind of name; -C selects */
	NAME_BUILTIN = 1 << 0, NAME_SERVICE = 1 << 1, NAME_USER = 1 << 2,
	NAME_LEGACY = 1 << 3, NAME_READONLY = 1 << 4, NAME_RAW = 1 << 5,
	NAME_ANY = NAME_BUILTIN | NAME_SERVICE | NAME_USER,
};

struct name {
	struct str	 name, preset;
	unsigned	 flags;
	const struct param_known *known;	/* NULL: of a service, a user */
};

struct pair { struct str name, value; };
struct pairs { struct pair *v; size_t n; };	/* each name once */
struct words { struct str *v; size_t n; };

/* One line of master.cf, all words; braces are off, -o is "-o" "a=b". */
struct entry {
	struct words	 w;
	struct str	 space;		/* name/type */
	struct pairs	 fixed;		/* process_name, service_name */
	struct pairs	 params;	/* -o */
	struct words	 valid;		/* names of params that are known */
};
enum { FIELD_COMMAND = 7, FIELDS = 8 };
#define BLANKS	" \t\r\n"

struct postconf {
	struct arena	*mem;
	struct conf	*conf;
	const char	*dir;
	unsigned	 mode, classes;
	bool		 quiet;
	const char	*tls_mode;	/* of -T */
	struct pairs	 set;		/* main.cf and -o */
	struct map	*names;		/* name: struct name */
	struct name	**list;		/* the same, sorted on demand */
	size_t		 nlist;
	struct entry	*entries;
	size_t		 nentries;
	struct words	 classes_used;	/* of smtpd_restriction_classes */
	struct words	 clients;	/* files of databases that were read */
	bool		 found_deprecated;
};

/* postconf_say.c */
_Noreturn void	 postconf_fatal(const char *fmt, ...) PRINTF(1, 2);
void		 postconf_warn(const char *fmt, ...) PRINTF(1, 2);

/* postconf_words.c: small lists */
const struct str *pairs_get(const struct pairs *, struct str name);
void		 pairs_set(struct pairs *, struct str name, struct str value);
void		 pairs_remove(struct pairs *, struct str name);
bool		 words_have(const struct words *, struct str);
void		 words_insert(struct words *, size_t at, struct str);
void		 words_remove(struct words *, size_t at, size_t n);
void		 words_split(struct words *, struct str text);
struct str	 words_join_pair(struct arena *, struct str name,
		    struct str value);
/* A line, its blanks made one, folded where mode says so. */
void		 print_line(unsigned mode, struct str text);
/* service/type/what of the command line: up to most parts; * for others. */
bool		 pattern_parse(struct str, size_t least, size_t most,
		    struct words *);
bool		 pattern_match(const struct words *, struct str name,
		    struct str type);

/* postconf_names.c: which names there are */
void		 names_builtin(struct postconf *);
void		 names_service(struct postconf *);
void		 names_user(struct postconf *);
struct name	*names_find(const struct postconf *, struct str);
/*
 * A value (of a service, or NULL: of main.cf) uses a name: a user's, where
 * it is set. must: warn where it is set nowhere.
 */
void		 names_use(struct postconf *, struct entry *, struct str name,
		    bool must);

/* postconf_dbms.c: names that "ldap:foo" in a value stands for */
void		 dbms_scan(struct postconf *, struct entry *, struct str value);
/* "{ text }", blanks kept: NULL, or Postfix's words for what is wrong. */
const char	*brace_open(struct postconf *, struct str word,
		    struct str *inside);

/* postconf_warn.c */
void		 warn_main(struct postconf *);
void		 warn_master(struct postconf *);
void		 warn_end(struct postconf *);
int		 pair_by_name(const void *, const void *);

/* postconf_value.c */
bool		 value_lookup(struct postconf *, const struct entry *,
		    struct str name, unsigned mode, struct str *value);
struct str	 value_expand(struct postconf *, const struct entry *,
		    struct str);

/* postconf_show.c */
void		 show_main(struct postconf *, char **names);
void		 show_manual(struct postconf *);

/* postconf_bounce.c: file NULL: bounce_template_file */
void		 show_templates(struct postconf *, const char *file);

/* postconf_master.c: reading and normal form */
void		 master_read(struct postconf *, bool must);
/* NULL, or Postfix's words; bad fields are fatal. */
const char	*entry_parse(struct postconf *, struct str, struct entry *);
void		 entry_free(struct entry *);
void		 entry_normalize(struct postconf *, struct words *);
void		 entry_check(const struct words *, struct str raw);
int		 field_number(struct str name);	/* -1: *; unknown is fatal */
extern const char *const field_names[FIELDS];

/* postconf_print.c */
void		 entry_format(struct postconf *, const struct entry *,
		    unsigned mode, struct buf *);
void		 show_entries(struct postconf *, char **);
void		 show_fields(struct postconf *, char **);
void		 show_params(struct postconf *, char **);

/* postconf_edit.c, postconf_medit.c */
void		 edit_main(struct postconf *, char **);
void		 edit_master(struct postconf *, char **);
/* A configuration file, locked against other editors. */
struct edited { int dir; const char *path; mode_t mode; struct buf text; };
void		 edited_open(struct edited *, struct postconf *,
		    const char *name);
void		 edited_save(struct edited *, struct str text);
/* Next physical line with its newline; what is no content goes to out. */
bool		 edited_next(struct str *rest, struct buf *out, int *line,
		    struct str *content);
#endif
