/*
 * users - the embedded user database: names and stored passwords.
 *
 * One lmdb file, read by auth alone and built anew by `postern user` (beside,
 * synced, renamed). A record is words with blanks between: credentials
 * ("{ARGON2ID}...", password.h) and flags. Names are kept in lower case. The
 * entry "*" is the database's own: a secret for feigned answers, and how many
 * users have keys for each mechanism.
 */
#ifndef USERS_USERS_H
#define USERS_USERS_H
#include "password/password.h"
#include "table/table.h"

#define USER_NAME_MAX	255
#define USER_FOLDED_MAX	(USER_NAME_MAX * TABLE_FOLD_GROWTH)
#define USER_RECORD_MAX	16384
#define USER_DISABLED	"disabled"	/* a flag */

struct users;
/* spec: "lmdb:PATH". Never NULL: what can't be opened answers RETRY. */
struct users	*users_open(struct str spec, const char *conf_dir,
		    struct buf *why);
void		 users_free(struct users **);
enum found	 users_find(struct users *, struct str name,
		    struct buf *record) MUST_USE;
/* 32 bytes, the same as long as the database is. False: not to be had. */
bool		 users_secret(struct users *, uint8_t out[32]) MUST_USE;
/* Does each user have a credential of that scheme (and is there a user)? */
bool		 users_all_have(struct users *, const char *scheme);
const char	*users_error(const struct users *);

/* A name that may be a user's: no blanks, no controls, UTF-8, bounded. */
bool		 user_name_valid(struct str name);
void		 user_name_fold(struct str name, struct buf *out);
/* The credential of that scheme, or its flag; false: it has none. */
bool		 record_credential(struct str record, const char *scheme,
		    struct str *credential);
bool		 record_has_flag(struct str record, const char *flag);

/*
 * A change: takes the database's lock, reads it all. Not yet there: *why and
 * NULL, unless make.
 */
struct users_edit;
struct users_edit *users_edit_begin(struct str spec, const char *conf_dir,
		    bool make, struct buf *why);
/* The record, or empty. */
struct str	 users_edit_get(struct users_edit *, struct str name);
/* An empty record removes. */
void		 users_edit_set(struct users_edit *, struct str name,
		    struct str record);
/* gid: the group of a database that is new; (gid_t)-1: as it is. */
bool		 users_edit_commit(struct users_edit **, gid_t gid,
		    struct buf *why) MUST_USE;
void		 users_edit_abandon(struct users_edit **);
void		 users_edit_each(struct users_edit *,
		    void (*fn)(void *ctx, struct str name, struct str record),
		    void *ctx);
#endif
