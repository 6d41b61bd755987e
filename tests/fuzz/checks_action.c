/*
 * What a table of header_checks answers: any bytes, for a field or a line.
 * An action that is done has what it needs.
 */
#include "checks/checks.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct checks_names names = { { "header_checks",
	    "header_checks", "header_checks", "header_checks" } };
	enum mime_place place;
	struct problems problems = { 0 };
	struct check_verdict v;
	struct checks *c;
	struct conf *conf;
	struct buf spec;

	if (n < 2 || n > 1000)
		return 0;
	place = (enum mime_place)(data[0] % (MIME_BODY + 1));
	for (size_t i = 1; i < n; i++)
		if (data[i] == '{' || data[i] == '}' || data[i] == '$')
			return 0;
	conf = conf_empty("/nowhere");
	buf_init(&spec, 4096);
	buf_puts(&spec, "static:{");
	buf_add(&spec, data + 1, n - 1);
	buf_puts(&spec, "}");
	conf_override(conf, STR("header_checks"), buf_view(&spec));
	c = checks_open(conf, &names, CHECKS_ALL, &problems);
	if (checks_ask(c, place, STR("Subject: x\r\n y"), &v) == FOUND) {
		assert(v.action < CHECK__LAST && v.action != CHECK_DUNNO);
		if (v.action == CHECK_BCC || v.action == CHECK_REDIRECT)
			assert(str_chr(v.text, '@') < v.text.n);
		if (v.action == CHECK_FILTER)
			assert(str_chr(v.text, ':') < v.text.n);
		if (place != MIME_BODY && (v.action == CHECK_PREPEND ||
		    v.action == CHECK_REPLACE))
			assert(mime_field_name(v.text) > 0);
	}
	checks_free(&c);
	buf_free(&spec);
	conf_free(&conf);
	problems_free(&problems);
	return 0;
}
