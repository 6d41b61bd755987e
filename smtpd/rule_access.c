/*
 * rule_access - access(5) tables: lookup finds the key, we do what it says.
 */
#include <ctype.h>

#include "address/address.h"
#include "dsn/dsn.h"
#include "smtpd/access.h"

static enum step ask_table(struct check *, const struct rule *,
		    enum access_kind, struct str subject);
static void	 send_question(struct check *, struct talk *);
static enum step take_answer(struct check *, const void *msg);
static enum step lookup_failed(struct check *);

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
static void	 log_action(struct check *, const char *what, struct str text);

static const struct question question = { send_question, take_answer,
	lookup_failed };

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
	return ask_table(c, r, ACCESS_CLIENT, c->s->name);
}

enum step
rule_check_helo_access(struct check *c, const struct rule *r)
{
	if (c->s->helo.str.n == 0)
		return NEXT;
	return ask_table(c, r, ACCESS_DOMAIN, c->s->helo.str);
}

enum step
rule_check_sender_access(struct check *c, const struct rule *r)
{
	const struct transaction *tx = c->s->tx;

	if (tx == NULL)
		return NEXT;
	return ask_table(c, r, ACCESS_ADDRESS, tx->sender.n > 0 ? tx->sender :
	    c->s->smtpd->conf.smtpd_null_access_lookup_key);
}

enum step
rule_check_recipient_access(struct check *c, const struct rule *r)
{
	struct str rcpt = check_rcpt(c);

	return rcpt.n == 0 ? NEXT : ask_table(c, r, ACCESS_ADDRESS, rcpt);
}

enum step
rule_check_etrn_access(struct check *c, const struct rule *r)
{
	if (c->now != AT_ETRN)
		return NEXT;
	return ask_table(c, r, ACCESS_DOMAIN, c->subject);
}

/* --- the question --- */

static enum step
ask_table(struct check *c, const struct rule *r, enum access_kind kind,
    struct str subject)
{
	c->rule = r;
	c->table_kind = kind;
	c->table_subject = subject;
	return check_ask(c, &question);
}

static void
send_question(struct check *c, struct talk *t)
{
	talk_send(t, MSG_access_ask, &(struct msg_access_ask){
	    .tables = c->rule->arg, .kind = c->table_kind,
	    .subject = c->table_subject, .subject_addr = c->s->addr,
	    .service = str_of(service_name(c->s->smtpd->service)) });
}

static enum step
take_answer(struct check *c, const void *msg)
{
	const struct msg_access_answer *m = msg;

	if (m->found == FOUND)
		return do_action(c, str_trim(arena_str(c->arena, m->value)));
	if (m->found == NONE)
		return NEXT;
	log_warn(STRF ": " STRF, STRV(c->rule->arg), STRV(m->error));
	return lookup_failed(c);
}

static enum step
lookup_failed(struct check *c)
{
	return refuse(c, 451, "4.3.0", "%s: Temporary lookup failure",
	    check_subject(c));
}

/* --- what the table says --- */

enum step
do_action(struct check *c, struct str action)
{
	struct str text = action, word;
	uint64_t number;

	if (!str_token(&text, " \t", &word)) {
		log_warn("access table " STRF " entry has empty value",
		    STRV(c->rule->arg));
		return NEXT;
	}
	text = str_trim(text);
	for (size_t i = 0; i < nitems(actions); i++)
		if (str_eq_nocase(word, str_of(actions[i].word)))
			return actions[i].run(c, text);
	if (str_number(word, &number)) {
		if (word.n == 3 && (word.p[0] == '4' || word.p[0] == '5'))
			return act_code(c, word, text);
		return PERMIT;		/* all numerical: as OK */
	}
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
	refuse_text(c, 450, "4.7.1",
	    text.n > 0 ? text : STR("Service unavailable"));
	c->defer_if_permit = c->text;
	return NEXT;
}

static enum step
act_defer_if_reject(struct check *c, struct str text)
{
	refuse_text(c, 450, "4.7.1",
	    text.n > 0 ? text : STR("Service unavailable"));
	c->defer_if_reject = c->text;
	return NEXT;
}

static enum step
act_hold(struct check *c, struct str text)
{
	log_action(c, "hold", text);
	if (c->s->tx != NULL)
		c->s->tx->flags |= MAIL_HOLD;
	return NEXT;
}

static enum step
act_discard(struct check *c, struct str text)
{
	log_action(c, "discard", text);
	if (c->s->tx != NULL)
		c->s->tx->flags |= MAIL_DISCARD;
	return PERMIT;
}

static enum step
act_filter(struct check *c, struct str text)
{
	if (c->s->tx != NULL)
		c->s->tx->filter = arena_str(c->s->tx->arena, text);
	return NEXT;
}

static enum step
act_prepend(struct check *c, struct str text)
{
	return add_attr(c, "prepend", text);
}

static enum step
act_redirect(struct check *c, struct str text)
{
	return add_attr(c, "redirect", text);
}

static enum step
act_bcc(struct check *c, struct str text)
{
	return add_attr(c, "bcc", text);
}

static enum step
act_warn(struct check *c, struct str text)
{
	log_action(c, "warn", text);
	return NEXT;
}

static enum step
act_info(struct check *c, struct str text)
{
	log_action(c, "info", text);
	return NEXT;
}

/* "550 5.7.1 text", "450 text", "554". */
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
		log_warn("access table " STRF ": %s", STRV(c->rule->arg),
		    p.n > 0 ? p.v[0].text : "nested too deeply");
		problems_free(&p);
		return refuse(c, 451, "4.3.5", "Server configuration error");
	}
	return NEXT;
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
	return refuse(c, code, dsn, "%s: %s rejected: " STRF,
	    check_subject(c), check_class(c), STRV(text));
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

static void
log_action(struct check *c, const char *what, struct str text)
{
	log_refusal(c->s, what, str_of(arena_printf(c->arena, "%s: %s "
	    "triggers %s" STRF STRF, check_subject(c), check_class(c), what,
	    STRV(text.n > 0 ? STR(" ") : STR("")), STRV(text))));
}
