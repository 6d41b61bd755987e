/* What commands read, and how their end is understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "local/command.h"
#include "local/pipe.h"

static const struct { unsigned flags; const char *eol, *in, *out; } texts[] = {
	{ 0, "\n", "a\r\nb\r\n", "a\nb\n" },
	{ 0, "\r\n", "a\r\nb\r\n", "a\r\nb\r\n" },
	{ 0, "\n", "no end", "no end\n" },
	{ 0, "\n", "cr\rin\r\n", "cr\rin\n" },
	{ 0, "\n", "last\r", "last\r\n" },
	{ 0, "\n", ".a\r\nFrom b\r\n", ".a\nFrom b\n" },
	{ RUN_DOTS, "\n", ".a\r\n..\r\nb.\r\n", "..a\n...\nb.\n" },
	{ RUN_QUOTE_FROM, "\n", "From a\r\nFrom: b\r\n>From c\r\nx From d\r\n",
	    ">From a\nFrom: b\n>From c\nx From d\n" },
	{ RUN_QUOTE_FROM, "\n", "Fro", "Fro\n" },
	{ RUN_BLANK, "\n", "a\r\n", "a\n\n" },
	{ RUN_DOTS | RUN_QUOTE_FROM, "\n", "From .\r\n.From \r\n",
	    ">From .\n..From \n" },
	{ 0, "\n", "", "" },
};

/* Every cut of the input gives the same. */
static void
test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < nitems(texts); i++) {
		struct str in = str_of(texts[i].in);

		for (size_t cut = 0; cut <= in.n; cut++) {
			struct run_text t = { .flags = texts[i].flags,
				.eol = str_of(texts[i].eol) };
			struct buf out;
			size_t n;

			buf_init(&out, 4096);
			n = run_text(&t, str_first(in, cut), cut == in.n,
			    &out);
			assert_true(n <= cut && cut - n <= 5);
			if (n < in.n)
				assert_int_equal(run_text(&t,
				    str_from(in, n), true, &out), in.n - n);
			run_suffix(&t, &out);
			assert_string_equal(buf_cstr(&out), texts[i].out);
			buf_free(&out);
		}
	}
}

static void
test_prefix(void **state)
{
	struct msg_run m = { .flags = RUN_RETURN_PATH | RUN_ORIGINAL |
		RUN_DELIVERED, .eol = STR("\n"), .sender = STR("a b@c"),
		.recipient = STR("r@x"), .original = STR("o@x") };
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	run_prefix(&m, 0, &out);
	assert_string_equal(buf_cstr(&out), "Return-Path: <\"a b\"@c>\n"
	    "X-Original-To: o@x\nDelivered-To: r@x\n");
	buf_clear(&out);
	m.flags = RUN_FROM | RUN_RETURN_PATH;
	m.sender = STR("");
	m.eol = STR("\r\n");
	run_prefix(&m, 0, &out);
	assert_true(str_starts(buf_view(&out), STR("From MAILER-DAEMON  ")));
	assert_true(str_ends_nocase(buf_view(&out),
	    STR(" 1970\r\nReturn-Path: <>\r\n")));
	buf_free(&out);
}

