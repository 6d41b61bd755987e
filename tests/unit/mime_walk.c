/*
 * mime_walk - the structure of messages, in any cut of their bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "mime/mime.h"

static struct buf seen;

static void
on_field(void *ctx, enum mime_place place, struct str field)
{
	(void)ctx;
	buf_printf(&seen, "%c{" STRF "}", place == MIME_PART ? 'P' : 'N',
	    STRV(field));
}

static void
on_end(void *ctx, bool empty)
{
	(void)ctx;
	buf_puts(&seen, empty ? "." : "!");
}

static void
on_line(void *ctx, struct str line, bool begins, uint64_t at)
{
	(void)ctx;
	if (line.n >= 2 && line.p[line.n - 1] == '\n')
		line.n -= 2;
	buf_printf(&seen, "%s%u:" STRF ";", begins ? "" : "+", (unsigned)at,
	    STRV(line));
}

static void
on_fault(void *ctx, enum mime_fault fault, struct str text)
{
	(void)ctx;
	buf_printf(&seen, "#%d " STRF "#", (int)fault, STRV(text));
}

static const struct mime_walk_ops ops = { on_field, on_end, on_line,
	on_fault };

struct walk_row { const char *type, *body, *gives; };
static const struct walk_row rows[] = {
	{ "X: y", "a\r\nb: c\r\n", "0:a;3:b: c;" },
	{ "Content-Type: multipart/mixed; boundary=B",
	    "pro\r\n--B\r\nA: b\r\n c\r\n\r\ntext\r\n--B--\r\nepi\r\nX: y\r\n",
	    "0:pro;5:--B;P{A: b\r\n c}.0:text;6:--B--;13:epi;18:X: y;" },
	/* quoted, in a comment's company, with a case of its own */
	{ "Content-Type: (a) MULTIPART/x; a=b;\r\n Boundary = \"B;1\"",
	    "--B;1\r\n\r\nx\r\n", "0:--B;1;.0:x;" },
	{ "Content-Type: multipart/x; boundary = \"ab\\c \r\n d\" x",
	    "--abc d\r\nA: b\r\n\r\n", "0:--abc d;P{A: b}." },
	/* two boundaries: either may be the one that is used */
	{ "Content-Type: multipart/x; boundary=A; boundary=B",
	    "--A\r\nF: 1\r\n\r\n--A\r\nG: 1\r\n\r\n",
	    "0:--A;P{F: 1}.0:--A;P{G: 1}." },
	{ "Content-Type: multipart/x; boundary=A; boundary=B",
	    "--B\r\nF: 1\r\n\r\n", "0:--B;P{F: 1}." },
	/* a name that only ends in boundary */
	{ "Content-Type: multipart/x; xboundary=A", "--A\r\nF: 1\r\n",
	    "0:--A;5:F: 1;" },
	{ "Content-Type: message/rfc822", "S: x\r\nT : y\r\n\r\nbody\r\n",
	    "N{S: x}N{T: y}.0:body;" },
	{ "Content-Type: multipart/digest; boundary=d",
	    "--d\r\n\r\nS: x\r\n\r\nb\r\n--d--\r\n",
	    "0:--d;.N{S: x}.0:b;3:--d--;" },
	{ "Content-Type: message/partial", "S: x\r\n", "0:S: x;" },
	/* a part's header that ends with garbage: text at once */
	{ "Content-Type: multipart/x; boundary=A", "--A\r\nF: 1\r\nno field\r\n"
	    "G: 2\r\n", "0:--A;P{F: 1}!0:no field;10:G: 2;" },
	/* the inner multipart is left open: the outer boundary closes it */
	{ "Content-Type: multipart/x; boundary=A",
	    "--A\r\nContent-Type: multipart/y; boundary=I\r\n\r\n--I\r\n"
	    "H: 1\r\n\r\nt\r\n--A\r\nK: 1\r\n\r\n--I\r\nL: 1\r\n",
	    "0:--A;P{Content-Type: multipart/y; boundary=I}.0:--I;P{H: 1}."
	    "0:t;3:--A;P{K: 1}.0:--I;5:L: 1;" },
	/* lines longer than line_max come in pieces; no boundary inside */
	{ "Content-Type: multipart/x; boundary=A",
	    "0123456789012345678901234567890123456789--A\r\nx\r\n",
	    "0:0123456789012345678901234567890123456789;+40:--A;45:x;" },
	/* faults */
	{ "Content-Type: text/plain", "\xe4\r\n", "#8 \xe4\r\n#0:\xe4;" },
	{ "Content-Transfer-Encoding: 8bit", "\xe4\r\n", "0:\xe4;" },
	{ "X: \xe4", "", "#4 X: \xe4#" },
	{ "Content-Type: multipart/x; boundary=A\r\n\tx\r\n", "", "" },
	{ "Content-Type: multipart/x; boundary=1",
	    "--1\r\nContent-Type: multipart/x; boundary=2\r\n\r\n--2\r\n"
	    "Content-Type: multipart/x; boundary=3\r\n\r\n--3\r\nY: z\r\n"
	    "Content-Type: multipart/x; boundary=4\r\n\r\n--4\r\n",
	    "0:--1;P{Content-Type: multipart/x; boundary=2}.0:--2;"
	    "P{Content-Type: multipart/x; boundary=3}.0:--3;P{Y: z}"
	    "#1 Content-Type: multipart/x; boundary=4#"
	    "P{Content-Type: multipart/x; boundary=4}.0:--4;" },
};

