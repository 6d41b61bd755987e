/*
 * transaction - MAIL and RCPT: from a path and parameters to an envelope.
 *
 * RFC 5321 4.1.1.2, 4.1.1.3; parameters: SIZE (RFC 1870), BODY (RFC 6152),
 * SMTPUTF8 (RFC 6531), RET ENVID NOTIFY ORCPT (RFC 3461), AUTH (RFC 4954 5),
 * XVERP (Postfix's VERP_README).
 */
#include "address/address.h"
#include "smtpd/smtpd.h"

#define TRANSACTION_MEMORY (512UL << 20)  /* bounded by smtpd_recipient_limit */
#define SYNTAX_SHOWN	   1000		 /* of a bad address, in the log */
#define AUTH_MAX	   500
#define ENVID_MAX	   100		 /* RFC 3461 4.4 */
#define ORCPT_MAX	   500		 /* RFC 3461 4.2 */


/*
 * One row a parameter: its reader returns a reply, or NULL. offer: the word
 * of EHLO without which it is refused; "": always taken.
 */
struct param_reader {
	const char *keyword, *offer;
	const char *(*read)(struct session *, struct rcpt *, struct str value);
};

static const char *read_size(struct session *, struct rcpt *, struct str);
static const char *read_body(struct session *, struct rcpt *, struct str);
static const char *read_utf8(struct session *, struct rcpt *, struct str);
static const char *read_ret(struct session *, struct rcpt *, struct str);
static const char *read_envid(struct session *, struct rcpt *, struct str);
static const char *read_auth(struct session *, struct rcpt *, struct str);
static const char *read_verp(struct session *, struct rcpt *, struct str);
static const char *read_notify(struct session *, struct rcpt *, struct str);
static const char *read_orcpt(struct session *, struct rcpt *, struct str);

static const struct param_reader mail_params[] = {
	{ "SIZE", "", read_size },
	{ "BODY", "", read_body },
	{ "SMTPUTF8", "SMTPUTF8", read_utf8 },
	{ "RET", "DSN", read_ret },
	{ "ENVID", "DSN", read_envid },
	{ "AUTH", "AUTH", read_auth },
	{ "XVERP", "", read_verp },
};
static const struct param_reader rcpt_params[] = {
	{ "NOTIFY", "DSN", read_notify },
	{ "ORCPT", "DSN", read_orcpt },
};

static struct transaction *transaction_new(void);
static bool	path_of(struct session *, struct str *arg, const char *verb,
		    struct str *address);
static bool	params_of(struct session *, struct str arg,
		    const struct param_reader *, size_t n, struct rcpt *);
static bool	is_probe_sender(struct session *, struct str *address);
static void	mail_counted(struct session *, bool ok);
static void	mail_checked(struct session *, enum outcome);
static void	rcpt_counted(struct session *, bool ok);
static void	rcpt_checked(struct session *, enum outcome);
static bool	over_limit(struct session *);

void
cmd_mail(struct session *s, struct str arg)
{
	struct transaction *tx = transaction_new();
	int64_t limit = s->smtpd->message_size_limit;
	struct str sender;

	s->tx = tx;			/* the readers fill it */
	if (!path_of(s, &arg, "FROM:", &sender) ||
	    !params_of(s, arg, mail_params, nitems(mail_params), NULL)) {
		transaction_reset(s);
		return;
	}
	if (tx->verp.n > 0 && sender.n == 0) {
		reply(s, "503 5.5.4 Error: XVERP requires non-null sender");
		transaction_reset(s);
		return;
	}
	(void)is_probe_sender(s, &sender);
	tx->sender = sender;
	if (limit > 0 && tx->size_hint > (uint64_t)limit) {
		/* RFC 1870 6.1 (1): no need to wait for the content. */
		log_refusal(s, "reject",
		    STR("552 5.3.4 Message size exceeds fixed limit"));
		reply(s, "552 5.3.4 Message size exceeds fixed limit");
		transaction_reset(s);
		return;
	}
	wait_begin(s);
	limit_event(s, CLIENT_MAIL, mail_counted);
}

static void
mail_counted(struct session *s, bool ok)
{
	if (ok)
		access_check(s, AT_SENDER, s->tx->sender, mail_checked);
	else
		transaction_reset(s);
}

