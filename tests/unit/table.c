/*
 * table - every type by one test; lists, key orders, match lists, building.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/sys.h"
#include "table/internal.h"

static char dir[] = "/tmp/postern-table-XXXXXX";

static void
write_file(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void
build_as(const char *type, const char *name, const char *const *pairs,
    bool nul)
{
	struct buf why, spec;
	struct table_maker *m;
	bool there;

	buf_init(&why, 1000);
	buf_init(&spec, 1000);
	buf_printf(&spec, "%s:%s/%s", type, dir, name);
	m = table_make(buf_view(&spec), 0644, &why);
	assert_non_null(m);
	for (; pairs[0] != NULL; pairs += 2) {
		assert_true(table_put(m,
		    (struct str){ pairs[0], strlen(pairs[0]) + nul },
		    (struct str){ pairs[1], strlen(pairs[1]) + nul }, &there,
		    &why));
		assert_false(there);
	}
	assert_true(table_finish(&m, &why));
	buf_free(&why);
	buf_free(&spec);
}

static void
build(const char *name, const char *const *pairs, bool nul)
{
	build_as("hash", name, pairs, nul);
}

static int
set_up(void **state)
{
	static const char *const pairs[] = { "alice", "a@example.com", "bob",
	    "b c", NULL };

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	build("plain", pairs, false);
	build("nul", pairs, true);
	build_as("cdb", "plain", pairs, false);
	build_as("cdb", "nul", pairs, true);
	write_file("rules", "# rules\n/^z(o)e/\n  z\nif /x/\n/y/ z\nendif\n");
	write_file("text", "# users\nalice\ta@example.com\nBob  b c\n");
	setenv("alice", "a@example.com", 1);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "plain.lmdb", "nul.lmdb", "text",
	    "plain.cdb", "nul.cdb", "bad.cdb", "rules", "new.cdb",
	    "bad.lmdb", "list", "new.lmdb", "new2", "nested", "users" };
	char path[200];

	(void)state;
	for (size_t i = 0; i < nitems(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

/* The shared test: a row for each type; a type without one fails. */
static const struct {
	const char *spec;
	const char *key;
	enum found  found;
	const char *value;
} asked[] = {
	{ "hash:plain", "alice", FOUND, "a@example.com" },
	{ "hash:plain", "ALICE", FOUND, "a@example.com" },
	{ "hash:nul", "bob", FOUND, "b c" },
	{ "btree:nul", "alice", FOUND, "a@example.com" },
	{ "lmdb:plain", "bob", FOUND, "b c" },
	{ "lmdb:plain", "nobody", NONE, "" },
	{ "lmdb:plain", "", NONE, "" },
	{ "proxy:lmdb:plain", "bob", FOUND, "b c" },
	{ "texthash:text", "alice", FOUND, "a@example.com" },
	{ "texthash:text", "BOB", FOUND, "b c" },
	{ "texthash:text", "nobody", NONE, "" },
	{ "inline:{alice=x, {bob = b c }}", "bob", FOUND, "b c" },
	{ "inline:{alice=x, {bob = b c }}", "Alice", FOUND, "x" },
	{ "inline:{alice=x}", "nobody", NONE, "" },
	{ "inline:{ÄNN=x}", "änn", FOUND, "x" },
	{ "static:OK", "anything", FOUND, "OK" },
	{ "static:{ two words }", "anything", FOUND, "two words" },
	{ "unix:passwd.byname", "root", FOUND, NULL },
	{ "unix:passwd.byname", "root", FOUND, NULL },
	{ "unix:passwd.byname", "no-such-user", NONE, "" },
	{ "unix:group.byname", "root", FOUND, "root:x:0:" },
	{ "environ:", "alice", FOUND, "a@example.com" },
	{ "environ:", "no_such_variable", NONE, "" },
	{ "debug:texthash:text", "BOB", FOUND, "b c" },
	{ "debug:static:x", "anything", FOUND, "x" },
	{ "debug:inline:{a=b}", "nobody", NONE, "" },
	{ "debug:fail:x", "alice", RETRY, "" },
	{ "inline:{{\"a b\" = x}}", "\"a b\"", FOUND, "x" },
	{ "fail:x", "alice", RETRY, "" },
	{ "cdb:plain", "alice", FOUND, "a@example.com" },
	{ "cdb:plain", "ALICE", FOUND, "a@example.com" },
	{ "cdb:nul", "bob", FOUND, "b c" },
	{ "cdb:nul", "nobody", NONE, "" },
	{ "pcre:{ {/^alice$/ x}, {/^b(.)b$/ $1-${1}-$(1)$$} }", "ALICE",
	    FOUND, "x" },
	{ "pcre:{ {/^alice$/ x}, {/^b(.)b$/ $1-${1}-$(1)$$} }", "bob", FOUND,
	    "o-o-o$" },
	{ "pcre:rules", "zoe", FOUND, "z" },
	{ "pcre:rules", "nobody", NONE, "" },
	{ "regexp:{{/^al(i)ce$/ $1} {!/a/ none}}", "alice", FOUND, "i" },
	{ "regexp:{{/^al(i)ce$/ $1} {!/a/ none}}", "bob", FOUND, "none" },
	{ "regexp:{{/^al(i)ce$/ $1} {!/a/ none}}", "bart", NONE, "" },
	{ "regexp:rules", "Zoe", FOUND, "z" },
	{ "cidr:{{192.0.2.0/24 net}}", "192.0.2.1", FOUND, "net" },
	{ "cidr:{{192.0.2.0/24 net}}", "192.0.3.1", NONE, "" },
	{ "cidr:{{192.0.2.0/24 net}}", "alice", NONE, "" },
	{ "unionmap:{inline:{alice=1}, fail:x}", "alice", RETRY, "" },
	{ "unionmap:{inline:{alice=1}, static:2, inline:{bob=3}}", "Alice",
	    FOUND, "1,2" },
	{ "unionmap:{inline:{a=1}}", "b", NONE, "" },
	{ "pipemap:{inline:{alice=bob}, inline:{bob=x}}", "alice", FOUND,
	    "x" },
	{ "pipemap:{inline:{alice=bob}, inline:{a=x}}", "alice", NONE, "" },
	{ "pipemap:{inline:{alice=bob}, fail:x}", "alice", RETRY, "" },
	{ "pipemap:{inline:{alice=bob}, unionmap:{static:{1}, "
	    "inline:{bob=2}}}", "alice", FOUND, "1,2" },
	{ "randmap:{only}", "alice", FOUND, "only" },
	{ "randmap:{ {two words}, {two words} }", "a", FOUND, "two words" },
};

