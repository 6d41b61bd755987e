/*
 * user - the system's users. A name service may ask a network: getpwnam_r
 * runs in the pool. Who was found is known for a moment without asking.
 */
#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include "local/local.h"

#define KNOWN_MAX	2000
#define KNOWN_MS	5000
#define ENTRY_MAX	65536	/* bytes of a passwd entry */

struct known {
	struct user user;	/* strings behind it */
	int64_t	    until_ms;
};

struct users {
	struct service *service;
	char	       *spool;
	struct map     *known;
};

struct question {
	struct users *users;
	char	     *name;
	void	    (*fn)(void *, enum found, const struct user *);
	void	     *ctx;
	/* the answer: */
	struct passwd entry;
	char	     *strings;
	bool	      found;
	gid_t	      spool_gid;
};

struct users *
users_new(struct service *service, struct str spool)
{
	struct users *u = mem_new(sizeof(*u));
	struct arena *arena = arena_new(65536);

	u->service = service;
	u->spool = mem_strdup(arena_cstr(arena, spool));
	u->known = map_new();
	arena_free(&arena);
	return u;
}

/* Postfix's mypwnam_err(): these say that there is no such user. */
static bool
means_none(int err)
{
	return err == ENOENT || err == ESRCH || err == EBADF || err == EPERM;
}

/* Pool. 0 or errno. */
static int
ask(void *ctx)
{
	struct question *q = ctx;
	struct passwd *entry = NULL;
	struct stat st;
	int err;

	q->strings = mem_grow(NULL, ENTRY_MAX, 1);
	err = getpwnam_r(q->name, &q->entry, q->strings, ENTRY_MAX, &entry);
	q->found = err == 0 && entry != NULL;
	if (!q->found)
		return means_none(err) ? 0 : err;
	/*
	 * local(8): in a spool that its group may write, as the recipient
	 * with that group; in one that all may write, with the user's own.
	 */
	q->spool_gid = q->entry.pw_gid;
	if (stat(q->users->spool, &st) == 0 && (st.st_mode & S_IWOTH) == 0 &&
	    (st.st_mode & S_IWGRP) != 0)
		q->spool_gid = st.st_gid;
	return 0;
}

static void
forget_all(struct users *u)
{
	struct map *old = u->known;
	size_t pos = 0;
	struct str key;
	void *value;

	while (map_next(old, &pos, &key, &value))
		mem_free(value);
	map_free(&old);
	u->known = map_new();
}

static struct known *
remember(struct question *q)
{
	struct users *u = q->users;
	size_t name_n = strlen(q->name), home_n = strlen(q->entry.pw_dir);
	struct known *k = mem_new(sizeof(*k) + name_n + home_n + 2);
	char *p = (char *)(k + 1);

	memcpy(p, q->name, name_n + 1);
	memcpy(p + name_n + 1, q->entry.pw_dir, home_n + 1);
	k->user = (struct user){ .name = { p, name_n },
		.home = { p + name_n + 1, home_n }, .uid = q->entry.pw_uid,
		.gid = q->entry.pw_gid, .spool_gid = q->spool_gid };
	k->until_ms = clock_steady_ms() + KNOWN_MS;
	if (map_count(u->known) >= KNOWN_MAX)
		forget_all(u);
	mem_free(map_set(u->known, k->user.name, k));
	return k;
}

static void
asked(void *ctx, int err)
{
	struct question *q = ctx;
	void (*fn)(void *, enum found, const struct user *) = q->fn;
	void *fn_ctx = q->ctx;
	struct user user = { .name = STR("") };
	struct arena *arena = arena_new(ENTRY_MAX * 4);
	bool found = q->found;

	if (found) {	/* a copy: fn may lead to forget_all() */
		user = remember(q)->user;
		user.name = arena_str(arena, user.name);
		user.home = arena_str(arena, user.home);
	} else if (err != 0)
		log_warn("error looking up passwd info for %s: %s", q->name,
		    strerror(err));
	mem_free(q->strings);
	mem_free(q->name);
	mem_free(q);
	fn(fn_ctx, found ? FOUND : err == 0 ? NONE : RETRY, &user);
	arena_free(&arena);
}

void
users_find(struct users *u, struct str name,
    void (*fn)(void *, enum found, const struct user *), void *ctx)
{
	struct known *k = map_get(u->known, name);
	struct arena *arena;
	struct question *q;

	if (k != NULL && clock_steady_ms() < k->until_ms) {
		fn(ctx, FOUND, &k->user);
		return;
	}
	if (name.n == 0 || name.n > 256 ||
	    memchr(name.p, '/', name.n) != NULL ||
	    memchr(name.p, ':', name.n) != NULL) {
		fn(ctx, NONE, NULL);
		return;
	}
	arena = arena_new(4096);
	q = mem_new(sizeof(*q));
	q->users = u;
	q->name = mem_strdup(arena_cstr(arena, name));
	q->fn = fn;
	q->ctx = ctx;
	arena_free(&arena);
	pool_run(service_pool(u->service), ask, asked, q);
}
