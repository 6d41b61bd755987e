/*
 * mail - one message on its way into the queue, from MAIL to the file whole.
 */
#include <errno.h>
#include "cleanup/cleanup.h"
#include "sys/sys.h"

#define MEMORY_MAX	(256 << 20)	/* envelope and what belongs to it */

static struct str
keep(struct mail *m, struct str s)
{
	return s.n > 0 ? arena_str(m->arena, s) : STR("");
}

/* The message's strings were borrowed from the packet. */
static void
keep_begin(struct mail *m, const struct msg_mail_begin *b)
{
	m->begin = *b;
	m->begin.sender = keep(m, b->sender);
	m->begin.client_name = keep(m, b->client_name);
	m->begin.client_addr = keep(m, b->client_addr);
	m->begin.client_port = keep(m, b->client_port);
	m->begin.helo = keep(m, b->helo);
	m->begin.protocol = keep(m, b->protocol);
	m->begin.sasl_method = keep(m, b->sasl_method);
	m->begin.sasl_user = keep(m, b->sasl_user);
	m->begin.sasl_sender = keep(m, b->sasl_sender);
	m->begin.rewrite_domain = keep(m, b->rewrite_domain);
	m->begin.dsn_envid = keep(m, b->dsn_envid);
	m->begin.received_from = keep(m, b->received_from);
	m->begin.full_name = keep(m, b->full_name);
	m->begin.tls = keep(m, b->tls);
	m->begin.verp = keep(m, b->verp);
	m->encoding = keep(m, b->encoding);
	m->filter = keep(m, b->filter);
}

static bool
has_line_break(struct str s)
{
	return str_chr(s, '\n') < s.n || str_chr(s, '\r') < s.n ||
	    str_chr(s, '\0') < s.n;
}

/* "local", a domain to append, or "" to leave headers alone. */
static void
choose_rules(struct mail *m)
{
	struct cleanup *c = m->c;
	bool local = (m->begin.flags & MAIL_LOCAL_CLIENT) != 0;
	struct str domain = m->begin.rewrite_domain;

	if (local || str_eq(domain, STR("local"))) {
		m->header_rules = c->local;
	} else if (domain.n > 0) {
		m->header_rules = c->local;
		m->header_rules.origin = domain;
		m->header_rules.domain = domain;
	}
	m->complete = local || domain.n > 0 ||
	    c->conf.always_add_missing_headers;
}

/* mailer-daemon@us is the empty sender by another name: no loops. */
static bool
is_mailer_daemon(struct cleanup *c, struct str address)
{
	size_t at = str_rchr(address, '@');

	return str_eq_nocase(str_first(address, at), STR("mailer-daemon")) &&
	    at < address.n &&
	    str_eq_nocase(str_from(address, at + 1), c->local.origin);
}

static void
set_sender(struct mail *m)
{
	if (has_line_break(m->begin.sender) ||
	    has_line_break(m->begin.dsn_envid) ||
	    m->begin.sender.n > ADDRESS_MAX) {
		mail_fail(m, MAIL_REJECTED, "5.1.7", "bad sender address");
		return;
	}
	m->sender = rewrite_address(&m->c->local, m->arena, m->begin.sender);
	if (is_mailer_daemon(m->c, m->sender))
		m->sender = STR("");
	if (canonical_map(m, USE_ENVELOPE_SENDER, &m->sender))
		canonical_copy(m, m->c->sender_bcc, "sender_bcc_maps",
		    m->sender);
}

/* After set_sender: reports cannot go to nobody. */
static void
check_verp(struct mail *m)
{
	struct str *verp = &m->begin.verp;

	if (verp->n == 0)
		return;
	if (m->sender.n > 0 && address_verp_ok(*verp, m->c->verp_filter))
		return;
	log_at(LL_WARN, m->id, "ignoring %s", m->sender.n == 0 ?
	    "VERP request for null sender" : "bad VERP request");
	*verp = STR("");
}

struct mail *
mail_new(struct cleanup *c, const struct msg_mail_begin *b)
{
	struct mail *m = mem_new(sizeof(*m));
	size_t header_max = (size_t)c->conf.header_size_limit;

	m->c = c;
	m->arena = arena_new(2 * (size_t)MEMORY_MAX);
	keep_begin(m, b);
	/* Copies are of what people send. */
	if ((b->flags & MAIL_BOUNCE) != 0)
		m->begin.flags |= MAIL_NO_BCC;
	m->hold = (b->flags & MAIL_HOLD) != 0;
	m->discard = (b->flags & MAIL_DISCARD) != 0;
	buf_init(&m->line, (size_t)c->line_max + 2);
	buf_init(&m->field, header_max + 2 * IPC_CONTENT_MAX);
	buf_init(&m->headers, (size_t)c->conf.header_section_size_limit);
	choose_rules(m);
	m->writer = queue_writer_new(&c->queue,
	    m->hold ? Q_HOLD : Q_INCOMING);
	if (m->writer == NULL) {
		mail_fault(m, "create queue file", errno);
		return m;
	}
	m->id = arena_str(m->arena, str_of(queue_writer_id(m->writer)));
	if (b->arrival_us == 0 || b->arrival_us > INT64_MAX)
		m->begin.arrival_us = (uint64_t)clock_wall_us();
	set_sender(m);
	check_verp(m);
	inspect_begin(m);
	return m;
}

