/*
 * template - a template file of any bytes: what stands in the templates is
 * of the file or built in, headers are one line of ASCII, and what expands
 * ends in a line end.
 */
#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_header(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		assert(s.p[i] != '\n' && s.p[i] != '\0' &&
		    (unsigned char)s.p[i] < 0x80);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct problems problems = { NULL, 0 };
	struct conf *conf;
	struct templates t;

	if (n > 1 << 14)
		return 0;
	conf = conf_empty("/nonexistent");
	templates_builtin(&t, false);
	templates_parse(&t, (struct str){ (const char *)data, n }, "t.cf",
	    &problems);
	for (size_t i = 0; i < TEMPLATE__MAX; i++) {
		struct buf out;

		check_header(t.v[i].charset);
		check_header(t.v[i].from);
		check_header(t.v[i].subject);
		check_header(t.v[i].postmaster_subject);
		assert(t.v[i].text.n > 0);
		buf_init(&out, 1 << 20);
		if (template_expand(&t, (enum template_kind)i, conf, &out,
		    &problems))
			assert(out.n > 0 && out.p[out.n - 1] == '\n');
		buf_free(&out);
	}
	problems_free(&problems);
	conf_free(&conf);
	return 0;
}
