/*
 * inspect - header_checks, body_checks and their kin, and bytes that a
 * message must not have.
 *
 * The tables are asked field by field and line by line as the message
 * passes; lib/checks reads their answers, what they ask for is done here.
 * header_checks(5); log lines and replies are Postfix's.
 */
#include "cleanup/cleanup.h"
#include "dsn/dsn.h"
#include "sys/sys.h"

#define SHOWN_MAX	200	/* bytes of a field or line in the log */
#define BODY_HELD	262144	/* bytes of body before they are written */
#define FAULT_MAX	100	/* the same of what breaks the rules of MIME */

static void	flush(struct mail *);
static void	on_field(void *, enum mime_place, struct str field);
static void	on_header_end(void *, bool empty);
static void	on_line(void *, struct str, bool begins, uint64_t at);
static void	on_fault(void *, enum mime_fault, struct str text);
static bool	act(struct mail *, enum mime_place, struct str *text,
		    const struct check_verdict *, struct buf *before);
static void	reject(struct mail *, const char *what, struct str text);

static const struct mime_walk_ops walk_ops = { on_field, on_header_end,
	on_line, on_fault };

void
inspect_begin(struct mail *m)
{
	struct cleanup *c = m->c;

	m->inspect = (m->begin.flags & MAIL_NO_CHECKS) == 0 &&
	    ((m->begin.flags & MAIL_BOUNCE) == 0 || c->inspects_reports);
	m->inspect_bytes = m->inspect;
	if (m->inspect && c->walks && m->status == MAIL_OK)
		m->walk = mime_walk_new(&c->walk, &walk_ops, m);
}

void
inspect_free(struct mail *m)
{
	mime_walk_free(&m->walk);
}

/* --- the log --- */

void
inspect_log(struct mail *m, const char *action, const char *what,
    struct str text)
{
	const struct msg_mail_begin *b = &m->begin;
	struct buf line;

	buf_init(&line, 8192);
	buf_printf(&line, "%s: %s from ", action, what);
	if (b->received_from.n > 0 || b->client_name.n == 0)
		buf_puts(&line, "local;");
	else
		buf_printf(&line, STRF "[" STRF "];", STRV(b->client_name),
		    STRV(b->client_addr));
	buf_printf(&line, " from=<" STRF ">", STRV(m->sender));
	if (m->last_rcpt.n > 0)
		buf_printf(&line, " to=<" STRF ">", STRV(m->last_rcpt));
	if (b->protocol.n > 0)
		buf_printf(&line, " proto=" STRF, STRV(b->protocol));
	if (b->helo.n > 0)
		buf_printf(&line, " helo=<" STRF ">", STRV(b->helo));
	if (text.n > 0)
		buf_printf(&line, ": " STRF, STRV(text));
	log_mail(m->id, STRF, STRV(buf_view(&line)));
	buf_free(&line);
}

/* --- tables --- */

/* A text that a table gave: folds are line ends of the message. */
static struct str
as_lines(struct mail *m, struct str text)
{
	struct buf out;
	struct str kept;

	if (str_chr(text, '\n') == text.n)
		return arena_str(m->arena, text);
	buf_init(&out, 3 * text.n + 1);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\r')
			continue;
		if (text.p[i] != '\n') {
			buf_putc(&out, text.p[i]);
			continue;
		}
		/* A fold: no line of a table's text begins a new field. */
		buf_puts(&out, "\r\n");
		if (i + 1 == text.n || (text.p[i + 1] != ' ' &&
		    text.p[i + 1] != '\t'))
			buf_putc(&out, '\t');
	}
	kept = arena_str(m->arena, buf_view(&out));
	buf_free(&out);
	return kept;
}

bool
inspect_text(struct mail *m, enum mime_place place, struct str *text,
    struct buf *before)
{
	struct check_verdict v;

	switch (checks_ask(m->c->checks, place, *text, &v)) {
	case NONE:
		return true;
	case RETRY:
		log_at(LL_WARN, m->id, "%s -- message not accepted, try again "
		    "later", checks_error(m->c->checks));
		mail_fail(m, MAIL_RETRY, "4.3.0", "table lookup problem");
		return false;
	case FOUND:
		break;
	}
	return act(m, place, text, &v, before);
}

/* Words with effect on the message as a whole. */
static void
act_on_mail(struct mail *m, const char *what, const struct check_verdict *v)
{
	bool was_held = m->hold;

	switch (v->action) {
	case CHECK_REJECT:
		reject(m, what, v->text);
		return;
	case CHECK_HOLD:
		m->hold = true;
		if (was_held || m->discard)
			return;
		break;
	case CHECK_DISCARD:
		m->discard = true;
		m->inspect = false;
		break;
	case CHECK_PASS:
		m->inspect = false;
		break;
	case CHECK_FILTER:
		m->filter = arena_str(m->arena, v->text);
		break;
	case CHECK_REDIRECT:
		m->redirect = arena_str(m->arena, v->text);
		m->inspect = false;
		break;
	case CHECK_BCC:
		addresses_add(&m->bcc, arena_str(m->arena, v->text));
		break;
	case CHECK_DUNNO: case CHECK_OK: case CHECK_IGNORE: case CHECK_INFO:
	case CHECK_WARN: case CHECK_STRIP: case CHECK_PREPEND:
	case CHECK_REPLACE: case CHECK__LAST:
		break;
	}
	if (v->log[0] != '\0')
		inspect_log(m, v->log, what, v->text);
}

