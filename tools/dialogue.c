/*
 * dialogue - sendmail -bs: SMTP on standard input and output.
 *
 * For one local user, who may send whatever -t may: no restrictions, no
 * relay rules. Mail goes through postdrop, so it is taken while the system
 * is down too. RFC 5321 with SIZE, 8BITMIME, SMTPUTF8 and enhanced codes;
 * lines end in CR LF or LF.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "address/address.h"
#include "tools/sendmail.h"

#define INPUT_SIZE	65536
#define COMMAND_MAX	2048
#define CONTENT_CHUNK	32768
#define ERRORS_MAX	20

struct talker {
	struct sendmail *s;
	char	*input;			/* INPUT_SIZE bytes */
	size_t	 at, end;
	bool	 eof, quit;
	unsigned errors;
	bool	 greeted;
	struct arena *tx;		/* NULL: no MAIL yet */
	struct envelope e;
	size_t	 room;
};

struct verb {
	const char *name;
	void	  (*run)(struct talker *, struct str arg);
	unsigned    needs;
};
enum { NEED_HELO = 1, NEED_MAIL = 2, NEED_RCPT = 4, NOT_IN_MAIL = 8 };

static void	 cmd_helo(struct talker *, struct str);
static void	 cmd_ehlo(struct talker *, struct str);
static void	 cmd_mail(struct talker *, struct str);
static void	 cmd_rcpt(struct talker *, struct str);
static void	 cmd_data(struct talker *, struct str);
static void	 cmd_rset(struct talker *, struct str);
static void	 cmd_noop(struct talker *, struct str);
static void	 cmd_vrfy(struct talker *, struct str);
static void	 cmd_help(struct talker *, struct str);
static void	 cmd_quit(struct talker *, struct str);

static const struct verb verbs[] = {
	{ "HELO", cmd_helo, 0 },
	{ "EHLO", cmd_ehlo, 0 },
	{ "MAIL", cmd_mail, NEED_HELO | NOT_IN_MAIL },
	{ "RCPT", cmd_rcpt, NEED_MAIL },
	{ "DATA", cmd_data, NEED_MAIL | NEED_RCPT },
	{ "RSET", cmd_rset, 0 },
	{ "NOOP", cmd_noop, 0 },
	{ "VRFY", cmd_vrfy, 0 },
	{ "HELP", cmd_help, 0 },
	{ "QUIT", cmd_quit, 0 },
};

static void
reply(struct talker *t, const char *text)
{
	if (text[0] >= '4')
		t->errors++;
	/* Whoever does not read replies has gone: so do we. */
	if (printf("%s\r\n", text) < 0 || fflush(stdout) != 0)
		t->quit = true;
}

static void
reset(struct talker *t)
{
	arena_free(&t->tx);
	mem_free(t->e.rcpts);
	t->e = (struct envelope){ .nrcpts = 0 };
	t->room = 0;
}

/* More input behind what is there; false at its end. */
static bool
fill(struct talker *t)
{
	ssize_t n;

	if (t->at > 0) {
		memmove(t->input, t->input + t->at, t->end - t->at);
		t->end -= t->at;
		t->at = 0;
	}
	if (t->eof || t->end == INPUT_SIZE)
		return false;
	do
		n = read(0, t->input + t->end, INPUT_SIZE - t->end);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		t->eof = true;
	else
		t->end += (size_t)n;
	return n > 0;
}

/*
 * The next line without its end, or, *whole false, a piece of one that does
 * not fit. False at the end of input.
 */
