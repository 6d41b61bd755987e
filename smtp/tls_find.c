/*
 * tls_find - which policy a server has: smtp_tls_policy_maps by its next hop,
 * else main.cf's; then TLSA records where it says dane (RFC 7672).
 *
 * TLSA records count only where the host's addresses, and the records, came
 * with DNSSEC's word: else dane is may, and dane-only has no mail sent.
 */
#include <stdarg.h>
#include <stdio.h>

#include "address/address.h"
#include "smtp/tls.h"

static void	ask_next(struct session *);
static void	ask_site(struct session *);
static void	on_anchors(void *ctx, enum found, struct str pem);
static void	without(struct session *, enum tls_level instead,
		    const char *why);
static void	on_policy(void *ctx, enum found, struct str value);
static void	found(struct session *);
static void	on_tlsa(void *ctx, const struct dns_answer *);

void
tls_refused(struct session *s, const char *dsn, const char *fmt, ...)
{
	struct why why;
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	why = why_printf(s->d, dsn, "%s", text);
	session_refused(s, &why);
}

void
tls_find(struct session *s)
{
	const struct smtp_conf *c = &s->smtp->conf;

	s->tls_policy = arena_alloc(s->arena, sizeof(*s->tls_policy));
	tls_policy_default(c, s->port == 0 ? LEVEL_NONE :
	    s->smtp->tls_level, s->tls_policy);
	if (s->port == 0 || s->smtp->tls == NULL) {
		s->tls_policy->level = LEVEL_NONE;
		found(s);
	} else if (s->smtp->tls_optional &&
	    (s->d->msg.flags & DELIVER_TLS_OPTIONAL) != 0) {
		/* RFC 8689 5; this connection is for this mail alone. */
		s->relaxed = true;
		if (s->smtp->tls_level > LEVEL_MAY)
			tls_policy_default(c, LEVEL_MAY, s->tls_policy);
		found(s);
	} else if (c->tls_policy_maps.n == 0 && c->tls_per_site.n == 0)
		found(s);
	else {
		s->policy_key = arena_str(s->arena, route_site(s->d));
		if (c->tls_policy_maps.n > 0)
			ask_next(s);
		else
			ask_site(s);
	}
}

void
tls_find_cancel(struct session *s)
{
	dns_cancel(&s->tlsa);
}

static const char *
maps_name(const struct session *s)
{
	return s->smtp->lmtp ? "lmtp_tls_policy_maps" : "smtp_tls_policy_maps";
}

/* The next hop as it is; of a domain also .parent, .tld. */
static void
ask_next(struct session *s)
{
	s->ask = ask_map(s->smtp, maps_name(s), MAP_KEY, s->policy_key,
	    on_policy, s);
}

static bool
next_key(struct session *s)
{
	struct str key = s->policy_key;
	size_t dot;

	if (key.n == 0 || key.p[0] == '[' ||
	    str_chr(key, ':') < key.n)
		return false;
	if (key.p[0] == '.')
		key = str_from(key, 1);
	dot = str_chr(key, '.');
	s->policy_key = str_from(key, dot);
	return s->policy_key.n > 1;
}

static void
on_policy(void *ctx, enum found result, struct str value)
{
	struct session *s = ctx;
	const char *wrong;

	s->ask = NULL;
	if (result == RETRY) {
		s->tls_policy->level = LEVEL_INVALID;
		tls_refused(s, "4.3.0", "TLS policy lookup error for " STRF,
		    STRV(route_site(s->d)));
		return;
	}
	if (result == NONE) {
		if (next_key(s))
			ask_next(s);
		else
			found(s);
		return;
	}
	wrong = tls_policy_parse(&s->smtp->conf, value, s->arena,
	    s->tls_policy);
	if (wrong == NULL && s->tls_policy->own_anchors) {
		s->ask = ask_map(s->smtp, maps_name(s), MAP_ANCHORS,
		    s->policy_key, on_anchors, s);
		return;
	}
	if (wrong == NULL) {
		found(s);
		return;
	}
	s->tls_policy->level = LEVEL_INVALID;
	log_warn("TLS policy for " STRF ": %s: " STRF,
	    STRV(route_site(s->d)), wrong, STRV(value));
	tls_refused(s, "4.7.5", "client TLS configuration problem");
}

