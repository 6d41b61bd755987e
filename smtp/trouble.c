/*
 * trouble - what a failure means for whom: Postfix's smtp_trouble.c.
 *
 * A temporary failure, while another server may follow, keeps a recipient for
 * that one. Else it defers or returns. Once all content was handed over no
 * other server is tried: the first may have taken it.
 */
#include <stdarg.h>
#include <stdio.h>

#include "smtp/smtp.h"

#define TEXT_MAX	4000

struct why
why_printf(struct delivery *d, const char *dsn, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return (struct why){ .dsn = arena_str(d->arena, str_of(dsn)),
		.text = arena_str(d->arena, str_of(text)) };
}

/* The status of a reply without one: by its code (RFC 3463 2). */
static struct str
reply_dsn(const struct esmtp_reply *r)
{
	if (r->dsn.n > 0 && (r->dsn.p[0] == '4' || r->dsn.p[0] == '5'))
		return r->dsn;
	if (r->code / 100 == 4)
		return STR("4.0.0");
	return r->code / 100 == 5 ? STR("5.0.0") : STR("4.5.0");
}

struct str
why_line(struct delivery *d, struct str text)
{
	char *p = arena_cstr(d->arena, text);

	for (size_t i = 0; i < text.n; i++)
		if (p[i] == '\n' || p[i] == '\0')
			p[i] = p[i] == '\n' ? ' ' : '?';
	return (struct str){ p, text.n };
}

struct why
why_reply(struct session *s, const struct esmtp_reply *r, const char *command)
{
	struct delivery *d = s->d;
	struct str reply = why_line(d, buf_view(&r->text));
	struct why why;

	script_note_reply(s, r->code);
	if (command != NULL)
		why = why_printf(d, "", "host " STRF " said: " STRF
		    " (in reply to %s)", STRV(s->name), STRV(reply), command);
	else
		why = why_printf(d, "", "host " STRF " refused to talk to me: "
		    STRF, STRV(s->name), STRV(reply));
	why.dsn = arena_str(d->arena, reply_dsn(r));
	why.remote = arena_str(d->arena, s->host);
	why.reply = reply;
	return why;
}

bool
why_is_soft(const struct why *why)
{
	return why->dsn.n > 0 && why->dsn.p[0] == '4';
}

void
trouble_note(struct delivery *d, struct str text)
{
	log_mail(d->msg.queue_id, STRF, STRV(text));
}

/* May the next server have what this one did not take? */
static bool
goes_on(const struct delivery *d, const struct why *why)
{
	if (d->final || (d->session != NULL && d->session->handed))
		return false;
	return why_is_soft(why) || d->smtp->soft_bounce;
}

/* qmgr holds back what else is for that destination. */
static void
throttle(struct delivery *d, const struct why *why)
{
	if (d->throttle.n == 0 && (why_is_soft(why) || d->smtp->soft_bounce))
		d->throttle = str_of(arena_printf(d->arena, STRF " " STRF,
		    STRV(why->dsn), STRV(str_first(why->text, TEXT_MAX))));
}

static void
give_up(struct delivery *d, struct recipient *r, const struct why *why)
{
	bool loops = why->reply.n == 0 && str_eq(why->dsn, STR("5.4.6"));

	if (!loops || !delivery_pass(d, r))
		delivery_result(d, r, why_is_soft(why) ? DEFERRED : BOUNCED,
		    why);
}

void
trouble_rcpt(struct delivery *d, struct recipient *r, const struct why *why)
{
	if (goes_on(d, why)) {
		trouble_note(d, why->text);
		r->mark = RCPT_KEPT;
		r->why = *why;
		return;
	}
	give_up(d, r, why);
	if (why->down)
		throttle(d, why);
}

void
trouble_all(struct delivery *d, const struct why *why)
{
	bool keep = goes_on(d, why);

	if (keep && delivery_left(d) > 0)
		trouble_note(d, why->text);
	for (size_t i = 0; i < d->n; i++) {
		struct recipient *r = &d->rcpts[i];

		if (r->mark != RCPT_LEFT)
			continue;
		r->why = *why;
		if (keep)
			r->mark = RCPT_KEPT;
		else
			give_up(d, r, why);
	}
	if (!keep && why->down)
		throttle(d, why);
}
