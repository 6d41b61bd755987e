/*
 * text - a program's message on standard input, line ends put right.
 *
 * As Postfix's sendmail(1): CR LF becomes LF (sendmail_fix_line_endings
 * always; strict: only if the first line ends so), "From " and ">From "
 * lines before the header are dropped, a line of one dot ends the message
 * unless -i, a missing last line end is added. Lines have any length: only
 * the start of one is ever held.
 */
#include "tools/text.h"

#define HELD_MAX	4096	/* enough of a line to know what it is */

void
text_init(struct text *t, enum fix_ends fix, bool dot_ends)
{
	*t = (struct text){ .fix = fix, .dot_ends = dot_ends };
	buf_init(&t->line, 2 * HELD_MAX);
}

void
text_free(struct text *t)
{
	buf_free(&t->line);
}

static bool
is_from_line(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] == '>')
		n++;
	return str_starts(str_from(s, n), STR("From "));
}

static void
put_crs(struct text *t, struct buf *out)
{
	for (; t->held_crs > 0; t->held_crs--)
		buf_putc(out, '\r');
}

static size_t
trailing_crs(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[s.n - 1 - n] == '\r')
		n++;
	return n;
}

/* A piece of a line's inside; CRs at its end wait for what follows. */
static void
put_piece(struct text *t, struct str s, struct buf *out)
{
	size_t crs = trailing_crs(s);

	if (crs < s.n)
		put_crs(t, out);
	t->held_crs += crs;
	buf_str(out, str_first(s, s.n - crs));
}

static void
end_line(struct text *t, struct buf *out)
{
	if (!t->decided) {
		t->strip = t->fix == FIX_ALWAYS ||
		    (t->fix == FIX_STRICT && t->held_crs > 0);
		t->decided = true;
	}
	if (t->strip)
		t->held_crs = 0;
	put_crs(t, out);
	buf_putc(out, '\n');
	t->in_line = false;
}

/* A whole line that fits, without its LF. False: it was the lone dot. */
static bool
whole_line(struct text *t, struct str s, struct buf *out)
{
	struct str bare = str_first(s, s.n - trailing_crs(s));

	if (!t->past_from && is_from_line(s))
		return true;
	t->past_from = true;
	if (t->dot_ends && str_eq(t->fix == FIX_NEVER ? s : bare, STR("."))) {
		t->ended = true;
		return false;
	}
	put_piece(t, s, out);
	end_line(t, out);
	return true;
}

/* The line is long: what is held of it goes out. */
static void
start_long(struct text *t, struct buf *out)
{
	struct str held = buf_view(&t->line);

	t->in_line = true;
	t->past_from = true;
	put_piece(t, held, out);
	buf_clear(&t->line);
}

/* Bytes up to (not with) the next LF, or all; more: no LF among them. */
static bool
take_line(struct text *t, struct str s, bool more, struct buf *out)
{
	bool go_on = true;

	if (!t->in_line && t->line.n == 0 && !more)
		return whole_line(t, s, out);
	if (!t->in_line && t->line.n + s.n <= HELD_MAX) {
		buf_str(&t->line, s);
		if (more)
			return true;
		go_on = whole_line(t, buf_view(&t->line), out);
		buf_clear(&t->line);
		return go_on;
	}
	if (!t->in_line)
		start_long(t, out);
	put_piece(t, s, out);
	if (!more)
		end_line(t, out);
	return true;
}

bool
text_feed(struct text *t, struct str in, struct buf *out)
{
	while (in.n > 0 && !t->ended) {
		size_t n = str_chr(in, '\n');

		if (!take_line(t, str_first(in, n), n == in.n, out))
			return false;
		in = str_from(in, n + 1);
	}
	return !t->ended;
}

void
text_finish(struct text *t, struct buf *out)
{
	if (t->ended)
		return;
	if (t->in_line)
		end_line(t, out);
	else if (t->line.n > 0)
		(void)whole_line(t, buf_view(&t->line), out);
	buf_clear(&t->line);
}
