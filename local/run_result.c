/*
 * run_result - how a command's end reads as a delivery status. Pure.
 *
 * <sysexits.h>, the statuses and the texts are those of pipe_command(3) and
 * sys_exits(3) of Postfix; RFC 3463 for a status that the output begins with.
 */
#include <sys/wait.h>
#include "dsn/dsn.h"
#include "local/command.h"

#define EX_FIRST	64	/* <sysexits.h> EX__BASE */

static const struct { const char *dsn, *text; } exits[] = {
	{ "5.3.0", "command line usage error" },
	{ "5.6.0", "data format error" },
	{ "5.3.0", "cannot open input" },
	{ "5.1.1", "user unknown" },
	{ "5.1.2", "host name unknown" },
	{ "5.3.0", "service unavailable" },
	{ "5.3.0", "internal software error" },
	{ "4.3.0", "system resource problem" },
	{ "5.3.0", "critical OS file missing" },
	{ "5.2.0", "can't create user output file" },
	{ "5.3.0", "input/output error" },
	{ "4.3.0", "temporary failure" },
	{ "5.5.0", "remote error in protocol" },
	{ "5.7.0", "permission denied" },
	{ "5.3.5", "local configuration error" },
};

/* One line of printable text: blanks for line ends and tabs, else '_'. */
static struct str
clean(struct str s, struct arena *arena)
{
	char *out = arena_alloc(arena, s.n + 1);
	size_t n = 0, len;

	while (s.n > 0) {
		unsigned char c = (unsigned char)s.p[0];
		uint32_t code;

		len = utf8_first(s, &code);
		if (c == '\t' || c == '\n' || c == '\r')
			out[n++] = ' ';
		else if (c < ' ' || c == 0x7f || len == 0 ||
		    (len > 1 && code < 0xa0))
			out[n++] = '_';
		else {
			memcpy(out + n, s.p, len);
			n += len;
		}
		s = str_from(s, len > 0 ? len : 1);
	}
	return str_trim((struct str){ out, n });
}

static void
say(struct msg_run_done *m, struct arena *arena, const char *dsn,
    const char *text, struct str output)
{
	m->dsn = str_of(dsn);
	m->status = dsn[0] == '4' ? DEFERRED : BOUNCED;
	m->text = str_of(arena_printf(arena, "%s%s" STRF, text,
	    output.n > 0 ? ". Command output: " : "", STRV(output)));
}

/* "4.2.1 text" or "5.2.1 text" at the start of the output. */
static bool
take_status(struct str output, struct arena *arena, struct msg_run_done *m)
{
	size_t n = dsn_status_length(output);

	if (n == 0 || (output.p[0] != '4' && output.p[0] != '5'))
		return false;
	m->dsn = arena_str(arena, str_first(output, n));
	m->text = str_trim(str_from(output, n));
	m->status = output.p[0] == '4' ? DEFERRED : BOUNCED;
	return true;
}

void
run_result(const struct run_end *e, struct arena *arena,
    struct msg_run_done *m)
{
	struct str output = clean(e->output, arena);
	int code = WIFEXITED(e->status) ? WEXITSTATUS(e->status) : 0;
	const char *text;

	if (e->unread) {
		say(m, arena, "4.3.0", "error reading message", STR(""));
	} else if (e->late) {
		text = arena_printf(arena, "Command time limit exceeded: \""
		    STRF "\"", STRV(e->command));
		say(m, arena, "5.3.0", text, output);
	} else if (WIFSIGNALED(e->status)) {
		text = arena_printf(arena, "Command died with signal %d: \""
		    STRF "\"", WTERMSIG(e->status), STRV(e->command));
		say(m, arena, "4.3.0", text, output);
	} else if (code == 0) {
		*m = (struct msg_run_done){ .status = SENT,
			.dsn = STR("2.0.0"), .text = output };
	} else if (take_status(output, arena, m)) {
		/* done */
	} else if (code >= EX_FIRST &&
	    (size_t)(code - EX_FIRST) < nitems(exits)) {
		say(m, arena, exits[code - EX_FIRST].dsn,
		    exits[code - EX_FIRST].text, output);
	} else {
		text = arena_printf(arena, "Command died with status %d: \""
		    STRF "\"", code, STRV(e->command));
		say(m, arena, "5.3.0", text, output);
	}
}
