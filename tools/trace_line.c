/*
 * trace_line - lines of a mail log: who says what of which message.
 *
 *   line   = stamp SP host SP program "[" pid "]: " [level ": "] qid ": " text
 *   stamp  = Mmm SP dd SP hh:mm:ss / RFC 3339
 *   line   =/ one object of JSON, with time, host, process, queue_id, message
 *
 * What a text means is told by its program and the words that it begins
 * with: Postfix's (README, "Logs").
 */
#include "queue/queue.h"
#include "tools/trace_line.h"

#define TRADITIONAL	15	/* bytes of "Nov 27 04:12:26" */
#define JSON_TEXT_MAX	((size_t)1 << 20)

const char *const trace_event_names[] = {
	[TRACE_OTHER] = "note", [TRACE_RECEIVED] = "received",
	[TRACE_SUBMITTED] = "submitted", [TRACE_ID] = "message-id",
	[TRACE_QUEUED] = "queued", [TRACE_SENT] = "sent",
	[TRACE_DEFERRED] = "deferred", [TRACE_BOUNCED] = "bounced",
	[TRACE_EXPIRED] = "expired", [TRACE_REPORT] = "report",
	[TRACE_REMOVED] = "removed", [TRACE_WARNING] = "warning",
};

/* --- what a text says --- */

/* Behind the last place of key; false: it is not there. */
static bool
value_of(struct str text, struct str key, struct str *value)
{
	for (size_t i = 0; i + key.n <= text.n; i++)
		if (str_starts(str_from(text, i), key) &&
		    (i == 0 || text.p[i - 1] == ' ' || text.p[i - 1] == '(')) {
			*value = str_from(text, i + key.n);
			return true;
		}
	return false;
}

/* The queue id at the start of s, "" for none. */
static struct str
id_at(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != ' ' && s.p[n] != ')' && s.p[n] != ',' &&
	    s.p[n] != ':')
		n++;
	s = str_first(s, n);
	return queue_id_valid(s) ? s : STR("");
}

/* "relay=local, ... status=sent (forwarded as QID)", "queued as QID". */
static struct str
id_after_delivery(struct str text)
{
	static const char *const words[] = { "(forwarded as ", "queued as " };
	struct str rest;

	for (size_t i = 0; i < nitems(words); i++) {
		struct str key = str_of(words[i]);

		for (size_t k = 0; k + key.n <= text.n; k++) {
			rest = str_from(text, k);
			if (str_starts(rest, key))
				return id_at(str_from(rest, key.n));
		}
	}
	return STR("");
}

static enum trace_event
delivery(struct str text)
{
	static const struct { const char *word; enum trace_event event; } t[] = {
		{ "sent", TRACE_SENT }, { "deferred", TRACE_DEFERRED },
		{ "bounced", TRACE_BOUNCED }, { "expired", TRACE_EXPIRED },
		{ "deliverable", TRACE_SENT },
		{ "undeliverable", TRACE_BOUNCED },
	};
	struct str status;

	if (value_of(text, STR("status="), &status))
		for (size_t i = 0; i < nitems(t); i++)
			if (str_starts(status, str_of(t[i].word)))
				return t[i].event;
	return TRACE_OTHER;
}

static void
classify(struct trace_line *l)
{
	struct str rest;

	l->next = STR("");
	if (str_starts(l->text, STR("client="))) {
		l->event = TRACE_RECEIVED;
	} else if (str_starts(l->text, STR("uid="))) {
		l->event = TRACE_SUBMITTED;
		if (value_of(l->text, STR("orig_id="), &rest))
			l->next = id_at(rest);	/* it came of that one */
	} else if (str_starts(l->text, STR("message-id=")) ||
	    str_starts(l->text, STR("resent-message-id="))) {
		l->event = TRACE_ID;
	} else if (str_starts(l->text, STR("to=<"))) {
		l->event = delivery(l->text);
		l->next = id_after_delivery(l->text);
	} else if (str_starts(l->text, STR("from=<"))) {
		l->event = value_of(l->text, STR("status="), &rest) ?
		    TRACE_EXPIRED : TRACE_QUEUED;
	} else if (value_of(l->text, STR("notification: "), &rest)) {
		l->event = TRACE_REPORT;
		l->next = id_at(rest);
	} else if (str_starts(l->text, STR("removed"))) {
		l->event = TRACE_REMOVED;
	}
}

/* --- the forms of a line --- */

/* "warning: QID: text" or "QID: text". */
static bool
take_text(struct str text, struct trace_line *l)
{
	static const char *const levels[] = { "warning: ", "error: ",
	    "fatal: ", "panic: " };
	size_t n;

	for (size_t i = 0; i < nitems(levels); i++)
		if (str_starts(text, str_of(levels[i]))) {
			text = str_from(text, strlen(levels[i]));
			l->event = TRACE_WARNING;
		}
	n = str_chr(text, ':');
	if (n == text.n || !queue_id_valid(str_first(text, n)))
		return false;
	l->qid = str_first(text, n);
	l->text = str_trim(str_from(text, n + 1));
	return true;
}

