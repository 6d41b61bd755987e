/*
 * template - bounce(5): the file's form, its mistakes, the numbers in texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "template/template.h"

#define FAILURE(headers, text) \
	"failure_template = <<EOF\n" headers "\n" text "\nEOF\n"

/* What a file makes of the failure template, and its problems. */
static void
test_parse(void **state)
{
	static const struct {
		const char *file, *subject, *text;	/* NULL: built in */
		const char *problem;			/* NULL: none */
		int line;
		bool fatal;
	} t[] = {
		{ FAILURE("Subject: no\n", "text"), "no", "text", NULL, 0, 0 },
		{ FAILURE("SUBJECT:   no \n", "a\n\n b \n"), "no",
		    "a\n\n b \n", NULL, 0, 0 },
		{ "# c\n\n \t\n" FAILURE("Subject: x\n\n\n \n", "t"), "x",
		    "t", NULL, 0, 0 },
		{ "failure_template=<<END OF IT\n\nt\nEOF\nEND OF IT\n", NULL,
		    "t\nEOF", NULL, 0, 0 },
		{ "failure_template = <<EOF\nno header here\nt\nEOF\n", NULL,
		    "no header here\nt", NULL, 0, 0 },
		{ FAILURE("Subject:\n", "t"), NULL, NULL, "empty \"Subject\" "
		    "header value in failure template -- ignoring this "
		    "template", 5, false },
		{ FAILURE("Subject: \xc3\xa9\n", "t"), NULL, NULL,
		    "non-ASCII \"Subject\" header value in failure template "
		    "-- ignoring this template", 5, false },
		{ FAILURE("Reply-To: x\n", "t"), NULL, NULL, "unknown "
		    "\"Reply-To\" header label in failure template -- "
		    "ignoring this template", 5, false },
		{ "failure_template = <<EOF\nSubject: x\n\nEOF\n", NULL, NULL,
		    "missing message text in failure template -- ignoring "
		    "this template", 4, false },
		{ FAILURE("", "\xc3\xa9"), NULL, NULL, "8-bit message text in "
		    "failure template: please specify a charset value other "
		    "than us-ascii -- ignoring this template", 4, false },
		{ FAILURE("Charset: utf-8\n", "\xc3\xa9"), NULL, "\xc3\xa9",
		    NULL, 0, 0 },
		{ "failure_template = <<EOF\n\nt\n", NULL, "t",
		    "missing \"EOF\" end marker", 3, false },
		{ "failure_template = <<\n", NULL, NULL,
		    "missing end marker after <<", 1, true },
		{ "failure_template = <<'EOF'\n", NULL, NULL,
		    "malformed end marker after <<", 1, true },
		{ "failure = <<EOF\nt\nEOF\n", NULL, NULL, "unknown template "
		    "name: failure -- ignoring this template", 3, false },
		{ "failure_template\n", NULL, NULL, "missing '=' after "
		    "attribute name: \"failure_template\"", 1, true },
		{ "success_template = <<EOF\nPostmaster-Subject: x\n\nt\nEOF\n",
		    NULL, NULL, "inapplicable \"Postmaster-Subject\" header "
		    "label in success template -- ignoring this template", 5,
		    false },
	};

	(void)state;
	for (size_t i = 0; i < nitems(t); i++) {
		struct problems ps = { NULL, 0 };
		struct templates got, plain;
		const struct template *f = &got.v[TEMPLATE_FAILURE];
		const struct template *b = &plain.v[TEMPLATE_FAILURE];

		templates_builtin(&plain, false);
		templates_builtin(&got, false);
		templates_parse(&got, str_of(t[i].file), "t.cf", &ps);
		assert_true(str_eq(f->subject, t[i].subject != NULL ?
		    str_of(t[i].subject) : b->subject));
		assert_true(str_eq(f->text, t[i].text != NULL ?
		    str_of(t[i].text) : b->text));
		assert_int_equal(ps.n, t[i].problem != NULL);
		if (t[i].problem != NULL) {
			assert_string_equal(ps.v[0].text, t[i].problem);
			assert_int_equal(ps.v[0].line, t[i].line);
			assert_int_equal(ps.v[0].fatal, t[i].fatal);
		}
		problems_free(&ps);
	}
}

/* What is printed is a template file of the same meaning. */
static void
test_print(void **state)
{
	struct templates t, again;
	struct problems ps = { NULL, 0 };
	struct buf file;

	(void)state;
	templates_builtin(&t, true);
	templates_builtin(&again, false);
	buf_init(&file, 1 << 16);
	for (size_t i = 0; i < TEMPLATE__MAX; i++) {
		buf_printf(&file, "%s_template = <<EOF\n", t.v[i].name);
		template_print(&t.v[i], &file);
		buf_puts(&file, "EOF\n");
	}
	templates_parse(&again, buf_view(&file), "t.cf", &ps);
	assert_int_equal(ps.n, 0);
	for (size_t i = 0; i < TEMPLATE__MAX; i++) {
		assert_true(str_eq(again.v[i].text, t.v[i].text));
		assert_true(str_eq(again.v[i].from, t.v[i].from));
		assert_true(str_eq(again.v[i].postmaster_subject,
		    t.v[i].postmaster_subject));
	}
	buf_free(&file);
}

static void
test_expand(void **state)
{
	static const struct {
		const char *text, *want;	/* NULL: a fatal problem */
		const char *problem;
	} t[] = {
		{ "at $myhostname, ${mydomain}", "at mx.example.org, "
		    "example.org\n", NULL },
		{ "$$5 a\\b\n  c", "$5 a\\b\n  c\n", NULL },
		{ "$delay_warning_time_seconds", "12000\n", "excessive" },
		{ "$delay_warning_time_minutes", "200\n", NULL },
		{ "$delay_warning_time_hours", "3\n", NULL },
		{ "$delay_warning_time_days", "0\n", "zero result" },
		{ "$maximal_queue_lifetime_days/$maximal_queue_lifetime_weeks",
		    "21/3\n", NULL },
		{ "$delay_warning_time", "200m\n", NULL },
		{ "$mine", "yes\n", NULL },
		{ "$unheard_of", NULL, "undefined $name in failure template: "
		    "unheard_of" },
		{ "$delay_warning_time_years", NULL, "undefined" },
		{ "${unbalanced", NULL, "bad $name syntax" },
		{ "${mine?{a}:{b}}", "a\n", NULL },
	};
	struct conf *conf = conf_empty("/nonexistent");

	(void)state;
	conf_override(conf, STR("myhostname"), STR("mx.example.org"));
	conf_override(conf, STR("delay_warning_time"), STR("200m"));
	conf_override(conf, STR("maximal_queue_lifetime"), STR("3w"));
	conf_override(conf, STR("mine"), STR("yes"));
	for (size_t i = 0; i < nitems(t); i++) {
		struct problems ps = { NULL, 0 };
		struct templates ts;
		struct buf out;

		templates_builtin(&ts, false);
		ts.v[TEMPLATE_FAILURE].text = str_of(t[i].text);
		buf_init(&out, 1 << 16);
		assert_int_equal(template_expand(&ts, TEMPLATE_FAILURE, conf,
		    &out, &ps), t[i].want != NULL);
		if (t[i].want != NULL)
			assert_string_equal(buf_cstr(&out), t[i].want);
		assert_int_equal(problems_fatal(&ps), t[i].want == NULL);
		assert_int_equal(ps.n > 0, t[i].problem != NULL);
		if (t[i].problem != NULL)
			assert_non_null(strstr(ps.v[0].text, t[i].problem));
		problems_free(&ps);
		buf_free(&out);
	}
	conf_free(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_expand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
