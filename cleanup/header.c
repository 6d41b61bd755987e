/*
 * header - what happens to each header field, and what is added.
 *
 * A field that means nothing to mail systems passes as it is. Addresses are
 * completed in place, dropped names are left out, sendmail -t's recipients
 * are taken, Received: lines are counted. At the end comes what is missing
 * (RFC 5322 3.6), for clients whose mail we complete. Words, order and form
 * are those of Postfix's cleanup.
 */
#include <time.h>
#include "cleanup/cleanup.h"
#include "sys/sys.h"

#define LOG_VALUE_MAX	1000	/* of a message-id */
#define FOLD_AT		70	/* as cleanup_fold_header */

static bool
seen(const struct mail *m, enum mime_header id)
{
	return m->seen_headers >> id & 1;
}

static void
put_line(struct mail *m, struct str line)
{
	buf_str(&m->headers, line);
	buf_puts(&m->headers, "\r\n");
}

/* PREPEND and Received: stand above all. */
void
header_begin(struct mail *m)
{
	for (size_t i = 0; i < m->prepend.n; i++)
		put_line(m, m->prepend.v[i]);
	received_print(m, &m->headers);
	m->hops = 1;
}

/*
 * Cuts at header_size_limit: at the last line end where that loses less than
 * a tenth, else right there. Postfix counts a line end as one.
 */
static struct str
cut(const struct mail *m, struct str field)
{
	size_t max = (size_t)m->c->conf.header_size_limit, last;

	if (field.n <= max)
		return field;
	field = str_first(field, max);
	last = str_rchr(field, '\n');
	if (last < field.n && last > max - max / 10)
		return str_first(field, last - 1);
	/* Not between CR and LF, nor right behind them. */
	while (field.n > 0 && (field.p[field.n - 1] == '\r' ||
	    field.p[field.n - 1] == '\n'))
		field.n--;
	return field;
}

static bool
is_dropped(const struct mail *m, enum mime_header id, struct str name)
{
	char lower[128];

	if (id != MH__OTHER)
		return m->c->drop[id];
	if (map_count(m->c->drop_others) == 0 || name.n > sizeof(lower))
		return false;
	memcpy(lower, name.p, name.n);
	lower_case(lower, name.n);
	return map_get(m->c->drop_others,
	    (struct str){ lower, name.n }) != NULL;
}

static void
extract(struct mail *m, enum mime_header id, struct str body)
{
	unsigned flags = mime_headers[id].flags;
	struct addresses *to = flags & HF_RESENT ? &m->resent_extracted :
	    &m->extracted;
	int64_t most = m->c->conf.header_address_token_limit;
	struct str address;

	if ((flags & HF_EXTRACT) == 0 || (m->begin.flags & MAIL_EXTRACT) == 0)
		return;
	while (most-- > 0 && address_list_next(&body, m->arena, &address))
		addresses_add(to, address);
}

/* The first <...> of a Message-Id, for reports that refer to it. */
static void
keep_message_id(struct mail *m, struct str value)
{
	size_t from = str_chr(value, '<'), to = str_chr(value, '>');

	if (m->message_id.n == 0 && from < to && to < value.n &&
	    to - from < ADDRESS_MAX)
		m->message_id = arena_str(m->arena,
		    str_first(str_from(value, from), to - from + 1));
}

static void
note_encoding(struct mail *m, struct str value)
{
	if (m->c->conf.detect_8bit_encoding_header &&
	    (str_eq_nocase(value, STR("8bit")) ||
	    str_eq_nocase(value, STR("binary"))))
		m->encoding = STR("8bit");
}

static void
count_hop(struct mail *m)
{
	if (++m->hops < m->c->hops_max)
		return;
	log_at(LL_WARN, m->id, "message rejected: hopcount exceeded");
	mail_fail(m, MAIL_TOO_MANY_HOPS, "5.4.0", "too many hops");
}

