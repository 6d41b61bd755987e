/*
 * serve - what resolve is made of: questions and replies as packets (pure),
 * the hosts file (pure), and the wire, where c-ares lives.
 */
#ifndef DNS_SERVE_H
#define DNS_SERVE_H
#include "dns/internal.h"
#include "event/event.h"

#define DNS_PACKET_MAX	65535	/* RFC 1035 4.2.2 */
#define DNS_CNAMES_MAX	10	/* as Postfix follows */

/* --- packet.c: RFC 1035 4 --- */
/* A question with EDNS and AD set (RFC 6840 5.7); name is canonical. */
void		 dns_packet_ask(enum dns_type, struct str name, struct buf *);

enum dns_sense {
	DNS_RECORDS,		/* some of the type; FOUND */
	DNS_NO_RECORDS,		/* the name is there, they are not */
	DNS_NO_NAME,		/* NXDOMAIN */
	DNS_GOES_ON,		/* CNAMEs end at a name to be asked for */
	DNS_FAILED,		/* SERVFAIL, REFUSED, ... */
	DNS_NONSENSE,		/* malformed, a loop, another question */
};
struct dns_reading {
	enum dns_sense sense;
	bool	   authentic;	/* AD */
	struct str name;	/* behind the CNAMEs */
	struct dns_record *records;
	size_t	   n, cut;	/* cut: above DNS_RECORDS_MAX, left out */
	unsigned   cnames;
	/* How long this holds, absence too (RFC 2308 5); 0: not at all. */
	uint32_t   ttl_s;
};
/* Strings are in arena. */
void		 dns_packet_read(struct str packet, enum dns_type,
		    struct str name, struct arena *, struct dns_reading *);

/* --- hosts.c: hosts(5) --- */
struct dns_hosts;
/* localhost is in it, whatever the text says: RFC 6761 6.3. */
struct dns_hosts *dns_hosts_new(struct str text);
void		 dns_hosts_free(struct dns_hosts **);
/* A, AAAA, or PTR of a reverse name. Records last as long as hosts. */
enum found	 dns_hosts_find(const struct dns_hosts *, enum dns_type,
		    struct str name, const struct dns_record **, size_t *n);

/* --- wire.c --- */
struct dns_wire;
struct dns_wire_conf {
	struct str servers;	/* "127.0.0.1:5353 [::1]"; "": resolv.conf */
	int64_t	   timeout_ms;	/* until a server is asked again */
	unsigned   tries;	/* of each server */
};
/* Reads files: before privileges go. NULL: *why tells. */
struct dns_wire	*dns_wire_open(const struct dns_wire_conf *, struct buf *why);
void		 dns_wire_free(struct dns_wire **);	/* fn's get "" */
/* All servers are on loopback: AD can be believed. */
bool		 dns_wire_is_local(const struct dns_wire *);
void		 dns_wire_start(struct dns_wire *, struct loop *);
/*
 * fn gets the reply, "" where none came, once; maybe from within. Replies of
 * another id or question, or from elsewhere, never get so far.
 */
void		 dns_wire_send(struct dns_wire *, struct str packet,
		    void (*fn)(void *ctx, struct str reply), void *ctx);
#endif
