/*
 * A worker for the tests: tells each front that asks who it is, whose mail it
 * would read, and whether it may read a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "service/service.h"
#include "sys/sys.h"

struct worker {
	char *user, *home, *mail;
};

static const char *
try_open(struct str path)
{
	char *name = mem_copy(path);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	const char *text = fd >= 0 ? "read" : strerror(errno);

	mem_free(name);
	fd_close(&fd);
	return text;
}

static const char *
try_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const char *text = fd >= 0 ? "net" : "no net";

	fd_close(&fd);
	return text;
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	const struct msg_who_ask *ask = msg;
	struct worker *w = ctx;
	gid_t groups[64];
	struct buf b;
	int n;

	if (id != MSG_who_ask)
		return;
	n = getgroups(64, groups);
	buf_init(&b, 8192);
	buf_printf(&b, "pid=%d uid=%u gid=%u user=%s home=%s mail=%s groups=",
	    (int)getpid(), (unsigned)getuid(), (unsigned)getgid(), w->user,
	    w->home, w->mail);
	for (int i = 0; i < n; i++)
		buf_printf(&b, "%s%u", i > 0 ? "," : "", (unsigned)groups[i]);
	buf_printf(&b, " file=%s; %s", try_open(ask->path), try_socket());
	talk_send(t, MSG_who_answer, &(struct msg_who_answer){
	    .text = buf_view(&b) });
	buf_free(&b);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	(void)ctx;
	(void)t;
	(void)why;
}

static const struct talk_ops ops = { on_message, on_gone };

static void
on_talk(void *ctx, struct talk *t, enum msg id)
{
	(void)id;
	talk_set(t, &ops, ctx);
}

static void
on_solo(void *ctx, struct channel *c, enum msg id, const void *msg)
{
	const struct msg_owner *m = msg;
	struct worker *w = ctx;

	(void)c;
	if (id != MSG_owner)
		return;
	w->user = mem_copy(m->user);
	w->home = mem_copy(m->home);
	w->mail = mem_copy(m->mail);
}

int
main(int argc, char **argv)
{
	struct worker w = { 0 };
	const struct service_def def = {
		.role = strstr(argv[0], "news") != NULL ? ROLE_NEWS :
		    ROLE_MAIL,
		.ctx = &w, .on_talk = on_talk, .on_solo = on_solo,
	};

	return service_main(&def, argc, argv);
}
