/*
 * run - one command with a message on its standard input.
 *
 * What it writes is read and, but for the first RUN_OUTPUT_MAX bytes,
 * forgotten; beyond OUTPUT_PATIENCE it is not read any more and the command
 * gets SIGPIPE. When its time is up its whole session is killed. A command
 * that does not want all of its input is no error: its exit status decides.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "local/command.h"
#include "sys/sys.h"

#define PIECE		32768
#define PREFIX_MAX	16384
#define STRINGS_MAX	(1 << 18)	/* packets bound it */
#define OUTPUT_PATIENCE	(1 << 20)

struct run {
	struct list	 link;
	struct runner	*runner;
	struct arena	*arena;
	struct msg_run	 job;
	void		(*done)(void *, const struct msg_run_done *);
	void		*ctx;
	pid_t		 pid;
	int		 in, out;	/* our ends */
	struct watch	*in_watch, *out_watch;
	struct timer	*limit;
	struct run_text	 text;
	struct buf	 piece;		/* goes to the command */
	struct buf	 output;	/* comes from it */
	size_t		 sent;		/* of piece */
	uint64_t	 at;		/* of header and body together */
	uint64_t	 heard;
	bool		 all;		/* nothing comes after piece */
	struct run_end	 end;
};

static void
close_in(struct run *r)
{
	watch_free(&r->in_watch);
	fd_close(&r->in);
}

static void
close_out(struct run *r)
{
	watch_free(&r->out_watch);
	fd_close(&r->out);
}

static void
finish(struct run *r, const struct msg_run_done *m)
{
	r->done(r->ctx, m);
	close_in(r);
	close_out(r);
	fd_close(&r->job.queue_file);
	timer_free(&r->limit);
	buf_free(&r->piece);
	buf_free(&r->output);
	list_remove(&r->link);
	r->runner->n--;
	arena_free(&r->arena);
	mem_free(r);
}

static void
give_up(struct run *r, const char *text)
{
	finish(r, &(struct msg_run_done){ .status = DEFERRED,
	    .dsn = STR("4.3.0"), .text = str_of(text) });
}

/* setsid() made it the leader of a group of its own. */
static void
kill_all(const struct run *r)
{
	if (kill(-r->pid, SIGKILL) < 0)
		(void)kill(r->pid, SIGKILL);
}

/* --- to the command --- */

/* Reads on in the queue file. False: it cannot be read. */
static bool
next_piece(struct run *r)
{
	const struct msg_run *m = &r->job;
	bool header = r->at < m->header_len;
	uint64_t off = header ? m->header_off + r->at :
	    m->body_off + (r->at - m->header_len);
	uint64_t left = (header ? 0 : m->body_len) + m->header_len - r->at;
	size_t want = left < PIECE ? (size_t)left : PIECE;
	char *bytes;
	ssize_t got;

	if (left == 0) {
		run_suffix(&r->text, &r->piece);
		r->all = true;
		return true;
	}
	bytes = mem_grow(NULL, want, 1);
	got = fd_pread_all(m->queue_file, bytes, want, (off_t)off);
	if (got > 0 && (size_t)got == want)
		r->at += run_text(&r->text, (struct str){ bytes, want },
		    want == left, &r->piece);
	mem_free(bytes);
	return got > 0 && (size_t)got == want;
}

static void
feed(struct run *r)
{
	for (;;) {
		ssize_t n;

		if (r->sent == r->piece.n) {
			buf_clear(&r->piece);
			r->sent = 0;
			if (r->all) {
				close_in(r);
				return;
			}
			if (!next_piece(r)) {
				r->end.unread = true;
				kill_all(r);
				close_in(r);
				return;
			}
			continue;
		}
		n = write(r->in, r->piece.p + r->sent, r->piece.n - r->sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			watch_want(r->in_watch, WATCH_WRITE);
			return;
		}
		if (n < 0) {		/* EPIPE: it has had enough */
			close_in(r);
			return;
		}
		r->sent += (size_t)n;
	}
}

static void
on_in(void *ctx, unsigned what)
{
	(void)what;
	feed(ctx);
}

/* --- from the command --- */

static void
hear(struct run *r)
{
	char bytes[4096];
	ssize_t n;

	while (r->out >= 0) {
		n = read(r->out, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close_out(r);
			return;
		}
		r->heard += (uint64_t)n;
		buf_str(&r->output, str_first((struct str){ bytes,
		    (size_t)n }, RUN_OUTPUT_MAX - r->output.n));
		if (r->heard > OUTPUT_PATIENCE)
			close_out(r);
	}
}

static void
on_out(void *ctx, unsigned what)
{
	(void)what;
	hear(ctx);
}

