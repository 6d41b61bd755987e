/*
 * route - whose an address is and how it leaves: trivial-rewrite(8) resolve.
 *
 * Classes by ADDRESS_CLASS_README; precedence of next hops as there:
 * transport_maps, then "transport:nexthop" of a parameter, then relay hosts,
 * then the domain. qmgr and lookup call it in process.
 */
#include "address/address.h"
#include "route/internal.h"
#include "sys/sys.h"

/* Where a table or list of tables stands in a router. */
struct opening { size_t at; const char *parameter; unsigned flags; };
#define TABLES(member, parameter, flags) \
	{ offsetof(struct router, member), parameter, flags }

static const struct opening tables[] = {
	TABLES(transport, "transport_maps", TABLE_NO_REGSUB),
	TABLES(relayhosts, "sender_dependent_relayhost_maps",
	    TABLE_NO_REGSUB),
	TABLES(sender_transports, "sender_dependent_default_transport_maps",
	    TABLE_NO_REGSUB),
	TABLES(relocated, "relocated_maps", 0),
	TABLES(virtual_alias, "virtual_alias_maps", 0),
	TABLES(canonical, "canonical_maps", 0),
	TABLES(rcpt_canonical, "recipient_canonical_maps", 0),
	TABLES(sender_canonical, "sender_canonical_maps", 0),
	TABLES(local_rcpts, "local_recipient_maps", 0),
	TABLES(virtual_rcpts, "virtual_mailbox_maps", 0),
	TABLES(relay_rcpts, "relay_recipient_maps", 0),
};
/* The flags of these are MATCH_. */
static const struct opening lists[] = {
	TABLES(alias_domains, "virtual_alias_domains", MATCH_WHOLE),
	TABLES(virtual_domains, "virtual_mailbox_domains", MATCH_WHOLE),
	TABLES(relay_domains, "relay_domains", 0),
};

/* postconf(5) address_verify_*: probes may go another way than mail. */
static const struct { const char *name, *probe; } of_probes[] = {
	{ "local_transport", "address_verify_local_transport" },
	{ "virtual_transport", "address_verify_virtual_transport" },
	{ "relay_transport", "address_verify_relay_transport" },
	{ "default_transport", "address_verify_default_transport" },
	{ "relayhost", "address_verify_relayhost" },
	{ "transport_maps", "address_verify_transport_maps" },
	{ "sender_dependent_relayhost_maps",
	    "address_verify_sender_dependent_relayhost_maps" },
	{ "sender_dependent_default_transport_maps",
	    "address_verify_sender_dependent_default_transport_maps" },
};

static struct router *build(struct conf *, bool probes, struct problems *);
static void	  read_names(struct router *, struct conf *);
static void	  read_switches(struct router *, struct conf *);
static struct way read_way(struct router *, struct conf *, const char *name);
static void	  open_tables(struct router *, struct conf *,
		    struct problems *);
static void	  open_lists(struct router *, struct conf *,
		    struct problems *);
static void	  report(struct conf *, const char *parameter, struct buf *why,
		    struct problems *);
static enum found resolve(struct router *, struct str address,
		    struct str sender, struct route *);
static enum found find_class(struct router *, bool is_local, struct route *);
static void	  warn_both(struct router *, struct str domain,
		    enum address_class);
static enum found choose_way(struct router *, struct str sender,
		    struct route *);
static enum found choose_default(struct router *, struct str sender,
		    struct route *);
static enum found by_sender(struct router *, struct tables *,
		    const char *parameter, struct str sender,
		    struct str *value);
static enum found relocate(struct router *, struct route *);

struct router *
router_new(struct conf *conf, struct problems *problems)
{
	return build(conf, false, problems);
}

struct router *
router_new_probe(struct conf *conf, struct problems *problems)
{
	for (size_t i = 0; i < nitems(of_probes); i++)
		if (conf_raw(conf, str_of(of_probes[i].probe)) != NULL)
			return build(conf, true, problems);
	return NULL;
}

/* The parameter that has this router's value. */
static const char *
parameter(const struct router *r, const char *name)
{
	for (size_t i = 0; r->probes && i < nitems(of_probes); i++)
		if (strcmp(of_probes[i].name, name) == 0)
			return of_probes[i].probe;
	return name;
}

