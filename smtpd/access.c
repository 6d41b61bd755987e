/*
 * access - restriction lists: how they are read, how they are evaluated.
 *
 * SMTPD_ACCESS_README of Postfix: lists of client, helo, sender, relay,
 * recipient, data and end-of-data; the first PERMIT ends a list, the first
 * refusal ends all. A rule that must ask another process returns WAITS; the
 * evaluation stands still, and goes on from check_resume(). Rules see no
 * difference between now and later.
 */
#include <stdarg.h>
#include <stdio.h>

#include "smtpd/access.h"

#define CHECK_MEMORY (16 << 20)	/* RULE_DEPTH lists that tables answer */
#define LIST_NESTING 16

static const struct rule_def rule_defs[] = {
#define RULE(name, arg, fn, text) { #name, arg, fn, text },
#include "smtpd/rules.def"
#undef RULE
};

/* access: what a table without a restriction before it means there. */
static const struct {
	const char *param, *class, *access;
} stages[STAGE__MAX] = {
	[AT_CLIENT]	 = { "smtpd_client_restrictions", "Client host",
			     "check_client_access" },
	[AT_HELO]	 = { "smtpd_helo_restrictions", "Helo command",
			     "check_helo_access" },
	[AT_SENDER]	 = { "smtpd_sender_restrictions", "Sender address",
			     "check_sender_access" },
	[AT_RELAY]	 = { "smtpd_relay_restrictions", "Recipient address",
			     "check_recipient_access" },
	[AT_RECIPIENT]	 = { "smtpd_recipient_restrictions",
			     "Recipient address", "check_recipient_access" },
	[AT_DATA]	 = { "smtpd_data_restrictions", "Data command", "" },
	[AT_END_OF_DATA] = { "smtpd_end_of_data_restrictions",
			     "End-of-data", "" },
	[AT_ETRN]	 = { "smtpd_etrn_restrictions", "Etrn command",
			     "check_etrn_access" },
};

static struct str deferred(const struct check *);
static bool	defer_later(struct check *);
static void	plan(struct check *, enum stage);
static void	add_stage(struct check *, enum stage);
static void	add_list(struct check *, enum stage, const struct rule_list *);
static void	run(struct check *);
static bool	next_list(struct check *);
static enum step run_rule(struct check *, const struct rule *);
static bool	may_not_permit(const struct check *);
static void	log_permit(struct check *);
static bool	take_step(struct check *, enum step);
static void	finish(struct check *, enum outcome);
static bool	parse_item(struct smtpd *, struct str *words, const char *where,
		    struct problems *, struct rule *);
static void	check_relay_safe(struct smtpd *, struct problems *);
static bool	may_refuse(const struct rule_list *);

/* --- evaluation --- */

void
access_check(struct session *s, enum stage stage, struct str subject,
    void (*done)(struct session *, enum outcome))
{
	struct arena *a = arena_new(CHECK_MEMORY);
	struct check *c = arena_alloc(a, sizeof(*c));

	c->arena = a;
	c->s = s;
	c->subject = subject;
	c->done = done;
	c->asked_for = stage;
	s->check = c;
	c->defer_if_permit = deferred(c);
	plan(c, stage);
	run(c);
}

void
access_cancel(struct session *s)
{
	struct check *c = s->check;
	struct arena *a;

	if (c == NULL)
		return;
	s->check = NULL;
	talk_close(&s->ask);
	dns_cancel(&c->dns);
	service_wait_cancel(&c->waiting);
	timer_free(&c->timer);
	a = c->arena;
	arena_free(&a);
}

/*
 * DEFER_IF_PERMIT of an earlier stage holds until RCPT, where it is known
 * whether the mail would be permitted.
 */
static struct str
deferred(const struct check *c)
{
	const struct session *s = c->s;

	if (c->asked_for == AT_CLIENT)
		return STR("");
	if (c->asked_for != AT_SENDER && s->tx != NULL && s->tx->defer.n > 0)
		return s->tx->defer;
	return c->asked_for != AT_HELO && s->defer_helo.str.n > 0 ?
	    s->defer_helo.str : s->defer_client.str;
}

/* False: this is the stage at which it is said. */
static bool
defer_later(struct check *c)
{
	struct session *s = c->s;

	switch (c->asked_for) {
	case AT_CLIENT:
		keep(&s->defer_client, c->defer_if_permit);
		keep(&s->defer_helo, STR(""));
		return true;
	case AT_HELO:
		keep(&s->defer_helo, c->defer_if_permit);
		return true;
	case AT_SENDER:
		s->tx->defer = arena_str(s->tx->arena, c->defer_if_permit);
		return true;
	case AT_RELAY:
	case AT_RECIPIENT:
	case AT_DATA:
	case AT_END_OF_DATA:
	case AT_ETRN:
	case STAGE__MAX:
		break;
	}
	return false;
}