static void
mail_checked(struct session *s, enum outcome outcome)
{
	if (outcome == REFUSED)
		transaction_reset(s);
	else {
		s->junk = 0;
		reply(s, "250 2.1.0 Ok");
	}
	wait_over(s, COMMAND);
}

void
cmd_rcpt(struct session *s, struct str arg)
{
	struct transaction *tx = s->tx;
	struct rcpt *r;
	struct str address;

	if (over_limit(s))
		return;
	r = arena_alloc(tx->arena, sizeof(*r));
	if (!path_of(s, &arg, "TO:", &address) ||
	    !params_of(s, arg, rcpt_params, nitems(rcpt_params), r))
		return;
	if (address.n == 0) {
		reply(s, "501 5.1.3 Bad recipient address syntax");
		return;
	}
	r->own_probe = is_probe_sender(s, &address);
	r->address = address;
	tx->pending = r;
	wait_begin(s);
	limit_event(s, CLIENT_RCPT, rcpt_counted);
}

/*
 * The sender of our own probes is never refused, or two machines that probe
 * each other would find both undeliverable. Its changing part is taken off.
 */
static bool
is_probe_sender(struct session *s, struct str *address)
{
	struct probe_sender plain = s->smtpd->probe_sender;
	struct buf text;

	if (!probe_sender_is(&plain, *address, clock_wall_s()))
		return false;
	plain.ttl_s = 0;
	buf_init(&text, 2 * ADDRESS_MAX);
	probe_sender_print(&plain, 0, &text);
	*address = arena_str(s->tx->arena, buf_view(&text));
	buf_free(&text);
	return true;
}

static void
rcpt_counted(struct session *s, bool ok)
{
	if (ok && s->tx->pending->own_probe)
		rcpt_checked(s, PASS);
	else if (ok)
		access_check(s, AT_RECIPIENT, s->tx->pending->address,
		    rcpt_checked);
	else
		s->tx->pending = NULL;	/* no later line is about it */
}

static void
rcpt_checked(struct session *s, enum outcome outcome)
{
	struct transaction *tx = s->tx;

	if (outcome != REFUSED) {
		list_append(&tx->rcpts, &tx->pending->link);
		tx->nrcpts++;
		reply(s, "250 2.1.5 Ok");
	}
	tx->pending = NULL;
	wait_over(s, COMMAND);
}

/* RFC 5321 4.5.3.1.10: 452, and the client sends the rest again. */
static bool
over_limit(struct session *s)
{
	struct smtpd_conf *conf = &s->smtpd->conf;

	if (s->tx->nrcpts < (size_t)conf->smtpd_recipient_limit)
		return false;
	if (++s->tx->over_limit <= conf->smtpd_recipient_overshoot_limit)
		s->errors--;		/* reply() counts this one */
	reply(s, "452 4.5.3 Error: too many recipients");
	return true;
}

void
transaction_reset(struct session *s)
{
	struct transaction *tx = s->tx;

	if (tx == NULL)
		return;
	s->tx = NULL;
	xforward_reset(s);
	service_wait_cancel(&tx->waiting);
	talk_close(&tx->cleanup);
	map_free(&tx->alike);
	arena_free(&tx->arena);
}

/* The transaction lives in its own arena. */
static struct transaction *
transaction_new(void)
{
	struct arena *a = arena_new(TRANSACTION_MEMORY);
	struct transaction *tx = arena_alloc(a, sizeof(*tx));

	tx->arena = a;
	list_init(&tx->rcpts);
	list_init(&tx->attrs);
	return tx;
}

/* "FROM:<path>", with the blank after the colon that some send. */
static bool
path_of(struct session *s, struct str *arg, const char *prefix,
    struct str *address)
{
	struct smtpd *d = s->smtpd;
	bool mail = prefix[0] == 'F';
	bool utf8 = d->smtputf8 && (!d->conf.strict_smtputf8 || !mail ||
	    s->tx->smtputf8);

