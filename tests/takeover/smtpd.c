/*
 * An smtpd that a stranger has taken over: the real one, linked anew with
 * its HELP replaced (ld --wrap). What follows HELP is what the intruder
 * tries; each reply line tells what came of it. tests/suite/test_takeover.py
 * runs it in an instance of its own; it is in no other build.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/internal.h"
#include "smtpd/smtpd.h"

#define MASTER_FD	3
#define LOG_FD		4
#define FDS_MAX		1024

void	 __wrap_cmd_help(struct session *, struct str);

/* Stand in for numbers that are known only when it runs. */
#define MASTER		(-70001L)
#define OTHER		(-70002L)
#define MEMORY		(-70003L)	/* a page of our own */
#define A(x)		((long)(x))

static const char *const shell[] = { "/bin/sh", NULL };
static const struct sockaddr_un public_sock = { AF_UNIX, "public/qmgr" };
static const struct sockaddr unspec = { .sa_family = AF_UNSPEC };
static const struct open_how how = { .flags = O_RDONLY };

/* Must fail, each of them. */
static const struct try {
	const char *name;
	long	    nr, arg[6];
} tries[] = {
#define TRY(name, nr, ...) { name, SYS_##nr, { __VA_ARGS__ } },
	TRY("open passwd", open, A("/etc/passwd"), O_RDONLY)
	TRY("openat passwd", openat, AT_FDCWD, A("/etc/passwd"), O_RDONLY)
	TRY("openat here", openat, AT_FDCWD, A("."), O_RDONLY)
	TRY("openat up", openat, AT_FDCWD, A("../../etc/passwd"), O_RDONLY)
	TRY("openat2", openat2, AT_FDCWD, A("/etc/passwd"), A(&how),
	    sizeof(how))
	TRY("open maps", open, A("/proc/self/maps"), O_RDONLY)
	TRY("open mem", open, A("/proc/self/mem"), O_RDWR)
	TRY("creat", creat, A("/tmp/owned"), 0600)
	TRY("open_by_handle_at", open_by_handle_at, AT_FDCWD, MEMORY, 0)
	TRY("stat", stat, A("/etc/passwd"), MEMORY)
	TRY("newfstatat", newfstatat, AT_FDCWD, A("/"), MEMORY, 0)
	TRY("statx", statx, AT_FDCWD, A("/"), 0, 0xfff, MEMORY)
	TRY("access", access, A("/"), F_OK)
	TRY("readlink", readlink, A("/proc/self/exe"), MEMORY, 4096)
	TRY("getcwd", getcwd, MEMORY, 4096)
	TRY("chdir", chdir, A("/"))
	TRY("mkdir", mkdir, A("x"), 0777)
	TRY("mknod", mknod, A("x"), 0600, 0)
	TRY("symlink", symlink, A("/etc"), A("x"))
	TRY("link", link, A("/etc/passwd"), A("x"))
	TRY("rename", rename, A("/etc/passwd"), A("x"))
	TRY("unlink", unlink, A("/etc/passwd"))
	TRY("chmod", chmod, A("/"), 0777)
	TRY("chown", chown, A("/"), 0, 0)
	TRY("truncate", truncate, A("/etc/passwd"), 0)
	TRY("inotify", inotify_init1, 0)
	TRY("memfd", memfd_create, A("x"), 0)
	TRY("chroot", chroot, A("."))
	TRY("mount", mount, A("none"), A("/"), A("tmpfs"), 0, 0)
	TRY("umount", umount2, A("/"), 2)
	TRY("pivot_root", pivot_root, A("."), A("."))
	TRY("unshare", unshare, CLONE_NEWUSER)
	TRY("setns", setns, 3, 0)
	TRY("socket tcp", socket, AF_INET, SOCK_STREAM, 0)
	TRY("socket udp", socket, AF_INET, SOCK_DGRAM, 0)
	TRY("socket unix", socket, AF_UNIX, SOCK_STREAM, 0)
	TRY("socket netlink", socket, AF_NETLINK, SOCK_RAW, 0)
	TRY("socketpair", socketpair, AF_UNIX, SOCK_STREAM, 0, MEMORY)
	TRY("kill master", kill, MASTER, SIGTERM)
	TRY("kill other", kill, OTHER, SIGKILL)
	TRY("kill all", kill, -1, SIGUSR1)
	TRY("kill group", kill, 0, SIGUSR1)
	TRY("tkill other", tkill, OTHER, SIGKILL)
	TRY("tgkill master", tgkill, MASTER, MASTER, SIGTERM)
	TRY("tgkill other", tgkill, OTHER, OTHER, SIGKILL)
	TRY("sigqueue", rt_sigqueueinfo, OTHER, SIGTERM, MEMORY)
	TRY("pidfd", pidfd_open, OTHER, 0)
	TRY("pidfd_getfd", pidfd_getfd, 3, 0, 0)
	TRY("ptrace", ptrace, PTRACE_ATTACH, OTHER, 0, 0)
	TRY("traceme", ptrace, PTRACE_TRACEME, 0, 0, 0)
	TRY("read memory", process_vm_readv, OTHER, MEMORY, 1, MEMORY, 1, 0)
	TRY("write memory", process_vm_writev, OTHER, MEMORY, 1, MEMORY, 1, 0)
	TRY("kcmp", kcmp, OTHER, MASTER, 0, 0, 0)
	TRY("set limit", prlimit64, OTHER, 7, MEMORY, 0)
	TRY("priority", setpriority, 0, OTHER, 19)
	TRY("scheduler", sched_setscheduler, OTHER, 0, MEMORY)
	TRY("fork", fork)
	TRY("vfork", vfork)
	TRY("clone", clone, SIGCHLD, 0, 0, 0, 0)
	TRY("clone3", clone3, MEMORY, 64)
	TRY("execve", execve, A("/bin/sh"), A(shell), 0)
	TRY("execveat", execveat, AT_FDCWD, A("/bin/sh"), A(shell), 0, 0)
	TRY("setuid", setuid, 0)
	TRY("setresuid", setresuid, 0, 0, 0)
	TRY("setgid", setgid, 0)
	TRY("setgroups", setgroups, 0, 0)
	TRY("setfsuid", setfsuid, 0)
	TRY("capset", capset, MEMORY, MEMORY)
	TRY("prctl", prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0)
	TRY("personality", personality, 0)
	TRY("seccomp", seccomp, 0, 0, 0)
	TRY("bpf", bpf, 0, MEMORY, 64)
	TRY("perf", perf_event_open, MEMORY, 0, -1, -1, 0)
	TRY("io_uring", io_uring_setup, 8, MEMORY)
	TRY("userfaultfd", userfaultfd, 0)
	TRY("keyctl", keyctl, 0, 0, 0)
	TRY("shmget", shmget, 0, 4096, 01666)
	TRY("msgget", msgget, 0, 01666)
	TRY("mq_open", mq_open, A("x"), O_CREAT | O_RDWR, 0600, 0)
	TRY("exec memory", mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
	TRY("make exec", mprotect, MEMORY, 4096, PROT_READ | PROT_EXEC)
	TRY("pkey exec", pkey_mprotect, MEMORY, 4096, PROT_EXEC, -1)
	TRY("syslog", syslog, 3, MEMORY, 4096)
	TRY("reboot", reboot, 0, 0, 0)
	TRY("time", clock_settime, 0, MEMORY)
	TRY("log: not append", fcntl, LOG_FD, F_SETFL, O_WRONLY)
	TRY("log: signal me", fcntl, LOG_FD, F_SETOWN, OTHER)
	TRY("log: lease", fcntl, LOG_FD, F_SETLEASE, 1)
	TRY("log: pwrite", pwrite64, LOG_FD, A("x"), 1, 0)
	TRY("log: truncate", ftruncate, LOG_FD, 0)
	TRY("log: punch", fallocate, LOG_FD, 3, 0, 4096)
	TRY("log: mode", fchmod, LOG_FD, 0666)
	TRY("log: map", mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
	    LOG_FD, 0)
#undef TRY
};

/* On each descriptor that there is. */
static const struct try fd_tries[] = {
#define TRY(name, nr, ...) { name, SYS_##nr, { __VA_ARGS__ } },
	TRY("openat", openat, 0, A("."), O_RDONLY)
	TRY("openat up", openat, 0, A("../etc/passwd"), O_RDONLY)
	TRY("getdents", getdents64, 0, MEMORY, 4096)
	TRY("fchdir", fchdir, 0)
	TRY("connect", connect, 0, A(&public_sock), sizeof(public_sock))
	TRY("disconnect", connect, 0, A(&unspec), sizeof(unspec))
	TRY("bind", bind, 0, A(&unspec), sizeof(unspec))
	TRY("listen", listen, 0, 100)
	TRY("sendto", sendto, 0, A("x"), 1, MSG_DONTWAIT, A(&public_sock),
	    sizeof(public_sock))
#undef TRY
};

static long
number_of(long arg, long other, void *memory)
{
	return arg == MASTER ? getppid() : arg == OTHER ? other :
	    arg == MEMORY ? A(memory) : arg;
}

/* 1 where it got through. */
static unsigned
attempt(struct session *s, const struct try *t, int fd, long other)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long a[6], r;

	for (size_t i = 0; i < 6; i++)
		a[i] = number_of(t->arg[i], other, page);
	if (fd >= 0)
		a[0] = fd;
	r = syscall(t->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r == 0 && (t->nr == SYS_fork || t->nr == SYS_vfork ||
	    t->nr == SYS_clone || t->nr == SYS_clone3))
		_exit(0);
	if (fd < 0 || r != -1)
		reply_more(s, "214-%s %s: %s", r == -1 ? "failed" : "BREACH",
		    t->name, r == -1 ? strerror(errno) : "done");
	munmap(page, 4096);
	return r != -1;
}

