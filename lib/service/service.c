/*
 * service - a daemon's life: arguments, main.cf, descriptors, privileges,
 * the loop, master's messages, the end.
 *
 * Every daemon's main() is one call of service_main(). It reads nothing from
 * outside before priv_enter() has made it what process.def says.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/internal.h"

#define SYNC_THREADS	32	/* concurrent fsyncs; DESIGN 4 */
#define LOG_ASK_MS	1000	/* between two questions for a new log */

static void	 master_solo(void *, struct channel *, enum msg, const void *);
static void	 master_talk(void *, struct channel *, struct talk *,
		    enum msg);
static void	 master_gone(void *, struct channel *);

static const struct channel_ops master_ops = {
	.on_solo = master_solo,
	.on_talk = master_talk,
	.on_gone = master_gone,
};

/* Descriptor 3 must be master's channel: nobody else starts a daemon. */
static void
check_channel(const char *program)
{
	socklen_t len = sizeof(int);
	int type = 0;

	if (getsockopt(SERVICE_CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type,
	    &len) == 0 && type == SOCK_SEQPACKET)
		return;
	fprintf(stderr, "%s: this program is started by master alone; "
	    "use: postern -c DIR start\n", program);
	exit(1);
}

/* Reads main.cf and fills the daemon's struct, whatever is wrong with it. */
static struct conf *
load_conf(struct service *s, struct problems *problems)
{
	struct conf *conf = conf_load(s->args.dir, problems);
	struct str o;
	size_t eq;

	conf_override(conf, STR("service_name"), str_of(s->args.name));
	for (size_t i = 0; i < s->args.noverrides; i++) {
		o = str_of(s->args.overrides[i]);
		eq = str_chr(o, '=');
		conf_override(conf, str_trim(str_first(o, eq)),
		    str_trim(str_from(o, eq + 1)));
	}
	if (s->def->nparams > 0)
		conf_fill(conf, s->def->params, s->def->nparams, s->def->conf,
		    problems);
	return (conf);
}

static void
start_log(struct service *s, const char *program)
{
	const char *fd = getenv("POSTERN_LOG_FD");

	service_log_open(s->conf, program, false);
	if (fd != NULL && strcmp(fd, "4") == 0) {
		(void)fd_cloexec(SERVICE_LOG_FD, true);
		log_to_fd(SERVICE_LOG_FD);
	}
}

/* Reads, checks; with -t that is all. */
static void
first_conf(struct service *s, const char *program)
{
	struct problems problems = { 0 };
	s->conf = load_conf(s, &problems);
	if (!s->args.check)
		start_log(s, program);
	if (s->def->check != NULL && (s->args.check ||
	    !problems_fatal(&problems)))
		s->def->check(s->def->ctx, s, &problems);
	if (s->args.check)
		problems_print(&problems, stderr);
	else
		problems_log(&problems);
	if (s->args.check || problems_fatal(&problems)) {
		log_flush();
		exit(problems_fatal(&problems) ? 1 : 0);
	}
	problems_free(&problems);
}

static void
enter(struct service *s, const struct process_row *row)
{
	struct arena *arena = arena_new(65536);
	struct buf empty;
	struct priv_names names;

	buf_init(&empty, 4096);
	buf_str(&empty, conf_get(s->conf, "queue_directory"));
	buf_puts(&empty, "/empty");
	names.queue = arena_cstr(arena, conf_get(s->conf, "mail_owner"));
	names.net = arena_cstr(arena, conf_get(s->conf, "postern_net_user"));
	names.auth = arena_cstr(arena, conf_get(s->conf,
	    "postern_auth_user"));
	names.pam = arena_cstr(arena, conf_get(s->conf, "postern_pam_user"));
	names.empty_dir = buf_cstr(&empty);
	names.command_dir = row->role == ROLE_COMMAND ? s->args.root : NULL;
	if (row->owner == OWNER_TARGET && !s->args.has_uid)
		die("%s: no -u: whose agent is this?", row->program);
	priv_enter(row, &names, s->args.uid, s->args.gid, s->args.user);
	buf_free(&empty);
	arena_free(&arena);
}

/* After each round. A syslogd that came anew is master's to find. */
static void
flush_log(void *ctx)
{
	struct service *s = ctx;
	int64_t now;

	log_flush();
	if (!log_lost())
		return;
	now = clock_steady_ms();
	if (now - s->log_asked_ms < LOG_ASK_MS)
		return;
	s->log_asked_ms = now;
	channel_send(s->master, MSG_log_lost, &(struct msg_log_lost){ 0 });
}

/*
 * Last words that a slow peer has not taken yet are work, too: a result that
 * is lost here is a message delivered twice.
 */
static bool
is_busy(struct service *s)
{
	return (peers_talks(s) > 0 || peers_unsent(s) > 0 ||
	    (s->pool != NULL && pool_busy(s->pool) > 0) ||
	    (s->def->busy != NULL && s->def->busy(s->def->ctx)));
}

/* After each round of a drain. */
static void
look_for_end(void *ctx)
{
	struct service *s = ctx;

	if (!s->parted && peers_parted(s)) {
		s->parted = true;
		if (s->def->on_parted != NULL)
			s->def->on_parted(s->def->ctx);
		channel_flush_all();
	}
	if (s->parted && peers_parted(s) && !is_busy(s))
		service_exit(s);
}

/*
 * Nothing new is taken in, and every peer is told. What a peer sent before it
 * heard comes before its answer; then what is under way is all there is.
 */
static void
drain(struct service *s)
{
	if (s->draining)
		return;
	s->draining = true;
	if (s->def->on_drain != NULL)
		s->def->on_drain(s->def->ctx);
	peers_leave(s);
	loop_before_sleep(s->loop, look_for_end, s);
}

