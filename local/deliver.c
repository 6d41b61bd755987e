/*
 * deliver - requests of qmgr: recipients come in, results and log lines go
 * out. The log line is Postfix's log_adhoc(), byte for byte.
 */
#include <stdarg.h>
#include <stdio.h>
#include "address/address.h"
#include "local/deliver.h"
#include "table/table.h"

#define TEXT_MAX	REQUEST_TEXT_MAX
#define LINE_MAX_BYTES	8192

static void	on_message(void *, struct talk *, enum msg, const void *);
static void	on_gone(void *, struct talk *, const char *);
static void	delivery_new(void *ctx, struct talk *,
		    const struct msg_deliver *);

static const struct talk_ops delivery_ops = { on_message, on_gone };

void
deliver_front(struct front *f, struct service *service)
{
	struct conf *conf = service_conf(service);

	f->service = service;
	f->requests = (struct requests){ delivery_new, f };
	f->original = conf_bool(conf, "enable_original_recipient");
	f->soft = conf_bool(conf, "soft_bounce");
	f->delay_decimals = (unsigned)conf_number(conf,
	    "delay_logging_resolution_limit");
}

static void
delivery_end(struct delivery *d)
{
	struct front *f = d->front;

	if (f->end != NULL)
		f->end(f->ctx, d);
	if (d->talk != NULL)
		talk_send(d->talk, MSG_deliver_done,
		    &(struct msg_deliver_done){ 0 });
	fd_close(&d->msg.queue_file);
	arena_free(&d->arena);
	mem_free(d);
}

static void
delivery_new(void *ctx, struct talk *talk, const struct msg_deliver *m)
{
	struct front *f = ctx;
	struct delivery *d = mem_new(sizeof(*d));

	d->front = f;
	d->talk = talk;
	d->arena = arena_new(SIZE_MAX / 2);	/* packets bound it */
	list_init(&d->rcpts);
	d->msg = *m;
	ipc_keep(MSG_deliver, &d->msg, d->arena);
	d->start_us = clock_wall_us();
	d->open = (size_t)m->rcpt_count;
	talk_set(talk, &delivery_ops, d);
}

void
deliver_on_talk(struct front *f, struct talk *talk, enum msg id)
{
	(void)id;
	request_await(&f->requests, talk);
}

static void
on_message(void *ctx, struct talk *talk, enum msg id, const void *msg)
{
	struct delivery *d = ctx;
	const struct msg_deliver_rcpt *m = msg;
	struct front *f = d->front;
	struct recipient *r;
	bool last;

	(void)talk;
	if (id != MSG_deliver_rcpt || d->have >= d->msg.rcpt_count) {
		log_at(LL_WARN, d->msg.queue_id,
		    "unexpected message from the queue manager");
		return;
	}
	r = arena_alloc(d->arena, sizeof(*r));
	r->delivery = d;
	r->index = m->index;
	r->address = arena_str(d->arena, m->address);
	r->original = arena_str(d->arena, m->original);
	r->dsn_orcpt = arena_str(d->arena, m->dsn_orcpt);
	r->dsn_notify = m->dsn_notify;
	list_append(&d->rcpts, &r->link);
	last = ++d->have == d->msg.rcpt_count;
	f->begin(f->ctx, r);		/* it may be the end of d */
	if (last && f->complete != NULL)
		f->complete(f->ctx, d);
}

/* qmgr died: what was begun is brought to its end and logged. */
static void
on_gone(void *ctx, struct talk *talk, const char *why)
{
	struct delivery *d = ctx;
	bool cut;

	(void)talk;
	(void)why;
	d->talk = NULL;
	cut = d->have < d->msg.rcpt_count;
	d->open -= (size_t)d->msg.rcpt_count - d->have;
	d->msg.rcpt_count = d->have;
	if (cut && d->have > 0 && d->front->complete != NULL) {
		d->front->complete(d->front->ctx, d);
		return;
	}
	if (d->open == 0)
		delivery_end(d);
}

static bool
is_verify(const struct delivery *d)
{
	return (d->msg.flags & DELIVER_VERIFY) != 0;
}

static void
log_result(const struct recipient *r, struct str address,
    const struct rcpt_outcome *o)
{
	const struct delivery *d = r->delivery;

	request_log(&d->msg, o, &(struct rcpt_line){ .address = address,
	    .original = r->original.n > 0 ? r->original : r->address,
	    .relay = str_of(d->front->relay), .soft = d->front->soft,
	    .delays = { .start_us = d->start_us,
	    .decimals = d->front->delay_decimals } });
}

/* --- <name>_delivery_status_filter --- */

void
deliver_filter(struct front *f, struct service *service,
    const char *parameter)
{
	struct conf *conf = service_conf(service);
	struct buf why;

	buf_init(&why, LINE_MAX_BYTES);
	f->filter = tables_open(conf_get(conf, parameter), conf_dir(conf), 0,
	    &why);
	if (why.n > 0)
		log_warn("%s: %s", parameter, buf_cstr(&why));
	buf_free(&why);
}

/* Put off is worse than failed, since it is tried again. */
static unsigned
badness(enum delivery_status status)
{
	switch (status) {
	case SENT:
		return 0;
	case EXPANDED:
		return 1;
	case BOUNCED:
		return 2;
	case DEFERRED:
		return 3;
	}
	return 3;
}