/* ASCII and Unicode's full case folding; what is no UTF-8 is ASCII to us. */
static void
test_fold(void **state)
{
	static const struct { const char *in, *out; } t[] = {
		{ "", "" }, { "Ann@Example.COM", "ann@example.com" },
		{ "ÄNN@BÜCHER.example", "änn@bücher.example" },
		{ "ΣΊΣΥΦΟΣ", "σίσυφοσ" }, { "Straße", "strasse" },
		{ "\u0390", "\u03b9\u0308\u0301" },
		{ "\xff\xc3\x84N", "\xff\xc3\x84n" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct str in = str_of(t[i].in);
		struct buf out;

		buf_init(&out, in.n * TABLE_FOLD_GROWTH + 1);
		table_fold(in, &out);
		assert_string_equal(buf_cstr(&out), t[i].out);
		buf_free(&out);
	}
}

static void
test_every_type(void **state)
{
	const char *const *types;
	struct buf value, why;
	size_t n;

	(void)state;
	buf_init(&value, TABLE_VALUE_MAX);
	buf_init(&why, 1000);
	for (size_t i = 0; i < nitems(asked); i++) {
		struct table *t = table_open(str_of(asked[i].spec), dir,
		    TABLE_FOLD, &why);

		if (t == NULL)
			fail_msg("%s: %s", asked[i].spec, buf_cstr(&why));
		assert_int_equal(table_get(t, str_of(asked[i].key), &value),
		    asked[i].found);
		if (asked[i].value != NULL)
			assert_string_equal(buf_cstr(&value),
			    asked[i].value);
		table_free(&t);
	}
	types = table_types(&n);
	for (size_t i = 0; i < n; i++) {
		bool seen = false;

		for (size_t k = 0; k < nitems(asked); k++)
			seen |= strncmp(asked[k].spec, types[i],
			    strlen(types[i])) == 0;
		if (!seen)
			fail_msg("no row tests the type %s", types[i]);
	}
	buf_free(&value);
	buf_free(&why);
}

static void
test_not_opened(void **state)
{
	static const struct { const char *spec, *says; } t[] = {
		{ "hash:missing", "run \"postmap hash:missing\"" },
		{ "texthash:missing", "No such file" },
		{ "nosuch:x", "unsupported dictionary type: nosuch" },
		{ "plain", "type:name" }, { "", "type:name" },
		{ "inline:{}", "bad syntax" }, { "inline:x=y", "bad syntax" },
		{ "inline:{a}", "missing '=' after attribute name: " },
		{ "inline:{ }", "empty table: " },
		{ "inline:{=x}", "no key found; expected format: key = value" },
		{ "inline:{{}}", "no key found; expected format: key = value" },
		{ "inline:{a=b {c=d}x}", "syntax error after '}'" },
		{ "inline:{{\"a=b}}", "unbalanced '\"'" },
		{ "unix:shadow.byname", "unknown table" },
		{ "static:{x", "bad static:name syntax: missing '}'" },
		{ "static:{x}y", "syntax error after '}' in \"{x}y\"" },
		{ "debug:", "instead of \"debug:\"" },
		{ "debug:nothing", "instead of \"nothing\"" },
		{ "pcre:missing", "No such file" },
		{ "cdb:missing", "run \"postmap cdb:missing\"" },
		{ "unionmap:x", "need \"unionmap:{type:name...}\"" },
		{ "unionmap:{}", "need \"unionmap:{type:name...}\"" },
		{ "unionmap:{hash:missing}", "No such file" },
		{ "randmap:x", "bad syntax" }, { "randmap:{}", "bad syntax" },
		{ "cidr:{1.2.3.4 x", "bad syntax" },
		{ "mysql:/x", "type mysql are not supported yet" },
		{ "socketmap:inet:a:1:b", "socketmap are not supported yet" },
		{ "tcp:a:1", "type tcp are not supported yet" },
		{ "pipemap:{pipemap:{pipemap:{pipemap:{pipemap:{pipemap:"
		    "{pipemap:{pipemap:{pipemap:{pipemap:{static:x}}}}}}}}}}",
		    "nested too deeply" },
	};
	struct buf why, value;

	(void)state;
	buf_init(&why, 1000);
	buf_init(&value, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		struct table *lazy;

		buf_clear(&why);
		assert_null(table_open(str_of(t[i].spec), dir, 0, &why));
		if (strstr(buf_cstr(&why), t[i].says) == NULL)
			fail_msg("%s: %s", t[i].spec, buf_cstr(&why));
		lazy = table_open_lazy(str_of(t[i].spec), dir, 0, &why);
		assert_int_equal(table_get(lazy, STR("a"), &value), RETRY);
		assert_true(strlen(table_error(lazy)) > 0);
		table_free(&lazy);
	}
	buf_free(&why);
	buf_free(&value);
}

/* Another file in its place is seen; so is one that was not there before. */
static void
test_replaced(void **state)
{
	static const char *const one[] = { "k", "one", NULL };
	static const char *const two[] = { "k", "two", NULL };
	struct table *t;
	struct buf why, value;

	(void)state;
	buf_init(&why, 1000);
	buf_init(&value, 1000);
	t = table_open_lazy(STR("hash:new"), dir, 0, &why);
	assert_int_equal(table_get(t, STR("k"), &value), RETRY);
	build("new", one, false);
	t->file.next_look_ms = 0;
	assert_int_equal(table_get(t, STR("k"), &value), FOUND);
	assert_string_equal(buf_cstr(&value), "one");
	build("new", two, true);
	assert_int_equal(table_get(t, STR("k"), &value), FOUND);
	assert_string_equal(buf_cstr(&value), "one");	/* not looked yet */
	t->file.next_look_ms = 0;
	assert_int_equal(table_get(t, STR("k"), &value), FOUND);
	assert_string_equal(buf_cstr(&value), "two");
	table_free(&t);
	buf_free(&why);
	buf_free(&value);
}

/* A new key is found before its second is over: it must not read as "no". */
static void
test_new_key(void **state)
{
	struct buf why, value;
	struct table *t;

	(void)state;
	buf_init(&why, 1000);
	buf_init(&value, 1000);
	write_file("text", "alice a\n");
	t = table_open(STR("texthash:text"), dir, 0, &why);
	assert_non_null(t);
	assert_int_equal(table_get(t, STR("alice"), &value), FOUND);
	write_file("text", "alice a\nzoe z@example.com\n");
	usleep(30000);
	assert_int_equal(table_get(t, STR("zoe"), &value), FOUND);
	assert_true(str_eq(buf_view(&value), STR("z@example.com")));
	table_free(&t);
	buf_free(&why);
	buf_free(&value);
}

/* Keys with an @, before and after the table was replaced. */
static void
test_users(void **state)
{
	struct tables *ts;
	struct buf why, value, text;

	(void)state;
	buf_init(&why, 1000);
	buf_init(&value, 1000);
	write_file("users", "far.example a:\n.far.example b:\n* c:\n");
	ts = tables_open(STR("inline:{ x=y }, texthash:users"), dir, 0, &why);
	assert_false(tables_have_users(ts));
	write_file("users", "far.example a:\nu@far.example b:\n");
	usleep(30000);
	assert_int_equal(tables_get(ts, STR("none"), &value), NONE);
	assert_true(tables_have_users(ts));
	tables_free(&ts);
	/* More than are looked through: who knows. */
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 10000; i++)
		buf_printf(&text, "%d.example a:\n", i);
	write_file("users", buf_cstr(&text));
	ts = tables_open(STR("texthash:users"), dir, 0, &why);
	assert_false(tables_have_users(ts));
	tables_free(&ts);
	buf_puts(&text, "more.example a:\n");
	write_file("users", buf_cstr(&text));
	ts = tables_open(STR("texthash:users"), dir, 0, &why);
	assert_true(tables_have_users(ts));
	tables_free(&ts);
	buf_free(&why);
	buf_free(&value);
	buf_free(&text);
}

