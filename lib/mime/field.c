/*
 * field - header fields: names, folding, the walk through a header.
 *
 *   field      := field-name *WSP ":" unstructured CRLF    RFC 5322 2.2, 4.5
 *   field-name := 1*ftext      ftext := %d33-57 / %d59-126
 *   unfold: CRLF before WSP goes                           RFC 5322 2.2.3
 */
#include "mime/mime.h"

const struct mime_header_row mime_headers[MH__OTHER] = {
#define HEADER(id, name, flags) { name, flags },
#include "mime/header.def"
#undef HEADER
};

enum mime_header
mime_header_find(struct str name)
{
	for (int i = 0; i < MH__OTHER; i++)
		if (str_eq_nocase(name, str_of(mime_headers[i].name)))
			return (enum mime_header)i;
	return MH__OTHER;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

size_t
mime_field_name(struct str line)
{
	size_t n = 0, i;

	while (n < line.n && line.p[n] > 32 && line.p[n] < 127 &&
	    line.p[n] != ':')
		n++;
	for (i = n; i < line.n && is_blank(line.p[i]); i++)
		;
	return i < line.n && line.p[i] == ':' ? n : 0;
}

/* Bytes of the first line of s, line end included. */
static size_t
line_length(struct str s)
{
	size_t n = str_chr(s, '\n');

	return n < s.n ? n + 1 : n;
}

static struct str
without_line_end(struct str s)
{
	if (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

bool
mime_field_next(struct str *rest, struct mime_field *f)
{
	struct str line = str_first(*rest, line_length(*rest));
	size_t n = mime_field_name(without_line_end(line));
	size_t all = line.n;

	if (n == 0) {
		if (line.n > 0 && without_line_end(line).n == 0)
			*rest = str_from(*rest, line.n);
		return false;
	}
	while (all < rest->n && is_blank(rest->p[all]))
		all += line_length(str_from(*rest, all));
	f->whole = str_first(*rest, all);
	f->name = str_first(f->whole, n);
	f->body = without_line_end(f->whole);
	f->body = str_from(f->body, str_chr(f->body, ':') + 1);
	f->id = mime_header_find(f->name);
	*rest = str_from(*rest, all);
	return true;
}

void
mime_skip_cfws(struct str *s)
{
	size_t i, depth = 0;

	for (i = 0; i < s->n; i++) {
		char c = s->p[i];

		if (c == '\\' && depth > 0)
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' &&
		    c != '\n')
			break;
	}
	*s = str_from(*s, i);
}

void
mime_unfold(struct str body, struct buf *out)
{
	body = str_trim(body);
	while (body.n > 0) {
		size_t n = str_chr(body, '\n');
		struct str line = str_first(body, n < body.n ? n + 1 : n);

		body = str_from(body, line.n);
		buf_str(out, without_line_end(line));
	}
}
