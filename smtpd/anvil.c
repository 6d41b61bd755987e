/*
 * anvil - how much each client does, over all smtpd processes.
 *
 * A client is known while it has connections, and for one time unit after.
 * Rates are counted from the first event of a unit and start anew with the
 * first event after it: as in Postfix, simpler than a moving average and
 * quicker against floods. A holder (an smtpd process) remembers what it has
 * open, to give it back when it dies.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include "smtpd/anvil.h"
#include "sys/sys.h"

struct client {
	struct list	 link;		/* in idle, where it has no connection */
	char		*name;		/* "smtp:192.0.2.1" */
	uint64_t	 connections;
	uint64_t	 rate[ANVIL_EVENTS];
	int64_t		 start_s;	/* of this time unit */
	int64_t		 idle_s;	/* since when it is in idle */
};

/* What one process has open; values of the map are counts. */
struct holder {
	struct map	*open;		/* name to struct held */
};

struct held { struct client *client; uint64_t n; };

struct peak {
	uint64_t	 value;
	char		 name[ANVIL_NAME_MAX + 1];
	int64_t		 when_s;
};

struct anvil {
	int64_t		 unit_s;
	size_t		 clients_max;
	struct map	*clients;	/* name to struct client */
	struct list	 idle;		/* the longest idle first */
	struct map	*holders;	/* pointer's bytes to struct holder */
	struct peak	 rates[ANVIL_EVENTS], connections, cache;
	bool		 told_full;
};

static struct str
pointer_key(const void *const *p)
{
	return (struct str){ (const char *)p, sizeof(*p) };
}

struct anvil *
anvil_new(int64_t unit_s, size_t clients_max)
{
	struct anvil *a = mem_new(sizeof(*a));

	a->unit_s = unit_s;
	a->clients_max = clients_max;
	a->clients = map_new();
	a->holders = map_new();
	list_init(&a->idle);
	return a;
}

size_t
anvil_clients(const struct anvil *a)
{
	return map_count(a->clients);
}

static void
forget(struct anvil *a, struct client *c)
{
	list_remove(&c->link);
	map_set(a->clients, str_of(c->name), NULL);
	mem_free(c->name);
	mem_free(c);
}

static void
rest(struct anvil *a, struct client *c, int64_t now_s)
{
	c->idle_s = now_s;
	list_remove(&c->link);
	list_append(&a->idle, &c->link);
}

void
anvil_expire(struct anvil *a, int64_t now_s)
{
	while (!list_empty(&a->idle)) {
		struct client *c = container_of(a->idle.next, struct client,
		    link);

		if (c->idle_s + a->unit_s >= now_s)
			break;
		forget(a, c);
	}
}

/* NULL: no room, all clients have connections. */
static struct client *
find(struct anvil *a, struct str name, int64_t now_s)
{
	struct client *c = map_get(a->clients, name);

	if (c != NULL)
		return c;
	if (map_count(a->clients) >= a->clients_max) {
		if (list_empty(&a->idle)) {
			if (!a->told_full)
				log_warn("more than %zu clients are "
				    "connected: not all are counted",
				    a->clients_max);
			a->told_full = true;
			return NULL;
		}
		forget(a, container_of(a->idle.next, struct client, link));
	}
	c = mem_new(sizeof(*c));
	c->name = mem_copy(name);
	c->start_s = now_s;
	list_init(&c->link);
	map_set(a->clients, name, c);
	rest(a, c, now_s);
	if (map_count(a->clients) > a->cache.value) {
		a->cache.value = map_count(a->clients);
		a->cache.when_s = now_s;
	}
	return c;
}

static void
note_peak(struct peak *peak, uint64_t value, const struct client *c,
    int64_t now_s)
{
	if (value <= peak->value)
		return;
	peak->value = value;
	peak->when_s = now_s;
	snprintf(peak->name, sizeof(peak->name), "%s", c->name);
}

/* The holder has one more connection of this client. */
static void
hold(struct anvil *a, const void *who, struct client *c)
{
	struct holder *h = map_get(a->holders, pointer_key(&who));
	struct held *held;

	if (h == NULL) {
		h = mem_new(sizeof(*h));
		h->open = map_new();
		map_set(a->holders, pointer_key(&who), h);
	}
	held = map_get(h->open, str_of(c->name));
	if (held == NULL) {
		held = mem_new(sizeof(*held));
		held->client = c;
		map_set(h->open, str_of(c->name), held);
	}
	held->n++;
	if (c->connections++ == 0)
		list_remove(&c->link);
}

static void
give_back(struct anvil *a, struct client *c, uint64_t n, int64_t now_s)
{
	assert(c->connections >= n);
	c->connections -= n;
	if (c->connections == 0)
		rest(a, c, now_s);
}

