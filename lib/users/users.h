/*
 * users - the embedded user database: names and stored passwords.
 *
 * One lmdb file, read by auth alone and built anew by `postern user` (beside,
 * synced, renamed). A record is words with blanks between: credentials
 * ("{ARGON2ID}...", password.h), flags, and whose the mail is (uid=, gid=,
 * home=, mail=). Names are kept in lower case. The entry "*" is the database's
 * own: a secret for feigned answers, how many users have keys for each
 * mechanism, and how many of what shape.
 */
#ifndef USERS_USERS_H
#define USERS_USERS_H
#include "password/password.h"
#include "table/table.h"

#define USER_NAME_MAX	255
#define USER_FOLDED_MAX	(USER_NAME_MAX * TABLE_FOLD_GROWTH)
#define USER_RECORD_MAX	16384
#define USER_DISABLED	"disabled"	/* a flag */
#define PLACE_PATH_MAX	4095	/* bytes of home=, of mail= */

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
/*
 * How the keys of a user who is not there shall look: as those of the users
 * do, each look as often as it is among them. chance: the same for the same
 * name, and evenly spread.
 */
struct scram_look users_draw(struct users *, const char *scheme,
		    uint64_t chance);
const char	*users_error(const struct users *);

/* A name that may be a user's: no blanks, no controls, UTF-8, bounded. */
bool		 user_name_valid(struct str name);
void		 user_name_fold(struct str name, struct buf *out);
/* The credential of that scheme, or its flag; false: it has none. */
bool		 record_credential(struct str record, const char *scheme,
		    struct str *credential);
bool		 record_has_flag(struct str record, const char *flag);
/* That word of a record is a credential, and nothing else. */
bool		 record_is_credential(struct str word);

/* Whose a user's mail is, and where; "" and false: it does not say. */
struct user_place {
	bool	   has_uid, has_gid;
	uint64_t   uid, gid;
	struct str home;	/* absolute */
	struct str mail;	/* "maildir:PATH", "mbox:PATH"; ~/ is home */
};
/* NULL, or what is wrong with it: static text. *place has what was right. */
const char	*record_place(struct str record, struct user_place *place);
/*
 * Of passwd(5)'s fields behind the password, as Dovecot's passwd-file has
 * them: "uid:gid:gecos:home:shell:userdb_mail=... other=..."
 */
const char	*passwd_place(struct str fields, struct user_place *place);
/* One word of it: "uid=5000". */
const char	*place_word(struct str word, struct user_place *place);
void		 place_print(const struct user_place *, struct buf *record);

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