void
deliver_take(struct recipient *r, const struct msg_rcpt_result *m)
{
	struct arena *arena = r->delivery->arena;
	enum delivery_status status = m->status <= EXPANDED ?
	    (enum delivery_status)m->status : DEFERRED;

	if (r->sum.any && badness(status) <= badness(r->sum.status))
		return;
	r->sum.any = true;
	r->sum.status = status;
	r->sum.dsn = arena_str(arena, m->dsn);
	r->sum.text = arena_str(arena, m->text);
	r->sum.remote_mta = arena_str(arena, m->remote_mta);
	r->sum.diagnostic = arena_str(arena, m->diagnostic);
}

void
deliver_note(struct recipient *r, struct str address,
    enum delivery_status status, const char *dsn, struct str text)
{
	struct delivery *d = r->delivery;
	struct rcpt_outcome o = { status, str_of(dsn),
		str_first(text, TEXT_MAX) };

	if (status != EXPANDED)
		request_filter(d->front->filter, &d->msg, d->arena, &o);
	if (o.status == BOUNCED && d->front->soft && !is_verify(d)) {
		o.dsn = str_of(arena_printf(d->arena, "4" STRF,
		    STRV(str_from(o.dsn, 1))));
		log_result(r, address, &o);
		o.status = DEFERRED;
	} else
		log_result(r, address, &o);
	deliver_take(r, &(struct msg_rcpt_result){ .status = o.status,
	    .dsn = o.dsn, .text = o.text });
}

void
deliver_notef(struct recipient *r, struct str address,
    enum delivery_status status, const char *dsn, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	deliver_note(r, address, status, dsn, str_of(text));
}

void
deliver_end(struct recipient *r)
{
	struct delivery *d = r->delivery;
	struct msg_rcpt_result m = { .index = r->index,
		.status = r->sum.status, .dsn = r->sum.dsn,
		.text = r->sum.text, .remote_mta = r->sum.remote_mta,
		.diagnostic = r->sum.diagnostic, .action = r->sum.action };

	if (!r->sum.any)
		m = (struct msg_rcpt_result){ .index = r->index,
		    .status = DEFERRED, .dsn = STR("4.3.0"),
		    .text = STR("nothing was delivered") };
	if (d->talk != NULL)
		talk_send(d->talk, MSG_rcpt_result, &m);
	if (--d->open == 0)
		delivery_end(d);
}

void
deliver_result(struct recipient *r, enum delivery_status status,
    const char *dsn, struct str text)
{
	deliver_note(r, r->address, status, dsn, text);
	deliver_end(r);
}

void
deliver_printf(struct recipient *r, enum delivery_status status,
    const char *dsn, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	deliver_result(r, status, dsn, str_of(text));
}

struct str
deliver_x_original(const struct recipient *r)
{
	if (!r->delivery->front->original)
		return STR("");
	return r->original.n > 0 ? r->original : r->address;
}

struct msg_store *
deliver_job(const struct recipient *r, struct str path, struct str base)
{
	const struct msg_deliver *m = &r->delivery->msg;
	struct msg_store *job = arena_alloc(r->delivery->arena, sizeof(*job));

	job->queue_id = m->queue_id;
	job->kind = str_ends_nocase(path, STR("/")) ? STORE_MAILDIR :
	    str_ends_nocase(path, STR("/.")) ? STORE_MH : STORE_MBOX;
	job->path = path;
	job->base = base;
	job->sender = m->sender;
	job->original = deliver_x_original(r);
	job->header_off = m->header_off;
	job->header_len = m->header_len;
	job->body_off = m->body_off;
	job->body_len = m->body_len;
	job->queue_file = m->queue_file;
	return job;
}

struct str
deliver_folded(const struct recipient *r, struct str s)
{
	char *p = arena_cstr(r->delivery->arena, s);

	for (size_t i = 0; i < s.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
	return (struct str){ p, s.n };
}

void
deliver_split(struct str nexthop, const char *preset,
    char dsn[DELIVER_DSN_SIZE], struct str *text)
{
	struct str s = str_trim(nexthop);
	size_t n = dsn_status_length(s);

	*text = n > 0 ? str_trim(str_from(s, n)) : s;
	snprintf(dsn, DELIVER_DSN_SIZE, "%s", preset);
	if (n == 0 || n >= DELIVER_DSN_SIZE ||
	    (preset[0] == '2') != (s.p[0] == '2'))
		return;
	snprintf(dsn, DELIVER_DSN_SIZE, STRF, STRV(str_first(s, n)));
	dsn[0] = preset[0];
}

uint64_t
deliver_locks(struct str words, const char *parameter)
{
	static const struct { struct str word; uint64_t bit; } known[] = {
		{ STR("fcntl"), LOCK_FCNTL },
		{ STR("dotlock"), LOCK_DOTLOCK },
		{ STR("flock"), LOCK_FLOCK },
	};
	uint64_t bits = 0;
	struct str word;

	while (str_token(&words, ", \t\r\n", &word)) {
		size_t i = 0;

		while (i < nitems(known) && !str_eq(word, known[i].word))
			i++;
		if (i < nitems(known))
			bits |= known[i].bit;
		else
			log_warn("unknown %s value \"" STRF "\"; known are "
			    "fcntl, dotlock, flock", parameter, STRV(word));
	}
	return bits;
}

bool
deliver_limit_valid(struct service *sv, int64_t limit, const char *parameter)
{
	int64_t message = conf_number(service_conf(sv), "message_size_limit");

	if (limit == 0 || (message > 0 && limit >= message))
		return true;
	if (message == 0)
		log_warn("configuration error: %s is limited but "
		    "message_size_limit is unlimited", parameter);
	else
		log_warn("configuration error: %s is smaller than "
		    "message_size_limit", parameter);
	return false;
}
