/*
 * line - command lines and the parameters of MAIL and RCPT.
 *
 * RFC 5321 4.1.2:
 *   Mail-parameters = esmtp-param *(SP esmtp-param)
 *   esmtp-param     = esmtp-keyword ["=" esmtp-value]
 *   esmtp-keyword   = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
 *   esmtp-value     = 1*(%d33-60 / %d62-126)	; and UTF-8, RFC 6531 3.3
 */
#include "esmtp/esmtp.h"

static bool is_keyword(struct str);
static bool is_value(struct str);

enum line_end
esmtp_line(struct str *in, size_t max, struct str *line)
{
	size_t n = str_chr(str_first(*in, max + 2), '\n');

	if (n == in->n || n == max + 2)
		return in->n > max + 1 ? LINE_LONG : LINE_MORE;
	if (n == 0 || in->p[n - 1] != '\r') {
		if (n > max)
			return LINE_LONG;
		*line = str_first(*in, n);
		*in = str_from(*in, n + 1);
		return LINE_BARE_LF;
	}
	*line = str_first(*in, n - 1);
	*in = str_from(*in, n + 1);
	return LINE_OK;
}

bool
esmtp_param(struct str *params, struct str *keyword, struct str *value,
    bool *bad)
{
	struct str token;
	size_t eq;

	*bad = false;
	if (!str_token(params, " ", &token))
		return false;
	eq = str_chr(token, '=');
	*keyword = str_first(token, eq);
	*value = str_from(token, eq + 1);
	*bad = !is_keyword(*keyword) || (eq < token.n && !is_value(*value));
	return true;
}

static bool
is_keyword(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || (c == '-' && i > 0))
			continue;
		return false;
	}
	return s.n > 0;
}

/* "=" inside is tolerated: AUTH= and ORCPT= values have been seen with it. */
static bool
is_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 33 || s.p[i] == 127)
			return false;
	return s.n > 0;
}