static bool
see(void *ctx, struct str key, struct str value)
{
	(void)ctx;
	return key.n + value.n < 1000000;
}

/* Damage anywhere in the file: an answer or RETRY, never a crash. */
static void
damage(const char *good_name, const char *bad_name, const char *spec)
{
	uint32_t seed = 1;
	struct buf good, why, value;

	buf_init(&good, 1 << 20);
	buf_init(&why, 100000);
	buf_init(&value, TABLE_VALUE_MAX);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(file_read(-100, good_name, 1 << 20, &good), 0);
	for (int round = 0; round < 300; round++) {
		struct buf bad;
		struct table *t;
		FILE *f;

		buf_init(&bad, 1 << 20);
		buf_str(&bad, buf_view(&good));
		for (int i = 0; i < 20; i++) {
			seed = seed * 1103515245 + 12345;
			/* page heads and offsets, where it hurts */
			size_t at = bad.n < 4096 ? (seed >> 8) % bad.n :
			    (seed >> 8) % 64 +
			    (seed >> 16) % (bad.n / 4096) * 4096;

			bad.p[at] = (char)(seed >> 24);
		}
		if (round % 3 == 0)
			bad.n = bad.n * (size_t)(round % 100) / 100;
		f = fopen(bad_name, "w");
		fwrite(bad.p, 1, bad.n, f);
		fclose(f);
		buf_free(&bad);
		buf_clear(&why);
		t = table_open(str_of(spec), dir, 0, &why);
		if (t == NULL)
			continue;
		(void)!table_get(t, STR("alice"), &value);
		(void)!table_get(t, STR("zzz"), &value);
		(void)!table_each(t, see, NULL);
		table_free(&t);
	}
	buf_free(&good);
	buf_free(&why);
	buf_free(&value);
}

