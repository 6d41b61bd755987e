/*
 * rbl_reply - the reply of a DNS block list, from its template.
 *
 * default_rbl_reply(postconf(5)): $rbl_* and the session's own names.
 */
#include "conf/syntax.h"
#include "dsn/dsn.h"
#include "smtpd/access.h"

#define REPLY_MAX 4000

struct scope {
	struct check		 *c;
	const struct rbl_listing *rbl;
};

static bool	look(void *ctx, struct str name, struct str *value, bool *raw);

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

static bool
look(void *ctx, struct str name, struct str *value, bool *raw)
{
	const struct scope *at = ctx;
	struct check *c = at->c;
	struct str code = str_of(arena_printf(c->arena, "%lld",
	    (long long)c->s->smtpd->conf.maps_rbl_reject_code));
	const struct { const char *name; struct str value; } all[] = {
		{ "rbl_domain", at->rbl->domain },
		{ "rbl_what", str_of(at->rbl->what) },
		{ "rbl_class", str_of(at->rbl->class) },
		{ "rbl_reason", at->rbl->reason },
		{ "rbl_txt", at->rbl->reason },
		{ "rbl_code", code },
	};

	for (size_t i = 0; i < nitems(all); i++)
		if (str_eq(name, str_of(all[i].name))) {
			*raw = true;
			*value = names_censor(c->s->smtpd, c->arena,
			    all[i].value);
			return true;
		}
	return names_look(c->s, c->arena, name, value, raw);
}
