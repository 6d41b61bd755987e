/*
 * answer - one question of smtpd, answered from its site's tables.
 */
#include "lookup/lookup.h"
#include "sys/sys.h"

struct search {
	struct site   *site;
	struct tables *tables;
	struct buf     key, value;
};

static enum found search(struct search *, struct arena *,
		    const struct msg_access_ask *);
static enum found search_address(struct search *, struct arena *,
		    struct str address);
static enum found search_owner(struct search *, struct arena *,
		    struct str address);

void
answer_address(struct site *s, struct arena *arena,
    const struct msg_address_ask *ask, struct msg_address_answer *answer)
{
	struct listing listing = { STR(""), STR("") };
	struct str why;
	struct route route;
	enum found found;

	*answer = (struct msg_address_answer){ .class = CLASS_DEFAULT };
	found = router_resolve(s->router, arena, ask->address, STR(""),
	    &route, &why);
	if (found == NONE) {
		answer->found = NONE;
		answer->transport = STR("error");
		answer->nexthop = STR("5.1.3 Bad address syntax");
		answer->recipient = ask->address;
		return;
	}
	if (found == FOUND) {
		found = router_listed(s->router, arena, &route,
		    ask->is_sender != 0, &listing);
		why = listing.why;
	}
	answer->found = found;
	answer->class = route.cls;
	answer->authorized = route.authorized;
	answer->table = listing.table;
	answer->transport = route.transport;
	answer->nexthop = route.nexthop;
	answer->recipient = route.recipient;
	answer->alike = found == FOUND && router_is_alike(s->router, &route);
	answer->error = why;
}

void
answer_access(struct site *s, struct arena *arena,
    const struct msg_access_ask *ask, struct msg_access_answer *answer)
{
	struct search q = { .site = s };
	enum found found;

	*answer = (struct msg_access_answer){ .found = RETRY };
	q.tables = map_get(s->tables, ask->tables);
	if (q.tables == NULL) {
		log_warn("smtpd asks for " STRF ", which no restriction of "
		    "its service names: refused", STRV(ask->tables));
		answer->error = STR("no such table in the configuration");
		return;
	}
	buf_init(&q.key, 8192);
	buf_init(&q.value, TABLE_VALUE_MAX);
	found = search(&q, arena, ask);
	if (found == FOUND && q.value.n + q.key.n > IPC_CONTENT_MAX) {
		answer->error = STR("an answer is too long");
		found = RETRY;
	}
	answer->found = found;
	if (found == FOUND) {
		answer->value = arena_str(arena, buf_view(&q.value));
		answer->key = arena_str(arena, buf_view(&q.key));
	}
	if (found == RETRY && answer->error.n == 0) {
		answer->error = arena_str(arena,
		    str_of(tables_error(q.tables)));
		log_warn(STRF ": " STRF, STRV(ask->tables),
		    STRV(answer->error));
	}
	buf_free(&q.key);
	buf_free(&q.value);
}

static enum found
search(struct search *q, struct arena *arena,
    const struct msg_access_ask *ask)
{
	enum found found = NONE;

	switch ((enum access_kind)ask->kind) {
	case ACCESS_CLIENT:
		found = tables_find_access_domain(q->tables, q->site->parents,
		    ask->subject, &q->key, &q->value);
		if (found == NONE)
			found = tables_find_access_addr(q->tables,
			    ask->subject_addr, &q->key, &q->value);
		return found;
	case ACCESS_DOMAIN:
		return tables_find_access_domain(q->tables, q->site->parents,
		    ask->subject, &q->key, &q->value);
	case ACCESS_ADDRESS:
		return search_address(q, arena, ask->subject);
	case ACCESS_IP:
		return tables_find_access_addr(q->tables, ask->subject,
		    &q->key, &q->value);
	case ACCESS_KEY:
		buf_str(&q->key, ask->subject);
		return tables_get(q->tables, ask->subject, &q->value);
	case ACCESS_OWNER:
		return search_owner(q, arena, ask->subject);
	case ACCESS_EXACT:
		buf_str(&q->key, ask->subject);
		found = tables_get(q->tables, ask->subject, &q->value);
		if (found != NONE)
			return found;
		buf_clear(&q->key);
		buf_str(&q->key, ask->subject_addr);
		return tables_get(q->tables, ask->subject_addr, &q->value);
	}
	return found;
}

/* smtpd_sender_login_maps: the keys of virtual(5). */
static enum found
search_owner(struct search *q, struct arena *arena, struct str address)
{
	struct str why, extension;
	struct route route;
	enum found found;

	found = router_resolve(q->site->router, arena, address, STR(""),
	    &route, &why);
	if (found == RETRY)
		return RETRY;
	if (found == FOUND)
		address = route.recipient;
	return tables_find_address(q->tables,
	    router_find_conf(q->site->router), FIND_DEFAULT, address,
	    &q->value, &extension);
}

/* By its last form, as Postfix; the empty sender has a key of its own. */
static enum found
search_address(struct search *q, struct arena *arena, struct str address)
{
	struct str why;
	struct route route;
	enum found found;

	if (address.n == 0 || str_eq(address, STR("<>"))) {
		buf_str(&q->key, q->site->null_key);
		return tables_get(q->tables, q->site->null_key, &q->value);
	}
	found = router_resolve(q->site->router, arena, address, STR(""),
	    &route, &why);
	if (found == RETRY)
		return RETRY;
	if (found == FOUND)
		address = route.recipient;
	return tables_find_access_address(q->tables,
	    router_find_conf(q->site->router), q->site->parents, address,
	    &q->key, &q->value);
}