#define EXIT(n)	((n) << 8)
static const struct {
	int	    status;
	bool	    late, unread;
	const char *output;
	enum delivery_status result;
	const char *dsn, *text;
} ends[] = {
	{ EXIT(0), false, false, "", SENT, "2.0.0", "" },
	{ EXIT(0), false, false, " all\twell\n", SENT, "2.0.0", "all well" },
	{ EXIT(1), false, false, "", BOUNCED, "5.3.0",
	    "Command died with status 1: \"cmd\"" },
	{ EXIT(1), false, false, "no\x01\n", BOUNCED, "5.3.0",
	    "Command died with status 1: \"cmd\". Command output: no_" },
	{ EXIT(67), false, false, "", BOUNCED, "5.1.1", "user unknown" },
	{ EXIT(75), false, false, "later", DEFERRED, "4.3.0",
	    "temporary failure. Command output: later" },
	{ EXIT(71), false, false, "", DEFERRED, "4.3.0",
	    "system resource problem" },
	{ EXIT(78), false, false, "", BOUNCED, "5.3.5",
	    "local configuration error" },
	{ EXIT(79), false, false, "", BOUNCED, "5.3.0",
	    "Command died with status 79: \"cmd\"" },
	{ EXIT(63), false, false, "", BOUNCED, "5.3.0",
	    "Command died with status 63: \"cmd\"" },
	{ EXIT(1), false, false, "4.2.2 box full", DEFERRED, "4.2.2",
	    "box full" },
	{ EXIT(75), false, false, "5.7.1 go away", BOUNCED, "5.7.1",
	    "go away" },
	{ EXIT(1), false, false, "2.0.0 fine", BOUNCED, "5.3.0",
	    "Command died with status 1: \"cmd\". Command output: "
	    "2.0.0 fine" },
	{ EXIT(0), false, false, "5.7.1 not looked at", SENT, "2.0.0",
	    "5.7.1 not looked at" },
	{ 9, false, false, "", DEFERRED, "4.3.0",
	    "Command died with signal 9: \"cmd\"" },
	{ 9, true, false, "slow", BOUNCED, "5.3.0",
	    "Command time limit exceeded: \"cmd\". Command output: slow" },
	{ 9, false, true, "x", DEFERRED, "4.3.0", "error reading message" },
};

static void
test_ends(void **state)
{
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < nitems(ends); i++) {
		struct run_end e = { .status = ends[i].status,
			.late = ends[i].late, .unread = ends[i].unread,
			.command = STR("cmd"),
			.output = str_of(ends[i].output) };
		struct msg_run_done m = { .status = SENT };
		char text[256];

		run_result(&e, arena, &m);
		assert_int_equal(m.status, ends[i].result);
		assert_true(str_eq(m.dsn, str_of(ends[i].dsn)));
		snprintf(text, sizeof(text), STRF, STRV(m.text));
		assert_string_equal(text, ends[i].text);
	}
	arena_free(&arena);
}

static const struct {
	const char *command, *shell, *argv, *words[4];
	bool	    has_shell;
} commands[] = {
	{ "/bin/cat -v x", "", "", { "/bin/cat", "-v", "x" }, true },
	{ "exec /bin/cat", "", "", { "exec", "/bin/cat" }, true },
	{ "a $HOME", "", "", { NULL }, true },
	{ "a; b", "", "", { NULL }, true },
	{ "a b", "/bin/bash -c", "", { "/bin/bash", "-c", "a b" }, false },
	{ "", "", "a\0\0$x", { "a", "", "$x" }, false },
};

static void
test_words(void **state)
{
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < nitems(commands); i++) {
		struct msg_run m = { .command = str_of(commands[i].command),
			.shell = str_of(commands[i].shell),
			.argv = { commands[i].argv, i == 5 ? 6 : 0 },
			.environment = { "A=b\0C=\0", 7 } };
		struct run_words w = { .who = "test" };
		size_t n = 0;

		run_words(&m, arena, &w);
		assert_int_equal(w.shell_argv != NULL, commands[i].has_shell);
		for (; commands[i].words[n] != NULL; n++)
			assert_string_equal(w.argv[n], commands[i].words[n]);
		assert_true(n == 0 ? w.argv == NULL : w.argv[n] == NULL);
		if (w.shell_argv != NULL)
			assert_string_equal(w.shell_argv[2],
			    commands[i].command);
		assert_string_equal(w.envp[0], "A=b");
		assert_string_equal(w.envp[1], "C=");
		assert_null(w.envp[2]);
	}
	arena_free(&arena);
}

static const struct {
	const char *words[8], *why;
	uint64_t    flags;
	const char *user, *eol;
} lines[] = {
	{ { "flags=DRhu", "user=a:b", "argv=/x", "y" }, NULL,
	    RUN_DELIVERED | RUN_RETURN_PATH | PIPE_FOLD_HOST |
	    PIPE_FOLD_USER, "a", "\n" },
	{ { "flags=BFOXq.>", "user=a", "eol=\\r\\n\\101\\\\", "argv=/x" }, NULL,
	    RUN_BLANK | RUN_FROM | RUN_ORIGINAL | PIPE_FINAL | PIPE_QUOTE |
	    RUN_DOTS | RUN_QUOTE_FROM, "a", "\r\nA\\" },
	{ { "flags=Z", "user=a", "argv=/x" }, "unknown flag", 0, NULL, NULL },
	{ { "user=a" }, "missing argv= command-line attribute", 0, NULL,
	    NULL },
	{ { "argv=/x", "user=a" }, "missing user= command-line attribute", 0,
	    NULL, NULL },
	{ { "user=a", "size=x", "argv=/x" }, "bad size= value", 0, NULL,
	    NULL },
	{ { "user=a", "colour=red", "argv=/x" }, "unknown attribute name", 0,
	    NULL, NULL },
};

