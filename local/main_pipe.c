/*
 * pipe - mail for a command of master.cf: pipe(8) of Postfix. Runs as
 * mail_owner; makes the command's words and has the command agent of the
 * line's user run it. One process serves one line.
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "local/agents.h"
#include "local/command.h"
#include "local/local.h"
#include "local/pipe.h"

#define CONF_ERROR	"mail system configuration error"
#define ROOT_MAX	900	/* bytes of chroot= */
#define OUTPUT_SHOWN	100	/* bytes of a good command's output, logged */
#define BATCH_BYTES	(PIPE_WORDS_MAX / 2)

struct pipe_conf {
#define PARAM PARAM_MEMBER
#include "local/params_pipe.def"
#undef PARAM
};

static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct pipe_conf, __VA_ARGS__)
#include "local/params_pipe.def"
#undef PARAM
};

struct pipe_service {
	struct front	 front;
	struct pipe_conf conf;
	struct agents	*agents;
	struct arena	*arena;		/* of args */
	struct pipe_args args;
	struct agent_id	 id;
	struct str	 delimiter, environment;
	uint64_t	 time_limit;
	bool		 sane;		/* the line can be used */
};

/* Recipients that one command is for. */
struct batch {
	struct pipe_service *pipe;
	struct recipient   **rcpts;
	size_t		     n;
	struct msg_run	     run;
};

/* The last result may end the delivery, and with it the batch. */
static void
each_result(const struct batch *b, enum delivery_status status,
    const char *dsn, struct str text)
{
	bool final = (b->pipe->args.flags & PIPE_FINAL) != 0;
	struct recipient **rcpts = b->rcpts;
	size_t n = b->n;

	for (size_t i = 0; i < n; i++) {
		rcpts[i]->sum.action = status != SENT ? STR("") :
		    final ? STR("delivered") : STR("relayed");
		deliver_result(rcpts[i], status, dsn, text);
	}
}

static void
ran(void *ctx, const struct msg_run_done *m)
{
	struct batch *b = ctx;
	struct arena *arena = b->rcpts[0]->delivery->arena;
	struct str output = str_first(m->text, OUTPUT_SHOWN);
	const char *name = service_name(b->pipe->front.service);

	if (m->status != SENT)
		each_result(b, m->status == BOUNCED ? BOUNCED : DEFERRED,
		    arena_cstr(arena, m->dsn), arena_str(arena, m->text));
	else if (output.n > 0)
		each_result(b, SENT, "2.0.0", str_of(arena_printf(arena,
		    "delivered via %s service (" STRF ")", name,
		    STRV(output))));
	else
		each_result(b, SENT, "2.0.0", str_of(arena_printf(arena,
		    "delivered via %s service", name)));
}

/* True: the message was here before, or cannot be read. */
static bool
is_loop(struct batch *b)
{
	struct recipient *r = b->rcpts[0];

	if ((b->pipe->args.flags & RUN_DELIVERED) == 0)
		return false;
	switch (loop_find(r->delivery, r->address)) {
	case FOUND:
		deliver_printf(r, BOUNCED, "5.4.6",
		    "mail forwarding loop for " STRF, STRV(r->address));
		return true;
	case RETRY:
		deliver_result(r, DEFERRED, "4.3.0",
		    STR("error reading message"));
		return true;
	case NONE:
		break;
	}
	return false;
}

static void
run(struct batch *b)
{
	const struct pipe_service *p = b->pipe;
	const struct recipient *r = b->rcpts[0];
	const struct msg_deliver *d = &r->delivery->msg;

	b->run.queue_id = d->queue_id;
	b->run.environment = p->environment;
	b->run.directory = p->args.directory;
	b->run.eol = p->args.eol;
	b->run.flags = p->args.flags & (PIPE_FINAL - 1);
	b->run.time_limit = p->time_limit;
	b->run.sender = d->sender.n > 0 ? d->sender : p->args.null_sender;
	b->run.recipient = r->address;
	b->run.original = r->original.n > 0 ? r->original : r->address;
	b->run.header_off = d->header_off;
	b->run.header_len = d->header_len;
	b->run.body_off = d->body_off;
	b->run.body_len = d->body_len;
	b->run.queue_file = d->queue_file;
	agents_run(p->agents, &p->id, &b->run, ran, b);
}

static void
begin(struct batch *b)
{
	struct pipe_service *p = b->pipe;
	struct arena *arena = b->rcpts[0]->delivery->arena;
	const struct msg_deliver *d = &b->rcpts[0]->delivery->msg;
	struct pipe_message message = { d, p->delimiter };
	struct str words;

	if (!p->sane) {
		each_result(b, DEFERRED, "4.3.5", STR(CONF_ERROR));
		return;
	}
	if (p->args.size_max > 0 && d->size > p->args.size_max) {
		each_result(b, BOUNCED, "5.2.3", STR("message too large"));
		return;
	}
	if ((d->flags & DELIVER_VERIFY) != 0) {
		each_result(b, SENT, "2.0.0", str_of(arena_printf(arena,
		    "delivers to command: %s", p->args.argv[0])));
		return;
	}
	if (is_loop(b))
		return;
	switch (pipe_expand(&p->args, &message, b->rcpts, b->n, arena,
	    &words)) {
	case FOUND:
		b->run.argv = words;
		run(b);
		return;
	case NONE:
		log_warn("service %s: unknown macro name in: " STRF,
		    service_name(p->front.service), STRV(words));
		break;
	case RETRY:
		log_at(LL_WARN, d->queue_id, "command line is too long");
		break;
	}
	each_result(b, DEFERRED, "4.3.5", STR(CONF_ERROR));
}

/*
 * D and O put one recipient's name into the message: each gets a command of
 * its own, where Postfix would put the mail off. So do those that make a
 * command line too long.
 */
