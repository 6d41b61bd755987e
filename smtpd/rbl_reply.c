/*
 * rbl_reply - the reply of a DNS block list, from its template.
 *
 * default_rbl_reply(postconf(5)): $rbl_* and the session's own names; no
 * parameter of main.cf, which are nobody else's business.
 */
#include <time.h>

#include "address/address.h"
#include "conf/syntax.h"
#include "dsn/dsn.h"
#include "smtpd/access.h"

#define REPLY_MAX 4000

struct scope {
	struct check		 *c;
	const struct rbl_listing *rbl;
	bool			  allowed[256];
};

static bool	look(void *ctx, struct str name, struct str *value, bool *raw);

/* C's escapes, as far as smtpd_expansion_filter has them: \t \40 \\ . */
static void
allow_bytes(bool allowed[256], struct str filter)
{
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
		allowed[c] = true;
	}
}

/* "550 5.7.1 text", checked; what is no reply becomes a plain one. */
static enum step
give(struct check *c, struct str text)
{
	struct str word;
	uint64_t code;
	size_t n;

	word = str_first(text, 3);
	if (text.n < 4 || text.p[3] != ' ' || !str_number(word, &code) ||
	    code < 400 || code > 599) {
		log_warn("rbl response code configuration error: " STRF,
		    STRV(text));
		return refuse(c, 450, "4.7.1", "Service unavailable");
	}
	text = str_from(text, 4);
	n = dsn_status_length(text);
	word = n > 0 ? str_first(text, n) : STR("4.7.1");
	text = str_trim(str_from(text, n));
	if (text.n == 0)
		text = STR("Service unavailable");
	return refuse(c, (int64_t)code, arena_cstr(c->arena, word), STRF,
	    STRV(text));
}

enum step
rbl_reply(struct check *c, const struct rbl_listing *rbl, struct str template)
{
	struct scope scope = { .c = c, .rbl = rbl };
	struct expander expander = { .ctx = &scope, .lookup = look };
	const struct smtpd_conf *conf = &c->s->smtpd->conf;
	struct buf out;
	enum step step;

	allow_bytes(scope.allowed, conf->smtpd_expansion_filter);
	buf_init(&out, REPLY_MAX);
	if (expand_text(&expander, template, &out) != EXPAND_OK) {
		log_warn("bad rbl reply template for domain " STRF ": " STRF,
		    STRV(rbl->domain), STRV(template));
		buf_clear(&out);
		(void)expand_text(&expander, conf->default_rbl_reply, &out);
	}
	step = give(c, buf_view(&out));
	buf_free(&out);
	return step;
}

/* $sender, $sender_name, $sender_domain; "<>" for the null one. */
static struct str
part(struct str address, struct str suffix)
{
	if (suffix.n == 0)
		return address.n > 0 ? address : STR("<>");
	if (str_eq(suffix, STR("_name")))
		return address_local(address);
	return address_domain(address);
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

static bool
find(const struct scope *at, struct str name, struct str *value)
{
	struct check *c = at->c;
	const struct session *s = c->s;
	const struct transaction *tx = s->tx;
	struct str sender = tx != NULL ? tx->sender : STR("");
	struct str code = str_of(arena_printf(c->arena, "%lld",
	    (long long)s->smtpd->conf.maps_rbl_reject_code));
	const struct { const char *name; struct str value; } all[] = {
		{ "rbl_domain", at->rbl->domain },
		{ "rbl_what", str_of(at->rbl->what) },
		{ "rbl_class", str_of(at->rbl->class) },
		{ "rbl_reason", at->rbl->reason },
		{ "rbl_txt", at->rbl->reason },
		{ "rbl_code", code },
		{ "client", s->who },
		{ "client_name", s->name },
		{ "client_address", s->addr },
		{ "client_port", s->port },
		{ "reverse_client_name", s->reverse_name },
		{ "helo_name", s->helo.str },
		{ "server_name", s->smtpd->myhostname },
		{ "localtime", local_time(c->arena) },
		{ "sender", part(sender, STR("")) },
		{ "sender_name", part(sender, STR("_name")) },
		{ "sender_domain", part(sender, STR("_domain")) },
		{ "recipient", part(check_rcpt(c), STR("")) },
		{ "recipient_name", part(check_rcpt(c), STR("_name")) },
		{ "recipient_domain", part(check_rcpt(c), STR("_domain")) },
	};

	for (size_t i = 0; i < nitems(all); i++)
		if (str_eq(name, str_of(all[i].name))) {
			*value = arena_str(c->arena, all[i].value);
			return true;
		}
	return false;
}

static bool
look(void *ctx, struct str name, struct str *value, bool *raw)
{
	const struct scope *at = ctx;
	char *p;

	*raw = true;			/* a stranger's $ is no name */
	if (!find(at, name, value))
		return false;
	p = arena_cstr(at->c->arena, *value);
	for (size_t i = 0; i < value->n; i++)
		if (!at->allowed[(unsigned char)p[i]])
			p[i] = '_';
	value->p = p;
	return true;
}
