/*
 * dns_files - notices that resolv.conf or the hosts file has changed.
 *
 * resolve can open no file once it runs, so it ends when no question waits,
 * and master starts one that reads them anew. What was asked meanwhile waits
 * for that one. Directories are watched: such files are replaced by rename.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lookup/resolve.h"
#include "sys/sys.h"

#define SETTLE_MS 500		/* a change is often more than one event */

struct dns_files {
	struct resolver	*resolver;
	int		 fd;		/* of inotify; -1: none */
	struct { int wd; char *name; } v[4];
	size_t		 n;
	struct watch	*watch;
	struct timer	*timer;
};

static void	on_event(void *ctx, unsigned what);
static void	on_settled(void *ctx);

struct dns_files *
dns_files_new(struct resolver *r)
{
	struct dns_files *f = mem_new(sizeof(*f));

	f->resolver = r;
	f->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->fd < 0)
		log_warn("inotify: %s; a change of resolv.conf or the hosts "
		    "file needs a reload", strerror(errno));
	return f;
}

static void
add(struct dns_files *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	int wd;

	if (f->fd < 0 || f->n == nitems(f->v) || slash == NULL)
		return;
	snprintf(dir, sizeof(dir), "%.*s/", (int)(slash - path), path);
	wd = inotify_add_watch(f->fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO |
	    IN_DELETE | IN_CREATE);
	if (wd < 0)
		return;
	f->v[f->n].wd = wd;
	f->v[f->n++].name = mem_strdup(slash + 1);
}

/* The name itself, and what it leads to (systemd's resolv.conf). */
void
dns_files_add(struct dns_files *f, const char *path)
{
	char real[PATH_MAX];

	add(f, path);
	if (realpath(path, real) != NULL && strcmp(real, path) != 0)
		add(f, real);
}

void
dns_files_start(struct dns_files *f, struct loop *loop)
{
	if (f->fd < 0)
		return;
	f->timer = timer_new(loop, on_settled, f);
	f->watch = watch_new(loop, f->fd, on_event, f);
	watch_want(f->watch, WATCH_READ);
}

static bool
is_ours(const struct dns_files *f, const struct inotify_event *e)
{
	if (e->len == 0)
		return false;
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].wd == e->wd && strcmp(f->v[i].name, e->name) == 0)
			return true;
	return false;
}

static void
on_event(void *ctx, unsigned what)
{
	union { struct inotify_event e; char bytes[4096]; } in;
	struct dns_files *f = ctx;
	ssize_t n, at;

	(void)what;
	while ((n = read(f->fd, in.bytes, sizeof(in.bytes))) > 0)
		for (at = 0; at < n;) {
			const struct inotify_event *e =
			    (const void *)(in.bytes + at);

			if (is_ours(f, e) && !timer_is_set(f->timer))
				timer_set(f->timer, SETTLE_MS);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
}

static void
on_settled(void *ctx)
{
	struct dns_files *f = ctx;

	if (f->resolver->npending > 0) {
		timer_set(f->timer, SETTLE_MS);
		return;
	}
	log_info("resolv.conf or the hosts file has changed: reading it anew");
	service_exit(f->resolver->service);
}