static size_t
batch_size(const struct pipe_service *p, struct recipient *const *rcpts,
    size_t n)
{
	size_t bytes = 0, i;

	if ((p->args.flags & (RUN_DELIVERED | RUN_ORIGINAL)) != 0)
		return 1;
	for (i = 0; i < n; i++) {
		size_t of_each = 8 + rcpts[i]->address.n * 2 +
		    rcpts[i]->original.n * 2;

		bytes += of_each * p->args.argc;
		if (i > 0 && bytes > BATCH_BYTES)
			break;
	}
	return i;
}

/* All recipients of the request are here. */
static void
complete(void *ctx, struct delivery *d)
{
	struct pipe_service *p = ctx;
	struct recipient **all = arena_alloc(d->arena,
	    (d->have + 1) * sizeof(*all));
	size_t n = 0, at = 0;

	list_each(l, &d->rcpts)
		all[n++] = container_of(l, struct recipient, link);
	while (at < n) {	/* the last result may end the delivery */
		struct batch *b = arena_alloc(d->arena, sizeof(*b));
		size_t some = batch_size(p, all + at, n - at);

		b->pipe = p;
		b->rcpts = all + at;
		b->n = some;
		at += some;
		begin(b);
	}
}

static void
recipient(void *ctx, struct recipient *r)
{
	(void)ctx;
	(void)r;		/* complete() has them all */
}

/* --- the master.cf line --- */

/* The line's user and group; NULL, or what is wrong. */
static const char *
find_user(struct pipe_service *p)
{
	const struct passwd *pw;
	const struct group *gr;

	pw = getpwnam(arena_cstr(p->arena, p->args.user));
	if (pw == NULL)
		return "unknown username";
	p->id.uid = pw->pw_uid;
	p->id.gid = pw->pw_gid;
	p->id.user = STR("");
	if (p->args.group.n == 0)
		return pw->pw_uid == 0 ? "user= specifies root" : NULL;
	gr = getgrnam(arena_cstr(p->arena, p->args.group));
	if (gr == NULL)
		return "unknown group";
	p->id.gid = gr->gr_gid;
	return pw->pw_uid == 0 ? "user= specifies root" :
	    gr->gr_gid == 0 ? "user= specifies group 0" : NULL;
}

/* Where its command will find itself; NULL, or what is wrong. */
static const char *
find_root(struct pipe_service *p)
{
	const char *path = arena_cstr(p->arena, p->args.chroot);
	struct stat st;

	p->id.root = p->args.chroot;
	if (*path == '\0')
		return NULL;
	if (*path != '/' || strlen(path) > ROOT_MAX ||
	    str_chr(p->args.chroot, ' ') < p->args.chroot.n)
		return "chroot= is no plain absolute path";
	if (geteuid() != 0)
		return "chroot= needs an instance of root's";
	return stat(path, &st) != 0 || !S_ISDIR(st.st_mode) ?
	    "chroot= is no directory" : st.st_uid != 0 ||
	    (st.st_mode & 022) != 0 ? "chroot= is not root's alone" : NULL;
}

/* A bad line puts its mail off; the others go on. */
static void
check(void *ctx, struct service *service, struct problems *problems)
{
	struct pipe_service *p = ctx;
	const char *why = NULL;
	struct str what;
	char **argv;
	int argc;

	p->arena = arena_new(1 << 20);
	argv = service_args(service, &argc);
	if (!pipe_args_parse(&p->args, p->arena, argc, argv, &why, &what))
		;
	else if ((why = find_user(p)) != NULL)
		what = p->args.user;
	else if ((why = find_root(p)) != NULL)
		what = p->args.chroot;
	p->sane = why == NULL;
	if (why != NULL)
		problem_add(problems, false, NULL, 0, "service %s: %s: " STRF
		    "; its mail waits in the queue", service_name(service),
		    why, STRV(what));
}

static void
open_all(void *ctx, struct service *service)
{
	struct pipe_service *p = ctx;

	deliver_filter(&p->front, service, "pipe_delivery_status_filter");
}

static void
start(void *ctx, struct service *service)
{
	struct pipe_service *p = ctx;
	struct conf *conf = service_conf(service);
	int64_t limit;
	struct buf b;

	deliver_front(&p->front, service);
	p->front.relay = service_name(service);
	p->front.begin = recipient;
	p->front.complete = complete;
	p->front.ctx = p;
	p->delimiter = conf_get(conf, "recipient_delimiter");
	p->time_limit = (uint64_t)conf_family(conf,
	    str_of(service_name(service)), "_time_limit", NULL);
	limit = conf_number(conf, "service_session_limit");
	if (limit == 0)
		limit = conf_number(conf, "default_process_limit");
	p->agents = agents_new(service, (size_t)limit);
	buf_init(&b, 32768);
	command_exports(conf, &b);
	p->environment = (struct str){ b.p, b.n };	/* kept for good */
}

static void
on_talk(void *ctx, struct talk *talk, enum msg id)
{
	struct pipe_service *p = ctx;

	deliver_on_talk(&p->front, talk, id);
}

static void
on_solo(void *ctx, struct channel *channel, enum msg id, const void *msg)
{
	struct pipe_service *p = ctx;

	(void)channel;
	if (id == MSG_agent_refused)
		agents_refused(p->agents, msg);
}

int
main(int argc, char **argv)
{
	struct pipe_service pipe = { 0 };
	const struct service_def def = {
		.role = ROLE_PIPE,
		.params = params,
		.nparams = nitems(params),
		.conf = &pipe.conf,
		.ctx = &pipe,
		.check = check,
		.open = open_all,
		.start = start,
		.on_talk = on_talk,
		.on_solo = on_solo,
	};

	return service_main(&def, argc, argv);
}
