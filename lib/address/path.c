/*
 * path - the argument of MAIL FROM and RCPT TO.
 *
 * RFC 5321 4.1.2:
 *   Path          = "<" [ A-d-l ":" ] Mailbox ">"
 *   A-d-l         = At-domain *( "," At-domain )
 *   At-domain     = "@" Domain
 *   Mailbox       = Local-part "@" ( Domain / address-literal )
 *   Local-part    = Dot-string / Quoted-string
 *   Quoted-string = DQUOTE *( qtextSMTP / "\" %d32-126 ) DQUOTE
 * RFC 6531 3.3 adds UTF-8 to Atom, qtext and Domain. As Postfix does, dots
 * may stand anywhere in a local part, and a domain may be left out.
 */
#include "address/internal.h"

void
draft_putc(struct draft *d, char c)
{
	if (d->n == sizeof(d->p)) {
		d->full = true;
		return;
	}
	if (byte_is_control(c))
		d->bad = true;
	d->p[d->n++] = c;
}

static bool
take(struct str *in, char c)
{
	if (in->n == 0 || in->p[0] != c)
		return false;
	*in = str_from(*in, 1);
	return true;
}

static void
take_blanks(struct str *in)
{
	while (take(in, ' '))
		;
}

/* Quoted-string, its quotes and backslashes taken off. */
static bool
read_quoted(struct str *in, struct draft *d)
{
	while (in->n > 0 && !take(in, '"')) {
		if (take(in, '\\') && in->n == 0)
			return false;
		if (in->p[0] == '@')
			d->hidden_at = true;
		draft_putc(d, in->p[0]);
		*in = str_from(*in, 1);
		if (in->n == 0)
			return false;
	}
	return true;
}

static bool
read_local(struct str *in, struct draft *d)
{
	size_t begin = in->n;

	while (in->n > 0) {
		if (take(in, '"')) {
			if (in->n == 0 || !read_quoted(in, d))
				return false;
			continue;
		}
		if (take(in, '\\')) {
			if (in->n == 0)
				return false;
			if (in->p[0] == '@')
				d->hidden_at = true;
		} else if (byte_is_special(in->p[0])) {
			break;
		}
		draft_putc(d, in->p[0]);
		*in = str_from(*in, 1);
	}
	return in->n < begin && d->n > 0;	/* not "" either */
}

/* A Domain or address-literal, checked; *domain is what stood there. */
static bool
read_domain(struct str *in, bool utf8, struct str *domain)
{
	struct str inner, name;
	size_t n = 0;

	if (in->n > 0 && in->p[0] == '[') {
		n = str_chr(*in, ']');
		if (n == in->n)
			return false;
		*domain = str_first(*in, n + 1);
		*in = str_from(*in, n + 1);
		return address_literal(*domain, &inner);
	}
	while (n < in->n && !byte_is_special(in->p[n]))
		n++;
	name = str_first(*in, n);
	*in = str_from(*in, n);
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;			/* the DNS root's dot */
	*domain = name;
	return hostname_valid(name, utf8);
}

/* RFC 5321 appendix F.2: a server must accept routes and may ignore them. */
static bool
skip_route(struct str *in)
{
	struct str domain;

	do {
		take_blanks(in);
		if (!take(in, '@') || !read_domain(in, true, &domain))
			return false;
	} while (take(in, ','));
	if (!take(in, ':'))
		return false;
	take_blanks(in);
	return true;
}

static bool
read_mailbox(struct str *in, struct draft *d)
{
	struct str domain;

	if (in->n > 0 && in->p[0] == '@' && !skip_route(in))
		return false;
	if (!read_local(in, d))
		return false;
	if (!take(in, '@'))
		/* Without a domain a quoted '@' would read as one. */
		return !d->hidden_at;
	if (!read_domain(in, true, &domain))
		return false;
	draft_putc(d, '@');
	for (size_t i = 0; i < domain.n; i++)
		draft_putc(d, domain.p[i]);
	return true;
}

static bool
has_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return true;
	return false;
}

enum path_error
address_read_path(struct str *in, bool strict, bool utf8, struct arena *a,
    struct str *addr)
{
	struct draft d = { .n = 0 };
	struct str rest = *in, got;
	bool angle;

	*addr = STR("");
	if (!strict)
		take_blanks(&rest);
	angle = take(&rest, '<');
	if (!angle && strict)
		return PATH_SYNTAX;
	if (angle && !strict)
		take_blanks(&rest);
	if (!(angle && rest.n > 0 && rest.p[0] == '>') &&
	    !read_mailbox(&rest, &d))
		return d.full ? PATH_TOO_LONG : PATH_SYNTAX;
	if (angle) {
		if (!strict)
			take_blanks(&rest);
		if (!take(&rest, '>') && (strict || rest.n > 0))
			return PATH_SYNTAX;
	}
	if (rest.n > 0 && rest.p[0] != ' ' && rest.p[0] != '\t')
		return PATH_SYNTAX;
	if (d.full)
		return PATH_TOO_LONG;
	got = (struct str){ d.p, d.n };
	if (d.bad || !utf8_valid(got))
		return PATH_SYNTAX;
	if (!utf8 && has_8bit(got))
		return PATH_NOT_ASCII;
	*addr = arena_str(a, got);
	*in = rest;
	return PATH_OK;
}
