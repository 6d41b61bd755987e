/*
 * hello - the greeting, EHLO, HELO, LHLO: what a server can, and whether it
 * wants our mail. RFC 5321 3.1, 3.2, 4.2; RFC 2033 4.1.
 */
#include "smtp/smtp.h"

static void	read_offer(struct session *);
static void	on_discard(void *ctx, enum found, struct str value);
static void	on_pix(void *ctx, enum found, struct str value);

/* "220 **************": a PIX firewall has blotted it out. */
static bool
is_blotted(struct str text)
{
	bool star = false;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '2' && text.p[i] != '0' && text.p[i] != ' ' &&
		    text.p[i] != '*')
			return false;
		star |= text.p[i] == '*';
	}
	return star;
}

static unsigned
pix_bits(struct session *s, struct str words)
{
	unsigned bits = 0;
	struct str word;

	while (str_token(&words, ", \t", &word)) {
		if (str_eq_nocase(word, STR("disable_esmtp")))
			bits |= PIX_NO_ESMTP;
		else if (str_eq_nocase(word, STR("delay_dotcrlf")))
			bits |= PIX_DELAY_DOT;
		else
			log_warn("unknown PIX workaround: " STRF " for " STRF,
			    STRV(word), STRV(s->name));
	}
	return bits;
}

static void
say_hello(struct session *s)
{
	const struct smtp_conf *c = &s->smtp->conf;
	struct str text = buf_view(&s->reply.text), word;
	bool ehlo = c->always_send_ehlo;

	while (str_token(&text, " \t\n", &word))
		ehlo |= str_eq_nocase(word, STR("ESMTP"));
	if (c->never_send_ehlo || (s->pix & PIX_NO_ESMTP) != 0)
		ehlo = false;
	hello_send(s, ehlo);
}

void
on_greeting(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	const struct smtp_conf *c = &s->smtp->conf;
	struct why why;

	(void)a;
	if (r->code / 100 != 2) {
		why = why_reply(s, r, NULL);
		why.down = true;
		/* A host that has no mail service may have a better neighbour. */
		if (r->code / 100 != 5)
			why.dsn = r->code / 100 == 4 ? why.dsn : STR("4.5.0");
		else if (c->skip_5xx_greeting)
			why.dsn = str_of(arena_printf(s->d->arena, "4" STRF,
			    STRV(str_from(why.dsn, 1))));
		session_refused(s, &why);
		return;
	}
	if (!is_blotted(buf_view(&r->text))) {
		say_hello(s);
		return;
	}
	if (c->pix_workaround_maps.n == 0) {
		s->pix = pix_bits(s, c->pix_workarounds);
		say_hello(s);
		return;
	}
	s->ask = ask_map(s->smtp, s->smtp->lmtp ? "lmtp_pix_workaround_maps" :
	    "smtp_pix_workaround_maps", MAP_KEY, s->addr, on_pix, s);
}

static void
on_pix(void *ctx, enum found found, struct str value)
{
	struct session *s = ctx;

	s->ask = NULL;
	s->pix = found == FOUND ? pix_bits(s, value) : 0;
	say_hello(s);
}

void
hello_send(struct session *s, bool ehlo)
{
	enum state state = s->smtp->lmtp ? LHLO : ehlo ? EHLO : HELO;
	const char *verb = s->smtp->lmtp ? "LHLO" : ehlo ? "EHLO" : "HELO";

	s->esmtp = state != HELO;
	session_say(s, "%s " STRF, verb, STRV(s->smtp->conf.helo_name));
	session_await(s, state, 0);
	session_flush(s);
}

void
on_hello(struct session *s, struct awaited a, const struct esmtp_reply *r)
{
	struct why why;

	if (r->code / 100 == 2) {
		if (s->smtp->conf.discard_keyword_maps.n == 0 || !s->esmtp)
			read_offer(s);
		else
			s->ask = ask_map(s->smtp, s->smtp->lmtp ?
			    "lmtp_discard_lhlo_keyword_address_maps" :
			    "smtp_discard_ehlo_keyword_address_maps", MAP_KEY,
			    s->addr, on_discard, s);
		return;
	}
	/* RFC 5321 3.2: a server without EHLO may know HELO. */
	if (a.state == EHLO && r->code / 100 == 5) {
		hello_send(s, false);
		return;
	}
	why = why_reply(s, r, NULL);
	why.down = true;
	session_refused(s, &why);
}

static void
on_discard(void *ctx, enum found found, struct str value)
{
	struct session *s = ctx;
	unsigned common = s->smtp->discard;
	struct str unknown;

	s->ask = NULL;
	if (found == RETRY) {
		struct why why = why_printf(s->d, "4.3.0",
		    "table lookup problem");

		session_refused(s, &why);
		return;
	}
	s->discard = common;
	if (found == FOUND)
		s->discard = esmtp_offer_bits(value, &unknown);
	s->discard_known = true;
	read_offer(s);
}

/* The text is still that of the reply to EHLO. */
static void
read_offer(struct session *s)
{
	struct why why;

	if (s->esmtp)
		esmtp_offer_read(buf_view(&s->reply.text), s->discard_known ?
		    s->discard : s->smtp->discard, &s->offer);
	else {
		esmtp_offer_read(buf_view(&s->reply.text), 0, &s->offer);
		s->offer.features = 0;
		s->offer.size_max = 0;
	}
	s->offer.auth = arena_str(s->arena, s->offer.auth);
	if (route_may_loop(s->d) && s->port != 0 &&
	    str_eq_nocase(s->offer.name, s->smtp->myhostname)) {
		log_warn("host " STRF " greeted me with my own hostname "
		    STRF, STRV(s->name), STRV(s->offer.name));
		/* Not a best MX: that one may take it later. */
		why = why_printf(s->d, route_is_best(s->d) ? "5.4.6" : "4.4.6",
		    "mail for " STRF " loops back to myself",
		    STRV(s->d->msg.nexthop));
		session_refused(s, &why);
		return;
	}
	s->offer.name = STR("");	/* it was of the reply */
	if (!policy_next(s))
		hello_over(s);
}

void
hello_over(struct session *s)
{
	s->d->connected_us = clock_wall_us();
	s->spoken = true;
	route_spoken(s->d);
	transaction_begin(s);
}