static void
test_damaged(void **state)
{
	(void)state;
	damage("plain.lmdb", "bad.lmdb", "lmdb:bad");
	damage("plain.cdb", "bad.cdb", "cdb:bad");
}

static void
test_lists(void **state)
{
	static const struct {
		const char *list, *key; enum found found; const char *value;
	} t[] = {
		{ "inline:{a=1}, inline:{a=2, b=3}", "a", FOUND, "1" },
		{ "inline:{a=1} inline:{a=2, b=3}", "b", FOUND, "3" },
		{ "inline:{a=1} inline:{b=3}", "c", NONE, "" },
		{ "inline:{a=1} fail:x inline:{b=3}", "a", FOUND, "1" },
		{ "inline:{a=1} fail:x inline:{b=3}", "b", RETRY, "" },
		{ "hash:missing inline:{b=3}", "b", RETRY, "" },
		{ "", "b", NONE, "" },
	};
	struct buf why, value;

	(void)state;
	buf_init(&why, 1000);
	buf_init(&value, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		struct tables *ts = tables_open(str_of(t[i].list), dir, 0,
		    &why);

		assert_int_equal(tables_get(ts, str_of(t[i].key), &value),
		    t[i].found);
		assert_string_equal(buf_cstr(&value), t[i].value);
		tables_free(&ts);
	}
	assert_true(tables_empty(NULL));
	buf_free(&why);
	buf_free(&value);
}