static void
on_anchors(void *ctx, enum found result, struct str pem)
{
	struct session *s = ctx;
	struct tls_policy *p = s->tls_policy;
	struct tls_tlsa *v;
	struct buf why;

	s->ask = NULL;
	buf_init(&why, 1000);
	if (result == FOUND)
		p->nanchors = tls_anchors_read(pem, s->arena, &v, &why);
	if (p->nanchors == 0) {
		log_warn("TLS policy for " STRF ": tafile: %s",
		    STRV(route_site(s->d)), result != FOUND ?
		    "can't be read" : buf_cstr(&why));
		tls_refused(s, "4.7.5", "client TLS configuration problem");
	} else {
		p->anchors = v;
		found(s);
	}
	buf_free(&why);
}

/* --- smtp_tls_per_site: of the destination and of the host --- */

static void
on_site(void *ctx, enum found result, struct str value)
{
	struct session *s = ctx;
	enum tls_level level = (enum tls_level)s->site_level;

	s->ask = NULL;
	if (result == RETRY) {
		s->tls_policy->level = LEVEL_INVALID;
		tls_refused(s, "4.3.0", "Temporary lookup error");
		return;
	}
	if (result == FOUND && !tls_site_level(value, &level)) {
		log_warn("%s_tls_per_site: unknown TLS policy '" STRF "' for "
		    STRF, s->smtp->lmtp ? "lmtp" : "smtp", STRV(value),
		    STRV(s->policy_key));
		tls_refused(s, "4.7.5", "client TLS configuration problem");
		return;
	}
	s->site_level = level;
	if (!s->site_host && !str_eq_nocase(s->policy_key, s->host)) {
		s->site_host = true;
		s->policy_key = s->host;
		ask_site(s);
		return;
	}
	/* MAY is for many; what main.cf says may be more. */
	if (level == LEVEL_INVALID || (level == LEVEL_MAY &&
	    s->smtp->tls_level > LEVEL_MAY))
		level = (enum tls_level)s->smtp->tls_level;
	tls_policy_default(&s->smtp->conf, level, s->tls_policy);
	found(s);
}

static void
ask_site(struct session *s)
{
	s->ask = ask_map(s->smtp, s->smtp->lmtp ? "lmtp_tls_per_site" :
	    "smtp_tls_per_site", MAP_KEY, s->policy_key, on_site, s);
}

/* --- DANE --- */

static void
go(struct session *s)
{
	if (s->wrap)
		starttls_wrapped(s);
	else
		policy_go(s);
}

static void
ask_tlsa(struct session *s)
{
	s->tls_policy->base = s->tlsa_tries == 0 ?
	    arena_str(s->arena, route_canonical(s->d)) : s->host;
	s->tlsa = dns_ask(s->smtp->service, DNS_TLSA, str_of(arena_printf(
	    s->arena, "_%u._tcp." STRF, s->port,
	    STRV(s->tls_policy->base))), on_tlsa, s);
}

static void
on_probe(void *ctx, const struct dns_answer *a)
{
	struct smtp *smtp = ctx;
	struct str what = smtp->conf.dnssec_probe;

	if (a->found == RETRY) {
		smtp->probed = false;	/* it may be better next time */
		log_warn("DNSSEC validation may be unavailable: dnssec_probe '"
		    STRF "': " STRF, STRV(what), STRV(a->why));
	} else if (!a->secure)
		log_warn("DNSSEC validation may be unavailable: dnssec_probe '"
		    STRF "' received a response that is not DNSSEC validated",
		    STRV(what));
}

/* Is nothing signed, or does the resolver not look? Asked once. */
static void
probe(struct smtp *smtp)
{
	struct str what = smtp->conf.dnssec_probe;
	size_t colon = str_chr(what, ':');
	enum dns_type type;

	if (smtp->probed || what.n == 0)
		return;
	smtp->probed = true;
	if (colon == what.n || !dns_type_parse(str_first(what, colon), &type))
		log_warn("dnssec_probe: say type:name, not " STRF,
		    STRV(what));
	else
		(void)dns_ask(smtp->service, type, str_from(what, colon + 1),
		    on_probe, smtp);
}

