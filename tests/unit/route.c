/*
 * route - classes, transports, next hops, recipient tables, canonical forms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "route/route.h"

#define MAIN \
	"compatibility_level = 3.6\n" \
	"myhostname = mx.here.example\n" \
	"mydomain = here.example\n" \
	"myorigin = here.example\n" \
	"mydestination = here.example, localhost, $myhostname\n" \
	"inet_interfaces = 127.0.0.1, ::1\n" \
	"recipient_delimiter = +\n" \
	"virtual_alias_domains = alias.example\n" \
	"virtual_alias_maps = inline:{ old@alias.example=new@far.example," \
	" info=alice }\n" \
	"virtual_mailbox_domains = inline:{ virt.example=x }\n" \
	"virtual_mailbox_maps = inline:{ joe@virt.example=joe/," \
	" @all.virt.example=x }\n" \
	"relay_domains = relay.example\n" \
	"relay_recipient_maps = inline:{ r@relay.example=x }\n" \
	"local_recipient_maps = inline:{ alice=x, bob=x }\n"

struct row {
	const char *address, *sender;
	enum address_class cls;
	const char *transport, *nexthop, *recipient;
	bool authorized;
};

static char dir[] = "/tmp/postern-route-XXXXXX";

static struct router *
make(struct conf **conf, const char *more)
{
	struct problems problems = { 0 };
	struct router *r;
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/main.cf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(MAIN, f);
	fputs(more, f);
	assert_int_equal(fclose(f), 0);
	*conf = conf_load(dir, &problems);
	if (problems_fatal(&problems))
		problems_print(&problems, stderr);
	assert_false(problems_fatal(&problems));
	r = router_new(*conf, &problems);
	problems_free(&problems);
	return r;
}

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	char path[200];

	(void)state;
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	unlink(path);
	return rmdir(dir);
}

static void
check(const char *more, const struct row *rows, size_t n)
{
	struct conf *conf;
	struct router *r = make(&conf, more);

	for (size_t i = 0; i < n; i++) {
		struct arena *arena = arena_new(1 << 20);
		struct route route;
		struct str why;

		if (router_resolve(r, arena, str_of(rows[i].address),
		    str_of(rows[i].sender), &route, &why) != FOUND)
			fail_msg("%s: not FOUND: " STRF, rows[i].address,
			    STRV(why));
		if (route.cls != rows[i].cls ||
		    !str_eq(route.transport, str_of(rows[i].transport)) ||
		    !str_eq(route.nexthop, str_of(rows[i].nexthop)) ||
		    !str_eq(route.recipient, str_of(rows[i].recipient)) ||
		    route.authorized != rows[i].authorized)
			fail_msg("%s: %d " STRF ":" STRF " " STRF " %d",
			    rows[i].address, (int)route.cls,
			    STRV(route.transport), STRV(route.nexthop),
			    STRV(route.recipient), route.authorized);
		arena_free(&arena);
	}
	router_free(&r);
	conf_free(&conf);
}

static void
test_classes(void **state)
{
	static const struct row rows[] = {
		{ "alice@here.example", "", CLASS_LOCAL, "local",
		    "mx.here.example", "alice@here.example", true },
		{ "alice@HERE.example.", "", CLASS_LOCAL, "local",
		    "mx.here.example", "alice@HERE.example", true },
		{ "alice", "", CLASS_LOCAL, "local", "mx.here.example",
		    "alice@here.example", true },
		{ "", "", CLASS_LOCAL, "local", "mx.here.example",
		    "MAILER-DAEMON@mx.here.example", true },
		{ "u@[127.0.0.1]", "", CLASS_LOCAL, "local",
		    "mx.here.example", "u@[127.0.0.1]", true },
		{ "u@[IPv6:0::1]", "", CLASS_LOCAL, "local",
		    "mx.here.example", "u@[IPv6:0::1]", true },
		{ "u@[192.0.2.9]", "", CLASS_DEFAULT, "smtp", "[192.0.2.9]",
		    "u@[192.0.2.9]", false },
		{ "x@alias.example", "", CLASS_ALIAS, "error",
		    "5.1.1 User unknown in virtual alias table",
		    "x@alias.example", true },
		{ "joe@virt.example", "", CLASS_VIRTUAL, "virtual",
		    "virt.example", "joe@virt.example", true },
		{ "r@relay.example", "", CLASS_RELAY, "relay",
		    "relay.example", "r@relay.example", true },
		{ "r@sub.relay.example", "", CLASS_RELAY, "relay",
		    "sub.relay.example", "r@sub.relay.example", true },
		{ "x@far.example", "", CLASS_DEFAULT, "smtp", "far.example",
		    "x@far.example", false },
		/* routes through this machine */
		{ "x@far.example@here.example", "", CLASS_DEFAULT, "smtp",
		    "far.example", "x@far.example", false },
		{ "x%far.example@here.example", "", CLASS_DEFAULT, "smtp",
		    "far.example", "x@far.example", false },
		{ "far.example!x@here.example", "", CLASS_DEFAULT, "smtp",
		    "far.example", "x@far.example", false },
		{ "a%b@relay.example", "", CLASS_RELAY, "relay",
		    "relay.example", "a%b@relay.example", false },
		{ "a@b@virt.example", "", CLASS_VIRTUAL, "virtual",
		    "virt.example", "a@b@virt.example", false },
		{ "@here.example", "", CLASS_LOCAL, "local",
		    "mx.here.example", "MAILER-DAEMON@here.example", true },
	};

	(void)state;
	check("", rows, nitems(rows));
}

