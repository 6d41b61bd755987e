/*
 * tls_policy - levels and policies in Postfix's words: smtp_tls_security_level
 * and the values of smtp_tls_policy_maps (TLS_README, "Client-side policy").
 *
 *   value = level *(SP name "=" text)	lists within a text: ":" between
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

static const char *
take_attribute(struct arena *a, struct tls_policy *p, struct str name,
    struct str text, bool *given)
{
	/* Of reports and of what we have no use for. */
	static const char *const others[] = { "policy_type", "policy_domain",
		"policy_ttl", "policy_string", "policy_failure",
		"mx_host_pattern", "enable_rpk" };

	text = arena_str(a, text);
	if (str_eq_nocase(name, STR("match"))) {
		if (p->level == LEVEL_NONE || p->level == LEVEL_MAY ||
		    p->level == LEVEL_ENCRYPT || p->level == LEVEL_DANE ||
		    p->level == LEVEL_DANE_ONLY)
			return "match= needs level fingerprint, verify or "
			    "secure";
		add_match(a, p, text, given);
	} else if (str_eq_nocase(name, STR("protocols")))
		p->protocols = text;
	else if (str_eq_nocase(name, STR("ciphers")))
		p->grade = text;
	else if (str_eq_nocase(name, STR("exclude")))
		p->exclude = str_of(arena_printf(a, STRF ":" STRF,
		    STRV(p->exclude), STRV(text)));
	else if (str_eq_nocase(name, STR("servername")))
		p->servername = text;
	else if (str_eq_nocase(name, STR("connection_reuse"))) {
		if (!conf_parse_bool(text, &p->reuse))
			return "connection_reuse= is yes or no";
	} else {
		for (size_t i = 0; i < nitems(others); i++)
			if (str_eq_nocase(name, str_of(others[i])))
				return NULL;
		return "unknown attribute";
	}
	return NULL;
}

const char *
tls_policy_parse(const struct smtp_conf *c, struct str value, struct arena *a,
    struct tls_policy *p)
{
	enum tls_level level;
	bool given = false;
	const char *wrong;
	struct str word;

	if (!str_token(&value, ", \t\r\n", &word))
		return "no level";
	level = tls_level_parse(word);
	if (level == LEVEL_INVALID)
		return "unknown level";
	tls_policy_default(c, level, p);
	while (str_token(&value, ", \t\r\n", &word)) {
		size_t eq = str_chr(word, '=');

		if (level == LEVEL_NONE)
			return "level none has no attributes";
		if (eq == word.n || eq + 1 == word.n)
			return "an attribute is name=value";
		wrong = take_attribute(a, p, str_first(word, eq),
		    str_from(word, eq + 1), &given);
		if (wrong != NULL)
			return wrong;
	}
	if ((level == LEVEL_FINGERPRINT || level == LEVEL_VERIFY ||
	    level == LEVEL_SECURE) && p->match.n == 0)
		return "nothing to match";
	return NULL;
}
