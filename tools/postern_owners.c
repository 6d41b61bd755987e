/*
 * The users and groups that a system instance needs. This is the install
 * step: nothing that runs later makes a user.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/postern.h"

static void
run(struct postern *p, char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		tool_fail(&p->tool, EX_OSERR, "%s %s failed; make the user or "
		    "group by hand", argv[0], argv[1]);
}

static void
need_group(struct postern *p, char *name)
{
	char *argv[] = { (char[]){ "/usr/sbin/groupadd" },
		(char[]){ "--system" }, name, NULL };

	if (getgrnam(name) != NULL)
		return;
	run(p, argv);
	printf("made the system group %s\n", name);
}

static void
need_user(struct postern *p, char *name)
{
	char *argv[] = { (char[]){ "/usr/sbin/useradd" },
		(char[]){ "--system" }, (char[]){ "--user-group" },
		(char[]){ "--no-create-home" }, (char[]){ "--home-dir" },
		(char[]){ "/nonexistent" }, (char[]){ "--shell" },
		(char[]){ "/usr/sbin/nologin" }, name, NULL };

	if (getpwnam(name) != NULL)
		return;
	run(p, argv);
	printf("made the system user %s\n", name);
}

/* pam_unix reads shadow(5), whose group Debian made for such as this. */
static void
need_pam_user(struct postern *p, char *name)
{
	char *argv[] = { (char[]){ "/usr/sbin/usermod" },
		(char[]){ "--append" }, (char[]){ "--groups" },
		(char[]){ "shadow" }, name, NULL };
	bool is_new = getpwnam(name) == NULL;

	need_user(p, name);
	if (is_new && getgrnam("shadow") != NULL)
		run(p, argv);
}

static void
own_user(struct postern *p, struct owners *o)
{
	const struct passwd *pw = getpwuid(geteuid());
	const struct group *gr = getgrgid(getegid());

	if (pw == NULL || gr == NULL)
		tool_fail(&p->tool, EX_NOUSER, "uid %u or gid %u has no name: "
		    "main.cf cannot name it", (unsigned)geteuid(),
		    (unsigned)getegid());
	o->queue = o->net = o->auth = o->pam = o->mail_user =
	    arena_cstr(p->tool.arena, str_of(pw->pw_name));
	o->group = arena_cstr(p->tool.arena, str_of(gr->gr_name));
	o->mail_uid = geteuid();
	o->mail_gid = getegid();
}

void
owners_find(struct postern *p, struct owners *o)
{
	char *queue = arena_printf(p->tool.arena, "postern");
	char *net = arena_printf(p->tool.arena, "postern-net");
	char *auth = arena_printf(p->tool.arena, "postern-auth");
	char *pam = arena_printf(p->tool.arena, "postern-pam");
	char *group = arena_printf(p->tool.arena, "postdrop");
	char *mail = arena_printf(p->tool.arena, "vmail");
	const struct passwd *pw;

	if (geteuid() != 0) {
		own_user(p, o);
		return;
	}
	need_group(p, group);
	need_user(p, queue);
	need_user(p, net);
	need_user(p, auth);
	need_pam_user(p, pam);
	need_user(p, mail);
	pw = getpwnam(mail);
	if (pw == NULL)
		tool_fail(&p->tool, EX_NOUSER, "there is no user %s", mail);
	*o = (struct owners){ .queue = queue, .net = net, .auth = auth,
		.pam = pam, .group = group, .mail_user = mail, .mail_uid = pw->pw_uid,
		.mail_gid = pw->pw_gid };
}