/* RFC 8689 5: there is "no" alone. */
static void
note_tls(struct mail *m, struct str value)
{
	if (!m->c->tls_optional)
		return;
	if (str_eq_nocase(value, STR("no")))
		m->flags |= QMF_TLS_OPTIONAL;
	else
		log_at(LL_WARN, m->id, "ignoring malformed header: "
		    "'TLS-Required: " STRF "'", STRV(str_first(value, 100)));
}

static void
look_at(struct mail *m, enum mime_header id, struct str body)
{
	struct str value = str_trim(body);
	struct str shown = str_first(value, LOG_VALUE_MAX);

	m->seen_headers |= UINT64_C(1) << id;
	if (mime_headers[id].flags & HF_RESENT)
		m->resent = true;
	if (id == MH_RECEIVED) {
		count_hop(m);
	} else if (id == MH_MESSAGE_ID) {
		log_mail(m->id, "message-id=" STRF, STRV(shown));
		keep_message_id(m, value);
	} else if (id == MH_RESENT_MESSAGE_ID) {
		log_mail(m->id, "resent-message-id=" STRF, STRV(shown));
	} else if (id == MH_CONTENT_TRANSFER_ENCODING) {
		note_encoding(m, value);
	} else if (id == MH_TLS_REQUIRED) {
		note_tls(m, value);
	}
	extract(m, id, body);
}

static bool
has_rules(const struct rewrite *r)
{
	return r->origin.n > 0 || r->domain.n > 0;
}

struct use { struct mail *mail; unsigned bit; };

static void
map_address(void *ctx, struct str *address)
{
	struct use *use = ctx;

	/* Else the mail has failed. */
	(void)canonical_map(use->mail, use->bit, address);
}

/* A field that the tables let pass. */
static void
put_field(struct mail *m, struct str field)
{
	size_t n = mime_field_name(field);
	struct str name = str_first(field, n);
	struct str body = str_from(field, str_chr(field, ':') + 1);
	enum mime_header id = mime_header_find(name);
	unsigned flags = id != MH__OTHER ? mime_headers[id].flags : 0;
	struct use use = { m, flags & HF_SENDER ? USE_HEADER_SENDER :
	    USE_HEADER_RCPT };
	struct header_map map = { .map = map_address, .ctx = &use,
	    .arena = m->arena };
	struct buf *out = &m->c->rewritten;
	bool rewritten;

	if (id != MH__OTHER)
		look_at(m, id, body);
	if (m->status != MAIL_OK || is_dropped(m, id, name))
		return;
	field = cut(m, field);
	body = str_from(field, str_chr(field, ':') + 1);
	buf_clear(out);
	rewritten = (flags & (HF_SENDER | HF_RCPT)) != 0 &&
	    has_rules(&m->header_rules) &&
	    rewrite_header(&m->header_rules, body,
	    (size_t)m->c->conf.header_address_token_limit,
	    canonical_wanted(m->c, use.bit) ? &map : NULL, out);
	if (m->status != MAIL_OK)	/* a table failed */
		return;
	buf_str(&m->headers, str_first(field, field.n - body.n));
	buf_str(&m->headers, rewritten ? buf_view(out) : body);
	buf_puts(&m->headers, "\r\n");
}

void
header_field(struct mail *m, struct str field)
{
	struct str text = field;

	if (m->walk != NULL)
		mime_walk_field(m->walk, field);
	if (m->inspect && m->status == MAIL_OK) {
		text = cut(m, field);
		if (!inspect_text(m, MIME_PRIMARY, &text, &m->headers))
			return;
		/* Untouched: whole again, for the addresses in it. */
		if (text.p == field.p)
			text = field;
	}
	if (m->status == MAIL_OK)
		put_field(m, text);
}

/* --- what is missing --- */

