/*
 * edit - changing the user database: all of it is read, then written anew.
 *
 * A lock file beside it keeps two changes apart; readers need none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys.h"
#include "table/table.h"
#include "users/internal.h"

#define DATABASE_MODE	0640	/* root writes, auth's group reads */
#define LOOKS_MAX	64

struct users_edit {
	char	   *spec, *path;
	int	    lock;
	bool	    is_new;
	struct map *records;		/* name: buf's text, allocated */
	char	   *secret;		/* base64 */
};

/* Counted in the entry "*": mechanisms need keys that all users have. */
static const char *const counted[] = { "SCRAM-SHA-256", "SCRAM-SHA-1",
	"PLAIN" };

static bool	lock(struct users_edit *, struct buf *why);
static bool	read_all(struct users_edit *, const char *conf_dir, bool make,
		    struct buf *why);
static bool	keep(void *ctx, struct str key, struct str value);
static void	keep_secret(struct users_edit *, struct str own);
static int	by_text(const void *, const void *);
static void	put_own(struct users_edit *, struct buf *own);

struct users_edit *
users_edit_begin(struct str spec, const char *conf_dir, bool make,
    struct buf *why)
{
	struct users_edit *e;
	struct str path = spec;
	struct buf b;

	if (!str_starts(spec, STR("lmdb:"))) {
		buf_printf(why, STRF ": say lmdb:PATH", STRV(spec));
		return NULL;
	}
	e = mem_new(sizeof(*e));
	e->records = map_new();
	e->lock = -1;
	path = str_from(spec, 5);
	buf_init(&b, 4096);
	buf_puts(&b, "lmdb:");
	if (path.n > 0 && path.p[0] != '/')
		buf_printf(&b, "%s/", conf_dir);
	buf_str(&b, path);
	e->spec = mem_strdup(buf_cstr(&b));
	buf_puts(&b, ".lmdb");
	e->path = mem_strdup(buf_cstr(&b) + 5);
	buf_free(&b);
	if (lock(e, why) && read_all(e, conf_dir, make, why))
		return e;
	users_edit_abandon(&e);
	return NULL;
}