static void
test_match(void **state)
{
	static const struct {
		unsigned flags; const char *list, *name; enum found found;
	} t[] = {
		{ 0, "example.com", "EXAMPLE.com", FOUND },
		{ 0, "example.com", "a.example.com", NONE },
		{ 0, ".example.com", "a.example.com", FOUND },
		{ 0, ".example.com", "example.com", NONE },
		{ MATCH_PARENT, "example.com", "a.b.example.com", FOUND },
		{ MATCH_PARENT, "example.com", "badexample.com", NONE },
		{ MATCH_WHOLE, ".example.com", "a.example.com", NONE },
		{ 0, "!a.example.com, .example.com", "a.example.com", NONE },
		{ 0, "!a.example.com, .example.com", "b.example.com", FOUND },
		{ 0, "!!x", "x", FOUND },
		{ 0, "inline:{a.example=x}", "a.example", FOUND },
		{ 0, "inline:{.example=x}", "a.example", FOUND },
		{ MATCH_PARENT, "inline:{example=x}", "a.b.example", FOUND },
		{ MATCH_WHOLE, "inline:{.example=x}", "a.example", NONE },
		{ 0, "!inline:{a=x} b a", "a", NONE },
		{ 0, "fail:x a", "a", RETRY },
		{ 0, "a fail:x", "a", FOUND },
		{ 0, "/no/such/file a", "a", RETRY },
		{ 0, "LIST", "from-file", FOUND },
		{ 0, "LIST", "nested", FOUND },
		{ 0, "LIST", "not-this", NONE },
		{ 0, "!LIST not-this", "not-this", FOUND },
		{ 0, "[192.0.2.1]", "[192.0.2.1]", FOUND },
		{ 0, "", "a", NONE }, { 0, "a", "", NONE },
	};
	struct buf why, list;
	char text[300];

	(void)state;
	snprintf(text, sizeof(text), "%s/nested\nfrom-file, !not-this\n",
	    dir);
	write_file("list", text);
	write_file("nested", "# more\nnested\n");
	buf_init(&why, 1000);
	buf_init(&list, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		const char *at = strstr(t[i].list, "LIST");
		struct match_list *m;

		buf_clear(&list);
		if (at != NULL)
			buf_printf(&list, "%.*s%s/list%s",
			    (int)(at - t[i].list), t[i].list, dir, at + 4);
		else
			buf_puts(&list, t[i].list);
		m = match_list_open(buf_view(&list), dir, t[i].flags, &why);
		if (match_list_domain(m, str_of(t[i].name)) != t[i].found)
			fail_msg("row %zu: %s in %s", i, t[i].name,
			    t[i].list);
		match_list_free(&m);
	}
	buf_free(&why);
	buf_free(&list);
}

