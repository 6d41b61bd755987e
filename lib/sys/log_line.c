/*
 * log_line - the forms of a line: file text, syslog datagram, JSON.
 *
 * Text arrives escaped. Its "key=value" pairs become members of a JSON line
 * by keys.def; what stands in <...>, in a quoted string, or in brackets after
 * the status is a stranger's text and is searched for no keys.
 */
#include <stdio.h>
#include <syslog.h>
#include "sys/internal.h"

enum key_kind { KEY_WORD, KEY_NUMBER, KEY_ANGLE, KEY_LAST };
static const struct { struct str name; enum key_kind kind; } keys[] = {
#define KEY(name, kind) { { #name, sizeof(#name) - 1 }, KEY_##kind },
#include "sys/keys.def"
#undef KEY
};

static void
stamp_refresh(struct log_room *log, int64_t second)
{
	time_t t = (time_t)second;
	struct tm tm;
	char zone[8];

	if (log->stamp_second == second)
		return;
	if (localtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	log->stamp_second = second;
	if (strftime(log->traditional, sizeof(log->traditional),
	    "%b %e %H:%M:%S", &tm) == 0 ||
	    strftime(log->iso, sizeof(log->iso), "%Y-%m-%dT%H:%M:%S",
	    &tm) == 0 || strftime(zone, sizeof(zone), "%z", &tm) != 5)
		memcpy(zone, "+0000", 6);
	/* +0100 becomes +01:00, RFC 3339 5.6 */
	snprintf(log->zone, sizeof(log->zone), "%.3s:%.2s", zone, zone + 3);
}

static void
put_rfc3339(struct log_room *log, int64_t now_us, struct buf *out)
{
	buf_printf(out, "%s.%06d%s", log->iso, (int)(now_us % 1000000),
	    log->zone);
}

static int
severity(enum log_level level)
{
	switch (level) {
	case LL_DEBUG:
		return LOG_DEBUG;
	case LL_INFO:
		return LOG_INFO;
	case LL_WARN:
		return LOG_WARNING;
	case LL_ERROR:
		return LOG_ERR;
	case LL_FATAL:
	case LL_PANIC:
		return LOG_CRIT;
	}
	return LOG_INFO;
}

static const char *
level_name(enum log_level level)
{
	static const char *const names[] = {
		[LL_DEBUG] = "debug", [LL_INFO] = "info",
		[LL_WARN] = "warning", [LL_ERROR] = "error",
		[LL_FATAL] = "fatal", [LL_PANIC] = "panic",
	};

	return names[level];
}

/* RFC 8259 7; control bytes are gone already. */
static void
put_json_string(struct buf *out, struct str s)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, s.p[i]);
	}
	buf_putc(out, '"');
}

static void
put_json_member(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, ",\"%s\":", name);
	put_json_string(out, value);
}

/* A JSON number: digits, and one dot between digits. RFC 8259 6 */
static bool
is_number(struct str s)
{
	size_t dot = str_chr(s, '.');
	struct str whole = str_first(s, dot), part = str_from(s, dot + 1);
	uint64_t unused;

	if (whole.n > 1 && whole.p[0] == '0')
		return false;
	return str_number(whole, &unused) &&
	    (dot == s.n || str_number(part, &unused));
}

/* Bytes of the <...> that s starts with; a quoted string hides a '>'. */
static size_t
angle_length(struct str s)
{
	bool quoted = false;

	for (size_t i = 1; i < s.n; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.p[i] == '>')
			return i + 1;
	}
	return s.n;
}

static struct str
without_angles(struct str s)
{
	if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		return (struct str){ s.p + 1, s.n - 2 };
	return s;
}

/* Takes the value that s starts with off it. */
static struct str
take_value(enum key_kind kind, struct str *s)
{
	struct str value = *s;

	if (kind != KEY_LAST && s->n > 0 && s->p[0] == '<')
		value.n = angle_length(*s);
	else if (kind != KEY_LAST)
		for (value.n = 0; value.n < s->n; value.n++)
			if (s->p[value.n] == ' ' || s->p[value.n] == ',')
				break;
	*s = str_from(*s, value.n);
	return without_angles(value);
}

