/*
 * pam - asks PAM about passwords, for auth.
 *
 * A module may wait for ever, crash or leak, so each question has a process
 * of its own, which is killed when its time is up or nobody waits for the
 * answer any more. auth_pam_process_limit of them run; others wait in line.
 *
 * Runs as postern-pam, never as root: with the groups that this user is in,
 * of which shadow is what pam_unix needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pam/pam.h"
#include "service/service.h"
#include "table/table.h"
#include "users/users.h"

#define ANSWER_FD	3	/* in the child */
#define ANSWER_MAX	256	/* a verdict and a text */
#define WAITING_MAX	10000	/* auth_hash_backlog is less, mostly */

struct pam_conf {
#define PARAM PARAM_MEMBER
#include "auth/params_pam.def"
#undef PARAM
};
static const struct param params[] = {
#define PARAM(...) PARAM_ROW(struct pam_conf, __VA_ARGS__)
#include "auth/params_pam.def"
#undef PARAM
};

struct pam {
	struct pam_conf	   conf;
	struct loop	  *loop;
	struct arena	  *arena;
	const char	  *service, *directory;
	struct match_list *domains;
	struct list	   running, waiting;	/* struct question */
	size_t		   nrunning, nwaiting;
};

enum state { NEW, WAITING, RUNNING };
struct question {
	struct list	 link;
	enum state	 state;
	struct pam	*pam;
	struct talk	*talk;		/* NULL: answered, or nobody waits */
	char		*user, *password, *client;
	pid_t		 pid;		/* 0: not begun, or reaped */
	int		 fd;		/* the answer comes here; -1: it came */
	struct watch	*watch;
	struct timer	*timer;
};

static void	on_message(void *ctx, struct talk *, enum msg, const void *);
static void	on_gone(void *ctx, struct talk *, const char *why);
static void	on_answer(void *ctx, unsigned what);
static void	on_late(void *ctx);
static void	on_child(void *ctx, int signo);
static void	begin_next(struct pam *);
static bool	begin(struct question *);
static void	answer(struct question *, enum password_verdict);
static void	end(struct question *);

static const struct talk_ops talk_ops = { on_message, on_gone };

static void
on_check(void *ctx, struct service *service, struct problems *p)
{
	struct pam *m = ctx;
	struct conf *conf = service_conf(service);
	const char *dir = NULL, *file;
	struct buf why;
	int line = 0;

	m->arena = arena_new(65536);
	m->service = arena_cstr(m->arena, m->conf.auth_pam_service);
	m->directory = arena_cstr(m->arena, m->conf.auth_pam_directory);
	file = conf_where(conf, STR("auth_pam_service"), &line);
	dir = m->directory[0] != '\0' ? m->directory : "/etc/pam.d";
	if (m->service[0] == '\0' || strchr(m->service, '/') != NULL)
		problem_add(p, true, file, line,
		    "auth_pam_service: not the name of a PAM service");
	else if (access(arena_printf(m->arena, "%s/%s", dir, m->service),
	    F_OK) != 0)
		problem_add(p, false, file, line, "auth_pam_service: there "
		    "is no %s/%s, and no user of PAM's can log in; write it, "
		    "or name another", dir, m->service);
	buf_init(&why, 4096);
	m->domains = match_list_open(m->conf.auth_pam_domains, conf_dir(conf),
	    MATCH_WHOLE, &why);
	if (why.n > 0)
		problem_add(p, service_checks(service), NULL, 0,
		    "auth_pam_domains: %s", buf_cstr(&why));
	buf_free(&why);
}

