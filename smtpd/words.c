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
	if (!is_header(verb) &&
	    match_list_domain(s->smtpd->forbidden, verb) != FOUND)
		return false;
	log_warn("non-SMTP command from " STRF ": " STRF, STRV(s->who),
	    STRV(str_first(line, SNIPPET_MAX)));
	reply_close(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
	return true;
}

bool
words_noop(const struct session *s, struct str verb)
{
	return match_list_domain(s->smtpd->noops, verb) == FOUND;
}