static void
test_pipe_args(void **state)
{
	struct arena *arena = arena_new(1 << 20);

	(void)state;
	for (size_t i = 0; i < nitems(lines); i++) {
		char *argv[8];
		struct pipe_args a;
		const char *why;
		struct str what;
		int n = 0;

		for (; lines[i].words[n] != NULL; n++)
			argv[n] = arena_cstr(arena,
			    str_of(lines[i].words[n]));
		if (!pipe_args_parse(&a, arena, n, argv, &why, &what)) {
			assert_non_null(lines[i].why);
			assert_string_equal(why, lines[i].why);
			continue;
		}
		assert_null(lines[i].why);
		assert_int_equal(a.flags, lines[i].flags);
		assert_true(str_eq(a.user, str_of(lines[i].user)));
		assert_true(str_eq(a.eol, str_of(lines[i].eol)));
		assert_string_equal(a.argv[0], "/x");
	}
	arena_free(&arena);
}

/* words of the command; 0 in flags is plain. '|' stands for NUL. */
static const struct { uint64_t flags; const char *argv[6], *out; } pipes[] = {
	{ 0, { "x", "-f", "$sender", "--", "$recipient" },
	    "x|-f|S p@Here|--|Al+Ex@Dom|bo b@Dom|" },
	{ PIPE_FOLD_USER | PIPE_FOLD_HOST, { "x", "$recipient", "$nexthop" },
	    "x|al+ex@dom|bo b@dom|next.hop|" },
	{ PIPE_FOLD_HOST, { "${mailbox}:${domain}" },
	    "Al+Ex:dom|bo b:dom|" },
	{ PIPE_QUOTE, { "$sender", "$recipient" },
	    "\"S p\"@Here|Al+Ex@Dom|\"bo b\"@Dom|" },
	{ 0, { "$user", "$extension" }, "Al|bo b|Ex||" },
	{ 0, { "${original_recipient}" }, "o@x|bo b@Dom|" },
	{ 0, { "($recipient)", "$$", "", "$size" },
	    "(Al+Ex@Dom)|(bo b@Dom)|$||9|" },
	{ 0, { "$client_address$client_helo,$queue_id" }, "1.2.3.4,Q1|" },
	{ 0, { "x", "$nosuch" }, NULL },
};

static void
test_pipe_expand(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	struct msg_deliver m = { .sender = STR("S p@Here"),
		.nexthop = STR("Next.Hop"), .size = 9,
		.queue_id = STR("Q1"), .client_addr = STR("1.2.3.4") };
	struct pipe_message message = { &m, STR("+") };
	struct recipient r[2] = { { .address = STR("Al+Ex@Dom"),
		.original = STR("o@x") }, { .address = STR("bo b@Dom") } };
	struct recipient *both[2] = { &r[0], &r[1] };

	(void)state;
	for (size_t i = 0; i < nitems(pipes); i++) {
		struct pipe_args a = { .flags = pipes[i].flags };
		char *argv[6], *text;
		struct str out;
		enum found found;

		for (; a.argc < 6 && pipes[i].argv[a.argc] != NULL; a.argc++)
			argv[a.argc] = arena_cstr(arena,
			    str_of(pipes[i].argv[a.argc]));
		a.argv = argv;
		found = pipe_expand(&a, &message, both, 2, arena, &out);
		assert_int_equal(found, pipes[i].out != NULL ? FOUND : NONE);
		if (found != FOUND)
			continue;
		text = arena_cstr(arena, out);
		for (size_t c = 0; c < out.n; c++)
			if (text[c] == '\0')
				text[c] = '|';
		assert_string_equal(text, pipes[i].out);
	}
	m.sender = STR("");
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_pipe_args),
		cmocka_unit_test(test_pipe_expand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
