/*
 * enqueue - one message from standard input into maildrop/.
 *
 * Envelope from the command line; with -t cleanup takes the recipients from
 * the header (here it is only seen to that there are some, so that the
 * caller learns it at once). Runs as the caller, with no rights to lose.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "address/address.h"
#include "tools/sendmail.h"

#define READ_SIZE	65536
#define HEADER_MAX	(4 << 20)	/* of -t: bytes that are looked at */

struct str
sendmail_login(struct sendmail *s)
{
	const struct passwd *pw = getpwuid(getuid());

	if (pw == NULL)
		tool_fail(&s->tool, EX_OSERR,
		    "no login name found for user ID %u", (unsigned)getuid());
	return arena_str(s->tool.arena, str_of(pw->pw_name));
}

/* passwd(5): the part before the first comma; & is the login name. */
static struct str
gecos_name(struct sendmail *s, const struct passwd *pw)
{
	struct buf out;
	struct str name;

	buf_init(&out, MAILDROP_VALUE_MAX);
	for (const char *p = pw->pw_gecos; *p != '\0' && *p != ','; p++) {
		if (*p != '&') {
			buf_putc(&out, *p);
			continue;
		}
		buf_puts(&out, pw->pw_name);
		if (out.n > strlen(pw->pw_name) - 1 && !out.full) {
			char *c = &out.p[out.n - strlen(pw->pw_name)];

			if (*c >= 'a' && *c <= 'z')
				*c = (char)(*c - 'a' + 'A');
		}
	}
	name = arena_str(s->tool.arena, buf_view(&out));
	buf_free(&out);
	return name;
}

struct str
sendmail_full_name(struct sendmail *s)
{
	const struct passwd *pw;
	const char *name = s->full_name;
	struct str full;

	if (name == NULL)
		name = getenv("NAME");
	if (name != NULL) {
		full = str_of(name);
	} else {
		pw = getpwuid(getuid());
		full = pw == NULL || pw->pw_gecos == NULL ? STR("") :
		    gecos_name(s, pw);
	}
	return maildrop_text_ok(full) ? full : STR("");
}

enum fix_ends
sendmail_fix_ends(struct sendmail *s)
{
	struct str v = conf_get(s->tool.conf, "sendmail_fix_line_endings");

	if (str_eq(v, STR("strict")))
		return FIX_STRICT;
	if (str_eq(v, STR("never")))
		return FIX_NEVER;
	if (!str_eq(v, STR("always")))
		tool_fail(&s->tool, EX_USAGE,
		    "invalid sendmail_fix_line_endings value: " STRF, STRV(v));
	return FIX_ALWAYS;
}

/* -f takes what a header may say: "<a@b>", "Name <a@b>", "". */
static struct str
sender_address(struct sendmail *s)
{
	struct str phrase, addr, rest;

	if (s->sender == NULL)
		return sendmail_login(s);
	if (str_trim(str_of(s->sender)).n == 0)
		return STR("");
	if (address_read_mailbox(str_of(s->sender), s->tool.arena, &phrase,
	    &addr))
		return addr;
	tool_warn(&s->tool, "-f option specified malformed sender: %s",
	    s->sender);
	rest = str_of(s->sender);
	(void)address_list_next(&rest, s->tool.arena, &addr);
	return addr;
}

/* Each argument is read like a header: some programs pass whole lists. */
static void
read_recipients(struct sendmail *s, struct envelope *e)
{
	size_t room = 0;

	for (char **r = s->rcpts; *r != NULL; r++) {
		struct str rest = str_of(*r), addr;
		size_t before = e->nrcpts;

		while (address_list_next(&rest, s->tool.arena, &addr)) {
			if (e->nrcpts == room) {
				room = room ? 2 * room : 64;
				e->rcpts = mem_grow(e->rcpts, room,
				    sizeof(*e->rcpts));
			}
			e->rcpts[e->nrcpts++] = addr;
			if (!maildrop_text_ok(addr) ||
			    e->nrcpts > MAILDROP_RCPTS_MAX)
				tool_fail(&s->tool, EX_DATAERR,
				    "recipient address too long, or too many");
		}
		if (e->nrcpts == before && str_trim(str_of(*r)).n > 0)
			tool_fail(&s->tool, EX_DATAERR,
			    "bad recipient address syntax: %s", *r);
	}
}

/* -XV: each recipient gets a sender of its own. */
static void
add_verp(struct sendmail *s, struct envelope *e)
{
	struct str filter = conf_get(s->tool.conf, "verp_delimiter_filter");
	struct str v = str_of(s->verp);

	if (v.n == 0)
		v = conf_get(s->tool.conf, "default_verp_delimiters");
	if (!address_verp_ok(v, filter))
		tool_fail(&s->tool, EX_USAGE, "-V requires two characters "
		    "from " STRF, STRV(filter));
	if (e->sender.n == 0)
		tool_fail(&s->tool, EX_USAGE, STRF "(%u): -V option requires "
		    "non-null sender address", STRV(e->sender),
		    (unsigned)getuid());
	envelope_attr(e, "verp", v);
}

static void
make_envelope(struct sendmail *s, struct envelope *e)
{
	struct str name = sendmail_full_name(s);

	*e = (struct envelope){ .sender = sender_address(s),
	    .notify = s->notify };
	read_recipients(s, e);
	if (name.n > 0)
		envelope_attr(e, "full_name", name);
	if (s->encoding != NULL)
		envelope_attr(e, "encoding", str_of(s->encoding));
	if (s->envid != NULL)
		envelope_attr(e, "dsn_envid", str_of(s->envid));
	if (s->ret != NULL)
		envelope_attr(e, "dsn_ret", str_of(s->ret));
	envelope_attr(e, "rewrite", s->gateway ? STR("remote") : STR("local"));
	if (s->verify || s->report)
		envelope_attr(e, "trace", s->verify ? STR("verify") :
		    STR("record"));
	if (s->extract)
		envelope_attr(e, "extract", STR("yes"));
	if (s->smtputf8)
		envelope_attr(e, "smtputf8", STR("yes"));
	if (s->verp != NULL)
		add_verp(s, e);
}