void
mail_fail(struct mail *m, enum mail_status status, const char *dsn,
    const char *reason)
{
	if (m->status != MAIL_OK)
		return;
	m->status = status;
	m->dsn = arena_str(m->arena, str_of(dsn));
	m->reason = arena_str(m->arena, str_of(reason));
	queue_writer_drop(&m->writer);
	/* Not m->field: who called may be looking at it. */
	buf_free(&m->headers);
}

void
mail_fault(struct mail *m, const char *what, int err)
{
	if (err == EFBIG) {
		log_at(LL_WARN, m->id, "queue file size limit exceeded");
		mail_fail(m, MAIL_TOO_BIG, "5.3.4", "message file too big");
		return;
	}
	log_at(LL_WARN, m->id, "%s: %s", what, strerror(err));
	if (err == ENOSPC || err == EDQUOT)
		mail_fail(m, MAIL_NO_SPACE, "4.3.1",
		    "Insufficient system storage");
	else
		mail_fail(m, MAIL_RETRY, "4.3.0", "queue file write error");
}

void
mail_free(struct mail **mp)
{
	struct mail *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	queue_writer_drop(&m->writer);
	inspect_free(m);
	buf_free(&m->line);
	buf_free(&m->field);
	buf_free(&m->headers);
	map_free(&m->seen);
	mem_free(m->rcpts);
	mem_free(m->bcc.v);
	mem_free(m->copies.v);
	mem_free(m->prepend.v);
	mem_free(m->extracted.v);
	mem_free(m->resent_extracted.v);
	arena_free(&m->arena);
	mem_free(m);
}

void
addresses_add(struct addresses *a, struct str s)
{
	if (a->n == a->cap) {
		a->cap = a->cap > 0 ? 2 * a->cap : 8;
		a->v = mem_grow(a->v, a->cap, sizeof(*a->v));
	}
	a->v[a->n++] = s;
}

void
lower_case(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 32);
}

struct str
lower_copy(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	lower_case(p, s.n);
	return (struct str){ p, s.n };
}

/* XFORWARD: for the next hop; Received names whom we know. */
static void
take_forwarded(struct mail *m, struct str name, struct str value)
{
	const struct { const char *name; struct str *value; } all[] = {
		{ "name", &m->forwarded.name }, { "addr", &m->forwarded.addr },
		{ "port", &m->forwarded.port }, { "helo", &m->forwarded.helo },
		{ "proto", &m->forwarded.proto },
		{ "ident", &m->forwarded.ident },
		{ "source", &m->forwarded.source },
	};

	for (size_t i = 0; i < nitems(all); i++)
		if (str_eq(name, str_of(all[i].name)))
			*all[i].value = value;
}

/* What access(5) actions and sendmail's options ask of this message. */
void
mail_attr(struct mail *m, struct str name, struct str value)
{
	if (m->status != MAIL_OK)
		return;
	if (arena_used(m->arena) > MEMORY_MAX) {
		mail_fail(m, MAIL_RETRY, "4.3.0", "too many attributes");
		return;
	}
	value = keep(m, value);
	if (str_eq(name, STR("prepend"))) {
		if (!has_line_break(value))
			addresses_add(&m->prepend, value);
	} else if (str_eq(name, STR("hold"))) {
		m->hold = true;
	} else if (str_eq(name, STR("discard"))) {
		m->discard = true;
	} else if (str_eq(name, STR("redirect"))) {
		m->redirect = value;
	} else if (str_eq(name, STR("filter"))) {
		m->filter = value;
	} else if (str_eq(name, STR("bcc"))) {
		addresses_add(&m->bcc, value);
	} else if (str_starts(name, STR("forward_"))) {
		take_forwarded(m, str_from(name, 8), value);
	} else if (str_eq(name, STR("extract"))) {
		m->begin.flags |= MAIL_EXTRACT;
	} else {
		log_at(LL_WARN, m->id, "unknown attribute " STRF,
		    STRV(name));
		mail_fail(m, MAIL_RETRY, "4.3.0", "internal protocol error");
	}
}

static void
add_extracted(struct mail *m)
{
	const struct addresses *a = m->resent ? &m->resent_extracted :
	    &m->extracted;

	if ((m->begin.flags & MAIL_EXTRACT) == 0)
		return;
	for (size_t i = 0; i < a->n; i++)
		recipient_add(m, a->v[i], STR(""), 0);
}

