/*
 * xclient - XCLIENT and XFORWARD: what a trusted client says of its own
 * client (Postfix's XCLIENT_README, XFORWARD_README).
 *
 * XCLIENT stands in for the client in all that follows, from a new greeting
 * on; XFORWARD is for logs and for the next hop alone, for one message. Each
 * is for addresses of its list only. All attributes are read before one
 * counts; values are xtext (RFC 3461 4).
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "address/address.h"
#include "smtpd/smtpd.h"

#define VALUE_MAX	255
#define SAID_MEMORY	65536

/* One attribute: NULL, or what is wrong with it. */
struct attribute {
	const char *name;
	bool	    for_xclient, for_xforward;
	bool	  (*read)(struct session *, struct said *, struct str value);
};

static bool	read_name(struct session *, struct said *, struct str);
static bool	read_reverse(struct session *, struct said *, struct str);
static bool	read_addr(struct session *, struct said *, struct str);
static bool	read_port(struct session *, struct said *, struct str);
static bool	read_helo(struct session *, struct said *, struct str);
static bool	read_proto(struct session *, struct said *, struct str);
static bool	read_login(struct session *, struct said *, struct str);
static bool	read_destaddr(struct session *, struct said *, struct str);
static bool	read_destport(struct session *, struct said *, struct str);
static bool	read_ident(struct session *, struct said *, struct str);
static bool	read_source(struct session *, struct said *, struct str);

static const struct attribute attributes[] = {
	/* In the order in which EHLO names them. */
	{ "NAME", true, true, read_name },
	{ "ADDR", true, true, read_addr },
	{ "PROTO", true, true, read_proto },
	{ "HELO", true, true, read_helo },
	{ "REVERSE_NAME", true, false, read_reverse },
	{ "PORT", true, true, read_port },
	{ "LOGIN", true, false, read_login },
	{ "DESTADDR", true, false, read_destaddr },
	{ "DESTPORT", true, false, read_destport },
	{ "SOURCE", false, true, read_source },
	{ "IDENT", false, true, read_ident },
};

static struct said *said_new(void);
static bool	read_all(struct session *, struct str arg, bool xforward,
		    struct said *);
static void	become(struct session *, const struct said *);

bool
xclient_allowed(const struct session *s)
{
	return match_list_addr(s->smtpd->xclient_hosts, s->name, s->addr) ==
	    FOUND;
}

bool
xforward_allowed(const struct session *s)
{
	return match_list_addr(s->smtpd->xforward_hosts, s->name, s->addr) ==
	    FOUND;
}

void
xclient_names(bool xforward, struct buf *out)
{
	for (size_t i = 0; i < nitems(attributes); i++)
		if (xforward ? attributes[i].for_xforward :
		    attributes[i].for_xclient)
			buf_printf(out, " %s", attributes[i].name);
}

void
cmd_xclient(struct session *s, struct str arg)
{
	struct said *said;

	if (arg.n == 0) {
		reply(s, "501 5.5.4 Syntax: XCLIENT attribute=value...");
		return;
	}
	if (!xclient_allowed(s)) {
		reply(s, "550 5.7.0 Error: insufficient authorization");
		return;
	}
	said = said_new();
	if (!read_all(s, arg, false, said)) {
		said_free(&said);
		return;
	}
	transaction_reset(s);
	xforward_reset(s);
	become(s, said);
	said_free(&s->said);		/* of the XCLIENT before */
	s->said = said;
	wait_begin(s);
	session_greet(s);
}

void
cmd_xforward(struct session *s, struct str arg)
{
	if (arg.n == 0) {
		reply(s, "501 5.5.4 Syntax: XFORWARD attribute=value...");
		return;
	}
	if (!xforward_allowed(s)) {
		reply(s, "550 5.7.0 Error: insufficient authorization");
		return;
	}
	/* More than one command may bring them. */
	if (s->forwarded == NULL)
		s->forwarded = said_new();
	if (arena_used(s->forwarded->arena) > SAID_MEMORY / 2) {
		reply(s, "501 5.5.4 Error: too many XFORWARD attributes");
		return;
	}
	if (read_all(s, arg, true, s->forwarded))
		reply(s, "250 2.0.0 Ok");
}

void
xforward_reset(struct session *s)
{
	said_free(&s->forwarded);
}

static struct said *
said_new(void)
{
	struct arena *a = arena_new(SAID_MEMORY);
	struct said *said = arena_alloc(a, sizeof(*said));

	said->arena = a;
	return said;
}

void
said_free(struct said **said)
{
	struct arena *a = *said != NULL ? (*said)->arena : NULL;

	*said = NULL;
	arena_free(&a);
}

static bool
read_all(struct session *s, struct str arg, bool xforward, struct said *said)
{
	const char *verb = xforward ? "XFORWARD" : "XCLIENT";
	struct str name, value, text;
	size_t i;

	while (str_token(&arg, " ", &text)) {
		name = str_first(text, str_chr(text, '='));
		value = str_from(text, name.n + 1);
		if (value.n == 0) {
			reply(s, "501 5.5.4 Error: attribute=value expected");
			return false;
		}
		if (value.n > VALUE_MAX) {
			reply(s, "501 5.5.4 Error: attribute value too long");
			return false;
		}
		if (!xtext_decode(value, said->arena, &text))
			text = arena_str(said->arena, value);
		for (i = 0; i < nitems(attributes); i++)
			if (str_eq_nocase(name, str_of(attributes[i].name)) &&
			    (xforward ? attributes[i].for_xforward :
			    attributes[i].for_xclient))
				break;
		if (i == nitems(attributes)) {
			reply(s, "501 5.5.4 Bad %s attribute name: " STRF,
			    verb, STRV(name));
			return false;
		}
		if (!attributes[i].read(s, said, text)) {
			reply(s, "501 5.5.4 Bad %s syntax: " STRF,
			    attributes[i].name, STRV(text));
			return false;
		}
	}
	return true;
}

