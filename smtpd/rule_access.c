/*
 * rule_access - access(5) tables: lookup finds the key, we do what it says.
 */
#include <ctype.h>

#include "address/address.h"
#include "dsn/dsn.h"
#include "smtpd/access.h"

static enum step take_answer(struct check *,
		    const struct msg_access_answer *);

static enum step act_ok(struct check *, struct str);
static enum step act_dunno(struct check *, struct str);
static enum step act_reject(struct check *, struct str);
static enum step act_defer(struct check *, struct str);
static enum step act_defer_if_permit(struct check *, struct str);
static enum step act_defer_if_reject(struct check *, struct str);
static enum step act_hold(struct check *, struct str);
static enum step act_discard(struct check *, struct str);
static enum step act_filter(struct check *, struct str);
static enum step act_prepend(struct check *, struct str);
static enum step act_redirect(struct check *, struct str);
static enum step act_bcc(struct check *, struct str);
static enum step act_warn(struct check *, struct str);
static enum step act_info(struct check *, struct str);
static enum step act_code(struct check *, struct str code, struct str text);
static enum step act_list(struct check *, struct str words);
static enum step refuse_text(struct check *, int64_t code, const char *dsn,
		    struct str text);
static enum step add_attr(struct check *, const char *name, struct str value);
static void	 log_action(struct check *, const char *what, struct str text,
		    const char *otherwise);

/* access(5), ACCEPT ACTIONS to OTHER ACTIONS. */
static const struct {
	const char *word;
	enum step (*run)(struct check *, struct str text);
} actions[] = {
	{ "OK", act_ok },		{ "RELAY", act_ok },
	{ "DUNNO", act_dunno },		{ "REJECT", act_reject },
	{ "DEFER", act_defer },		{ "HOLD", act_hold },
	{ "DEFER_IF_PERMIT", act_defer_if_permit },
	{ "DEFER_IF_REJECT", act_defer_if_reject },
	{ "DISCARD", act_discard },	{ "FILTER", act_filter },
	{ "PREPEND", act_prepend },	{ "REDIRECT", act_redirect },
	{ "BCC", act_bcc },		{ "WARN", act_warn },
	{ "INFO", act_info },
};

enum step
rule_check_client_access(struct check *c, const struct rule *r)
{
	return check_access(c, r, THE_CLIENT, ACCESS_CLIENT);
}

enum step
rule_check_reverse_client_access(struct check *c, const struct rule *r)
{
	return check_access(c, r, THE_REVERSE_CLIENT, ACCESS_CLIENT);
}

enum step
rule_check_helo_access(struct check *c, const struct rule *r)
{
	return check_access(c, r, THE_HELO, ACCESS_DOMAIN);
}

enum step
rule_check_sender_access(struct check *c, const struct rule *r)
{
	return check_access(c, r, THE_SENDER, ACCESS_ADDRESS);
}

enum step
rule_check_recipient_access(struct check *c, const struct rule *r)
{
	return check_access(c, r, THE_RECIPIENT, ACCESS_ADDRESS);
}

enum step
rule_check_etrn_access(struct check *c, const struct rule *r)
{
	if (c->now != AT_ETRN)
		return NEXT;
	c->party = (struct party){ c->subject,
	    arena_cstr(c->arena, c->subject), check_class(c) };
	return check_table(c, r->arg, ACCESS_DOMAIN, c->subject, take_answer);
}

enum step
rule_check_sasl_access(struct check *c, const struct rule *r)
{
	struct str user = c->s->sasl_user.str;

	if (user.n == 0)
		return NEXT;
	c->party = (struct party){ user, arena_cstr(c->arena, user),
	    "SASL login name" };
	return check_table(c, r->arg, ACCESS_KEY, user, take_answer);
}

enum step
rule_check_ccert_access(struct check *c, const struct rule *r)
{
	const struct tls_info *i = c->s->tls != NULL ? tls_info(c->s->tls) :
						       NULL;

	if (i == NULL || i->trust == TLS_ANONYMOUS)
		return NEXT;
	c->party = (struct party){ i->cert_print,
	    arena_cstr(c->arena, i->cert_print), "Client certificate" };
	return check_table(c, r->arg, ACCESS_EXACT, i->cert_print,
	    take_answer);
}

