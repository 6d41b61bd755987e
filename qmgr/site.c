/*
 * site - which deferred mail waits for which domain: flush by site, ETRN.
 *
 * Postfix's flush(8) keeps log files of it; here it is an index in memory,
 * of all domains. A message that was put off is filed by the domains of its
 * deferred recipients. After a start nothing is filed: the first question
 * has the deferred files read, some between two turns of the loop, and each
 * is filed then; so whoever was asked for meanwhile is flushed as it is
 * found. So are files that a scan finds meanwhile. A message for more than
 * SITES_MAX domains is filed under "*" and goes with any of them. qmgr runs
 * it.
 */
#include <fcntl.h>
#include "address/address.h"
#include "qmgr/qmgr.h"

#define SITES_MAX	200	/* of one message */
#define FILES_AT_ONCE	50	/* read between two turns of the loop */
#define READ_MAX	((size_t)16 << 30)	/* of one message, as elsewhere */
#define MANY		"*"

struct site {
	char		*name;
	struct list	 refs;
	struct list	 asked;		/* q->asked: flush what is found */
};

struct site_ref {
	struct site	*site;
	struct slot	*slot;
	struct list	 in_site;
	struct site_ref	*next;		/* of the slot */
};

static struct str
fold(struct str domain, struct buf *b)
{
	buf_init(b, ADDRESS_MAX);
	for (size_t i = 0; i < domain.n; i++)
		buf_putc(b, domain.p[i] >= 'A' && domain.p[i] <= 'Z' ?
		    (char)(domain.p[i] - 'A' + 'a') : domain.p[i]);
	return buf_view(b);
}

static struct site *
site_get(struct qmgr *q, struct str name)
{
	struct site *s = map_get(q->sites, name);

	if (s != NULL)
		return s;
	s = mem_new(sizeof(*s));
	s->name = mem_copy(name);
	list_init(&s->refs);
	list_init(&s->asked);
	(void)map_set(q->sites, name, s);
	return s;
}

static void
free_if_idle(struct qmgr *q, struct site *s)
{
	if (!list_empty(&s->refs) || !list_empty(&s->asked))
		return;
	(void)map_set(q->sites, str_of(s->name), NULL);
	mem_free(s->name);
	mem_free(s);
}

static size_t
file_under(struct qmgr *q, struct slot *slot, struct str domain)
{
	struct site *site = site_get(q, domain);
	struct site_ref *r;
	size_t n = 0;

	for (r = slot->sites; r != NULL; r = r->next, n++)
		if (r->site == site)
			return n;
	r = mem_new(sizeof(*r));
	r->site = site;
	r->slot = slot;
	r->next = slot->sites;
	slot->sites = r;
	list_append(&site->refs, &r->in_site);
	return n + 1;
}

void
site_forget(struct qmgr *q, struct slot *slot)
{
	struct site_ref *r;

	while ((r = slot->sites) != NULL) {
		slot->sites = r->next;
		list_remove(&r->in_site);
		free_if_idle(q, r->site);
		mem_free(r);
	}
}

void
site_file(struct qmgr *q, struct slot *slot, const struct queue_message *msg)
{
	struct buf b;

	assert(slot->state == SLOT_WAITS);
	site_forget(q, slot);
	for (size_t i = 0; i < msg->nrcpts; i++) {
		const struct queue_rcpt *r = &msg->rcpts[i];
		size_t n;

		if (r->status != RCPT_TODO && r->status != RCPT_DEFERRED)
			continue;
		n = file_under(q, slot, fold(address_domain(r->address), &b));
		buf_free(&b);
		if (n > SITES_MAX) {
			site_forget(q, slot);
			(void)file_under(q, slot, STR(MANY));
			break;
		}
	}
}

/* --- questions --- */

static void
flush_all_of(struct qmgr *q, struct site *site)
{
	list_each(l, &site->refs)
		slot_flush(q, container_of(l, struct site_ref, in_site)->slot);
}

static void
add_unread(struct qmgr *q, const struct slot *s)
{
	if (s->sites != NULL)
		return;
	buf_puts(&q->unread, s->id);
	buf_putc(&q->unread, '\0');
}

/* Those that nobody has read since the start. */
static void
list_unread(struct qmgr *q)
{
	q->unread_at = 0;
	for (size_t i = 0; i < q->deferred.n; i++)
		add_unread(q, container_of(q->deferred.v[i], struct slot,
		    due));
}

void
site_found(struct qmgr *q, const struct slot *s)
{
	if (!list_empty(&q->asked))
		add_unread(q, s);
}

static bool
has_unread(const struct qmgr *q)
{
	return q->unread_at < q->unread.n;
}

enum flush_status
site_flush(struct qmgr *q, struct str name)
{
	struct site *site;
	struct buf b;

	if (q->flush_domains == NULL)
		return FLUSH_FAIL;
	name = fold(name, &b);
	switch (match_list_domain(q->flush_domains, name)) {
	case FOUND:
		break;
	case NONE:
		buf_free(&b);
		return FLUSH_DENY;
	case RETRY:
		buf_free(&b);
		return FLUSH_FAIL;
	}
	schedule_revive(q->schedule);
	site = site_get(q, name);
	buf_free(&b);
	flush_all_of(q, site);
	flush_all_of(q, site_get(q, STR(MANY)));
	if (!has_unread(q))
		list_unread(q);
	if ((has_unread(q) || scan_is_running(q)) &&
	    list_empty(&site->asked))
		list_append(&q->asked, &site->asked);
	free_if_idle(q, site_get(q, STR(MANY)));
	free_if_idle(q, site);
	qmgr_wake(q);
	return FLUSH_OK;
}

bool
site_is_reading(const struct qmgr *q)
{
	return !list_empty(&q->asked);
}

/* Files it, and flushes it where it is for one who was asked for. */
static void
read_one(struct qmgr *q, struct slot *s)
{
	struct queue_message msg = { 0 };
	struct arena *arena;
	int fd = queue_open_file(&q->queue, s->dir, s->id, O_RDONLY |
	    O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd < 0)
		return;
	arena = arena_new(READ_MAX);
	if (queue_read(fd, arena, false, &msg) == QUEUE_OK)
		site_file(q, s, &msg);
	arena_free(&arena);
	fd_close(&fd);
	for (const struct site_ref *r = s->sites; r != NULL; r = r->next)
		if (!list_empty(&r->site->asked) ||
		    strcmp(r->site->name, MANY) == 0)
			slot_flush(q, s);
}

void
site_read_more(struct qmgr *q)
{
	for (int n = 0; n < FILES_AT_ONCE && has_unread(q); n++) {
		struct str id = str_of(q->unread.p + q->unread_at);
		struct slot *s = slot_get(q, id);

		q->unread_at += id.n + 1;
		if (s != NULL && s->state == SLOT_WAITS && s->sites == NULL)
			read_one(q, s);
	}
	if (has_unread(q))
		return;
	buf_free(&q->unread);
	q->unread_at = 0;
	if (scan_is_running(q))
		return;			/* it may find more */
	list_each(l, &q->asked) {
		struct site *site = container_of(l, struct site, asked);

		list_remove(&site->asked);
		free_if_idle(q, site);
	}
}
