/*
 * content - bytes of a message, in any cut: the header to header.c, the body
 * to the queue file.
 *
 * First each CR or LF that is no line end becomes a space, so that no other
 * system can see a line where we saw none (SMTP smuggling). Then lines are
 * looked at one by one until the header ends; the body passes in bulk. What
 * is held is one field, the header, and the writer's piece of the body.
 */
#include "cleanup/cleanup.h"
#include "sys/sys.h"

#define LINE_MAX_BYTES	1000	/* with CRLF */

static void	 feed(struct mail *, struct str);

/* --- stray CR and LF --- */

static size_t
next_stray(struct str s)
{
	size_t at = 0;

	while (at < s.n) {
		struct str rest = str_from(s, at);
		size_t cr = str_chr(rest, '\r'), lf = str_chr(rest, '\n');

		if (lf < cr)
			return at + lf;
		if (cr == rest.n)
			break;
		if (cr + 1 == rest.n || rest.p[cr + 1] != '\n')
			return at + cr;
		at += cr + 2;
	}
	return s.n;
}

/* s ends in no CR that an LF might follow. */
static void
feed_clean(struct mail *m, struct str s)
{
	while (s.n > 0 && m->status == MAIL_OK) {
		size_t n = m->c->conf.cleanup_replace_stray_cr_lf ?
		    next_stray(s) : s.n;

		if (n > 0)
			feed(m, str_first(s, n));
		if (n < s.n)
			feed(m, STR(" "));
		s = str_from(s, n + 1);
	}
}

void
content_take(struct mail *m, struct str s)
{
	if (m->status != MAIL_OK)
		return;
	m->received += s.n;
	if (m->c->size_max > 0 && m->received > (uint64_t)m->c->size_max) {
		log_at(LL_WARN, m->id, "queue file size limit exceeded");
		mail_fail(m, MAIL_TOO_BIG, "5.3.4", "message file too big");
		return;
	}
	if (m->cr_held && s.n > 0) {
		m->cr_held = false;
		if (s.p[0] == '\n') {
			feed(m, STR("\r\n"));
			s = str_from(s, 1);
		} else {
			feed_clean(m, STR("\r"));
		}
	}
	if (s.n > 0 && s.p[s.n - 1] == '\r') {
		m->cr_held = true;
		s.n--;
	}
	feed_clean(m, s);
}

/* --- the body --- */

static bool
has_8bit(struct str s)
{
	uint64_t word[8], all;

	for (; s.n >= sizeof(word); s = str_from(s, sizeof(word))) {
		memcpy(word, s.p, sizeof(word));
		all = 0;
		for (size_t i = 0; i < nitems(word); i++)
			all |= word[i];
		if (all & 0x8080808080808080)
			return true;
	}
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] & 0x80)
			return true;
	return false;
}

/* Does a line begin with a dot? memmem(3) takes ten times as long. */
static bool
has_dot(bool bol, struct str s)
{
	const char *end = s.p + s.n, *p = s.p;

	if (s.n == 0)
		return false;
	if (bol && *p == '.')
		return true;
	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL && ++p < end)
		if (*p == '.')
			return true;
	return false;
}

/* Is a line longer than RFC 5322 2.1.1 allows? A look at each 1000 bytes. */
static bool
has_long_line(struct mail *m, struct str s)
{
	const char *nl;

	while (m->column + s.n > LINE_MAX_BYTES) {
		nl = m->column >= LINE_MAX_BYTES ? NULL :
		    memrchr(s.p, '\n', LINE_MAX_BYTES - m->column);
		if (nl == NULL)
			return true;
		s = str_from(s, (size_t)(nl - s.p) + 1);
		m->column = 0;
	}
	nl = s.n > 0 ? memrchr(s.p, '\n', s.n) : NULL;
	m->column = nl == NULL ? m->column + s.n :
	    s.n - (size_t)(nl - s.p) - 1;
	return false;
}

void
content_write(struct mail *m, struct str s)
{
	int err;

	if ((m->flags & QMF_HAS_DOTS) == 0 && has_dot(m->bol, s))
		m->flags |= QMF_HAS_DOTS;
	if ((m->flags & QMF_8BIT) == 0 && has_8bit(s))
		m->flags |= QMF_8BIT;
	if ((m->flags & QMF_LONG_LINES) == 0 && has_long_line(m, s))
		m->flags |= QMF_LONG_LINES;
	if (s.n > 0)
		m->bol = s.p[s.n - 1] == '\n';
	if ((err = queue_write_body(m->writer, s)) != 0)
		mail_fault(m, "write queue file", err);
}

/* Through its structure, where tables ask for that. */
static void
body(struct mail *m, struct str s)
{
	struct buf *out = &m->c->body;

	if (s.n > 0)
		m->open_line = s.p[s.n - 1] != '\n';
	if (m->walk == NULL) {
		content_write(m, s);
		return;
	}
	buf_clear(out);
	mime_walk_body(m->walk, s);
	if (m->status == MAIL_OK)
		content_write(m, buf_view(out));
}

static void
end_body(struct mail *m)
{
	buf_clear(&m->c->body);
	if (m->walk != NULL)
		mime_walk_end(m->walk);
	if (m->status == MAIL_OK)
		content_write(m, buf_view(&m->c->body));
}

/* --- the header --- */

