/*
 * The stream between sendmail, postdrop and pickup; showq's listing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cleanup/pickup.h"
#include "maildrop/maildrop.h"
#include "showq/showq.h"
#include "tools/json.h"
#include "tools/showq_print.h"

#define ROOM (1 << 20)

static void
sample(struct buf *out)
{
	struct maildrop_writer w;

	maildrop_begin(&w, out);
	maildrop_put(&w, MD_SENDER, STR("me@here"));
	maildrop_put_attr(&w, "full_name", STR("M. E."));
	maildrop_put_rcpt(&w, STR("you@there"), 6);
	maildrop_put_rcpt(&w, STR("j\xc3\xb6rg@there"), 0);
	maildrop_put(&w, MD_CONTENT, STR("Subject: x\n\n\0body\n"));
	maildrop_commit(&w);
}

/* Reads all of s, one byte more at a time; how it ends. */
static enum maildrop_result
read_all(struct str s, size_t *frames)
{
	struct maildrop_reader r = { .stage = 0 };
	struct maildrop_frame f;
	enum maildrop_result result = MAILDROP_MORE;
	size_t from = 0;

	*frames = 0;
	for (size_t n = 0; n <= s.n; n++) {
		struct str in = str_first(str_from(s, from), n - from);

		while ((result = maildrop_read(&r, &in, &f)) ==
		    MAILDROP_FRAME)
			(*frames)++;
		from = n - in.n;
		if (result != MAILDROP_MORE && n < s.n)
			return result == MAILDROP_BAD ? result : MAILDROP_FRAME;
	}
	return result;
}

static void
test_maildrop(void **state)
{
	struct buf good, bent;
	size_t frames;

	(void)state;
	buf_init(&good, ROOM);
	buf_init(&bent, ROOM);
	sample(&good);
	assert_int_equal(read_all(buf_view(&good), &frames), MAILDROP_END);
	assert_int_equal(frames, 5);
	/* Cut anywhere it is never whole. */
	for (size_t n = 0; n < good.n; n++)
		assert_int_equal(read_all(str_first(buf_view(&good), n),
		    &frames), MAILDROP_MORE);
	/* No bit can change unseen; it may ask for more than there is. */
	for (size_t bit = 0; bit < good.n * 8; bit++) {
		buf_clear(&bent);
		buf_str(&bent, buf_view(&good));
		bent.p[bit / 8] = (char)(bent.p[bit / 8] ^ 1 << bit % 8);
		assert_int_not_equal(read_all(buf_view(&bent), &frames),
		    MAILDROP_END);
	}
	buf_free(&good);
	buf_free(&bent);
}

static void
put_bad(struct maildrop_writer *w, int which)
{
	struct str control = STR("a\nb");

	switch (which) {
	case 0: maildrop_put(w, MD_SENDER, control); break;
	case 1: maildrop_put_rcpt(w, STR("no sender"), 0); break;
	case 2:
		maildrop_put(w, MD_SENDER, STR(""));
		maildrop_put_rcpt(w, control, 0);
		break;
	case 3:
		maildrop_put(w, MD_SENDER, STR(""));
		maildrop_put_attr(w, "unknown", STR("x"));
		break;
	case 4:
		maildrop_put(w, MD_SENDER, STR(""));
		maildrop_put_attr(w, "encoding", STR("8\r\nbit"));
		break;
	case 5:
		maildrop_put(w, MD_SENDER, STR(""));
		maildrop_put(w, MD_CONTENT, STR("x\n"));
		maildrop_put_rcpt(w, STR("late"), 0);
		break;
	case 6:
		maildrop_put(w, MD_SENDER, STR(""));
		maildrop_put_rcpt(w, STR("x"), 16);
		break;
	case 7:
		maildrop_put(w, MD_SENDER, STR(""));
		maildrop_put_rcpt(w, STR("x"), 0);
		maildrop_put_attr(w, "encoding", STR("8bit"));
		break;
	case 8:
		maildrop_put(w, MD_SENDER, STR(""));
		maildrop_put(w, MD_SENDER, STR(""));
		break;
	case 9:
		maildrop_put(w, MD_SENDER, STR(""));
		w->rcpts++;		/* sums that do not agree */
		break;
	}
}

