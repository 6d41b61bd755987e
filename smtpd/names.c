/*
 * names - $names of a session, in replies that main.cf words:
 * default_rbl_reply, smtpd_reject_footer (postconf(5)).
 *
 * No parameter of main.cf is among them, which are nobody else's business.
 * What a stranger said is censored: smtpd_expansion_filter.
 */
#include <time.h>

#include "address/address.h"
#include "smtpd/smtpd.h"

/* C's escapes, as far as the filter has them: \t \40 \\ . */
void
names_open(struct smtpd *d)
{
	struct str filter = d->conf.smtpd_expansion_filter;

	for (size_t i = 0; i < filter.n; i++) {
		unsigned c = (unsigned char)filter.p[i], digits = 0, n = 0;

		if (c == '\\' && i + 1 < filter.n) {
			c = (unsigned char)filter.p[++i];
			while (digits < 3 && i + digits < filter.n &&
			    filter.p[i + digits] >= '0' &&
			    filter.p[i + digits] <= '7')
				n = n * 8 + (unsigned)(filter.p[i +
				    digits++] - '0');
			if (digits > 0) {
				c = n & 255;
				i += digits - 1;
			} else if (c == 't')
				c = '\t';
		}
		d->expansion[c] = true;
	}
}

struct str
names_censor(const struct smtpd *d, struct arena *arena, struct str text)
{
	char *p = arena_cstr(arena, text);

	for (size_t i = 0; i < text.n; i++)
		if (!d->expansion[(unsigned char)p[i]])
			p[i] = '_';
	return (struct str){ p, text.n };
}

/* $sender, $sender_name, $sender_domain; "<>" for the null one. */
static struct str
part(struct str address, struct str suffix)
{
	if (str_eq(suffix, STR("_domain")))
		return address_domain(address);
	if (address.n == 0)
		return STR("<>");
	return suffix.n == 0 ? address : address_local(address);
}

static struct str
local_time(struct arena *arena)
{
	char text[64];
	time_t now = (time_t)clock_wall_s();
	struct tm tm;

	if (localtime_r(&now, &tm) == NULL ||
	    strftime(text, sizeof(text), "%b %d %H:%M:%S", &tm) == 0)
		return STR("");
	return arena_str(arena, str_of(text));
}

bool
names_look(const struct session *s, struct arena *arena, struct str name,
    struct str *value, bool *raw)
{
	const struct transaction *tx = s->tx;
	struct str from = tx != NULL ? tx->sender : STR("");
	struct str to = tx != NULL && tx->pending != NULL ?
	    tx->pending->address : STR("");
	const struct { const char *name; struct str value; } all[] = {
		{ "client", s->who },
		{ "client_name", s->name },
		{ "client_address", s->addr },
		{ "client_port", s->port },
		{ "reverse_client_name", s->reverse_name },
		{ "helo_name", s->helo.str },
		{ "server_name", s->smtpd->myhostname },
		{ "sender", part(from, STR("")) },
		{ "sender_name", part(from, STR("_name")) },
		{ "sender_domain", part(from, STR("_domain")) },
		{ "recipient", part(to, STR("")) },
		{ "recipient_name", part(to, STR("_name")) },
		{ "recipient_domain", part(to, STR("_domain")) },
	};

	if (str_eq(name, STR("localtime"))) {
		*raw = true;
		*value = names_censor(s->smtpd, arena, local_time(arena));
		return true;
	}
	for (size_t i = 0; i < nitems(all); i++)
		if (str_eq(name, str_of(all[i].name))) {
			*raw = true;	/* a stranger's $ is no name */
			*value = names_censor(s->smtpd, arena, all[i].value);
			return true;
		}
	log_warn("unknown macro name \"" STRF "\" in expansion request",
	    STRV(name));
	return false;
}
