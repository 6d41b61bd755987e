/*
 * source - the text from which tables are made: postmap(1) INPUT FILE FORMAT.
 *
 *   table  = *(logical-line)
 *   logical-line = text *(newline whitespace text)
 *   entry  = key whitespace value
 *   key    = *(quoted / escaped / non-space)
 *
 * Empty lines and lines that begin with # are passed over, also between a
 * line and its continuation. RFC: none; the rules are Postfix's readlline().
 */
#include <errno.h>
#include <fcntl.h>

#include "conf/conf.h"
#include "sys/sys.h"
#include "table/internal.h"

#define FILES_MAX (1 << 20)	/* bytes of the files of one value */

static const char unbalanced[] = "unbalanced '\"'";

static bool	is_space(char c);

bool
table_next_line(struct str *rest, int *next_line, int *line, struct buf *out)
{
	buf_clear(out);
	while (rest->n > 0) {
		size_t end = str_chr(*rest, '\n');
		struct str text = str_first(*rest, end);
		struct str trimmed = str_trim(text);

		if (trimmed.n > 0 && trimmed.p[0] != '#') {
			if (out->n > 0 && !is_space(text.p[0]))
				return true;
			if (out->n == 0)
				*line = *next_line;
			buf_str(out, text);
		}
		*rest = str_from(*rest, end + 1);
		++*next_line;
	}
	return out->n > 0;
}

const char *
table_line_split(struct str line, struct str *key, struct str *value)
{
	bool quoted = false;
	size_t i = 0;

	*key = *value = str_first(line, 0);
	if (memchr(line.p, '\0', line.n) != NULL)
		return "null byte in text";
	if (line.n > 0 && is_space(line.p[0]))
		return "logical line must not start with whitespace";
	for (; i < line.n; i++) {
		if (line.p[i] == '\\')
			i++;
		else if (line.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && is_space(line.p[i]))
			break;
	}
	if (i > line.n)
		i = line.n;
	*key = str_first(line, i);
	*value = str_trim(str_from(line, i));
	if (quoted)	/* key ends where the line does */
		return unbalanced;
	if (key->n == 0 || value->n == 0)
		return "expected format: key whitespace value";
	return NULL;
}

void
table_line_warn(const char *file, int line, struct str text,
    const char *wrong)
{
	if (wrong == unbalanced)
		log_warn("%s, line %d: %s in '" STRF
		    "' -- ignoring this line", file, line, wrong, STRV(text));
	else
		log_warn("%s, line %d: %s -- ignoring this line", file, line,
		    wrong);
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool
table_files_value(struct str names, struct buf *out, struct buf *why)
{
	struct buf all, one, name;
	struct str item, list = names;
	int err = 0;

	buf_init(&all, FILES_MAX);
	buf_init(&one, FILES_MAX);
	buf_init(&name, 4096);
	buf_clear(out);
	while (err == 0 && conf_list_next(&names, &item)) {
		buf_clear(&name);
		buf_clear(&one);
		buf_str(&name, item);
		err = file_read(AT_FDCWD, buf_cstr(&name), FILES_MAX, &one);
		if (all.n > 0)
			buf_putc(&all, '\n');
		buf_str(&all, buf_view(&one));
	}
	if (err != 0)
		buf_printf(why, "open %s: %s", buf_cstr(&name),
		    strerror(err));
	else if (all.n == 0)
		buf_printf(why, "empty pathname list: >>" STRF "<<'",
		    STRV(list));
	else
		base64_encode(buf_view(&all), out);
	if (all.full || out->full)
		buf_puts(why, "files too large");
	buf_free(&all);
	buf_free(&one);
	buf_free(&name);
	return why->n == 0;
}

bool
table_value(const struct table *t, const char *file, int line,
    struct str *value, struct buf *decoded)
{
	struct buf why;
	bool ok;

	if ((t->flags & TABLE_FILES) == 0)
		return true;
	buf_init(&why, 4096);
	ok = table_files_value(*value, decoded, &why);
	*value = buf_view(decoded);
	if (!ok)
		log_warn("%s map %s, line %d: " STRF ": skipping this rule",
		    t->type->name, file, line, STRV(buf_view(&why)));
	buf_free(&why);
	return ok;
}