/* With smtpd_delay_reject, client, helo and sender wait for RCPT or ETRN. */
static void
plan(struct check *c, enum stage stage)
{
	const struct smtpd_conf *conf = &c->s->smtpd->conf;
	bool delayed = conf->smtpd_delay_reject;

	switch (stage) {
	case AT_CLIENT:
	case AT_HELO:
	case AT_SENDER:
		if (!delayed)
			add_stage(c, stage);
		break;
	case AT_RELAY:
	case AT_RECIPIENT:
		/* RFC 5321 4.5.1: may be refused to nobody. */
		if (str_eq_nocase(c->subject, STR("postmaster")))
			break;
		if (delayed) {
			add_stage(c, AT_CLIENT);
			add_stage(c, AT_HELO);
			add_stage(c, AT_SENDER);
		}
		if (conf->smtpd_relay_before_recipient_restrictions)
			add_stage(c, AT_RELAY);
		add_stage(c, AT_RECIPIENT);
		if (!conf->smtpd_relay_before_recipient_restrictions)
			add_stage(c, AT_RELAY);
		/* Even a permitted recipient must exist. */
		add_list(c, AT_RECIPIENT, c->s->smtpd->unlisted_rcpt);
		break;
	case AT_ETRN:
		if (delayed) {
			add_stage(c, AT_CLIENT);
			add_stage(c, AT_HELO);
		}
		add_stage(c, AT_ETRN);
		break;
	case AT_DATA:
	case AT_END_OF_DATA:
	case STAGE__MAX:
		add_stage(c, stage);
		break;
	}
}

static void
add_stage(struct check *c, enum stage stage)
{
	if (stage == AT_HELO && c->s->helo.str.n == 0)
		return;
	add_list(c, stage, c->s->smtpd->rules[stage]);
	if (stage == AT_SENDER)
		add_list(c, stage, c->s->smtpd->unlisted_sender);
}

static void
add_list(struct check *c, enum stage stage, const struct rule_list *l)
{
	if (l->n == 0)
		return;
	c->lists[c->nlists].stage = stage;
	c->lists[c->nlists++].list = l;
}

static void
run(struct check *c)
{
	enum step step;

	c->running = true;
	for (;;) {
		if (c->depth == 0 && !next_list(c)) {
			finish(c, PASS);
			return;
		}
		if (c->stack[c->depth - 1].at ==
		    c->stack[c->depth - 1].list->n) {
			c->depth--;
			continue;
		}
		step = run_rule(c, &c->stack[c->depth - 1].list->v[
		    c->stack[c->depth - 1].at++]);
		if (step == WAITS) {
			c->running = false;
			return;
		}
		if (!take_step(c, step))
			return;
	}
}

static bool
next_list(struct check *c)
{
	const struct transaction *tx = c->s->tx;

	if (c->at_list == c->nlists)
		return false;
	/*
	 * Permitted so far, and that may be wrong, or to be discarded: Postfix
	 * looks no further.
	 */
	if (c->lists[c->at_list].list == c->s->smtpd->unlisted_rcpt &&
	    (c->defer_if_permit.n > 0 ||
	    (tx != NULL && (tx->flags & MAIL_DISCARD) != 0)))
		return false;
	c->now = c->lists[c->at_list].stage;
	return check_push(c, c->lists[c->at_list++].list);
}

bool
check_push(struct check *c, const struct rule_list *l)
{
	if (c->depth == RULE_DEPTH) {
		log_warn("restrictions are nested too deeply, limit %d",
		    RULE_DEPTH);
		return false;
	}
	c->stack[c->depth].list = l;
	c->stack[c->depth].no_permit = false;
	c->stack[c->depth++].at = 0;
	return true;
}

static enum step
run_rule(struct check *c, const struct rule *r)
{
	c->warn = c->warn_next;
	c->warn_next = false;
	c->rule = r;
	c->action = STR("");
	c->party = (struct party){ .shown = NULL };
	if (r->def != NULL)
		return r->def->run(c, r);
	if (check_push(c, r->list))
		return NEXT;
	return refuse(c, 451, "4.3.5", "Server configuration error");
}

