/*
 * tls_policy - levels and policies in Postfix's words: smtp_tls_security_level
 * and the values of smtp_tls_policy_maps (TLS_README, "Client-side policy").
 *
 *   value = level *(SP name "=" text)	lists within a text: ":" between;
 *					"{ name = text }" for one with blanks
 *
 * Pure: text in, a struct out.
 */
#include "smtp/tls.h"

static const struct { const char *name; enum tls_level level; } levels[] = {
	{ "none", LEVEL_NONE }, { "may", LEVEL_MAY },
	{ "encrypt", LEVEL_ENCRYPT }, { "fingerprint", LEVEL_FINGERPRINT },
	{ "dane", LEVEL_DANE }, { "dane-only", LEVEL_DANE_ONLY },
	{ "verify", LEVEL_VERIFY }, { "secure", LEVEL_SECURE },
};

enum tls_level
tls_level_parse(struct str word)
{
	for (size_t i = 0; i < nitems(levels); i++)
		if (str_eq_nocase(word, str_of(levels[i].name)))
			return levels[i].level;
	return LEVEL_INVALID;
}

const char *
tls_level_name(enum tls_level level)
{
	for (size_t i = 0; i < nitems(levels); i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "unknown";
}

enum tls_level
tls_level_of(const struct smtp_conf *c)
{
	if (c->tls_security_level.n > 0)
		return tls_level_parse(c->tls_security_level);
	if (c->enforce_tls)
		return c->tls_enforce_peername ? LEVEL_VERIFY : LEVEL_ENCRYPT;
	return c->use_tls ? LEVEL_MAY : LEVEL_NONE;
}

static struct str
match_of(const struct smtp_conf *c, enum tls_level level)
{
	switch (level) {
	case LEVEL_FINGERPRINT:
		return c->tls_fingerprint_cert_match;
	case LEVEL_VERIFY:
		return c->tls_verify_cert_match;
	case LEVEL_SECURE:
		return c->tls_secure_cert_match;
	case LEVEL_INVALID:
	case LEVEL_NONE:
	case LEVEL_MAY:
	case LEVEL_ENCRYPT:
	case LEVEL_DANE:
	case LEVEL_DANE_ONLY:
		break;
	}
	return STR("");
}

void
tls_policy_default(const struct smtp_conf *c, enum tls_level level,
    struct tls_policy *p)
{
	bool must = level > LEVEL_MAY;

	*p = (struct tls_policy){ .level = level,
		.match = match_of(c, level),
		.protocols = must ? c->tls_mandatory_protocols :
		    c->tls_protocols,
		.grade = must ? c->tls_mandatory_ciphers : c->tls_ciphers,
		.exclude = c->tls_exclude_ciphers,
		.servername = c->tls_servername,
		.reuse = c->tls_connection_reuse };
}

/* Several match= add up. */
static void
add_match(struct arena *a, struct tls_policy *p, struct str text, bool *given)
{
	p->match = !*given ? text : str_of(arena_printf(a, STRF ":" STRF,
	    STRV(p->match), STRV(text)));
	*given = true;
}

/* Texts of a policy while it is read. */
struct reading {
	struct arena	*arena;
	struct tls_policy *p;
	bool		 match;		/* match= was given */
	bool		 sts;		/* policy_type=sts */
	struct str	 patterns;	/* mx_host_pattern= */
};

static const char *
take_match(struct reading *r, struct str text)
{
	enum tls_level level = r->p->level;

	if (level == LEVEL_FINGERPRINT || level == LEVEL_VERIFY ||
	    level == LEVEL_SECURE) {
		add_match(r->arena, r->p, text, &r->match);
		return NULL;
	}
	return "match= needs level fingerprint, verify or secure";
}

/* Of MTA-STS, and of reports about it. */
static const char *
take_external(struct reading *r, struct str name, struct str text)
{
	static const char *const others[] = { "policy_ttl", "policy_string",
		"policy_failure", "enable_rpk" };

	if (str_eq_nocase(name, STR("policy_type"))) {
		r->sts = str_eq_nocase(text, STR("sts"));
		return NULL;
	}
	if (str_eq_nocase(name, STR("policy_domain"))) {
		r->p->mx_domain = text;
		return NULL;
	}
	if (str_eq_nocase(name, STR("mx_host_pattern"))) {
		r->patterns = str_of(arena_printf(r->arena, STRF " " STRF,
		    STRV(r->patterns), STRV(text)));
		return NULL;
	}
	for (size_t i = 0; i < nitems(others); i++)
		if (str_eq_nocase(name, str_of(others[i])))
			return NULL;
	return "unknown attribute";
}

static const char *
take_attribute(struct reading *r, struct str name, struct str text)
{
	struct tls_policy *p = r->p;

	text = arena_str(r->arena, text);
	if (str_eq_nocase(name, STR("match")))
		return take_match(r, text);
	if (str_eq_nocase(name, STR("tafile"))) {
		/* lookup reads it: an empty root has no files. */
		if (p->level != LEVEL_VERIFY && p->level != LEVEL_SECURE)
			return "tafile= needs level verify or secure";
		p->own_anchors = true;
	} else if (str_eq_nocase(name, STR("protocols")))
		p->protocols = text;
	else if (str_eq_nocase(name, STR("ciphers")))
		p->grade = text;
	else if (str_eq_nocase(name, STR("exclude"))) {
		p->exclude = text;
		p->own_exclude = true;
	} else if (str_eq_nocase(name, STR("servername")))
		p->servername = text;
	else if (str_eq_nocase(name, STR("connection_reuse"))) {
		if (!conf_parse_bool(text, &p->reuse))
			return "connection_reuse= is yes or no";
	} else
		return take_external(r, name, text);
	return NULL;
}

/* "name=value", or "{ name = value with blanks }". */
static const char *
take_word(struct reading *r, struct str word)
{
	size_t eq;

	if (word.n >= 2 && word.p[0] == '{' && word.p[word.n - 1] == '}')
		word = str_trim((struct str){ word.p + 1, word.n - 2 });
	eq = str_chr(word, '=');
	if (r->p->level == LEVEL_NONE)
		return "level none has no attributes";
	if (eq == word.n || str_trim(str_from(word, eq + 1)).n == 0)
		return "an attribute is name=value";
	return take_attribute(r, str_trim(str_first(word, eq)),
	    str_trim(str_from(word, eq + 1)));
}

const char *
tls_policy_parse(const struct smtp_conf *c, struct str value, struct arena *a,
    struct tls_policy *p)
{
	struct reading r = { .arena = a, .p = p, .patterns = STR("") };
	enum tls_level level;
	const char *wrong;
	struct str word;

	if (!conf_list_next(&value, &word))
		return "no level";
	level = tls_level_parse(word);
	if (level == LEVEL_INVALID)
		return "unknown level";
	tls_policy_default(c, level, p);
	while (conf_list_next(&value, &word)) {
		wrong = take_word(&r, word);
		if (wrong != NULL)
			return wrong;
	}
	if (r.sts && r.match && r.patterns.n > 0 &&
	    c->tls_enforce_sts_mx_patterns) {
		p->mx_patterns = r.patterns;
		p->match = STR("hostname");
	}
	if ((level == LEVEL_FINGERPRINT || level == LEVEL_VERIFY ||
	    level == LEVEL_SECURE) && p->match.n == 0)
		return "nothing to match";
	return NULL;
}

bool
tls_mx_allowed(const struct tls_policy *p, struct str host)
{
	struct str rest = p->mx_patterns, pattern;
	size_t dot = str_chr(host, '.');

	if (rest.n == 0)
		return true;
	while (str_token(&rest, " ", &pattern))
		if (str_eq_nocase(pattern, host) || (pattern.n > 2 &&
		    str_starts(pattern, STR("*.")) && dot > 0 &&
		    str_eq_nocase(str_from(pattern, 1), str_from(host, dot))))
			return true;
	return false;
}

/* NONE over MAY, since it says more; else the stronger one. */
bool
tls_site_level(struct str word, enum tls_level *level)
{
	static const struct { const char *name; enum tls_level level; }
	    words[] = { { "NONE", LEVEL_NONE }, { "MAY", LEVEL_MAY },
		{ "MUST_NOPEERMATCH", LEVEL_ENCRYPT },
		{ "MUST", LEVEL_VERIFY } };

	for (size_t i = 0; i < nitems(words); i++) {
		if (!str_eq_nocase(word, str_of(words[i].name)))
			continue;
		if (words[i].level == LEVEL_NONE ? *level <= LEVEL_MAY :
		    words[i].level == LEVEL_MAY ? *level < LEVEL_NONE :
		    *level < words[i].level)
			*level = words[i].level;
		return true;
	}
	return false;
}