static void
try_all(struct session *s, struct str arg)
{
	unsigned breaches = 0, n = 0;
	uint64_t other = 0;

	if (!str_number(arg, &other))
		other = 1;
	for (size_t i = 0; i < nitems(tries); i++, n++)
		breaches += attempt(s, &tries[i], -1, (long)other);
	for (int fd = 0; fd < FDS_MAX; fd++)
		for (size_t i = 0; i < nitems(fd_tries) &&
		    fcntl(fd, F_GETFD) != -1; i++, n++)
			breaches += attempt(s, &fd_tries[i], fd, (long)other);
	reply(s, "214 %u tries, %u breaches", n, breaches);
}

/*
 * A listening socket, shut down, is a socket like any other; and a first
 * packet with data in it (TCP Fast Open) needs no connect(2).
 */
static void
fast_open(struct session *s, struct str arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct mmsghdr m = { .msg_hdr = { .msg_name = &to,
		.msg_namelen = sizeof(to), .msg_iov = &iov, .msg_iovlen = 1 } };
	unsigned breaches = 0;
	uint64_t port = 0;

	if (str_number(arg, &port))
		to.sin_port = htons((uint16_t)port);
	for (int fd = 5; fd < FDS_MAX; fd++) {
		socklen_t len = sizeof(int);
		int on = 0;

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) != 0 ||
		    on == 0 || shutdown(fd, SHUT_RDWR) != 0)
			continue;
		breaches += sendmsg(fd, &m.msg_hdr, MSG_FASTOPEN) != -1 ||
		    errno == EINPROGRESS;
		breaches += sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&to,
		    sizeof(to)) != -1 || errno == EINPROGRESS;
		breaches += sendmmsg(fd, &m, 1, MSG_FASTOPEN) != -1 ||
		    errno == EINPROGRESS;
	}
	reply(s, "214 %u breaches", breaches);
}