/* "<a@b>" without its brackets. */
static struct str
bare(const char *shown)
{
	struct str s = str_of(shown);

	return s.n > 1 && s.p[0] == '<' && s.p[s.n - 1] == '>' ?
	    str_first(str_from(s, 1), s.n - 2) : s;
}

/* A list that a table about another's DNS has named: Postfix's rule. */
static bool
may_not_permit(const struct check *c)
{
	for (unsigned i = 0; i < c->depth; i++)
		if (c->stack[i].no_permit)
			return true;
	return false;
}

/*
 * postconf(5) smtpd_log_access_permit_actions: "action=permit_mynetworks for
 * Client host=name[addr]", "action=OK for Sender address=a@b from hash:/x".
 */
static void
log_permit(struct check *c)
{
	enum step (*run_fn)(struct check *, const struct rule *) =
	    c->rule->def->run;
	const char *class = "Client host", *shown, *from = "";
	struct str action = c->action.n > 0 ? c->action :
	    str_of(c->rule->def->name);

	if (c->defer_if_permit.n > 0 ||
	    match_list_domain(c->s->smtpd->permit_log, action) != FOUND)
		return;
	shown = arena_cstr(c->arena, c->s->who);
	if (c->action.n > 0) {
		from = arena_printf(c->arena, " from " STRF, STRV(c->table));
		class = check_whose(c);
		shown = check_who(c);
	} else if (run_fn == rule_permit) {
		class = check_class(c);
		shown = check_subject(c);
	} else if (run_fn == rule_permit_mx_backup ||
	    run_fn == rule_permit_auth_destination ||
	    run_fn == rule_reject_unauth_destination) {
		class = "Recipient address";
		shown = arena_cstr(c->arena, check_rcpt(c));
	}
	log_refusal(c->s, "permit", str_of(arena_printf(c->arena,
	    "action=" STRF " for %s=" STRF "%s", STRV(action), class,
	    STRV(bare(shown)), from)));
}

/* False: the evaluation is over, and c is gone. */
static bool
take_step(struct check *c, enum step step)
{
	switch (step) {
	case NEXT:
		return true;
	case PERMIT:
		if (may_not_permit(c)) {
			check_config_error(c);
			break;
		}
		log_permit(c);
		c->depth = 0;
		return true;
	case REFUSE:
		if (c->warn) {
			log_refusal(c->s, "reject_warning", c->text);
			return true;
		}
		if (c->defer_if_reject.n > 0 && c->text.p[0] == '5')
			c->text = c->defer_if_reject;
		break;
	case WAITS:
		die("a rule that waits takes no step");
	}
	finish(c, REFUSED);
	return false;
}

void
check_resume(struct check *c, enum step step)
{
	assert(!c->running);
	if (step == WAITS)		/* it has asked once more */
		return;
	if (take_step(c, step))
		run(c);
}

static void
finish(struct check *c, enum outcome outcome)
{
	struct session *s = c->s;
	void (*done)(struct session *, enum outcome) = c->done;

	if (outcome == PASS && !defer_later(c) && c->defer_if_permit.n > 0) {
		c->text = c->defer_if_permit;
		outcome = REFUSED;
	}
	if (outcome == REFUSED) {
		char *text = arena_cstr(c->arena, c->text);

		/* The log tells what is said. */
		refusal_soften(s->smtpd, text, c->text.n);
		log_refusal(s, "reject", str_of(text));
		reply(s, STRF, STRV(c->text));
	}
	access_cancel(s);
	done(s, outcome);
}

enum step
refuse(struct check *c, int64_t code, const char *dsn, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The class of the code and of the enhanced code agree. */
	c->text = str_of(arena_printf(c->arena, "%lld %c%s %s",
	    (long long)code, (char)('0' + code / 100), dsn + 1, text));
	return REFUSE;
}

enum step
check_tempfail(struct check *c, struct str action)
{
	if (c->warn || !str_eq_nocase(action, STR("defer_if_permit")))
		return REFUSE;
	if (c->defer_if_permit.n == 0)
		c->defer_if_permit = c->text;
	return NEXT;
}

void
check_defer_if_reject(struct check *c)
{
	if (!c->warn && c->defer_if_reject.n == 0)
		c->defer_if_reject = c->text;
}

enum step
check_lookup_failed(struct check *c, const char *shown)
{
	c->warn = false;		/* no policy, a fault of ours */
	return refuse(c, 451, "4.3.0", "<%s>: Temporary lookup failure",
	    shown);
}

enum step
check_table_failed(struct check *c)
{
	c->warn = false;
	return refuse(c, 451, "4.3.5", "%s: %s rejected: Server configuration "
	    "error", check_who(c), check_whose(c));
}

