/*
 * conf: logical lines, $name expansion, typed values, files and drop-ins,
 * master.cf, and what the check of names says.
 */
#include <sys/stat.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "conf/internal.h"
#include "conf/syntax.h"
#include "sys/sys.h"

static bool
same(struct str got, const char *want)
{
	if (str_eq(got, str_of(want)))
		return true;
	print_message("got \"" STRF "\", want \"%s\"\n", STRV(got), want);
	return false;
}

static void
reads_logical_lines(void **state)
{
	static const struct { const char *in; const char *out[4]; } rows[] = {
		{ "a\nb\n", { "a", "b" } },
		{ "a\n b\nc", { "a b", "c" } },
		{ "a\n#x\n b\n", { "a b" } },
		{ "a\n #x\n\tb\n", { "a\tb" } },
		{ "a\n\n b\n", { "a b" } },
		{ "a\n \n b\n", { "a b" } },
		{ "#a\n\n \nb", { "b" } },
		{ "a\n#b\nc\n", { "a", "c" } },
		{ "", { NULL } }, { "\n\n", { NULL } }, { " \n", { NULL } },
		{ "a\n ", { "a" } },
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < nitems(rows); i++) {
		struct lines l = { .rest = str_of(rows[i].in) };
		size_t k = 0;

		while (lines_next(&l, &b)) {
			assert_non_null(rows[i].out[k]);
			assert_true(same(buf_view(&b), rows[i].out[k++]));
			assert_false(l.orphan);
		}
		assert_null(rows[i].out[k]);
	}
	buf_free(&b);
}

static void
numbers_lines_and_finds_orphans(void **state)
{
	struct lines l = { .rest = STR(" x\n\n# c\na\n b\nc") };
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_true(lines_next(&l, &b));
	assert_true(l.orphan);
	assert_int_equal(l.first, 1);
	assert_true(lines_next(&l, &b));
	assert_int_equal(l.first, 4);
	assert_int_equal(l.line, 5);
	assert_true(lines_next(&l, &b));
	assert_int_equal(l.first, 6);
	assert_false(lines_next(&l, &b));
	buf_free(&b);
}

static void
splits_names_and_values(void **state)
{
	static const struct { const char *in, *name, *value; } rows[] = {
		{ "a=b", "a", "b" }, { " a = b c ", "a", "b c" },
		{ "a=", "a", "" }, { "a = b = c", "a", "b = c" },
		{ "a", NULL, NULL }, { "= b", NULL, NULL },
		{ "a b = c", NULL, NULL }, { "", NULL, NULL },
	};
	struct str name, value;

	(void)state;
	for (size_t i = 0; i < nitems(rows); i++) {
		const char *why = split_name_value(str_of(rows[i].in), &name,
		    &value);

		assert_int_equal(why == NULL, rows[i].name != NULL);
		if (why == NULL) {
			assert_true(same(name, rows[i].name));
			assert_true(same(value, rows[i].value));
		}
	}
}

static bool
lookup(void *ctx, struct str name, struct str *value, bool *raw)
{
	static const struct { const char *name, *value; } all[] = {
		{ "foo", "bar" }, { "empty", "" }, { "ref", "<$foo>" },
		{ "loop", "x$loop" }, { "a", "$b$b" }, { "b", "$c$c" },
		{ "c", "$d$d" }, { "d", "$e$e" }, { "e", "$f$f" },
		{ "f", "$g$g" }, { "g", "$h$h" }, { "h", "$i$i" },
		{ "i", "$j$j" }, { "j", "$k$k" }, { "k", "$l$l" },
		{ "l", "$m$m" }, { "m", "$n$n" }, { "n", "$o$o" },
		{ "o", "$p$p" }, { "p", "$q$q" }, { "q", "$r$r" },
		{ "r", "$empty$empty" }, { "raw", "$foo" },
	};

	(void)ctx;
	for (size_t i = 0; i < nitems(all); i++)
		if (str_eq(name, str_of(all[i].name))) {
			*value = str_of(all[i].value);
			*raw = str_eq(name, STR("raw"));
			return true;
		}
	return false;
}

