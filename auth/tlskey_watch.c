/*
 * tlskey_watch - have the files changed on disk?
 *
 * inotify's watches are made while we are root and go on to work when we are
 * not: also for keys that we can't read again. A change is told when nothing
 * more has happened for SETTLE_MS: certificate and key come one by one.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "auth/tlskey.h"
#include "sys/sys.h"

#define SETTLE_MS	1000
#define EVENTS		(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | \
			IN_CREATE | IN_DELETE | IN_DELETE_SELF)
#define LINKS_MAX	8

struct watch_list {
	int		 fd;
	struct watch	*watch;
	struct timer	*settle;
	struct map	*names;		/* "wd/base": what is waited for */
	struct tlskey	*tlskey;
	void		(*changed)(struct tlskey *);
};

static struct watch_list *
list_of(struct tlskey *t)
{
	struct watch_list *w = t->watches;

	if (w == NULL) {
		w = mem_new(sizeof(*w));
		w->tlskey = t;
		w->names = map_new();
		w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		t->watches = w;
	}
	return w;
}

static void
name_key(struct buf *out, int wd, struct str base)
{
	buf_clear(out);
	buf_printf(out, "%d/", wd);
	buf_str(out, base);
}

/* The name in its directory; "" for all names there. */
static void
watch_name(struct tlskey *t, const char *dir, struct str base)
{
	struct watch_list *w = list_of(t);
	struct buf key;
	int wd = w->fd < 0 ? -1 : inotify_add_watch(w->fd, dir, EVENTS);

	if (wd < 0)
		return;		/* what is not there was said already */
	buf_init(&key, PATH_MAX);
	name_key(&key, wd, base);
	(void)map_set(w->names, buf_view(&key), w);
	buf_free(&key);
}

static void
watch_path(struct tlskey *t, struct str path)
{
	size_t slash = str_rchr(path, '/');
	struct buf dir;

	if (slash == path.n)
		return;
	buf_init(&dir, PATH_MAX);
	buf_str(&dir, str_first(path, slash > 0 ? slash : 1));
	watch_name(t, buf_cstr(&dir), str_from(path, slash + 1));
	buf_free(&dir);
}

/* The name, and each that it is a link to: certbot changes the links. */
void
watch_file(struct tlskey *t, const char *path)
{
	char at[PATH_MAX], target[PATH_MAX], next[2 * PATH_MAX + 2];
	ssize_t n;

	snprintf(at, sizeof(at), "%s", path);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		char *slash = strrchr(at, '/');

		watch_path(t, str_of(at));
		n = readlink(at, target, sizeof(target) - 1);
		if (n <= 0 || slash == NULL)
			return;
		target[n] = '\0';
		if (target[0] == '/')
			snprintf(next, sizeof(next), "%s", target);
		else
			snprintf(next, sizeof(next), "%.*s/%s",
			    (int)(slash - at), at, target);
		if (strlen(next) >= sizeof(at))
			return;
		memcpy(at, next, strlen(next) + 1);
	}
}

void
watch_directory(struct tlskey *t, const char *path)
{
	watch_name(t, path, STR(""));
}

/* "lmdb:/etc/postern/sni": the file behind it, where it has one. */
void
watch_table(struct tlskey *t, struct str spec)
{
	static const char *const suffixes[] = { "", ".lmdb", ".cdb" };
	struct buf path;
	size_t colon = str_chr(spec, ':');

	buf_init(&path, PATH_MAX);
	for (size_t i = 0; i < nitems(suffixes) && colon < spec.n; i++) {
		buf_clear(&path);
		buf_str(&path, str_from(spec, colon + 1));
		buf_puts(&path, suffixes[i]);
		if (path.n > 0 && path.p[0] == '/')
			watch_file(t, buf_cstr(&path));
	}
	buf_free(&path);
}

static bool
is_ours(struct watch_list *w, const struct inotify_event *e)
{
	struct buf key;
	bool ours;

	if ((e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF)) != 0)
		return true;
	buf_init(&key, PATH_MAX);
	name_key(&key, e->wd, STR(""));
	ours = map_get(w->names, buf_view(&key)) != NULL;
	name_key(&key, e->wd, e->len > 0 ? str_of(e->name) : STR(""));
	ours |= map_get(w->names, buf_view(&key)) != NULL;
	buf_free(&key);
	return ours;
}

static void
on_event(void *ctx, unsigned what)
{
	struct watch_list *w = ctx;
	union { struct inotify_event e; char bytes[8192]; } in;
	const struct inotify_event *e;
	bool ours = false;
	ssize_t n;

	(void)what;
	while ((n = read(w->fd, in.bytes, sizeof(in.bytes))) > 0)
		for (ssize_t at = 0; at < n;
		    at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const void *)(in.bytes + at);
			ours |= is_ours(w, e);
		}
	if (ours)
		timer_set(w->settle, SETTLE_MS);
}

static void
on_settled(void *ctx)
{
	struct watch_list *w = ctx;

	w->changed(w->tlskey);
}

void
watch_start(struct tlskey *t, void (*changed)(struct tlskey *))
{
	struct watch_list *w = list_of(t);
	struct loop *loop = service_loop(t->service);

	w->changed = changed;
	w->settle = timer_new(loop, on_settled, w);
	if (w->fd < 0) {
		log_warn("inotify: new certificates need a reload");
		return;
	}
	w->watch = watch_new(loop, w->fd, on_event, w);
	watch_want(w->watch, WATCH_READ);
}