enum step
check_config_error(struct check *c)
{
	c->warn = false;
	return refuse(c, 451, "4.3.5", "Server configuration error");
}

bool
check_party(struct check *c, enum party_kind kind, struct party *p)
{
	struct session *s = c->s;
	const struct transaction *tx = s->tx;
	struct str shown;

	*p = (struct party){ .class = "" };
	switch (kind) {
	case THE_CLIENT:
		*p = (struct party){ s->name, arena_cstr(c->arena, s->who),
		    "Client host" };
		return !str_eq(s->name, STR("unknown"));
	case THE_REVERSE_CLIENT:
		*p = (struct party){ s->reverse_name, arena_cstr(c->arena,
		    s->reverse_name), "Unverified Client host" };
		return !str_eq(s->reverse_name, STR("unknown"));
	case THE_HELO:
		p->class = "Helo command";
		shown = s->helo.str;
		break;
	case THE_SENDER:
		p->class = "Sender address";
		shown = tx != NULL ? tx->sender : STR("");
		break;
	case THE_RECIPIENT:
		p->class = "Recipient address";
		shown = check_rcpt(c);
		break;
	default:
		return false;
	}
	p->value = shown;
	p->shown = arena_cstr(c->arena, shown);
	return shown.n > 0;
}

const char *
check_subject(struct check *c)
{
	struct session *s = c->s;

	switch (c->now) {
	case AT_CLIENT:
		return arena_printf(c->arena, "<" STRF ">", STRV(s->who));
	case AT_HELO:
		return arena_printf(c->arena, "<" STRF ">", STRV(s->helo.str));
	case AT_SENDER:
		return arena_printf(c->arena, "<" STRF ">", s->tx != NULL ?
		    (int)s->tx->sender.n : 0, s->tx != NULL ?
		    s->tx->sender.p : "");
	case AT_RELAY:
	case AT_RECIPIENT:
	case AT_DATA:
	case AT_END_OF_DATA:
	case AT_ETRN:
	case STAGE__MAX:
		break;
	}
	return arena_printf(c->arena, "<" STRF ">", STRV(c->subject));
}

const char *
check_class(const struct check *c)
{
	return stages[c->now].class;
}

struct str
check_rcpt(const struct check *c)
{
	const struct transaction *tx = c->s->tx;

	return tx != NULL && tx->pending != NULL ? tx->pending->address :
						   STR("");
}

/* --- configuration --- */

void
access_open(struct smtpd *d, struct problems *p)
{
	struct str names = d->conf.smtpd_restriction_classes, name;

	d->classes = map_new();
	/* Names first: classes may name each other. */
	while (conf_list_next(&names, &name))
		if (map_get(d->classes, name) == NULL)
			map_set(d->classes, name, arena_alloc(d->arena,
			    sizeof(struct rule_list)));
	names = d->conf.smtpd_restriction_classes;
	while (conf_list_next(&names, &name)) {
		char *cname = arena_cstr(d->arena, name);
		struct rule_list *l = map_get(d->classes, name);

		*l = *rules_parse(d, d->arena,
		    conf_get(service_conf(d->service), cname), cname, p);
	}
	for (size_t i = 0; i < STAGE__MAX; i++)
		d->rules[i] = rules_parse(d, d->arena, conf_get(
		    service_conf(d->service), stages[i].param),
		    stages[i].param, p);
	d->unlisted_rcpt = rules_parse(d, d->arena,
	    d->conf.smtpd_reject_unlisted_recipient && !d->no_unlisted ?
	    STR("reject_unlisted_recipient") : STR(""), "", p);
	d->unlisted_sender = rules_parse(d, d->arena,
	    d->conf.smtpd_reject_unlisted_sender ?
	    STR("reject_unlisted_sender") : STR(""), "", p);
	check_relay_safe(d, p);
}

const struct rule_list *
rules_parse(struct smtpd *d, struct arena *a, struct str words,
    const char *where, struct problems *p)
{
	struct rule_list *l = arena_alloc(a, sizeof(*l));
	struct rule rule, *grown;
	size_t room = 0;

	while (parse_item(d, &words, where, p, &rule)) {
		if (l->n == room) {
			room = room * 2 + 8;
			grown = arena_alloc(a, room * sizeof(*grown));
			if (l->n > 0)
				memcpy(grown, l->v, l->n * sizeof(*grown));
			l->v = grown;
		}
		l->v[l->n++] = rule;
	}
	return l;
}