	if (!str_starts_nocase(*arg, str_of(prefix)))
		goto syntax;
	*arg = str_from(*arg, strlen(prefix));
	if (!d->conf.strict_rfc821_envelopes)
		*arg = str_trim(*arg);
	if (arg->n == 0)
		goto syntax;
	switch (address_read_path(arg, d->conf.strict_rfc821_envelopes, utf8,
	    s->tx->arena, address)) {
	case PATH_OK:
		return true;
	case PATH_NOT_ASCII:
		reply(s, mail ? "553 5.6.7 Must declare SMTPUTF8 to send "
		    "unicode address" : "550 5.6.7 Must declare SMTPUTF8 to "
		    "send unicode address");
		return false;
	case PATH_SYNTAX:
	case PATH_TOO_LONG:
		log_warn("Illegal address syntax from " STRF " in " STRF
		    " command: " STRF, STRV(s->who), STRV(s->where),
		    STRV(str_first(*arg, SYNTAX_SHOWN)));
		reply(s, mail ? "501 5.1.7 Bad sender address syntax" :
		    "501 5.1.3 Bad recipient address syntax");
		return false;
	}
syntax:
	reply(s, "501 5.5.4 Syntax: %s:<address>",
	    mail ? "MAIL FROM" : "RCPT TO");
	return false;
}

static bool
params_of(struct session *s, struct str arg, const struct param_reader *rows,
    size_t n, struct rcpt *r)
{
	struct str keyword, value;
	unsigned seen = 0;
	const char *why;
	bool bad;
	size_t i;

	if (arg.n > 0 && arg.p[0] != ' ') {
		reply(s, "501 5.5.4 Syntax: junk after address");
		return false;
	}
	while (esmtp_param(&arg, &keyword, &value, &bad)) {
		for (i = 0; i < n; i++)
			if (str_eq_nocase(keyword, str_of(rows[i].keyword)))
				break;
		if (i < n && keyword_discarded(s, rows[i].offer) &&
		    strcmp(rows[i].offer, "DSN") == 0) {
			reply(s, "501 5.7.1 DSN support is disabled");
			return false;
		}
		/* After HELO too, as Postfix: some clients mix them. */
		if (bad || i == n ||
		    keyword_discarded(s, rows[i].offer)) {
			reply(s, "555 5.5.4 Unsupported option: " STRF
			    "%s" STRF, STRV(keyword), value.n > 0 ? "=" : "",
			    STRV(value));
			return false;
		}
		if (seen & 1u << i) {
			reply(s, "501 5.5.4 Duplicate option: " STRF,
			    STRV(keyword));
			return false;
		}
		seen |= 1u << i;
		if ((why = rows[i].read(s, r, value)) != NULL) {
			reply(s, "%s", why);
			return false;
		}
	}
	return true;
}

/* --- parameters of MAIL --- */

static const char *
read_size(struct session *s, struct rcpt *r, struct str value)
{
	(void)r;
	if (!str_number(value, &s->tx->size_hint))
		return value.n > 19 ? "552 5.3.4 Message size exceeds fixed "
				      "limit" :
				      "501 5.5.4 Bad message size syntax";
	return NULL;
}

static const char *
read_body(struct session *s, struct rcpt *r, struct str value)
{
	(void)r;
	if (str_eq_nocase(value, STR("8BITMIME")))
		s->tx->encoding = STR("8bit");
	else if (str_eq_nocase(value, STR("7BIT")))
		s->tx->encoding = STR("7bit");
	else
		return "501 5.5.4 Bad BODY parameter syntax";
	return NULL;
}

static const char *
read_utf8(struct session *s, struct rcpt *r, struct str value)
{
	(void)r;
	if (!s->smtpd->smtputf8)
		return "555 5.5.4 Unsupported option: SMTPUTF8";
	if (value.n > 0)
		return "501 5.5.4 Bad SMTPUTF8 parameter syntax";
	s->tx->smtputf8 = true;
	s->tx->flags |= MAIL_SMTPUTF8;
	return NULL;
}

static const char *
read_ret(struct session *s, struct rcpt *r, struct str value)
{
	(void)r;
	if (str_eq_nocase(value, STR("FULL")))
		s->tx->dsn_ret = DSN_RET_FULL;
	else if (str_eq_nocase(value, STR("HDRS")))
		s->tx->dsn_ret = DSN_RET_HDRS;
	else
		return "501 5.5.4 Bad RET parameter syntax";
	return NULL;
}