static void
on_term(void *ctx, int signo)
{
	(void)signo;
	drain(ctx);
}

int
service_main(const struct service_def *def, int argc, char **argv)
{
	const struct process_row *row = process_row(def->role);
	struct service *s = mem_new(sizeof(*s));
	const char *why;

	s->def = def;
	if (!service_args_parse(&s->args, argc, argv, &why)) {
		fprintf(stderr, "%s: %s\n", row->program, why);
		return (1);
	}
	if (!s->args.check) {
		check_channel(row->program);
		(void)fd_cloexec(SERVICE_CHANNEL_FD, true);
		(void)fd_nonblock(SERVICE_CHANNEL_FD);
		signal(SIGPIPE, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		signal(SIGINT, SIG_IGN);
	}
	list_init(&s->peers);
	list_init(&s->lost);
	list_init(&s->waits);
	first_conf(s, row->program);
	if (def->open != NULL)
		def->open(def->ctx, s);
	s->loop = loop_new();
	loop_before_sleep(s->loop, flush_log, s);
	loop_on_signal(s->loop, SIGTERM, on_term, s);
	log_flush();
	enter(s, row);
	s->busy_ms = clock_steady_ms();
	s->master = channel_new(s->loop, SERVICE_CHANNEL_FD, def->role,
	    ROLE_MASTER, 1, &master_ops, s);
	if (def->start != NULL)
		def->start(def->ctx, s);
	channel_send(s->master, MSG_ready, &(struct msg_ready){ 0 });
	loop_run(s->loop);
	channel_flush_all();
	log_flush();
	return (0);
}

static void
reload(struct service *s)
{
	struct problems problems = { 0 };
	struct conf *conf;

	if (s->def->on_reload == NULL)
		return;
	conf = load_conf(s, &problems);
	if (problems_fatal(&problems))
		conf_free(&conf);
	problems_log(&problems);
	problems_free(&problems);
	if (conf == NULL) {
		log_warn("configuration has errors: the one before stays");
		return;
	}
	conf_free(&s->conf_before);
	s->conf_before = s->conf;
	s->conf = conf;
	service_log_open(conf, process_row(s->def->role)->program, false);
	s->def->on_reload(s->def->ctx, conf);
}

static void
answer_ping(struct service *s, const struct msg_ping *m)
{
	size_t talks = peers_talks(s);
	int64_t now = clock_steady_ms();
	struct msg_pong pong = { .number = m->number, .talks = talks };

	if (talks > 0)
		s->busy_ms = now;
	pong.idle_ms = (uint64_t)(now - s->busy_ms);
	channel_send(s->master, MSG_pong, &pong);
}

static void
take_listener(struct service *s, const struct msg_listen *m)
{
	if (m->socket < 0)
		return;
	if (s->def->on_listen == NULL || s->draining) {
		int fd = m->socket;

		fd_close(&fd);
		return;
	}
	s->def->on_listen(s->def->ctx, m->name, m->socket);
}

static void
take_log_file(const struct msg_log_file *m)
{
	int old = SERVICE_LOG_FD;
	struct stat st;

	log_flush();
	if (m->file < 0 || (fstat(m->file, &st) == 0 && S_ISSOCK(st.st_mode))) {
		log_to_fd(m->file);	/* syslog's socket has no number */
		return;
	}
	/* The log stays on its own number, so that nothing leaks. */
	if (dup3(m->file, old, O_CLOEXEC) == old) {
		close(m->file);
		log_to_fd(old);
	} else
		log_to_fd(m->file);
}

static void
master_solo(void *ctx, struct channel *channel, enum msg id, const void *m)
{
	struct service *s = ctx;

	/* Only what master sends to all; the rest is the daemon's. */
	if (id == MSG_peer)
		peers_add(s, m);
	else if (id == MSG_ping)
		answer_ping(s, m);
	else if (id == MSG_listen)
		take_listener(s, m);
	else if (id == MSG_log_file)
		take_log_file(m);
	else if (id == MSG_reload)
		reload(s);
	else if (id == MSG_drain) {
		const struct msg_drain *d = m;

		drain(s);
		if (d->stop && s->def->on_stop != NULL)
			s->def->on_stop(s->def->ctx);
	}
	else if (id == MSG_begin) {
		if (!s->begun && s->def->begin != NULL)
			s->def->begin(s->def->ctx);
		s->begun = true;
	} else if (s->def->on_solo != NULL)
		s->def->on_solo(s->def->ctx, channel, id, m);
}

static void
master_talk(void *ctx, struct channel *channel, struct talk *talk,
    enum msg id)
{
	(void)ctx;
	(void)channel;
	(void)id;
	talk_close(&talk);
}

/*
 * Master died, or closed on us. Open work is safe on disk and belongs to the
 * next generation: two must never act at once, so this one ends here.
 */
static void
master_gone(void *ctx, struct channel *channel)
{
	(void)ctx;
	(void)channel;
	log_flush();
	_exit(0);
}

struct loop *
service_loop(struct service *s)
{
	return (s->loop);
}

struct conf *
service_conf(struct service *s)
{
	return (s->conf);
}

bool
service_checks(struct service *s)
{
	return (s->args.check);
}

const char *
service_name(struct service *s)
{
	return (s->args.name);
}

char **
service_args(struct service *s, int *argc)
{
	*argc = s->args.nrest;
	return (s->args.rest);
}

struct pool *
service_pool(struct service *s)
{
	if (s->pool == NULL)
		s->pool = pool_new(s->loop, SYNC_THREADS);
	return (s->pool);
}

void
service_exit(struct service *s)
{
	loop_stop(s->loop);
}

void
service_tell_master(struct service *s, enum msg id, const void *msg)
{
	channel_send(s->master, id, msg);
}