static const struct { const char *in, *out; } expansions[] = {
	{ "plain", "plain" }, { "", "" }, { "$foo", "bar" },
	{ "${foo}", "bar" }, { "$(foo)", "bar" }, { "x${foo}y", "xbary" },
	{ "$foo.$foo", "bar.bar" }, { "$$foo", "$foo" },
	{ "$$$foo", "$bar" }, { "$ref", "<bar>" }, { "$raw", "$foo" },
	{ "$nope", "" }, { "${foo?yes}", "yes" }, { "${foo:no}", "" },
	{ "${nope?yes}", "" }, { "${nope:no}", "no" },
	{ "${empty?yes}", "" }, { "${empty:no}", "no" },
	{ "${foo?{yes}:{no}}", "yes" }, { "${nope?{yes}:{no}}", "no" },
	{ "${foo?a:b}", "a:b" }, { "${foo? x}", " x" },
	{ "${foo?$foo}", "bar" }, { "${ foo }", "bar" },
	{ "${ foo ? {x} : {y} }", "x" }, { "${foo?{ x }}", " x " },
	{ "${{a} == {a}}", "true" }, { "${{a} == {b}}", "" },
	{ "${{a} != {b} ? {x} : {y}}", "x" }, { "${{a} == {b}:z}", "z" },
	{ "${{2} < {10}}", "true" }, { "${{2} < {10x}}", "" },
	{ "${{a} < {b}}", "true" }, { "${{b} >= {b}}", "true" },
	{ "${{b} > {b}}", "" }, { "${{b} <= {a}}", "" },
	{ "${{3.6} <level {3.10}?y}", "y" }, { "${{3.6} < {3.10}?y}", "" },
	{ "${{3.10} >=level {3.9.5}?y}", "y" },
	{ "${{2} <level {3.6}?y}", "y" }, { "${{$foo} == {bar}?y}", "y" },
	{ "${foo?{${nope:{deep}}}}", "deep" },
	{ "${domain_to_ascii{a.$foo}}", "a.bar" },
	{ "${domain_to_ascii {\303\244.de}}", NULL },
	{ "${some_function{x}}", NULL }, { "${domain_to_ascii{x}y}", NULL },
	/* wrong ones */
	{ "${foo", NULL }, { "${}", NULL }, { "$", NULL }, { "$-x", NULL },
	{ "${foo-bar}", NULL }, { "${foo?{x}y}", NULL },
	{ "${foo?{x}:{y}z}", NULL }, { "${{a} {b}}", NULL },
	{ "${{a} == b}", NULL }, { "${{a} =~ {b}}", NULL },
	{ "${{a} ==level {1}}", NULL }, { "${{1} <lvl {1}}", NULL },
	{ "${foo?{x}", NULL }, { "${{a} == {b}x}", NULL },
	{ "$loop", NULL }, { "$a", NULL },
};

static void
expands_names(void **state)
{
	struct expander e = { .lookup = lookup };
	struct buf out;

	(void)state;
	buf_init(&out, 100000);
	for (size_t i = 0; i < nitems(expansions); i++) {
		enum expanded r;

		buf_clear(&out);
		r = expand_text(&e, str_of(expansions[i].in), &out);
		if ((r == EXPAND_ERROR) != (expansions[i].out == NULL))
			fail_msg("%s", expansions[i].in);
		if (r != EXPAND_ERROR &&
		    !same(buf_view(&out), expansions[i].out))
			fail_msg("%s", expansions[i].in);
	}
	buf_free(&out);
}

static void
say(void *ctx, const char *text)
{
	buf_puts(ctx, text);
}

