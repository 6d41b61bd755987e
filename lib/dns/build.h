/*
 * What differs between the c-ares of Debian 12 (1.18) and later ones. Calls
 * that 1.34 marks as old work in both.
 */
#ifndef DNS_BUILD_H
#define DNS_BUILD_H
#define CARES_NO_DEPRECATED
#include <ares.h>

/* From 1.23 a cache of its own is on, which takes no notice of AD. */
#ifdef ARES_OPT_QUERY_CACHE
#define WIRE_NO_CACHE(o)	((o)->qcache_max_ttl = 0, ARES_OPT_QUERY_CACHE)
#else
#define WIRE_NO_CACHE(o)	((void)(o), 0)
#endif
/* From 1.20: a new source port after so many questions (RFC 5452 9.2). */
#ifdef ARES_OPT_UDP_MAX_QUERIES
#define WIRE_NEW_PORT(o)	((o)->udp_max_queries = 1, \
				ARES_OPT_UDP_MAX_QUERIES)
#else
#define WIRE_NEW_PORT(o)	((void)(o), 0)
#endif
#endif
