/*
 * transcript - what was said in a session, for postmaster where it went
 * wrong (notify_classes, error_notice_recipient).
 *
 * Each error reply has a class, told by its enhanced status code. At the end
 * of a session with an error of a class that is asked for, its lines go to
 * postmaster (service/notice.h). Passwords are left out.
 */
#include "dsn/dsn.h"
#include "smtpd/smtpd.h"

#define TRANSCRIPT_MAX	131072	/* bytes; what is older goes */
#define SUBJECT_MAX	4096
#define LINE_SHOWN	1000	/* bytes of a line in the log */

static const struct { const char *name; unsigned bit; } classes[] = {
	{ "bounce", NOTE_BOUNCE }, { "data", NOTE_DATA },
	{ "policy", NOTE_POLICY }, { "protocol", NOTE_PROTOCOL },
	{ "resource", NOTE_RESOURCE }, { "software", NOTE_SOFTWARE },
};

void
transcript_configure(struct smtpd *d, struct conf *conf)
{
	struct str list = conf_get(conf, "notify_classes"), item;

	while (conf_list_next(&list, &item))
		for (size_t i = 0; i < nitems(classes); i++)
			if (str_eq_nocase(item, str_of(classes[i].name)))
				d->notify |= classes[i].bit;
	d->bounce_notice_recipient = conf_get(conf,
	    "bounce_notice_recipient");
	d->error_notice_recipient = conf_get(conf, "error_notice_recipient");
	notices_init(&d->notices, d->service, d->arena);
}

static bool
contains(struct str s, const char *part)
{
	return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* RFC 3463: x.5.x is the protocol, x.3.x the system, x.7.x what is allowed. */
unsigned
transcript_class(struct str line)
{
	struct str code = str_from(line, 4);

	if (line.n < 4 || (line.p[0] != '4' && line.p[0] != '5'))
		return 0;
	code = str_first(code, dsn_status_length(code));
	if (code.n < 5)
		return NOTE_PROTOCOL;
	if (contains(line, "Temporary lookup failure"))
		return NOTE_DATA;
	code = str_from(code, 2);
	if (str_starts(code, STR("5.")))
		return NOTE_PROTOCOL;
	if (str_eq(code, STR("3.4")) || str_eq(code, STR("4.0")) ||
	    str_eq(code, STR("4.6")))	/* too big, too many hops */
		return NOTE_BOUNCE;
	if (str_eq(code, STR("3.1")))
		return NOTE_RESOURCE;
	if (str_starts(code, STR("3.")))
		return NOTE_SOFTWARE;
	return NOTE_POLICY;
}

/* --- what is said --- */

static void
add(struct session *s, const char *who, struct str line)
{
	if (s->smtpd->notify != 0)
		esmtp_script_add(&s->script, TRANSCRIPT_MAX, who, line);
}

/* debug_peer_list, or a daemon's -v. */
static void
show(const struct session *s, const char *direction, struct str line)
{
	log_at(s->debug ? LL_INFO : LL_DEBUG, STR(""), "%s " STRF ": " STRF,
	    direction, STRV(s->who), STRV(str_first(line, LINE_SHOWN)));
}

void
transcript_in(struct session *s, struct str line)
{
	struct str rest = line, verb;

	if (str_token(&rest, " ", &verb) &&
	    str_eq_nocase(verb, STR("AUTH")) && str_token(&rest, " ", &verb))
		line = str_first(line, (size_t)(verb.p + verb.n - line.p));
	show(s, "<", line);
	add(s, "In:  ", line);
}

void
transcript_out(struct session *s, struct str line)
{
	if (s->state == AUTH || str_starts(line, STR("334")))
		return;
	show(s, ">", line);
	s->noted |= transcript_class(line);
	add(s, "Out: ", line);
}

/* Mail was taken: the next one begins a new story. */
void
transcript_forget(struct session *s)
{
	if ((s->noted & s->smtpd->notify) == 0)
		esmtp_script_clear(&s->script);
}

void
transcript_flush(struct session *s)
{
	if (s->script.lines <= s->smtpd->conf.smtpd_history_flush_threshold)
		return;
	transcript_end(s, NULL);
	s->noted = 0;
}

void
transcript_end(struct session *s, const char *why)
{
	struct smtpd *d = s->smtpd;
	unsigned noted = s->noted & d->notify;
	struct buf subject, text;

	if (noted != 0) {
		buf_init(&subject, SUBJECT_MAX);
		buf_init(&text, 16 * TRANSCRIPT_MAX);
		buf_printf(&subject, "SMTP server: errors from " STRF,
		    STRV(s->who));
		buf_puts(&text, "Transcript of session follows.\r\n\r\n");
		esmtp_script_print(&s->script, &text);
		if (why != NULL)
			buf_printf(&text, "\r\nSession aborted, reason: "
			    "%s\r\n", why);
		notice_send(&d->notices, noted & NOTE_BOUNCE ?
		    d->bounce_notice_recipient : d->error_notice_recipient,
		    buf_view(&subject), buf_view(&text));
		buf_free(&text);
		buf_free(&subject);
	}
	esmtp_script_clear(&s->script);
}