static void
flush_field(struct mail *m)
{
	struct str field = buf_view(&m->field);

	if (field.n >= 2 && field.p[field.n - 1] == '\n')
		field.n -= 2;
	if (field.n == 0)
		return;
	if ((m->flags & QMF_8BIT) == 0 && has_8bit(field))
		m->flags |= QMF_8BIT;
	header_field(m, field);
	buf_clear(&m->field);
	if (m->headers.full)
		mail_fail(m, MAIL_TOO_BIG, "5.3.4", "message header too big");
}

/* Bytes of the present field; what is far beyond the limit is let go. */
static void
add_to_field(struct mail *m, struct str s)
{
	bool ends = s.n > 0 && s.p[s.n - 1] == '\n';

	if (m->field.n < (size_t)m->c->conf.header_size_limit)
		buf_str(&m->field, s);
	else if (ends && m->field.p[m->field.n - 1] != '\n')
		buf_puts(&m->field, "\r\n");
}

static void
end_header(struct mail *m, bool extra_line)
{
	flush_field(m);
	if (m->status != MAIL_OK)
		return;
	m->extra_line = extra_line;
	if (extra_line && m->inspect && str_eq_nocase(
	    m->c->conf.non_empty_end_of_header_action, STR("reject"))) {
		inspect_log(m, "reject", "mime-error message header was not "
		    "terminated by empty line", STR(""));
		mail_fail(m, MAIL_REJECTED, "5.6.0",
		    "message header was not terminated by empty line");
		return;
	}
	header_end(m);
	m->part = PART_BODY;
	m->bol = true;
	if (m->walk != NULL)
		mime_walk_header_end(m->walk);
}

static bool
is_mbox_line(struct str s)
{
	while (s.n > 0 && s.p[0] == '>')
		s = str_from(s, 1);
	return str_starts(s, STR("From "));
}

/* An mbox line before the header: sendmail's is dropped, others' is kept. */
static bool
take_mbox_line(struct mail *m, struct str line)
{
	if (m->lines || !is_mbox_line(line))
		return false;
	if (m->begin.received_from.n == 0) {
		m->lines = true;
		buf_puts(&m->headers, "X-Mailbox-Line: ");
		buf_str(&m->headers, line);
		buf_puts(&m->headers, "\r\n");
	}
	return true;
}

/*
 * The start of a line, whole (with its CRLF) or line_length_limit bytes of
 * it. False: it belongs to the body.
 */
static bool
start_line(struct mail *m, struct str line, bool whole)
{
	struct str text = str_first(line, line.n - (whole ? 2 : 0));
	size_t name;

	if (text.n == 0) {
		end_header(m, false);
		return true;
	}
	if (m->field.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t')) {
		add_to_field(m, line);
		m->line_state = whole ? LINE_NEW : LINE_FIELD;
		return true;
	}
	/* Not a longer one: what is decided must not hang on the cut. */
	if (whole && line.n <= (size_t)m->c->line_max &&
	    take_mbox_line(m, text))
		return true;
	m->lines = true;
	name = mime_field_name(str_first(text, (size_t)m->c->line_max));
	if (name == 0) {
		end_header(m, true);
		return false;
	}
	flush_field(m);
	/* RFC 5322 4.5: blanks before the colon go. */
	buf_str(&m->field, str_first(line, name));
	add_to_field(m, str_from(line, str_chr(line, ':')));
	m->line_state = whole ? LINE_NEW : LINE_FIELD;
	return true;
}

/* Takes a line or a part of one off *s. */
static void
take_line(struct mail *m, struct str *s)
{
	size_t lf = str_chr(*s, '\n');
	bool whole = lf < s->n;
	struct str piece = str_first(*s, whole ? lf + 1 : lf), line = piece;
	bool kept;

	*s = str_from(*s, piece.n);
	if (m->line_state == LINE_FIELD) {
		add_to_field(m, piece);
		m->line_state = whole ? LINE_NEW : LINE_FIELD;
		return;
	}
	if (m->line.n > 0 || !whole) {
		size_t room = (size_t)m->c->line_max - m->line.n;

		if (!whole && piece.n < room) {
			buf_str(&m->line, piece);
			return;
		}
		m->c->scratch.n = 0;
		buf_str(&m->c->scratch, buf_view(&m->line));
		buf_str(&m->c->scratch, piece);
		buf_clear(&m->line);
		line = buf_view(&m->c->scratch);
	}
	kept = start_line(m, line, whole);
	if (!kept && m->status == MAIL_OK)
		body(m, line);
}

static void
feed(struct mail *m, struct str s)
{
	if (!inspect_bytes(m, &s))
		return;
	if (m->status == MAIL_OK && m->part == PART_BEGIN) {
		header_begin(m);
		m->part = PART_HEADER;
	}
	while (m->status == MAIL_OK && m->part == PART_HEADER && s.n > 0)
		take_line(m, &s);
	if (m->status == MAIL_OK && s.n > 0)
		body(m, s);
}

void
content_end(struct mail *m)
{
	bool open_line;

	if (m->cr_held) {
		m->cr_held = false;
		feed_clean(m, STR("\r"));
	}
	feed(m, STR(""));
	open_line = m->part == PART_BODY ? m->open_line :
	    m->line.n > 0 || m->line_state == LINE_FIELD;
	if (open_line)
		feed(m, STR("\r\n"));
	if (m->status == MAIL_OK && m->part == PART_HEADER)
		end_header(m, false);
	if (m->status == MAIL_OK)
		end_body(m);
}
