/*
 * control - the socket public/qmgr: postqueue and postern ask here.
 *
 * One line in, an answer, a close: "flush", "deliver ID", "site NAME",
 * "status"; or Postfix's letters, without a line end. Anybody who may enter
 * public/ may ask; no question can make the queue lose anything. qmgr runs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include "address/address.h"
#include "qmgr/qmgr.h"

#define LINE_MAX_BYTES	1024
#define CONTROL_MS	10000	/* for the one line */
#define SITE_FILES	50	/* looked at between two turns of the loop */
#define CONTROLS_MAX	64

struct control {
	struct list	 link;
	struct qmgr	*q;
	struct stream	*stream;
};

static void
control_free(struct control *c)
{
	list_remove(&c->link);
	stream_free(&c->stream);
	mem_free(c);
}

void
control_flush(struct qmgr *q)
{
	schedule_revive(q->schedule);
	scan_again(q);
	slot_flush_all(&q->incoming);
	slot_flush_all(&q->deferred);
	qmgr_pump(q);
}

static bool
deliver_id(struct qmgr *q, struct str id)
{
	struct slot *s;
	enum queue_dir dir;
	struct buf b;

	if (!queue_id_valid(id))
		return false;
	s = slot_get(q, id);
	if (s != NULL) {
		if (s->state == SLOT_WAITS)
			slot_flush(q, s);
		return true;
	}
	buf_init(&b, QUEUE_ID_MAX);
	buf_str(&b, id);
	dir = queue_find(&q->queue, buf_cstr(&b));
	buf_free(&b);
	if (dir != Q_INCOMING && dir != Q_DEFERRED)
		return false;
	s = slot_new(q, id);
	s->dir = (uint8_t)dir;
	slot_flush(q, s);
	return true;
}

/* --- site: which deferred messages have a recipient there? --- */

void
control_site(struct qmgr *q, struct str site)
{
	buf_clear(&q->site_ids);
	q->site_at = 0;
	mem_free(q->site);
	q->site = mem_new(site.n + 1);
	memcpy(q->site, site.p, site.n);
	for (size_t i = 0; i < q->deferred.n; i++) {
		buf_puts(&q->site_ids, container_of(q->deferred.v[i],
		    struct slot, due)->id);
		buf_putc(&q->site_ids, '\0');
	}
	qmgr_wake(q);
}

static bool
goes_to(struct qmgr *q, const struct slot *s, struct str site)
{
	struct queue_message msg = { 0 };
	struct arena *arena;
	bool yes = false;
	int fd = queue_open_file(&q->queue, s->dir, s->id, O_RDONLY |
	    O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd < 0)
		return false;
	arena = arena_new((size_t)16 << 30);
	if (queue_read(fd, arena, false, &msg) == QUEUE_OK)
		for (size_t i = 0; i < msg.nrcpts && !yes; i++)
			yes = msg.rcpts[i].status <= RCPT_DEFERRED &&
			    str_eq_nocase(address_domain(
			    msg.rcpts[i].address), site);
	arena_free(&arena);
	fd_close(&fd);
	return yes;
}

void
control_site_more(struct qmgr *q)
{
	for (int n = 0; q->site != NULL && n < SITE_FILES; n++) {
		struct str id = str_of(q->site_ids.p + q->site_at);
		struct slot *s = slot_get(q, id);

		if (q->site_at >= q->site_ids.n) {
			mem_free(q->site);
			q->site = NULL;
			buf_free(&q->site_ids);
			break;
		}
		q->site_at += id.n + 1;
		if (s != NULL && s->state == SLOT_WAITS &&
		    goes_to(q, s, str_of(q->site)))
			slot_flush(q, s);
	}
}

/* --- the line --- */

static void
print_transport(void *ctx, struct transport *t)
{
	struct buf *b = ctx;

	buf_printf(b, "transport %s deliveries %u limit %u%s%s\n", t->name,
	    t->busy, t->limits.process_max, t->held ? " waits" : "",
	    t->dead_until != 0 ? " rests" : "");
}

static void
print_status(struct qmgr *q, struct buf *b)
{
	buf_printf(b, "incoming %zu\nactive %zu\ndeferred %zu\n",
	    q->incoming.n, q->nmessages, q->deferred.n);
	buf_printf(b, "active_recipients %zu\ndeliveries %zu\n"
	    "destinations %zu\n", q->nrcpts, schedule_busy(q->schedule),
	    schedule_dests(q->schedule));
	buf_printf(b, "sent %" PRIu64 "\nput_off %" PRIu64 "\nbounced %" PRIu64
	    "\nremoved %" PRIu64 "\n", q->sent, q->put_off, q->bounced,
	    q->removed);
	schedule_each_transport(q->schedule, print_transport, b);
}

static void
obey(struct qmgr *q, struct str line, struct buf *out)
{
	struct str verb = { 0 };

	if (!str_token(&line, " \r\n", &verb))
		verb = STR("");
	line = str_trim(line);
	if (str_eq(verb, STR("status"))) {
		print_status(q, out);
		return;
	}
	if (str_eq(verb, STR("flush"))) {
		control_flush(q);
	} else if (str_eq(verb, STR("deliver"))) {
		if (!deliver_id(q, line)) {
			buf_puts(out, "no such message\n");
			return;
		}
		qmgr_pump(q);
	} else if (str_eq(verb, STR("site")) && line.n > 0) {
		control_site(q, line);
	} else {
		buf_puts(out, "unknown command\n");
		return;
	}
	buf_puts(out, "ok\n");
}

/* Postfix's requests, letter by letter; postkick(1) sends them. */
static void
kick(struct qmgr *q, struct str letters)
{
	for (size_t i = 0; i < letters.n; i++)
		switch (letters.p[i]) {
		case 'I':
		case 'D':
			scan_again(q);
			break;
		case 'A':
			control_flush(q);
			break;
		case 'F':
			schedule_revive(q->schedule);
			break;
		}
	qmgr_pump(q);
}

static size_t
on_input(void *ctx, struct str in)
{
	struct control *c = ctx;
	size_t eol = str_chr(in, '\n');
	struct buf out;

	if (in.n > 0 && in.p[0] >= 'A' && in.p[0] <= 'Z') {
		kick(c->q, str_first(in, eol));
		control_free(c);
		return 0;
	}
	if (eol == in.n) {
		if (in.n > LINE_MAX_BYTES)
			control_free(c);
		return 0;
	}
	buf_init(&out, 1 << 20);
	obey(c->q, str_first(in, eol), &out);
	stream_write(c->stream, buf_view(&out));
	buf_free(&out);
	stream_pause(c->stream, true);
	if (stream_unsent(c->stream) == 0)
		control_free(c);
	return in.n;
}

static void
on_end(void *ctx)
{
	control_free(ctx);
}

static void
on_error(void *ctx, int err)
{
	(void)err;
	control_free(ctx);
}

static const struct stream_ops ops = { on_input, on_end, on_error, on_end,
	on_end };

static void
on_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	struct qmgr *q = ctx;
	struct control *c;
	size_t n = 0;

	(void)from;
	list_each(l, &q->controls)
		n++;
	if (n >= CONTROLS_MAX) {
		fd_close(&fd);
		return;
	}
	c = mem_new(sizeof(*c));
	c->q = q;
	list_append(&q->controls, &c->link);
	c->stream = stream_new(q->loop, fd, &ops, c);
	stream_timeout(c->stream, CONTROL_MS);
}

void
control_listen(struct qmgr *q, int fd)
{
	listener_free(&q->control);
	q->control = listener_new(q->loop, fd, on_accept, q);
}