static const char *
read_envid(struct session *s, struct rcpt *r, struct str value)
{
	(void)r;
	if (value.n == 0 || value.n > ENVID_MAX * 3 ||
	    !xtext_decode(value, s->tx->arena, &s->tx->dsn_envid) ||
	    s->tx->dsn_envid.n > ENVID_MAX)
		return "501 5.5.4 Bad ENVID parameter syntax";
	return NULL;
}

/* Who sent it first, as somebody says whom we know (RFC 4954 5). */
static const char *
read_auth(struct session *s, struct rcpt *r, struct str value)
{
	struct str sender;

	(void)r;
	if (!s->smtpd->conf.smtpd_sasl_auth_enable)
		return "503 5.5.4 Error: authentication disabled";
	if (value.n == 0 || value.n > AUTH_MAX ||
	    !xtext_decode(value, s->tx->arena, &sender))
		return "501 5.5.4 Bad AUTH parameter syntax";
	if (s->sasl_user.str.n > 0 && !str_eq(sender, STR("<>")))
		s->tx->sasl_sender = sender;
	return NULL;
}

bool
verp_allowed(const struct session *s)
{
	return match_list_addr(s->smtpd->verp_hosts, s->name, s->addr) ==
	    FOUND;
}

static const char *
read_verp(struct session *s, struct rcpt *r, struct str value)
{
	const struct smtpd *d = s->smtpd;

	(void)r;
	if (!verp_allowed(s))
		return "555 5.5.4 Unsupported option: XVERP";
	s->tx->verp = arena_str(s->tx->arena, value.n > 0 ? value :
	    d->verp_default);
	if (!address_verp_ok(s->tx->verp, d->verp_filter))
		return arena_printf(s->tx->arena, "501 5.5.4 Error: XVERP "
		    "needs two characters from " STRF, STRV(d->verp_filter));
	return NULL;
}

/* --- parameters of RCPT --- */

/* RFC 3461 4.1: NEVER stands alone. */
static const char *
read_notify(struct session *s, struct rcpt *r, struct str value)
{
	static const struct { const char *word; unsigned bit; } words[] = {
		{ "NEVER", DSN_NOTIFY_NEVER },
		{ "SUCCESS", DSN_NOTIFY_SUCCESS },
		{ "FAILURE", DSN_NOTIFY_FAILURE },
		{ "DELAY", DSN_NOTIFY_DELAY },
	};
	struct str word;
	size_t i;

	(void)s;
	while (str_token(&value, ",", &word)) {
		for (i = 0; i < nitems(words); i++)
			if (str_eq_nocase(word, str_of(words[i].word)))
				break;
		if (i == nitems(words))
			return "501 5.5.4 Error: Bad NOTIFY parameter syntax";
		r->dsn_notify |= words[i].bit;
	}
	if (r->dsn_notify == 0 || (r->dsn_notify & DSN_NOTIFY_NEVER &&
	    r->dsn_notify != DSN_NOTIFY_NEVER))
		return "501 5.5.4 Error: Bad NOTIFY parameter syntax";
	return NULL;
}

/* RFC 3461 4.2: addr-type ";" xtext. */
static const char *
read_orcpt(struct session *s, struct rcpt *r, struct str value)
{
	size_t semi = str_chr(value, ';');
	struct str type = str_first(value, semi), address;

	if (semi == 0 || semi == value.n || value.n > ORCPT_MAX * 3 ||
	    !xtext_decode(str_from(value, semi + 1), s->tx->arena, &address) ||
	    address.n == 0 || address.n > ORCPT_MAX)
		return "501 5.5.4 Error: Bad ORCPT parameter syntax";
	for (size_t i = 0; i < type.n; i++)
		if (!((type.p[i] | 0x20) >= 'a' && (type.p[i] | 0x20) <= 'z') &&
		    !(type.p[i] >= '0' && type.p[i] <= '9') &&
		    type.p[i] != '-')
			return "501 5.5.4 Error: Bad ORCPT parameter syntax";
	r->dsn_orcpt = str_of(arena_printf(s->tx->arena, STRF ";" STRF,
	    STRV(type), STRV(address)));
	return NULL;
}
