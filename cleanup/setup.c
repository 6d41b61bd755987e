/*
 * setup - what cleanup knows from the configuration: rules, tables, limits.
 *
 * Runs before privileges go; all that is asked of the configuration later is
 * kept here.
 */
#include <unistd.h>
#include "cleanup/cleanup.h"

const struct param cleanup_params[] = {
#define PARAM(type, name, preset, least, most, text) \
	PARAM_ROW(struct cleanup_conf, type, name, preset, least, most, text)
#include "cleanup/params.def"
#undef PARAM
};
const size_t cleanup_nparams = nitems(cleanup_params);

#define BODY_MAX	(1 << 24)	/* with what one rule puts before it */
#define HEADER_MAX	(1 << 26)	/* a field with longer addresses */
#define SCRATCH_MAX	(1 << 20)
#define MISSED_MAX	(10000 * QUEUE_ID_MAX)

static void
setup_queue(struct cleanup *c, struct conf *conf)
{
	char *spool = NULL;
	const char *bad;
	struct arena *arena = arena_new(65536);
	int err;

	spool = arena_cstr(arena, conf_get(conf, "queue_directory"));
	err = queue_open(&c->queue, spool, conf_get(conf, "hash_queue_names"),
	    (unsigned)conf_number(conf, "hash_queue_depth"), &bad);
	if (err != 0)
		die("open queue %s: %s: %s", spool, bad, strerror(err));
	if (c->queue.dir[Q_INCOMING] < 0 || c->queue.dir[Q_HOLD] < 0)
		die("open queue %s: incoming or hold is missing", spool);
	c->queue.long_ids = conf_bool(conf, "enable_long_queue_ids");
	c->tls_optional = conf_bool(conf, "tls_required_enable");
	c->queue.writer = (unsigned)getpid() & 7;
	arena_free(&arena);
}

static void
setup_rewrite(struct cleanup *c, struct conf *conf)
{
	c->local = (struct rewrite){
		.origin = conf_get(conf, "myorigin"),
		.domain = conf_get(conf, "mydomain"),
		.append_origin = conf_bool(conf, "append_at_myorigin"),
		.append_domain = conf_bool(conf, "append_dot_mydomain"),
		.swap_bangpath = conf_bool(conf, "swap_bangpath"),
		.percent_hack = conf_bool(conf, "allow_percent_hack"),
	};
}

static bool
lists(struct str list, struct str name)
{
	struct str item;

	while (conf_list_next(&list, &item))
		if (str_eq_nocase(item, name))
			return true;
	return false;
}

static void
report(struct conf *conf, const char *parameter, struct buf *why,
    struct problems *problems)
{
	int line = 0;
	const char *file = conf_where(conf, str_of(parameter), &line);

	if (why->n > 0)
		problem_add(problems, true, file, line, "%s: %s", parameter,
		    buf_cstr(why));
	buf_clear(why);
}

/* The USE_ bits of canonical_classes and its kin. */
static unsigned
uses(struct conf *conf, const char *parameter, struct problems *problems)
{
	static const struct { const char *word; unsigned use; } words[] = {
		{ "envelope_sender", USE_ENVELOPE_SENDER },
		{ "envelope_recipient", USE_ENVELOPE_RCPT },
		{ "header_sender", USE_HEADER_SENDER },
		{ "header_recipient", USE_HEADER_RCPT },
	};
	struct str list = conf_get(conf, parameter), item;
	struct buf why;
	unsigned all = 0;

	buf_init(&why, 1000);
	while (conf_list_next(&list, &item)) {
		size_t i = 0;

		while (i < nitems(words) &&
		    !str_eq_nocase(item, str_of(words[i].word)))
			i++;
		if (i < nitems(words))
			all |= words[i].use;
		else
			buf_printf(&why, "unknown word: " STRF, STRV(item));
		report(conf, parameter, &why, problems);
	}
	buf_free(&why);
	return all;
}

/* Tables of addresses, and for which addresses each of them is. */
static void
setup_maps(struct cleanup *c, struct conf *conf, struct problems *problems)
{
	const struct { const char *maps, *classes; struct tables **to;
	    unsigned *uses; } all[] = {
		{ "virtual_alias_maps", NULL, &c->virtual_alias, NULL },
		{ "canonical_maps", "canonical_classes", &c->canonical,
		    &c->canonical_uses },
		{ "sender_canonical_maps", "sender_canonical_classes",
		    &c->sender_canonical, &c->sender_canonical_uses },
		{ "recipient_canonical_maps", "recipient_canonical_classes",
		    &c->rcpt_canonical, &c->rcpt_canonical_uses },
		{ "sender_bcc_maps", NULL, &c->sender_bcc, NULL },
		{ "recipient_bcc_maps", NULL, &c->rcpt_bcc, NULL },
	};
	struct buf why;

	buf_init(&why, 4096);
	for (size_t i = 0; i < nitems(all); i++) {
		unsigned use = all[i].classes == NULL ? 0 :
		    uses(conf, all[i].classes, problems);

		*all[i].to = tables_open(conf_get(conf, all[i].maps),
		    conf_dir(conf), TABLE_FOLD, &why);
		report(conf, all[i].maps, &why, problems);
		if (all[i].uses != NULL)
			*all[i].uses = tables_empty(*all[i].to) ? 0 : use;
	}
	c->masquerade_uses = uses(conf, "masquerade_classes", problems);
	if (c->conf.masquerade_domains.n == 0)
		c->masquerade_uses = 0;
	buf_free(&why);
}

