/*
 * unix - the system's users and groups: unix:passwd.byname, group.byname.
 *
 * The answer is the line that passwd(5) or group(5) would have. Answers are
 * kept for a second, since getpwnam_r opens and reads a file each time.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "sys/sys.h"
#include "table/internal.h"

#define ENTRY_MAX	65536	/* bytes of one passwd or group entry */
#define KEPT		512	/* answers kept */
#define KEEP_MS		1000

struct kept {
	int64_t	   until_ms;
	enum found found;
	struct buf key, value;
};
struct unix_table {
	int	(*ask)(const char *name, char *room, struct buf *value);
	uint8_t	 secret[16];
	struct kept kept[KEPT];
	char	 room[ENTRY_MAX];
};

static bool	  unix_open(struct table *, struct buf *why);
static void	  unix_close(struct table *);
static enum found unix_get(struct table *, struct str, struct buf *);
static int	  ask_passwd(const char *, char *room, struct buf *value);
static int	  ask_group(const char *, char *room, struct buf *value);

const struct table_ops unix_ops = {
	.suffix = "", .open = unix_open, .close = unix_close, .get = unix_get,
};

static bool
unix_open(struct table *t, struct buf *why)
{
	struct unix_table *u;

	if (!str_eq(t->name, STR("passwd.byname")) &&
	    !str_eq(t->name, STR("group.byname"))) {
		buf_printf(why, "unknown table: %.200s (there are "
		    "unix:passwd.byname and unix:group.byname)", t->spec);
		return false;
	}
	u = mem_new(sizeof(*u));
	u->ask = str_eq(t->name, STR("passwd.byname")) ? ask_passwd :
	    ask_group;
	random_bytes(u->secret, sizeof(u->secret));
	for (size_t i = 0; i < KEPT; i++) {
		buf_init(&u->kept[i].key, 256);
		buf_init(&u->kept[i].value, ENTRY_MAX);
	}
	/* Loads what nsswitch.conf names while that is still allowed. */
	(void)u->ask("root", u->room, &u->kept[0].value);
	buf_clear(&u->kept[0].value);
	t->state = u;
	return true;
}

static void
unix_close(struct table *t)
{
	struct unix_table *u = t->state;

	for (size_t i = 0; i < KEPT; i++) {
		buf_free(&u->kept[i].key);
		buf_free(&u->kept[i].value);
	}
	mem_free(u);
}

static enum found
unix_get(struct table *t, struct str key, struct buf *value)
{
	struct unix_table *u = t->state;
	struct kept *k;
	int64_t now = clock_steady_ms();
	int err;

	if (key.n >= 256 || memchr(key.p, '\0', key.n) != NULL)
		return NONE;
	k = &u->kept[siphash(u->secret, key.p, key.n) % KEPT];
	if (now >= k->until_ms || !str_eq(buf_view(&k->key), key)) {
		k->until_ms = 0;
		buf_clear(&k->key);
		buf_str(&k->key, key);
		buf_clear(&k->value);
		err = u->ask(buf_cstr(&k->key), u->room, &k->value);
		if (err != 0) {
			buf_printf(&t->error, "%s: %s", t->spec,
			    strerror(err));
			return RETRY;
		}
		k->found = k->value.n > 0 ? FOUND : NONE;
		k->until_ms = now + KEEP_MS;
	}
	buf_str(value, buf_view(&k->value));
	return k->found;
}

static int
ask_passwd(const char *name, char *room, struct buf *value)
{
	struct passwd entry, *found = NULL;
	int err = getpwnam_r(name, &entry, room, ENTRY_MAX, &found);

	if (found == NULL)	/* these all say "none" somewhere */
		return err == ENOENT || err == ESRCH ? 0 : err;
	buf_printf(value, "%s:%s:%ld:%ld:%s:%s:%s", entry.pw_name,
	    entry.pw_passwd, (long)entry.pw_uid, (long)entry.pw_gid,
	    entry.pw_gecos, entry.pw_dir, entry.pw_shell);
	return 0;
}

static int
ask_group(const char *name, char *room, struct buf *value)
{
	struct group entry, *found = NULL;
	int err = getgrnam_r(name, &entry, room, ENTRY_MAX, &found);

	if (found == NULL)
		return err == ENOENT || err == ESRCH ? 0 : err;
	buf_printf(value, "%s:%s:%ld:", entry.gr_name, entry.gr_passwd,
	    (long)entry.gr_gid);
	for (char **m = entry.gr_mem; *m != NULL; m++)
		buf_printf(value, "%s%s", m == entry.gr_mem ? "" : ",", *m);
	return 0;
}
