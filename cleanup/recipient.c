/*
 * recipient - envelope recipients: completed, expanded, each one once.
 *
 * Two recipients are the same when the address, the address that the sender
 * used, and what RFC 3461 asked for are the same (enable_original_recipient),
 * or else when the address is.
 */
#include "cleanup/cleanup.h"

#define MEMORY_MAX	(256 << 20)

static void
put_key(const struct mail *m, const struct queue_rcpt *r, struct buf *key)
{
	buf_clear(key);
	if (m->c->conf.enable_original_recipient)
		buf_printf(key, STRF "\n%u\n" STRF "\n", STRV(r->dsn_orcpt),
		    r->dsn_notify, STRV(r->original));
	buf_str(key, r->address);
	lower_case(key->p, key->n);
}

/* Remembers r. True: it was there before. */
static bool
was_seen(struct mail *m, const struct queue_rcpt *r)
{
	int64_t limit = m->c->conf.duplicate_filter_limit;
	struct buf key;
	bool seen;

	buf_init(&key, 1 << 16);
	put_key(m, r, &key);
	seen = map_get(m->seen, buf_view(&key)) != NULL;
	if (!seen && (limit == 0 || map_count(m->seen) < (size_t)limit))
		(void)map_set(m->seen, buf_view(&key), m);
	buf_free(&key);
	return seen;
}

/* A message for one needs no filter. */
static bool
is_duplicate(struct mail *m, const struct queue_rcpt *r)
{
	if (m->nrcpts == 0)
		return false;
	if (m->seen == NULL) {
		struct queue_rcpt first = m->rcpts[0];

		if (first.original.n == 0)
			first.original = first.address;
		m->seen = map_new();
		(void)was_seen(m, &first);
	}
	return was_seen(m, r);
}

static void
put(struct mail *m, const struct queue_rcpt *r)
{
	if (arena_used(m->arena) > MEMORY_MAX ||
	    m->nrcpts > MEMORY_MAX / sizeof(*m->rcpts)) {
		mail_fail(m, MAIL_RETRY, "4.5.3", "too many recipients");
		return;
	}
	if (is_duplicate(m, r))
		return;
	if (m->nrcpts == m->rcpts_cap) {
		m->rcpts_cap = m->rcpts_cap > 0 ? 2 * m->rcpts_cap : 2;
		m->rcpts = mem_grow(m->rcpts, m->rcpts_cap, sizeof(*m->rcpts));
	}
	m->rcpts[m->nrcpts] = *r;
	if (!m->c->conf.enable_original_recipient ||
	    str_eq(r->original, r->address))
		m->rcpts[m->nrcpts].original = STR("");
	m->nrcpts++;
}

/* An orcpt of our own where the sender gave none, as Postfix does. */
static struct str
default_orcpt(struct mail *m, struct str address)
{
	bool ascii = true;

	for (size_t i = 0; i < address.n; i++)
		ascii = ascii && (unsigned char)address.p[i] < 128;
	return str_of(arena_printf(m->arena, "%s;" STRF,
	    ascii ? "rfc822" : "utf-8", STRV(address)));
}

static bool
is_acceptable(struct str s, size_t max)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
			return false;
	return s.n <= max;
}

/*
 * RFC 3461 6.2.7.3 (b): of an alias its sender hears that it was expanded,
 * and of those that it stands for all but their success.
 */
static void
expand(struct mail *m, struct queue_rcpt *r)
{
	struct queue_rcpt alias = *r;
	struct addresses all = { 0 };
	bool tell = false;

	if (alias_expand(m, r->address, &all)) {
		tell = r->dsn_notify & DSN_NOTIFY_SUCCESS && all.n > 0 &&
		    (all.n > 1 || !str_eq(all.v[0], r->address));
		if (tell)
			r->dsn_notify &= ~(unsigned)DSN_NOTIFY_SUCCESS;
		if (tell && r->dsn_notify == 0)
			r->dsn_notify = DSN_NOTIFY_NEVER;
		for (size_t i = 0; i < all.n && m->status == MAIL_OK; i++) {
			r->address = all.v[i];
			put(m, r);
		}
	}
	alias.dsn_notify = QUEUE_NOTIFY_EXPANDED | DSN_NOTIFY_SUCCESS;
	if (tell && m->status == MAIL_OK)
		put(m, &alias);
	mem_free(all.v);
}

static void
add(struct mail *m, struct str address, struct str dsn_orcpt, unsigned notify,
    bool is_copy)
{
	struct queue_rcpt r = { .dsn_notify = notify & 15 };

	if (m->status != MAIL_OK)
		return;
	if (!is_acceptable(address, ADDRESS_MAX) ||
	    !is_acceptable(dsn_orcpt, 4 * ADDRESS_MAX)) {
		mail_fail(m, MAIL_REJECTED, "5.1.3", "bad recipient address");
		return;
	}
	if (address.n == 0)
		address = m->c->empty_address;
	r.original = arena_str(m->arena, address);
	r.address = rewrite_address(&m->c->local, m->arena, r.original);
	if (!canonical_map(m, USE_ENVELOPE_RCPT, &r.address))
		return;
	if (!is_copy)
		m->last_rcpt = r.address;
	if (!is_copy)
		canonical_copy(m, m->c->rcpt_bcc, "recipient_bcc_maps",
		    r.address);
	r.dsn_orcpt = dsn_orcpt.n > 0 ? arena_str(m->arena, dsn_orcpt) :
	    default_orcpt(m, r.address);
	if (m->begin.flags & MAIL_NO_REWRITE ||
	    tables_empty(m->c->virtual_alias))
		put(m, &r);
	else
		expand(m, &r);
}

void
recipient_add(struct mail *m, struct str address, struct str dsn_orcpt,
    unsigned notify)
{
	add(m, address, dsn_orcpt, notify, false);
}

/* Nobody hears of what becomes of it; no copy has copies. */
void
recipient_copy(struct mail *m, struct str address)
{
	add(m, address, STR(""), DSN_NOTIFY_NEVER, true);
}

void
recipient_redirect(struct mail *m)
{
	struct queue_rcpt r = m->rcpts[0];

	if (r.original.n == 0)
		r.original = r.address;
	r.address = rewrite_address(&m->c->local, m->arena, m->redirect);
	m->nrcpts = 0;
	put(m, &r);
}