static void
test_maildrop_refused(void **state)
{
	struct buf out;
	size_t frames;

	(void)state;
	buf_init(&out, ROOM);
	for (int i = 0; i <= 9; i++) {
		struct maildrop_writer w;

		buf_clear(&out);
		maildrop_begin(&w, &out);
		put_bad(&w, i);
		maildrop_commit(&w);
		if (read_all(buf_view(&out), &frames) != MAILDROP_BAD)
			fail_msg("case %d was taken", i);
	}
	buf_free(&out);
}

static void
test_names(void **state)
{
	char a[MAILDROP_NAME_MAX], b[MAILDROP_NAME_MAX];

	(void)state;
	maildrop_name(a);
	maildrop_name(b);
	assert_true(queue_id_valid(str_of(a)));
	assert_string_not_equal(a, b);
}

static void
test_crlf(void **state)
{
	static const struct { const char *in, *want; } t[] = {
		{ "a\nb\n", "a\r\nb\r\n" }, { "a\r\nb", "a\r\nb" },
		{ "a\rb\n", "a b\r\n" }, { "\r\r\n", " \r\n" },
		{ "\n\n", "\r\n\r\n" }, { "a\r", "a" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++)
		for (size_t cut = 1; cut < 4; cut++) {
			struct source s = { .newline = true };
			struct str in = str_of(t[i].in);

			buf_init(&s.out, 100);
			for (; in.n > 0; in = str_from(in, cut))
				source_to_crlf(&s, str_first(in, cut));
			if (!str_eq(buf_view(&s.out), str_of(t[i].want)))
				fail_msg("%zu, cut %zu", i, cut);
			buf_free(&s.out);
		}
}

static bool
no_more(void *ctx, struct buf *in)
{
	struct str *rest = ctx;

	if (rest->n == 0)
		return false;
	buf_str(in, str_first(*rest, 1));
	*rest = str_from(*rest, 1);
	return true;
}

static void
test_showq(void **state)
{
	static const char text[] = "protocol\0mail_queue_list_protocol\0\0"
	    "queue_name\0deferred\0queue_id\0ABCDEF\0time\0" "5\0size\0" "7\0"
	    "forced_expire\0" "1\0sender\0a@b\0"
	    "recipient\0c@d\0reason\0why\0" "recipient\0e@f\0reason\0\0\0\0";
	struct arena *a = arena_new(ROOM);
	struct showq_message m;
	struct showq_reader r;
	struct showq_rcpt p;
	struct str rest = { text, sizeof(text) - 1 };

	(void)state;
	showq_reader_init(&r, no_more, &rest);
	assert_true(showq_read_start(&r));
	assert_int_equal(showq_read_message(&r, a, &m), SHOWQ_ITEM);
	assert_true(str_eq(m.queue_name, STR("deferred")));
	assert_true(str_eq(m.queue_id, STR("ABCDEF")));
	assert_true(m.time_s == 5 && m.size == 7 && m.forced_expire);
	assert_true(str_eq(m.sender, STR("a@b")));
	assert_int_equal(showq_read_rcpt(&r, a, &p), SHOWQ_ITEM);
	assert_true(str_eq(p.address, STR("c@d")));
	assert_true(str_eq(p.reason, STR("why")));
	assert_int_equal(showq_read_rcpt(&r, a, &p), SHOWQ_ITEM);
	assert_int_equal(showq_read_rcpt(&r, a, &p), SHOWQ_END);
	assert_int_equal(showq_read_message(&r, a, &m), SHOWQ_END);
	showq_reader_free(&r);
	/* Cut short it is never taken for whole. */
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		enum showq_item item = SHOWQ_BAD;

		rest = (struct str){ text, n };
		showq_reader_init(&r, no_more, &rest);
		if (showq_read_start(&r) &&
		    (item = showq_read_message(&r, a, &m)) == SHOWQ_ITEM) {
			while ((item = showq_read_rcpt(&r, a, &p)) ==
			    SHOWQ_ITEM)
				;
			if (item == SHOWQ_END)
				item = showq_read_message(&r, a, &m);
		}
		assert_int_equal(item, SHOWQ_BAD);
		showq_reader_free(&r);
	}
	arena_free(&a);
}

static void
test_json(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	json_escape(STR("a\"b\\c\n\t\001\177\xc3\xb6\0z"), &out);
	assert_true(str_eq(buf_view(&out), STR("a\\\"b\\\\c\\n\\t\\u0001"
	    "\\u007F\xc3\xb6\\u0000z")));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maildrop),
		cmocka_unit_test(test_maildrop_refused),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_crlf),
		cmocka_unit_test(test_showq),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