/* The destination is not signed. */
static void
unsigned_host(struct session *s)
{
	probe(s->smtp);
	without(s, LEVEL_MAY, "non DNSSEC destination");
}

/* There are none that can be used: what stands in their place. */
static void
without(struct session *s, enum tls_level instead, const char *why)
{
	struct tls_policy *p = s->tls_policy;
	struct str name = p->servername;

	if (p->level == LEVEL_DANE_ONLY) {
		tls_refused(s, "4.7.5", "%s", why);
		return;
	}
	tls_policy_default(&s->smtp->conf, instead, p);
	p->servername = name;
	go(s);
}

static void
found(struct session *s)
{
	struct tls_policy *p = s->tls_policy;
	struct str insecure = s->smtp->conf.tls_dane_insecure_mx_policy;
	bool mx_secure = true;

	if (!tls_mx_allowed(p, s->host)) {
		log_warn("MX name '" STRF "' does not match STS MX pattern for '"
		    STRF "'", STRV(s->host), STRV(p->mx_domain));
		tls_refused(s, "4.7.5", "MX name " STRF " does not match the "
		    "MTA-STS policy of " STRF, STRV(s->host),
		    STRV(p->mx_domain));
		return;
	}
	if (s->wrap && p->level < LEVEL_ENCRYPT)
		tls_policy_default(&s->smtp->conf, LEVEL_ENCRYPT, p);
	if (p->level != LEVEL_DANE && p->level != LEVEL_DANE_ONLY) {
		go(s);
		return;
	}
	if ((!route_secure(s->d, &mx_secure) &&
	    !s->smtp->conf.tls_force_insecure_host_tlsa_lookup) ||
	    (!mx_secure && (p->level == LEVEL_DANE_ONLY ||
	    str_eq_nocase(insecure, STR("may"))))) {
		unsigned_host(s);
		return;
	}
	s->forged_mx = !mx_secure;
	s->insecure_mx = !mx_secure &&
	    str_eq_nocase(insecure, STR("encrypt"));
	ask_tlsa(s);
}

static void
take_tlsa(struct session *s, const struct dns_answer *a)
{
	struct tls_policy *p = s->tls_policy;
	struct str digests = conf_get(service_conf(s->smtp->service),
	    "tls_dane_digests");

	for (size_t i = 0; i < a->n && p->ntlsa < TLSA_MAX; i++) {
		const struct dns_record *r = &a->records[i];
		struct tls_tlsa t = { .usage = r->usage,
			.selector = r->selector, .matching = r->matching,
			.data = r->data };

		if (!tls_tlsa_usable(&t, digests))
			continue;
		t.data = arena_str(s->arena, r->data);
		p->tlsa[p->ntlsa++] = t;
	}
}

static void
on_tlsa(void *ctx, const struct dns_answer *all)
{
	struct session *s = ctx;
	struct tls_policy *p = s->tls_policy;
	const struct dns_answer few = smtp_filtered(s->smtp, all, s->arena);
	const struct dns_answer *a = &few;

	s->tlsa = NULL;
	if (a->found == RETRY) {
		tls_refused(s, "4.7.5", "TLSA lookup error for " STRF ":%u",
		    STRV(p->base), s->port);
		return;
	}
	/* RFC 7672 2.1.3: where an alias leads, then the name itself. */
	if (a->found == NONE && s->tlsa_tries++ == 0 &&
	    !str_eq_nocase(p->base, s->host)) {
		ask_tlsa(s);
		return;
	}
	if (a->found == NONE || !a->secure) {
		without(s, LEVEL_MAY, "no TLSA records found");
		return;
	}
	take_tlsa(s, a);
	if (p->ntlsa == 0 || s->insecure_mx)
		without(s, LEVEL_ENCRYPT, "all TLSA records are unusable");
	else
		go(s);
}