/* The last part of "postfix/submission/smtpd". */
static struct str
last_part(struct str tag)
{
	size_t slash = str_rchr(tag, '/');

	return slash < tag.n ? str_from(tag, slash + 1) : tag;
}

static bool
parse_text(struct str line, struct trace_line *l)
{
	size_t n = line.n > 0 && line.p[0] >= '0' && line.p[0] <= '9' ?
	    str_chr(line, ' ') : TRADITIONAL;
	struct str tag;

	if (n >= line.n || line.p[n] != ' ')
		return false;
	l->time = str_first(line, n);
	line = str_from(line, n + 1);
	n = str_chr(line, ' ');
	l->host = str_first(line, n);
	line = str_from(line, n + 1);
	n = str_chr(line, ' ');
	tag = str_first(line, n);
	if (tag.n < 2 || tag.p[tag.n - 1] != ':')
		return false;
	tag = str_first(tag, str_chr(str_first(tag, tag.n - 1), '['));
	l->program = last_part(tag);
	return take_text(str_from(line, n + 1), l);
}

/* The string at *s, behind its quote, its escapes undone; *s behind it. */
static bool
json_string(struct str *s, struct arena *arena, struct str *value)
{
	struct buf b;
	size_t i = 0;

	buf_init(&b, JSON_TEXT_MAX);
	for (; i < s->n && s->p[i] != '"'; i++) {
		if (s->p[i] != '\\') {
			buf_putc(&b, s->p[i]);
		} else if (++i < s->n) {
			char c = s->p[i];

			buf_putc(&b, c == 'n' || c == 't' || c == 'u' ? ' ' :
			    c);
			if (c == 'u')
				i += 4;
		}
	}
	*value = arena_str(arena, buf_view(&b));
	buf_free(&b);
	if (i >= s->n)
		return false;
	*s = str_from(*s, i + 1);
	return true;
}

/* Members in a row: "name":"text" or "name":number. */
static bool
parse_json(struct str line, struct arena *arena, struct trace_line *l)
{
	struct str process = STR(""), level = STR(""), message = STR("");
	struct { struct str name; struct str *to; } want[] = {
		{ STR("time"), &l->time }, { STR("host"), &l->host },
		{ STR("process"), &process }, { STR("level"), &level },
		{ STR("queue_id"), &l->qid }, { STR("message"), &message },
	};
	struct str name, value;

	line = str_from(line, 1);
	while (str_starts(line, STR("\""))) {
		line = str_from(line, 1);
		if (!json_string(&line, arena, &name) ||
		    !str_starts(line, STR(":")))
			return false;
		line = str_from(line, 1);
		if (str_starts(line, STR("\""))) {
			line = str_from(line, 1);
			if (!json_string(&line, arena, &value))
				return false;
			for (size_t i = 0; i < nitems(want); i++)
				if (want[i].to->n == 0 &&
				    str_eq(name, want[i].name))
					*want[i].to = value;
		} else {
			line = str_from(line, str_chr(line, ','));
		}
		if (str_starts(line, STR(",")))
			line = str_from(line, 1);
	}
	l->program = last_part(process);
	l->text = message;
	if (level.n > 0 && !str_eq(level, STR("info")))
		l->event = TRACE_WARNING;
	return queue_id_valid(l->qid);
}

bool
trace_line_parse(struct str line, struct arena *arena, struct trace_line *l)
{
	*l = (struct trace_line){ .event = TRACE_OTHER };
	line = str_trim(line);
	if (str_starts(line, STR("{")) ? !parse_json(line, arena, l) :
	    !parse_text(line, l))
		return false;
	if (l->event == TRACE_WARNING)
		l->next = STR("");
	else
		classify(l);
	return true;
}

/* "<what>" behind key. */
static bool
is_in_angles(struct str text, struct str key, struct str what)
{
	struct str v;

	return value_of(text, key, &v) && v.n > what.n &&
	    str_eq_nocase(str_first(v, what.n), what) &&
	    v.p[what.n] == '>';
}

bool
trace_line_names(const struct trace_line *l, struct str what)
{
	struct str bare = what;

	if (str_eq(l->qid, what))
		return true;
	if (bare.n > 2 && bare.p[0] == '<' && bare.p[bare.n - 1] == '>')
		bare = str_first(str_from(bare, 1), bare.n - 2);
	if (str_chr(bare, '@') == bare.n)
		return false;
	return is_in_angles(l->text, STR("message-id=<"), bare) ||
	    is_in_angles(l->text, STR("from=<"), bare) ||
	    is_in_angles(l->text, STR("to=<"), bare) ||
	    is_in_angles(l->text, STR("orig_to=<"), bare);
}
