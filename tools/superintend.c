/*
 * superintend - delete, hold, release, requeue, expire: one message.
 *
 * Works beside a running qmgr: a file may move while we look. A requeued
 * file moves to maildrop/ as it is; pickup hands what it still owes to
 * cleanup again, with all of cleanup's rewriting and checks.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/superintend.h"

#define TELL_MAX	100	/* released messages that qmgr is told of */
#define TALK_MS		5000

/* Acts on id in dir. 0: done; ENOENT: not there; EALREADY: nothing to do. */
typedef int	 (*act)(struct superintend *, enum queue_dir, const char *id);

static int
report(int err, struct superintend *s, const char *verb, enum queue_dir dir,
    const char *id)
{
	if (err != 0 && err != ENOENT && err != EALREADY)
		tool_fail(s->tool, EX_OSERR, "%s file %s/%s: %s", verb,
		    queue_dir_names[dir], id, strerror(err));
	return err;
}

static int
delete_file(struct superintend *s, enum queue_dir dir, const char *id)
{
	return report(queue_remove(&s->queue, dir, id), s, "remove", dir, id);
}

int
superintend_move(struct superintend *s, enum queue_dir from,
    enum queue_dir to, const char *id)
{
	return report(queue_move(&s->queue, id, from, to), s, "rename", from,
	    id);
}

/* maildrop/ holds what nobody has checked: that is not mixed with mail. */
static int
hold_file(struct superintend *s, enum queue_dir dir, const char *id)
{
	if (dir == Q_MAILDROP || dir == Q_HOLD || dir == Q_CORRUPT)
		return ENOENT;
	return superintend_move(s, dir, Q_HOLD, id);
}

/* One line to a daemon; it will look by itself where it does not hear. */
static void
tell(struct superintend *s, const char *socket_name, const char *line)
{
	int fd = tool_connect(s->tool, socket_name, TALK_MS);

	if (fd < 0)
		return;
	(void)send(fd, line, strlen(line), MSG_NOSIGNAL);
	close(fd);
}

static int
release_file(struct superintend *s, enum queue_dir dir, const char *id)
{
	char line[QUEUE_ID_MAX + 16];
	int err;

	if (dir != Q_HOLD)
		return ENOENT;
	err = superintend_move(s, Q_HOLD, Q_DEFERRED, id);
	if (err == 0 && s->told++ < TELL_MAX) {
		snprintf(line, sizeof(line), "deliver %s\n", id);
		tell(s, "qmgr", line);
	}
	return err;
}

/* The time stamp says when it came to maildrop/. */
static int
requeue_file(struct superintend *s, enum queue_dir dir, const char *id)
{
	int err;

	if (dir == Q_MAILDROP || dir == Q_CORRUPT)
		return ENOENT;
	err = superintend_move(s, dir, Q_MAILDROP, id);
	if (err == 0 && utimensat(s->queue.dir[Q_MAILDROP], id, NULL,
	    AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
		tool_warn(s->tool, "%s: reset time stamps: %s", id,
		    strerror(errno));
	return err;
}

/* The group's x bit, as Postfix: qmgr returns it at its next attempt. */
static int
expire_file(struct superintend *s, enum queue_dir dir, const char *id)
{
	struct stat st;
	int fd, err = 0;

	if (dir == Q_MAILDROP || dir == Q_CORRUPT)
		return ENOENT;
	fd = queue_open_file(&s->queue, dir, id, O_RDONLY, 0);
	if (fd < 0)
		return report(errno, s, "expire", dir, id);
	if (fstat(fd, &st) != 0)
		err = errno;
	else if (st.st_mode & S_IXGRP)
		err = EALREADY;
	else if (fchmod(fd, (st.st_mode & 07777) | S_IXGRP) != 0)
		err = errno;
	close(fd);
	return report(err, s, "expire", dir, id);
}

static const struct {
	act	    run;
	const char *log;		/* after the id */
	const char *total;
} actions[ACTION__MAX] = {
	[DELETE] = { delete_file, "removed", "Deleted" },
	[EXPIRE] = { expire_file, "expired", "Force-expired" },
	[HOLD] = { hold_file, "placed on hold", "Placed on hold" },
	[RELEASE] = { release_file, "released from hold",
	    "Released from hold" },
	[REQUEUE] = { requeue_file, "requeued", "Requeued" },
};

bool
superintend_act(struct superintend *s, enum action a, enum queue_dir dir,
    const char *id)
{
	if (s->queue.dir[dir] < 0 || actions[a].run(s, dir, id) != 0)
		return false;
	log_mail(str_of(id), "%s", actions[a].log);
	s->done[a]++;
	return true;
}

/* Root, mail_owner, or the one user of an instance without root. */
static void
check_user(struct tool *t)
{
	struct stat st;

	if (t->borrowed)
		tool_fail(t, EX_NOPERM,
		    "this command must not run as a set-uid process");
	if (geteuid() == 0)
		return;
	if (stat(tool_param(t, "queue_directory"), &st) != 0 ||
	    st.st_uid != geteuid())
		tool_fail(t, EX_NOPERM,
		    "use of this command is reserved for the superuser");
}

void
superintend_open(struct superintend *s, struct tool *t)
{
	*s = (struct superintend){ .tool = t };
	check_user(t);
	tool_become_owner(t);
	tool_queue(t, &s->queue);
}

void
superintend_close(struct superintend *s)
{
	if (s->done[REQUEUE] > 0)
		tell(s, "pickup", "W");
	queue_close(&s->queue);
}

void
superintend_total(const struct superintend *s, enum action a)
{
	log_info("%s: %u message%s", actions[a].total, s->done[a],
	    s->done[a] == 1 ? "" : "s");
}