/* Postfix's words for what it does not understand, and where. */
static void
tells_what_is_wrong(void **state)
{
	static const struct { const char *in, *says; } t[] = {
		{ "${foo bar}", "attribute name syntax error at: "
		    "\"...foo>>> bar\"" },
		{ "${ {$foo} x {y}}", "\"==\" or \"!=\"\" or \"<\"\" or "
		    "\"<=\"\" or \">=\"\" or \">\" expected at: "
		    "\"...$foo}>>>x {y}\"" },
		{ "${{a} <lvl {b}}", "bad operator suffix at: "
		    "\"...<>>>lvl\"" },
		{ "${{a} == b}", "\"{expression}\" expected at: "
		    "\"...{a} ==>>>b\"" },
		{ "${{a} == {b}x 34567890123456789012}", "\"?\" or \":\" "
		    "expected at: \"...}>>>x 345678901234567890\"" },
		{ "${foo?{x}y}", "\":\" expected at: \"...x}>>>y\"" },
		{ "${foo:{x}y}", "unexpected input at: \"...x}>>>y\"" },
		{ "${domain_to_ascii{x}y}", "unexpected input at: "
		    "\"...x}>>>y\"" },
		{ "$(foo", "truncated macro reference: \"$(foo\"" },
	};
	struct buf out, said;
	struct expander e = { .ctx = &said, .lookup = lookup, .error = say };

	(void)state;
	buf_init(&out, 1000);
	buf_init(&said, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		buf_clear(&said);
		assert_int_equal(expand_text(&e, str_of(t[i].in), &out),
		    EXPAND_ERROR);
		assert_string_equal(buf_cstr(&said), t[i].says);
	}
	buf_free(&out);
	buf_free(&said);
}

static void
reads_times_and_numbers(void **state)
{
	static const struct { const char *in; char unit; int64_t s; } t[] = {
		{ "5", 's', 5 }, { "5", 'd', 432000 }, { "5m", 's', 300 },
		{ "2h", 's', 7200 }, { "1w", 's', 604800 }, { "0", 'h', 0 },
		{ "3D", 's', 259200 }, { "", 's', -1 }, { "m", 's', -1 },
		{ "5x", 's', -1 }, { "-5", 's', -1 }, { "5 m", 's', -1 },
		{ "1.5h", 's', -1 }, { "99999999999999999999", 's', -1 },
		{ "9223372036854775807w", 's', -1 }, { "5mm", 's', -1 },
	};
	int64_t v;
	bool yes;

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		bool ok = conf_parse_time(str_of(t[i].in), t[i].unit, &v);

		assert_int_equal(ok, t[i].s >= 0);
		if (ok)
			assert_int_equal(v, t[i].s);
	}
	assert_true(conf_parse_size(STR("10240000"), &v) && v == 10240000);
	assert_false(conf_parse_size(STR("10M"), &v));
	assert_false(conf_parse_size(STR(""), &v));
	assert_true(conf_parse_bool(STR("Yes"), &yes) && yes);
	assert_true(conf_parse_bool(STR("no"), &yes) && !yes);
	assert_false(conf_parse_bool(STR("true"), &yes));
	assert_true(value_parse(P_COUNT, "", STR("-1"), &v) && v == -1);
}

static void
reads_delays(void **state)
{
	static const struct { const char *in; int64_t ms; } t[] = {
		{ "0", 0 }, { "0s", 0 }, { "2", 2000 }, { "0.5s", 500 },
		{ "0.5", 500 }, { "500ms", 500 }, { "1500MS", 1500 },
		{ "1.25s", 1250 }, { "0.001s", 1 }, { "0.0001s", -1 },
		{ "1.5m", 90000 }, { "2h", 7200000 }, { "1w", 604800000 },
		{ "", -1 }, { "s", -1 }, { ".5s", -1 }, { "1.s", -1 },
		{ "1..5s", -1 }, { "-1s", -1 }, { "1x", -1 }, { "1 s", -1 },
		{ "99999999999s", -1 }, { "2.5ms", 2 },
	};
	int64_t v;

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		bool ok = conf_parse_delay(str_of(t[i].in), &v);

		if (ok != (t[i].ms >= 0) || (ok && v != t[i].ms))
			fail_msg("%s", t[i].in);
	}
}

