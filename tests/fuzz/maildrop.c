/*
 * The submission stream: by any cut of the bytes the same is read, and what
 * is read can be written again byte for byte.
 */
#include "maildrop/maildrop.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define ROOM ((size_t)1 << 24)

static void
rewrite(struct maildrop_writer *w, const struct maildrop_frame *f,
    struct arena *a)
{
	switch (f->type) {
	case MD_SENDER:
	case MD_CONTENT:
		maildrop_put(w, f->type, f->text);
		break;
	case MD_RCPT:
		maildrop_put_rcpt(w, f->text, f->notify);
		break;
	case MD_ATTR:
		maildrop_put_attr(w, arena_cstr(a, f->name), f->text);
		break;
	case MD_COMMIT:
		break;
	}
}

static enum maildrop_result
run(struct str text, size_t cut, struct buf *out, struct arena *a)
{
	struct maildrop_reader r = { .stage = 0 };
	struct maildrop_writer w;
	struct maildrop_frame f;
	enum maildrop_result result = MAILDROP_MORE;
	size_t at = 0, end = 0;

	maildrop_begin(&w, out);
	do {
		struct str in;

		end = end + cut < text.n ? end + cut : text.n;
		in = str_first(str_from(text, at), end - at);
		while ((result = maildrop_read(&r, &in, &f)) ==
		    MAILDROP_FRAME) {
			assert(f.type == MD_CONTENT ||
			    maildrop_text_ok(f.text));
			rewrite(&w, &f, a);
		}
		at = end - in.n;
	} while (result == MAILDROP_MORE && end < text.n);
	if (result == MAILDROP_END)
		maildrop_commit(&w);
	assert(result != MAILDROP_BAD || r.why != NULL);
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct arena *a = arena_new(ROOM);
	struct buf whole, cut;

	if (size > 0 && size < 1 << 18) {
		buf_init(&whole, ROOM);
		buf_init(&cut, ROOM);
		if (run(text, size, &whole, a) == MAILDROP_END)
			assert(str_eq(buf_view(&whole), str_first(text,
			    whole.n)));
		if (run(text, 1 + data[0] % 61, &cut, a) == MAILDROP_END)
			assert(str_eq(buf_view(&cut), str_first(text,
			    cut.n)));
		buf_free(&whole);
		buf_free(&cut);
	}
	arena_free(&a);
	return 0;
}
