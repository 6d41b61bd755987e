/*
 * user - the system's users. A name service may ask a network: getpwnam_r
 * runs in the pool. Who was found is known for a moment without asking.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
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
	char	     *name;	/* "#uid" asks for a number */
	user_fn	     *fn;
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

/* Pool. 0 or errno. */
static int
ask(void *ctx)
{
	struct question *q = ctx;
	struct passwd *entry = NULL;
	struct stat st;
	int err;

	q->strings = mem_grow(NULL, ENTRY_MAX, 1);
	err = q->name[0] == '#' ?
	    getpwuid_r((uid_t)strtoul(q->name + 1, NULL, 10), &q->entry,
	    q->strings, ENTRY_MAX, &entry) :
	    getpwnam_r(q->name, &q->entry, q->strings, ENTRY_MAX, &entry);
	q->found = err == 0 && entry != NULL;
	if (!q->found)
		return errno_is_no_user(err) ? 0 : err;
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

static struct str
put(char **p, const char *text)
{
	struct str s = { *p, strlen(text) };

	memcpy(*p, text, s.n + 1);
	*p += s.n + 1;
	return s;
}

static struct known *
remember(struct question *q)
{
	const struct passwd *e = &q->entry;
	struct users *u = q->users;
	struct known *k = mem_new(sizeof(*k) + strlen(e->pw_name) +
	    strlen(e->pw_dir) + strlen(e->pw_shell) + 3);
	char *p = (char *)(k + 1);

	k->user = (struct user){ .uid = e->pw_uid, .gid = e->pw_gid,
		.spool_gid = q->spool_gid };
	k->user.name = put(&p, e->pw_name);
	k->user.home = put(&p, e->pw_dir);
	k->user.shell = put(&p, e->pw_shell);
	k->until_ms = clock_steady_ms() + KNOWN_MS;
	if (map_count(u->known) >= KNOWN_MAX)
		forget_all(u);
	mem_free(map_set(u->known, str_of(q->name), k));
	return k;
}

struct user
user_copy(const struct user *from, struct arena *arena)
{
	struct user u = *from;

	u.name = arena_str(arena, from->name);
	u.home = arena_str(arena, from->home);
	u.shell = arena_str(arena, from->shell);
	return u;
}

static void
asked(void *ctx, int err)
{
	struct question *q = ctx;
	user_fn *fn = q->fn;
	void *fn_ctx = q->ctx;
	struct user user = { .name = STR("") };
	struct arena *arena = arena_new(ENTRY_MAX * 4);
	bool found = q->found;

	if (found)	/* a copy: fn may lead to forget_all() */
		user = user_copy(&remember(q)->user, arena);
	else if (err != 0)
		log_warn("error looking up passwd info for %s: %s", q->name,
		    strerror(err));
	mem_free(q->strings);
	mem_free(q->name);
	mem_free(q);
	fn(fn_ctx, found ? FOUND : err == 0 ? NONE : RETRY, &user);
	arena_free(&arena);
}

static void
find(struct users *u, struct str name, user_fn *fn, void *ctx)
{
	struct known *k = map_get(u->known, name);
	struct arena *arena;
	struct question *q;

	if (k != NULL && clock_steady_ms() < k->until_ms) {
		fn(ctx, FOUND, &k->user);
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

void
users_find(struct users *u, struct str name, user_fn *fn, void *ctx)
{
	if (name.n == 0 || name.n > 256 || name.p[0] == '#' ||
	    memchr(name.p, '/', name.n) != NULL ||
	    memchr(name.p, ':', name.n) != NULL)
		fn(ctx, NONE, NULL);
	else
		find(u, name, fn, ctx);
}

void
users_find_uid(struct users *u, uid_t uid, user_fn *fn, void *ctx)
{
	char name[16];

	snprintf(name, sizeof(name), "#%lu", (unsigned long)uid);
	find(u, str_of(name), fn, ctx);
}
