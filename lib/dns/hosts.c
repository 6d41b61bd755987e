/*
 * hosts - the hosts file (hosts(5)) as answers to A, AAAA and PTR questions.
 */
#include "address/address.h"
#include "dns/serve.h"

#define HOSTS_MEMORY	(64 << 20)
#define ADDRESSES_MAX	10	/* of one name; more are not used */

struct entry { struct dns_record *v; size_t n; };
struct dns_hosts {
	struct arena *arena;
	struct map   *entries;		/* "A name", "PTR reverse-name" */
};

static void
add(struct dns_hosts *h, enum dns_type type, struct str name, struct str data)
{
	struct entry *e;
	struct buf key;

	buf_init(&key, DNS_NAME_MAX + 16);
	buf_printf(&key, "%s " STRF, dns_type_name(type), STRV(name));
	e = map_get(h->entries, buf_view(&key));
	if (e == NULL) {
		e = arena_alloc(h->arena, sizeof(*e));
		e->v = arena_alloc(h->arena, ADDRESSES_MAX *
		    sizeof(*e->v));
		map_set(h->entries, buf_view(&key), e);
	}
	buf_free(&key);
	/* An address has the first name that is given to it, as in libc. */
	if (e->n == ADDRESSES_MAX || (type == DNS_PTR && e->n > 0))
		return;
	e->v[e->n++] = (struct dns_record){ .type = type,
	    .data = arena_str(h->arena, data) };
}

static void
add_line(struct dns_hosts *h, struct str line)
{
	struct str rest = str_first(line, str_chr(line, '#')), word;
	struct buf name, reverse;
	uint8_t addr[16];
	int family;

	if (!str_token(&rest, " \t\r", &word) ||
	    (family = ip_parse(word, addr)) == 0)
		return;
	buf_init(&name, DNS_NAME_MAX);
	buf_init(&reverse, DNS_NAME_MAX);
	dns_name_reverse(addr, family, &reverse);
	while (str_token(&rest, " \t\r", &word)) {
		buf_clear(&name);
		if (!dns_name_canon(word, &name) || name.n == 0)
			continue;
		add(h, family == AF_INET ? DNS_A : DNS_AAAA, buf_view(&name),
		    (struct str){ (char *)addr, family == AF_INET ? 4 : 16 });
		add(h, DNS_PTR, buf_view(&reverse), buf_view(&name));
	}
	buf_free(&name);
	buf_free(&reverse);
}

struct dns_hosts *
dns_hosts_new(struct str text)
{
	struct arena *arena = arena_new(HOSTS_MEMORY);
	struct dns_hosts *h = arena_alloc(arena, sizeof(*h));
	const struct dns_record *r;
	struct str line;
	size_t n;

	h->arena = arena;
	h->entries = map_new();
	while (arena_used(arena) < HOSTS_MEMORY / 2 &&
	    str_token(&text, "\n", &line))
		add_line(h, line);
	if (dns_hosts_find(h, DNS_PTR, STR("1.0.0.127.in-addr.arpa"), &r,
	    &n) == NONE)
		add_line(h, STR("127.0.0.1 localhost"));
	if (dns_hosts_find(h, DNS_A, STR("localhost"), &r, &n) == NONE)
		add(h, DNS_A, STR("localhost"), STR("\177\0\0\1"));
	add_line(h, STR("::1 localhost"));
	return h;
}

void
dns_hosts_free(struct dns_hosts **hp)
{
	struct dns_hosts *h = *hp;
	struct arena *arena;

	*hp = NULL;
	if (h == NULL)
		return;
	map_free(&h->entries);
	arena = h->arena;
	arena_free(&arena);
}

enum found
dns_hosts_find(const struct dns_hosts *h, enum dns_type type, struct str name,
    const struct dns_record **out, size_t *n)
{
	const struct entry *e;
	struct buf key;

	*out = NULL;
	*n = 0;
	buf_init(&key, DNS_NAME_MAX + 16);
	buf_printf(&key, "%s " STRF, dns_type_name(type), STRV(name));
	e = map_get(h->entries, buf_view(&key));
	buf_free(&key);
	if (e == NULL)
		return NONE;
	*out = e->v;
	*n = e->n;
	return FOUND;
}