static void
on_limit(void *ctx)
{
	struct run *r = ctx;

	r->end.late = true;
	kill_all(r);
}

static void
ended(struct run *r, int status)
{
	struct msg_run_done m = { .status = DEFERRED };

	hear(r);			/* its last words */
	r->end.status = status;
	r->end.output = buf_view(&r->output);
	run_result(&r->end, r->arena, &m);
	finish(r, &m);
}

static void
on_child(void *ctx, int signo)
{
	struct runner *runner = ctx;
	bool more = true;

	(void)signo;
	while (more) {			/* done may begin another */
		more = false;
		list_each(l, &runner->runs) {
			struct run *r = container_of(l, struct run, link);
			int status;

			if (waitpid(r->pid, &status, WNOHANG) != r->pid)
				continue;
			ended(r, status);
			more = true;
			break;
		}
	}
}

/* --- birth --- */

void
runner_init(struct runner *r, struct loop *loop, const char *directory)
{
	r->loop = loop;
	r->directory = directory;
	list_init(&r->runs);
	r->n = 0;
	loop_on_signal(loop, SIGCHLD, on_child, r);
}

static struct run *
run_new(struct runner *runner, const struct msg_run *job)
{
	struct run *r = mem_new(sizeof(*r));
	struct arena *a = arena_new(STRINGS_MAX * 4);

	r->runner = runner;
	r->arena = a;
	r->job = *job;
	r->job.queue_id = arena_str(a, job->queue_id);
	r->job.command = arena_str(a, job->command);
	r->job.shell = arena_str(a, job->shell);
	r->job.argv = arena_str(a, job->argv);
	r->job.environment = arena_str(a, job->environment);
	r->job.directory = arena_str(a, job->directory);
	r->job.eol = arena_str(a, job->eol);
	r->job.sender = arena_str(a, job->sender);
	r->job.recipient = arena_str(a, job->recipient);
	r->job.original = arena_str(a, job->original);
	r->in = r->out = -1;
	r->text = (struct run_text){ .flags = job->flags,
		.eol = r->job.eol };
	r->end.command = r->job.command.n > 0 ? r->job.command :
	    str_first(r->job.argv, str_chr(r->job.argv, '\0'));
	buf_init(&r->piece, PREFIX_MAX + 4 * PIECE + PIECE * r->job.eol.n);
	buf_init(&r->output, RUN_OUTPUT_MAX);
	list_append(&runner->runs, &r->link);
	runner->n++;
	return r;
}

static bool
regions_sane(const struct msg_run *m)
{
	return m->header_off <= INT64_MAX / 4 &&
	    m->header_len <= INT64_MAX / 4 && m->body_off <= INT64_MAX / 4 &&
	    m->body_len <= INT64_MAX / 4 && m->queue_file >= 0 &&
	    m->time_limit > 0 && m->time_limit <= INT32_MAX &&
	    m->eol.n <= 16 && (m->command.n > 0 || m->argv.n > 0);
}

/* Both pipes; *in and *out are the command's ends. */
static bool
make_pipes(struct run *r, int *in, int *out)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0)
		return false;
	if (pipe2(from, O_CLOEXEC) < 0) {
		fd_close(&to[0]);
		fd_close(&to[1]);
		return false;
	}
	*in = to[0];
	r->in = to[1];
	r->out = from[0];
	*out = from[1];
	(void)fd_nonblock(r->in);
	(void)fd_nonblock(r->out);
	return true;
}

void
run_begin(struct runner *runner, const struct msg_run *job, const char *who,
    void (*done)(void *, const struct msg_run_done *), void *ctx)
{
	struct run *r = run_new(runner, job);
	struct run_words words = { .who = who, .home = runner->directory };
	int in = -1, out = -1;

	r->done = done;
	r->ctx = ctx;
	if (!regions_sane(&r->job)) {
		give_up(r, "bad delivery request");
		return;
	}
	run_words(&r->job, r->arena, &words);
	run_prefix(&r->job, clock_wall_s(), &r->piece);
	if (!make_pipes(r, &in, &out) ||
	    (r->pid = run_spawn(&words, in, out)) < 0) {
		const char *text = arena_printf(r->arena,
		    "Delivery failed: %s", strerror(errno));

		fd_close(&in);
		fd_close(&out);
		give_up(r, text);
		return;
	}
	fd_close(&in);
	fd_close(&out);
	r->limit = timer_new(runner->loop, on_limit, r);
	timer_set(r->limit, (int64_t)r->job.time_limit * 1000);
	r->in_watch = watch_new(runner->loop, r->in, on_in, r);
	r->out_watch = watch_new(runner->loop, r->out, on_out, r);
	watch_want(r->out_watch, WATCH_READ);
	feed(r);
}