static bool
unavailable(struct str value)
{
	return str_eq_nocase(value, STR("[UNAVAILABLE]"));
}

/* Printable, and nothing that means something in a header. */
static struct str
neutered(struct said *said, struct str value)
{
	static const struct str bad = { " <>()\\\";@", 9 };
	char *p = arena_cstr(said->arena, value);

	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 127 ||
		    str_chr(bad, p[i]) < bad.n)
			p[i] = '?';
	return (struct str){ p, value.n };
}

static bool
read_host(struct str value, struct str *name, enum found *found)
{
	*found = FOUND;
	*name = value;
	if (unavailable(value))
		*found = NONE;
	else if (str_eq_nocase(value, STR("[TEMPUNAVAIL]")))
		*found = RETRY;
	if (*found != FOUND)
		*name = STR("unknown");
	return *found != FOUND || address_hostname_valid(value);
}

static bool
read_name(struct session *s, struct said *said, struct str value)
{
	(void)s;
	return read_host(value, &said->name, &said->name_found);
}

static bool
read_reverse(struct session *s, struct said *said, struct str value)
{
	(void)s;
	return read_host(value, &said->reverse, &said->reverse_found);
}

static bool
read_address(struct said *said, struct str value, struct str *addr)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	int family;

	if (unavailable(value)) {
		*addr = STR("unknown");
		return true;
	}
	if (str_starts_nocase(value, STR("IPV6:")))
		value = str_from(value, 5);
	family = ip_parse(value, bytes);
	/* As we print it: tables and counts know one form. */
	if (family == 0 ||
	    inet_ntop(family, bytes, text, sizeof(text)) == NULL)
		return false;
	*addr = arena_str(said->arena, str_of(text));
	return true;
}

static bool
read_addr(struct session *s, struct said *said, struct str value)
{
	(void)s;
	return read_address(said, value, &said->addr);
}

static bool
read_destaddr(struct session *s, struct said *said, struct str value)
{
	(void)s;
	return read_address(said, value, &said->server_addr);
}

static bool
port_of(struct str value, struct str *port)
{
	uint64_t n;

	*port = unavailable(value) ? STR("unknown") : value;
	return unavailable(value) || (value.n <= 5 && str_number(value, &n) &&
	    n <= 65535);
}

static bool
read_port(struct session *s, struct said *said, struct str value)
{
	(void)s;
	return port_of(value, &said->port);
}

static bool
read_destport(struct session *s, struct said *said, struct str value)
{
	(void)s;
	return port_of(value, &said->server_port);
}

static bool
read_helo(struct session *s, struct said *said, struct str value)
{
	(void)s;
	said->helo = unavailable(value) ? STR("unknown") :
	    neutered(said, value);
	return true;
}

static bool
read_proto(struct session *s, struct said *said, struct str value)
{
	(void)s;
	said->proto = unavailable(value) ? STR("unknown") :
	    neutered(said, value);
	return str_eq_nocase(value, STR("SMTP")) ||
	    str_eq_nocase(value, STR("ESMTP")) || unavailable(value);
}

static bool
read_login(struct session *s, struct said *said, struct str value)
{
	(void)s;
	said->login = unavailable(value) ? STR("") : value;
	return true;
}

static bool
read_ident(struct session *s, struct said *said, struct str value)
{
	(void)s;
	said->ident = unavailable(value) ? STR("") : neutered(said, value);
	return true;
}

static bool
read_source(struct session *s, struct said *said, struct str value)
{
	(void)s;
	said->source = str_eq_nocase(value, STR("LOCAL")) ? STR("LOCAL") :
	    str_eq_nocase(value, STR("REMOTE")) ? STR("REMOTE") : STR("");
	return said->source.n > 0 || unavailable(value);
}

/* From here on this session is that client's. */
static void
become(struct session *s, const struct said *said)
{
	struct buf shown;

	if (said->name.n > 0) {
		s->name = said->name;
		s->name_found = said->name_found;
		if (said->name_found == FOUND) {
			s->reverse_name = said->name;
			s->reverse_found = FOUND;
		}
	}
	if (said->reverse.n > 0) {
		s->reverse_name = said->reverse;
		s->reverse_found = said->reverse_found;
	}
	if (said->addr.n > 0)
		s->addr = said->addr;
	if (said->port.n > 0)
		s->port = said->port;
	if (said->server_addr.n > 0)
		s->server_addr = said->server_addr;
	if (said->server_port.n > 0)
		s->server_port = said->server_port;
	keep(&s->helo, said->helo);
	s->esmtp = said->proto.n > 0 &&
	    str_eq_nocase(said->proto, STR("ESMTP"));
	auth_cancel(s);
	if (said->login.n > 0) {
		buf_init(&shown, 1024);
		log_escape(said->login, &shown);
		keep(&s->sasl_user, buf_view(&shown));
		keep(&s->sasl_method, STR("XCLIENT"));
		buf_free(&shown);
	}
	peer_known(s);
}
