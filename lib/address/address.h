/*
 * address - RFC 5321 paths and RFC 5322 address lists.
 *
 * Inside Postern an address is in internal form: local part without quotes
 * or backslashes, '@', domain; it splits at its last '@'. It never holds
 * NUL, CR, LF. Quoting happens where it leaves: in a command, a header.
 */
#ifndef ADDRESS_ADDRESS_H
#define ADDRESS_ADDRESS_H
#include "base/base.h"

#define ADDRESS_MAX	1000	/* bytes of an internal-form address */

struct str	 address_local(struct str addr);	/* all, without '@' */
struct str	 address_domain(struct str addr);	/* "" without '@' */
/*
 * Takes off +extension: user+a+b by "+" gives user and a+b (the first
 * delimiter byte that stands in addr counts). Never for mailer-daemon,
 * postmaster, double-bounce, owner-x, x-request (Postfix's split_addr).
 */
struct str	 address_split(struct str local, struct str delimiters,
		    struct str *extension);

enum path_error { PATH_OK, PATH_SYNTAX, PATH_TOO_LONG, PATH_NOT_ASCII };
/*
 * Reads the path at the start of *in ("<@a,@b:user@dom>", "<>"), leaving
 * what follows. Source routes are dropped (RFC 5321 appendix F.2), quotes
 * removed. strict: no bare address without <> (strict_rfc821_envelopes).
 */
enum path_error	 address_read_path(struct str *in, bool strict, bool utf8,
		    struct arena *, struct str *addr);
/* Valid domain name: labels of 1-63, letters digits - _, RFC 1035 2.3.1. */
bool		 address_hostname_valid(struct str);
/* "[127.0.0.1]", "[IPv6:::1]": the address inside, or false. */
bool		 address_literal(struct str domain, struct str *addr);

/*
 * The domain as DNS has it: lower case, A-labels (RFC 5890). False: it has
 * no such form.
 */
bool		 address_domain_ascii(struct str, struct buf *out);

/* Local part quoted where it must be. 821: for commands; 822: headers. */
void		 address_quote_821(struct str addr, struct buf *out);
void		 address_quote_822(struct str addr, struct buf *out);

/*
 * RFC 5322 3.4 address-list as the wild has it: comments, groups, routes,
 * quoted names. Next address of *rest in internal form; false at the end.
 */
bool		 address_list_next(struct str *rest, struct arena *,
		    struct str *addr);
/* The phrase and address of one mailbox, for From: and -f "Name <a>". */
bool		 address_read_mailbox(struct str, struct arena *,
		    struct str *phrase, struct str *addr);

/*
 * VERP: list@here, "+=" and user@there make list+user=there@here. ok: two
 * bytes, each of filter.
 */
bool		 address_verp_ok(struct str delimiters, struct str filter);
void		 address_verp(struct str delimiters, struct str sender,
		    struct str rcpt, struct buf *out);

/* xtext of RFC 3461 4: false where it is malformed. */
bool		 xtext_decode(struct str, struct arena *, struct str *out);
void		 xtext_encode(struct str, struct buf *out);

/*
 * An IP address as text: family AF_INET, AF_INET6, or 0 where it is none.
 * ::ffff:a.b.c.d is read as a.b.c.d.
 */
int		 ip_parse(struct str, uint8_t out[16]);
/* "192.0.2.0/24", "[2001:db8::]/32", "10.0.0.1": does addr stand in it? */
bool		 ip_in_net(const uint8_t addr[16], int family, struct str net,
		    bool *valid);
void		 ip_mask_print(const uint8_t addr[16], int family,
		    unsigned prefix, struct buf *out);
#endif