static struct router *
build(struct conf *conf, bool probes, struct problems *problems)
{
	struct router *r = mem_new(sizeof(*r));

	r->probes = probes;
	r->memory = arena_new(SIZE_MAX);
	r->dir = arena_cstr(r->memory, str_of(conf_dir(conf)));
	buf_init(&r->value, TABLE_VALUE_MAX);
	read_names(r, conf);
	read_switches(r, conf);
	open_tables(r, conf, problems);
	open_lists(r, conf, problems);
	r->find = (struct find_conf){ .delimiter = r->delimiter,
	    .myorigin = r->myorigin, .local = r->local };
	return r;
}

void
router_free(struct router **rp)
{
	struct router *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	for (size_t i = 0; i < nitems(tables); i++) {
		void *at = (char *)r + tables[i].at;

		tables_free(at);
	}
	for (size_t i = 0; i < nitems(lists); i++) {
		void *at = (char *)r + lists[i].at;

		match_list_free(at);
	}
	match_list_free(&r->local);
	buf_free(&r->value);
	arena_free(&r->memory);
	mem_free(r);
}

const struct find_conf *
router_find_conf(const struct router *r)
{
	return &r->find;
}

enum found
router_resolve(struct router *r, struct arena *arena, struct str address,
    struct str sender, struct route *route, struct str *why)
{
	enum found found;

	r->arena = arena;
	r->why = STR("");
	found = resolve(r, address, sender, route);
	*why = r->why;
	return found;
}

enum found
route_fault(struct router *r, const char *parameter, struct tables *ts)
{
	const char *text = ts == NULL ? "" : tables_error(ts);

	r->why = str_of(arena_printf(r->arena, "%s lookup failure%s%s",
	    parameter, *text != '\0' ? ": " : "", text));
	log_warn(STRF, STRV(r->why));
	return RETRY;
}

static enum found
resolve(struct router *r, struct str address, struct str sender,
    struct route *route)
{
	enum found found;
	bool is_local;
	size_t first;

	*route = (struct route){ .cls = CLASS_DEFAULT };
	found = canon_address(r, address, &route->recipient, &is_local);
	if (found != FOUND)
		return found;
	route->recipient = arena_str(r->arena, route->recipient);
	found = find_class(r, is_local, route);
	if (found == FOUND)
		found = choose_way(r, sender, route);
	if (found == FOUND)
		found = relocate(r, route);
	if (found != FOUND)
		return found;
	/* A program may take it for an option. */
	if (!r->min_user && route->recipient.p[0] == '-')
		return NONE;
	/* More than one of @ ! %: who knows where the next host sends it. */
	for (first = 0; strchr("@!%", route->recipient.p[first]) == NULL;
	    first++)
		continue;
	route->authorized = route->cls != CLASS_DEFAULT &&
	    (r->untrusted_routing ||
	    first == str_rchr(route->recipient, '@'));
	return FOUND;
}

/*
 * What main.cf says.
 */
static void
read_names(struct router *r, struct conf *conf)
{
	const struct { const char *name; struct str *to; } names[] = {
		{ "myorigin", &r->myorigin },
		{ "myhostname", &r->myhostname },
		{ "mydomain", &r->mydomain },
		{ "recipient_delimiter", &r->delimiter },
		{ "relayhost", &r->relayhost },
		{ "empty_address_recipient", &r->empty_recipient },
		{ "double_bounce_sender", &r->double_bounce },
		{ "empty_address_relayhost_maps_lookup_key",
		    &r->empty_relay_key },
		{ "empty_address_default_transport_maps_lookup_key",
		    &r->empty_transport_key },
	};

	for (size_t i = 0; i < nitems(names); i++)
		*names[i].to = arena_str(r->memory,
		    conf_get(conf, parameter(r, names[i].name)));
	r->local_way = read_way(r, conf, "local_transport");
	r->virtual_way = read_way(r, conf, "virtual_transport");
	r->relay_way = read_way(r, conf, "relay_transport");
	r->default_way = read_way(r, conf, "default_transport");
}

static void
read_switches(struct router *r, struct conf *conf)
{
	const struct { const char *name; bool *to; } switches[] = {
		{ "append_at_myorigin", &r->append_myorigin },
		{ "append_dot_mydomain", &r->append_mydomain },
		{ "allow_percent_hack", &r->percent_hack },
		{ "swap_bangpath", &r->swap_bangpath },
		{ "resolve_dequoted_address", &r->dequote },
		{ "resolve_null_domain", &r->null_domain },
		{ "resolve_numeric_domain", &r->numeric_domain },
		{ "show_user_unknown_table_name", &r->show_table },
		{ "allow_untrusted_routing", &r->untrusted_routing },
		{ "allow_min_user", &r->min_user },
		{ "smtputf8_enable", &r->utf8 },
		{ "relocated_prefix_enable", &r->relocated_prefix },
	};

	for (size_t i = 0; i < nitems(switches); i++)
		*switches[i].to = conf_bool(conf, switches[i].name);
	r->transport_parents = match_parent(conf, "transport_maps") != 0;
}