static void
setup_tables(struct cleanup *c, struct conf *conf, struct problems *problems)
{
	const char *dir = conf_dir(conf);
	struct str spread = conf_get(conf, "propagate_unmatched_extensions");
	struct buf why;

	setup_maps(c, conf, problems);
	buf_init(&why, 4096);
	c->mydestination = match_list_open(conf_get(conf, "mydestination"),
	    dir, 0, &why);
	report(conf, "mydestination", &why, problems);
	c->masquerade_exceptions = match_list_open(
	    c->conf.masquerade_exceptions, dir, MATCH_WHOLE, &why);
	report(conf, "masquerade_exceptions", &why, problems);
	buf_free(&why);
	c->find = (struct find_conf){
		.delimiter = conf_get(conf, "recipient_delimiter"),
		.myorigin = c->local.origin, .local = c->mydestination };
	c->spread_extension = lists(spread, STR("virtual"));
	c->spread_canonical = lists(spread, STR("canonical"));
}

static void
setup_drops(struct cleanup *c)
{
	struct str list = c->conf.message_drop_headers, name;
	struct buf lower;

	buf_init(&lower, 4096);
	c->drop_others = map_new();
	while (conf_list_next(&list, &name)) {
		enum mime_header id = mime_header_find(name);

		if (id != MH__OTHER) {
			c->drop[id] = true;
			continue;
		}
		buf_clear(&lower);
		buf_str(&lower, name);
		lower_case(lower.p, lower.n);
		(void)map_set(c->drop_others, buf_view(&lower), c);
	}
	buf_free(&lower);
}

/* One byte of a text with C's escapes: \n \0 \177 \\ (postconf(5)). */
static unsigned char
next_byte(struct str *s)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	unsigned octal = 0, digits = 0;
	unsigned char c = (unsigned char)s->p[0];
	const char *at;

	*s = str_from(*s, 1);
	if (c != '\\' || s->n == 0)
		return c;
	while (digits < 3 && digits < s->n && s->p[digits] >= '0' &&
	    s->p[digits] <= '7')
		octal = 8 * octal + (unsigned)(s->p[digits++] - '0');
	c = (unsigned char)s->p[0];
	*s = str_from(*s, digits > 0 ? digits : 1);
	if (digits > 0)
		return (unsigned char)octal;
	at = memchr(from, c, sizeof(from) - 1);
	return at != NULL ? (unsigned char)to[at - from] : c;
}

static bool
setup_bytes(struct str s, bool set[256])
{
	bool any = s.n > 0;

	while (s.n > 0)
		set[next_byte(&s)] = true;
	/* Those of line ends are no characters of a line. */
	set['\r'] = set['\n'] = false;
	return any;
}

/* Who sends it tells the class; notices are bounce's, too. */
static void
setup_utf8(struct cleanup *c, struct conf *conf, struct problems *problems)
{
	static const struct { const char *name; uint64_t roles; } classes[] = {
		{ "sendmail", UINT64_C(1) << ROLE_PICKUP },
		{ "smtpd", UINT64_C(1) << ROLE_SMTPD }, { "qmqpd", 0 },
		{ "forward", UINT64_C(1) << ROLE_LOCAL },
		{ "bounce", UINT64_C(1) << ROLE_BOUNCE },
		{ "notify", UINT64_C(1) << ROLE_BOUNCE },
		{ "verify", UINT64_C(1) << ROLE_VERIFY },
		{ "all", ~UINT64_C(0) },
	};
	struct str list = c->conf.smtputf8_autodetect_classes, item;

	_Static_assert(ROLE__MAX <= 64, "a bit for each");
	if (!conf_bool(conf, "smtputf8_enable"))
		return;
	while (conf_list_next(&list, &item)) {
		bool known = false;

		for (size_t i = 0; i < nitems(classes); i++)
			if (str_eq_nocase(item, str_of(classes[i].name))) {
				c->utf8_roles |= classes[i].roles;
				known = true;
			}
		if (!known)
			problem_add(problems, true, NULL, 0,
			    "smtputf8_autodetect_classes: unknown word: "
			    STRF, STRV(item));
	}
}