static void
run(const struct walk_row *row, size_t cut)
{
	struct mime_walk_conf conf = { .header_max = 100, .boundary_max = 70,
	    .line_max = 40, .nesting_max = 1, .faults = ~0u };
	struct mime_walk *w = mime_walk_new(&conf, &ops, NULL);
	struct str rest = str_of(row->body);

	buf_clear(&seen);
	mime_walk_field(w, str_of(row->type));
	mime_walk_header_end(w);
	while (rest.n > 0) {
		mime_walk_body(w, str_first(rest, cut));
		rest = str_from(rest, cut);
	}
	mime_walk_end(w);
	mime_walk_free(&w);
	if (!str_eq(buf_view(&seen), str_of(row->gives)))
		fail_msg("%s, cut %zu:\n%s\nnot\n%s", row->type, cut,
		    buf_cstr(&seen), row->gives);
}

static void
test_walk(void **state)
{
	(void)state;
	buf_init(&seen, 10000);
	for (size_t i = 0; i < nitems(rows); i++)
		for (size_t cut = 1; cut < 60; cut++)
			run(&rows[i], cut);
	buf_free(&seen);
}

static void
test_domain(void **state)
{
	static const struct { const char *type, *coding; bool bad; } t[] = {
		{ "multipart/x; boundary=a", "base64", true },
		{ "multipart/x; boundary=a", "8bit", false },
		{ "message/rfc822", "quoted-printable", true },
		{ "message/partial", "8bit", true },
		{ "message/partial", "7bit", false },
		{ "message/global", "base64", false },
		{ "text/plain", "base64", false },
	};
	struct mime_walk_conf conf = { .header_max = 100, .boundary_max = 70,
	    .line_max = 40, .nesting_max = 2, .faults = MIME_BAD_DOMAIN };
	char field[100];

	(void)state;
	buf_init(&seen, 10000);
	for (size_t i = 0; i < nitems(t); i++) {
		struct mime_walk *w = mime_walk_new(&conf, &ops, NULL);

		buf_clear(&seen);
		snprintf(field, sizeof(field), "Content-Type: %s", t[i].type);
		mime_walk_field(w, str_of(field));
		snprintf(field, sizeof(field), "Content-Transfer-Encoding: %s",
		    t[i].coding);
		mime_walk_field(w, str_of(field));
		mime_walk_header_end(w);
		if ((seen.n > 0) != t[i].bad)
			fail_msg("%s %s: %s", t[i].type, t[i].coding,
			    buf_cstr(&seen));
		mime_walk_free(&w);
	}
	buf_free(&seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk), cmocka_unit_test(test_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