/* Clients without a name are looked up too: by address. */
enum step
check_access(struct check *c, const struct rule *r, enum party_kind whose,
    enum access_kind kind)
{
	bool there = check_party(c, whose, &c->party);
	struct str subject = c->party.value;

	if (whose == THE_SENDER && !there && c->s->tx != NULL) {
		subject = c->s->smtpd->conf.smtpd_null_access_lookup_key;
		there = true;
	}
	if (!there && kind != ACCESS_CLIENT)
		return NEXT;
	return check_table(c, r->arg, kind, subject, take_answer);
}

static enum step
take_answer(struct check *c, const struct msg_access_answer *m)
{
	bool reverse = c->rule->def->run == rule_check_reverse_client_access;
	unsigned depth = c->depth;
	enum step step;

	if (m->found == NONE)
		return NEXT;
	if (m->found != FOUND)
		return check_table_failed(c);
	step = do_action(c, str_trim(arena_str(c->arena, m->value)));
	/* Whoever owns an address writes its PTR: no reason to permit. */
	return reverse ? check_no_permit(c, step, depth) : step;
}

enum step
check_no_permit(struct check *c, enum step step, unsigned depth)
{
	if (c->depth > depth)
		c->stack[c->depth - 1].no_permit = true;
	if (step != PERMIT || c->discarded)
		return step;
	log_warn("restriction %s returns OK for %s", c->rule->def->name,
	    c->party.shown);
	log_warn("this is not allowed for security reasons");
	log_warn("use DUNNO instead of OK if you want to make an exception");
	return check_config_error(c);
}

/* --- what the table says --- */

enum step
do_action(struct check *c, struct str action)
{
	struct str text = action, word;
	uint64_t number;

	if (!str_token(&text, " \t", &word)) {
		log_warn("access table " STRF " entry has empty value",
		    STRV(c->table));
		return NEXT;
	}
	text = str_trim(text);
	c->action = word;
	for (size_t i = 0; i < nitems(actions); i++)
		if (str_eq_nocase(word, str_of(actions[i].word)))
			return actions[i].run(c, text);
	if (str_number(word, &number) && text.n == 0)
		return PERMIT;		/* all numerical: as OK */
	if (str_number(word, &number) && word.n == 3 &&
	    (word.p[0] == '4' || word.p[0] == '5'))
		return act_code(c, word, text);
	return act_list(c, action);
}

static enum step
act_ok(struct check *c, struct str text)
{
	(void)c;
	(void)text;
	return PERMIT;
}

static enum step
act_dunno(struct check *c, struct str text)
{
	(void)c;
	(void)text;
	return NEXT;
}

static enum step
act_reject(struct check *c, struct str text)
{
	return refuse_text(c, c->s->smtpd->conf.access_map_reject_code,
	    "5.7.1", text.n > 0 ? text : STR("Access denied"));
}

static enum step
act_defer(struct check *c, struct str text)
{
	return refuse_text(c, c->s->smtpd->conf.access_map_defer_code,
	    "4.7.1", text.n > 0 ? text : STR("Access denied"));
}

static enum step
act_defer_if_permit(struct check *c, struct str text)
{
	refuse_text(c, c->s->smtpd->conf.access_map_defer_code,
	    "4.7.1",
	    text.n > 0 ? text : STR("Service unavailable"));
	return check_tempfail(c, STR("defer_if_permit"));
}

static enum step
act_defer_if_reject(struct check *c, struct str text)
{
	refuse_text(c, c->s->smtpd->conf.access_map_defer_code,
	    "4.7.1",
	    text.n > 0 ? text : STR("Service unavailable"));
	check_defer_if_reject(c);
	return NEXT;
}

/*
 * Those that concern a message need one: at connect and HELO (without
 * smtpd_delay_reject) there is none yet.
 */