static bool
lock(struct users_edit *e, struct buf *why)
{
	struct buf name;

	buf_init(&name, 4096);
	buf_printf(&name, "%s.lock", e->path);
	e->lock = open(buf_cstr(&name), O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (e->lock < 0 || flock(e->lock, LOCK_EX) != 0)
		buf_printf(why, "%s: %s", buf_cstr(&name), strerror(errno));
	buf_free(&name);
	return why->n == 0;
}

static bool
read_all(struct users_edit *e, const char *conf_dir, bool make,
    struct buf *why)
{
	struct table *t;
	struct stat st;
	bool good;

	if (stat(e->path, &st) != 0) {
		e->is_new = errno == ENOENT;
		if (e->is_new && make)
			return true;
		buf_printf(why, "%s: %s", e->path, strerror(errno));
		return false;
	}
	t = table_open(str_of(e->spec), conf_dir, TABLE_NO_REGSUB, why);
	if (t == NULL)
		return false;
	good = table_each(t, keep, e) == FOUND;
	if (!good)
		buf_printf(why, "%s: %s", e->spec, table_error(t));
	table_free(&t);
	return good;
}

static bool
keep(void *ctx, struct str key, struct str value)
{
	struct users_edit *e = ctx;

	if (str_eq(key, STR(OWN_KEY)))
		keep_secret(e, value);
	else
		users_edit_set(e, key, value);
	return true;
}

static void
keep_secret(struct users_edit *e, struct str own)
{
	struct str word;

	while (str_token(&own, " ", &word))
		if (str_starts(word, STR("secret=")) && e->secret == NULL)
			e->secret = mem_copy(str_from(word, 7));
}

struct str
users_edit_get(struct users_edit *e, struct str name)
{
	struct buf folded;
	const char *record;

	buf_init(&folded, USER_FOLDED_MAX);
	user_name_fold(name, &folded);
	record = map_get(e->records, buf_view(&folded));
	buf_free(&folded);
	return str_of(record);
}

void
users_edit_set(struct users_edit *e, struct str name, struct str record)
{
	struct buf folded;

	buf_init(&folded, USER_FOLDED_MAX);
	user_name_fold(name, &folded);
	mem_free(map_set(e->records, buf_view(&folded),
	    record.n > 0 ? mem_copy(record) : NULL));
	buf_free(&folded);
}

bool
users_edit_commit(struct users_edit **ep, gid_t gid, struct buf *why)
{
	struct users_edit *e = *ep;
	struct table_maker *m;
	struct str name;
	struct buf own;
	size_t pos = 0;
	void *record;
	bool good, there;

	m = table_make(str_of(e->spec), DATABASE_MODE, why);
	good = m != NULL;
	buf_init(&own, USER_RECORD_MAX);
	put_own(e, &own);
	if (good)
		good = table_put(m, STR(OWN_KEY), buf_view(&own), &there, why);
	while (good && map_next(e->records, &pos, &name, &record))
		good = table_put(m, name, str_of(record), &there, why);
	if (good)
		good = table_finish(&m, why);
	table_abandon(&m);
	buf_free(&own);
	if (good && e->is_new && gid != (gid_t)-1 &&
	    chown(e->path, (uid_t)-1, gid) != 0) {
		buf_printf(why, "%s: %s", e->path, strerror(errno));
		good = false;
	}
	users_edit_abandon(ep);
	return good;
}

/* Of each user's keys, counted. Few are different: we make them all alike. */
static void
put_looks(struct users_edit *e, struct buf *own)
{
	struct { char text[64]; uint64_t users; } looks[LOOKS_MAX];
	size_t n = 0, pos = 0, i;
	struct str name, rest, word, text;
	struct scram_look look;
	void *record;
	char line[64];

	while (map_next(e->records, &pos, &name, &record)) {
		rest = str_of(record);
		while (str_token(&rest, " ", &word)) {
			if (!scram_look(word, &look))
				continue;
			snprintf(line, sizeof(line), STRF ",%llu,%zu",
			    STRV(password_scheme(word, &text)),
			    (unsigned long long)look.iterations, look.salt);
			for (i = 0; i < n &&
			    strcmp(looks[i].text, line) != 0; i++)
				;
			if (i == LOOKS_MAX)
				continue;
			if (i == n) {
				memcpy(looks[n].text, line, sizeof(line));
				looks[n++].users = 0;
			}
			looks[i].users++;
		}
	}
	qsort(looks, n, sizeof(*looks), by_text);
	for (i = 0; i < n; i++)
		buf_printf(own, " " LOOK "%s,%llu", looks[i].text,
		    (unsigned long long)looks[i].users);
}

static void
put_own(struct users_edit *e, struct buf *own)
{
	uint64_t have[nitems(counted)] = { 0 };
	struct str name, c;
	size_t pos = 0;
	char bytes[32];
	void *record;

	while (map_next(e->records, &pos, &name, &record))
		for (size_t i = 0; i < nitems(counted); i++)
			have[i] += record_credential(str_of(record),
			    counted[i], &c);
	buf_puts(own, "secret=");
	if (e->secret != NULL)
		buf_puts(own, e->secret);
	else {
		random_bytes(bytes, sizeof(bytes));
		base64_encode((struct str){ bytes, sizeof(bytes) }, own);
	}
	buf_printf(own, " users=%zu", map_count(e->records));
	for (size_t i = 0; i < nitems(counted); i++)
		buf_printf(own, " %s=%llu", counted[i],
		    (unsigned long long)have[i]);
	put_looks(e, own);
}

void
users_edit_abandon(struct users_edit **ep)
{
	struct users_edit *e = *ep;
	struct str name;
	size_t pos = 0;
	void *record;

	*ep = NULL;
	if (e == NULL)
		return;
	while (map_next(e->records, &pos, &name, &record))
		mem_free(record);
	map_free(&e->records);
	fd_close(&e->lock);
	mem_free(e->spec);
	mem_free(e->path);
	mem_free(e->secret);
	mem_free(e);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(a, b);		/* a look begins with its text */
}

struct sorted { struct str name; void *record; };

static int
by_name(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

void
users_edit_each(struct users_edit *e,
    void (*fn)(void *ctx, struct str name, struct str record), void *ctx)
{
	size_t pos = 0, n = 0, count = map_count(e->records);
	struct sorted *v = mem_new((count + 1) * sizeof(*v));

	while (map_next(e->records, &pos, &v[n].name, &v[n].record))
		n++;
	qsort(v, n, sizeof(*v), by_name);
	for (size_t i = 0; i < n; i++)
		fn(ctx, v[i].name, str_of(v[i].record));
	mem_free(v);
}