static struct way
split_way(const char *parameter, struct str value)
{
	size_t colon = str_chr(value, ':');

	return (struct way){ .parameter = parameter,
	    .transport = str_first(value, colon),
	    .nexthop = str_from(value, colon + 1) };
}

static struct way
read_way(struct router *r, struct conf *conf, const char *name)
{
	name = parameter(r, name);
	return split_way(name, arena_str(r->memory, conf_get(conf, name)));
}

static void
open_tables(struct router *r, struct conf *conf, struct problems *problems)
{
	struct buf why;

	buf_init(&why, 4000);
	for (size_t i = 0; i < nitems(tables); i++) {
		void *at = (char *)r + tables[i].at;
		const char *name = parameter(r, tables[i].parameter);
		struct tables **to = at;

		buf_clear(&why);
		*to = tables_open(conf_get(conf, name), r->dir,
		    tables[i].flags | TABLE_FOLD, &why);
		report(conf, name, &why, problems);
	}
	buf_free(&why);
}

static void
open_lists(struct router *r, struct conf *conf, struct problems *problems)
{
	struct buf why, own;

	buf_init(&why, 4000);
	for (size_t i = 0; i < nitems(lists); i++) {
		void *at = (char *)r + lists[i].at;
		struct match_list **to = at;
		unsigned flags = lists[i].flags;

		if (flags == 0)
			flags = match_parent(conf, lists[i].parameter);
		buf_clear(&why);
		*to = match_list_open(conf_get(conf, lists[i].parameter),
		    r->dir, flags, &why);
		report(conf, lists[i].parameter, &why, problems);
	}
	buf_init(&own, 1 << 20);
	buf_str(&own, conf_get(conf, "mydestination"));
	own_literals(conf, &own, problems);
	buf_clear(&why);
	r->local = match_list_open(buf_view(&own), r->dir, MATCH_WHOLE, &why);
	report(conf, "mydestination", &why, problems);
	buf_free(&own);
	buf_free(&why);
}

static void
report(struct conf *conf, const char *parameter, struct buf *why,
    struct problems *problems)
{
	const char *file;
	int line = 0;

	if (why->n == 0)
		return;
	file = conf_where(conf, str_of(parameter), &line);
	problem_add(problems, false, file, line, "%s: %s", parameter,
	    buf_cstr(why));
}

/*
 * Whose it is.
 */
static enum found
find_class(struct router *r, bool is_local, struct route *route)
{
	struct str domain = address_domain(route->recipient);
	const struct {
		struct match_list *list;
		const char	  *parameter;
		enum address_class cls;
	} order[] = {
		{ r->alias_domains, "virtual_alias_domains", CLASS_ALIAS },
		{ r->virtual_domains, "virtual_mailbox_domains",
		    CLASS_VIRTUAL },
		{ r->relay_domains, "relay_domains", CLASS_RELAY },
	};

	if (is_local) {
		route->cls = CLASS_LOCAL;
		warn_both(r, domain, CLASS_LOCAL);
		return FOUND;
	}
	for (size_t i = 0; i < nitems(order); i++) {
		enum found found = match_list_domain(order[i].list, domain);

		if (found == RETRY)
			return route_fault(r, order[i].parameter, NULL);
		if (found == FOUND) {
			route->cls = order[i].cls;
			warn_both(r, domain, order[i].cls);
			return FOUND;
		}
	}
	route->cls = CLASS_DEFAULT;
	return FOUND;
}