static void
add_copies(struct mail *m)
{
	if (m->nrcpts == 0)
		return;
	if ((m->begin.flags & MAIL_NO_BCC) == 0 && m->c->conf.always_bcc.n > 0)
		addresses_add(&m->copies, m->c->conf.always_bcc);
	for (size_t i = 0; i < m->copies.n; i++)
		recipient_copy(m, m->copies.v[i]);
	for (size_t i = 0; i < m->bcc.n; i++)
		recipient_copy(m, m->bcc.v[i]);
}

static struct str
or_else(struct str a, struct str b)
{
	return a.n > 0 ? a : b;
}

static size_t
collect_attrs(const struct mail *m, struct queue_attr *out)
{
	const struct queue_attr all[] = {
		{ STR("client_name"), or_else(m->forwarded.name,
		    m->begin.client_name) },
		{ STR("client_addr"), or_else(m->forwarded.addr,
		    m->begin.client_addr) },
		{ STR("client_port"), or_else(m->forwarded.port,
		    m->begin.client_port) },
		{ STR("helo"), or_else(m->forwarded.helo,
		    m->begin.helo) },
		{ STR("protocol"), or_else(m->forwarded.proto,
		    m->begin.protocol) },
		{ STR("ident"), m->forwarded.ident },
		{ STR("source"), m->forwarded.source },
		{ STR("sasl_method"), m->begin.sasl_method },
		{ STR("sasl_user"), m->begin.sasl_user },
		{ STR("sasl_sender"), m->begin.sasl_sender },
		{ STR("rewrite_domain"), m->begin.rewrite_domain },
		{ STR("encoding"), m->encoding },
		{ STR("filter"), m->filter },
		{ STR(QUEUE_VERP), m->begin.verp },
		{ STR("message_id"), m->message_id },
	};
	size_t n = 0;

	for (size_t i = 0; i < nitems(all); i++)
		if (all[i].value.n > 0 && !has_line_break(all[i].value))
			out[n++] = all[i];
	return n;
}

/* RFC 6531: what is no UTF-8 is nothing that SMTPUTF8 could carry. */
static bool
is_utf8(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] & 0x80)
			return utf8_valid(s);
	return false;
}

static bool
needs_utf8(const struct mail *m)
{
	if (is_utf8(m->sender) || ((m->flags & QMF_8BIT) != 0 &&
	    is_utf8(buf_view(&m->headers))))
		return true;
	for (size_t i = 0; i < m->nrcpts; i++)
		if (is_utf8(m->rcpts[i].address))
			return true;
	return false;
}

static void
write_rest(struct mail *m)
{
	struct queue_attr attrs[16];
	struct queue_message msg = {
		.arrival_us = (int64_t)m->begin.arrival_us,
		.sender = m->sender, .dsn_envid = m->begin.dsn_envid,
		.dsn_ret = m->begin.dsn_ret <= DSN_RET_HDRS ?
		    (unsigned)m->begin.dsn_ret : DSN_RET_NONE,
		.flags = m->flags, .attrs = attrs,
		.rcpts = m->rcpts, .nrcpts = m->nrcpts };
	int err;

	msg.nattrs = collect_attrs(m, attrs);
	if ((m->begin.flags & MAIL_SMTPUTF8) != 0 ||
	    (m->finds_utf8 && needs_utf8(m)))
		msg.flags |= QMF_SMTPUTF8;
	msg.flags |= m->begin.flags & MAIL_BOUNCE ? QMF_BOUNCE : 0;
	msg.flags |= m->begin.flags & MAIL_VERIFY ? QMF_VERIFY : 0;
	msg.flags |= m->begin.flags & MAIL_PROBE ? QMF_PROBE : 0;
	msg.flags |= m->begin.flags & MAIL_TRACE ? QMF_TRACE : 0;
	err = queue_write_rest(m->writer, buf_view(&m->headers), &msg);
	if (err == 0 && m->hold)
		err = queue_writer_move(m->writer, Q_HOLD);
	if (err != 0)
		mail_fault(m, "write queue file", err);
}

void
mail_add_recipients(struct mail *m)
{
	add_extracted(m);
	add_copies(m);
}

enum mail_status
mail_finish(struct mail *m)
{
	if (m->status == MAIL_OK)
		content_end(m);
	if (m->status == MAIL_OK)
		mail_add_recipients(m);
	if (m->discard && m->id.n > 0) {
		/* Whatever it was: an access rule said so. */
		queue_writer_drop(&m->writer);
		m->status = MAIL_OK;
		return MAIL_OK;
	}
	if (m->status == MAIL_OK && m->nrcpts == 0)
		mail_fail(m, MAIL_NO_RCPT, "5.1.0", "no recipients specified");
	if (m->status == MAIL_OK && m->redirect.n > 0)
		recipient_redirect(m);
	if (m->status == MAIL_OK)
		write_rest(m);
	/* All is in the file: no memory waits for the disk. */
	buf_free(&m->headers);
	buf_free(&m->field);
	buf_free(&m->line);
	return m->status;
}
