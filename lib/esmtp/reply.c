/*
 * reply - a server's replies, and what it offers.
 *
 * RFC 5321 4.2:
 *   Reply-line = *( Reply-code "-" [ textstring ] CRLF )
 *                Reply-code [ SP textstring ] CRLF
 * RFC 5321 4.1.1.1:
 *   ehlo-line  = ehlo-keyword *( SP ehlo-param )
 */
#include "dsn/dsn.h"
#include "esmtp/esmtp.h"

static bool	take_line(struct esmtp_reply *, struct str line);
static void	begin(struct esmtp_reply *);
static void	read_keyword(struct str line, unsigned discard,
		    struct esmtp_offer *);

enum reply_end
esmtp_reply_feed(struct esmtp_reply *r, struct str *in)
{
	if (r->over)
		begin(r);
	while (in->n > 0) {
		struct str look = str_first(*in, ESMTP_LINE_MAX + 1), line;
		size_t nl = str_chr(look, '\n');
		bool whole = nl < look.n, rest_of_long = r->skip;

		if (!whole && look.n <= ESMTP_LINE_MAX)
			return REPLY_MORE;
		line = str_first(look, nl);
		*in = str_from(*in, nl + (whole ? 1 : 0));
		r->size += nl + 1;
		r->skip = !whole;
		if (r->size > ESMTP_REPLY_MAX)
			return REPLY_BAD;
		line = str_trim(line);
		if (r->filter != NULL && !rest_of_long)
			line = r->filter(r->filter_ctx, line);
		if (!rest_of_long && !take_line(r, line))
			return REPLY_BAD;
		if (r->over && !r->skip)
			return REPLY_OK;
	}
	return REPLY_MORE;
}

static void
begin(struct esmtp_reply *r)
{
	r->over = false;
	r->lines = 0;
	r->size = 0;
	r->code = 0;
	r->dsn = STR("");
	buf_clear(&r->text);
}

/* False: it is no line of a reply, or one too many. */
static bool
take_line(struct esmtp_reply *r, struct str line)
{
	size_t at = r->text.n, n;
	struct str text;

	if (line.n < 3 || ++r->lines > ESMTP_REPLY_LINES_MAX ||
	    line.p[0] < '2' || line.p[0] > '5')
		return false;
	for (size_t i = 1; i < 3; i++)
		if (line.p[i] < '0' || line.p[i] > '9')
			return false;
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return false;
	r->code = (unsigned)(line.p[0] - '0') * 100 +
	    (unsigned)(line.p[1] - '0') * 10 + (unsigned)(line.p[2] - '0');
	r->over = line.n == 3 || line.p[3] == ' ';
	if (at + line.n + 1 > ESMTP_REPLY_TEXT_MAX)
		line = str_first(line, at + 1 < ESMTP_REPLY_TEXT_MAX ?
		    ESMTP_REPLY_TEXT_MAX - at - 1 : 0);
	if (line.n == 0)
		return true;
	if (at > 0)
		buf_putc(&r->text, '\n');
	at = r->text.n;
	buf_str(&r->text, line);
	if (!r->over)
		return true;
	text = str_trim(str_from(str_from(buf_view(&r->text), at), 4));
	n = dsn_status_length(text);
	if (n > 0 && text.p[0] == line.p[0])
		r->dsn = str_first(text, n);
	return true;
}

/* --- EHLO --- */

static const struct { struct str word; unsigned bit; } keywords[] = {
	{ STR("PIPELINING"), OFFER_PIPELINING },
	{ STR("SIZE"), OFFER_SIZE },
	{ STR("8BITMIME"), OFFER_8BITMIME },
	{ STR("SMTPUTF8"), OFFER_SMTPUTF8 },
	{ STR("CHUNKING"), OFFER_CHUNKING },
	{ STR("DSN"), OFFER_DSN },
	{ STR("ENHANCEDSTATUSCODES"), OFFER_ENHANCED },
	{ STR("STARTTLS"), OFFER_STARTTLS },
	{ STR("AUTH"), OFFER_AUTH },
	{ STR("XFORWARD"), OFFER_XFORWARD },
	{ STR("XCLIENT"), OFFER_XCLIENT },
	{ STR("VRFY"), OFFER_VRFY },
	{ STR("ETRN"), OFFER_ETRN },
	{ STR("REQUIRETLS"), OFFER_REQUIRETLS },
};

static const struct { struct str word; unsigned bit; } forwards[] = {
	{ STR("NAME"), XFORWARD_NAME }, { STR("ADDR"), XFORWARD_ADDR },
	{ STR("PORT"), XFORWARD_PORT }, { STR("PROTO"), XFORWARD_PROTO },
	{ STR("HELO"), XFORWARD_HELO }, { STR("IDENT"), XFORWARD_IDENT },
	{ STR("SOURCE"), XFORWARD_SOURCE },
};

void
esmtp_offer_read(struct str text, unsigned discard, struct esmtp_offer *o)
{
	struct str line, first;
	bool begins = true;

	*o = (struct esmtp_offer){ .name = STR(""), .auth = STR("") };
	while (str_token(&text, "\n", &line)) {
		line = str_from(line, 4);
		if (begins && str_token(&line, " \t", &first))
			o->name = first;
		else if (!begins)
			read_keyword(line, discard, o);
		begins = false;
	}
}

static void
read_keyword(struct str line, unsigned discard, struct esmtp_offer *o)
{
	struct str word, param;
	unsigned bit = 0;
	/* A form older than RFC 2554; the proper one wins. */
	bool old = str_starts_nocase(line, STR("AUTH="));

	if (!str_token(&line, old ? " \t=" : " \t", &word))
		return;
	if (old && line.n > 0 && line.p[0] == '=')
		line = str_from(line, 1);
	for (size_t i = 0; i < nitems(keywords); i++)
		if (str_eq_nocase(word, keywords[i].word))
			bit = keywords[i].bit;
	bit &= ~discard;
	o->features |= bit;
	if (bit == OFFER_AUTH && (!old || o->auth.n == 0))
		o->auth = str_trim(line);
	if (bit == OFFER_SIZE && (!str_token(&line, " \t", &param) ||
	    !str_number(param, &o->size_max)))
		o->size_max = 0;
	while (bit == OFFER_XFORWARD && str_token(&line, " \t", &param))
		for (size_t i = 0; i < nitems(forwards); i++)
			if (str_eq_nocase(param, forwards[i].word))
				o->xforward |= forwards[i].bit;
}

unsigned
esmtp_offer_bits(struct str words, struct str *unknown)
{
	static const struct str others[] = { STR("silent-discard"),
		STR("HELP"), STR("VERP"), STR("XVERP"), STR("BINARYMIME"),
		STR("EXPN"), STR("DELIVERBY") };
	unsigned bits = 0;
	struct str word;
	size_t i;

	*unknown = STR("");
	while (str_token(&words, ", \t\r\n", &word)) {
		for (i = 0; i < nitems(keywords); i++)
			if (str_eq_nocase(word, keywords[i].word))
				break;
		if (i < nitems(keywords)) {
			bits |= keywords[i].bit;
			continue;
		}
		for (i = 0; i < nitems(others); i++)
			if (str_eq_nocase(word, others[i]))
				break;
		if (i == nitems(others) && unknown->n == 0)
			*unknown = word;
	}
	return bits;
}
