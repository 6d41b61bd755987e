/*
 * submit - a message on its way through postdrop, for sendmail.
 *
 * postdrop reads the frames of maildrop.h on its standard input and answers
 * one line on its standard output: "0 ID", or an exit status and a reason.
 */
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/submit.h"

#define CHUNK		32768	/* bytes that go into one write */
#define ANSWER_MAX	2048

void
envelope_attr(struct envelope *e, const char *name, struct str value)
{
	assert(e->nattrs < nitems(e->attrs));
	e->attrs[e->nattrs].name = name;
	e->attrs[e->nattrs++].value = value;
}

static void
run_postdrop(struct tool *t, int in, int out)
{
	const char *path = tool_path(t, "postdrop");
	char *argv[] = { mem_strdup("postdrop"), mem_strdup("-r"),
	    mem_strdup("-c"), mem_strdup(conf_dir(t->conf)), NULL };

	if (dup2(in, 0) == 0 && dup2(out, 1) == 1)
		execv(path, argv);
	_exit(EX_UNAVAILABLE);
}

static void
flush(struct submit *s)
{
	if (!s->broken &&
	    fd_write_all(s->to, s->out.p, s->out.n) != 0)
		s->broken = true;	/* its answer tells why */
	buf_clear(&s->out);
}

bool
submit_open(struct submit *s, struct tool *t, const struct envelope *e,
    const char **why)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };

	*s = (struct submit){ .tool = t, .pid = -1, .to = -1, .from = -1 };
	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0)
		s->pid = fork();
	if (s->pid == 0)
		run_postdrop(t, in[0], out[1]);
	fd_close(&in[0]);
	fd_close(&out[1]);
	s->to = in[1];
	s->from = out[0];
	if (s->pid < 0) {
		*why = arena_printf(t->arena, "unable to execute postdrop: %s",
		    strerror(errno));
		fd_close(&s->to);
		fd_close(&s->from);
		return false;
	}
	buf_init(&s->out, 4 * CHUNK + MAILDROP_FRAME_MAX);
	maildrop_begin(&s->writer, &s->out);
	maildrop_put(&s->writer, MD_SENDER, e->sender);
	for (size_t i = 0; i < e->nattrs; i++)
		maildrop_put_attr(&s->writer, e->attrs[i].name,
		    e->attrs[i].value);
	for (size_t i = 0; i < e->nrcpts; i++) {
		maildrop_put_rcpt(&s->writer, e->rcpts[i], e->notify);
		if (s->out.n >= CHUNK)
			flush(s);
	}
	return true;
}

void
submit_content(struct submit *s, struct str text)
{
	while (text.n > 0) {
		struct str piece = str_first(text, CHUNK);

		maildrop_put(&s->writer, MD_CONTENT, piece);
		if (s->out.n >= CHUNK)
			flush(s);
		text = str_from(text, piece.n);
	}
}

static size_t
read_answer(struct submit *s, char answer[ANSWER_MAX])
{
	size_t n = 0;
	ssize_t got;

	while (n < ANSWER_MAX - 1) {
		got = read(s->from, answer + n, ANSWER_MAX - 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return n;
}

static int
reap(struct submit *s)
{
	int status = 0;

	while (waitpid(s->pid, &status, 0) < 0)
		if (errno != EINTR)
			return EX_OSERR;
	s->pid = -1;
	if (WIFSIGNALED(status))
		return EX_TEMPFAIL;
	return WEXITSTATUS(status);
}

/* Closes both pipes, waits, reads the answer line. */
static int
conclude(struct submit *s, const char **text)
{
	char answer[ANSWER_MAX];
	struct str line, code;
	uint64_t said;
	int status;

	fd_close(&s->to);
	line = (struct str){ answer, read_answer(s, answer) };
	fd_close(&s->from);
	status = reap(s);
	buf_free(&s->out);
	line = str_trim(line);
	code = str_first(line, str_chr(line, ' '));
	if (!str_number(code, &said) || said > 255) {
		*text = "postdrop did not answer";
		return status == EX_OK ? EX_TEMPFAIL : status;
	}
	*text = arena_cstr(s->tool->arena, str_from(line, code.n + 1));
	/* Only "0", said and done, is success. */
	return said == EX_OK && status != EX_OK ? EX_TEMPFAIL : (int)said;
}

int
submit_finish(struct submit *s, const char **text)
{
	maildrop_commit(&s->writer);
	flush(s);
	return conclude(s, text);
}

void
submit_cancel(struct submit *s)
{
	const char *text;

	(void)conclude(s, &text);	/* no commit: it removes its file */
}