static bool
act(struct mail *m, enum mime_place place, struct str *text,
    const struct check_verdict *v, struct buf *before)
{
	struct buf what;

	buf_init(&what, SHOWN_MAX + 16);
	checks_print(place, *text, SHOWN_MAX, &what);
	act_on_mail(m, buf_cstr(&what), v);
	buf_free(&what);
	if (v->action == CHECK_PREPEND) {
		buf_str(before, as_lines(m, v->text));
		buf_puts(before, "\r\n");
	} else if (v->action == CHECK_REPLACE) {
		*text = as_lines(m, v->text);
	}
	return v->action != CHECK_IGNORE && v->action != CHECK_STRIP;
}

/* "4.7.1 text", "text": the class of the code says for how long. */
static void
reject(struct mail *m, const char *what, struct str text)
{
	size_t n = dsn_status_length(text);
	struct str code = n > 0 ? str_first(text, n) : STR("5.7.1");
	struct str reason = str_trim(str_from(text, n));
	bool later = code.p[0] == '4';

	if (text.n == 0)
		reason = STR("message content rejected");
	if (code.p[0] != '4' && code.p[0] != '5') {
		log_warn("bad DSN action in " STRF " -- need 4.x.x or 5.x.x",
		    STRV(text));
		code = STR("4.7.1");
		later = true;
	}
	m->inspect = false;
	inspect_log(m, "reject", what, str_of(arena_printf(m->arena,
	    STRF " " STRF, STRV(code), STRV(reason))));
	mail_fail(m, later ? MAIL_RETRY : MAIL_REJECTED,
	    arena_cstr(m->arena, code), arena_cstr(m->arena, reason));
}

/* --- the parts of the body --- */

static void
on_field(void *ctx, enum mime_place place, struct str field)
{
	struct mail *m = ctx;
	struct buf *out = &m->c->body;

	if (m->status != MAIL_OK ||
	    (m->inspect && !inspect_text(m, place, &field, out)))
		return;
	buf_str(out, field);
	buf_puts(out, "\r\n");
	flush(m);
}

static void
on_header_end(void *ctx, bool empty)
{
	struct mail *m = ctx;

	if (empty)
		buf_puts(&m->c->body, "\r\n");
}

/* What rules put before lines may be much. */
static void
flush(struct mail *m)
{
	if (m->c->body.n < BODY_HELD || m->status != MAIL_OK)
		return;
	content_write(m, buf_view(&m->c->body));
	buf_clear(&m->c->body);
}

static void
on_line(void *ctx, struct str line, bool begins, uint64_t at)
{
	struct mail *m = ctx;
	struct buf *out = &m->c->body;
	uint64_t limit = (uint64_t)m->c->conf.body_checks_size_limit;
	bool whole = line.n >= 2 && line.p[line.n - 1] == '\n';
	struct str text = str_first(line, line.n - (whole ? 2 : 0));

	(void)begins;
	if (m->status != MAIL_OK)
		return;
	if (!m->inspect || (limit > 0 && at >= limit) ||
	    !checks_wanted(m->c->checks, MIME_BODY)) {
		buf_str(out, line);
		m->piece_open = !whole;
		return;
	}
	if (inspect_text(m, MIME_BODY, &text, out)) {
		buf_str(out, text);
		m->piece_open = true;
	}
	/* The line of pieces that stay has its end, whatever the last was. */
	if (whole && m->piece_open)
		buf_puts(out, "\r\n");
	m->piece_open = m->piece_open && !whole;
	flush(m);
}

static void
on_fault(void *ctx, enum mime_fault fault, struct str text)
{
	struct mail *m = ctx;
	struct buf what;

	if (!m->inspect || m->status != MAIL_OK)
		return;
	buf_init(&what, 1000);
	buf_printf(&what, "mime-error %s: ", mime_fault_text(fault));
	text = str_first(text, FAULT_MAX);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '\r')
			buf_putc(&what, text.p[i]);
	inspect_log(m, "reject", buf_cstr(&what), STR(""));
	buf_free(&what);
	mail_fail(m, MAIL_REJECTED, "5.6.0", mime_fault_text(fault));
}

/* --- bytes --- */

/* The line around s.p[at], for the log. */
static struct str
line_around(struct str s, size_t at)
{
	size_t from = str_rchr(str_first(s, at), '\n');

	from = from < at ? from + 1 : 0;
	s = str_from(s, from);
	return str_first(str_first(s, str_chr(s, '\r')), SHOWN_MAX);
}

bool
inspect_bytes(struct mail *m, struct str *s)
{
	struct cleanup *c = m->c;
	struct str rest = *s;

	/* Not m->inspect: that PASS was said must not hang on the cut. */
	if (!m->inspect_bytes || (!c->rejects_bytes && !c->strips_bytes))
		return true;
	for (size_t i = 0; c->rejects_bytes && i < rest.n; i++)
		if (c->reject[(unsigned char)rest.p[i]]) {
			struct str line = line_around(rest, i);
			char *what = arena_printf(m->arena, "content " STRF,
			    STRV(line));

			reject(m, what, STR("disallowed character"));
			return false;
		}
	if (!c->strips_bytes)
		return true;
	buf_clear(&c->stripped);
	for (size_t i = 0; i < rest.n; i++)
		if (!c->strip[(unsigned char)rest.p[i]])
			buf_putc(&c->stripped, rest.p[i]);
	*s = buf_view(&c->stripped);
	return true;
}
