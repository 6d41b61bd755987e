/*
 * resolve - the one process that speaks DNS, for all others.
 *
 * Runs as postern-net in an empty root; may make UDP and TCP sockets, which
 * no other network process may. resolv.conf and the hosts file are read
 * before that; a reload replaces it. resolve(8).
 */
#include <errno.h>
#include <fcntl.h>

#include "lookup/resolve.h"

#define HOSTS_FILE_MAX (16 << 20)

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct resolve_conf, __VA_ARGS__)
#include "lookup/params_resolve.def"
#undef PARAM
};

static void	on_check(void *ctx, struct service *, struct problems *);
static void	on_start(void *ctx, struct service *);
static void	on_talk(void *ctx, struct talk *, enum msg);
static void	on_message(void *ctx, struct talk *, enum msg, const void *);

static const struct talk_ops ask_ops = { .on_message = on_message };

int
main(int argc, char **argv)
{
	struct resolver r = { .wire = NULL };
	const struct service_def def = {
		.role = ROLE_RESOLVE, .params = params,
		.nparams = nitems(params), .conf = &r.conf, .ctx = &r,
		.check = on_check, .start = on_start, .on_talk = on_talk,
	};

	return service_main(&def, argc, argv);
}

static void
read_hosts(struct resolver *r, struct arena *arena, struct problems *p)
{
	const char *path = arena_cstr(arena, r->conf.resolve_hosts_file);
	struct buf text;
	int error;

	if (r->files != NULL)		/* first, or a change goes unseen */
		dns_files_add(r->files, path);
	buf_init(&text, HOSTS_FILE_MAX);
	error = file_read(AT_FDCWD, path, HOSTS_FILE_MAX, &text);
	if (error != 0 && error != ENOENT)
		problem_add(p, false, NULL, 0, "resolve_hosts_file: %s: %s",
		    path, strerror(error));
	r->hosts = dns_hosts_new(buf_view(&text));
	buf_free(&text);
}

/* Files are read here: it is before privileges go. */
static void
on_check(void *ctx, struct service *service, struct problems *p)
{
	struct resolver *r = ctx;
	struct dns_wire_conf conf = { .servers = r->conf.resolve_servers,
		.timeout_ms = r->conf.resolve_timeout * 1000,
		.tries = (unsigned)r->conf.resolve_tries };
	struct arena *arena = arena_new(65536);
	const char *file;
	struct buf why;
	int line = 0;

	buf_init(&why, 4096);
	r->service = service;
	if (!service_checks(service)) {
		r->files = dns_files_new(r);
		if (r->conf.resolve_servers.n == 0)
			dns_files_add(r->files, "/etc/resolv.conf");
	}
	read_hosts(r, arena, p);
	r->wire = dns_wire_open(&conf, &why);
	file = conf_where(service_conf(service), STR("resolve_servers"),
	    &line);
	if (r->wire == NULL)
		problem_add(p, true, file, line, "resolve_servers: %s",
		    buf_cstr(&why));
	buf_free(&why);
	arena_free(&arena);
}

static void
on_start(void *ctx, struct service *service)
{
	struct resolver *r = ctx;

	r->cache = dns_cache_new((size_t)r->conf.resolve_cache_size);
	r->questions = map_new();
	dns_wire_start(r->wire, service_loop(service));
	dns_files_start(r->files, service_loop(service));
}

static void
on_talk(void *ctx, struct talk *t, enum msg id)
{
	(void)id;
	talk_set(t, &ask_ops, ctx);
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	if (id == MSG_dns_ask)
		resolver_ask(ctx, t, msg);
	else
		talk_close(&t);
}
