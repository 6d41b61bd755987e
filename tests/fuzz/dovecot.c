/*
 * Lines of Dovecot's auth protocol, from a server or a client of it: fields
 * lie within their line, and what is clean makes no second field or line.
 */
#include <stdlib.h>
#include "auth/dovecot.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_line(struct str line)
{
	struct str rest = line, value, field;
	size_t fields = 0, tabs = 0;

	for (size_t i = 0; i < line.n; i++) {
		tabs += line.p[i] == '\t';
		if (line.p[i] == '\n')
			abort();
	}
	while (rest.n > 0) {
		field = dovecot_field(&rest);
		if (str_chr(field, '\t') < field.n)
			abort();
		fields++;
	}
	if (fields > tabs + 1)
		abort();
	if (dovecot_param(line, "user", &value) && value.n > line.n)
		abort();
	if (dovecot_is_clean(line) && tabs > 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size }, line;
	size_t before = in.n;

	while (dovecot_line(&in, &line) == FOUND) {
		if (in.n >= before)
			abort();
		before = in.n;
		check_line(line);
	}
	return 0;
}