static bool
has_message(struct check *c, const char *action)
{
	if (c->s->tx != NULL)
		return true;
	log_warn("access table " STRF ": action %s is always skipped in %s "
	    "restrictions before MAIL", STRV(c->rule->arg), action,
	    check_class(c));
	return false;
}

static enum step
act_hold(struct check *c, struct str text)
{
	if (!has_message(c, "HOLD") || (c->s->tx->flags & MAIL_HOLD) != 0)
		return NEXT;
	log_action(c, "hold", text, "triggers HOLD action");
	c->s->tx->flags |= MAIL_HOLD;
	return NEXT;
}

static enum step
act_discard(struct check *c, struct str text)
{
	if (!has_message(c, "DISCARD"))
		return NEXT;
	log_action(c, "discard", text, "triggers DISCARD action");
	c->s->tx->flags |= MAIL_DISCARD;
	c->discarded = true;
	return PERMIT;
}

/* What was looked up, for messages: as refusals show it, without < >. */
static struct str
entry(struct check *c)
{
	struct str shown = str_of(check_subject(c));

	return shown.n >= 2 && shown.p[0] == '<' ?
	    (struct str){ shown.p + 1, shown.n - 2 } : shown;
}

/* An argument that must have a byte; false with a warning. */
static bool
has_byte(struct check *c, struct str text, char byte, const char *needs)
{
	if (str_chr(text, byte) < text.n)
		return true;
	log_warn("access table " STRF " entry \"" STRF "\" requires %s",
	    STRV(c->rule->arg), STRV(entry(c)), needs);
	return false;
}

static enum step
act_filter(struct check *c, struct str text)
{
	if (!has_message(c, "FILTER"))
		return NEXT;
	if (text.n == 0) {
		log_warn("access table " STRF " entry \"" STRF "\" has FILTER "
		    "entry without value", STRV(c->rule->arg), STRV(entry(c)));
		return NEXT;
	}
	if (!has_byte(c, text, ':', "transport:destination"))
		return NEXT;
	log_action(c, "filter", STR(""), arena_printf(c->arena,
	    "triggers FILTER " STRF, STRV(text)));
	c->s->tx->filter = arena_str(c->s->tx->arena, text);
	return NEXT;
}

static enum step
act_prepend(struct check *c, struct str text)
{
	size_t n = 0;

	if (!has_message(c, "PREPEND"))
		return NEXT;
	if (c->now == AT_END_OF_DATA) {
		log_warn("access table " STRF ": action PREPEND must be used "
		    "before smtpd_end_of_data_restrictions",
		    STRV(c->rule->arg));
		return NEXT;
	}
	while (n < text.n && text.p[n] > ' ' && text.p[n] < 127 &&
	    text.p[n] != ':')
		n++;
	if (n == 0 || n == text.n || text.p[n] != ':') {
		log_warn("access table " STRF " entry \"" STRF "\" requires "
		    "header: text", STRV(c->rule->arg), STRV(entry(c)));
		return NEXT;
	}
	return add_attr(c, "prepend", text);
}

/* REDIRECT and BCC. */
static enum step
add_address(struct check *c, const char *action, const char *name,
    struct str text)
{
	if (!has_message(c, action) ||
	    !has_byte(c, text, '@', "user@domain target"))
		return NEXT;
	log_action(c, name, STR(""), arena_printf(c->arena,
	    "triggers %s " STRF, action, STRV(text)));
	return add_attr(c, name, text);
}

static enum step
act_redirect(struct check *c, struct str text)
{
	return add_address(c, "REDIRECT", "redirect", text);
}

static enum step
act_bcc(struct check *c, struct str text)
{
	return add_address(c, "BCC", "bcc", text);
}

static enum step
act_warn(struct check *c, struct str text)
{
	log_refusal(c->s, "warn", text);
	return NEXT;
}

static enum step
act_info(struct check *c, struct str text)
{
	log_refusal(c->s, "info", text);
	return NEXT;
}

