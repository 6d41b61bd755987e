/*
 * pickup - feed mail that programs left in maildrop/ to cleanup.
 *
 * It looks at start, when somebody connects to public/pickup, and once a
 * minute. Runs as mail_owner, reaches maildrop/ and corrupt/ by descriptors
 * opened before, and speaks with cleanup alone. What could not go now waits
 * for the next minute, or for postqueue -f (an 'F' on the socket).
 */
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cleanup/pickup.h"

#define TEMPLATES_MAX	((size_t)4 << 20)

static void	 scan_on(struct pickup *);

/* Of reports; bounce says what is wrong with them, and refuses to start. */
static void
load_template(struct pickup *p, struct conf *conf)
{
	struct arena *arena = arena_new(TEMPLATES_MAX);	/* as long as p */
	struct problems problems = { NULL, 0 };
	struct templates templates;
	struct buf text;

	buf_init(&text, TEMPLATE_FILE_MAX);
	templates_load(&templates, conf, arena, &problems);
	if (!template_expand(&templates, TEMPLATE_FAILURE, conf, &text,
	    &problems)) {
		templates_builtin(&templates, false);
		buf_clear(&text);
		(void)template_expand(&templates, TEMPLATE_FAILURE, conf,
		    &text, &problems);
	}
	p->failure = templates.v[TEMPLATE_FAILURE];
	p->failure.text = arena_str(arena, buf_view(&text));
	problems_free(&problems);
	buf_free(&text);
}

static void
open_files(void *ctx, struct service *service)
{
	struct pickup *p = ctx;
	struct conf *conf = service_conf(service);
	struct arena *arena = arena_new(1 << 16);
	const char *bad;
	struct str word;
	bool unlisted;
	int err;

	p->service = service;
	err = queue_open(&p->queue, arena_cstr(arena, conf_get(conf,
	    "queue_directory")), conf_get(conf, "hash_queue_names"),
	    (unsigned)conf_number(conf, "hash_queue_depth"), &bad);
	if (err != 0)
		die("open %s: %s", bad, strerror(err));
	p->size_max = conf_number(conf, "message_size_limit");
	p->myhostname = conf_get(conf, "myhostname");
	p->mail_name = conf_get(conf, "mail_name");
	load_template(p, conf);
	p->content_filter = conf_get(conf, "content_filter");
	if (!mail_overrides(conf_get(conf, "receive_override_options"),
	    &p->overrides, &unlisted, &word))
		die("receive_override_options: unknown word: " STRF,
		    STRV(word));
	arena_free(&arena);
}

/* From the start; a scan that runs will be followed by another. */
static void
scan_begin(struct pickup *p)
{
	int fd;

	if (p->draining)
		return;
	if (p->scan != NULL) {
		p->again = true;
		return;
	}
	fd = openat(p->queue.dir[Q_MAILDROP], ".", O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC);
	if (fd >= 0)
		p->scan = fdopendir(fd);
	if (p->scan == NULL) {
		log_warn("open maildrop: %s", strerror(errno));
		fd_close(&fd);
		return;
	}
	scan_on(p);
}

static void
scan_end(struct pickup *p)
{
	closedir(p->scan);
	p->scan = NULL;
	if (!p->again)
		return;
	p->again = false;
	scan_begin(p);
}

void
pickup_remove(struct pickup *p, const char *name)
{
	bool gone = unlinkat(p->queue.dir[Q_MAILDROP], name, 0) == 0 ||
	    errno == ENOENT;

	if (!gone)
		log_warn("remove maildrop/%s: %s", name, strerror(errno));
	map_set(p->handed, str_of(name), gone ? NULL : p);
}

static bool
wanted(const struct pickup *p, struct str name)
{
	return queue_id_valid(name) && map_get(p->busy, name) == NULL &&
	    map_get(p->later, name) == NULL;
}

/* Starts jobs while there is room for more. */
static void
scan_on(struct pickup *p)
{
	while (p->scan != NULL &&
	    p->njobs < (size_t)p->conf.postern_pickup_parallel) {
		const struct dirent *e = readdir(p->scan);

		if (e == NULL) {
			scan_end(p);
			return;
		}
		if (map_get(p->handed, str_of(e->d_name)) != NULL)
			pickup_remove(p, e->d_name);
		else if (wanted(p, str_of(e->d_name)))
			pickup_job_start(p, e->d_name);
	}
}

static void
continue_later(void *ctx)
{
	struct pickup *p = ctx;

	scan_on(p);
}

void
pickup_job_done(struct pickup *p, struct str name, bool retry)
{
	if (retry)
		map_set(p->later, name, p);
	/* Not from here: a job may end inside pickup_job_start(). */
	if (p->scan != NULL)
		timer_set(p->next, 0);
}

static void
forget_later(struct pickup *p)
{
	map_free(&p->later);
	p->later = map_new();
}

static void
on_wakeup(void *ctx)
{
	struct pickup *p = ctx;

	forget_later(p);
	scan_begin(p);
	timer_set(p->wakeup, p->conf.postern_pickup_interval * 1000);
}

/* A connection is all that is asked; 'F' asks for what waits, too. */
static void
on_poke(void *ctx, int fd, const struct sockaddr_storage *from)
{
	struct pickup *p = ctx;
	char c = '\0';

	(void)from;
	if (recv(fd, &c, 1, MSG_DONTWAIT) == 1 && c == 'F')
		forget_later(p);
	close(fd);
	scan_begin(p);
}

static void
on_listen(void *ctx, struct str name, int fd)
{
	struct pickup *p = ctx;

	(void)name;
	listener_free(&p->listener);
	p->listener = listener_new(p->loop, fd, on_poke, p);
}

static void
start(void *ctx, struct service *service)
{
	struct pickup *p = ctx;

	p->loop = service_loop(service);
	list_init(&p->jobs);
	p->busy = map_new();
	p->later = map_new();
	p->handed = map_new();
	p->wakeup = timer_new(p->loop, on_wakeup, p);
	p->next = timer_new(p->loop, continue_later, p);
}

static void
begin(void *ctx)
{
	on_wakeup(ctx);
}

static void
on_drained(void *ctx, struct channel *channel)
{
	pickup_job_resume(ctx, channel);
}

static void
on_drain(void *ctx)
{
	struct pickup *p = ctx;

	p->draining = true;
	p->again = false;
	if (p->scan != NULL)
		scan_end(p);
	timer_cancel(p->wakeup);
	timer_cancel(p->next);
	listener_free(&p->listener);
}

static bool
busy(void *ctx)
{
	struct pickup *p = ctx;

	return p->njobs > 0;
}

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct pickup_conf, __VA_ARGS__)
#include "cleanup/params_pickup.def"
#undef PARAM
};

int
main(int argc, char **argv)
{
	struct pickup p = { .scan = NULL };
	const struct service_def def = {
		.role = ROLE_PICKUP,
		.params = params,
		.nparams = nitems(params),
		.conf = &p.conf,
		.ctx = &p,
		.open = open_files,
		.start = start,
		.begin = begin,
		.on_listen = on_listen,
		.on_drained = on_drained,
		.on_drain = on_drain,
		.busy = busy,
	};

	return service_main(&def, argc, argv);
}
