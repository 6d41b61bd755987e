/*
 * tlskey_sites - from bytes to keys, chains and names. A key that several
 * sites name is one.
 */
#include "auth/tlskey.h"
#include "sys/sys.h"
#include "table/table.h"

static struct str
id_bytes(const uint64_t *id)
{
	return (struct str){ (const char *)id, sizeof(*id) };
}

struct key *
key_find(struct tlskey *t, uint64_t id)
{
	return map_get(t->keys, id_bytes(&id));
}

/* Takes the identity; the one that stands is kept if it has the same chain. */
static struct key *
key_add(struct tlskey *t, struct tls_identity *identity, bool server)
{
	struct tls_chain chain = tls_identity_chain(identity);
	struct key *k = key_find(t, chain.key);

	if (k == NULL || !str_eq(tls_identity_chain(k->identity).certs,
	    chain.certs)) {
		k = mem_new(sizeof(*k));
		k->identity = identity;
		(void)map_set(t->keys, id_bytes(&chain.key), k);
	} else
		tls_identity_free(&identity);
	k->server |= server;
	k->client |= !server;
	return k;
}

static void
add_named(struct site *site, const char *name, struct key *k)
{
	struct named *n = map_get(site->names, str_of(name));

	if (n == NULL) {
		n = mem_new(sizeof(*n));
		(void)map_set(site->names, str_of(name), n);
	}
	if (n->nkeys < nitems(n->keys))
		n->keys[n->nkeys++] = k;
}

static void
source_parse(struct tlskey *t, struct site *site, struct source *s,
    struct problems *p)
{
	bool server = strcmp(site->side, "smtpd") == 0;
	const char *of = s->name != NULL ? s->name : s->cert_path;
	struct tls_identity *identity;
	const char *warning;
	struct key *k;
	struct buf why;

	if (s->cert_pem.n == 0 && s->key_pem.n == 0)
		return;		/* that it can't be read was said */
	buf_init(&why, 2000);
	identity = tls_identity_read(buf_view(&s->key_pem),
	    buf_view(&s->cert_pem), &why);
	if (identity == NULL)
		problem_add(p, service_checks(t->service), s->file, s->line,
		    "%s%s%s: %s", s->where, of != NULL ? ": " : "",
		    of != NULL ? of : "", buf_cstr(&why));
	buf_free(&why);
	if (identity == NULL)
		return;
	warning = tls_identity_warning(identity);
	if (*warning != '\0')
		problem_add(p, false, s->file, s->line, "%s%s%s: %s",
		    s->where, of != NULL ? ": " : "", of != NULL ? of : "",
		    warning);
	k = key_add(t, identity, server);
	if (s->name != NULL)
		add_named(site, s->name, k);
	else if (site->nkeys < nitems(site->keys))
		site->keys[site->nkeys++] = k;
}

static void
source_free(struct source *s)
{
	/* A copy that nobody needs is one more to be found. */
	if (s->key_pem.n > 0)
		explicit_bzero(s->key_pem.p, s->key_pem.n);
	list_remove(&s->link);
	buf_free(&s->key_pem);
	buf_free(&s->cert_pem);
	mem_free(s->key_path);
	mem_free(s->cert_path);
	mem_free(s->name);
	mem_free(s);
}

void
key_sites_parse(struct tlskey *t, struct problems *p)
{
	list_each(l, &t->sites) {
		struct site *site = container_of(l, struct site, link);

		list_each(m, &site->sources) {
			struct source *s = container_of(m, struct source,
			    link);

			source_parse(t, site, s, p);
			source_free(s);
		}
	}
}

struct site *
key_site_find(struct tlskey *t, struct str service, const char *side)
{
	struct site *found = NULL;

	list_each(l, &t->sites) {
		struct site *s = container_of(l, struct site, link);

		if (strcmp(s->side, side) != 0)
			continue;
		if (str_eq(s->service, service))
			return s;
		if (s->service.n == 0)
			found = s;
	}
	return found;
}

const struct named *
key_site_named(const struct site *site, struct str name)
{
	const struct named *n;
	struct buf low;
	struct str key;
	size_t dot;

	buf_init(&low, TLS_NAME_MAX * TABLE_FOLD_GROWTH);
	table_fold(name, &low);
	key = buf_view(&low);
	n = map_get(site->names, key);
	while (n == NULL && key.n > 0) {
		dot = str_chr(str_from(key, 1), '.') + 1;
		key = str_from(key, dot);
		n = map_get(site->names, key);
	}
	buf_free(&low);
	return n;
}
