/*
 * script - what was said with a server, for postmaster where one side broke
 * the protocol (notify_classes, error_notice_recipient), and for the log
 * (debug_peer_list).
 *
 * bounce writes the mail: this process may send none. It is no important
 * mail: what cannot be handed over at once is not sent. Passwords are left
 * out, and content. When, and in what words, is Postfix's smtp_chat_notify().
 */
#include "address/address.h"
#include "smtp/smtp.h"

#define SCRIPT_MAX	20000	/* bytes; with line ends it fits one message */

void
script_configure(struct smtp *smtp, struct conf *conf)
{
	static const struct { const char *name; unsigned bit; } classes[] = {
		{ "data", NOTE_DATA }, { "protocol", NOTE_PROTOCOL },
	};
	struct str list = conf_get(conf, "notify_classes"), item;

	while (conf_list_next(&list, &item))
		for (size_t i = 0; i < nitems(classes); i++)
			if (str_eq_nocase(item, str_of(classes[i].name)))
				smtp->notify |= classes[i].bit;
}

static void
add(struct session *s, const char *who, struct str line)
{
	if (s->debug)
		log_info("%s " STRF ": " STRF, *who == 'O' ? ">" : "<",
		    STRV(s->relay), STRV(line));
	if (s->smtp->notify != 0)
		esmtp_script_add(&s->script, SCRIPT_MAX, who, line);
}

void
script_out(struct session *s, struct str line)
{
	struct str rest = line, word;

	if (str_starts(line, STR("AUTH ")) && str_token(&rest, " ", &word) &&
	    str_token(&rest, " ", &word))
		line = str_first(line, (size_t)(word.p + word.n - line.p));
	else if (s->login != NULL)
		return;
	add(s, "Out: ", line);
}

void
script_in(struct session *s)
{
	struct str text = buf_view(&s->reply.text), line;

	if (s->reply.code != 334)
		while (str_token(&text, "\n", &line))
			add(s, "In:  ", line);
}

void
script_garbage(struct session *s, struct str in)
{
	add(s, "In:  ", str_trim(str_first(in, str_chr(in, '\n'))));
}

/* RFC 5321 4.2.1: x0z is a quarrel over syntax, 555 over parameters. */
void
script_note_reply(struct session *s, unsigned code)
{
	if (code < 400 || code > 599 || code == 555 ||
	    (code >= 500 && code < 510))
		s->noted |= NOTE_PROTOCOL;
}

/* Of mail that is itself a report, nobody is told. */
static bool
is_report(const struct delivery *d)
{
	return d->msg.sender.n == 0 || str_eq_nocase(
	    address_local(d->msg.sender), d->smtp->double_bounce);
}

void
script_end(struct session *s, const struct delivery *d)
{
	struct smtp *smtp = s->smtp;
	struct channel *bounce;
	struct buf out;

	if ((s->noted & smtp->notify) == 0 || is_report(d))
		return;
	s->noted = 0;
	bounce = service_peer(smtp->service, ROLE_BOUNCE, STR(""));
	if (bounce == NULL || channel_unsent(bounce) > IPC_UNSENT_HIGH) {
		log_warn("postmaster notify: not now");
		return;
	}
	buf_init(&out, IPC_CONTENT_MAX);
	esmtp_script_print(&s->script, &out);
	channel_send(bounce, MSG_notice, &(struct msg_notice){
	    .server = s->relay, .script = buf_view(&out) });
	buf_free(&out);
}