/* --- on its channels --- */

static struct channel *
channel_to(struct session *s, struct str name)
{
	for (int r = 0; r < ROLE__MAX; r++)
		if (str_eq_nocase(name, str_of(role_name((enum role)r))))
			return service_peer(s->smtpd->service, (enum role)r,
			    STR(""));
	return NULL;
}

static bool
put_packet(int sock, struct str bytes, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET,
		SCM_RIGHTS } };
	struct iovec iov = { NULL, bytes.n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(&iov.iov_base, &bytes.p, sizeof(iov.iov_base));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) == (ssize_t)bytes.n;
}

/* FORGE role message: one that its row of ipc.def gives to others. */
static void
forge(struct session *s, struct str arg)
{
	union any_message none = { 0 };
	struct channel *ch;
	struct str role;
	struct buf out;
	int fd = -1, sock = MASTER_FD;

	if (!str_token(&arg, " ", &role) ||
	    ((ch = channel_to(s, role)) == NULL &&
	    !str_eq(role, STR("master")))) {
		reply(s, "554 no such channel");
		return;
	}
	if (ch != NULL)
		sock = ch->fd;
	arg = str_trim(arg);
	buf_init(&out, IPC_PACKET_MAX);
	if (str_eq(arg, STR("bytes")))
		buf_str(&out, STR("\377\377\377\377 no frame at all"));
	else if (str_eq(arg, STR("descriptor")))
		ipc_encode(MSG__CLOSE, 2, NULL, &out, &fd);
	else
		for (int id = 1; id < MSG__MAX; id++)
			if (str_eq(arg, str_of(ipc_name((enum msg)id))))
				ipc_encode((enum msg)id,
				    ipc_flags((enum msg)id) & SOLO ? 0 : 0x8000,
				    &none, &out, &fd);
	if (out.n > 0 && put_packet(sock, buf_view(&out),
	    str_eq(arg, STR("descriptor")) ? STDIN_FILENO : -1))
		reply(s, "214 sent");
	else
		reply(s, "554 not sent");
	buf_free(&out);
}

