/*
 * A message's structure: header, empty line, body. The first byte says how
 * the body is cut. However it is: the same events, and all bytes again.
 */
#include "mime/mime.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct seen { struct buf events, bytes; };

static void
on_field(void *ctx, enum mime_place place, struct str field)
{
	struct seen *s = ctx;

	assert(place == MIME_PART || place == MIME_NESTED);
	assert(mime_field_name(field) > 0);
	buf_printf(&s->events, "f%d," STRF ";", (int)place, STRV(field));
	buf_str(&s->bytes, field);
	buf_puts(&s->bytes, "\r\n");
}

static void
on_end(void *ctx, bool empty)
{
	struct seen *s = ctx;

	buf_puts(&s->events, empty ? "e" : "n");
	if (empty)
		buf_puts(&s->bytes, "\r\n");
}

static void
on_line(void *ctx, struct str line, bool begins, uint64_t at)
{
	struct seen *s = ctx;

	buf_printf(&s->events, "%c%llu," STRF ";", begins ? 'l' : 'p',
	    (unsigned long long)at, STRV(line));
	buf_str(&s->bytes, line);
}

static void
on_fault(void *ctx, enum mime_fault fault, struct str text)
{
	struct seen *s = ctx;

	(void)text;
	buf_printf(&s->events, "x%d", (int)fault);
}

static void
run(struct str header, struct str body, size_t piece, struct seen *s)
{
	static const struct mime_walk_ops ops = { on_field, on_end, on_line,
	    on_fault };
	/* A field that fits whole, so that no byte is let go. */
	struct mime_walk_conf conf = { .header_max = 1 << 16,
	    .boundary_max = 70, .line_max = 50, .nesting_max = 5,
	    .faults = ~0u };
	struct mime_walk *w = mime_walk_new(&conf, &ops, s);
	struct mime_field f;

	buf_init(&s->events, 1 << 22);
	buf_init(&s->bytes, 1 << 20);
	while (mime_field_next(&header, &f))
		mime_walk_field(w, f.whole);
	mime_walk_header_end(w);
	for (; body.n > 0; body = str_from(body, piece))
		mime_walk_body(w, str_first(body, piece));
	mime_walk_end(w);
	mime_walk_free(&w);
}

/* Without blanks before colons, which fields lose, and the last line's end. */
static size_t
count(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += strchr(" \t\r\n", s.p[i]) == NULL || s.p[i] == '\0';
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in, header, body;
	struct seen whole, cut;
	const char *end;

	if (n < 1 || n > 1 << 14)
		return 0;
	in = (struct str){ (const char *)data + 1, n - 1 };
	end = memmem(in.p, in.n, "\r\n\r\n", 4);
	header = str_first(in, end != NULL ? (size_t)(end - in.p) + 2 : in.n);
	body = str_from(in, header.n + 2);
	run(header, body, body.n + 1, &whole);
	run(header, body, (size_t)data[0] + 1, &cut);
	assert(str_eq(buf_view(&whole.events), buf_view(&cut.events)));
	assert(whole.events.full || count(buf_view(&whole.bytes)) ==
	    count(body));
	buf_free(&whole.events);
	buf_free(&whole.bytes);
	buf_free(&cut.events);
	buf_free(&cut.bytes);
	return 0;
}