static bool
read_line(struct talker *t, struct str *line, bool *whole)
{
	struct str view;
	size_t n;

	do {
		view = (struct str){ t->input + t->at, t->end - t->at };
		n = str_chr(view, '\n');
	} while (n == view.n && fill(t));
	view = (struct str){ t->input + t->at, t->end - t->at };
	n = str_chr(view, '\n');
	if (view.n == 0 || (n == view.n && t->eof))
		return false;		/* a line without end is no line */
	*whole = n < view.n;
	/* Of a piece the last byte stays: it may be the CR of the end. */
	*line = str_first(view, *whole ? n : n - 1);
	t->at += *whole ? n + 1 : n - 1;
	if (*whole && line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static void
cmd_helo(struct talker *t, struct str arg)
{
	char line[400];

	if (arg.n == 0) {
		reply(t, "501 Syntax: HELO hostname");
		return;
	}
	reset(t);
	t->greeted = true;
	snprintf(line, sizeof(line), "250 %s",
	    tool_param(&t->s->tool, "myhostname"));
	reply(t, line);
}

static void
cmd_ehlo(struct talker *t, struct str arg)
{
	char line[600];

	if (arg.n == 0) {
		reply(t, "501 Syntax: EHLO hostname");
		return;
	}
	reset(t);
	t->greeted = true;
	snprintf(line, sizeof(line), "250-%s\r\n250-PIPELINING\r\n"
	    "250-SIZE %lld\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
	    "250 SMTPUTF8", tool_param(&t->s->tool, "myhostname"),
	    (long long)conf_number(t->s->tool.conf, "message_size_limit"));
	reply(t, line);
}

/* "FROM:" or "TO:" and the path. */
static bool
read_path(struct talker *t, struct str *arg, struct str key, struct str *addr)
{
	if (!str_starts_nocase(*arg, key))
		return false;
	*arg = str_from(*arg, key.n);
	return address_read_path(arg, false, true, t->tx, addr) == PATH_OK &&
	    maildrop_text_ok(*addr);
}

/* One MAIL parameter; NULL, or a refusal. */
static const char *
mail_param(struct talker *t, struct str word)
{
	int64_t most = conf_number(t->s->tool.conf, "message_size_limit");
	uint64_t size;

	if (str_eq_nocase(word, STR("BODY=8BITMIME"))) {
		envelope_attr(&t->e, "encoding", STR("8bit"));
	} else if (str_eq_nocase(word, STR("BODY=7BIT"))) {
		envelope_attr(&t->e, "encoding", STR("7bit"));
	} else if (str_eq_nocase(word, STR("SMTPUTF8"))) {
		envelope_attr(&t->e, "smtputf8", STR("yes"));
	} else if (str_starts_nocase(word, STR("SIZE="))) {
		if (!str_number(str_from(word, 5), &size))
			return "501 5.5.4 Bad message size syntax";
		if (most > 0 && size > (uint64_t)most)
			return "552 5.3.4 Message size exceeds fixed limit";
	} else {
		return "555 5.5.4 Unsupported option";
	}
	return NULL;
}

static void
cmd_mail(struct talker *t, struct str arg)
{
	const char *refusal = NULL;
	struct str word, name = sendmail_full_name(t->s);
	size_t words = 0;

	t->tx = arena_new((size_t)256 << 20);
	if (!read_path(t, &arg, STR("FROM:"), &t->e.sender))
		refusal = "501 5.1.7 Bad sender address syntax";
	envelope_attr(&t->e, "rewrite", STR("local"));
	if (name.n > 0)
		envelope_attr(&t->e, "full_name", name);
	while (refusal == NULL && str_token(&arg, " \t", &word))
		refusal = ++words > 4 ? "555 5.5.4 Too many options" :
		    mail_param(t, word);
	if (refusal != NULL)
		reset(t);
	reply(t, refusal != NULL ? refusal : "250 2.1.0 Ok");
}

static void
cmd_rcpt(struct talker *t, struct str arg)
{
	struct str addr;

	if (!read_path(t, &arg, STR("TO:"), &addr) || addr.n == 0) {
		reply(t, "501 5.1.3 Bad recipient address syntax");
		return;
	}
	if (str_trim(arg).n > 0) {
		reply(t, "555 5.5.4 Unsupported option");
		return;
	}
	if (t->e.nrcpts == MAILDROP_RCPTS_MAX) {
		reply(t, "452 4.5.3 Error: too many recipients");
		return;
	}
	if (t->e.nrcpts == t->room) {
		t->room = t->room ? 2 * t->room : 16;
		t->e.rcpts = mem_grow(t->e.rcpts, t->room,
		    sizeof(*t->e.rcpts));
	}
	t->e.rcpts[t->e.nrcpts++] = addr;
	reply(t, "250 2.1.5 Ok");
}

/* Content up to the lone dot. False: input ended before it. */
static bool
read_content(struct talker *t, struct submit *sub)
{
	struct buf out;
	struct str line;
	bool whole, start = true, done = false;

	buf_init(&out, CONTENT_CHUNK + INPUT_SIZE + 2);
	while (!done && read_line(t, &line, &whole)) {
		if (start && whole && str_eq(line, STR("."))) {
			done = true;
			break;
		}
		if (start && str_starts(line, STR(".")))
			line = str_from(line, 1);	/* RFC 5321 4.5.2 */
		buf_str(&out, line);
		if (whole)
			buf_putc(&out, '\n');
		start = whole;
		if (out.n >= CONTENT_CHUNK) {
			submit_content(sub, buf_view(&out));
			buf_clear(&out);
		}
	}
	submit_content(sub, buf_view(&out));
	buf_free(&out);
	return done;
}

static void
cmd_data(struct talker *t, struct str arg)
{
	struct submit sub;
	const char *text;
	char line[600];
	int status;

	if (arg.n > 0) {
		reply(t, "501 5.5.4 Syntax: DATA");
		return;
	}
	if (!submit_open(&sub, &t->s->tool, &t->e, &text)) {
		reply(t, "451 4.3.0 Error: queue file write error");
		return;
	}
	reply(t, "354 End data with <CR><LF>.<CR><LF>");
	if (!read_content(t, &sub)) {
		submit_cancel(&sub);
		t->quit = true;
		return;
	}
	status = submit_finish(&sub, &text);
	if (status == EX_OK)
		snprintf(line, sizeof(line),
		    "250 2.0.0 Ok: queued as %.100s", text);
	else if (status == EX_TEMPFAIL)
		snprintf(line, sizeof(line), "451 4.3.0 Error: %.400s", text);
	else if (status == EX_UNAVAILABLE)
		snprintf(line, sizeof(line), "552 5.3.4 Error: %.400s", text);
	else
		snprintf(line, sizeof(line), "554 5.3.0 Error: %.400s", text);
	reset(t);
	reply(t, line);
}

static void
cmd_rset(struct talker *t, struct str arg)
{
	if (arg.n > 0) {
		reply(t, "501 5.5.4 Syntax: RSET");
		return;
	}
	reset(t);
	reply(t, "250 2.0.0 Ok");
}

static void
cmd_noop(struct talker *t, struct str arg)
{
	(void)arg;
	reply(t, "250 2.0.0 Ok");
}

/* RFC 5321 7.3: neither confirmed nor denied. */
static void
cmd_vrfy(struct talker *t, struct str arg)
{
	reply(t, arg.n == 0 ? "501 5.5.4 Syntax: VRFY address" :
	    "252 2.0.0 Cannot VRFY user, but will accept message");
}

static void
cmd_help(struct talker *t, struct str arg)
{
	(void)arg;
	reply(t, "214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP VRFY QUIT");
}

static void
cmd_quit(struct talker *t, struct str arg)
{
	(void)arg;
	reply(t, "221 2.0.0 Bye");
	t->quit = true;
}

/* What a verb needs and is not so: the refusal, or NULL. */
static const char *
missing(const struct talker *t, unsigned needs)
{
	if (needs & NEED_HELO && !t->greeted)
		return "503 5.5.1 Error: send HELO/EHLO first";
	if (needs & NOT_IN_MAIL && t->tx != NULL)
		return "503 5.5.1 Error: nested MAIL command";
	if (needs & NEED_MAIL && t->tx == NULL)
		return "503 5.5.1 Error: need MAIL command";
	if (needs & NEED_RCPT && t->e.nrcpts == 0)
		return "554 5.5.1 Error: no valid recipients";
	return NULL;
}

static void
on_command(struct talker *t, struct str line)
{
	size_t n = str_chr(line, ' ');
	struct str verb = str_first(line, n);
	struct str arg = str_trim(str_from(line, n));
	const char *refusal;

	for (size_t i = 0; i < nitems(verbs); i++) {
		if (!str_eq_nocase(verb, str_of(verbs[i].name)))
			continue;
		refusal = missing(t, verbs[i].needs);
		if (refusal != NULL)
			reply(t, refusal);
		else
			verbs[i].run(t, arg);
		return;
	}
	reply(t, "500 5.5.2 Error: command not recognized");
}

void
dialogue(struct sendmail *s)
{
	struct talker t = { .s = s, .input = mem_new(INPUT_SIZE) };
	struct str line;
	bool whole;
	char hello[600];

	snprintf(hello, sizeof(hello), "220 %s ESMTP %s",
	    tool_param(&s->tool, "myhostname"),
	    tool_param(&s->tool, "mail_name"));
	reply(&t, hello);
	while (!t.quit && read_line(&t, &line, &whole)) {
		if (!whole || line.n > COMMAND_MAX) {
			reply(&t, "500 5.5.2 Error: line too long");
			t.quit = true;
		} else {
			on_command(&t, line);
		}
		if (t.errors > ERRORS_MAX && !t.quit) {
			reply(&t, "421 4.7.0 Error: too many errors");
			t.quit = true;
		}
	}
	reset(&t);
	mem_free(t.input);
	exit(EX_OK);
}
