/*
 * dns - typed questions to resolve, the one process that speaks DNS.
 *
 * Nothing here sends a packet or opens a file: a question is a talk to
 * resolve, whose cache serves all processes. Names are given and returned in
 * A-label form, lower case, without a last dot. Failure is never absence: an
 * answer is FOUND, NONE (no such name, or no such records) or RETRY.
 */
#ifndef DNS_DNS_H
#define DNS_DNS_H
#include <sys/socket.h>
#include "base/base.h"
#include "service/service.h"
#include "table/table.h"

enum dns_type {			/* RFC 1035 3.2.2, 3596, 2782, 6698 */
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15,
	DNS_TXT = 16, DNS_AAAA = 28, DNS_SRV = 33, DNS_TLSA = 52,
};
#define DNS_NAME_MAX	255
#define DNS_RECORDS_MAX	100	/* in one answer; more are cut, logged */

struct dns_record {
	enum dns_type type;
	uint32_t   ttl_s;
	unsigned   preference;		/* MX; of SRV the priority */
	unsigned   weight, port;	/* SRV: RFC 2782 */
	unsigned   usage, selector, matching; /* TLSA: RFC 6698 2.1 */
	/* A, AAAA: 4, 16 bytes. MX, SRV, NS, PTR, CNAME: a name ("" is the root).
	 * TXT: its strings joined. TLSA: the association data. */
	struct str data;
};
struct dns_answer {			/* lives while the callback runs */
	enum found found;
	bool	   nxdomain;		/* NONE: the name itself is not there */
	bool	   secure;		/* AD, from a resolver on loopback */
	bool	   filtered;		/* RETRY: dns_filter() left nothing */
	struct str name;		/* canonical: after CNAMEs */
	const struct dns_record *records; /* of the type asked for */
	size_t	   n;
	struct str why;			/* NONE, RETRY: as Postfix says it, "Host
					 * or domain name not found. Name service
					 * error for name=x type=MX: ..." */
};
/* "MX", in any case. */
bool		 dns_type_parse(struct str name, enum dns_type *) MUST_USE;

typedef void dns_fn(void *ctx, const struct dns_answer *);

/*
 * Asks; fn is called once, from the loop, never from within dns_ask. A name
 * that is no host name (RFC 1123 2.1, underscores allowed) is NONE without a
 * packet. The deadline is resolve's own; a resolve that dies is RETRY.
 */
struct dns_query;
struct dns_query *dns_ask(struct service *, enum dns_type, struct str name,
		    dns_fn *fn, void *ctx);
void		 dns_cancel(struct dns_query **);	/* NULL is fine */
/*
 * The answer without the records that the tables of a *_dns_reply_filter say
 * IGNORE to; RETRY where they leave nothing (filtered), or make no sense.
 * title: the parameter, for warnings. Texts are the answer's or the arena's.
 */
void		 dns_filter(struct tables *, const char *title,
		    const struct dns_answer *, struct arena *,
		    struct dns_answer *out);
/* RFC 7505: "MX 0 .", which no filter takes away. */
bool		 dns_null_mx(const struct dns_answer *);

/*
 * All addresses of a host: records are DNS_A and DNS_AAAA, in no order that
 * means anything; an address as text is its own answer. DNS_HOSTS asks
 * /etc/hosts (as resolve read it) too, in the order of the flags' names in
 * smtp_host_lookup. FOUND where any family has one; RETRY where none has and
 * one could not be asked; secure where both answers were.
 */
enum { DNS_V4 = 1 << 0, DNS_V6 = 1 << 1, DNS_HOSTS_FIRST = 1 << 2,
	DNS_HOSTS_LAST = 1 << 3, DNS_HOSTS_ONLY = 1 << 4 };
struct dns_query *dns_ask_host(struct service *, struct str name,
		    unsigned flags, dns_fn *fn, void *ctx);

/*
 * The name of a client: PTR, then whether the name leads back to the
 * address; /etc/hosts comes first, as with Postfix's native lookups. Without
 * verify name is reverse. FOUND, forward_found and no name: a forged PTR.
 */
struct dns_client {
	enum found name_found;		/* verified name; NONE: unknown */
	enum found reverse_found;	/* the PTR name alone */
	enum found forward_found;	/* that name's addresses */
	struct str name, reverse;	/* "unknown" where not found */
	bool	   nxdomain;		/* forward_found NONE: no such name */
};
struct dns_query *dns_ask_client(struct service *,
		    const struct sockaddr_storage *, bool verify,
		    void (*fn)(void *ctx, const struct dns_client *),
		    void *ctx);
#endif