/* False: too long to be kept. */
static bool
name_of(struct str service, struct str client, struct buf *name)
{
	buf_init(name, ANVIL_NAME_MAX);
	buf_str(name, service);
	buf_putc(name, ':');
	buf_str(name, client);
	return !name->full;
}

struct anvil_counts
anvil_event(struct anvil *a, const void *holder, enum client_event event,
    struct str service, struct str client, int64_t now_s)
{
	struct anvil_counts counts = { 1, 1 };
	struct client *c = NULL;
	struct buf name;

	anvil_expire(a, now_s);
	if (name_of(service, client, &name))
		c = find(a, buf_view(&name), now_s);
	buf_free(&name);
	if (c == NULL)
		return counts;
	if (event == CLIENT_CONNECT)
		hold(a, holder, c);
	else if (c->connections == 0)
		rest(a, c, now_s);
	if (c->start_s + a->unit_s < now_s) {
		memset(c->rate, 0, sizeof(c->rate));
		c->start_s = now_s;
	}
	counts.rate = ++c->rate[event];
	counts.connections = c->connections;
	note_peak(&a->rates[event], counts.rate, c, now_s);
	note_peak(&a->connections, counts.connections, c, now_s);
	return counts;
}

void
anvil_gone(struct anvil *a, const void *holder, struct str service,
    struct str client, int64_t now_s)
{
	struct holder *h = map_get(a->holders, pointer_key(&holder));
	struct held *held = NULL;
	struct buf name;

	/* Unknown: it was another anvil, before a reload, that heard of it. */
	if (h != NULL && name_of(service, client, &name)) {
		held = map_get(h->open, buf_view(&name));
		if (held != NULL) {
			give_back(a, held->client, 1, now_s);
			if (--held->n == 0) {
				map_set(h->open, buf_view(&name), NULL);
				mem_free(held);
			}
		}
		buf_free(&name);
	}
}

void
anvil_holder_gone(struct anvil *a, const void *holder, int64_t now_s)
{
	struct holder *h = map_set(a->holders, pointer_key(&holder), NULL);
	struct str name;
	size_t pos = 0;
	void *value;

	if (h == NULL)
		return;
	while (map_next(h->open, &pos, &name, &value)) {
		struct held *held = value;

		give_back(a, held->client, held->n, now_s);
		mem_free(held);
	}
	map_free(&h->open);
	mem_free(h);
}

void
anvil_free(struct anvil **anvil)
{
	struct anvil *a = *anvil;
	struct str key;
	size_t pos = 0;
	void *value;

	if (a == NULL)
		return;
	*anvil = NULL;
	for (pos = 0; map_next(a->holders, &pos, &key, &value); pos = 0) {
		const void *holder;

		memcpy(&holder, key.p, sizeof(holder));
		anvil_holder_gone(a, holder, 0);
	}
	while (!list_empty(&a->idle))
		forget(a, container_of(a->idle.next, struct client, link));
	map_free(&a->clients);
	map_free(&a->holders);
	mem_free(a);
}

/* "Nov 22 06:00:00" */
static const char *
time_text(int64_t when_s, char *out, size_t size)
{
	time_t t = (time_t)when_s;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(out, size, "%b %e %H:%M:%S", &tm) == 0)
		snprintf(out, size, "?");
	return out;
}

void
anvil_report(struct anvil *a)
{
	static const char *const names[ANVIL_EVENTS] = {
		[CLIENT_CONNECT] = "connection", [CLIENT_MAIL] = "message",
		[CLIENT_RCPT] = "recipient", [CLIENT_AUTH] = "auth",
		[CLIENT_TLS] = "newtls",
	};
	char when[32];

	for (size_t i = 0; i < ANVIL_EVENTS; i++) {
		struct peak *p = &a->rates[i];

		if (p->value > 0)
			log_info("statistics: max %s rate %" PRIu64 "/%" PRId64
			    "s for (%s) at %s", names[i], p->value, a->unit_s,
			    p->name, time_text(p->when_s, when, sizeof(when)));
		p->value = 0;
		p = &a->connections;
		if (i == CLIENT_CONNECT && p->value > 0)
			log_info("statistics: max connection count %" PRIu64
			    " for (%s) at %s", p->value, p->name,
			    time_text(p->when_s, when, sizeof(when)));
		p->value = 0;
	}
	if (a->cache.value > 0)
		log_info("statistics: max cache size %" PRIu64 " at %s",
		    a->cache.value,
		    time_text(a->cache.when_s, when, sizeof(when)));
	a->cache.value = 0;
}