static void
add_message_id(struct mail *m, const char *resent)
{
	time_t now = (time_t)(m->begin.arrival_us / 1000000);
	char stamp[32] = "", *id;
	struct tm tm;

	if (!m->c->queue.long_ids) {
		now = (time_t)clock_wall_s();
		gmtime_r(&now, &tm);
		(void)strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S.", &tm);
	}
	id = arena_printf(m->arena, "<%s" STRF "@" STRF ">", stamp,
	    STRV(m->id), STRV(m->c->myhostname));
	buf_printf(&m->headers, "%sMessage-Id: %s\r\n", resent, id);
	log_mail(m->id, "%smessage-id=%s", m->resent ? "resent-" : "", id);
	if (!m->resent) {
		m->seen_headers |= UINT64_C(1) << MH_MESSAGE_ID;
		m->message_id = str_of(id);
	}
}

static void
add_from(struct mail *m, const char *resent)
{
	bool standard = !str_eq_nocase(m->c->conf.header_from_format,
	    STR("obsolete"));
	struct str charset = m->c->conf.full_name_encoding_charset;
	size_t start = m->headers.n, first;
	struct buf addr, name;

	buf_init(&addr, 8192);
	buf_init(&name, 8192);
	address_quote_822(m->sender.n > 0 ? m->sender : STR("MAILER-DAEMON"),
	    &addr);
	if (m->sender.n > 0 && str_trim(m->begin.full_name).n > 0) {
		if (standard)
			mime_phrase_print(m->begin.full_name, charset, &name);
		else
			mime_comment_print(m->begin.full_name, charset, &name);
	}
	buf_printf(&m->headers, "%sFrom: ", resent);
	first = m->headers.n;
	if (name.n == 0) {
		buf_str(&m->headers, buf_view(&addr));
	} else {
		buf_str(&m->headers, buf_view(standard ? &name : &addr));
		buf_puts(&m->headers, m->headers.n - start + addr.n + 3 <
		    FOLD_AT || m->headers.n == first ? " " : "\r\n\t");
		buf_printf(&m->headers, standard ? "<" STRF ">" : STRF,
		    STRV(buf_view(standard ? &addr : &name)));
	}
	buf_puts(&m->headers, "\r\n");
	buf_free(&addr);
	buf_free(&name);
}

static void
add_recipients(struct mail *m)
{
	struct str line = m->c->conf.undisclosed_recipients_header;

	if (seen(m, MH_TO) || seen(m, MH_CC) || seen(m, MH_RESENT_TO) ||
	    seen(m, MH_RESENT_CC) || line.n == 0)
		return;
	if (mime_field_name(line) > 0)
		put_line(m, line);
	else
		log_warn("bad undisclosed_recipients_header header text \""
		    STRF "\" -- need \"headername: headervalue\"", STRV(line));
}

static void
add_missing(struct mail *m)
{
	const char *resent = m->resent ? "Resent-" : "";

	if (!seen(m, m->resent ? MH_RESENT_MESSAGE_ID : MH_MESSAGE_ID))
		add_message_id(m, resent);
	if (!seen(m, MH_MESSAGE_ID))
		log_mail(m->id, "message-id=<>");
	if (!seen(m, m->resent ? MH_RESENT_DATE : MH_DATE)) {
		buf_printf(&m->headers, "%sDate: ", resent);
		mime_date_print((int64_t)(m->begin.arrival_us / 1000000),
		    &m->headers);
		buf_puts(&m->headers, "\r\n");
	}
	if (!seen(m, m->resent ? MH_RESENT_FROM : MH_FROM))
		add_from(m, resent);
	add_recipients(m);
}

void
header_end(struct mail *m)
{
	if (m->complete)
		add_missing(m);
	else if (!seen(m, MH_MESSAGE_ID))
		log_mail(m->id, "message-id=<>");
	if (m->extra_line && str_eq_nocase(
	    m->c->conf.non_empty_end_of_header_action, STR("add_header")))
		put_line(m, STR("MIME-Error: message header was not "
		    "terminated by empty line"));
	buf_puts(&m->headers, "\r\n");
	if (m->headers.full)
		mail_fail(m, MAIL_TOO_BIG, "5.3.4", "message header too big");
}