static void
on_start(void *ctx, struct service *service)
{
	struct pam *m = ctx;

	m->loop = service_loop(service);
	list_init(&m->running);
	list_init(&m->waiting);
	/* What modules start and leave behind becomes our child. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	loop_on_signal(m->loop, SIGCHLD, on_child, m);
}

static void
on_talk(void *ctx, struct talk *t, enum msg id)
{
	struct question *q = mem_new(sizeof(*q));

	(void)id;
	q->pam = ctx;
	q->talk = t;
	q->fd = -1;
	list_init(&q->link);
	talk_set(t, &talk_ops, q);
}

/* The name in this system; NULL: nobody's. */
static char *
system_name(struct pam *m, struct str user)
{
	size_t at = str_rchr(user, '@');
	struct str name = user;

	if (at < user.n && match_list_domain(m->domains,
	    str_from(user, at + 1)) == FOUND)
		name = str_first(user, at);
	/* Modules make paths and arguments of it. */
	if (!user_name_valid(name) || name.p[0] == '-' || name.p[0] == '.' ||
	    str_chr(name, '/') < name.n || str_chr(name, ':') < name.n)
		return NULL;
	return mem_copy(name);
}

static void
on_message(void *ctx, struct talk *t, enum msg id, const void *msg)
{
	struct question *q = ctx;
	struct pam *m = q->pam;
	const struct msg_pam_ask *ask = msg;

	(void)t;
	(void)id;
	if (q->user != NULL)
		return;
	q->user = system_name(m, ask->user);
	q->password = mem_copy(ask->password);
	q->client = mem_copy(ask->client_addr);
	if (q->user == NULL || ask->password.n > PASSWORD_MAX ||
	    strlen(q->password) != ask->password.n) {
		answer(q, PASSWORD_WRONG);
		return;
	}
	if (m->nwaiting >= WAITING_MAX) {
		answer(q, PASSWORD_FAULT);
		return;
	}
	q->timer = timer_new(m->loop, on_late, q);
	timer_set(q->timer, m->conf.auth_pam_timeout * 1000);
	list_append(&m->waiting, &q->link);
	q->state = WAITING;
	m->nwaiting++;
	begin_next(m);
}

static void
begin_next(struct pam *m)
{
	struct question *q;

	while (m->nwaiting > 0 &&
	    m->nrunning < (size_t)m->conf.auth_pam_process_limit) {
		q = container_of(m->waiting.next, struct question, link);
		list_remove(&q->link);
		m->nwaiting--;
		list_append(&m->running, &q->link);
		q->state = RUNNING;
		m->nrunning++;
		if (!begin(q))
			answer(q, PASSWORD_FAULT);
	}
}

/* The child: one question, one answer, no way back into our loop. */
static _Noreturn void
ask_pam(const struct question *q, int out)
{
	const struct pam_question question = { q->pam->service,
		q->pam->directory, q->user, q->password, q->client };
	enum password_verdict verdict;
	char text[ANSWER_MAX];
	const char *why;
	size_t n;

	if (dup2(out, ANSWER_FD) != ANSWER_FD ||
	    fd_cloexec(ANSWER_FD, true) != 0)
		_exit(1);
	fd_close_from(ANSWER_FD + 1);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	signals_reset();
	verdict = pam_check(&question, &why);
	n = strlen(why) < sizeof(text) - 1 ? strlen(why) : sizeof(text) - 1;
	text[0] = (char)('0' + verdict);
	memcpy(text + 1, why, n);
	_exit(write(ANSWER_FD, text, n + 1) < 0);
}

static bool
begin(struct question *q)
{
	sigset_t all, before;
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) != 0) {
		log_warn("pipe: %s", strerror(errno));
		return false;
	}
	log_flush();
	/* No handler of ours may run in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	q->pid = fork();
	if (q->pid == 0)
		ask_pam(q, fd[1]);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	close(fd[1]);
	if (q->pid < 0) {
		log_warn("fork: %s", strerror(errno));
		q->pid = 0;
		close(fd[0]);
		return false;
	}
	(void)fd_nonblock(fd[0]);
	q->fd = fd[0];
	q->watch = watch_new(q->pam->loop, q->fd, on_answer, q);
	watch_want(q->watch, WATCH_READ);
	return true;
}

/* Its bytes come in one piece: they are less than PIPE_BUF. */
static void
on_answer(void *ctx, unsigned what)
{
	struct question *q = ctx;
	struct pam *m = q->pam;
	char text[ANSWER_MAX];
	ssize_t n = read(q->fd, text, sizeof(text));

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 1 || text[0] < '0' + PASSWORD_RIGHT ||
	    text[0] > '0' + PASSWORD_FAULT) {
		log_warn("%s: PAM service %s: a module crashed", q->user,
		    m->service);
		answer(q, PASSWORD_FAULT);
	} else {
		if (text[0] == '0' + PASSWORD_FAULT)
			log_warn("%s: PAM service %s: %.*s", q->user,
			    m->service, (int)n - 1, text + 1);
		else if (text[0] == '0' + PASSWORD_WRONG)
			log_debug("%s: PAM service %s: %.*s", q->user,
			    m->service, (int)n - 1, text + 1);
		answer(q, (enum password_verdict)(text[0] - '0'));
	}
	begin_next(m);
}