static void
test_match_addr(void **state)
{
	static const struct {
		const char *list, *name, *addr; enum found found;
	} t[] = {
		{ "127.0.0.0/8 [::1]/128", "localhost", "127.0.0.1", FOUND },
		{ "127.0.0.0/8 [::1]/128", "localhost", "::1", FOUND },
		{ "127.0.0.0/8 [::1]/128", "x", "128.0.0.1", NONE },
		{ "!192.0.2.1 192.0.2.0/24", "x", "192.0.2.1", NONE },
		{ "!192.0.2.1 192.0.2.0/24", "x", "192.0.2.2", FOUND },
		{ "192.0.2.1/24", "x", "192.0.2.2", RETRY },
		{ "2001:db8::/32", "x", "2001:db8::5", FOUND },
		{ "0:0:0:0:0:0:0:1", "x", "::1", FOUND },
		{ ".example.com", "a.example.com", "192.0.2.1", FOUND },
		{ "inline:{192.0.2.1=x}", "unknown", "192.0.2.1", FOUND },
		{ "inline:{192.0.2.1=x}", "unknown", "192.0.2.2", NONE },
		{ "fail:x", "unknown", "192.0.2.2", RETRY },
	};
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		struct match_list *m = match_list_open(str_of(t[i].list), dir,
		    0, &why);

		if (match_list_addr(m, str_of(t[i].name), str_of(t[i].addr))
		    != t[i].found)
			fail_msg("row %zu: %s", i, t[i].list);
		match_list_free(&m);
	}
	buf_free(&why);
}

