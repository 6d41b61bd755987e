/*
 * tlskey - the parts of the key process, and what they share.
 *
 * tlskey_files.c   which files each service's TLS needs; their bytes
 * tlskey_sites.c   from bytes to keys, chains and names
 * tlskey_watch.c   have they changed on disk?
 * main_tlskey.c    who asks, who is answered, tickets
 *
 * A site is a service's configuration: main.cf with its -o overrides, for
 * one side of TLS. Bytes are read as root, and parsed when it is root no more.
 */
#ifndef AUTH_TLSKEY_H
#define AUTH_TLSKEY_H
#include "conf/conf.h"
#include "ipc/ipc.h"
#include "service/service.h"
#include "tls/tls.h"

struct tlskey_conf {
#define PARAM PARAM_MEMBER
#include "auth/params_tlskey.def"
#undef PARAM
};

struct key {
	struct tls_identity *identity;
	bool		     server, client;	/* what it may sign for */
};

/* A file, or two, that is to become a key and its chain. */
struct source {
	struct list	 link;
	const char	*where;		/* "smtpd_tls_cert_file", for problems */
	const char	*file;		/* main.cf or master.cf, or NULL */
	int		 line;
	char		*key_path, *cert_path;
	struct buf	 key_pem, cert_pem;
	char		*name;		/* the server name that it is for */
};

struct site {
	struct list	 link;
	struct str	 service;	/* "" for main.cf */
	const char	*side;		/* "smtpd", "smtp", "lmtp" */
	struct conf	*conf;
	struct list	 sources;	/* struct source, until they are parsed */
	struct key	*keys[8];	/* its own chains */
	size_t		 nkeys;
	struct map	*names;		/* server name: struct named */
};
struct named { struct key *keys[4]; size_t nkeys; };

struct watch_list;			/* tlskey_watch.c */
struct tlskey {
	struct service	   *service;
	struct tlskey_conf  conf;
	struct list	    sites;	/* the first is main.cf's smtpd */
	struct map	   *keys;	/* the number's 8 bytes: struct key */
	struct watch_list  *watches;
	struct tls_ticket_key tickets[TLS_TICKET_KEYS];
	size_t		    ntickets;
	struct timer	   *rotate;
};

/* Which files, and their bytes. Missing ones are problems. */
void		 key_files_read(struct tlskey *, struct conf *, struct problems *);
/* Parses them all and drops the bytes. */
void		 key_sites_parse(struct tlskey *, struct problems *);
struct site	*key_site_find(struct tlskey *, struct str service,
		    const char *side);
/* The chains for a name: itself, then .parent; NULL: none of its own. */
const struct named *key_site_named(const struct site *, struct str name);
struct key	*key_find(struct tlskey *, uint64_t id);
/* Once for each that was read; before privileges go. */
void		 watch_file(struct tlskey *, const char *path);
void		 watch_directory(struct tlskey *, const char *path);
void		 watch_table(struct tlskey *, struct str spec);
void		 watch_start(struct tlskey *, void (*changed)(struct tlskey *));
#endif
