/*
 * dovecot_line - see dovecot.h.
 */
#include "auth/dovecot.h"

struct str
dovecot_field(struct str *rest)
{
	size_t end = str_chr(*rest, '\t');
	struct str field = str_first(*rest, end);

	*rest = str_from(*rest, end + 1);
	return field;
}

bool
dovecot_param(struct str rest, const char *name, struct str *value)
{
	struct str key = str_of(name), field;

	*value = STR("");
	while (rest.n > 0) {
		field = dovecot_field(&rest);
		if (!str_starts(field, key))
			continue;
		if (field.n == key.n)
			return true;
		if (field.p[key.n] == '=') {
			*value = str_from(field, key.n + 1);
			return true;
		}
	}
	return false;
}

bool
dovecot_is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\0' ||
		    s.p[i] == '\r' || s.p[i] == '\001')
			return false;
	return true;
}

enum found
dovecot_line(struct str *in, struct str *line)
{
	size_t end = str_chr(*in, '\n');

	if (end == in->n)
		return in->n > DOVECOT_LINE_MAX ? RETRY : NONE;
	*line = str_first(*in, end);
	*in = str_from(*in, end + 1);
	return FOUND;
}