/* sendmail -bv: nothing is delivered, the report goes to the sender. */
static void
send_probe(struct submit *sub, const struct envelope *e)
{
	struct buf text;

	buf_init(&text, HEADER_MAX);
	if (e->sender.n > 0) {
		buf_puts(&text, "From: ");
		address_quote_822(e->sender, &text);
		buf_putc(&text, '\n');
	}
	buf_puts(&text, "Subject: probe\nTo:");
	for (size_t i = 0; i < e->nrcpts; i++) {
		buf_puts(&text, i > 0 ? ",\n\t" : "\t");
		address_quote_822(e->rcpts[i], &text);
	}
	buf_putc(&text, '\n');
	submit_content(sub, buf_view(&text));
	buf_free(&text);
}

static bool
field_is(struct str field, const char *name)
{
	size_t n = strlen(name);

	return str_starts_nocase(field, str_of(name)) &&
	    str_starts(str_trim(str_from(field, n)), STR(":"));
}

static bool
names_recipient(struct sendmail *s, struct str field)
{
	static const char *const names[] = { "To", "Cc", "Bcc", "Resent-To",
	    "Resent-Cc", "Resent-Bcc" };
	struct str rest, addr;

	for (size_t i = 0; i < nitems(names); i++) {
		if (!field_is(field, names[i]))
			continue;
		rest = str_from(field, str_chr(field, ':') + 1);
		if (address_list_next(&rest, s->tool.arena, &addr))
			return true;
	}
	return false;
}

/* Does the header, whose lines end in LF, name anybody? */
static bool
header_has_recipient(struct sendmail *s, struct str text)
{
	while (text.n > 0 && text.p[0] != '\n') {
		size_t n = 0;

		do	/* with folded lines */
			n += str_chr(str_from(text, n), '\n') + 1;
		while (n < text.n && (text.p[n] == ' ' || text.p[n] == '\t'));
		if (names_recipient(s, str_first(text, n)))
			return true;
		text = str_from(text, n);
	}
	return false;
}

static bool
header_is_whole(struct str text)
{
	return text.n > 0 && (text.p[0] == '\n' ||
	    memmem(text.p, text.n, "\n\n", 2) != NULL);
}

/* Where the message goes once it is clear that it has a recipient. */
struct intake {
	struct sendmail *s;
	struct submit	*sub;
	struct str	 sender;
	struct buf	 out;		/* from text_feed */
	bool		 checked;	/* somebody gets it */
};

static void
pass_on(struct intake *in, bool last)
{
	struct str view = buf_view(&in->out);

	if (!in->checked) {
		if (!last && !header_is_whole(view) && view.n < HEADER_MAX)
			return;
		if (!header_has_recipient(in->s, view)) {
			submit_cancel(in->sub);
			tool_fail(&in->s->tool, EX_USAGE, STRF "(%u): No "
			    "recipient addresses found in message header",
			    STRV(in->sender), (unsigned)getuid());
		}
		in->checked = true;
	}
	submit_content(in->sub, view);
	buf_clear(&in->out);
}

static void
read_message(struct sendmail *s, struct submit *sub, const struct envelope *e)
{
	struct intake in = { .s = s, .sub = sub, .sender = e->sender,
	    .checked = e->nrcpts > 0 };
	char *chunk = mem_new(READ_SIZE);
	struct text text;
	ssize_t n;
	bool more = true;

	text_init(&text, sendmail_fix_ends(s), !s->ignore_dots);
	buf_init(&in.out, HEADER_MAX + 4 * READ_SIZE);
	while (more && (n = read(0, chunk, READ_SIZE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			submit_cancel(sub);
			tool_fail(&s->tool, EX_DATAERR,
			    "error reading input: %s", strerror(errno));
		}
		more = text_feed(&text, (struct str){ chunk, (size_t)n },
		    &in.out) && !sub->broken;
		pass_on(&in, false);
	}
	text_finish(&text, &in.out);
	pass_on(&in, true);
	text_free(&text);
	buf_free(&in.out);
	mem_free(chunk);
}

void
enqueue(struct sendmail *s)
{
	struct envelope e;
	struct submit sub;
	const char *text;
	unsigned uid = getuid();
	int status;

	make_envelope(s, &e);
	if (e.nrcpts == 0 && !s->extract)
		tool_fail(&s->tool, EX_USAGE, STRF "(%u): Recipient addresses "
		    "must be specified on the command line or via the -t "
		    "option", STRV(e.sender), uid);
	if (!submit_open(&sub, &s->tool, &e, &text))
		tool_fail(&s->tool, EX_UNAVAILABLE, STRF "(%u): %s",
		    STRV(e.sender), uid, text);
	if (s->verify)
		send_probe(&sub, &e);
	else
		read_message(s, &sub, &e);
	status = submit_finish(&sub, &text);
	if (status != EX_OK)
		tool_fail(&s->tool, status, STRF "(%u): %s", STRV(e.sender),
		    uid, text);
	if ((s->verify || s->report) &&
	    printf("Mail Delivery Status Report will be mailed to <" STRF
	    ">.\n", STRV(e.sender)) < 0)
		exit(EX_OK);	/* it is queued, whoever reads that */
	exit(EX_OK);
}