static void
test_no_address(void **state)
{
	static const char *const bad[] = { "a@b c", "a@-x-.example.", "a@",
	    "a@192.0.2.1", "a@[no]", "-rm@here.example", "a@far..example" };
	struct conf *conf;
	struct router *r = make(&conf, "");

	(void)state;
	for (size_t i = 0; i < nitems(bad); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct route route;
		struct str why;

		if (router_resolve(r, arena, str_of(bad[i]), STR(""), &route,
		    &why) != NONE)
			fail_msg("%s is no address", bad[i]);
		arena_free(&arena);
	}
	router_free(&r);
	conf_free(&conf);
}

static void
test_next_hops(void **state)
{
	static const struct row plain[] = {
		{ "x@far.example", "s@t", CLASS_DEFAULT, "smtp",
		    "[hub.example]:587", "x@far.example", false },
		{ "x@far.example", "", CLASS_DEFAULT, "smtp", "null.example",
		    "x@far.example", false },
		{ "x@far.example", "vip@t", CLASS_DEFAULT, "slow", "vip.hub",
		    "x@far.example", false },
		{ "x@far.example", "dunno@t", CLASS_DEFAULT, "smtp",
		    "[hub.example]:587", "x@far.example", false },
		{ "r@relay.example", "s@t", CLASS_RELAY, "relay",
		    "[hub.example]:587", "r@relay.example", true },
		{ "joe@virt.example", "s@t", CLASS_VIRTUAL, "lmtp",
		    "unix:private/lmtp", "joe@virt.example", true },
	};
	static const struct row mapped[] = {
		{ "x@a.example", "", CLASS_DEFAULT, "slow", "a.example",
		    "x@a.example", false },
		{ "x@b.example", "", CLASS_DEFAULT, "smtp", "hop.b",
		    "x@b.example", false },
		{ "x@sub.c.example", "", CLASS_DEFAULT, "dot", "hop",
		    "x@sub.c.example", false },
		{ "x@c.example", "", CLASS_DEFAULT, "any", "c.example",
		    "x@c.example", false },
		{ "u+e@d.example", "", CLASS_DEFAULT, "user", "d.example",
		    "u+e@d.example", false },
		{ "x@e.example", "", CLASS_DEFAULT, "error",
		    "Address is undeliverable", "x@e.example", false },
		{ "x@f.example", "", CLASS_DEFAULT, "error",
		    "5.7.1 go away: now", "x@f.example", false },
		{ "alice@here.example", "", CLASS_LOCAL, "here",
		    "here.example", "alice@here.example", true },
		{ "x@alias.example", "", CLASS_ALIAS, "error",
		    "5.1.1 User unknown in virtual alias table",
		    "x@alias.example", true },
		{ "gone@far.example", "", CLASS_DEFAULT, "error",
		    "5.1.6 User has moved to new@x.example",
		    "gone@far.example", false },
	};

	(void)state;
	check("relayhost = [hub.example]:587\n"
	    "sender_dependent_relayhost_maps = inline:{ vip@t=vip.hub,"
	    " <>=null.example, dunno@t=DUNNO }\n"
	    "sender_dependent_default_transport_maps = inline:{ vip@t=slow:"
	    " }\nvirtual_transport = lmtp:unix:private/lmtp\n", plain,
	    nitems(plain));
	check("transport_maps = inline:{ a.example=slow:, b.example=:hop.b, "
	    ".c.example=dot:hop, u@d.example=user:, e.example=error:, "
	    "{ f.example = error:5.7.1 go away: now }, here.example=here:, "
	    "alias.example=x:y, *=any: }\n"
	    "relocated_maps = inline:{ gone@far.example=new@x.example }\n",
	    mapped, nitems(mapped));
}

