/*
 * table - lookup tables: "lmdb:/etc/postern/virtual" and its kin.
 *
 * In process and local only; types are rows of types.def. A table that
 * changed on disk is opened again (stat at most once a second). A fault of
 * the table is RETRY, never NONE.
 */
#ifndef TABLE_TABLE_H
#define TABLE_TABLE_H
#include "base/base.h"

struct conf;
#define TABLE_VALUE_MAX	102400	/* bytes of one answer */

enum {				/* how a table may be used */
	TABLE_FOLD	= 1 << 0, /* lower-case the key (as Postfix does) */
	TABLE_NO_REGSUB	= 1 << 1, /* no $1 in a result: alias and owner maps */
	TABLE_NO_PROXY	= 1 << 2,
	TABLE_NO_UNAUTH	= 1 << 3, /* refuse tables that others may write */
	TABLE_FIXED	= 1 << 5, /* as it is when it is opened, for processes
				   * that can open no file later */
	TABLE_FILES	= 1 << 4, /* values name files: postmap -F */
};

struct table;
/*
 * spec is "type:name", "proxy:" before it is passed over. Relative names are
 * relative to conf_dir (NULL: the working directory). NULL with *why where it
 * can't be opened; table_open_lazy never fails: each get says RETRY instead,
 * and *why tells at once.
 */
struct table	*table_open(struct str spec, const char *conf_dir,
		    unsigned flags, struct buf *why);
struct table	*table_open_lazy(struct str spec, const char *conf_dir,
		    unsigned flags, struct buf *why);
void		 table_free(struct table **);
/* *value is replaced. */
enum found	 table_get(struct table *, struct str key, struct buf *value)
		    MUST_USE;
/* Every entry in the table's order; NONE: this type can't list them. */
typedef bool	 table_each_fn(void *ctx, struct str key, struct str value);
enum found	 table_each(struct table *, table_each_fn *, void *ctx)
		    MUST_USE;
const char	*table_spec(const struct table *);
/* Why the last get of this table said RETRY. */
const char	*table_error(const struct table *);
/* "lmdb", "hash", ...: may it be listed by postconf -m? n of them. */
const char	*const *table_types(size_t *n);

/* A list of tables, asked in order: "hash:/a, inline:{x=y}, static:OK". */
struct tables;
/* Never NULL: tables that fail to open answer RETRY; *why tells of all. */
struct tables	*tables_open(struct str list, const char *conf_dir,
		    unsigned flags, struct buf *why);
void		 tables_free(struct tables **);
bool		 tables_empty(const struct tables *);
/*
 * May a key name a user of a domain ("user@domain")? False: no key has an @,
 * and all addresses of a domain find the same. Also true where keys can't be
 * listed (patterns), or are too many to look through.
 */
bool		 tables_have_users(struct tables *);
enum found	 tables_get(struct tables *, struct str key, struct buf *value)
		    MUST_USE;
const char	*tables_error(const struct tables *);
/* Who owns the file that the last FOUND came from; 0 where it has none. */
uid_t		 tables_owner(const struct tables *);

/*
 * A match list: names, .domains, addresses, net/masks, files, type:name
 * tables, each with ! before it (postconf(5) mydestination, mynetworks).
 */
struct match_list;
enum {
	MATCH_PARENT = 1 << 0,	/* example.com matches its subdomains */
	MATCH_WHOLE  = 1 << 1,	/* whole names alone: mydestination */
	MATCH_FIXED  = 1 << 2,	/* its tables are TABLE_FIXED */
};
/* MATCH_PARENT where parent_domain_matches_subdomains names it, or 0. */
unsigned	 match_parent(struct conf *, const char *parameter);
struct match_list *match_list_open(struct str list, const char *conf_dir,
		    unsigned flags, struct buf *why);
void		 match_list_free(struct match_list **);
enum found	 match_list_domain(struct match_list *, struct str name)
		    MUST_USE;
/* text: "192.0.2.1" or "2001:db8::1"; also as name for host patterns. */
enum found	 match_list_addr(struct match_list *, struct str name,
		    struct str addr) MUST_USE;

/*
 * Keys of an address in Postfix's order (canonical(5), virtual(5)):
 * user+ext@domain, user@domain, user+ext, user (where the domain is ours),
 * @domain. *extension gets the part that a match left out.
 */
enum {
	FIND_FULL = 1 << 0, FIND_NOEXT = 1 << 1, FIND_LOCAL = 1 << 2,
	FIND_LOCAL_NOEXT = 1 << 3, FIND_DOMAIN = 1 << 4, /* @domain */
	FIND_NAME = 1 << 5,	/* domain, then */
	FIND_PARENTS = 1 << 6,	/* parent.tld or, */
	FIND_DOT_PARENTS = 1 << 7, /* .parent.tld: transport(5) */
	FIND_LOCAL_AT = 1 << 8,	/* user@ for any domain: access(5) */
	FIND_DEFAULT = FIND_FULL | FIND_NOEXT | FIND_LOCAL |
	    FIND_LOCAL_NOEXT | FIND_DOMAIN,
};
struct find_conf {
	struct str	   delimiter;	/* recipient_delimiter: set of bytes */
	struct str	   myorigin;
	struct match_list *local;	/* mydestination etc.; NULL: none */
};
enum found	 tables_find_address(struct tables *, const struct find_conf *,
		    unsigned strategy, struct str address, struct buf *value,
		    struct str *extension) MUST_USE;
/* access(5): the keys of an address, a host name, a client. */
enum found	 tables_find_access_address(struct tables *,
		    const struct find_conf *, bool parents, struct str address,
		    struct buf *key, struct buf *value) MUST_USE;
enum found	 tables_find_access_domain(struct tables *, bool parents,
		    struct str name, struct buf *key, struct buf *value)
		    MUST_USE;
enum found	 tables_find_access_addr(struct tables *, struct str addr,
		    struct buf *key, struct buf *value) MUST_USE;

/*
 * The next logical line of a table's source (postmap(1): comments, empty
 * lines, continuations). *line is its number, *rest what is left.
 */
bool		 table_next_line(struct str *rest, int *next_line, int *line,
		    struct buf *out);
/* Its key and value; what is wrong with it, or NULL: static text. */
const char	*table_line_split(struct str line, struct str *key,
		    struct str *value);
/* Tells of it: "FILE, line N: WRONG -- ignoring this line". */
void		 table_line_warn(const char *file, int line, struct str text,
		    const char *wrong);
/* The named files one behind the other, in base64; false with *why. */
bool		 table_files_value(struct str names, struct buf *out,
		    struct buf *why);
/*
 * A key as tables hold it, in lower case. out needs room for so many times
 * its bytes: a letter may become three (Unicode 5.18, full case folding).
 */
#define TABLE_FOLD_GROWTH 3
void		 table_fold(struct str key, struct buf *out);

/*
 * Building an indexed table: written beside, synced, renamed. postmap and
 * postalias use it; keys and values as they shall stand.
 */
struct table_maker;
/* ".lmdb", ".cdb": what that type puts behind a name; "" for nothing. */
const char	*table_suffix(struct str spec);
struct table_maker *table_make(struct str spec, mode_t mode, struct buf *why);
bool		 table_put(struct table_maker *, struct str key,
		    struct str value, bool *was_there, struct buf *why);
/* Puts one in place of another; takes one out. */
bool		 table_replace(struct table_maker *, struct str key,
		    struct str value, struct buf *why);
bool		 table_remove(struct table_maker *, struct str key,
		    bool *was_there, struct buf *why);
bool		 table_finish(struct table_maker **, struct buf *why);
void		 table_abandon(struct table_maker **);
#endif