static void
setup_checks(struct cleanup *c, struct conf *conf, struct problems *problems)
{
	const struct cleanup_conf *cc = &c->conf;
	struct str list = cc->internal_mail_filter_classes, item;
	unsigned faults = 0;

	c->checks = checks_open(conf, &checks_names, CHECKS_ALL, problems);
	if (cc->strict_8bitmime || cc->strict_7bit_headers)
		faults |= MIME_8BIT_HEADER;
	if (cc->strict_8bitmime || cc->strict_8bitmime_body)
		faults |= MIME_8BIT_IN_7BIT;
	if (cc->strict_mime_encoding_domain)
		faults |= MIME_BAD_DOMAIN;
	if (faults != 0 || checks_wanted(c->checks, MIME_PRIMARY) ||
	    checks_wanted(c->checks, MIME_PART) ||
	    checks_wanted(c->checks, MIME_NESTED))
		faults |= MIME_TOO_DEEP;
	if (cc->disable_mime_input_processing)
		faults = 0;
	c->walks = faults != 0 || checks_wanted(c->checks, MIME_BODY);
	c->walk = (struct mime_walk_conf){ .faults = faults,
	    .header_max = (size_t)cc->header_size_limit,
	    .boundary_max = (size_t)cc->mime_boundary_length_limit,
	    .nesting_max = (size_t)cc->mime_nesting_limit,
	    .line_max = (size_t)c->line_max,
	    .flat = cc->disable_mime_input_processing };
	c->inspects_reports = lists(cc->internal_mail_filter_classes,
	    STR("bounce"));
	while (conf_list_next(&list, &item))
		if (!str_eq_nocase(item, STR("bounce")) &&
		    !str_eq_nocase(item, STR("notify")))
			problem_add(problems, true, NULL, 0,
			    "internal_mail_filter_classes: unknown word: "
			    STRF, STRV(item));
	setup_utf8(c, conf, problems);
	c->rejects_bytes = setup_bytes(cc->message_reject_characters,
	    c->reject);
	c->strips_bytes = setup_bytes(cc->message_strip_characters, c->strip);
}

static void
setup_verp(struct cleanup *c, struct conf *conf, struct problems *problems)
{
	struct buf why;

	buf_init(&why, 200);
	c->verp_filter = conf_get(conf, "verp_delimiter_filter");
	if (!address_verp_ok(conf_get(conf, "default_verp_delimiters"),
	    c->verp_filter))
		buf_puts(&why, "two bytes of verp_delimiter_filter are needed");
	report(conf, "default_verp_delimiters", &why, problems);
	buf_free(&why);
}

void
cleanup_check(struct cleanup *c, struct conf *conf, struct problems *problems)
{
	c->size_max = conf_number(conf, "message_size_limit");
	c->minfree = conf_number(conf, "queue_minfree");
	if (c->minfree == 0)
		c->minfree = c->size_max + c->size_max / 2;
	c->hops_max = conf_number(conf, "hopcount_limit");
	c->line_max = conf_number(conf, "line_length_limit");
	setup_verp(c, conf, problems);
	c->myhostname = conf_get(conf, "myhostname");
	c->mail_name = conf_get(conf, "mail_name");
	c->empty_address = conf_get(conf, "empty_address_recipient");
	setup_rewrite(c, conf);
	setup_tables(c, conf, problems);
	setup_drops(c);
	setup_checks(c, conf, problems);
}

void
cleanup_open(struct cleanup *c, struct conf *conf)
{
	setup_queue(c, conf);
	buf_init(&c->scratch, SCRATCH_MAX);
	buf_init(&c->missed, MISSED_MAX);
	buf_init(&c->stripped, SCRATCH_MAX);
	buf_init(&c->body, BODY_MAX);
	buf_init(&c->rewritten, HEADER_MAX);
	buf_init(&c->value, TABLE_VALUE_MAX);
	list_init(&c->early);
	c->early_ids = map_new();
}

void
cleanup_end(struct cleanup *c)
{
	tables_free(&c->virtual_alias);
	tables_free(&c->canonical);
	tables_free(&c->sender_canonical);
	tables_free(&c->rcpt_canonical);
	tables_free(&c->sender_bcc);
	tables_free(&c->rcpt_bcc);
	match_list_free(&c->masquerade_exceptions);
	checks_free(&c->checks);
	buf_free(&c->stripped);
	buf_free(&c->body);
	buf_free(&c->rewritten);
	buf_free(&c->value);
	match_list_free(&c->mydestination);
	map_free(&c->drop_others);
	buf_free(&c->scratch);
	buf_free(&c->missed);
	map_free(&c->early_ids);
	timer_free(&c->early_timer);
	timer_free(&c->spare_timer);
	queue_spares_drop(&c->queue);
	queue_close(&c->queue);
}