static void
test_address_keys(void **state)
{
	static const struct {
		const char *table, *address;
		unsigned strategy;
		const char *value, *extension;
	} t[] = {
		{ "inline:{u+x@d=1,u@d=2,u+x=3,u=4,@d=5}", "u+x@d",
		    FIND_DEFAULT, "1", "" },
		{ "inline:{u@d=2,u+x=3,u=4,@d=5}", "U+x@D", FIND_DEFAULT,
		    "2", "x" },
		{ "inline:{u+x=3,u=4,@d=5}", "u+x@d", FIND_DEFAULT, "3", "" },
		{ "inline:{u=4,@d=5}", "u+x@d", FIND_DEFAULT, "4", "x" },
		{ "inline:{u=4,@d=5}", "u+x@origin", FIND_DEFAULT, "4", "x" },
		{ "inline:{u=4,@e=5}", "u+x@e", FIND_DEFAULT, "5", "" },
		{ "inline:{u=4}", "u@e", FIND_DEFAULT, NULL, "" },
		{ "inline:{u=4,d=5}", "u@d", FIND_FULL | FIND_NAME, "5", "" },
		{ "inline:{.d.e=5}", "u@c.d.e",
		    FIND_FULL | FIND_NAME | FIND_DOT_PARENTS, "5", "" },
		{ "inline:{d.e=5}", "u@c.d.e",
		    FIND_FULL | FIND_NAME | FIND_PARENTS, "5", "" },
		{ "inline:{d.e=5}", "u@c.d.e",
		    FIND_FULL | FIND_NAME | FIND_DOT_PARENTS, NULL, "" },
		{ "inline:{{\"a b\"@d = 6}}", "a b@d", FIND_DEFAULT, "6", "" },
		{ "pcre:{{/^a b@d$/ 6}}", "a b@d", FIND_DEFAULT, "6", "" },
		{ "fail:x", "a@d", FIND_DEFAULT, "RETRY", "" },
		{ "inline:{postmaster=7}", "postmaster@d", FIND_DEFAULT, "7",
		    "" },
	};
	struct find_conf c = { .delimiter = STR("+"),
	    .myorigin = STR("origin") };
	struct buf why, value;

	(void)state;
	buf_init(&why, 1000);
	buf_init(&value, 1000);
	c.local = match_list_open(STR("d"), NULL, MATCH_WHOLE, &why);
	for (size_t i = 0; i < nitems(t); i++) {
		struct tables *ts = tables_open(str_of(t[i].table), dir,
		    TABLE_FOLD, &why);
		struct str extension;
		enum found found = tables_find_address(ts, &c, t[i].strategy,
		    str_of(t[i].address), &value, &extension);
		enum found want = t[i].value == NULL ? NONE :
		    strcmp(t[i].value, "RETRY") == 0 ? RETRY : FOUND;

		if (found != want || (found == FOUND &&
		    strcmp(buf_cstr(&value), t[i].value) != 0))
			fail_msg("row %zu: %s", i, buf_cstr(&value));
		assert_true(str_eq(extension, str_of(t[i].extension)));
		tables_free(&ts);
	}
	match_list_free(&c.local);
	buf_free(&why);
	buf_free(&value);
}

static void
test_access_keys(void **state)
{
	enum kind { ADDRESS, DOMAIN, ADDR };
	static const struct {
		enum kind kind; bool parents;
		const char *table, *subject, *key;
	} t[] = {
		{ ADDRESS, true, "inline:{u@d.e=1,d.e=2,u@=3}", "u@d.e",
		    "u@d.e" },
		{ ADDRESS, true, "inline:{d.e=2,u@=3}", "u@c.d.e", "d.e" },
		{ ADDRESS, false, "inline:{d.e=2,u@=3}", "u@c.d.e", "u@" },
		{ ADDRESS, true, "inline:{u@=3}", "u+x@d.e", "u@" },
		{ ADDRESS, true, "inline:{u=3}", "u@d.e", NULL },
		{ DOMAIN, true, "inline:{com=1}", "a.b.com", "com" },
		{ DOMAIN, false, "inline:{com=1}", "a.b.com", NULL },
		{ DOMAIN, false, "inline:{.com=1}", "a.b.com", ".com" },
		{ DOMAIN, true, "inline:{2=1}", "192.0.2.2", NULL },
		{ ADDR, true, "inline:{192.0=1}", "192.0.2.2", "192.0" },
		{ ADDR, true, "inline:{192.0.2=1,192=2}", "192.0.2.2",
		    "192.0.2" },
		{ ADDR, true, "inline:{2001:db8=1}", "2001:db8::1",
		    "2001:db8" },
		{ ADDR, true, "inline:{193=1}", "192.0.2.2", NULL },
	};
	struct find_conf c = { .delimiter = STR("+") };
	struct buf why, key, value;

	(void)state;
	buf_init(&why, 1000);
	buf_init(&key, 1000);
	buf_init(&value, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		struct tables *ts = tables_open(str_of(t[i].table), dir,
		    TABLE_FOLD, &why);
		struct str s = str_of(t[i].subject);
		enum found found = t[i].kind == ADDRESS ?
		    tables_find_access_address(ts, &c, t[i].parents, s, &key,
		    &value) : t[i].kind == DOMAIN ?
		    tables_find_access_domain(ts, t[i].parents, s, &key,
		    &value) : tables_find_access_addr(ts, s, &key, &value);

		if (found != (t[i].key == NULL ? NONE : FOUND) ||
		    (found == FOUND &&
		    strcmp(buf_cstr(&key), t[i].key) != 0))
			fail_msg("row %zu: key %s", i, buf_cstr(&key));
		tables_free(&ts);
	}
	buf_free(&why);
	buf_free(&key);
	buf_free(&value);
}