/* "550 5.7.1 text", "450 text". */
static enum step
act_code(struct check *c, struct str code, struct str text)
{
	uint64_t n = 0;

	if (!str_number(code, &n))
		return NEXT;
	return refuse_text(c, (int64_t)n, n < 500 ? "4.7.1" : "5.7.1",
	    text.n > 0 ? text : STR("Access denied"));
}

/* A list of restrictions, as a class without a name. */
static enum step
act_list(struct check *c, struct str words)
{
	struct problems p = { 0 };
	const struct rule_list *l;

	l = rules_parse(c->s->smtpd, c->arena, words, "access table", &p);
	if (p.n > 0 || !check_push(c, l)) {
		log_warn("access table " STRF ": %s", STRV(c->table),
		    p.n > 0 ? p.v[0].text : "nested too deeply");
		problems_free(&p);
		return check_config_error(c);
	}
	return NEXT;
}

/* Whom the table was asked about; else, whom the list is about. */
const char *
check_who(struct check *c)
{
	if (c->party.shown == NULL)
		return check_subject(c);
	return arena_printf(c->arena, "<%s>", c->party.shown);
}

const char *
check_whose(const struct check *c)
{
	return c->party.shown == NULL ? check_class(c) : c->party.class;
}

/*
 * RFC 3463 3.2: x.1.1 to x.1.6 are about recipients, x.1.7 and x.1.8 about
 * senders. A table may be asked about either: as Postfix, the code is made to
 * fit, and the log tells.
 */
static const char *
fitting(struct check *c, const char *dsn)
{
	static const struct { const char *sender, *rcpt; } map[] = {
		{ "1.0", "1.0" }, { "1.7", "1.1" }, { "1.8", "1.2" },
		{ "1.7", "1.3" }, { "1.7", "1.4" }, { "1.0", "1.5" },
		{ "1.7", "1.6" }, { "1.7", "1.3" }, { "1.8", "1.2" },
	};
	const char *class = check_whose(c), *to = "0.0";
	size_t last = 0;

	if (!str_starts(str_of(dsn + 1), STR(".1.")))
		return dsn;
	if (dsn[4] >= '1' && dsn[4] <= '8' && dsn[5] == '\0')
		last = (size_t)(dsn[4] - '0');
	if (strcmp(class, "Sender address") == 0)
		to = map[last].sender;
	else if (strcmp(class, "Recipient address") == 0)
		to = map[last].rcpt;
	if (strcmp(dsn + 2, to) != 0)
		log_info("mapping DSN status %s into %s status %c.%s", dsn,
		    class, dsn[0], to);
	return arena_printf(c->arena, "%c.%s", dsn[0], to);
}

/* The text may begin with an enhanced code of its own. */
static enum step
refuse_text(struct check *c, int64_t code, const char *dsn, struct str text)
{
	char own[16];
	size_t n = dsn_status_length(text);

	if (n > 0 && n < sizeof(own)) {
		memcpy(own, text.p, n);
		own[n] = '\0';
		dsn = own;
		text = str_trim(str_from(text, n));
	}
	return refuse(c, code, fitting(c, dsn), "%s: %s rejected: " STRF,
	    check_who(c), check_whose(c), STRV(text));
}

/* Goes to cleanup with the message; for this message alone. */
static enum step
add_attr(struct check *c, const char *name, struct str value)
{
	struct transaction *tx = c->s->tx;
	struct attr *a;

	if (tx == NULL)
		return NEXT;
	a = arena_alloc(tx->arena, sizeof(*a));
	a->name = str_of(name);
	a->value = arena_str(tx->arena, value);
	list_append(&tx->attrs, &a->link);
	return NEXT;
}

/* "<a@b>: Sender address TEXT", or what is said without a text. */
static void
log_action(struct check *c, const char *what, struct str text,
    const char *otherwise)
{
	log_refusal(c->s, what, str_of(arena_printf(c->arena, "%s: %s " STRF,
	    check_subject(c), check_class(c),
	    STRV(text.n > 0 ? text : str_of(otherwise)))));
}
