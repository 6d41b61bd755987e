/*
 * words - commands that main.cf gives another meaning, and those that no mail
 * client says.
 *
 * postconf(5) smtpd_command_filter, smtpd_noop_commands,
 * smtpd_forbidden_commands.
 */
#include "smtpd/smtpd.h"

bool
words_filter(struct session *s, struct str *line, struct buf *other)
{
	struct tables *t = s->smtpd->command_filter;
	struct str key = *line;

	if (tables_empty(t))
		return true;
	while (key.n > 0 && (key.p[0] == ' ' || key.p[0] == '\t'))
		key = str_from(key, 1);
	switch (tables_get(t, key, other)) {
	case FOUND:
		log_info(STRF ": replacing command \"" STRF "\" with \"" STRF
		    "\"", STRV(s->who), STRV(str_first(*line, SNIPPET_MAX)),
		    STRV(str_first(buf_view(other), SNIPPET_MAX)));
		*line = buf_view(other);
		return true;
	case NONE:
		return true;
	case RETRY:
		break;
	}
	log_warn("%s for \"" STRF "\"", tables_error(t),
	    STRV(str_first(*line, SNIPPET_MAX)));
	session_data_error(s);
	return false;
}

/* "Subject:": a header, of one who takes us for something else. */
static bool
is_header(struct str verb)
{
	size_t n = str_chr(verb, ':');

	for (size_t i = 0; i < n; i++)
		if (verb.p[i] <= ' ' || verb.p[i] >= 127)
			return false;
	return n > 0 && n < verb.n;
}

/* HTTP and other tongues: one reply, no second command. */
bool
words_forbidden(struct session *s, struct str verb, struct str line)
{
	struct buf shown;

	if (!is_header(verb) &&
	    match_list_domain(s->smtpd->forbidden, verb) != FOUND)
		return false;
	words_show(str_first(line, SNIPPET_MAX), &shown);
	log_warn("non-SMTP command from " STRF ": %s", STRV(s->who),
	    buf_cstr(&shown));
	buf_free(&shown);
	reply_close(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
	return true;
}

void
words_show(struct str text, struct buf *out)
{
	static const char names[] = "\aa\bb\ff\nn\rr\tt\vv\\\\";

	buf_init(out, 4 * SNIPPET_MAX + 1);
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		const char *name = c == 0 ? NULL : strchr(names, c);

		if (name != NULL && (name - names) % 2 == 0)
			buf_printf(out, "\\%c", name[1]);
		else if (c < ' ' || c == 127)
			buf_printf(out, "\\%03o", c);
		else
			buf_putc(out, (char)c);
	}
}

bool
words_noop(const struct session *s, struct str verb)
{
	return match_list_domain(s->smtpd->noops, verb) == FOUND;
}