static void
on_late(void *ctx)
{
	struct question *q = ctx;

	log_warn("%s: PAM service %s does not answer in time", q->user,
	    q->pam->service);
	answer(q, PASSWORD_FAULT);
}

static void
on_gone(void *ctx, struct talk *t, const char *why)
{
	struct question *q = ctx;

	(void)t;
	(void)why;
	q->talk = NULL;
	end(q);
}

static void
answer(struct question *q, enum password_verdict verdict)
{
	struct talk *t = q->talk;

	q->talk = NULL;
	if (t != NULL)
		talk_send(t, MSG_pam_answer, &(struct msg_pam_answer){
		    .verdict = verdict });
	end(q);
}

/* Its process counts until it is reaped: that is what the limit is of. */
static void
end(struct question *q)
{
	watch_free(&q->watch);
	fd_close(&q->fd);
	timer_free(&q->timer);
	if (q->pid > 0) {
		(void)kill(q->pid, SIGKILL);
		return;
	}
	q->pam->nwaiting -= q->state == WAITING;
	q->pam->nrunning -= q->state == RUNNING;
	list_remove(&q->link);
	if (q->password != NULL)
		password_wipe(q->password, strlen(q->password));
	mem_free(q->password);
	mem_free(q->user);
	mem_free(q->client);
	mem_free(q);
}

static bool
is_asking(struct pam *m, pid_t pid)
{
	list_each(l, &m->running)
		if (container_of(l, struct question, link)->pid == pid)
			return true;
	return false;
}

/* pam_exec's program is in a session of its own: no group to kill. */
static void
end_orphans(struct pam *m)
{
	struct str rest, word;
	struct buf text;
	uint64_t pid;

	buf_init(&text, 65536);
	if (file_read(AT_FDCWD, "/proc/thread-self/children", 65536,
	    &text) != 0)
		buf_clear(&text);
	rest = buf_view(&text);
	while (str_token(&rest, " \n", &word))
		if (str_number(word, &pid) && pid > 1 && pid < INT32_MAX &&
		    !is_asking(m, (pid_t)pid)) {
			(void)kill((pid_t)pid, SIGKILL);
			(void)waitpid((pid_t)pid, NULL, WNOHANG);
		}
	buf_free(&text);
}

static void
on_child(void *ctx, int signo)
{
	struct pam *m = ctx;

	(void)signo;
	list_each(l, &m->running) {
		struct question *q = container_of(l, struct question, link);

		if (q->pid == 0 || waitpid(q->pid, NULL, WNOHANG) != q->pid)
			continue;
		q->pid = 0;
		if (q->fd < 0)
			end(q);
	}
	end_orphans(m);
	begin_next(m);
}

int
main(int argc, char **argv)
{
	struct pam m = { 0 };
	const struct service_def def = {
		.role = ROLE_PAM, .params = params, .nparams = nitems(params),
		.conf = &m.conf, .ctx = &m, .check = on_check,
		.start = on_start, .on_talk = on_talk,
	};

	return service_main(&def, argc, argv);
}