static void
test_listed(void **state)
{
	static const struct {
		const char *address; enum found found; const char *table;
	} t[] = {
		{ "alice@here.example", FOUND, "local recipient table" },
		{ "alice+x@localhost", FOUND, "local recipient table" },
		{ "eve@here.example", NONE, "local recipient table" },
		{ "info@here.example", FOUND, "" },
		{ "Postmaster@here.example", FOUND, "local recipient table" },
		{ "mailer-daemon@here.example", FOUND,
		    "local recipient table" },
		{ "double-bounce@here.example", FOUND,
		    "local recipient table" },
		{ "abuse@here.example", NONE, "local recipient table" },
		{ "old@alias.example", FOUND, "" },
		{ "old+x@alias.example", FOUND, "" },
		{ "eve@alias.example", NONE, "virtual alias table" },
		{ "joe@virt.example", FOUND, "virtual mailbox table" },
		{ "joe+x@virt.example", FOUND, "virtual mailbox table" },
		{ "eve@virt.example", NONE, "virtual mailbox table" },
		{ "r@relay.example", FOUND, "relay recipient table" },
		{ "eve@relay.example", NONE, "relay recipient table" },
		{ "any@far.example", FOUND, "" },
	};
	struct conf *conf;
	struct router *r = make(&conf, "");

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct arena *arena = arena_new(1 << 20);
		struct listing listing;
		struct route route;
		struct str why;

		assert_int_equal(router_resolve(r, arena,
		    str_of(t[i].address), STR(""), &route, &why), FOUND);
		if (router_listed(r, arena, &route, false, &listing) !=
		    t[i].found ||
		    !str_eq(listing.table, str_of(t[i].table)))
			fail_msg("%s: " STRF, t[i].address,
			    STRV(listing.table));
		arena_free(&arena);
	}
	router_free(&r);
	conf_free(&conf);
}

/* A table that fails is RETRY everywhere, with a reason. */
static void
test_faults(void **state)
{
	static const struct { const char *more, *address, *says; } t[] = {
		{ "mydestination = fail:x\n", "a@b.c", "mydestination" },
		{ "virtual_alias_domains = fail:x\n", "a@b.c",
		    "virtual_alias_domains" },
		{ "virtual_mailbox_domains = hash:missing\n", "a@b.c",
		    "virtual_mailbox_domains" },
		{ "relay_domains = fail:x\n", "a@b.c", "relay_domains" },
		{ "transport_maps = hash:missing\n", "a@b.c",
		    "run \"postmap hash:missing\"" },
		{ "sender_dependent_relayhost_maps = fail:x\n", "a@b.c",
		    "sender_dependent_relayhost_maps" },
		{ "relocated_maps = fail:x\n", "a@b.c", "relocated_maps" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct conf *conf;
		struct router *r = make(&conf, t[i].more);
		struct arena *arena = arena_new(1 << 20);
		struct route route;
		struct str why;

		assert_int_equal(router_resolve(r, arena,
		    str_of(t[i].address), STR("s@t"), &route, &why), RETRY);
		if (strstr(arena_cstr(arena, why), t[i].says) == NULL)
			fail_msg("row %zu: " STRF, i, STRV(why));
		arena_free(&arena);
		router_free(&r);
		conf_free(&conf);
	}
}

/* Of which addresses does the answer hold for their whole domain? */
static void
test_alike(void **state)
{
	static const struct { const char *more, *address; bool alike; } t[] = {
		{ "", "a@far.example", true },
		{ "", "a@relay.example", false },
		{ "", "joe@virt.example", false },
		{ "", "alice@here.example", false },
		{ "transport_maps = inline:{ far.example=out:, *=out: }\n",
		    "a@far.example", true },
		{ "transport_maps = inline:{ far.example=error:5.1.6_gone }\n",
		    "a@far.example", false },
		{ "transport_maps = inline:{ u@far.example=error:5.1.6_x }\n",
		    "a@far.example", false },
		{ "transport_maps = pcre:{{/u/ error:x}}\n", "a@far.example",
		    false },
		{ "transport_maps = inline:{ far.example=out: }, static:x:\n",
		    "a@far.example", false },
		{ "relocated_maps = inline:{ u@far.example=new@x.example }\n",
		    "a@far.example", false },
		{ "canonical_maps = inline:{ u@far.example=v@x.example }\n",
		    "a@far.example", true },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct conf *conf;
		struct router *r = make(&conf, t[i].more);
		struct arena *arena = arena_new(1 << 20);
		struct route route;
		struct str why;

		assert_int_equal(router_resolve(r, arena,
		    str_of(t[i].address), STR(""), &route, &why), FOUND);
		if (router_is_alike(r, &route) != t[i].alike)
			fail_msg("row %zu", i);
		arena_free(&arena);
		router_free(&r);
		conf_free(&conf);
	}
}

/* What is plain stays as it is; what does not is not called plain. */
static void
test_plain(void **state)
{
	static const struct { const char *address; bool plain; } t[] = {
		{ "a@far.example", true }, { "A.b_c=1+2-3@far.example", true },
		{ "-a@far.example", false }, { "a%b@far.example", false },
		{ "b!a@far.example", false }, { "a@b@far.example", false },
		{ "a b@far.example", false }, { "@far.example", false },
		{ "a", false }, { "", false }, { "\xc3\xa4@far.example", false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		if (route_is_plain(str_of(t[i].address)) != t[i].plain)
			fail_msg("row %zu", i);
	assert_false(route_is_plain((struct str){ "a\0b@c", 5 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_next_hops),
		cmocka_unit_test(test_listed),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
