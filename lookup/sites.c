/*
 * sites - which tables an smtpd service may ask for, opened at start.
 */
#include "lookup/lookup.h"
#include "sys/sys.h"
#include "table/table.h"

#define NESTED_MAX 8	/* { } in restrictions */

/* Parameters that are lists of restrictions. */
static const char *const restrictions[] = {
	"smtpd_client_restrictions", "smtpd_helo_restrictions",
	"smtpd_sender_restrictions", "smtpd_relay_restrictions",
	"smtpd_recipient_restrictions", "smtpd_data_restrictions",
	"smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions",
};
/* Parameters of smtpd that are tables, or lists that may hold some. */
static const char *const maps[] = {
	"debug_peer_list", "local_header_rewrite_clients", "mynetworks",
	"rbl_reply_maps", "smtpd_client_event_limit_exceptions",
	"smtpd_command_filter", "smtpd_discard_ehlo_keyword_address_maps",
	"smtpd_milter_maps", "smtpd_reject_footer_maps",
};
/* Lists that are asked whole, by their parameter's name. */
static const char *const whole[] = { "relay_clientcerts",
	"smtpd_sender_login_maps" };

static void	open_site(struct lookup *, struct site *, struct problems *);
static void	allow_named(struct lookup *, struct site *,
		    const char *parameter, struct problems *);
static void	allow_whole(struct lookup *, struct site *,
		    const char *parameter, struct problems *);
static void	allow_all(struct lookup *, struct site *, struct str list,
		    unsigned depth, struct buf *why);
static void	allow(struct lookup *, struct site *, struct str spec,
		    struct buf *why);
static bool	is_table(struct str spec);

static bool
asks(struct str command)
{
	return str_eq(command, STR("smtpd")) ||
	    str_eq(command, STR("smtp")) || str_eq(command, STR("lmtp"));
}

void
sites_open(struct lookup *l, struct conf *main_cf, struct problems *problems)
{
	struct master_cf services = { 0 };
	struct site *s;

	l->opened = map_new();
	l->sites = mem_new(sizeof(*s));
	l->nsites = 1;
	l->sites[0].conf = main_cf;
	open_site(l, &l->sites[0], problems);
	if (!master_cf_load(main_cf, &services, problems))
		return;
	for (size_t i = 0; i < services.n; i++) {
		struct master_entry *e = &services.v[i];

		if (!asks(e->command) || e->noverrides == 0)
			continue;
		l->sites = mem_grow(l->sites, l->nsites + 1, sizeof(*s));
		s = &l->sites[l->nsites++];
		*s = (struct site){ .name = e->name, .owns_conf = true };
		s->conf = conf_load(conf_dir(main_cf), problems);
		conf_override(s->conf, STR("service_name"), e->name);
		for (size_t o = 0; o < e->noverrides; o++)
			conf_override(s->conf, e->overrides[o].name,
			    e->overrides[o].value);
		open_site(l, s, problems);
	}
}

void
sites_free(struct lookup *l)
{
	struct str spec;
	void *value;
	size_t pos = 0;

	for (size_t i = 0; i < l->nsites; i++) {
		router_free(&l->sites[i].router);
		map_free(&l->sites[i].tables);
		client_close(&l->sites[i]);
		if (l->sites[i].owns_conf)
			conf_free(&l->sites[i].conf);
	}
	mem_free(l->sites);
	l->sites = NULL;
	l->nsites = 0;
	while (l->opened != NULL && map_next(l->opened, &pos, &spec, &value)) {
		struct tables *ts = value;

		tables_free(&ts);
	}
	map_free(&l->opened);
}

struct site *
site_find(struct lookup *l, struct str service)
{
	for (size_t i = 1; i < l->nsites; i++) {
		if (str_eq(l->sites[i].name, service))
			return &l->sites[i];
	}
	return &l->sites[0];
}

static void
open_site(struct lookup *l, struct site *s, struct problems *problems)
{
	struct str rest, item;

	s->tables = map_new();
	client_open(s, problems);
	s->router = router_new(s->conf, problems);
	s->null_key = conf_get(s->conf, "smtpd_null_access_lookup_key");
	s->parents = match_parent(s->conf, "smtpd_access_maps") != 0;
	for (size_t i = 0; i < nitems(restrictions); i++)
		allow_named(l, s, restrictions[i], problems);
	for (size_t i = 0; i < nitems(maps); i++)
		allow_named(l, s, maps[i], problems);
	for (size_t i = 0; i < nitems(whole); i++)
		allow_whole(l, s, whole[i], problems);
	rest = conf_get(s->conf, "smtpd_restriction_classes");
	while (conf_list_next(&rest, &item)) {
		struct buf name;

		buf_init(&name, 1024);
		buf_str(&name, item);
		allow_named(l, s, buf_cstr(&name), problems);
		buf_free(&name);
	}
}

static void
allow_named(struct lookup *l, struct site *s, const char *parameter,
    struct problems *problems)
{
	struct str value = conf_get(s->conf, parameter);
	const char *raw = conf_raw(s->conf, str_of(parameter)), *file;
	struct buf why;
	int line = 0;

	/* A restriction class is known only where main.cf gives it. */
	if (value.n == 0 && raw != NULL)
		value = conf_expand(s->conf, str_of(raw), problems);
	buf_init(&why, 2000);
	allow_all(l, s, value, 0, &why);
	file = conf_where(s->conf, str_of(parameter), &line);
	if (why.n > 0)
		problem_add(problems, true, file, line, "%s: %s", parameter,
		    buf_cstr(&why));
	buf_free(&why);
}

static void
allow_whole(struct lookup *l, struct site *s, const char *parameter,
    struct problems *problems)
{
	struct str value = conf_get(s->conf, parameter);
	const char *file;
	struct buf why;
	int line = 0;

	if (value.n == 0)
		return;
	buf_init(&why, 2000);
	allow(l, s, value, &why);
	map_set(s->tables, str_of(parameter), map_get(s->tables, value));
	file = conf_where(s->conf, str_of(parameter), &line);
	if (why.n > 0)
		problem_add(problems, true, file, line, "%s: %s", parameter,
		    buf_cstr(&why));
	buf_free(&why);
}

static void
allow_all(struct lookup *l, struct site *s, struct str list, unsigned depth,
    struct buf *why)
{
	struct str item;

	while (conf_list_next(&list, &item)) {
		if (item.n > 2 && item.p[0] == '{' && depth < NESTED_MAX)
			allow_all(l, s, (struct str){ item.p + 1, item.n - 2 },
			    depth + 1, why);
		while (item.n > 0 && item.p[0] == '!')
			item = str_from(item, 1);
		if (is_table(item))
			allow(l, s, item, why);
	}
}

static void
allow(struct lookup *l, struct site *s, struct str spec, struct buf *why)
{
	struct tables *ts = map_get(l->opened, spec);

	if (ts == NULL) {
		ts = tables_open(spec, conf_dir(s->conf), TABLE_FOLD, why);
		map_set(l->opened, spec, ts);
	}
	map_set(s->tables, spec, ts);
}

/* "type:name" of a type that there is. */
static bool
is_table(struct str spec)
{
	const char *const *types;
	struct str type;
	size_t n;

	while (str_starts(spec, STR("proxy:")))
		spec = str_from(spec, 6);
	type = str_first(spec, str_chr(spec, ':'));
	if (type.n == spec.n)
		return false;
	types = table_types(&n);
	for (size_t i = 0; i < n; i++) {
		if (str_eq(type, str_of(types[i])))
			return true;
	}
	return false;
}
