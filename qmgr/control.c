/*
 * control - the socket public/qmgr: postqueue and postern ask here.
 *
 * One line in, an answer, a close: "flush", "deliver ID", "site NAME",
 * "status" (for programs), "stats" (for people); or Postfix's letters, without
 * a line end. Anybody who may enter public/ may ask; no question can make the
 * queue lose anything. qmgr runs it.
 */
#include <errno.h>
#include <inttypes.h>
#include "qmgr/qmgr.h"

#define LINE_MAX_BYTES	1024
#define CONTROL_MS	10000	/* for the one line */
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
	scan_flush(q);
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

/* --- the line --- */

static void
print_status(struct qmgr *q, struct buf *b)
{
	buf_printf(b, "incoming %zu\nactive %zu\ndeferred %zu\n",
	    q->incoming.n, q->nmessages, q->deferred.n);
	buf_printf(b, "active_recipients %zu\ndeliveries %zu\n"
	    "destinations %zu\ndead %zu\n", q->nrcpts,
	    schedule_busy(q->schedule), schedule_dests(q->schedule),
	    schedule_dead(q->schedule));
	buf_printf(b, "sent %" PRIu64 "\nput_off %" PRIu64 "\nbounced %" PRIu64
	    "\nremoved %" PRIu64 "\n", q->sent, q->put_off, q->bounced,
	    q->removed);
}

static const char *
flush_site(struct qmgr *q, struct str site)
{
	switch (site_flush(q, site)) {
	case FLUSH_OK:
		return "ok\n";
	case FLUSH_DENY:
		return "not configured\n";
	case FLUSH_FAIL:
		break;
	}
	return "fast_flush_domains cannot be looked up\n";
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
	if (str_eq(verb, STR("stats"))) {
		stats_print(q, out);
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
		buf_puts(out, flush_site(q, line));
		return;
	} else {
		buf_puts(out, "unknown command\n");
		return;
	}
	buf_puts(out, "ok\n");
}

/*
 * Postfix's requests, in letters; postkick(1) sends them. Each kind once,
 * however often it is said: a flush looks at all that waits.
 */
static void
kick(struct qmgr *q, struct str letters)
{
	if (str_chr(letters, 'A') < letters.n) {
		control_flush(q);
		return;			/* which is all of the others */
	}
	if (str_chr(letters, 'F') < letters.n)
		schedule_revive(q->schedule);
	if (str_chr(letters, 'I') < letters.n ||
	    str_chr(letters, 'D') < letters.n)
		scan_again(q);
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