/* A domain in two lists: whose it is would depend on their order. */
static void
warn_both(struct router *r, struct str domain, enum address_class cls)
{
	static const char *const names[] = {
		[CLASS_LOCAL] = "mydestination",
		[CLASS_ALIAS] = "virtual_alias_domains",
		[CLASS_VIRTUAL] = "virtual_mailbox_domains",
		[CLASS_RELAY] = "relay_domains",
	};

	if (cls < CLASS_ALIAS &&
	    match_list_domain(r->alias_domains, domain) == FOUND)
		log_warn("do not list domain " STRF " in BOTH %s and %s",
		    STRV(domain), names[cls], names[CLASS_ALIAS]);
	if (cls < CLASS_VIRTUAL &&
	    match_list_domain(r->virtual_domains, domain) == FOUND)
		log_warn("do not list domain " STRF " in BOTH %s and %s",
		    STRV(domain), names[cls], names[CLASS_VIRTUAL]);
	/* relay_domains = $mydestination was a default once. */
	if (cls != CLASS_LOCAL && cls < CLASS_RELAY &&
	    match_list_domain(r->relay_domains, domain) == FOUND)
		log_warn("do not list domain " STRF " in BOTH %s and %s",
		    STRV(domain), names[cls], names[CLASS_RELAY]);
}

/*
 * How it leaves.
 */
static enum found
choose_way(struct router *r, struct str sender, struct route *route)
{
	enum found found = FOUND;

	route->nexthop = address_domain(route->recipient);
	switch (route->cls) {
	case CLASS_ALIAS:
		route->transport = STR("error");
		route->nexthop = r->show_table ?
		    STR("5.1.1 User unknown in virtual alias table") :
		    STR("5.1.1 User unknown");
		return FOUND;
	case CLASS_LOCAL:
		route->transport = r->local_way.transport;
		if (r->local_way.nexthop.n > 0)
			route->nexthop = r->local_way.nexthop;
		break;
	case CLASS_VIRTUAL:
		route->transport = r->virtual_way.transport;
		if (r->virtual_way.nexthop.n > 0)
			route->nexthop = r->virtual_way.nexthop;
		break;
	case CLASS_RELAY:
	case CLASS_DEFAULT:
		found = choose_default(r, sender, route);
		break;
	}
	if (found != FOUND)
		return found;
	if (route->transport.n == 0) {
		r->why = STR("null transport is not allowed");
		return RETRY;
	}
	found = transport_find(r, route->recipient, &route->transport,
	    &route->nexthop);
	return found == RETRY ? RETRY : FOUND;
}

/* Away from here: the sender may say by which way and over which host. */
static enum found
choose_default(struct router *r, struct str sender, struct route *route)
{
	struct way way = r->relay_way;
	struct str value;
	enum found found;

	if (route->cls == CLASS_DEFAULT) {
		way = r->default_way;
		found = by_sender(r, r->sender_transports,
		    "sender_dependent_default_transport_maps",
		    sender.n > 0 ? sender : r->empty_transport_key, &value);
		if (found == RETRY)
			return RETRY;
		if (found == FOUND)
			way = split_way("", value);
	}
	found = by_sender(r, r->relayhosts, "sender_dependent_relayhost_maps",
	    sender.n > 0 ? sender : r->empty_relay_key, &value);
	if (found == RETRY)
		return RETRY;
	if (found == FOUND)
		route->nexthop = value;
	else if (r->relayhost.n > 0)
		route->nexthop = r->relayhost;
	route->transport = way.transport;
	if (way.nexthop.n > 0)
		route->nexthop = way.nexthop;
	return FOUND;
}

/* NONE also for the answer DUNNO. */
static enum found
by_sender(struct router *r, struct tables *ts, const char *parameter,
    struct str sender, struct str *value)
{
	enum found found;

	if (tables_empty(ts))
		return NONE;
	found = tables_find_address(ts, &r->find, FIND_DEFAULT, sender,
	    &r->value, NULL);
	if (found == RETRY)
		return route_fault(r, parameter, ts);
	if (found == NONE || str_eq_nocase(buf_view(&r->value), STR("DUNNO")))
		return NONE;
	*value = arena_str(r->arena, buf_view(&r->value));
	return FOUND;
}

/* Moved users, whatever their class: relocated(5). */
static enum found
relocate(struct router *r, struct route *route)
{
	enum found found;

	if (tables_empty(r->relocated))
		return FOUND;
	found = tables_find_address(r->relocated, &r->find, FIND_DEFAULT,
	    route->recipient, &r->value, NULL);
	if (found == RETRY)
		return route_fault(r, "relocated_maps", r->relocated);
	if (found == NONE)
		return FOUND;
	route->transport = STR("error");
	route->nexthop = str_of(arena_printf(r->arena, "%s" STRF,
	    r->relocated_prefix ? "5.1.6 User has moved to " : "",
	    STRV(buf_view(&r->value))));
	return FOUND;
}