static void
walks_lists(void **state)
{
	struct str rest = STR(" a, b\tc,,{d, e} {f}g\n h"), item;
	static const char *const want[] = {
		"a", "b", "c", "{d, e}", "{f}g", "h",
	};
	size_t n = 0;

	(void)state;
	while (conf_list_next(&rest, &item)) {
		assert_true(n < nitems(want));
		assert_true(same(item, want[n++]));
	}
	assert_int_equal(n, nitems(want));
}

/* A configuration directory with the given files. */
struct place { char path[64]; };

static void
put(struct place *p, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", p->path, name);
	assert_int_equal(file_replace(AT_FDCWD, path, str_of(text), 0644), 0);
}

static int
setup(void **state)
{
	struct place *p = mem_new(sizeof(*p));
	char sub[80];

	snprintf(p->path, sizeof(p->path), "/tmp/postern-conf-XXXXXX");
	if (mkdtemp(p->path) == NULL)
		return -1;
	snprintf(sub, sizeof(sub), "%s/main.cf.d", p->path);
	*state = p;
	return mkdir(sub, 0755);
}

static int
teardown(void **state)
{
	static const char *const files[] = {
		"main.cf", "master.cf", "origin", "main.cf.d/10-a.cf",
		"main.cf.d/20-b.cf", "main.cf.d/30-not",
	};
	struct place *p = *state;
	char path[128];

	for (size_t i = 0; i < nitems(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", p->path, files[i]);
		(void)unlink(path);
	}
	snprintf(path, sizeof(path), "%s/main.cf.d", p->path);
	(void)rmdir(path);
	(void)rmdir(p->path);
	mem_free(p);
	return 0;
}

#define TEST_PARAMS(P) \
	P(TEXT, test_banner, "$myhostname ESMTP", "", "", "") \
	P(RAW, default_rbl_reply, "$rbl_code", "", "", "") \
	P(BOOL, biff, "yes", "", "", "") \
	P(COUNT, hopcount_limit, "50", "1", "1000", "") \
	P(TIME, maximal_queue_lifetime, "5d", "0", "", "") \
	P(TIME, smtpd_timeout, "${stress?{10}:{300}}s", "1s", "", "")

struct test_conf {
#define MEMBER(t, n, p, l, m, x) PARAM_MEMBER(t, n, p, l, m, x)
	TEST_PARAMS(MEMBER)
};
static const struct param test_params[] = {
#define AS_ROW(t, n, p, l, m, x) \
	PARAM_ROW(struct test_conf, t, n, p, l, m, x)
	TEST_PARAMS(AS_ROW)
};

static void
fills_a_struct(void **state)
{
	struct place *p = *state;
	struct problems ps = { NULL, 0 };
	struct test_conf t;
	struct conf *c;

	put(p, "main.cf", "myhostname = mx.example.org\nbiff=no\n"
	    "maximal_queue_lifetime = 2\nhopcount_limit = 5000\n"
	    "default_rbl_reply = $a\n");
	put(p, "main.cf.d/10-a.cf", "biff = yes\n");
	put(p, "main.cf.d/20-b.cf", "biff = what\n");
	put(p, "main.cf.d/30-not", "biff = no\n");
	c = conf_load(p->path, &ps);
	assert_int_equal(ps.n, 0);
	conf_override(c, STR("stress"), STR("yes"));
	conf_fill(c, test_params, nitems(test_params), &t, &ps);
	assert_true(same(t.test_banner, "mx.example.org ESMTP"));
	assert_true(same(t.default_rbl_reply, "$a"));
	assert_true(t.biff);
	assert_int_equal(t.maximal_queue_lifetime, 2 * 86400);
	assert_int_equal(t.smtpd_timeout, 10);
	assert_int_equal(ps.n, 2);
	assert_non_null(strstr(ps.v[0].text, "bad boolean configuration: "
	    "biff = what"));
	assert_non_null(strstr(ps.v[0].file, "20-b.cf"));
	assert_int_equal(ps.v[0].line, 1);
	assert_non_null(strstr(ps.v[1].text, "invalid hopcount_limit "
	    "parameter value 5000 > 1000"));
	assert_int_equal(ps.v[1].line, 4);
	assert_true(problems_fatal(&ps));
	problems_free(&ps);
	conf_free(&c);
}

static void
looks_values_up(void **state)
{
	struct place *p = *state;
	struct problems ps = { NULL, 0 };
	struct conf *c;
	char text[256];
	int line;

	put(p, "origin", "example.net\nmore\n");
	snprintf(text, sizeof(text), "a = 1\n\n# c\nb = $a\n  $a\n"
	    "myorigin = %s/origin\nmydomain = example.com\n"
	    "slow_destination_concurrency_limit = 3\n", p->path);
	put(p, "main.cf", text);
	c = conf_load(p->path, &ps);
	assert_true(same(conf_get(c, "b"), "1  1"));
	assert_true(same(conf_get(c, "nope"), ""));
	assert_true(same(conf_get(c, "myorigin"), "example.net"));
	assert_true(same(conf_get(c, "mydomain"), "example.com"));
	assert_true(same(conf_get(c, "config_directory"), p->path));
	assert_true(str_ends_nocase(conf_get(c, "myhostname"),
	    STR(".example.com")) || str_chr(conf_get(c, "myhostname"), '.') <
	    conf_get(c, "myhostname").n);
	assert_string_equal(conf_raw(c, STR("b")), "$a  $a");
	assert_null(conf_raw(c, STR("c")));
	assert_non_null(conf_where(c, STR("b"), &line));
	assert_int_equal(line, 4);
	assert_null(conf_where(c, STR("c"), &line));
	conf_override(c, STR("a"), STR("2"));
	assert_true(same(conf_get(c, "b"), "2  2"));
	assert_int_equal(conf_number(c, "message_size_limit"), 10240000);
	assert_int_equal(conf_number(c, "max_idle"), 100);
	assert_true(conf_bool(c, "append_at_myorigin"));
	assert_int_equal(conf_family(c, STR("slow"),
	    "destination_concurrency_limit", &ps), 3);
	assert_int_equal(conf_family(c, STR("fast"),
	    "_destination_concurrency_limit", &ps), 20);
	assert_int_equal(ps.n, 0);
	conf_free(&c);
}

static void
breaks_the_circle_of_host_and_domain(void **state)
{
	static const struct { const char *in, *host, *domain; } rows[] = {
		{ "myhostname = mx.$mydomain\n", "mx.localdomain",
		    "localdomain" },
		{ "mydomain = $myhostname\nmyhostname = a.b\n", "a.b",
		    "a.b" },
		{ "myhostname = x.y.z\n", "x.y.z", "y.z" },
		{ "myhostname = x\n", "x", "localdomain" },
	};
	struct place *p = *state;

	for (size_t i = 0; i < nitems(rows); i++) {
		struct problems ps = { NULL, 0 };
		struct conf *c;

		put(p, "main.cf", rows[i].in);
		c = conf_load(p->path, &ps);
		assert_true(same(conf_get(c, "mydomain"), rows[i].domain));
		assert_true(same(conf_get(c, "myhostname"), rows[i].host));
		assert_int_equal(ps.n, 0);
		conf_free(&c);
	}
}

static void
says_what_is_wrong_in_files(void **state)
{
	static const struct { const char *in, *says; int line; bool fatal; }
	rows[] = {
		{ "a = b\nfoo\n", "missing '=' after attribute name", 2, true },
		{ "\n= b\n", "missing attribute name", 2, true },
		{ " a = b\n", "must not start with whitespace", 1, false },
		{ "a = 1\na = 2\n", "overriding earlier entry: a=1", 2,
		    false },
	};
	struct place *p = *state;

	for (size_t i = 0; i < nitems(rows); i++) {
		struct problems ps = { NULL, 0 };
		struct conf *c;

		put(p, "main.cf", rows[i].in);
		c = conf_load(p->path, &ps);
		assert_int_equal(ps.n, 1);
		assert_non_null(strstr(ps.v[0].text, rows[i].says));
		assert_int_equal(ps.v[0].line, rows[i].line);
		assert_int_equal(ps.v[0].fatal, rows[i].fatal);
		problems_free(&ps);
		conf_free(&c);
	}
}

static void
wants_a_main_cf(void **state)
{
	struct problems ps = { NULL, 0 };
	struct conf *c = conf_load("/nonexistent/dir", &ps);

	(void)state;
	assert_int_equal(ps.n, 1);
	assert_true(ps.v[0].fatal);
	problems_free(&ps);
	conf_free(&c);
}

static void
reads_master_cf(void **state)
{
	struct place *p = *state;
	struct problems ps = { NULL, 0 };
	struct master_cf m;
	struct conf *c;

	put(p, "main.cf", "");
	put(p, "master.cf",
	    "# name type\n"
	    "smtp inet n - y - - smtpd -v\n"
	    "  -o a=b -o { c = d e }\n"
	    "pickup unix n - - 60? 1 pickup\n"
	    "p unix - n n 300 0 pipe {flags=R user=x} $x\n");
	c = conf_load(p->path, &ps);
	assert_true(master_cf_load(c, &m, &ps));
	assert_int_equal(m.n, 3);
	assert_true(same(m.v[0].name, "smtp"));
	assert_true(same(m.v[0].command, "smtpd"));
	assert_false(m.v[0].is_private);
	assert_true(m.v[0].unprivileged && m.v[0].chroot);
	assert_int_equal(m.v[0].limit, -1);
	assert_int_equal(m.v[0].line, 2);
	assert_int_equal(m.v[0].noverrides, 2);
	assert_true(same(m.v[0].overrides[1].name, "c"));
	assert_true(same(m.v[0].overrides[1].value, "d e"));
	assert_int_equal(m.v[1].wakeup_s, 60);
	assert_true(m.v[1].wakeup_if_used);
	assert_int_equal(m.v[1].limit, 1);
	assert_true(m.v[2].is_private);
	assert_false(m.v[2].unprivileged);
	assert_int_equal(m.v[2].limit, 0);
	assert_int_equal(m.v[2].argc, 2);
	assert_true(same(m.v[2].argv[0], "flags=R user=x"));
	conf_free(&c);
}

static void
complains_of_master_cf(void **state)
{
	static const struct { const char *in, *says; } rows[] = {
		{ "smtp inet n - - - -\n", "bad field count" },
		{ "smtp tcp n - - - - smtpd\n", "invalid type field \"tcp\"" },
		{ "smtp inet x - - - - smtpd\n",
		    "invalid private field \"x\"" },
		{ "smtp inet y - - - - smtpd\n", "can't be private" },
		{ "smtp inet n maybe - - - smtpd\n",
		    "invalid unprivileged field" },
		{ "smtp inet n - - 5m - smtpd\n", "invalid wakeup field" },
		{ "smtp inet n - - - many smtpd\n",
		    "invalid process_limit field" },
		{ "smtp inet n - - - - smtpd -o\n", "-o needs name=value" },
		{ "smtp inet n - - - - smtpd -o foo\n", "missing '='" },
		{ "smtp inet n - - - - smtpd -o {a=b}c\n", "closing }" },
		{ "a unix - - - - - x\na unix - - - - - y\n",
		    "stands in line 1 already" },
		{ " smtp inet n - - - - smtpd\n", "continues nothing" },
	};
	struct place *p = *state;

	put(p, "main.cf", "");
	for (size_t i = 0; i < nitems(rows); i++) {
		struct problems ps = { NULL, 0 };
		struct master_cf m;
		struct conf *c = conf_load(p->path, &ps);

		put(p, "master.cf", rows[i].in);
		assert_false(master_cf_load(c, &m, &ps));
		if (ps.n == 0 || strstr(ps.v[0].text, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].in, ps.n == 0 ? "" :
			    ps.v[0].text);
		problems_free(&ps);
		conf_free(&c);
	}
}

#define FATAL true
#define WARNS false

static const struct { const char *main, *master, *says; bool fatal; }
checks[] = {
	{ "myhostname = a.b\n", "", NULL, false },
	{ "mydestinaton = a.b\n", "", "unknown parameter \"mydestinaton\": "
	    "did you mean \"mydestination\"?", FATAL },
	{ "qqqqqqqqqqqqqqqqqqqq = 1\n", "", "no value uses "
	    "$qqqqqqqqqqqqqqqqqqqq", FATAL },
	{ "my_macro_x = 1\nmydestination = $my_macro_x\n", "", NULL, false },
	{ "my_macro_x = 1\n", "s unix - - - - - smtpd -o "
	    "smtpd_banner=$my_macro_x\n", NULL, false },
	{ "smtpd_restriction_classes = zap\nzap = reject\n", "", NULL,
	    false },
	{ "slow_destination_concurrency_limit = 3\n",
	    "slow unix - - - - - virtual\n", NULL, false },
	{ "slowest_destination_rate_delay = 3s\n", "",
	    "master.cf has no service \"slowest\"", FATAL },
	{ "milter_header_checks = scan\n", "", "\"milter_header_checks\" is not "
	    "supported yet, and to ignore it would be unsafe", FATAL },
	{ "milter_header_checks =\n", "", NULL, false },
	{ "", "s unix - - - - - smtpd -o milter_header_checks=x\n",
	    "\"milter_header_checks\" is not supported yet", FATAL },
	{ "postscreen_greet_wait = 9s\n", "", "\"postscreen_greet_wait\" is "
	    "not supported yet and has no effect", WARNS },
	{ "readme_directory = no\nbiff = no\n", "", NULL, false },
	{ "virtual_maps = static:x\n", "", "support for parameter "
	    "\"virtual_maps\" will be removed; instead, specify "
	    "\"virtual_alias_maps\"", WARNS },
	{ "mydestination = $undefined_thing\n", "", "undefined parameter: "
	    "undefined_thing", WARNS },
	{ "mydestination = ${oops\n", "", "truncated macro reference",
	    FATAL },
	{ "", "s unix - - - - - smtpd -o mydestinaton=x\n",
	    "did you mean \"mydestination\"", FATAL },
};

static void
checks_names(void **state)
{
	struct place *p = *state;

	for (size_t i = 0; i < nitems(checks); i++) {
		struct problems ps = { NULL, 0 };
		struct conf *c;

		put(p, "main.cf", checks[i].main);
		put(p, "master.cf", checks[i].master);
		c = conf_load(p->path, &ps);
		conf_check_names(c, &ps);
		if (checks[i].says == NULL && ps.n != 0)
			fail_msg("row %zu: %s", i, ps.v[0].text);
		if (checks[i].says != NULL && (ps.n != 1 ||
		    strstr(ps.v[0].text, checks[i].says) == NULL))
			fail_msg("row %zu: %s", i, ps.n == 0 ? "" :
			    ps.v[0].text);
		assert_int_equal(problems_fatal(&ps), checks[i].fatal);
		problems_free(&ps);
		conf_free(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_logical_lines),
		cmocka_unit_test(numbers_lines_and_finds_orphans),
		cmocka_unit_test(splits_names_and_values),
		cmocka_unit_test(expands_names),
		cmocka_unit_test(tells_what_is_wrong),
		cmocka_unit_test(reads_times_and_numbers),
		cmocka_unit_test(reads_delays),
		cmocka_unit_test(walks_lists),
		cmocka_unit_test_setup_teardown(fills_a_struct, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(looks_values_up, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    breaks_the_circle_of_host_and_domain, setup, teardown),
		cmocka_unit_test_setup_teardown(says_what_is_wrong_in_files,
		    setup, teardown),
		cmocka_unit_test(wants_a_main_cf),
		cmocka_unit_test_setup_teardown(reads_master_cf, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(complains_of_master_cf, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(checks_names, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