static void
on_answer(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct session *s = ctx;
	const struct msg_access_answer *m = msg;

	(void)t;
	(void)id;
	s->ask = NULL;
	reply(s, "214 found=%u value=" STRF, (unsigned)m->found,
	    STRV(m->value));
	wait_over(s, COMMAND);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct session *s = ctx;

	(void)t;
	s->ask = NULL;
	reply(s, "554 gone: %s", why);
	wait_over(s, COMMAND);
}

static const struct talk_ops ask_ops = { on_answer, on_gone };

/* TABLE key table: what it has no business to know. */
static void
ask_table(struct session *s, struct str arg)
{
	struct channel *ch = channel_to(s, STR("lookup"));
	struct str key;

	if (ch == NULL || !str_token(&arg, " ", &key)) {
		reply(s, "554 no lookup");
		return;
	}
	wait_begin(s);
	s->ask = talk_open(ch, &ask_ops, s);
	talk_send(s->ask, MSG_access_ask, &(struct msg_access_ask){
	    .tables = str_trim(arg), .kind = ACCESS_DOMAIN, .subject = key,
	    .service = STR("smtp") });
}

/* FLOOD role n: questions without end, whose answers nobody reads. */
static void
flood(struct session *s, struct str arg)
{
	struct channel *ch;
	struct str role;
	struct buf out;
	uint64_t n = 0;
	int fd = -1;
	unsigned sent = 0;

	if (!str_token(&arg, " ", &role) || !str_number(str_trim(arg), &n) ||
	    (ch = channel_to(s, role)) == NULL) {
		reply(s, "554 no such channel");
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		buf_init(&out, IPC_PACKET_MAX);
		if (ch->peer == ROLE_LOOKUP)
			ipc_encode(MSG_address_ask, 0x100000 + i * 2 + ch->side,
			    &(struct msg_address_ask){
			    .address = STR("a@b.example") }, &out, &fd);
		else
			ipc_encode(MSG_mail_begin, 0x100000 + i * 2 + ch->side,
			    &(struct msg_mail_begin){ .sender = STR("a@b") },
			    &out, &fd);
		sent += put_packet(ch->fd, buf_view(&out), -1);
		buf_free(&out);
	}
	reply(s, "214 sent %u", sent);
}

/* The other system call tables of this processor: the filter's first look. */
static void
other_table(struct session *s, struct str arg)
{
	long r = -1;

	if (str_eq(arg, STR("x32")))
		r = syscall(0x40000000L + SYS_getpid);
	reply(s, "214 %s", r == -1 ? "failed" : "BREACH");
}

void
__wrap_cmd_help(struct session *s, struct str arg)
{
	static const struct {
		const char *word;
		void	  (*run)(struct session *, struct str);
	} words[] = {
		{ "TRY", try_all },	{ "FASTOPEN", fast_open },
		{ "FORGE", forge },	{ "TABLE", ask_table },
		{ "FLOOD", flood },	{ "CALLS", other_table },
	};
	struct str word;

	s->junk = 0;
	if (str_token(&arg, " ", &word))
		for (size_t i = 0; i < nitems(words); i++)
			if (str_eq_nocase(word, str_of(words[i].word))) {
				words[i].run(s, str_trim(arg));
				return;
			}
	reply(s, "500 nothing of that kind");
}
