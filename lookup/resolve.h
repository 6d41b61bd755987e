/*
 * resolve - the parts of the one process that speaks DNS.
 *
 * dns_cache.c     answers that hold for a while; pure, the clock is passed in
 * dns_question.c  questions under way: equal ones are asked once
 * dns_files.c     resolv.conf and the hosts file, when they change
 */
#ifndef LOOKUP_RESOLVE_H
#define LOOKUP_RESOLVE_H
#include "dns/serve.h"
#include "service/service.h"

struct resolve_conf {
#define PARAM PARAM_MEMBER
#include "lookup/params_resolve.def"
#undef PARAM
};

/* --- dns_cache.c --- */
struct reply {				/* a dns_answer to be */
	enum found found;
	bool	   nxdomain, secure;
	struct str name, records, why;
};
struct dns_cache;
struct dns_cache *dns_cache_new(size_t bytes_max);
void		 dns_cache_free(struct dns_cache **);
/* Copies. ttl_ms 0: does nothing. The least lately used make room. */
void		 dns_cache_put(struct dns_cache *, struct str key,
		    const struct reply *, int64_t now_ms, int64_t ttl_ms);
/* Lasts until the next put. */
const struct reply *dns_cache_get(struct dns_cache *, struct str key,
		    int64_t now_ms);
size_t		 dns_cache_bytes(const struct dns_cache *);

/* --- dns_question.c --- */
struct resolver {
	struct resolve_conf conf;
	struct service	*service;
	struct dns_wire	*wire;
	struct dns_hosts *hosts;
	struct dns_cache *cache;
	struct dns_files *files;
	struct map	*questions;	/* key: struct dns_question */
	size_t		 npending;
	uint64_t	 asked, cached;
};
/* Answers the talk, now or later. */
void		 resolver_ask(struct resolver *, struct talk *,
		    const struct msg_dns_ask *);

/* --- dns_files.c: before privileges go, then start --- */
struct dns_files *dns_files_new(struct resolver *);
void		 dns_files_add(struct dns_files *, const char *path);
void		 dns_files_start(struct dns_files *, struct loop *);
#endif