static void
test_source_lines(void **state)
{
	static const struct {
		const char *text; int line; const char *key, *value, *wrong;
	} t[] = {
		{ "a b\n", 1, "a", "b", NULL },
		{ "# c\n\n a b\n", 3, "", "", "logical line" },
		{ "# c\n\na  b c \n", 3, "a", "b c", NULL },
		{ "a\n b\n# x\n c\nd e\n", 1, "a", "b c", NULL },
		{ "\"a b\" c", 1, "\"a b\"", "c", NULL },
		{ "a\\ b c", 1, "a\\ b", "c", NULL },
		{ "\"a b c", 1, "", "", "unbalanced" },
		{ "a", 1, "", "", "expected format" },
		{ "a\\", 1, "", "", "expected format" },
	};
	struct buf line;

	(void)state;
	buf_init(&line, 1000);
	for (size_t i = 0; i < nitems(t); i++) {
		struct str rest = str_of(t[i].text), key, value;
		int next = 1, at = 0;
		const char *wrong;

		assert_true(table_next_line(&rest, &next, &at, &line));
		wrong = table_line_split(buf_view(&line), &key, &value);
		assert_int_equal(at, t[i].line);
		if (t[i].wrong != NULL) {
			assert_non_null(wrong);
			assert_non_null(strstr(wrong, t[i].wrong));
			continue;
		}
		assert_null(wrong);
		assert_true(str_eq(key, str_of(t[i].key)));
		assert_true(str_eq(value, str_of(t[i].value)));
	}
	buf_free(&line);
}

static void
test_maker(void **state)
{
	struct table_maker *m;
	struct buf why, spec;
	bool there;
	char long_key[600];

	(void)state;
	buf_init(&why, 1000);
	buf_init(&spec, 1000);
	assert_null(table_make(STR("proxy:hash:/x"), 0644, &why));
	assert_null(table_make(STR("static:/x"), 0644, &why));
	assert_null(table_make(STR("nosuch:/x"), 0644, &why));
	assert_null(table_make(STR("hash:/no/such/dir/x"), 0644, &why));
	buf_printf(&spec, "lmdb:%s/new", dir);
	m = table_make(buf_view(&spec), 0640, &why);
	assert_true(table_put(m, STR("a"), STR("1"), &there, &why));
	assert_true(table_put(m, STR("a"), STR("2"), &there, &why));
	assert_true(there);
	assert_true(table_replace(m, STR("a"), STR("3"), &why));
	assert_true(table_remove(m, STR("b"), &there, &why));
	assert_false(there);
	assert_true(table_finish(&m, &why));
	assert_null(m);
	/* A failed put spoils the whole: the old table stays. */
	m = table_make(buf_view(&spec), 0640, &why);
	memset(long_key, 'k', sizeof(long_key));
	assert_false(table_put(m, (struct str){ long_key, 600 }, STR("1"),
	    &there, &why));
	assert_false(table_finish(&m, &why));
	assert_null(m);
	buf_free(&why);
	buf_free(&spec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_not_opened),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_new_key),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_match_addr),
		cmocka_unit_test(test_address_keys),
		cmocka_unit_test(test_access_keys),
		cmocka_unit_test(test_source_lines),
		cmocka_unit_test(test_maker),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