/* "hash:/x" alone is the access table of its list; "": it can't be. */
static struct str
bare_table(const char *where)
{
	for (size_t i = 0; i < STAGE__MAX; i++)
		if (strcmp(where, stages[i].param) == 0)
			return str_of(stages[i].access);
	return STR("");
}

static void
unknown_restriction(struct str item, const char *where, const char *file,
    int line, struct problems *p)
{
	size_t most = item.n / 3 > 4 ? 4 : item.n / 3;
	const char *best = NULL;

	for (size_t i = 0; i < nitems(rule_defs); i++) {
		struct str name = str_of(rule_defs[i].name);
		size_t d = edit_distance(item, name, most);

		if (d <= most && (best == NULL || d < most)) {
			best = rule_defs[i].name;
			most = d;
		}
	}
	problem_add(p, true, file, line, "%s: unknown restriction: " STRF
	    "%s%s%s", where, STRV(item), best ? ": did you mean \"" : "",
	    best ? best : "", best ? "\"?" : "");
}

/* What is wrong with a restriction that there is: a problem, and false. */
static bool
check_item(const struct rule *r, const char *where, const char *file,
    int line, struct problems *p)
{
	if (r->def->run == rule_permit_mx_backup)
		problem_add(p, false, file, line, "support for restriction "
		    "\"%s\" will be removed from Postfix; instead, specify "
		    "\"relay_domains\"", r->def->name);
	if (r->def->run == rule_later)
		problem_add(p, true, file, line, "%s: %s is not supported "
		    "yet; take it out to start", where, r->def->name);
	else if (r->def->run == rule_removed)
		problem_add(p, true, file, line, "%s: %s: Postfix 3.9 took "
		    "it out. %s", where, r->def->name, r->def->text);
	else if (r->def->arg == DNSBL && !dnsbl_valid(r->arg))
		problem_add(p, true, file, line, "%s: %s: bad reply filter: "
		    STRF "; write it as 127.0.0.2 or 127.0.0.[2..4;8]", where,
		    r->def->name, STRV(r->arg));
	else
		return true;
	return false;
}

/* One restriction with its argument; unknown ones are problems. */
static bool
parse_item(struct smtpd *d, struct str *words, const char *where,
    struct problems *p, struct rule *r)
{
	const struct rule_list *class;
	const struct rule_def *def;
	struct str item, table;
	int line = 0;
	const char *file = conf_where(service_conf(d->service),
	    str_of(where), &line);

	for (; conf_list_next(words, &item);) {
		*r = (struct rule){ 0 };
		if ((class = map_get(d->classes, item)) != NULL) {
			r->list = class;
			return true;
		}
		table = str_chr(item, ':') < item.n ? item : STR("");
		if (table.n > 0 && bare_table(where).n > 0)
			item = bare_table(where);
		for (def = rule_defs; def < rule_defs + nitems(rule_defs); def++)
			if (str_eq_nocase(item, str_of(def->name)))
				break;
		if (def == rule_defs + nitems(rule_defs)) {
			if (table.n > 0)
				problem_add(p, true, file, line, "%s: say "
				    "check_client_access or the like before "
				    "the table " STRF, where, STRV(table));
			else
				unknown_restriction(item, where, file, line,
				    p);
			continue;
		}
		r->def = def;
		r->arg = table;
		if (def->arg != NO_ARG && table.n == 0 &&
		    !conf_list_next(words, &r->arg)) {
			problem_add(p, true, file, line,
			    "%s: %s needs an argument", where, def->name);
			continue;
		}
		if (check_item(r, where, file, line, p))
			return true;
	}
	return false;
}

/* Postfix's own check: an open relay is never what was meant. */
static void
check_relay_safe(struct smtpd *d, struct problems *p)
{
	if (!may_refuse(d->rules[AT_RELAY]) &&
	    !may_refuse(d->rules[AT_RECIPIENT]))
		problem_add(p, true, NULL, 0, "in parameter "
		    "smtpd_relay_restrictions or smtpd_recipient_restrictions, "
		    "specify at least one working instance of: "
		    "reject_unauth_destination, defer_unauth_destination, "
		    "reject, defer or defer_if_permit");
}

static bool
may_refuse(const struct rule_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		enum step (*fn)(struct check *, const struct rule *);

		if (l->v[i].def == NULL) {
			if (may_refuse(l->v[i].list))
				return true;
			continue;
		}
		fn = l->v[i].def->run;
		if (fn == rule_reject || fn == rule_defer ||
		    fn == rule_defer_if_permit ||
		    fn == rule_reject_unauth_destination ||
		    fn == rule_defer_unauth_destination)
			return true;
	}
	return false;
}
