/*
 * postconf: edits of main.cf and master.cf line by line, and the normal form
 * of a service. What Postfix's postconf makes of the same input stands here
 * as the expected text.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "sys/sys.h"
#include "tools/postconf.h"

struct place { char dir[64], file[96]; };

static void
put(struct place *p, const char *name, const char *text)
{
	snprintf(p->file, sizeof(p->file), "%s/%s", p->dir, name);
	assert_int_equal(file_replace(AT_FDCWD, p->file, str_of(text), 0640),
	    0);
}

static void
wants(struct place *p, const char *text, const char *what)
{
	struct buf b;
	struct stat st;

	buf_init(&b, 1 << 20);
	assert_int_equal(file_read(AT_FDCWD, p->file, 1 << 20, &b), 0);
	if (!str_eq(buf_view(&b), str_of(text)))
		fail_msg("%s: got \"%s\", want \"%s\"", what, buf_cstr(&b),
		    text);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	buf_free(&b);
}

static int
setup(void **state)
{
	struct place *p = mem_new(sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "/tmp/postern-pc-XXXXXX");
	*state = p;
	return mkdtemp(p->dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	(void)unlink(p->file);
	(void)rmdir(p->dir);
	mem_free(p);
	return 0;
}

/* Runs one edit with the arguments, which end with NULL. */
static void
edit(struct place *p, unsigned mode, const char *const *args)
{
	struct postconf pc = { .mode = mode, .dir = p->dir };
	char *copy[5] = { NULL };

	pc.mem = arena_new(1 << 20);
	for (size_t i = 0; i < 4 && args[i] != NULL; i++)
		copy[i] = arena_cstr(pc.mem, str_of(args[i]));
	if ((mode & ANY_MASTER) != 0)
		edit_master(&pc, copy);
	else
		edit_main(&pc, copy);
	arena_free(&pc.mem);
}

static const struct {
	unsigned	 mode;
	const char	*args[4], *before, *after;
} edits[] = {
	{ EDIT, { "a=new" }, "# c\na = 1\n  2\n# d\n 3\nb = x\n",
	    "# c\na = new\n# d\nb = x\n" },
	{ EDIT, { "z = 1", "y=" }, "a = 1\n", "a = 1\ny = \nz = 1\n" },
	{ EDIT, { "a = 2" }, "a=1", "a = 2\n" },
	{ EDIT, { "a = 2" }, "b = a\n", "b = a\na = 2\n" },
	{ EXCLUDE, { "a", "zz" }, "a = 1\n 2\n\nb = 1\n", "\nb = 1\n" },
	{ COMMENT_OUT, { "a" }, "a = 1\n# k\n 2\nb = 1\n",
	    "#a = 1\n# k\n# 2\nb = 1\n" },
	{ EDIT | MASTER_ENTRY, { "b/unix=b unix - - n - 1 smtp -o x=y" },
	    "a unix - - - - - a\nb unix - - - - - b\n   -o q=r\n# t\n",
	    "a unix - - - - - a\n"
	    "b          unix  -       -       n       -       1       smtp\n"
	    "    -o x=y\n# t\n" },
	{ EDIT | MASTER_ENTRY, { "c/unix=c unix - - n - 1 smtp" },
	    "a unix - - - - - a\n", "a unix - - - - - a\n"
	    "c          unix  -       -       n       -       1       smtp\n" },
	{ EXCLUDE | MASTER_ENTRY, { "a/unix" },
	    "# s\na unix - - - - - a\n  -v\nb unix - - - - - b\n",
	    "# s\nb unix - - - - - b\n" },
	{ COMMENT_OUT | MASTER_ENTRY, { "a/unix" },
	    "a unix - - - - - a\n  -v\nb unix - - - - - b\n",
	    "#a unix - - - - - a\n#  -v\nb unix - - - - - b\n" },
	{ EDIT | MASTER_FIELD, { "a/unix/chroot=y", "a/unix/command=x -v" },
	    "a unix - - - - - a -o b=c\n",
	    "a          unix  -       -       y       -       -       x -v\n" },
	{ EDIT | MASTER_PARAM, { "a/unix/b=d", "a/unix/e=f" },
	    "a unix - - - - - a\n  -o b=c\n# k\n  word\n", "# k\n"
	    "a          unix  -       -       -       -       -       a\n"
	    "    -o b=d\n    -o e=f\n    word\n" },
	{ EXCLUDE | MASTER_PARAM, { "a/unix/b" },
	    "a unix - - - - - a -o b=c -o bb=d\n",
	    "a          unix  -       -       -       -       -       a\n"
	    "    -o bb=d\n" },
};

static void
edits_keep_the_rest(void **state)
{
	struct place *p = *state;

	for (size_t i = 0; i < nitems(edits); i++) {
		put(p, (edits[i].mode & ANY_MASTER) != 0 ? "master.cf" :
		    "main.cf", edits[i].before);
		edit(p, edits[i].mode, edits[i].args);
		wants(p, edits[i].after, edits[i].args[0]);
		(void)unlink(p->file);
	}
}

static void
brings_services_to_normal_form(void **state)
{
	static const struct { const char *in, *out; unsigned mode; } rows[] = {
		{ "a unix - - - - - x",
		    "a          unix  -       -       -       -       -       "
		    "x", 0 },
		{ "a-very-long-name unix - - - - - x",
		    "a-very-long-name unix -  -       -       -       -       "
		    "x", 0 },
		{ "a unix - - - - - x -vob=c -o { d = e f } -D {g h} i",
		    "a          unix  -       -       -       -       -       "
		    "x -v -o b=c -o {d=e f} -D {g h} i", 0 },
		{ "a unix - - - - - x -o b=c", "a          unix  -       -   "
		    "    -       -       -       x\n    -o b=c", FOLD },
	};
	struct postconf pc = { .mode = 0 };

	(void)state;
	pc.mem = arena_new(1 << 20);
	for (size_t i = 0; i < nitems(rows); i++) {
		struct entry e;
		struct buf b;

		buf_init(&b, 10000);
		assert_null(entry_parse(&pc, str_of(rows[i].in), &e));
		entry_format(&pc, &e, rows[i].mode, &b);
		assert_string_equal(buf_cstr(&b), rows[i].out);
		buf_free(&b);
		entry_free(&e);
	}
	arena_free(&pc.mem);
}

static void
reads_patterns(void **state)
{
	static const struct { const char *in; bool good; } rows[] = {
		{ "a", true }, { "a/b", true }, { "*/b", true },
		{ "a/b/c", false }, { "/a", false }, { "", false },
		{ "a*/b", false },
	};
	struct words w;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		assert_int_equal(pattern_parse(str_of(rows[i].in), 1, 2, &w),
		    rows[i].good);
		mem_free(w.v);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(edits_keep_the_rest, setup,
		    teardown),
		cmocka_unit_test(brings_services_to_normal_form),
		cmocka_unit_test(reads_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
