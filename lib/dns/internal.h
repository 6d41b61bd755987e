/*
 * dns, inside: names, and records as they travel from resolve to those who
 * ask. What asks and what answers share this; c-ares is in wire.c alone.
 */
#ifndef DNS_INTERNAL_H
#define DNS_INTERNAL_H
#include "dns/dns.h"

#define DNS_BYTES_MAX	32768	/* packed records of one answer */
#define DNS_ASK_HOSTS	(DNS_HOSTS_FIRST | DNS_HOSTS_LAST | DNS_HOSTS_ONLY)

/*
 * "WWW.Example.COM." as "www.example.com"; "." as "". False: RFC 1035 2.3.4
 * or the letters of RFC 1123 2.1 (and '_') do not allow it.
 */
bool		 dns_name_canon(struct str, struct buf *out);
/* "1.2.0.192.in-addr.arpa" (RFC 1035 3.5), "...ip6.arpa" (RFC 3596 2.5). */
void		 dns_name_reverse(const uint8_t addr[16], int family,
		    struct buf *out);
const char	*dns_type_name(enum dns_type);		/* "MX", NULL: none */

/* Postfix's words for what was not found: see dns.h, why. */
enum dns_lack { DNS_LACK_NAME, DNS_LACK_RECORDS, DNS_LACK_ANSWER,
	DNS_LACK_SENSE, DNS_LACK_SYNTAX };
void		 dns_why(struct str name, enum dns_type, enum dns_lack,
		    struct buf *out);

/* Stops, full, at DNS_BYTES_MAX; returns how many records are in. */
size_t		 dns_pack(const struct dns_record *, size_t n, struct buf *);
/* False: not what dns_pack() writes. data points into the bytes. */
bool		 dns_unpack(struct str bytes, struct arena *,
		    const struct dns_record **, size_t *n) MUST_USE;
#endif