/* One pair at the start of *s, where it is one of ours and is new. */
static void
take_pair(struct str *s, uint32_t *seen, struct buf *out)
{
	struct str value;

	for (size_t i = 0; i < nitems(keys); i++) {
		if (!str_starts(*s, keys[i].name) ||
		    s->n <= keys[i].name.n || s->p[keys[i].name.n] != '=')
			continue;
		*s = str_from(*s, keys[i].name.n + 1);
		value = take_value(keys[i].kind, s);
		if ((*seen & 1u << i) != 0)
			return;
		*seen |= 1u << i;
		if (keys[i].kind == KEY_NUMBER && is_number(value))
			buf_printf(out, ",\"" STRF "\":" STRF,
			    STRV(keys[i].name), STRV(value));
		else
			put_json_member(out, keys[i].name.p, value);
		return;
	}
}

static void
put_pairs(struct str text, struct buf *out)
{
	uint32_t seen = 0;
	bool at_word = true;

	_Static_assert(nitems(keys) <= 32, "seen has 32 bits");
	while (text.n > 0) {
		if (at_word) {
			size_t before = text.n;

			take_pair(&text, &seen, out);
			at_word = false;
			if (text.n != before)
				continue;
		}
		if (text.p[0] == '(')
			return;
		if (text.p[0] == '<') {
			text = str_from(text, angle_length(text));
			continue;
		}
		at_word = text.p[0] == ' ';
		text = str_from(text, 1);
	}
}

static void
put_json(struct log_room *log, enum log_level level, struct str qid,
    struct str text, struct buf *out)
{
	int64_t now = clock_wall_us();

	stamp_refresh(log, now / 1000000);
	buf_puts(out, "{\"time\":\"");
	put_rfc3339(log, now, out);
	buf_puts(out, "\"");
	put_json_member(out, "host", str_of(log->host));
	put_json_member(out, "process", str_of(log->tag));
	buf_printf(out, ",\"pid\":%d", log->pid);
	put_json_member(out, "level", str_of(level_name(level)));
	if (qid.n > 0)
		put_json_member(out, "queue_id", qid);
	put_json_member(out, "message", text);
	put_pairs(text, out);
	buf_putc(out, '}');
}

void
log_put_text(enum log_level level, struct str qid, struct str text,
    struct buf *out)
{
	if (level >= LL_WARN)
		buf_printf(out, "%s: ", level_name(level));
	if (qid.n > 0) {
		buf_str(out, qid);
		buf_puts(out, ": ");
	}
	buf_str(out, text);
}

/* What stands before the text: of a datagram, or of a line in a file. */
static void
put_head(struct log_room *log, enum log_level level, struct buf *out)
{
	int64_t now = clock_wall_us();
	struct str host = str_of(log->host);

	stamp_refresh(log, now / 1000000);
	if (log->sink == SINK_SYSLOG)	/* RFC 3164 4.1, as glibc writes it */
		buf_printf(out, "<%d>%s ", log->facility | severity(level),
		    log->traditional);
	else if (log->stamp == STAMP_RFC3339)
		put_rfc3339(log, now, out);
	else
		buf_puts(out, log->traditional);
	if (log->sink != SINK_SYSLOG)	/* the first label, as Postfix */
		buf_printf(out, " " STRF " ",
		    STRV(str_first(host, str_chr(host, '.'))));
	buf_printf(out, "%s[%d]: ", log->tag, log->pid);
}

void
log_line(struct log_room *log, enum log_level level, struct str qid,
    struct str text, struct buf *out)
{
	for (;;) {
		if (log->sink == SINK_SYSLOG || log->format == LOG_TEXT)
			put_head(log, level, out);
		if (log->format == LOG_JSON)
			put_json(log, level, qid, text, out);
		else
			log_put_text(level, qid, text, out);
		buf_putc(out, '\n');
		if (!out->full || text.n == 0)
			return;
		/* Escapes can double a text, and so can the pairs. */
		text = str_first(text, text.n / 2);
		while (text.n > 0 && (text.p[text.n - 1] & 0x80) != 0)
			text.n--;	/* no half of a character */
		buf_clear(out);
	}
}
